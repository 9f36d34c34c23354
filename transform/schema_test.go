package transform

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func editorSchema(t *testing.T) map[string]any {
	t.Helper()
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", string(raw))
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Every good mapping fits the schema; a mistake that an editor can see does not.
func TestSchemaFits(t *testing.T) {
	s := editorSchema(t)
	files, err := filepath.Glob("../testdata/carriers/*/mapping.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "../testdata/mapping/good.yml") {
		if wrong := misfits(s, fileValue(t, file), file); len(wrong) > 0 {
			t.Errorf("%s", strings.Join(wrong, "\n"))
		}
	}
	good, cases := fileValue(t, "../testdata/mapping/good.yml").(map[string]any), fileValue(t, "../testdata/mapping/cases.yml").(map[string]any)
	maps.Copy(good, cases) // sections without a carrier
	if wrong := misfits(s, good, "cases.yml"); len(wrong) > 0 {
		t.Errorf("%s", strings.Join(wrong, "\n"))
	}
	for file, want := range map[string]string{"unknown-key": `the key "sorces"`, "unknown-event": "is not one of", "currency": "does not match", "shadow": "is no boolean"} {
		wrong := strings.Join(misfits(s, fileValue(t, "../testdata/mapping/"+file+".bad.yml"), file), "\n")
		if !strings.Contains(wrong, want) {
			t.Errorf("%s.bad.yml: found %q, want %q", file, wrong, want)
		}
	}
}

// The schema has every section and every key that the parser asks for, wherever in the code that is.
func TestSchemaKnowsEveryKey(t *testing.T) {
	known := map[string]bool{}
	keysOf(editorSchema(t), known)
	for _, name := range sections {
		if _, ok := sectionShapes[name]; !ok {
			t.Errorf("the parser knows the section %q, and the schema for editors does not: give it a shape in sectionShapes (schema.go)", name)
		}
	}
	asked := askedKeys(t)
	if len(asked) < 50 {
		t.Fatalf("only %d keys found in the parser: %v", len(asked), asked)
	}
	for _, k := range asked {
		if !known[k] {
			t.Errorf("the parser knows the key %q, and the schema for editors does not: give it a shape where its section stands in sectionShapes (schema.go)", k)
		}
	}
}

// askedKeys reads the package's own code: the lists that are given to record, and the sections.
func askedKeys(t *testing.T) (keys []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lists, used := map[string]ast.Expr{}, []ast.Expr{ast.NewIdent("sections")}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, v := range n.Values {
					lists[n.Names[i].Name] = v
				}
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "record" && len(n.Args) == 4 {
					used = append(used, n.Args[2])
				}
			}
			return true
		})
	}
	for _, e := range used {
		if id, ok := e.(*ast.Ident); ok {
			e = lists[id.Name]
		}
		lit, ok := e.(*ast.CompositeLit)
		if !ok {
			continue // a parameter of the reader's own
		}
		for _, x := range lit.Elts {
			if s, ok := x.(*ast.BasicLit); ok {
				k, err := strconv.Unquote(s.Value)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, k)
			}
		}
	}
	return keys
}

func keysOf(s any, into map[string]bool) {
	switch s := s.(type) {
	case map[string]any:
		if p, ok := s["properties"].(map[string]any); ok {
			for k := range p {
				into[k] = true
			}
		}
		for _, x := range s {
			keysOf(x, into)
		}
	case []any:
		for _, x := range s {
			keysOf(x, into)
		}
	}
}

// fileValue reads YAML as an editor does: keys are texts, times are texts.
func fileValue(t *testing.T, file string) any {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return nodeValue(doc.Content[0])
}

func nodeValue(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = nodeValue(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, x := range n.Content {
			list = append(list, nodeValue(x))
		}
		return list
	}
	var v any
	if n.Tag == "!!timestamp" || n.Decode(&v) != nil {
		return n.Value
	}
	if i, ok := v.(int); ok {
		return float64(i)
	}
	return v
}

// misfits checks a value by the keywords that the schema uses.
func misfits(s map[string]any, v any, at string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if want, ok := s["type"]; ok && !typeFits(want, v) {
		say("%v is no %v", v, want)
		return wrong
	}
	if words, ok := s["enum"].([]any); ok && !slices.Contains(words, v) {
		say("%v is not one of %v", v, words)
	}
	if p, ok := s["pattern"].(string); ok {
		if text, is := v.(string); is && !regexp.MustCompile(p).MatchString(text) {
			say("%q does not match %s", text, p)
		}
	}
	if of, ok := s["anyOf"].([]any); ok {
		var all []string
		for _, x := range of {
			some := misfits(x.(map[string]any), v, at)
			if len(some) == 0 {
				all = nil
				break
			}
			all = append(all, some...)
		}
		wrong = append(wrong, all...)
	}
	switch v := v.(type) {
	case map[string]any:
		wrong = append(wrong, objectMisfits(s, v, at)...)
	case []any:
		if items, ok := s["items"].(map[string]any); ok {
			for i, x := range v {
				wrong = append(wrong, misfits(items, x, fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
	}
	return wrong
}

func objectMisfits(s, v map[string]any, at string) (wrong []string) {
	if need, ok := s["required"].([]any); ok {
		for _, k := range need {
			if _, has := v[k.(string)]; !has {
				wrong = append(wrong, fmt.Sprintf("%s: without %s", at, k))
			}
		}
	}
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for k, x := range v {
		under := at + "." + k
		if names, ok := s["propertyNames"].(map[string]any); ok {
			wrong = append(wrong, misfits(names, k, under)...)
		}
		matched := false
		if p, ok := properties[k].(map[string]any); ok {
			matched = true
			wrong = append(wrong, misfits(p, x, under)...)
		}
		for p, of := range patterns {
			if regexp.MustCompile(p).MatchString(k) {
				matched = true
				wrong = append(wrong, misfits(of.(map[string]any), x, under)...)
			}
		}
		if matched {
			continue
		}
		switch more := s["additionalProperties"].(type) {
		case bool:
			if !more {
				wrong = append(wrong, fmt.Sprintf("%s: the key %q is not known", at, k))
			}
		case map[string]any:
			wrong = append(wrong, misfits(more, x, under)...)
		}
	}
	return wrong
}

func typeFits(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return typeFits(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case map[string]any:
		return want == "object"
	case []any:
		return want == "array"
	}
	return false
}
