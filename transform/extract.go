package transform

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// extractNode is extract(x, "pattern"): what the first group of the pattern holds, or all that it matches when it has none; null when
// it does not match. Patterns are of RE2, which takes time in proportion to the text.
type extractNode struct {
	x       node
	pattern *regexp.Regexp
}

func (n extractNode) eval(f *frame) ref.Val {
	v := n.x.eval(f)
	if v == types.NullValue || types.IsError(v) {
		return v
	}
	m := n.pattern.FindStringSubmatch(textOf(v))
	if m == nil {
		return types.NullValue
	}
	return types.String(m[len(m)-1])
}

func (b *builder) extract(args []ast.Expr) (node, *cel.Type) {
	form := `extract(column, "^([0-9]+)-[A-Z]$")`
	if len(args) != 2 {
		return b.bad("extract without a text and a pattern", form, "")
	}
	word, ok := literalText(args[1])
	if !ok {
		return b.bad("extract by a pattern that is not written out", form, "")
	}
	pattern, err := regexp.Compile(word)
	if err != nil {
		return b.bad(err.Error(), "a regular expression (RE2)", "")
	}
	if pattern.NumSubexp() > 1 {
		return b.bad("a pattern with more than one group", "one group around what is wanted; (?:…) where a group is needed only for itself", "")
	}
	x, t := b.node(args[0])
	if !b.failed && !isDyn(t) && bare(t) != "string" {
		return b.bad("extract of "+article(t), "a text", "text("+b.shownArg(args[0])+")")
	}
	return extractNode{x, pattern}, cel.NullableType(cel.StringType)
}

// shownArg is a name as the author wrote it; nothing for what is more than a name.
func (b *builder) shownArg(e ast.Expr) string { return strings.Join(dotted(e), ".") }

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// memberOfNode is json(column, "a.b"): a member of a JSON object; null when one on the way is not there.
type memberOfNode struct {
	x    node
	path []string
}

func (n memberOfNode) eval(f *frame) ref.Val {
	v := n.x.eval(f)
	if v == types.NullValue || types.IsError(v) {
		return v
	}
	one := cdc.Of(cdc.KindJSON, textOf(v))
	for _, step := range n.path {
		members, err := membersOf(one.Text, []string{step})
		if err == nil {
			one, err = memberValue(members[step])
		}
		if err != nil {
			return types.NewErr("json: %v", err)
		}
		if one.State == cdc.Null {
			return types.NullValue
		}
	}
	return valueOf(one)
}

func (b *builder) member(args []ast.Expr) (node, *cel.Type) {
	form := `json(column, "member") or json(column, "outer.inner")`
	if len(args) != 2 {
		return b.bad("json without a column and a member", form, "")
	}
	word, ok := literalText(args[1])
	if !ok || word == "" {
		return b.bad("json by a member that is not written out", form, "")
	}
	x, _ := b.node(args[0])
	return memberOfNode{x, strings.Split(word, ".")}, cel.DynType
}
