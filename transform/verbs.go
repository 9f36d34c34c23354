package transform

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"waybill/cdc"
)

// isNative reports whether a call is a node of its own.
func (b *builder) isNative(call ast.CallExpr) bool {
	if call.IsMemberFunction() {
		path := dotted(call.Target())
		return len(path) == 1 && slices.Contains([]string{"code", "xref", "lookup", "master", "erp", "map", "key"}, path[0])
	}
	switch call.FunctionName() {
	case "_&&_", "_||_", "!_", "_==_", "_!=_", "inserted", "deleted", "changed", "became", "filled", "first", "count", "sum", "money", "extract", "json":
		return true
	}
	return false
}

// native builds a call that needs no interpreter.
func (b *builder) native(call ast.CallExpr) (node, *cel.Type, bool) {
	if !b.isNative(call) {
		return nil, nil, false
	}
	n, t := b.nativeCall(call, call.Args())
	return n, t, true
}

func (b *builder) nativeCall(call ast.CallExpr, args []ast.Expr) (node, *cel.Type) {
	if call.IsMemberFunction() {
		return b.namespace(call)
	}
	switch fn := call.FunctionName(); fn {
	case "_&&_", "_||_":
		return logicNode{b.boolean(args[0]), b.boolean(args[1]), fn == "_||_"}, cel.BoolType
	case "!_":
		return notNode{b.boolean(args[0])}, cel.BoolType
	case "_==_", "_!=_":
		return b.equal(args[0], args[1], fn == "_!=_")
	case "inserted", "deleted":
		op := cdc.Insert
		if fn == "deleted" {
			op = cdc.Delete
		}
		if len(args) > 1 || len(args) == 1 && !b.isHeader(args[0]) {
			return b.bad(fn+" of something else than the row", fn+"()", "")
		}
		return opNode{op}, cel.BoolType
	case "changed", "became", "filled":
		return b.verb(fn, args)
	case "extract":
		return b.extract(args)
	case "json":
		return b.member(args)
	case "first":
		return b.firstOf(args)
	case "count":
		if len(args) != 1 || args[0].Kind() != ast.IdentKind || args[0].AsIdent() != b.sc.lineAlias || b.sc.lines == nil {
			return b.bad("count of something else than the lines", "count("+b.lineName()+") in a document", "")
		}
		return countNode{}, cel.IntType
	}
	return b.amount(call.FunctionName(), args)
}

// amount builds sum(x) and money(x).
func (b *builder) amount(fn string, args []ast.Expr) (node, *cel.Type) {
	if len(args) != 1 {
		return b.bad(fmt.Sprintf("%s with %d arguments", fn, len(args)), fn+"(x)", "")
	}
	if fn == "sum" {
		if b.sc.lines == nil {
			return b.bad("sum outside a document", "sum over the lines of a document", "")
		}
		b.inSum = true
		defer func() { b.inSum = false }()
	}
	n, t := b.node(args[0])
	if !isDyn(t) && bare(t) != "decimal" && bare(t) != "int" {
		return b.bad(fmt.Sprintf("%s of %s", fn, article(t)), "a decimal", "")
	}
	if fn == "sum" {
		return sumNode{n}, decimalType
	}
	return moneyNode{n, b.sc.places, b.sc.mode}, decimalType
}

func (b *builder) lineName() string {
	if b.sc.lineAlias == "" {
		return "l"
	}
	return b.sc.lineAlias
}

func (b *builder) boolean(e ast.Expr) node {
	n, t := b.node(e)
	if !b.failed && !isDyn(t) && bare(t) != "bool" {
		b.bad(article(t)+" where true or false is needed", "a condition", "")
	}
	return n
}

func (b *builder) equal(l, r ast.Expr, not bool) (node, *cel.Type) {
	ln, lt := b.node(l)
	rn, rt := b.node(r)
	numbers := func(t *cel.Type) bool { return bare(t) == "decimal" || bare(t) == "int" }
	if !b.failed && !isDyn(lt) && !isDyn(rt) && bare(lt) != bare(rt) && (!numbers(lt) || !numbers(rt)) {
		return b.bad(fmt.Sprintf("%s compared with %s", typeName(lt), typeName(rt)), "two values of one type", "")
	}
	b.label(ln, rn)
	return equalNode{ln, rn, not}, cel.BoolType
}

// label checks a text that an enum column is compared with.
func (b *builder) label(l, r node) {
	col, isCol := l.(columnNode)
	text, isText := r.(constNode)
	if !isCol || !isText {
		return
	}
	t := b.tableOf(col)
	word, isText := text.v.(types.String)
	if t == nil || !isText {
		return
	}
	if kind, labels, ok := b.kind(t, col.col); ok && kind == cdc.KindEnum && !slices.Contains(labels, string(word)) {
		b.bad(fmt.Sprintf("%q, which is no label of %s.%s", string(word), t.key(), t.cols[col.col]), "one of "+strings.Join(labels, ", "),
			suggest(string(word), labels))
	}
}

func (b *builder) tableOf(col columnNode) *table {
	if b.sc.bare != nil {
		return b.sc.bare
	}
	for _, r := range b.sc.roots {
		if r.row == col.row {
			return r.table
		}
	}
	return nil
}

func (b *builder) isHeader(e ast.Expr) bool {
	if e.Kind() != ast.IdentKind {
		return false
	}
	r, ok := b.sc.roots[e.AsIdent()]
	return ok && r.row == newRow
}

// verb builds changed(col), filled(col) and became(col, value).
func (b *builder) verb(fn string, args []ast.Expr) (node, *cel.Type) {
	want := map[string]int{"changed": 1, "filled": 1, "became": 2}[fn]
	form := map[string]string{"changed": "changed(column)", "filled": "filled(column)", "became": `became(column, "value")`}[fn]
	if path := codePath(args); len(path) == 3 && len(args) == 3 {
		want = 3 // became(column, code.<table>.<word>, as_of=date)
	}
	if len(args) != want {
		return b.bad(fmt.Sprintf("%s with %d arguments", fn, len(args)), form, "")
	}
	n, typ := b.node(args[0])
	col, ok := n.(columnNode)
	if b.failed {
		return n, typ
	}
	if !ok || col.row != newRow && col.row != anyRow && col.row < besideRow {
		return b.bad(fn+" of something else than a column", form, "")
	}
	if t := b.tableOf(col); t != nil {
		t.old[t.cols[col.col]] = true
	}
	changed := changedNode(col)
	switch fn {
	case "changed":
		return changed, cel.BoolType
	case "filled":
		return filledNode{changed}, cel.BoolType
	}
	became := becameNode{changed: changed}
	if path := codePath(args); len(path) == 3 {
		t, word := b.codeWord(path)
		if t == nil {
			return became, cel.BoolType
		}
		became.codes, became.value, became.asOf = t, constNode{types.String(word)}, b.codeDate(t, args[2:])
		b.labels(col, t)
		return became, cel.BoolType
	}
	value, vt := b.node(args[1])
	if !b.failed && !isDyn(vt) && !isDyn(typ) && bare(vt) != bare(typ) {
		return b.bad(fmt.Sprintf("%s that becomes %s", typeName(typ), article(vt)), "a value of the column's type", "")
	}
	became.value = value
	b.label(col, value)
	return became, cel.BoolType
}

// codePath is code, table and word of became(column, code.<table>.<word>), or nil.
func codePath(args []ast.Expr) []string {
	if len(args) < 2 {
		return nil
	}
	if path := dotted(args[1]); len(path) == 3 && path[0] == "code" {
		return path
	}
	return nil
}

// labels checks that a code table knows every label of an enum column.
func (b *builder) labels(n node, t *codeTable) {
	col, ok := n.(columnNode)
	if !ok || t.spared {
		return
	}
	on := b.tableOf(col)
	if on == nil {
		return
	}
	kind, labels, ok := b.kind(on, col.col)
	if !ok || kind != cdc.KindEnum {
		return
	}
	for _, l := range labels {
		if !t.knows(l) {
			b.bad(fmt.Sprintf("the label %q of %s.%s, which codes.%s does not know", l, on.key(), on.cols[col.col], t.name),
				"every label of the enum in the table", l+": <canonical word> in codes."+t.name)
		}
	}
}

// codeWord resolves code.<table>.<canonical word>.
func (b *builder) codeWord(path []string) (*codeTable, string) {
	t := b.codeTable(path[1])
	if t != nil && !t.has(path[2]) {
		words := t.vocabulary()
		b.bad(fmt.Sprintf("%q, which is no canonical word of codes.%s", path[2], t.name), "one of "+strings.Join(words, ", "),
			suggest(path[2], words))
		return nil, ""
	}
	return t, path[2]
}

func (b *builder) codeTable(name string) *codeTable {
	t := b.m.codes[name]
	if t == nil {
		names := slices.Sorted(maps.Keys(b.m.codes))
		b.bad(fmt.Sprintf("the code table %q", name), "a table under codes", suggest(name, names))
	}
	return t
}

func (b *builder) firstOf(args []ast.Expr) (node, *cel.Type) {
	if len(args) == 0 {
		return b.bad("first without arguments", "first(a, b)", "")
	}
	var n firstNode
	typ := cel.DynType
	for _, a := range args {
		x, t := b.node(a)
		if !b.failed && !isDyn(typ) && !isDyn(t) && bare(typ) != bare(t) {
			return b.bad(fmt.Sprintf("first of %s and %s", article(typ), article(t)), "values of one type", "")
		}
		if isDyn(typ) {
			typ = t
		}
		n.of = append(n.of, x)
	}
	return n, typ
}

// namespace builds code.<table>(x) and xref.<name>(key, as_of=date), and refuses what is not built.
func (b *builder) namespace(call ast.CallExpr) (node, *cel.Type) {
	space, fn, args := call.Target().AsIdent(), call.FunctionName(), call.Args()
	switch space {
	case "code":
		t := b.codeTable(fn)
		if t == nil {
			return constNode{types.NullValue}, cel.DynType
		}
		if len(args) != 1 && len(args) != 2 {
			return b.bad(fmt.Sprintf("code.%s with %d arguments", fn, len(args)), "code."+fn+"(column)", "")
		}
		x, _ := b.node(args[0])
		b.labels(x, t)
		return codeNode{t, x, b.codeDate(t, args[1:])}, cel.NullableType(cel.StringType)
	case "xref":
		return b.lookup(fn, args)
	case "lookup":
		return b.asks(fn, args)
	case "master":
		return b.masterLookup(fn, args)
	}
	b.failed = true
	b.refuse(b.at, fmt.Sprintf("`%s.%s(…)`", space, fn), "a code table (code.<table>(x)) or a cross-reference (xref.<name>(key))")
	return constNode{types.NullValue}, cel.DynType
}

func (b *builder) lookup(name string, args []ast.Expr) (node, *cel.Type) {
	x := b.m.xrefs[name]
	if x == nil {
		names := slices.Sorted(maps.Keys(b.m.xrefs))
		sort.Strings(names)
		return b.bad(fmt.Sprintf("the cross-reference %q", name), "one declared under xref", suggest(name, names))
	}
	want := len(x.key)
	if x.dated {
		want++
	}
	if len(args) != want {
		form := "xref." + name + "(" + strings.Join(x.key, ", ")
		if x.dated {
			form += ", as_of=<date>"
		}
		return b.bad(fmt.Sprintf("xref.%s with %d arguments", name, len(args)), form+")", "")
	}
	n := lookupNode{x: x}
	for i, a := range args {
		v, t := b.node(a)
		if i < len(x.key) {
			n.key = append(n.key, v)
			continue
		}
		if !isDyn(t) && !slices.Contains([]string{"date", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(t)) {
			return b.bad("as_of "+article(t), "a date", "")
		}
		n.asOf = v
	}
	return n, cel.DynType
}
