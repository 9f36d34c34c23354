package transform

import (
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/shopspring/decimal"
)

// decimalType is the exact number of the mapping language. There are no floats in it (Invariant 10).
var decimalType = types.NewObjectType("decimal", traits.AdderType, traits.SubtractorType, traits.MultiplierType,
	traits.NegatorType, traits.ComparerType)

// number is a decimal as a value of an expression. It keeps the scale that the database gave it.
type number struct{ decimal.Decimal }

// maxDigits bounds the numbers that an expression may make; no ledger holds longer ones.
const maxDigits = 100

// parseNumber reads a plain decimal without exponent.
func parseNumber(text string) (number, error) {
	if len(text) > maxDigits || strings.ContainsAny(text, "eE+ ") {
		return number{}, fmt.Errorf("%q is not a plain decimal", clip(text, 40))
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return number{}, fmt.Errorf("%q is not a decimal", clip(text, 40))
	}
	return number{d}, nil
}

// String returns the number with the scale it has, without exponent.
func (n number) String() string {
	if e := n.Exponent(); e < 0 {
		return n.StringFixed(-e)
	}
	return n.StringFixed(0)
}

// toNumber returns the operand as a number, if it is a decimal or an integer.
func toNumber(v ref.Val) (number, bool) {
	switch v := v.(type) {
	case number:
		return v, true
	case types.Int:
		return number{decimal.NewFromInt(int64(v))}, true
	}
	return number{}, false
}

func (n number) with(other ref.Val, op func(decimal.Decimal) decimal.Decimal) ref.Val {
	o, ok := toNumber(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	r := op(o.Decimal)
	if r.NumDigits() > maxDigits {
		return types.NewErr("a number of more than %d digits", maxDigits)
	}
	return number{r}
}

// Add implements traits.Adder.
func (n number) Add(other ref.Val) ref.Val { return n.with(other, n.Decimal.Add) }

// Subtract implements traits.Subtractor.
func (n number) Subtract(other ref.Val) ref.Val { return n.with(other, n.Decimal.Sub) }

// Multiply implements traits.Multiplier.
func (n number) Multiply(other ref.Val) ref.Val { return n.with(other, n.Decimal.Mul) }

// Negate implements traits.Negater.
func (n number) Negate() ref.Val { return number{n.Neg()} }

// Compare implements traits.Comparer.
func (n number) Compare(other ref.Val) ref.Val {
	o, ok := toNumber(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(n.Cmp(o.Decimal))
}

// Equal implements ref.Val: 1.5 equals 1.50, and the integer 2 equals 2.00.
func (n number) Equal(other ref.Val) ref.Val {
	o, ok := toNumber(other)
	return types.Bool(ok && n.Decimal.Equal(o.Decimal))
}

// ConvertToNative implements ref.Val.
func (n number) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a decimal cannot become a %s", t)
}

// ConvertToType implements ref.Val.
func (n number) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String(n.String())
	case types.TypeType:
		return decimalType
	}
	return types.NewErr("a decimal cannot become a %s", t.TypeName())
}

// Type implements ref.Val.
func (n number) Type() ref.Type { return decimalType }

// Value implements ref.Val.
func (n number) Value() any { return n.Decimal }

// roundings are the declared ways to cut a number to a place.
var roundings = []string{"half_even", "half_up", "down"}

func round(n number, places int32, mode string) number {
	switch mode {
	case "half_up":
		n.Decimal = n.Round(places)
	case "down":
		n.Decimal = n.Truncate(places)
	default:
		n.Decimal = n.RoundBank(places)
	}
	if -n.Exponent() < places {
		n.Decimal = decimal.RequireFromString(n.StringFixed(places))
	}
	return n
}

// decimalOverloads declares the operators of decimals for the type check; the traits above do the work.
func decimalOverloads() []cel.EnvOption {
	var opts []cel.EnvOption
	for _, op := range []struct {
		name, id string
		trait    int
	}{{"_+_", "add", traits.AdderType}, {"_-_", "subtract", traits.SubtractorType}, {"_*_", "multiply", traits.MultiplierType}} {
		opts = append(opts, cel.Function(op.name,
			cel.Overload(op.id+"_decimal", []*cel.Type{decimalType, decimalType}, decimalType, cel.OverloadOperandTrait(op.trait)),
			cel.Overload(op.id+"_decimal_int", []*cel.Type{decimalType, cel.IntType}, decimalType, cel.OverloadOperandTrait(op.trait))))
	}
	opts = append(opts, cel.Function("-_", cel.Overload("negate_decimal", []*cel.Type{decimalType}, decimalType)))
	for _, op := range []struct{ name, id string }{{"_<_", "less"}, {"_<=_", "less_equals"}, {"_>_", "greater"}, {"_>=_", "greater_equals"}} {
		opts = append(opts, cel.Function(op.name,
			cel.Overload(op.id+"_decimal", []*cel.Type{decimalType, decimalType}, cel.BoolType),
			cel.Overload(op.id+"_decimal_int", []*cel.Type{decimalType, cel.IntType}, cel.BoolType)))
	}
	return opts
}
