package s4hana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

const dateForm = "2006-01-02"

// dates of OData V2 in JSON: milliseconds since 1970 in UTC, and perhaps a zone that only tells how to show them.
var dates = regexp.MustCompile(`^/Date\((-?\d{1,15})([+-]\d{4})?\)/$`)

// readDate reads a date of OData V2 in JSON: /Date(1764892800000)/ is 2025-12-05, wherever it is read. "" is "". A time of day is an error, for it
// would be lost.
func readDate(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	m := dates.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%q is no date of OData V2, such as /Date(1764892800000)/", text)
	}
	ms, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return "", fmt.Errorf("the date %s: %w", text, err)
	}
	at := time.UnixMilli(ms).UTC()
	if at.Hour() != 0 || at.Minute() != 0 || at.Second() != 0 || at.Nanosecond() != 0 {
		return "", fmt.Errorf("the date %s has a time of day, %s", text, at.Format("15:04:05"))
	}
	if at.Year() < 1 || at.Year() > 9999 {
		return "", fmt.Errorf("the date %s is beyond the calendar", text)
	}
	return at.Format(dateForm), nil
}

// writeDate is readDate's inverse.
func writeDate(day string) (string, error) {
	at, err := time.Parse(dateForm, day)
	if err != nil {
		return "", fmt.Errorf("%q is no date, such as 2026-11-23", day)
	}
	return fmt.Sprintf("/Date(%d)/", at.UnixMilli()), nil
}

// places are the digits behind the point of a currency's smallest unit (ISO 4217).
func places(currency string) int32 {
	const none, three = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", "BHD IQD JOD KWD LYD OMR TND"
	switch {
	case len(currency) != 3:
		return 2
	case strings.Contains(none, currency):
		return 0
	case strings.Contains(three, currency):
		return 3
	}
	return 2
}

// amount writes an amount with its currency's digits; an error when it has more.
func amount(n decimal.Decimal, currency string) (string, error) {
	digits := places(currency)
	if !n.Equal(n.Round(digits)) {
		return "", fmt.Errorf("%s has more digits than %s", n, currency)
	}
	return n.StringFixed(digits), nil
}

// object is an entity as OData V2 gives it.
type object map[string]any

// text is a property, with the digits of a number.
func (o object) text(name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func (o object) truth(name string) bool {
	v, _ := o[name].(bool)
	return v
}

// decimal is a property of type Edm.Decimal, which is a string in JSON.
func (o object) decimal(name string) (decimal.Decimal, error) {
	n, err := decimal.NewFromString(strings.TrimSpace(o.text(name)))
	if err != nil {
		return n, fmt.Errorf("%s is %q, not a decimal", name, o.text(name))
	}
	return n, nil
}

// sub is an entity that was expanded.
func (o object) sub(name string) object {
	m, _ := o[name].(map[string]any)
	return m
}

// list are entities that were expanded.
func (o object) list(name string) []object { return objects(o.sub(name)["results"]) }

// etag is what an update of the entity must carry.
func (o object) etag() string { return o.sub("__metadata").text("etag") }

func objects(v any) []object {
	list, _ := v.([]any)
	all := make([]object, 0, len(list))
	for _, one := range list {
		if m, ok := one.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// unwrap reads an answer of OData V2: {"d": {…}} or {"d": {"results": […]}}. more says that there are other pages.
func unwrap(raw []byte) (all []object, more bool, err error) {
	var body struct{ D map[string]any }
	if err := decode(raw, &body); err != nil {
		return nil, false, err
	}
	if body.D == nil {
		return nil, false, fmt.Errorf("an answer without d")
	}
	results, many := body.D["results"]
	if !many {
		return []object{body.D}, false, nil
	}
	_, more = body.D["__next"]
	return objects(results), more, nil
}

// decode reads JSON without losing a digit.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("an answer that is no JSON: %w", err)
	}
	return nil
}

// quoted writes a text as a literal of OData.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
