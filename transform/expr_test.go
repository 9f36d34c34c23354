package transform

import (
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// evaluate runs one expression over a row "a=1.50 b=~ …", with the kinds of testValue.
func evaluate(t *testing.T, text, rowText string) string {
	t.Helper()
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	tab := newTable(&source{name: "s", zone: "UTC", currency: "USD"}, cdc.Table{Name: "t"}, 1)
	m := &Mapping{codes: map[string]*codeTable{"c": {name: "c", words: map[string]string{"X": "ex", "Y": "ypsilon"}}}}
	c := &compiler{reader: reader{file: "f"}, env: env, m: m}
	sc := &scope{src: tab.source, bare: tab, bareRow: anyRow, fields: map[string]*cel.Type{}, places: 2,
		roots: map[string]root{"old": {tab, oldRow}, "new": {tab, newRow}}}
	e := c.value(&yaml.Node{Kind: yaml.ScalarNode, Value: text}, sc)
	if len(c.faults) > 0 {
		return c.faults.Error()
	}
	f := &frame{m: m, st: NewMemoryState(), op: cdc.Update}
	parts := strings.Split(rowText, "|")
	for i, part := range parts { // every value is unquoted, as numbers in a mapping's tests are
		r := &row{table: tab, vals: make([]cdc.Value, len(tab.cols))}
		for _, w := range strings.Fields(part) {
			name, v, _ := strings.Cut(w, "=")
			n := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.ReplaceAll(v, "_", " "), Tag: "!!str"}
			switch v {
			case "~":
				n.Tag = "!!null"
			case "true", "false":
				n.Tag = "!!bool"
			}
			if at := tab.place(0, name); at >= 0 {
				r.vals[at] = testValue(n)
			}
		}
		f.rows[[]int{newRow, oldRow}[i]] = r
	}
	v, err := e.eval(f)
	if err != nil {
		return err.Error()
	}
	if v == types.NullValue {
		return "null"
	}
	return textOf(v)
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ text, row, want string }{
		{"a", "a=1.50", "1.50"},
		{"a + b", "a=1.50 b=2.250", "3.750"},
		{"a - b", "a=1.50 b=2", "-0.50"},
		{"a * b", "a=1.50 b=3", "4.50"},
		{"-a", "a=1.50", "-1.50"},
		{"a + b", "a=1.50 b=~", "null"},
		{"a else b", "a=~ b=2", "2"},
		{"a + 1 else b", "a=~ b=2", "2"},
		{"a else b else c", "a=~ b=~ c=x", "x"},
		{"first(a, b, c)", "a=~ b=~ c=x", "x"},
		{"a == 1", "a=1.00", "true"},
		{"1 == a", "a=1.00", "true"},
		{"a != 1", "a=1.01", "true"},
		{"a < 0", "a=-0.01", "true"},
		{"a >= b", "a=2.00 b=2", "true"},
		{"a is null and b is not null", "a=~ b=1", "true"},
		{"not (a is null)", "a=~", "false"},
		{"a < 0 or b", "a=~ b=true", "true"},
		{"a < 0 and true", "a=~", "null"},
		{"is_null", "is_null=7", "7"},
		{`a == "is null and else"`, "a=is_null_and_else", "true"},
		{`a in ["x", "y"]`, "a=y", "true"},
		{`a == "x" ? "one" : "two"`, "a=y", "two"},
		{"trim(a)", "a=_x_", "x"},
		{"trim(a)?", "a=~", "null"},
		{"upper(a) + lower(a)", "a=aB", "ABab"},
		{`replace(a, "-", "")`, "a=1-2", "12"},
		{"text(a) + text(b)", "a=1.50 b=2026-01-31", "1.502026-01-31"},
		{"d + t", "d=2026-03-08 t=14:05", "2026-03-08 14:05:00"},
		{"at(d, t)", "d=2026-03-08 t=14:05:06", "2026-03-08 14:05:06"},
		{"day(d + t)", "d=2026-03-08 t=14:05", "2026-03-08"},
		{"add_days(d, 30)", "d=2026-01-31", "2026-03-02"},
		{"d < e", "d=2026-01-31 e=2026-02-01", "true"},
		{`round(a, 2)`, "a=1.005", "1.00"},
		{`round(a, 2, "half_up")`, "a=1.005", "1.01"},
		{`round(a, 2, "down")`, "a=1.009", "1.00"},
		{"round(a, 2)", "a=3", "3.00"},
		{"money(a)", "a=1.005", "1.00"},
		{`dec("1.10") + dec(2)`, "", "3.10"},
		{"abs(a)", "a=-1.50", "1.50"},
		{"a", "a=99999999999999999999", "99999999999999999999"},
		{"a + 1", "a=99999999999999999999", "100000000000000000000"},
		{"code.c(a)", "a=X", "ex"},
		{"code.c(a)", "a=~", "null"},
		{`code.c(a) == code.c.ypsilon`, "a=Y", "true"},
		{"changed(a)", "a=1|a=2", "true"},
		{"changed(a)", "a=1|a=1", "false"},
		{"changed(a)", "a=~|a=1", "true"},
		{`became(a, "R")`, "a=R|a=D", "true"},
		{`became(a, "R")`, "a=R|a=R", "false"},
		{`became(a, "R")`, "a=R", "true"},
		{"became(a, code.c.ex)", "a=X|a=Y", "true"},
		{"became(a, code.c.ex)", "a=X|a=unknown", "true"},
		{"became(a, code.c.ex)", "a=Q|a=Y", `UNMAPPED_CODE: The code "Q" is not in the code table c of the mapping.`},
		{`became(a, "R") and old.b is null and new.b == 7`, "a=R b=7|a=D b=~", "true"},
		{"source.currency", "", "USD"},
		{"a * a * a * a * a * a", "a=99999999999999999999", "EXPRESSION: a * a * a * a * a * a cannot be evaluated: a number of more than 100 digits."},
		{"1 + 0.1", "", "f:0: found `1 + 0.1`: the float 0.1; expected an exact decimal; write dec(\"0.1\")"},
		{"[1].map(x, x)", "", "f:0: found `[1].map(x, x)`: map(…); expected a function of the mapping language (" + strings.Join(functions, ", ") + ")"},
	} {
		if got := evaluate(t, c.text, c.row); got != c.want {
			t.Errorf("%s with %s: got %s, want %s", c.text, c.row, got, c.want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ text, row, want string }{
		{"US", "", "US"},
		{"{a}-{b}", "a=1 b=x", "1-x"},
		{"{a}-{b}", "a=1 b=~", "null"},
		{"n:{a else b}:{c}", "a=~ b=2.50 c=3", "n:2.50:3"},
	} {
		env, err := newEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		tab := newTable(&source{name: "s"}, cdc.Table{Name: "t"}, 1)
		cp := &compiler{reader: reader{file: "f"}, env: env, m: &Mapping{}}
		e := cp.value(&yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: c.text}, &scope{bare: tab})
		r := &row{table: tab, vals: make([]cdc.Value, len(tab.cols))}
		for _, w := range strings.Fields(c.row) {
			name, v, _ := strings.Cut(w, "=")
			tag := "!!str"
			if v == "~" {
				tag = "!!null"
			}
			r.vals[tab.col(name)] = testValue(&yaml.Node{Value: v, Tag: tag})
		}
		f := &frame{m: cp.m}
		f.rows[newRow] = r
		v, err := e.eval(f)
		if err != nil {
			t.Error(err)
		}
		got := textOf(v)
		if v == types.NullValue {
			got = "null"
		}
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}
