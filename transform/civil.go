package transform

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strconv"
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

// civil is a date, a time of day or a timestamp without zone, in the canonical text of its kind (cdc.Kind). All that a database
// may hold is carried: zero and invalid dates, infinity, far years, times that are longer than a day or negative. What is no
// day of the calendar or no time of a day cannot be reckoned with, and is an error of the expression.
type civil struct {
	kind cdc.Kind
	text string
}

// String returns the canonical text.
func (c civil) String() string { return c.text }

// Add makes a timestamp of a date and a time of day.
func (c civil) Add(other ref.Val) ref.Val {
	o, ok := other.(civil)
	switch {
	case !ok || c.kind != cdc.KindDate || o.kind != cdc.KindTime:
		return types.MaybeNoSuchOverloadErr(other)
	case infinite(c.text):
		return civil{cdc.KindTimestamp, c.text}
	case o.text == "24:00:00": // of PostgreSQL: the end of the day is the beginning of the next
		next := c.addDays(1)
		if types.IsError(next) {
			return next
		}
		return civil{cdc.KindTimestamp, textOf(next) + " 00:00:00"}
	case len(o.text) < 8 || o.text[2] != ':' || o.text >= "24":
		return types.NewErr("%s is not a time of day", o.text)
	}
	return civil{cdc.KindTimestamp, c.text + " " + o.text}
}

// day is the date of a date or timestamp.
func (c civil) day() civil {
	date, _, _ := strings.Cut(c.text, " ")
	return civil{cdc.KindDate, date}
}

// addDays reckons by the calendar. Infinity stays what it is, as in PostgreSQL.
func (c civil) addDays(n int) ref.Val {
	if infinite(c.text) {
		return c
	}
	t, err := calendarDay(c.text)
	if err != nil {
		return types.WrapErr(err)
	}
	t = t.AddDate(0, 0, n)
	return civil{cdc.KindDate, fmt.Sprintf("%s%04d%s", map[bool]string{true: "-"}[t.Year() < 0], max(t.Year(), -t.Year()), t.Format("-01-02"))}
}

func infinite(text string) bool { return text == "infinity" || text == "-infinity" }

// calendarDay reads a canonical date. Zero dates, and days that their month does not have, are errors.
func calendarDay(text string) (time.Time, error) {
	bad := fmt.Errorf("%s is not a day of the calendar", clip(text, 40))
	head, negative := strings.CutPrefix(text, "-")
	parts := strings.Split(head, "-")
	if len(parts) != 3 {
		return time.Time{}, bad
	}
	year, err1 := strconv.Atoi(parts[0])
	month, err2 := strconv.Atoi(parts[1])
	day, err3 := strconv.Atoi(parts[2])
	if negative {
		year = -year
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if errors.Join(err1, err2, err3) != nil || t.Month() != time.Month(month) || t.Day() != day {
		return time.Time{}, bad
	}
	return t, nil
}

// sortable returns a canonical date or timestamp in a form that sorts by time. Years 0 to 9999 and infinity are as they are; years before
// come behind -infinity, later ones before infinity.
func sortable(text string) string {
	if infinite(text) {
		return text
	}
	head, negative := strings.CutPrefix(text, "-")
	year, rest, _ := strings.Cut(head, "-")
	if !negative && len(year) <= 4 {
		return text
	}
	n, err := strconv.Atoi(year)
	if err != nil {
		return text
	}
	if negative {
		return fmt.Sprintf("/%09d-%s", 999_999_999-n, rest)
	}
	return fmt.Sprintf("Y%09d-%s", n, rest)
}

// micros is a time in microseconds; times of MySQL go from -838:59:59 to 838:59:59.
func micros(text string) (int64, error) {
	head, negative := strings.CutPrefix(text, "-")
	clock, fraction, _ := strings.Cut(head, ".")
	parts := append(strings.Split(clock, ":"), (fraction + "000000")[:6])
	var n int64
	for i, p := range parts {
		one, err := strconv.ParseUint(p, 10, 32)
		if err != nil || len(parts) != 4 {
			return 0, fmt.Errorf("%q is not a time", clip(text, 40))
		}
		n = n*[4]int64{1, 60, 60, 1_000_000}[i] + int64(one)
	}
	if negative {
		n = -n
	}
	return n, nil
}

// Compare implements traits.Comparer.
func (c civil) Compare(other ref.Val) ref.Val {
	o, ok := other.(civil)
	if !ok || o.kind != c.kind {
		return types.MaybeNoSuchOverloadErr(other)
	}
	if c.kind != cdc.KindTime {
		return types.Int(strings.Compare(sortable(c.text), sortable(o.text)))
	}
	a, err1 := micros(c.text)
	b, err2 := micros(o.text)
	if err := errors.Join(err1, err2); err != nil {
		return types.WrapErr(err)
	}
	return types.Int(cmp.Compare(a, b))
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

// edges is what a source declares about the local times at the two edges of daylight saving time.
type edges struct {
	twice string // the clocks are put back over it
	never string // the clocks are put forward over it
}

// The rules for an edge. Of a time that happens twice earlier is the first; of one that never happens it is an hour before the
// clocks jump over it (02:30 becomes 01:30), and later an hour behind (03:30).
const (
	edgeEarlier = "earlier"
	edgeLater   = "later"
	edgeRefuse  = "refuse"
)

// instant gives the local time its place in the world. A local time that the zone skips or has twice is decided by the
// source's declared rule.
func (c civil) instant(zone *time.Location, rule edges) (time.Time, error) {
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
	edge, why := rule.never, fmt.Errorf("%s does not exist in %s: the clocks are put forward over it", c.text, zone)
	switch {
	case earlyFits && (early.Equal(late) || !lateFits):
		return early.In(zone), nil
	case lateFits && !earlyFits:
		return late.In(zone), nil
	case earlyFits:
		edge, why = rule.twice, fmt.Errorf("%s happens twice in %s", c.text, zone)
	}
	switch edge {
	case edgeEarlier:
		return early.In(zone), nil
	case edgeLater:
		return late.In(zone), nil
	}
	return time.Time{}, why
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
