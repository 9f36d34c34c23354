package transform

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// kindValues are values of every kind: ordinary ones, and those at which a careless function guesses.
var kindValues = []cdc.Value{
	cdc.Of(cdc.KindBool, "true"),
	cdc.Of(cdc.KindInt, "-12"), cdc.Of(cdc.KindInt, "18446744073709551615"),
	cdc.Of(cdc.KindDecimal, "1150.00"), cdc.Of(cdc.KindDecimal, "NaN"), cdc.Of(cdc.KindDecimal, "-Infinity"), cdc.Of(cdc.KindDecimal, strings.Repeat("9", 120)),
	cdc.Of(cdc.KindFloat, "0.1"), cdc.Of(cdc.KindFloat, "1e+300"),
	cdc.Of(cdc.KindText, " Abc "), cdc.Of(cdc.KindBytes, "\xff\x00"),
	cdc.Of(cdc.KindDate, "2026-03-08"), cdc.Of(cdc.KindDate, "0000-00-00"), cdc.Of(cdc.KindDate, "2026-02-31"), cdc.Of(cdc.KindDate, "-0043-03-15"),
	cdc.Of(cdc.KindDate, "294276-12-31"), cdc.Of(cdc.KindDate, "infinity"), cdc.Of(cdc.KindDate, "-infinity"),
	cdc.Of(cdc.KindTime, "14:05:00.5"), cdc.Of(cdc.KindTime, "24:00:00"), cdc.Of(cdc.KindTime, "30:15:00"), cdc.Of(cdc.KindTime, "838:59:59"), cdc.Of(cdc.KindTime, "-838:59:59"),
	cdc.Of(cdc.KindTimestamp, "2026-03-08 02:30:00"), cdc.Of(cdc.KindTimestamp, "0000-00-00 00:00:00"), cdc.Of(cdc.KindTimestamp, "-0043-03-15 10:00:00"),
	cdc.Of(cdc.KindTimestamp, "9999-12-31 23:59:59"), cdc.Of(cdc.KindTimestamp, "infinity"),
	cdc.Of(cdc.KindInstant, "2026-03-08T19:05:00.5Z"), cdc.Of(cdc.KindInstant, "0000-00-00T00:00:00Z"), cdc.Of(cdc.KindInstant, "294276-12-31T00:00:00Z"), cdc.Of(cdc.KindInstant, "infinity"),
	cdc.Of(cdc.KindUUID, "11223344-5566-7788-99aa-bbccddeeff00"), cdc.Of(cdc.KindJSON, `{"n": 12345678901234567890}`), cdc.Of(cdc.KindEnum, ""),
	cdc.Of(cdc.KindInterval, "P1Y2M3DT4H5M6.5S"), cdc.Of(cdc.KindBits, "0101"), cdc.Of(cdc.KindArray, `["a",null]`), cdc.Of(cdc.KindRange, "[2026-03-01,)"),
}

// kindExpressions are the functions and operators of the language that take a value.
var kindExpressions = []string{"v", `text(v)`, `"{v}"`, "trim(v)", "upper(v)", "lower(v)", `replace(v, "a", "b")`, "dec(v)", "abs(v)", "round(v, 2)", "money(v)", "-v",
	"v + 1", "v * 2", "v == v", "v != old.v", "v < v", "v >= old.v", `v == "x"`, "v == 1", `v in ["x"]`, "changed(v)", "became(v, v)", `became(v, "x")`, "code.c(v)",
	"day(v)", "add_days(v, 1)", "at(v, t)", "at(d, v)", "d + v", "first(v, 1)", "v else 1", "v is null", "not v", "v and true", "{at}"}

// TestEveryKind applies every function of the language to values of every kind. Each answer is exact, or says what is wrong with
// which column; the golden file holds them all, and which of them a check against the live catalog refuses beforehand.
func TestEveryKind(t *testing.T) {
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, v := range kindValues {
		fmt.Fprintf(&out, "%s %q\n", v.Kind, clip(v.Text, 40))
		var same []string // expressions with one answer
		var refused []string
		last := ""
		flush := func() {
			if len(same) > 0 {
				fmt.Fprintf(&out, "\t%s = %s\n", strings.Join(same, " | "), last)
			}
			same = nil
		}
		for _, text := range kindExpressions {
			ran := kindAnswer(t, env, text, v, false)
			if strings.Contains(ran, "cannot be carried exactly") && !strings.Contains(ran, "s.t.v, row K1/2") {
				t.Errorf("%s of %s does not say where: %s", text, v.Text, ran)
			}
			if answer := !strings.HasPrefix(ran, "EXPRESSION") && !strings.HasPrefix(ran, "VALUE_NOT_EXACT"); answer && kindAnswer(t, env, text, v, true) != "" {
				ran += " (refused by map check)"
			}
			if strings.Contains(ran, "no such overload") {
				refused = append(refused, text)
				continue
			}
			ran = strings.Replace(ran, text+" cannot", "… cannot", 1)
			if ran != last {
				flush()
			}
			same, last = append(same, text), ran
		}
		flush()
		fmt.Fprintf(&out, "\tno such overload: %s\n", strings.Join(refused, " | "))
	}
	golden(t, "kinds.golden", out.String())
}

// kindAnswer evaluates an expression over a row with the value in column v; with the catalog it only returns the faults.
func kindAnswer(t *testing.T, env *cel.Env, text string, v cdc.Value, catalog bool) string {
	t.Helper()
	tab := newTable(&source{name: "s", zone: "America/Chicago", dst: edges{edgeRefuse, edgeRefuse}}, cdc.Table{Name: "t"}, 1)
	m := &Mapping{codes: map[string]*codeTable{"c": {name: "c", words: map[string]string{"x": "ex"}}}}
	c := &compiler{reader: reader{file: "f"}, env: env, m: m}
	if catalog {
		c.catalog = map[string][]*cdc.Schema{"s": {{Source: "s", Table: tab.name, Columns: []cdc.Column{{Name: "v", Kind: v.Kind, Type: "its type", Labels: []string{"", "x"}},
			{Name: "d", Kind: cdc.KindDate}, {Name: "t", Kind: cdc.KindTime}}}}}
	}
	sc := &scope{src: tab.source, bare: tab, bareRow: newRow, fields: map[string]*cel.Type{}, places: 2,
		roots: map[string]root{"old": {tab, oldRow}, "new": {tab, newRow}}}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	instant := text == "{at}"
	if instant {
		node.Value = "v"
	} else if strings.HasPrefix(text, `"{`) {
		node.Value, node.Style = strings.Trim(text, `"`), yaml.DoubleQuotedStyle
	}
	e := c.value(node, sc)
	if len(c.faults) > 0 {
		return c.faults.Error()
	}
	if catalog {
		return ""
	}
	f := &frame{m: m, st: NewMemoryState(), op: cdc.Update}
	values := map[string]cdc.Value{"v": v, "d": cdc.Of(cdc.KindDate, "2026-03-08"), "t": cdc.Of(cdc.KindTime, "14:05:00")}
	for _, side := range []int{newRow, oldRow} {
		r := &row{table: tab, key: stateKey("K1", "2")}
		for _, name := range tab.cols {
			r.vals = append(r.vals, values[name])
		}
		f.rows[side] = r
	}
	got, err := e.eval(f)
	var bad *trouble
	switch {
	case errors.As(err, &bad):
		return bad.Error()
	case err != nil:
		t.Errorf("%s of %s stops the pipeline: %v", text, v.Text, err)
	case got == types.NullValue:
		return "null"
	}
	if instant {
		at, bad := (&run{m: m, zones: map[string]*time.Location{}}).instant(got, tab.source.zone, tab.source, "load/1")
		if bad != nil {
			return bad.Error()
		}
		return at.Format(time.RFC3339Nano)
	}
	raw, err := canonical(plain(got))
	if err != nil {
		t.Errorf("%s of %s: %v", text, v.Text, err)
	}
	return string(raw)
}
