package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/cdc"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[cdc.Bytes]()
)

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, Fault{Found: describe(n), Expected: expectation(v), Do: "Write one value."})
		return
	}
	text, ok := d.expand(n, path)
	if !ok {
		return
	}
	shown := strconv.Quote(text)
	if isSecretField(lastOf(path), v) {
		shown = "a value (not shown)"
	}
	if err := setScalar(v, text); err != nil {
		d.fault(n, path, Fault{Found: shown, Expected: expectation(v), Do: advice(v, err)})
	}
}

func setScalar(v reflect.Value, text string) error {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	var err error
	if v.Type() == durationType {
		var dur time.Duration
		dur, err = ParseDuration(text)
		v.SetInt(int64(dur))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); err == nil {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var i int64
		if i, err = strconv.ParseInt(text, 10, v.Type().Bits()); err == nil {
			v.SetInt(i)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var u uint64
		if u, err = strconv.ParseUint(text, 10, v.Type().Bits()); err == nil {
			v.SetUint(u)
		}
	case reflect.Float32, reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(text, 64); err == nil {
			v.SetFloat(f)
		}
	}
	return err
}

func expectation(v reflect.Value) string {
	switch v.Type() {
	case durationType:
		return "a duration such as 30s, 5m, 12h or 30d"
	case sizeType:
		return "a size such as 500MiB or 20GiB"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a text"
}

func advice(v reflect.Value, err error) string {
	switch v.Type() {
	case durationType:
		return "Give the number a unit."
	case sizeType:
		return "Give the number a unit: B, KiB, MiB, GiB or TiB."
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return sentence(err.Error())
	}
	return "Correct the value."
}

// expand replaces ${NAME} by the environment's value. $${ stands for a plain ${.
func (d *decoder) expand(n *yaml.Node, path string) (string, bool) {
	var b strings.Builder
	rest, ok := n.Value, true
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return b.String(), ok
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		name, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			d.fault(n, path, Fault{Found: "${ without }", Do: "Close the brace, or write $${ for a plain ${."})
			return "", false
		}
		value, set := d.lookup(name)
		if !set {
			d.fault(n, path, Fault{Found: "${" + name + "}, which is not set in the environment",
				Do: "Set " + name + " before starting Waybill."})
			ok = false
		}
		b.WriteString(rest[:i] + value)
		rest = after
	}
}

func isScalar(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	}
	return false
}
