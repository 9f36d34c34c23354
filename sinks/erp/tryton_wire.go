package erp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
)

// dateForm is how dates are written in bodies, facts and messages. A date has no zone and never gets one.
const dateForm = "2006-01-02"

// record is a row as Tryton's JSON-RPC sends and takes it: typed values carry their class, and the fields of a referenced
// row come nested under its name with a dot ("party.").
type record map[string]any

func wireDecimal(d decimal.Decimal) record {
	return record{"__class__": "Decimal", "decimal": d.String()}
}

func wireDate(s string) (record, error) {
	t, err := time.Parse(dateForm, s)
	if err != nil {
		return nil, fmt.Errorf("reading date %q: expected YYYY-MM-DD", s)
	}
	return record{"__class__": "date", "year": t.Year(), "month": int(t.Month()), "day": t.Day()}, nil
}

func (r record) text(field string) string {
	s, _ := r[field].(string)
	return s
}

// id is the number of a referenced row; 0 for none.
func (r record) id(field string) int64 { return toInt(r[field]) }

// truth reads a boolean, which sqlite sends as 0 and 1.
func (r record) truth(field string) bool {
	switch v := r[field].(type) {
	case bool:
		return v
	case json.Number:
		return v != "0"
	}
	return false
}

func (r record) sub(field string) record {
	m, _ := r[field+"."].(map[string]any)
	return record(m)
}

func (r record) list(field string) []record {
	return toRecords(r[field+"."])
}

// amount is a Decimal in the shortest form, "" for none.
func (r record) amount(field string) string {
	m, _ := r[field].(map[string]any)
	s, _ := m["decimal"].(string)
	if d, err := decimal.NewFromString(s); err == nil {
		return d.String()
	}
	return ""
}

// date is a date as YYYY-MM-DD, "" for none.
func (r record) date(field string) string {
	m, _ := r[field].(map[string]any)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", toInt(m["year"]), toInt(m["month"]), toInt(m["day"]))
}

// instant is a timestamp to the microsecond, as a text that compares and hashes.
func (r record) instant(field string) string {
	m, _ := r[field].(map[string]any)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%sT%02d:%02d:%02d.%06d", r.date(field),
		toInt(m["hour"]), toInt(m["minute"]), toInt(m["second"]), toInt(m["microsecond"]))
}

func toInt(v any) int64 {
	switch n := v.(type) {
	case json.Number:
		i, _ := n.Int64()
		return i
	case int64:
		return n
	case int:
		return int64(n)
	}
	return 0
}

func toRecords(v any) []record {
	items, _ := v.([]any)
	out := make([]record, 0, len(items))
	for _, it := range items {
		if m, ok := it.(map[string]any); ok {
			out = append(out, record(m))
		}
	}
	return out
}

func toIDs(v any) []int64 {
	items, _ := v.([]any)
	out := make([]int64, 0, len(items))
	for _, it := range items {
		out = append(out, toInt(it))
	}
	return out
}

// decodeAnswer keeps numbers as their digits: no float ever holds money.
func decodeAnswer(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

func itoa(id int64) string { return strconv.FormatInt(id, 10) }
