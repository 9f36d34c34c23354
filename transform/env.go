package transform

import (
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// functions are what an expression may call, as the author writes them; for messages and suggestions.
var functions = []string{"inserted", "deleted", "changed", "became", "filled", "first", "count", "sum", "money", "dec", "round", "abs", "trim",
	"upper", "lower", "text", "replace", "extract", "json", "at", "day", "add_days", "date", "epoch", "timestamp"}

// newEnvironment returns the language of expressions: CEL without comprehensions and floats, with exact decimals and
// civil times.
func newEnvironment() (*cel.Env, error) {
	opts := []cel.EnvOption{cel.ClearMacros(), cel.ParserExpressionSizeLimit(4000), cel.ParserRecursionLimit(60)}
	opts = append(opts, decimalOverloads()...)
	opts = append(opts, civilOverloads()...)
	opts = append(opts, epochOverloads()...)
	text := []*cel.Type{cel.StringType}
	opts = append(opts,
		cel.Function("dec",
			cel.Overload("dec_string", text, decimalType, cel.UnaryBinding(toDecimal)),
			cel.Overload("dec_int", []*cel.Type{cel.IntType}, decimalType, cel.UnaryBinding(toDecimal)),
			cel.Overload("dec_decimal", []*cel.Type{decimalType}, decimalType, cel.UnaryBinding(toDecimal))),
		cel.Function("abs", cel.Overload("abs_int", []*cel.Type{cel.IntType}, decimalType, cel.UnaryBinding(absolute)),
			cel.Overload("abs_decimal", []*cel.Type{decimalType}, decimalType, cel.UnaryBinding(absolute))),
		cel.Function("round",
			cel.Overload("round_int", []*cel.Type{cel.IntType, cel.IntType}, decimalType, cel.BinaryBinding(func(a, b ref.Val) ref.Val { return roundTo(a, b) })),
			cel.Overload("round_decimal", []*cel.Type{decimalType, cel.IntType}, decimalType, cel.BinaryBinding(func(a, b ref.Val) ref.Val { return roundTo(a, b) })),
			cel.Overload("round_decimal_mode", []*cel.Type{decimalType, cel.IntType, cel.StringType}, decimalType, cel.FunctionBinding(roundTo))),
		cel.Function("trim", cel.Overload("trim_string", text, cel.StringType, cel.UnaryBinding(onText(strings.TrimSpace)))),
		cel.Function("upper", cel.Overload("upper_string", text, cel.StringType, cel.UnaryBinding(onText(strings.ToUpper)))),
		cel.Function("lower", cel.Overload("lower_string", text, cel.StringType, cel.UnaryBinding(onText(strings.ToLower)))),
		cel.Function("text", cel.Overload("text_dyn", []*cel.Type{cel.DynType}, cel.StringType,
			cel.UnaryBinding(inText))),
		cel.Function("replace", cel.Overload("replace_string", []*cel.Type{cel.StringType, cel.StringType, cel.StringType}, cel.StringType,
			cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				return types.String(clip(strings.ReplaceAll(textOf(a[0]), textOf(a[1]), textOf(a[2])), 1<<16))
			}))),
		cel.Function("at", cel.Overload("at_date_time", []*cel.Type{dateType, timeType}, timestampType, cel.BinaryBinding(dateAt))),
		cel.Function("day",
			cel.Overload("day_date", []*cel.Type{dateType}, dateType, cel.UnaryBinding(dayOf)),
			cel.Overload("day_timestamp", []*cel.Type{timestampType}, dateType, cel.UnaryBinding(dayOf))),
		cel.Function("date", cel.Overload("date_string", text, dateType, cel.UnaryBinding(dateOf))),
		cel.Function("add_days", cel.Overload("add_days_date", []*cel.Type{dateType, cel.IntType}, dateType, cel.BinaryBinding(addDays))))
	return cel.NewEnv(opts...)
}

// typed returns the environment with variables of the types.
func typed(env *cel.Env, vars []*cel.Type) (*cel.Env, error) {
	var opts []cel.EnvOption
	for i, t := range vars {
		opts = append(opts, cel.Variable(variables[i], t))
	}
	return env.Extend(opts...)
}

// variables are the names by which a program calls its parts.
var variables = func() (names [24]string) {
	for i := range names {
		names[i] = "__" + string(rune('a'+i))
	}
	return names
}()

func toDecimal(v ref.Val) ref.Val {
	if n, ok := toNumber(v); ok {
		return n
	}
	n, err := parseNumber(textOf(v))
	if err != nil {
		return types.WrapErr(err)
	}
	return n
}

func absolute(v ref.Val) ref.Val {
	if n, ok := toNumber(v); ok {
		return number{n.Abs()}
	}
	return types.MaybeNoSuchOverloadErr(v)
}

func roundTo(args ...ref.Val) ref.Val {
	n, ok := toNumber(args[0])
	places, isInt := args[1].(types.Int)
	if !ok || !isInt || places < 0 || places > 12 {
		return types.NewErr("round takes a decimal and 0 to 12 places")
	}
	mode := "half_even"
	if len(args) == 3 {
		mode = textOf(args[2])
	}
	return round(n, int32(places), mode)
}

func onText(fn func(string) string) func(ref.Val) ref.Val {
	return func(v ref.Val) ref.Val {
		s, ok := v.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		return types.String(fn(string(s)))
	}
}

func dateAt(a, b ref.Val) ref.Val {
	d, ok := a.(civil)
	if !ok {
		return types.MaybeNoSuchOverloadErr(a)
	}
	return d.Add(b)
}

func dayOf(v ref.Val) ref.Val {
	if c, ok := v.(civil); ok && c.kind != cdc.KindTime {
		return c.day()
	}
	return types.MaybeNoSuchOverloadErr(v)
}

// dateOf reads a day in the form that ISO 8601 gives it.
func dateOf(v ref.Val) ref.Val {
	text := textOf(v)
	if _, err := time.Parse(civilDate, text); err != nil {
		return types.NewErr("%q is not a day like 2026-10-01", clip(text, 40))
	}
	return civil{cdc.KindDate, text}
}

func addDays(a, b ref.Val) ref.Val {
	c, ok := a.(civil)
	n, isInt := b.(types.Int)
	if !ok || !isInt || c.kind != cdc.KindDate || n > 36600 || n < -36600 {
		return types.NewErr("add_days takes a date and a number of days")
	}
	return c.addDays(int(n))
}

// instantOf reads an RFC 3339 time.
func instantOf(text string) ref.Val {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return types.NewErr("%q is not an instant", clip(text, 40))
	}
	return types.Timestamp{Time: t.UTC()}
}

// textOf returns a value as text: what keys, templates and messages show.
func textOf(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case number:
		return v.String()
	case civil:
		return v.text
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano)
	case types.Null:
		return ""
	}
	s, ok := v.ConvertToType(types.StringType).(types.String)
	if !ok {
		return ""
	}
	return string(s)
}

// typeOfKind is the type that a column of the kind has in expressions; every column may be null.
func typeOfKind(k cdc.Kind) *cel.Type {
	switch k {
	case cdc.KindBool:
		return cel.NullableType(cel.BoolType)
	case cdc.KindInt:
		return cel.NullableType(cel.IntType)
	case cdc.KindDecimal:
		return decimalType
	case cdc.KindDate:
		return dateType
	case cdc.KindTime:
		return timeType
	case cdc.KindTimestamp:
		return timestampType
	case cdc.KindInstant:
		return cel.TimestampType
	}
	return cel.NullableType(cel.StringType)
}

// typeName says a type in the author's words.
func typeName(t *cel.Type) string {
	switch bare(t) {
	case "string":
		return "text"
	case "timestamp_without_zone":
		return "timestamp"
	case "google.protobuf.Timestamp":
		return "instant"
	case "null_type":
		return "null"
	}
	return bare(t)
}

// article is the type with its article, for sentences.
func article(t *cel.Type) string {
	name := typeName(t)
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// bare is a type's name without its wrapper for null.
func bare(t *cel.Type) string {
	s := strings.TrimSuffix(strings.TrimPrefix(t.String(), "wrapper("), ")")
	if s == "timestamp" {
		return "google.protobuf.Timestamp"
	}
	return s
}

func isDyn(t *cel.Type) bool { return t == nil || bare(t) == "dyn" || bare(t) == "null_type" }
