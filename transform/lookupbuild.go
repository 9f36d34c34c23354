package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// asks builds lookup.<name>(key, as_of=date).
func (b *builder) asks(name string, args []ast.Expr) (node, *cel.Type) {
	l := b.m.lookups[name]
	if l == nil {
		return b.bad(fmt.Sprintf("the lookup %q", name), "one declared under lookups", suggest(name, slices.Sorted(maps.Keys(b.m.lookups))))
	}
	if !b.sc.asks {
		return b.bad("lookup."+name+" here", "a lookup in the set of an event or document, or in the body of a post: what decides whether and which event there is "+
			"must be known at once", "")
	}
	b.asked++
	want, form := len(l.key), "lookup."+name+"("+strings.Join(l.key, ", ")
	if l.dated {
		if want++; len(l.key) > 0 {
			form += ", "
		}
		form += "as_of=<date>"
	}
	if len(args) != want {
		return b.bad(fmt.Sprintf("lookup.%s with %d arguments", name, len(args)), form+")", "")
	}
	n := answerNode{l: l}
	for i, a := range args {
		v, t := b.node(a)
		if i < len(l.key) {
			n.key = append(n.key, v)
			continue
		}
		if !b.failed && !isDyn(t) && !slices.Contains([]string{"date", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(t)) {
			b.bad("as_of "+article(t), "a date", "")
		}
		n.asOf = dayNode{v, b.zone()}
	}
	return n, cel.DynType
}

// zone is that of the source, by which an instant lies in a day.
func (b *builder) zone() *time.Location {
	if b.sc.src != nil {
		if loc, err := time.LoadLocation(b.sc.src.zone); err == nil {
			return loc
		}
	}
	return time.UTC
}

// answered builds a field of an answer, whose type is declared.
func (b *builder) answered(n answerNode, name string) (node, *cel.Type) {
	if a := n.l.field(name); a != nil {
		return memberNode{n, name}, a.celType()
	}
	switch name {
	case "version":
		return memberNode{n, name}, cel.NullableType(cel.StringType)
	case "answered_at":
		return memberNode{n, name}, cel.TimestampType
	}
	all := append(n.l.names(""), reservedFields...)
	return b.bad(fmt.Sprintf("%q of lookup.%s", name, n.l.name), "one of "+strings.Join(all, ", "), suggest(name, all))
}
