package transform

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// What an expression asks of a value that has no exact answer is an error, which becomes an exception, and never a guess. Most of
// it is refused beforehand when the mapping is checked against the live catalog; at run time there is none.

// truth is a value where true or false is needed.
func truth(v ref.Val) ref.Val {
	switch v.(type) {
	case types.Bool, types.Null, *types.Err:
		return v
	}
	return types.NewErr("%s where true or false is needed", wordOfType(v.Type().TypeName()))
}

// mismatch refuses to compare a date or time with something else: the answer would be no, whatever was meant.
func mismatch(l, r ref.Val) ref.Val {
	if l == types.NullValue || r == types.NullValue || !isTime(l) && !isTime(r) || l.Type() == r.Type() {
		return nil
	}
	return types.NewErr("%s compared with %s", wordOfType(l.Type().TypeName()), wordOfType(r.Type().TypeName()))
}

func isTime(v ref.Val) bool {
	switch v.(type) {
	case civil, types.Timestamp:
		return true
	}
	return false
}

// simpleNode is a column where a function takes a text or a number as it is, or asks which value comes first. The text of some kinds
// neither means what it looks like nor sorts as their values do.
type simpleNode struct {
	columnNode
	fn string
}

func (n simpleNode) eval(f *frame) ref.Val {
	r := f.row(n.row)
	v := n.columnNode.eval(f)
	if r == nil || types.IsError(v) || v == types.NullValue {
		return v
	}
	switch k := r.vals[n.col].Kind; k {
	case cdc.KindEnum:
		if !slices.Contains(orders, n.fn) {
			return v
		}
		fallthrough
	case cdc.KindJSON, cdc.KindInterval, cdc.KindBits, cdc.KindArray, cdc.KindRange:
		return types.NewErr("%s does not take the column %s.%s (%s)", strings.Trim(n.fn, "_"), r.table.key(), r.table.cols[n.col], k)
	}
	return v
}

// inText is textOf for values that have a text of their own; a record has none.
func inText(v ref.Val) ref.Val {
	switch v.Type() {
	case types.MapType, types.ListType:
		return types.NewErr("a %s has no text: name one of its values", map[bool]string{true: "record", false: "list"}[v.Type() == types.MapType])
	}
	return types.String(textOf(v))
}
