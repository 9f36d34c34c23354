package transform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// builder turns one parsed expression into nodes.
type builder struct {
	*compiler
	at     *yaml.Node
	sc     *scope
	text   string // in CEL
	shown  string // as the author wrote it
	inSum  bool
	failed bool
}

var factory = ast.NewExprFactory()

func (b *builder) build() (node, *cel.Type) {
	parsed, issues := b.env.Parse(b.text)
	if issues.Err() != nil {
		b.fault(b.at, fmt.Sprintf("`%s`: %s", clip(b.shown, 120), firstLine(issues)), "an expression", "")
		return nil, nil
	}
	n, t := b.node(parsed.NativeRep().Expr())
	if b.failed {
		return nil, nil
	}
	return n, t
}

func firstLine(issues *cel.Issues) string {
	for _, e := range issues.Errors() {
		return clip(strings.TrimPrefix(e.Message, "Syntax error: "), 200)
	}
	return issues.Err().Error()
}

func (b *builder) bad(found, expected, fix string) (node, *cel.Type) {
	b.failed = true
	b.fault(b.at, fmt.Sprintf("`%s`: %s", clip(b.shown, 120), found), expected, fix)
	return constNode{types.NullValue}, cel.DynType
}

// node builds what can be evaluated without the interpreter, and a program for the rest.
func (b *builder) node(e ast.Expr) (node, *cel.Type) {
	switch e.Kind() {
	case ast.LiteralKind:
		return b.literal(e)
	case ast.IdentKind:
		return b.name(e.AsIdent())
	case ast.SelectKind:
		return b.selection(e)
	case ast.CallKind:
		if n, t, ok := b.native(e.AsCall()); ok {
			return n, t
		}
	}
	return b.program(e)
}

func (b *builder) literal(e ast.Expr) (node, *cel.Type) {
	switch v := e.AsLiteral().(type) {
	case types.Double:
		return b.bad(fmt.Sprintf("the float %v", float64(v)), "an exact decimal", fmt.Sprintf(`dec("%v")`, float64(v)))
	case types.Null:
		return constNode{types.NullValue}, cel.NullType
	case types.Int:
		return constNode{v}, cel.IntType
	case types.Bool:
		return constNode{v}, cel.BoolType
	case types.String:
		return constNode{v}, cel.StringType
	}
	return b.bad("a literal of this type", "a text, an integer, true, false or null", "")
}

// name resolves a name that stands alone: a canonical field, else a column.
func (b *builder) name(name string) (node, *cel.Type) {
	if t, ok := b.sc.line[name]; ok {
		return fieldNode{name, true}, t
	}
	if t, ok := b.sc.fields[name]; ok {
		return fieldNode{name, false}, t
	}
	if b.sc.bare != nil {
		return b.column(root{b.sc.bare, b.sc.bareRow}, name)
	}
	if r, ok := b.sc.roots[name]; ok {
		return b.bad("the row "+name+" alone", "one of its columns", name+"."+suggest("", r.table.cols))
	}
	known := slices.Concat(slices.Collect(maps.Keys(b.sc.line)), slices.Collect(maps.Keys(b.sc.fields)))
	sort.Strings(known)
	return b.bad(fmt.Sprintf("the name %q", name), "a field or a column with its prefix ("+strings.Join(b.prefixes(), ", ")+")", suggest(name, known))
}

func (b *builder) prefixes() []string {
	var all []string
	for p := range b.sc.roots {
		all = append(all, p+".")
	}
	sort.Strings(all)
	return all
}

// selection resolves a dotted name.
func (b *builder) selection(e ast.Expr) (node, *cel.Type) {
	s := e.AsSelect()
	if path := dotted(e); path != nil {
		whole := strings.Join(path, ".")
		if t, ok := b.sc.fields[whole]; ok {
			return fieldNode{whole, false}, t
		}
		switch {
		case path[0] == "code" && len(path) == 3 && (b.isFree("code") || b.m.codes[path[1]] != nil):
			t, word := b.codeWord(path)
			if t == nil {
				return constNode{types.NullValue}, cel.DynType
			}
			return constNode{types.String(word)}, cel.StringType
		case path[0] == "source" && len(path) == 2:
			return b.sourceFact(path[1])
		case slices.Contains([]string{"map", "erp", "key"}, path[0]) && b.isFree(path[0]):
			b.failed = true
			b.refuse(b.at, fmt.Sprintf("`%s`", whole), "a code table (code.<table>(x)) or a field of the document")
			return constNode{types.NullValue}, cel.DynType
		}
		if r, ok := b.sc.roots[path[0]]; ok && b.sc.fields[path[0]] == nil {
			if len(path) > 2 {
				return b.bad(fmt.Sprintf("%q", whole), "a column of "+path[0], "")
			}
			if r.row == lineRow && b.sc.line == nil && !b.inSum {
				return b.bad(fmt.Sprintf("%s outside sum() and lines[]", whole), "a column of one row", "sum("+whole+")")
			}
			return b.column(r, path[1])
		}
	}
	n, _ := b.node(s.Operand())
	if a, ok := n.(answerNode); ok {
		return b.answered(a, s.FieldName())
	}
	return memberNode{n, s.FieldName()}, cel.DynType
}

func (b *builder) isFree(name string) bool {
	_, field := b.sc.fields[name]
	_, alias := b.sc.roots[name]
	return !field && !alias
}

func dotted(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}
	case ast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() {
			if p := dotted(s.Operand()); p != nil {
				return append(p, s.FieldName())
			}
		}
	}
	return nil
}

func (b *builder) sourceFact(name string) (node, *cel.Type) {
	switch {
	case b.sc.src == nil:
	case name == "currency" && b.sc.src.currency != "":
		return constNode{types.String(b.sc.src.currency)}, cel.StringType
	case name == "zone":
		return constNode{types.String(b.sc.src.zone)}, cel.StringType
	case name == "currency":
		return b.bad("source.currency", "a currency in the source "+b.sc.src.name, "currency: USD")
	}
	return b.bad("source."+name, "source.currency or source.zone", "")
}

// column resolves a column of a row, against the catalog when there is one.
func (b *builder) column(r root, name string) (node, *cel.Type) {
	t := r.table
	typ := cel.DynType
	if s := b.shape(t); s != nil && !t.messages {
		i := s.Column(name)
		if i < 0 {
			var names []string
			for _, c := range s.Columns {
				names = append(names, c.Name)
			}
			return b.bad(fmt.Sprintf("the column %q, which %s does not have", name, t.key()), "a column of "+t.key(), suggest(name, names))
		}
		if k := s.Columns[i].Kind; k == cdc.KindUnsupported || k == cdc.KindFloat || k == cdc.KindBytes {
			return b.bad(fmt.Sprintf("the column %s.%s of type %s (%s)", t.key(), name, s.Columns[i].Type, k),
				"a column whose values can be carried exactly as text or number", "")
		}
		typ = typeOfKind(s.Columns[i].Kind)
	}
	if r.row == oldRow {
		t.old[name] = true
	}
	return columnNode{r.row, t.col(name)}, typ
}

// shape returns the live shape of a table, or nil when it is not known.
func (c *compiler) shape(t *table) *cdc.Schema {
	for _, s := range c.catalog[t.source.name] {
		if s.Table == t.name || t.name.Schema == "" && s.Table.Name == t.name.Name {
			return s
		}
	}
	return nil
}

// kind returns the live kind of a column, and its labels if it is an enum.
func (c *compiler) kind(t *table, col int) (cdc.Kind, []string, bool) {
	s := c.shape(t)
	if s == nil || t.messages {
		return 0, nil, false
	}
	i := s.Column(t.cols[col])
	if i < 0 {
		return 0, nil, false
	}
	return s.Columns[i].Kind, s.Columns[i].Labels, true
}

var overload = regexp.MustCompile(`found no matching overload for '([^']*)' applied to '\(?([^']*?)\)?'$`)
var undeclared = regexp.MustCompile(`undeclared reference to '([^']*)'`)

// program compiles an expression for CEL, its parts that need no interpreter taken out.
func (b *builder) program(e ast.Expr) (node, *cel.Type) {
	var p programNode
	var kinds []*cel.Type
	lowered := b.lower(e, &p.parts, &kinds)
	if b.failed {
		return nil, nil
	}
	text, err := parser.Unparse(lowered, ast.NewSourceInfo(nil))
	if err != nil {
		return b.bad(err.Error(), "an expression", "")
	}
	env, err := typed(b.env, kinds)
	if err != nil {
		return b.bad(err.Error(), "an expression", "")
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return b.mistyped(firstLine(issues))
	}
	p.program, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return b.bad(err.Error(), "an expression", "")
	}
	return p, checked.OutputType()
}

// costLimit bounds one evaluation, in CEL's units.
const costLimit = 20000

func (b *builder) mistyped(message string) (node, *cel.Type) {
	if m := overload.FindStringSubmatch(message); m != nil {
		op, args := strings.Trim(m[1], "_"), strings.Split(m[2], ", ")
		for i, a := range args {
			args[i] = wordOfType(a)
		}
		return b.bad(fmt.Sprintf("%s on %s", op, strings.Join(args, " and ")), "types that fit the operator", exactHint(args))
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		return b.bad(m[1]+"(…)", "a function of the mapping language ("+strings.Join(functions, ", ")+")", suggest(m[1], functions))
	}
	return b.bad(message, "an expression", "")
}

func wordOfType(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "wrapper("), ")")
	switch s {
	case "string":
		return "text"
	case "timestamp_without_zone":
		return "timestamp"
	case "timestamp", "google.protobuf.Timestamp":
		return "instant"
	}
	return s
}

func exactHint(args []string) string {
	if len(args) == 2 && args[0] == "int" && args[1] == "decimal" {
		return "the decimal first, or dec(…) around the integer"
	}
	return ""
}

// orders are the operators that ask which value comes first, plainly the functions that take a text as it is.
var (
	orders  = []string{"_<_", "_<=_", "_>_", "_>=_"}
	plainly = []string{"dec", "trim", "upper", "lower", "replace"}
)

// lower copies an expression with its native parts replaced by variables.
func (b *builder) lower(e ast.Expr, parts *[]node, kinds *[]*cel.Type) ast.Expr {
	switch e.Kind() {
	case ast.LiteralKind:
		if _, float := e.AsLiteral().(types.Double); !float {
			return factory.CopyExpr(e)
		}
	case ast.CallKind:
		call := e.AsCall()
		if b.isNative(call) {
			break
		}
		args := make([]ast.Expr, len(call.Args()))
		for i, a := range call.Args() {
			first := len(*parts)
			args[i] = b.lower(a, parts, kinds)
			if fn := call.FunctionName(); len(*parts) > first && args[i].Kind() == ast.IdentKind && (slices.Contains(orders, fn) || slices.Contains(plainly, fn)) {
				if col, ok := (*parts)[first].(columnNode); ok {
					(*parts)[first] = simpleNode{col, fn}
				}
			}
		}
		if call.IsMemberFunction() {
			return factory.NewMemberCall(e.ID(), call.FunctionName(), b.lower(call.Target(), parts, kinds), args...)
		}
		return factory.NewCall(e.ID(), call.FunctionName(), args...)
	case ast.ListKind:
		var elems []ast.Expr
		for _, x := range e.AsList().Elements() {
			elems = append(elems, b.lower(x, parts, kinds))
		}
		return factory.NewList(e.ID(), elems, nil)
	case ast.MapKind, ast.StructKind, ast.ComprehensionKind:
		b.bad("a map, message or loop", "a value; nested values are nested keys of the file", "")
		return e
	}
	n, t := b.node(e)
	if len(*parts) == len(variables) {
		b.bad("more than 24 names", "a shorter expression", "")
		return e
	}
	*parts, *kinds = append(*parts, n), append(*kinds, t)
	return factory.NewIdent(e.ID(), variables[len(*parts)-1])
}
