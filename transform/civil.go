package transform

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on every machine

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"waybill/cdc"
)

// The types of dates and times that have no zone yet.
var (
	dateType      = types.NewObjectType("date", traits.AdderType, traits.ComparerType)
	timeType      = types.NewObjectType("time", traits.ComparerType)
	timestampType = types.NewObjectType("timestamp_without_zone", traits.ComparerType)
)

// civil is a date, a time of day or a timestamp without zone, in the canonical text of its kind, which sorts as it should.
type civil struct {
	kind cdc.Kind
	text string
}

// String returns the canonical text.
func (c civil) String() string { return c.text }

// Add makes a timestamp of a date and a time.
func (c civil) Add(other ref.Val) ref.Val {
	if o, ok := other.(civil); ok && c.kind == cdc.KindDate && o.kind == cdc.KindTime {
		return civil{cdc.KindTimestamp, c.text + " " + o.text}
	}
	return types.MaybeNoSuchOverloadErr(other)
}

// Compare implements traits.Comparer.
func (c civil) Compare(other ref.Val) ref.Val {
	o, ok := other.(civil)
	if !ok || o.kind != c.kind {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(strings.Compare(c.text, o.text))
}

// Equal implements ref.Val.
func (c civil) Equal(other ref.Val) ref.Val {
	o, ok := other.(civil)
	return types.Bool(ok && o == c)
}

// ConvertToNative implements ref.Val.
func (c civil) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s cannot become a %s", c.kind, t)
}

// ConvertToType implements ref.Val.
func (c civil) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String(c.text)
	case types.TypeType:
		return c.celType()
	}
	return types.NewErr("a %s cannot become a %s", c.kind, t.TypeName())
}

func (c civil) celType() *types.Type {
	switch c.kind {
	case cdc.KindDate:
		return dateType
	case cdc.KindTime:
		return timeType
	}
	return timestampType
}

// Type implements ref.Val.
func (c civil) Type() ref.Type { return c.celType() }

// Value implements ref.Val.
func (c civil) Value() any { return c.text }

const (
	civilDate      = "2006-01-02"
	civilTimestamp = "2006-01-02 15:04:05.999999"
)

// instant gives the local time its place in the world. A local time that the zone skips or has twice is decided by the
// source's declared rule.
func (c civil) instant(zone *time.Location, rule string) (time.Time, error) {
	layout := civilTimestamp
	if c.kind == cdc.KindDate {
		layout = civilDate
	}
	naive, err := time.Parse(layout, c.text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a %s", clip(c.text, 40), c.kind)
	}
	_, before := naive.Add(-26 * time.Hour).In(zone).Zone()
	_, after := naive.Add(26 * time.Hour).In(zone).Zone()
	early, late := naive.Add(-time.Duration(max(before, after))*time.Second), naive.Add(-time.Duration(min(before, after))*time.Second)
	earlyFits, lateFits := fits(early, naive, zone), fits(late, naive, zone)
	switch {
	case earlyFits && (early.Equal(late) || !lateFits):
		return early.In(zone), nil
	case lateFits && !earlyFits:
		return late.In(zone), nil
	case rule == "earlier":
		return early.In(zone), nil
	case rule == "later":
		return late.In(zone), nil
	case earlyFits:
		return time.Time{}, fmt.Errorf("%s happens twice in %s", c.text, zone)
	}
	return time.Time{}, fmt.Errorf("%s does not exist in %s: the clocks are put forward over it", c.text, zone)
}

func fits(t, naive time.Time, zone *time.Location) bool {
	_, offset := t.In(zone).Zone()
	return t.Add(time.Duration(offset) * time.Second).Equal(naive)
}

// civilOverloads declares the operators of dates and times for the type check.
func civilOverloads() []cel.EnvOption {
	opts := []cel.EnvOption{cel.Function("_+_",
		cel.Overload("add_date_time", []*cel.Type{dateType, timeType}, timestampType, cel.OverloadOperandTrait(traits.AdderType)))}
	for _, op := range []struct{ name, id string }{{"_<_", "less"}, {"_<=_", "less_equals"}, {"_>_", "greater"}, {"_>=_", "greater_equals"}} {
		for id, t := range map[string]*cel.Type{"date": dateType, "time": timeType, "local": timestampType} {
			opts = append(opts, cel.Function(op.name, cel.Overload(op.id+"_"+id, []*cel.Type{t, t}, cel.BoolType)))
		}
	}
	return opts
}
