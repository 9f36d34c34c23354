package transform

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// xref is a cross-reference: what a key of one system means in another, at a date. Its rows stand in the mapping or in a
// table of a source. A key that it does not know is one problem, on which everything that needs the key waits.
type xref struct {
	name  string
	line  int
	key   []string
	dated bool
	miss  string // code of the problem: UNKNOWN_CUSTOMER
	owner string

	registry *RegistryKey // set when the rows stand in the registry; the key itself is empty
	describe []xrefValue  // columns of table that describe a key of the registry to people

	table    *table // nil when the rows stand in the mapping
	keyCols  []int
	from, to int // columns; -1 when there is none
	values   []xrefValue
	rows     []xrefRow
}

type xrefValue struct {
	name      string
	col       int
	attribute string // of a row of the registry, instead of a column
}

type xrefRow struct {
	key      []string
	from, to string // dates, inclusive; empty is open
	values   record
	line     int
}

// record is a value with named members.
type record map[string]ref.Val

// ConvertToNative implements ref.Val.
func (r record) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a record cannot become a %s", t)
}

// ConvertToType implements ref.Val.
func (r record) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a record cannot become a %s", t.TypeName())
}

// Equal implements ref.Val.
func (r record) Equal(ref.Val) ref.Val { return types.False }

// Type implements ref.Val.
func (r record) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (r record) Value() any { return map[string]ref.Val(r) }

// lookupNode is xref.<name>(key, as_of=date).
type lookupNode struct {
	x    *xref
	key  []node
	asOf node
}

func (n lookupNode) eval(f *frame) ref.Val {
	var key []string
	for _, k := range n.key {
		v := k.eval(f)
		if v == types.NullValue || types.IsError(v) {
			return v
		}
		key = append(key, textOf(v))
	}
	asOf := ""
	if n.asOf != nil {
		v := n.asOf.eval(f)
		if v == types.NullValue || types.IsError(v) {
			return v
		}
		asOf = clipDate(textOf(v))
	}
	if n.x.registry != nil {
		return n.x.registered(f.st, key[0], asOf)
	}
	found, err := n.x.find(f.st, key, asOf)
	if err != nil {
		return types.WrapErr(&stateError{err})
	}
	if found == nil {
		return types.WrapErr(n.x.unknown(f.m, key, asOf))
	}
	return found
}

// find returns the values valid on the date, or nil.
func (x *xref) find(st State, key []string, asOf string) (record, error) {
	if x.table != nil {
		return x.findStored(st, key, asOf)
	}
	for i := len(x.rows) - 1; i >= 0; i-- {
		if r := &x.rows[i]; slices.Equal(r.key, key) && r.from <= asOf && (r.to == "" || asOf <= r.to) || !x.dated && slices.Equal(r.key, key) {
			return r.values, nil
		}
	}
	return nil, nil
}

func (x *xref) bucket() string { return "map/xref/" + x.name }

// findStored looks for the newest row that began by the date and has not ended.
func (x *xref) findStored(st State, key []string, asOf string) (record, error) {
	var best *row
	err := st.Scan(x.bucket(), stateKey(key...)+separator, "", func(k string, raw []byte) (bool, error) {
		parts := stateParts(k)
		if from := parts[len(x.key)]; x.dated && from > asOf {
			return false, nil
		}
		_, r, err := decodeRow(x.table, raw)
		if err != nil {
			return false, err
		}
		if to := x.date(r, x.to); !x.dated || to == "" || asOf <= to {
			best = r
		}
		return true, nil
	})
	if err != nil || best == nil {
		return nil, err
	}
	found := record{}
	for _, v := range x.values {
		found[v.name] = best.value(v.col)
	}
	return found, nil
}

func (x *xref) date(r *row, col int) string {
	if col < 0 || r.vals[col].State != cdc.Present {
		return ""
	}
	return clipDate(r.vals[col].Text)
}

// clipDate is the day of a date, timestamp or instant, in a form that sorts by time.
func clipDate(s string) string {
	if i := strings.IndexAny(s, " T"); i > 0 {
		s = s[:i]
	}
	return sortable(s)
}

func (x *xref) fingerprintCause(m *Mapping, key []string) string {
	if x.registry != nil {
		return x.inRegistry(key[0]).cause()
	}
	where := m.name
	if x.table != nil {
		where = x.table.source.name
	}
	return where + "/" + strings.Join(key, "/")
}

// unknown is the trouble of a key that is not there, or not on that date.
func (x *xref) unknown(m *Mapping, key []string, asOf string) *trouble {
	where, how := "xref."+x.name+" of the mapping "+m.name, "Add a row for it to xref."+x.name+" and activate the mapping."
	if x.table != nil {
		where, how = x.table.key(), "Add a row for it to "+x.table.key()+"; everything that waits goes on by itself."
	}
	on := ""
	if asOf != "" {
		on = " on " + asOf
	}
	return &trouble{class: "MASTER", code: x.miss, cause: x.fingerprintCause(m, key), owner: x.owner, hint: how,
		title:    fmt.Sprintf("The %s %q is not known in %s%s.", strings.ReplaceAll(x.name, "_", " "), strings.Join(key, "/"), where, on),
		evidence: map[string]any{"key": strings.Join(key, "/"), "as_of": asOf}}
}

// entry returns where a row of the source table lies in the cross-reference, or "" when its key is not complete.
func (x *xref) entry(r *row) (at string, key []string) {
	if r == nil {
		return "", nil
	}
	for _, c := range x.keyCols {
		if r.vals[c].State != cdc.Present {
			return "", nil
		}
		key = append(key, r.vals[c].Text)
	}
	return stateKey(append(slices.Clone(key), x.date(r, x.from))...), key
}

// update keeps the cross-reference in step with its table, and returns the key that a new row may have made known.
func (x *xref) update(st State, before, now *row) (known []string, err error) {
	was, _ := x.entry(before)
	is, key := x.entry(now)
	if was != "" && was != is {
		if err := st.Delete(x.bucket(), was); err != nil {
			return nil, err
		}
	}
	if is == "" {
		return nil, nil
	}
	return key, st.Put(x.bucket(), is, appendRow(nil, 0, now))
}

var xrefKeys = []string{"from", "key", "valid", "value", "rows", "miss", "owner", "registry", "system", "role", "company", "describe"}

func (c *compiler) xref(f field) {
	for _, xf := range c.fields(f.value, "xref") {
		x := &xref{name: xf.key, line: xf.at.Line, from: -1, to: -1, miss: "UNKNOWN_" + strings.ToUpper(xf.key)}
		got := c.record(xf.value, "xref "+xf.key, xrefKeys, map[string]string{"lookup": "from: <source>.<table>, or rows:"})
		if !c.need(xf.at, got, "xref "+xf.key, "key") {
			continue
		}
		x.key = c.names(got["key"].value, "the key columns")
		if m, ok := got["miss"]; ok {
			x.miss = c.text(m.value, "a problem code")
		}
		if o, ok := got["owner"]; ok {
			x.owner = c.text(o.value, "a team")
		}
		_, registry := got["registry"]
		if !registry {
			c.registryOnly(xf, got)
		}
		switch _, rows := got["rows"]; {
		case registry:
			c.xrefRegistry(x, xf, got)
		case rows:
			c.xrefRows(x, got["rows"])
		case c.need(xf.at, got, "xref "+xf.key, "from", "value"):
			c.xrefTable(x, got)
		}
		c.m.xrefs[x.name] = x
	}
}

// names reads one name or a list of them.
func (c *compiler) names(n *yaml.Node, what string) []string {
	if n.Kind != yaml.SequenceNode {
		if s := c.text(n, what); s != "" {
			return []string{s}
		}
		return nil
	}
	var all []string
	for _, e := range n.Content {
		all = append(all, c.text(e, what))
	}
	return all
}

func (c *compiler) xrefTable(x *xref, got map[string]field) {
	x.table = c.rowsOf(got["from"].value, c.text(got["from"].value, "<source>.<table>"))
	if x.table == nil {
		return
	}
	x.table.xrefs = append(x.table.xrefs, x)
	for _, k := range x.key {
		x.keyCols = append(x.keyCols, c.plainColumn(got["key"].value, x.table, k))
	}
	if v, ok := got["valid"]; ok {
		x.dated = true
		bounds := c.names(v.value, "[first day, last day]")
		if len(bounds) != 2 {
			c.fault(v.value, describe(v.value), "valid: [column of the first day, column of the last day]", "")
			return
		}
		x.from, x.to = c.plainColumn(v.value, x.table, bounds[0]), c.plainColumn(v.value, x.table, bounds[1])
	}
	for _, v := range c.fields(got["value"].value, "value") {
		x.values = append(x.values, xrefValue{name: v.key, col: c.plainColumn(v.value, x.table, c.text(v.value, "a column"))})
	}
}

// plainColumn resolves a column named outside an expression.
func (c *compiler) plainColumn(n *yaml.Node, t *table, name string) int {
	b := builder{compiler: c, at: n, text: name, shown: name, sc: &scope{}}
	if col, ok := first(b.column(root{t, newRow}, name)).(columnNode); ok {
		return col.col
	}
	return t.col(name)
}

func first[A, B any](a A, _ B) A { return a }

func (c *compiler) xrefRows(x *xref, f field) {
	if f.value.Kind != yaml.SequenceNode {
		c.fault(f.value, describe(f.value), "a list of rows", "")
		return
	}
	for _, n := range f.value.Content {
		r := xrefRow{values: record{}, line: n.Line}
		got := map[string]string{}
		for _, v := range c.fields(n, "a row of xref "+x.name) {
			got[v.key] = c.text(v.value, v.key)
			if !slices.Contains(x.key, v.key) && v.key != "valid_from" && v.key != "valid_to" {
				r.values[v.key] = types.String(got[v.key])
			}
		}
		for _, k := range x.key {
			if got[k] == "" {
				c.fault(n, "a row of xref "+x.name+" without "+k, "its key", "")
			}
			r.key = append(r.key, got[k])
		}
		r.from, r.to = c.day(n, got["valid_from"]), c.day(n, got["valid_to"])
		x.dated = x.dated || r.from != "" || r.to != ""
		x.rows = append(x.rows, r)
	}
	slices.SortStableFunc(x.rows, func(a, b xrefRow) int { return strings.Compare(a.from, b.from) })
}

// day reads a date of the calendar; nothing stays nothing.
func (r *reader) day(n *yaml.Node, s string) string {
	if s == "" {
		return ""
	}
	if _, err := time.Parse(civilDate, s); err != nil {
		r.fault(n, fmt.Sprintf("%q", s), "a date: 2026-01-31", "")
	}
	return s
}
