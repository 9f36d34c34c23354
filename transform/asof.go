package transform

import (
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// asOf is the business date by which codes that change in time are read when an expression names none with as_of: of an event its at,
// of a document its field date, in the words of the row or header alone, so that it is the same in each rule of the document. There is
// no other: the day of the commit would read a late row by another meaning than a punctual one.
type asOf struct {
	what    string       // for the fault: "at of the event"
	compile func() *expr // nil: there is none
	asked   bool
	e       *expr
}

// expr compiles the date at its first use.
func (a *asOf) expr() *expr {
	if !a.asked {
		a.asked = true
		a.e = a.compile()
	}
	return a.e
}

// asOfEvent is the default date of an event rule.
func (c *compiler) asOfEvent(got map[string]field, sc *scope) *asOf {
	return &asOf{what: "at of the event", compile: func() *expr {
		f, ok := got["at"]
		if !ok {
			return nil
		}
		clean := *sc
		clean.fields, clean.asOf = map[string]*cel.Type{}, nil
		return c.moment(f, &clean)
	}}
}

// asOfDocument is the default date of a document.
func (c *compiler) asOfDocument(set field, sc *scope) *asOf {
	return &asOf{what: "the field date of the document", compile: func() *expr {
		for _, f := range c.fields(set.value, "set") {
			if f.key == "date" {
				clean := *sc
				clean.fields, clean.line, clean.made, clean.asOf = map[string]*cel.Type{}, nil, nil, nil
				return c.moment(f, &clean)
			}
		}
		return nil
	}}
}

// codeDate is the date by which the codes of a table are read: the one that is named, else the default of the place; nil for a table
// whose codes do not change in time.
func (b *builder) codeDate(t *codeTable, named []ast.Expr) node {
	if len(t.dated) == 0 {
		if len(named) > 0 {
			b.bad("as_of for codes."+t.name+", whose codes mean the same on every day", "code."+t.name+" without as_of", "")
		}
		return nil
	}
	zone := time.UTC
	if b.sc.src != nil {
		if loc, err := time.LoadLocation(b.sc.src.zone); err == nil {
			zone = loc
		}
	}
	if len(named) > 0 {
		n, typ := b.node(named[0])
		if !b.failed && !isDyn(typ) && !slices.Contains([]string{"date", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(typ)) {
			b.bad("as_of "+article(typ), "a date", "")
		}
		return dayNode{n, zone}
	}
	a := b.sc.asOf
	if a == nil {
		b.bad(fmt.Sprintf("codes.%s, whose codes mean different things in time, where the date itself is told", t.name), "the date by which to read it",
			"as_of=<date>")
		return dayNode{constNode{types.NullValue}, zone}
	}
	e := a.expr()
	if e == nil {
		b.bad(fmt.Sprintf("codes.%s, whose codes mean different things in time, without %s", t.name, a.what), a.what+", or the date by which to read it",
			"as_of=<date>")
		return dayNode{constNode{types.NullValue}, zone}
	}
	return dayNode{altNode{e}, zone}
}

// dayNode is the day of a date, a timestamp as it is written, or an instant in the zone of the source, as text that sorts by time.
type dayNode struct {
	of   node
	zone *time.Location
}

func (n dayNode) eval(f *frame) ref.Val {
	switch v := n.of.eval(f).(type) {
	case types.Null, *types.Err:
		return v
	case types.Timestamp:
		return types.String(v.Time.In(n.zone).Format(civilDate))
	default:
		return types.String(clipDate(textOf(v)))
	}
}
