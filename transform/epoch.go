package transform

import (
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/shopspring/decimal"
	"waybill/cdc"
)

// epochUnits are the units in which a source counts the time since 1970-01-01T00:00:00Z, in microseconds.
var epochUnits = map[string]int64{"s": 1_000_000, "ms": 1_000, "us": 1}

// The first and the last microsecond of the years 1 to 9999, since 1970.
const (
	epochFirst = -62135596800_000_000
	epochLast  = 253402300799_999_999
)

// epochOverloads declares epoch(n, "ms"), the instant that a count stands for, and day(instant, zone), the day that an instant lies in
// somewhere.
func epochOverloads() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Function("epoch",
			cel.Overload("epoch_int", []*cel.Type{cel.IntType, cel.StringType}, cel.TimestampType, cel.BinaryBinding(epoch)),
			cel.Overload("epoch_decimal", []*cel.Type{decimalType, cel.StringType}, cel.TimestampType, cel.BinaryBinding(epoch))),
		cel.Function("day", cel.Overload("day_instant_zone", []*cel.Type{cel.TimestampType, cel.StringType}, dateType, cel.BinaryBinding(dayIn))),
	}
}

// epoch reads a count. What is not a whole number of microseconds, or lies outside the years 1 to 9999, is an error: a unit that was
// mistaken mostly shows by that.
func epoch(a, b ref.Val) ref.Val {
	n, ok := toNumber(a)
	unit, known := epochUnits[textOf(b)]
	if !ok || !known {
		return types.NewErr(`epoch takes a number and "s", "ms" or "us"`)
	}
	count := n.Mul(decimal.NewFromInt(unit))
	if !count.IsInteger() || count.LessThan(decimal.NewFromInt(epochFirst)) || count.GreaterThan(decimal.NewFromInt(epochLast)) {
		return types.NewErr("%s %s since 1970 is no instant of the years 1 to 9999", n.String(), textOf(b))
	}
	return types.Timestamp{Time: time.UnixMicro(count.IntPart()).UTC()}
}

func dayIn(a, b ref.Val) ref.Val {
	t, ok := a.(types.Timestamp)
	loc, err := time.LoadLocation(textOf(b))
	if !ok || err != nil || textOf(b) == "" || textOf(b) == "Local" {
		return types.NewErr("day takes an instant and a name of the IANA time zone database, not %q", clip(textOf(b), 40))
	}
	year, month, day := t.In(loc).Date()
	return civil{cdc.KindDate, fmt.Sprintf("%04d-%02d-%02d", year, month, day)}
}
