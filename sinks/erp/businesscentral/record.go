package businesscentral

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// record is one entity as the API writes it; numbers are json.Number.
type record map[string]any

// text is a plain value, "" when it is absent or null.
func (r record) text(name string) string {
	switch v := r[name].(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}

// amount is a decimal; false when there is none.
func (r record) amount(name string) (decimal.Decimal, bool) {
	d, err := decimal.NewFromString(r.text(name))
	return d, err == nil
}

// date is a date, "" for the zero date of Business Central.
func (r record) date(name string) string {
	if d := r.text(name); d != "0001-01-01" {
		return d
	}
	return ""
}

// option is a word of an enumeration; its blank one is written as a blank or, encoded, as _x0020_.
func (r record) option(name string) string {
	if o := r.text(name); o != "_x0020_" {
		return o
	}
	return ""
}

func (r record) id() string   { return r.text("id") }
func (r record) etag() string { return r.text("@odata.etag") }

// posted reports whether a sales document is in the books. Drafts and those that a workflow looks at are not.
func (r record) posted() bool {
	switch r.option("status") {
	case "", "Draft", "In Review", "In_x0020_Review":
		return false
	}
	return true
}

// number is a decimal as a request writes it.
func number(d decimal.Decimal) json.Number { return json.Number(d.String()) }
