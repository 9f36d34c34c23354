package transform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// Explanation is why the change of one row became, or did not become, events: every rule that reads its table, with the parts of
// its condition and the values that they had.
type Explanation struct {
	Mapping  string       `json:"mapping"`
	Table    string       `json:"table"` // <source>.<schema>.<table>
	Key      string       `json:"key"`   // of the row; parts joined by /
	Op       string       `json:"op"`    // insert, update, delete, as against what was known
	Position string       `json:"position"`
	First    bool         `json:"first,omitempty"` // seen by a first reading: it seeds, and is not news
	Held     string       `json:"held,omitempty"`  // why the table's rows are not understood; then no rule was asked
	Columns  []ColumnView `json:"columns"`
	Rules    []RuleView   `json:"rules"`
	// Documents are those that the row belongs to, to ask ExplainDocument for when the transaction has ended.
	Documents []DocumentKey `json:"-"`
}

// ColumnView is a column that rules read, before and after the change.
type ColumnView struct {
	Name    string `json:"name"`
	Before  string `json:"before"`
	Now     string `json:"now"`
	Changed bool   `json:"changed,omitempty"`
}

// RuleView is one rule asked about one change.
type RuleView struct {
	Rule    string       `json:"rule"`               // type of its event
	Of      string       `json:"of,omitempty"`       // document; empty for a rule of one row
	At      string       `json:"at"`                 // file:line
	Result  string       `json:"result"`             // yes, no, cannot tell
	False   string       `json:"false,omitempty"`    // the first part that does not hold
	Parts   []PartView   `json:"parts,omitempty"`    // of its condition; none: it always holds
	Lookups []LookupView `json:"lookups,omitempty"`  // of its fields, when the condition holds
	Trouble []string     `json:"troubles,omitempty"` // why its event could not be made
}

// PartView is one part of a condition; all parts must hold.
type PartView struct {
	Text    string       `json:"text"`
	Value   string       `json:"value"` // true, false, null, or why it cannot be told
	Reads   []ColumnView `json:"reads,omitempty"`
	Lookups []LookupView `json:"lookups,omitempty"`
}

// LookupView is what a code table or a cross-reference answered.
type LookupView struct {
	What   string `json:"what"` // code.load_status, xref.customer
	Key    string `json:"key"`
	AsOf   string `json:"as_of,omitempty"`
	Answer string `json:"answer"`        // "" when it has none
	Row    string `json:"row,omitempty"` // which row answered
}

// DocumentKey names a document.
type DocumentKey struct {
	Document string
	Key      string
}

// The results of a rule.
const (
	ruleYes     = "yes"
	ruleNo      = "no"
	ruleUnknown = "cannot tell"
)

// Explain asks the rules about a change as Change will find it, and writes nothing. It is nil for a table that no rule reads. The
// mapping must be the caller's alone, as every Mapper of a side state has it.
func (p *Mapper) Explain(st State, at Entry, ch *cdc.Change) (*Explanation, error) {
	b := p.bind(ch.Schema)
	if b == nil || ch.Op == cdc.Truncate {
		return nil, nil
	}
	x := &Explanation{Mapping: p.m.Version(), Table: b.table.key(), Position: ch.Tx.Commit, Rules: []RuleView{}, Columns: []ColumnView{}}
	var hold *HoldTable
	if err := b.understood(readOnly{st}, ch.Schema); errors.As(err, &hold) {
		x.Held = hold.Reason
		return x, nil
	} else if err != nil {
		return nil, err
	}
	c, err := p.completed(st, b, ch)
	if errors.As(err, &hold) {
		x.Held = hold.Reason
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	e := &explainer{run: p.run(st, nil, at), c: c, x: x}
	if e.compiler.env, err = newEnvironment(); err != nil {
		return nil, err
	}
	e.compiler.m, e.compiler.file = p.m, p.m.file
	return x, e.all()
}

// readOnly lets Explain ask what writes as a habit.
type readOnly struct{ State }

// Put implements State.
func (readOnly) Put(string, string, []byte) error { return nil }

// completed is the change as store completes it.
func (p *Mapper) completed(st State, b *binding, ch *cdc.Change) (*rowChange, error) {
	oldKey, newKey, before, now, err := b.rows(ch)
	if err != nil {
		return nil, err
	}
	c := &rowChange{table: b.table, op: ch.Op, key: newKey, before: before, now: now}
	if ch.Op == cdc.Delete {
		c.key = oldKey
	}
	if ch.Op == cdc.Update && oldKey != newKey {
		c.now.fill(before)
		c.op, c.before = cdc.Insert, nil
	}
	raw, err := st.Get(c.table.bucket(), c.key)
	if err != nil {
		return nil, err
	}
	if raw != nil {
		if _, c.known, err = decodeRow(c.table, raw); err != nil {
			return nil, fmt.Errorf("reading row state of %s: %w", c.table.key(), err)
		}
	}
	if c.op == cdc.Snapshot {
		g, err := loadGeneration(st, c.table.key())
		if err != nil {
			return nil, err
		}
		if c.op, c.first = cdc.Insert, !g.done; c.known != nil {
			c.op = cdc.Update
		}
	}
	c.complete()
	return c, nil
}

// complete takes what the log did not carry from the row as it was known.
func (c *rowChange) complete() {
	if c.op == cdc.Insert {
		c.before = nil
	} else {
		if c.before == nil {
			c.before = c.known
		} else {
			c.before.fill(c.known)
		}
		c.now.fill(c.before)
	}
	if c.op == cdc.Update && c.before == nil {
		c.before = unknownRow(c.table)
	}
	c.before.name(c.key)
	c.now.name(c.key)
}

// explainer is one call of Explain.
type explainer struct {
	*run
	compiler compiler
	c        *rowChange
	x        *Explanation
}

func (e *explainer) all() error {
	c := e.c
	e.x.Key = strings.Join(stateParts(c.key), "/")
	e.x.Op = map[cdc.Op]string{cdc.Insert: "insert", cdc.Update: "update", cdc.Delete: "delete"}[c.op]
	e.x.First = c.first
	for i := range c.table.cols {
		e.x.Columns = append(e.x.Columns, c.column(i))
	}
	for _, rule := range c.table.events {
		if err := e.event(rule); err != nil {
			return err
		}
	}
	for _, d := range c.table.root {
		if err := e.document(d); err != nil {
			return err
		}
	}
	for _, d := range c.table.lines {
		if err := e.line(d); err != nil {
			return err
		}
	}
	return nil
}

// column is what one column was and is.
func (c *rowChange) column(i int) ColumnView {
	return ColumnView{c.table.cols[i], c.before.shown(i), c.now.shown(i), !c.now.same(c.before, i)}
}

// shown is a column's value for people: null of NULL, "-" of a row that does not exist, ? of what is not known.
func (r *row) shown(i int) string {
	switch {
	case r == nil:
		return "-"
	case r.vals[i].State == cdc.Null:
		return "null"
	case r.vals[i].State == cdc.Absent:
		return "?"
	case r.vals[i].State == broken:
		return "cannot be carried exactly: " + r.vals[i].Text
	}
	return clip(r.vals[i].Text, 200)
}

func (e *explainer) event(rule *eventRule) error {
	f := e.frame(e.c)
	v := RuleView{Rule: rule.typ, At: rule.at, Result: ruleYes}
	if rule.when != nil {
		e.condition(&v, rule.when, rule.scope, f)
	} else if rule.lane == LaneMaster && e.c.now == nil {
		v.Result, v.False = ruleNo, "there is a row"
	}
	if v.Result == ruleYes {
		f = e.frame(e.c)
		_, troubles, err := e.makeEvent(rule, f, &cause{})
		if err != nil {
			return err
		}
		v.troubles(troubles)
		v.Lookups = e.fields(f, rule.set, rule.key, rule.time)
	}
	e.x.Rules = append(e.x.Rules, v)
	return nil
}

func (v *RuleView) troubles(all []*trouble) {
	for _, t := range all {
		v.Trouble = append(v.Trouble, t.Error())
	}
}

func (e *explainer) document(d *document) error {
	f := e.frame(e.c)
	if f.rows[newRow] == nil {
		f.rows[newRow] = e.c.before
	}
	key := quietText(d.key, f)
	if key != "" {
		e.x.Documents = append(e.x.Documents, DocumentKey{d.name, key})
	}
	f.rows[newRow] = e.c.now
	matched := false
	for _, rule := range d.emit {
		v := RuleView{Rule: rule.typ, Of: d.name, At: rule.at}
		if matched {
			v.Result, v.False = ruleNo, "an earlier rule of the document holds, and the first one counts"
		} else {
			e.condition(&v, rule.when, d.scope, f)
			matched = v.Result != ruleNo
		}
		e.x.Rules = append(e.x.Rules, v)
	}
	return nil
}

// line finds the document that a line belongs to.
func (e *explainer) line(d *document) error {
	join := joinText(e.c.now, d.joinLine)
	if join == "" {
		join = joinText(e.c.before, d.joinLine)
	}
	raw, err := e.st.Get(bucketPending, stateKey(d.name, join))
	if err != nil {
		return err
	}
	keys := []string{join} // most documents are joined by their own key
	if len(raw) > 0 {
		keys = stateParts(string(raw))
	}
	for _, key := range keys {
		e.x.Documents = append(e.x.Documents, DocumentKey{d.name, key})
	}
	return nil
}

// condition asks the parts of a condition, of which all must hold.
func (e *explainer) condition(v *RuleView, when *expr, sc *scope, f *frame) {
	v.Result = ruleYes
	for _, text := range conjuncts(when.text) {
		part := when
		if text != when.text {
			e.compiler.faults = nil
			part = e.compiler.compile(&yaml.Node{Value: text}, text, sc)
		}
		p, result := e.part(text, part, f)
		v.Parts = append(v.Parts, p)
		if result == ruleYes {
			continue
		}
		if v.False == "" || result == ruleNo && v.Result == ruleUnknown {
			v.False = text
		}
		if v.Result != ruleNo { // as in the language: a part that is false decides, whatever cannot be told
			v.Result = result
		}
	}
}

func (e *explainer) part(text string, x *expr, f *frame) (PartView, string) {
	p := PartView{Text: text}
	got, err := x.eval(f)
	result := ruleNo
	switch {
	case err != nil:
		p.Value, result = err.Error(), ruleUnknown
	case got == types.NullValue:
		p.Value = "null"
	default:
		if p.Value = textOf(got); got == types.True {
			result = ruleYes
		}
	}
	seen := map[int]bool{}
	for _, n := range x.alts {
		walkNodes(n, func(n node) {
			if col := columnOf(n); col >= 0 && !seen[col] {
				seen[col] = true
				p.Reads = append(p.Reads, e.c.column(col))
			}
			p.Lookups = append(p.Lookups, lookups(n, f)...)
		})
	}
	return p, result
}

// fields lists what the code tables and cross-references answered to an event's fields.
func (e *explainer) fields(f *frame, set []setting, more ...*expr) (all []LookupView) {
	add := func(x *expr) {
		if x == nil {
			return
		}
		for _, n := range x.alts {
			walkNodes(n, func(n node) { all = append(all, lookups(n, f)...) })
		}
	}
	for _, x := range more {
		add(x)
	}
	for i := range set {
		add(set[i].e)
	}
	return all
}

// conjuncts cuts a condition at its outermost "and" (or &&). One with alternatives (else) stays whole.
func conjuncts(text string) []string {
	toks := tokens(text)
	var parts []string
	var b strings.Builder
	depth := 0
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		switch {
		case t == "(" || t == "[" || t == "{":
			depth++
		case t == ")" || t == "]" || t == "}":
			depth--
		case depth == 0 && (t == "else" || t == "or" || t == "|" || t == "?"):
			return []string{text} // it binds less than and
		case depth == 0 && (t == "and" || t == "&" && i+1 < len(toks) && toks[i+1] == "&"):
			if t == "&" {
				i++
			}
			parts = append(parts, strings.TrimSpace(b.String()))
			b.Reset()
			continue
		}
		b.WriteString(t)
	}
	if parts == nil {
		return []string{text}
	}
	return append(parts, strings.TrimSpace(b.String()))
}

// walkNodes calls visit for the node and the parts of it that are nodes, outermost first.
func walkNodes(n node, visit func(node)) {
	visit(n)
	for _, part := range partsOf(n) {
		walkNodes(part, visit)
	}
}

func partsOf(n node) []node {
	switch n := n.(type) {
	case memberNode:
		return []node{n.of}
	case altNode:
		return n.e.alts
	case templateNode:
		return n.parts
	case logicNode:
		return []node{n.l, n.r}
	case notNode:
		return []node{n.x}
	case equalNode:
		return []node{n.l, n.r}
	case becameNode:
		return []node{n.value}
	case codeNode:
		return []node{n.x}
	case firstNode:
		return n.of
	case sumNode:
		return []node{n.x}
	case moneyNode:
		return []node{n.x}
	case programNode:
		return n.parts
	case lookupNode:
		if n.asOf != nil {
			return append(n.key[:len(n.key):len(n.key)], n.asOf)
		}
		return n.key
	}
	return nil
}

// columnOf is the column of the changed row that a node reads; -1 for none.
func columnOf(n node) int {
	switch n := n.(type) {
	case columnNode:
		if n.row == newRow || n.row == oldRow || n.row == anyRow {
			return n.col
		}
	case simpleNode:
		return columnOf(n.columnNode)
	case changedNode:
		return n.col
	case becameNode:
		return n.changed.col
	}
	return -1
}

// lookups is what a node asked of code tables and cross-references.
func lookups(n node, f *frame) []LookupView {
	switch n := n.(type) {
	case codeNode:
		return []LookupView{n.codes.asked(n.x.eval(f))}
	case becameNode:
		if n.codes == nil || f.rows[newRow] == nil {
			return nil
		}
		now, before := f.rows[newRow].value(n.changed.col), f.rows[oldRow].value(n.changed.col)
		all := []LookupView{n.codes.asked(now)}
		if before != types.NullValue && !types.IsError(before) {
			all = append(all, n.codes.asked(before))
		}
		return all
	case lookupNode:
		return []LookupView{n.asked(f)}
	}
	return nil
}

func (t *codeTable) asked(v ref.Val) LookupView {
	l := LookupView{What: "code." + t.name, Key: plainText(v)}
	if word, ok := t.words[l.Key]; ok {
		l.Answer, l.Row = word, "codes."+t.name+", line "+strconv.Itoa(t.line)
	}
	return l
}

func plainText(v ref.Val) string {
	switch {
	case v == types.NullValue:
		return "null"
	case types.IsError(v):
		return "?"
	}
	return textOf(v)
}

func (n lookupNode) asked(f *frame) LookupView {
	l := LookupView{What: "xref." + n.x.name}
	var key []string
	for _, k := range n.key {
		key = append(key, plainText(k.eval(f)))
	}
	l.Key = strings.Join(key, "/")
	if n.asOf != nil {
		l.AsOf = clipDate(plainText(n.asOf.eval(f)))
	}
	v := n.eval(f)
	rec, ok := v.(record)
	if !ok {
		return l
	}
	if text, err := canonical(plain(rec)); err == nil {
		l.Answer = string(text)
	}
	l.Row = n.x.answered(key, l.AsOf)
	return l
}

// answered names the row of a cross-reference that answered.
func (x *xref) answered(key []string, asOf string) string {
	if x.table != nil {
		return x.table.key() + " " + strings.Join(key, "/")
	}
	for i := len(x.rows) - 1; i >= 0; i-- {
		r := &x.rows[i]
		if strings.Join(r.key, "/") == strings.Join(key, "/") && (!x.dated || r.from <= asOf && (r.to == "" || asOf <= r.to)) {
			return "xref." + x.name + ", line " + strconv.Itoa(r.line)
		}
	}
	return "xref." + x.name
}
