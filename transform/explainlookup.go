package transform

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

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
	case extractNode:
		return []node{n.x}
	case memberOfNode:
		return []node{n.x}
	case dayNode:
		return []node{n.of}
	case codeNode:
		if n.asOf != nil {
			return []node{n.x, n.asOf}
		}
		return []node{n.x}
	case firstNode:
		return n.of
	case sumNode:
		return []node{n.x}
	case moneyNode:
		return []node{n.x}
	case programNode:
		return n.parts
	case answerNode:
		if n.asOf != nil {
			return append(n.key[:len(n.key):len(n.key)], n.asOf)
		}
		return n.key
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
		if n.row < besideRow {
			return n.col
		}
	case becameNode:
		return columnOf(n.changed)
	case filledNode:
		return columnOf(n.changed)
	}
	return -1
}

// lookups is what a node asked of code tables and cross-references.
func lookups(n node, f *frame) []LookupView {
	switch n := n.(type) {
	case codeNode:
		return []LookupView{n.codes.asked(n.x.eval(f), n.asOf, f)}
	case becameNode:
		is, was := f.change(n.changed.row)
		if n.codes == nil || is == nil {
			return nil
		}
		now, before := is.value(n.changed.col), was.value(n.changed.col)
		all := []LookupView{n.codes.asked(now, n.asOf, f)}
		if before != types.NullValue && !types.IsError(before) {
			all = append(all, n.codes.asked(before, n.asOf, f))
		}
		return all
	case answerNode:
		return []LookupView{n.seen(f)}
	case lookupNode:
		return []LookupView{n.asked(f)}
	}
	return nil
}

func (t *codeTable) asked(v ref.Val, asOf node, f *frame) LookupView {
	l := LookupView{What: "code." + t.name, Key: plainText(v)}
	if t.dated[l.Key] != nil {
		l.AsOf = plainText(asOf.eval(f))
	}
	if word, ok := t.word(v, asOf, f).(types.String); ok {
		l.Answer, l.Row = string(word), "codes."+t.name+", line "+strconv.Itoa(t.line)
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
	l.Row = n.x.answered(f.st, key, l.AsOf)
	return l
}

// answered names the row of a cross-reference that answered.
func (x *xref) answered(st State, key []string, asOf string) string {
	if x.registry != nil {
		if row, err := (Registry{st}).Find(x.inRegistry(key[0]), asOf); err == nil && row != nil {
			return "registry, row " + row.ID
		}
		return "registry"
	}
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
