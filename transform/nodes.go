package transform

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// constNode is a constant.
type constNode struct{ v ref.Val }

func (n constNode) eval(*frame) ref.Val { return n.v }

// columnNode is a column of one of the rows.
type columnNode struct{ row, col int }

func (n columnNode) eval(f *frame) ref.Val { return f.row(n.row).value(n.col) }

// fieldNode is a canonical field that was set before, of the document or of its line.
type fieldNode struct {
	name string
	line bool
}

func (n fieldNode) eval(f *frame) ref.Val {
	if n.line {
		if v, ok := f.lineFields[n.name]; ok {
			return v
		}
		return types.NullValue
	}
	if v, ok := f.fields[n.name]; ok {
		return v
	}
	return types.NullValue
}

// memberNode is a value of a record: bill_to.account.
type memberNode struct {
	of   node
	name string
}

func (n memberNode) eval(f *frame) ref.Val {
	switch v := n.of.eval(f).(type) {
	case record:
		if m, ok := v[n.name]; ok {
			return m
		}
		return types.NullValue
	case *types.Err:
		return v
	case types.Null:
		return types.NullValue
	}
	return types.NewErr("no member %q", n.name)
}

// altNode is an expression inside another.
type altNode struct{ e *expr }

func (n altNode) eval(f *frame) ref.Val {
	v, err := n.e.eval(f)
	if err != nil {
		return types.WrapErr(err).(*types.Err)
	}
	return v
}

// templateNode joins texts; it is null when one of its parts is.
type templateNode struct{ parts []node }

func (n templateNode) eval(f *frame) ref.Val {
	var b strings.Builder
	for _, p := range n.parts {
		v := p.eval(f)
		if v == types.NullValue || types.IsError(v) {
			return v
		}
		text := inText(v)
		if types.IsError(text) {
			return text
		}
		b.WriteString(textOf(text))
	}
	return types.String(b.String())
}

// logicNode is && or ||. As in CEL, a side that decides alone makes an error of the other side go away.
type logicNode struct {
	l, r node
	or   bool
}

func (n logicNode) eval(f *frame) ref.Val {
	decides := types.Bool(n.or)
	l := truth(n.l.eval(f))
	if l == decides {
		return decides
	}
	r := truth(n.r.eval(f))
	switch {
	case r == decides:
		return decides
	case types.IsError(l):
		return l
	case types.IsError(r):
		return r
	case l == types.NullValue || r == types.NullValue:
		return types.NullValue
	}
	return !decides
}

// notNode is !.
type notNode struct{ x node }

func (n notNode) eval(f *frame) ref.Val {
	v := truth(n.x.eval(f))
	if b, ok := v.(types.Bool); ok {
		return !b
	}
	return v
}

// equalNode is == or !=. Null equals null alone.
type equalNode struct {
	l, r node
	not  bool
}

func (n equalNode) eval(f *frame) ref.Val {
	l, r := n.l.eval(f), n.r.eval(f)
	if types.IsError(l) {
		return l
	}
	if types.IsError(r) {
		return r
	}
	if _, swap := r.(number); swap {
		l, r = r, l
	}
	if err := mismatch(l, r); err != nil {
		return err
	}
	eq, ok := l.Equal(r).(types.Bool)
	return types.Bool(ok && bool(eq) != n.not)
}

// opNode is inserted() or deleted().
type opNode struct{ op cdc.Op }

func (n opNode) eval(f *frame) ref.Val { return types.Bool(f.op == n.op) }

// changedNode is changed(col): there is a row now, and its value differs from the one before. Before an insert
// everything was null.
type changedNode struct{ row, col int }

func (n changedNode) eval(f *frame) ref.Val {
	now, before := f.change(n.row)
	if now == nil {
		return types.False
	}
	if now.same(before, n.col) {
		return types.False
	}
	if v := now.value(n.col); types.IsError(v) {
		return v
	}
	if before != nil && before.vals[n.col].State == cdc.Absent {
		return before.value(n.col)
	}
	return types.True
}

// becameNode is became(col, value): the value is so now and was not before. With a code table the canonical words are
// compared; an unknown old code is simply another one, an unknown new code holds.
type becameNode struct {
	changed changedNode
	value   node
	codes   *codeTable
	asOf    node // of codes that change in time; the old code is read by the same date as the new one
}

func (n becameNode) eval(f *frame) ref.Val {
	if v := n.changed.eval(f); v != types.True {
		return v
	}
	want := n.value.eval(f)
	if types.IsError(want) {
		return want
	}
	is, was := f.change(n.changed.row)
	now := is.value(n.changed.col)
	if err := mismatch(now, want); err != nil {
		return err
	}
	before := was.value(n.changed.col)
	if n.codes != nil {
		if now = n.codes.word(now, n.asOf, f); types.IsError(now) {
			return now
		}
		if before = n.codes.word(before, n.asOf, f); types.IsError(before) {
			return types.Bool(now.Equal(want) == types.True)
		}
	}
	already := !types.IsError(before) && before.Equal(want) == types.True
	return types.Bool(now.Equal(want) == types.True && !already)
}

// filledNode is filled(col): there was no value before, and there is one now.
type filledNode struct{ changed changedNode }

func (n filledNode) eval(f *frame) ref.Val {
	if v := n.changed.eval(f); v != types.True {
		return v
	}
	now, before := f.change(n.changed.row)
	return types.Bool(now.vals[n.changed.col].State != cdc.Null && (before == nil || before.vals[n.changed.col].State == cdc.Null))
}

// codeNode is code.<table>(x, as_of=date).
type codeNode struct {
	codes *codeTable
	x     node
	asOf  node // of codes that change in time
}

func (n codeNode) eval(f *frame) ref.Val { return n.codes.word(n.x.eval(f), n.asOf, f) }

// firstNode is first(a, b, …): the first that is not null.
type firstNode struct{ of []node }

func (n firstNode) eval(f *frame) ref.Val {
	for _, x := range n.of {
		if v := x.eval(f); v != types.NullValue {
			return v
		}
	}
	return types.NullValue
}

// countNode is count(l).
type countNode struct{}

func (countNode) eval(f *frame) ref.Val { return types.Int(len(f.lines)) }

// sumNode is sum(x) over the lines of a document. A null line counts nothing.
type sumNode struct{ x node }

func (n sumNode) eval(f *frame) ref.Val {
	total := number{}
	kept := f.rows[lineRow]
	defer func() { f.rows[lineRow] = kept }()
	for _, l := range f.lines {
		f.rows[lineRow] = l
		v := n.x.eval(f)
		if types.IsError(v) {
			return v
		}
		if v == types.NullValue {
			continue
		}
		sum, ok := total.Add(v).(number)
		if !ok {
			return types.NewErr("sum of something that is not a number")
		}
		total = sum
	}
	return total
}

// moneyNode is money(x): an exact amount, rounded to the declared place.
type moneyNode struct {
	x      node
	places int32
	mode   string
}

func (n moneyNode) eval(f *frame) ref.Val {
	v := n.x.eval(f)
	if v == types.NullValue || types.IsError(v) {
		return v
	}
	d, ok := toNumber(v)
	if !ok {
		return types.NewErr("money of %s", v.Type().TypeName())
	}
	return round(d, n.places, n.mode)
}

// programNode is the rest of an expression, run by CEL. Its parts are evaluated when the program asks for them.
type programNode struct {
	program cel.Program
	parts   []node
}

func (n programNode) eval(f *frame) ref.Val {
	v, _, err := n.program.Eval(activation{f, n.parts})
	if err == nil {
		return v
	}
	for _, p := range n.parts {
		if p.eval(f) == types.NullValue {
			return types.NullValue // as in SQL: an expression on null is null
		}
	}
	return types.WrapErr(err)
}

// activation gives a program its parts.
type activation struct {
	f     *frame
	parts []node
}

// ResolveName implements cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	if len(name) != 3 || name[0] != '_' {
		return nil, false
	}
	i := int(name[2]) - 'a'
	if i < 0 || i >= len(a.parts) {
		return nil, false
	}
	return a.parts[i].eval(a.f), true
}

// Parent implements cel.Activation.
func (activation) Parent() cel.Activation { return nil }
