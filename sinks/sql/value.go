package sql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// The codes of values that a column cannot hold exactly (Invariant 10).
const (
	codeType     = "TYPE"        // of another kind
	codeTooLong  = "TOO_LONG"    // more characters than the column has
	codeRange    = "RANGE"       // outside of what the column can hold
	codeExact    = "NOT_EXACT"   // more decimals, of a number or of a second
	codeAllowed  = "NOT_ALLOWED" // not a word of the enum
	codeRequired = "REQUIRED"    // nothing where a value must be
)

// refusal is a value that a column cannot hold exactly.
type refusal struct{ code, found, expected string }

func refuse(code, found, expected string, args ...any) *refusal {
	return &refusal{code, found, fmt.Sprintf(expected, args...)}
}

var (
	plainForm = regexp.MustCompile(`^[+-]?\d{1,400}(\.\d{1,400})?$`)
	dateForm  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	clockForm = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?$`)
	uuidForm  = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// text makes the canonical text of a value of the body; nil is NULL. zone is that of columns without one. words is what stands for true and
// false; empty where nothing does.
func (c *column) text(v any, zone *time.Location, words Words) (*string, *refusal) {
	var text string
	switch v := v.(type) {
	case nil:
		if !c.nullable {
			return nil, refuse(codeRequired, "null", "a value: the column takes no NULL")
		}
		return nil, nil
	case bool:
		switch {
		case words != (Words{}):
			text = map[bool]string{true: words.True, false: words.False}[v]
		case c.kind == kindBoolean, c.kind == kindJSON:
			text = strconv.FormatBool(v)
		default:
			return nil, refuse(codeType, strconv.FormatBool(v), "%s; say under booleans what stands for true and false in the column %s", c.typ, c.name)
		}
	case json.Number:
		text = v.String()
	case string:
		text = v
		if c.kind == kindJSON {
			text = canonicalJSON(v)
		}
	default:
		if c.kind != kindJSON {
			return nil, refuse(codeType, "a list or an object", "%s: one value", c.typ)
		}
		text = canonicalJSON(v)
	}
	out, r := c.parse(text, zone)
	if r != nil {
		return nil, r
	}
	return &out, nil
}

// parse makes the canonical text of a value given as text.
func (c *column) parse(text string, zone *time.Location) (string, *refusal) {
	shown := strconv.Quote(clip(text, 80))
	switch c.kind {
	case kindText:
		return c.fits(text)
	case kindInteger, kindDecimal, kindFloat:
		if !plainForm.MatchString(text) {
			return "", refuse(codeType, shown, "a plain number for %s", c.typ)
		}
		return c.number(text)
	case kindBoolean:
		switch text {
		case "true", "1":
			return "true", nil
		case "false", "0":
			return "false", nil
		}
		return "", refuse(codeType, shown, "true or false")
	case kindDate:
		if _, err := time.Parse(time.DateOnly, text); err != nil || !dateForm.MatchString(text) {
			return "", refuse(codeType, shown, "a date such as 2026-11-23")
		}
		return text, nil
	case kindClock:
		if !clockForm.MatchString(text) {
			return "", refuse(codeType, shown, "a time of day such as 14:30:00")
		}
		if len(text) == len("14:30") {
			text += ":00"
		}
		return c.fractions(text)
	case kindLocal, kindInstant:
		return c.moment(text, zone)
	case kindEnum:
		if !slices.Contains(c.words, text) {
			return "", refuse(codeAllowed, shown, "one of %s", strings.Join(c.words, ", "))
		}
		return text, nil
	case kindUUID:
		if !uuidForm.MatchString(text) {
			return "", refuse(codeType, shown, "a UUID")
		}
		return strings.ToLower(text), nil
	case kindJSON:
		v, err := decode([]byte(text))
		if err != nil {
			return "", refuse(codeType, shown, "JSON")
		}
		return canonicalJSON(v), nil
	}
	return "", refuse(codeType, shown, "no value: columns of type %s are not written", c.typ)
}

// fits is a text that the column takes whole.
func (c *column) fits(text string) (string, *refusal) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", refuse(codeType, "a text with bytes that are no characters", "plain text")
	}
	if c.padded {
		text = strings.TrimRight(text, " ")
	}
	if n := utf8.RuneCountInString(text); c.chars > 0 && n > c.chars {
		return "", refuse(codeTooLong, fmt.Sprintf("%s, %d characters", strconv.Quote(clip(text, 80)), n), "at most %d", c.chars)
	}
	if c.bytes > 0 && len(text) > c.bytes {
		return "", refuse(codeTooLong, fmt.Sprintf("a text of %d bytes", len(text)), "at most %d", c.bytes)
	}
	return text, nil
}

// number is a plain decimal that the column holds exactly.
func (c *column) number(text string) (string, *refusal) {
	text = plainNumber(text)
	whole, part, _ := strings.Cut(strings.TrimLeft(text, "-"), ".")
	switch c.kind {
	case kindFloat:
		bits := 64
		if c.single {
			bits = 32
		}
		if f, err := strconv.ParseFloat(text, bits); err != nil || strconv.FormatFloat(f, 'f', -1, bits) != text {
			return "", refuse(codeExact, text, "a number that %s holds exactly", c.typ)
		}
	case kindInteger:
		if part != "" {
			return "", refuse(codeExact, text, "a whole number for %s", c.typ)
		}
		n, low, high := decimal.RequireFromString(text), decimal.RequireFromString(c.low), decimal.RequireFromString(c.high)
		if n.LessThan(low) || n.GreaterThan(high) {
			return "", refuse(codeRange, text, "%s to %s, for %s", c.low, c.high, c.typ)
		}
	case kindDecimal:
		switch {
		case c.digits == 0:
		case len(part) > c.scale:
			return "", refuse(codeExact, text, "at most %d decimals, for %s", c.scale, c.typ)
		case len(strings.TrimLeft(whole, "0")) > c.digits-c.scale:
			return "", refuse(codeRange, text, "at most %d digits before the point, for %s", c.digits-c.scale, c.typ)
		}
	}
	return text, nil
}

// fractions is a time whose decimals of seconds the column holds.
func (c *column) fractions(text string) (string, *refusal) {
	text = c.normal(text)
	if _, part, ok := strings.Cut(text, "."); ok && len(part) > c.fraction {
		return "", refuse(codeExact, strconv.Quote(text), "at most %d decimals of seconds, for %s", c.fraction, c.typ)
	}
	return text, nil
}

const momentForm = "2006-01-02 15:04:05.999999999"

// moment is a date and time in the form in which the column shows it: of kindInstant in UTC, of kindLocal in the sink's zone. A time without a
// zone is one of the sink's zone; where a clock that is set back makes it two, or one that is set forward leaves it out, it is refused.
func (c *column) moment(text string, zone *time.Location) (string, *refusal) {
	form := strings.Replace(text, "T", " ", 1)
	if len(form) == len(time.DateOnly) && c.kind == kindLocal { // a day is no instant
		form += " 00:00:00"
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07"} {
		if at, err := time.Parse(layout, form); err == nil {
			if c.kind == kindInstant {
				zone = time.UTC
			}
			return c.fractions(at.In(zone).Format(momentForm))
		}
	}
	at, err := time.ParseInLocation(momentForm, form, zone)
	if err != nil {
		return "", refuse(codeType, strconv.Quote(clip(text, 80)), "a date and time such as 2026-11-23T14:30:00Z")
	}
	if c.kind == kindLocal {
		return c.fractions(form)
	}
	again := 0
	for _, shift := range []time.Duration{-time.Hour, -30 * time.Minute, 0, 30 * time.Minute, time.Hour} {
		if at.Add(shift).In(zone).Format(momentForm) == at.Format(momentForm) {
			again++
		}
	}
	if again != 1 || at.Format(momentForm) != c.normal(form) {
		return "", refuse(codeExact, strconv.Quote(text), "a time with its offset: the clocks of %s show it twice, or not at all", zone)
	}
	return c.fractions(at.UTC().Format(momentForm))
}

// decode reads one JSON value, with its numbers as they are written.
func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading JSON: more than one value")
	}
	return v, nil
}

// canonicalJSON writes a decoded value with its members in order and its numbers plain.
func canonicalJSON(v any) string {
	raw, err := json.Marshal(plainNumbers(v))
	if err != nil {
		return "" // of what decode made, everything can be written
	}
	return string(raw)
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if plainForm.MatchString(v.String()) {
			return json.Number(plainNumber(v.String()))
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainNumbers(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = plainNumbers(v[name])
		}
		return out
	}
	return v
}

// clip bounds a text to n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}
