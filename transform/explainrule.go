package transform

import (
	"strings"

	"cel.dev/cel-go/common/types"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

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
	if e.x.Nothing != "" {
		return nil
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
	for _, b := range c.table.beside {
		if err := e.beside(b); err != nil {
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
	v := RuleView{Rule: rule.typ, At: rule.at, Result: ruleYes, Others: rule.others}
	gone := rule.gone != nil && e.c.now == nil && e.c.before != nil
	if gone { // the entity as it was last known
		f.rows[newRow] = e.c.before
	}
	if rule.when != nil {
		e.condition(&v, rule.when, rule.scope, f)
	} else if rule.lane == LaneMaster && e.c.now == nil && !gone {
		v.Result, v.False = ruleNo, "there is a row"
	}
	if v.Result == ruleYes {
		_, troubles, err := e.makeEvent(rule, f, &cause{})
		if err != nil {
			return err
		}
		v.troubles(troubles)
		if err := e.version(rule, f, &v); err != nil {
			return err
		}
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
	var err error
	if f.beside, err = e.besides(d, f.rows[newRow], e.c.op == cdc.Insert); err != nil {
		return err
	}
	if key, _ := e.keyOf(d, f); key != "" {
		e.x.Documents = append(e.x.Documents, DocumentKey{e.c.table.source.name, d.name, key})
	}
	f.rows[newRow] = e.c.now
	matched := false
	for _, rule := range d.emit {
		v := RuleView{Rule: rule.typ, Of: d.name, At: rule.at, Others: rule.others}
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
	keys := []string{CompanyKey(e.m.company, join)} // most documents are joined by their own key
	if len(raw) > 0 {
		keys = stateParts(string(raw))
	}
	for _, key := range keys {
		e.x.Documents = append(e.x.Documents, DocumentKey{e.c.table.source.name, d.name, key})
	}
	return nil
}

// beside finds the documents beside whose header a row stands.
func (e *explainer) beside(b besideOf) error {
	row := e.c.now
	if row == nil {
		row = e.c.before
	}
	roots, err := e.keysOf(b.d.rootsBucket(b.beside), joinText(row, b.join))
	if err != nil {
		return err
	}
	for _, k := range roots[:min(len(roots), maxBeside)] {
		header, err := e.stored(b.d.root, k)
		if err != nil || header == nil {
			return err
		}
		f := &frame{m: e.m, st: e.st, op: cdc.Update}
		f.rows[newRow], f.rows[oldRow] = header, header
		if f.beside, err = e.besides(b.d, header, false); err != nil {
			return err
		}
		if key, _ := e.keyOf(b.d, f); key != "" {
			e.x.Documents = append(e.x.Documents, DocumentKey{e.c.table.source.name, b.d.name, key})
		}
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
