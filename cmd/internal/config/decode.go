package config

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"waybill/cdc"
	"waybill/sinks/web"
)

// decoder fills structs from YAML nodes and keeps the line of every field, so that a fault found later, by a Validate
// that knows nothing of files, can still be shown with its line. Fields are named by their yaml tag, or else by
// their Go name in snake_case; an embedded or ",inline" struct lends its fields to its parent.
type decoder struct {
	file   string
	dir    string // relative paths start here
	lookup func(string) (string, bool)
	faults Faults
	lines  map[string]int  // path → line of its key
	wrong  map[string]bool // fields that a fault is about: a second one would only repeat it

	secretFiles map[string]string // path of a secret → the file that it was read from
}

// selfDecoder is a type whose fields depend on one of them (sources and sinks, by type).
type selfDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

func (d *decoder) fault(n *yaml.Node, path string, f Fault) {
	f.File, f.Field = d.file, path
	if n != nil {
		f.Line = n.Line
	}
	d.faults = append(d.faults, f)
	d.wrong[path] = true
}

// isWrong says whether a fault is about the field already, or about a block that it is in.
func (d *decoder) isWrong(path string) bool {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if d.wrong[path] {
			return true
		}
	}
	return d.wrong[""]
}

// decode fills v, which must be settable, from n.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		d.fault(n, path, Fault{Found: "an alias (*" + n.Value + ")", Do: "Write the value out; aliases are not read."})
		return
	}
	if s, ok := v.Addr().Interface().(selfDecoder); ok {
		s.decodeNode(d, n, path)
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // an empty value keeps the default
	}
	if s, ok := v.Addr().Interface().(*web.Secret); ok {
		d.secret(n, s, path)
		return
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || isScalar(v) {
		d.scalar(n, v, path)
		if file, ok := v.Addr().Interface().(*web.File); ok {
			*file = web.File(d.resolve(string(*file)))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(n, fieldsOf(v), path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.decode(n, v.Elem(), path)
	default:
		d.fault(n, path, Fault{Found: describe(n), Do: "This field cannot be set in the configuration."})
	}
}

// pairs calls fn for each key of a mapping and reports keys that are written twice.
func (d *decoder) pairs(n *yaml.Node, path string, fn func(key, value *yaml.Node, path string)) bool {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, Fault{Found: describe(n), Expected: "keys and values",
			Do: "Write each setting on a line of its own below it, indented."})
		return false
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if line, twice := seen[key.Value]; twice {
			d.fault(key, at, Fault{Found: "the key a second time", Do: fmt.Sprintf("Keep one; the first is in line %d.", line)})
			continue
		}
		seen[key.Value] = key.Line
		d.lines[at] = key.Line
		fn(key, value, at)
	}
	return true
}

// fields decodes a block of keys and values into the fields of these names.
func (d *decoder) fields(n *yaml.Node, fields map[string]reflect.Value, path string) {
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		if f, ok := fields[key.Value]; ok {
			d.decode(value, f, at)
			return
		}
		if base, ok := strings.CutSuffix(key.Value, "_file"); ok && isSecretField(base, fields[base]) {
			d.secretFile(n, value, fields[base], base, at)
			return
		}
		if base, ok := strings.CutSuffix(key.Value, "_command"); ok && isWebSecret(fields[base]) {
			d.secretCommand(n, value, fields[base].Addr().Interface().(*web.Secret), base, at)
			return
		}
		d.unknown(key, at, known(fields))
	})
}

func (d *decoder) unknown(key *yaml.Node, path string, names []string) {
	do := "Known here: " + strings.Join(names, ", ") + "."
	if s := Suggest(key.Value, names); s != "" {
		do = fmt.Sprintf("Did you mean %q?", s)
		d.wrong[strings.TrimSuffix(path, key.Value)+s] = true
	}
	d.fault(key, path, Fault{Found: "an unknown key", Do: do})
}

// secretFile reads the file beside a secret.
func (d *decoder) secretFile(parent, n *yaml.Node, v reflect.Value, base, path string) {
	var name string
	d.scalar(n, reflect.ValueOf(&name).Elem(), path)
	if name == "" {
		return
	}
	if d.twice(parent, n, base, "_file", path) {
		return
	}
	at := strings.TrimSuffix(path, "_file")
	d.wrong[at] = true // until it is read
	file := d.resolve(name)
	text, err := readSecret(file)
	switch {
	case errors.Is(err, errEmptySecret):
		d.fault(n, path, Fault{Found: "an empty file", Expected: "the secret", Do: "Write the secret into " + name + "."})
		return
	case err != nil:
		d.fault(n, path, Fault{Found: strconv.Quote(name) + ", which cannot be read (" + cause(err) + ")",
			Do: "Create the file with the secret in it, readable by Waybill's user only."})
		return
	}
	delete(d.wrong, at)
	d.lines[at], d.secretFiles[at] = n.Line, file
	if s, ok := v.Addr().Interface().(*web.Secret); ok {
		*s = web.From(func() (string, error) { return readSecret(file) })
		return
	}
	v.SetString(text)
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, elem, at)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), elem)
	})
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, Fault{Found: describe(n), Expected: "a list", Do: "Write it as [a, b], or one line each with a dash."})
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.lines[at] = c.Line
		d.decode(c, v.Index(i), at)
	}
}

func (d *decoder) resolve(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.dir, name)
}

// fieldsOf returns the settable fields of a struct by their name in the file.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case options == "inline" || f.Anonymous && name == "":
			for k, inner := range fieldsOf(v.Field(i)) {
				fields[k] = inner
			}
		case name != "":
			fields[name] = v.Field(i)
		case f.Type.Kind() == reflect.Func || f.Type.Kind() == reflect.Interface:
		default:
			fields[snake(f.Name)] = v.Field(i)
		}
	}
	return fields
}

// isSecretField says which fields may be given as a file and are never shown.
func isSecretField(name string, v reflect.Value) bool {
	if isWebSecret(v) {
		return true
	}
	if !v.IsValid() || v.Kind() != reflect.String {
		return false
	}
	if v.Type() == reflect.TypeFor[Secret]() || v.Type().Name() == "Secret" {
		return true
	}
	return slices.Contains([]string{"password", "token", "secret", "api_key"}, name)
}

func known(fields map[string]reflect.Value) []string {
	names := make([]string, 0, len(fields))
	for name, v := range fields {
		names = append(names, name)
		if isSecretField(name, v) && !fields[name+"_file"].IsValid() {
			names = append(names, name+"_file")
		}
		if isWebSecret(v) {
			names = append(names, name+"_command")
		}
	}
	slices.Sort(names)
	return names
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// snake turns MaxBytes into max_bytes and URL into url.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func sentence(text string) string {
	if text == "" {
		return text
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// readBounded reads a small file and refuses one that is larger than the limit.
func readBounded(name string, limit int64) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return "", fmt.Errorf("it is not a regular file of at most %s", cdc.Bytes(limit))
	}
	raw, err := os.ReadFile(name)
	return string(raw), err
}

// cause is an error of the file system without the path, which the message names as it was written.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
