package netsuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// invoice is the body of a sales_invoice and of a credit_note, with the members that the other ERPs take. Amounts are signed: a credit has
// a negative total.
type invoice struct {
	Reference   string        `json:"reference"`
	Type        string        `json:"type"`  // invoice or credit; empty: by the sign of the total
	Party       string        `json:"party"` // code of the customer
	Date        string        `json:"date"`
	PostingDate string        `json:"posting_date"` // of the period, by the mapping's policy; empty: the date
	Currency    string        `json:"currency"`
	PaymentTerm string        `json:"payment_term"`
	Description string        `json:"description"`
	AppliesTo   string        `json:"applies_to"` // external id of the document that this one corrects
	Net         field         `json:"net"`
	Tax         field         `json:"tax"`
	Total       field         `json:"total"`
	Lines       []invoiceLine `json:"lines"`
}

type invoiceLine struct {
	Product     string `json:"product"`
	Account     string `json:"account"`
	Description string `json:"description"`
	Shipment    string `json:"shipment"`   // people read it in the description
	Quantity    field  `json:"quantity"`   // empty: 1
	UnitPrice   field  `json:"unit_price"` // empty: the net amount
	Net         field  `json:"net"`
	Tax         field  `json:"tax"` // the name of a tax, or its amount
}

// journal is the body of a journal_entry.
type journal struct {
	Reference   string        `json:"reference"`
	Date        string        `json:"date"`
	PostingDate string        `json:"posting_date"`
	Currency    string        `json:"currency"`
	Description string        `json:"description"`
	Lines       []journalLine `json:"lines"`
}

type journalLine struct {
	Account     string `json:"account"`
	Debit       field  `json:"debit"`
	Credit      field  `json:"credit"`
	Description string `json:"description"`
}

// maxLines bounds a document.
const maxLines = 2000

const dateForm = "2006-01-02"

// field is a text that may be absent from a body, which is not the same as empty.
type field struct {
	Set   bool
	Value string
}

// UnmarshalJSON takes a string, a number, a truth or null.
func (f *field) UnmarshalJSON(raw []byte) error {
	f.Set = true
	switch {
	case bytes.Equal(raw, []byte("null")):
		return nil
	case raw[0] == '"':
		err := json.Unmarshal(raw, &f.Value)
		f.Value = strings.TrimSpace(f.Value)
		return err
	case raw[0] == '{' || raw[0] == '[':
		return fmt.Errorf("a text, a number or null is expected, not %.20s", raw)
	}
	f.Value = string(raw) // a number in its digits, or true and false
	return nil
}

// strictBody decodes a body and names a key that the entity does not have.
func strictBody(raw json.RawMessage, into any) *sinks.Outcome {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var known []string
		for f := range reflect.TypeOf(into).Elem().Fields() {
			known = append(known, f.Tag.Get("json"))
		}
		return rejected("BODY", "", "The body of the posting does not fit: "+strings.TrimPrefix(err.Error(), "json: "),
			"Correct the posting in the mapping; its fields are "+strings.Join(known, ", ")+".")
	}
	return nil
}

// reader reads the members of a body and keeps the first fault.
type reader struct{ bad *sinks.Outcome }

func (r *reader) fault(code, field, message, hint string) {
	if r.bad == nil {
		r.bad = rejected(code, field, message, hint)
	}
}

func (r *reader) need(field, value string) {
	if value == "" {
		r.fault("REQUIRED", field, field+" is empty.", "Fill it in the mapping of the document.")
	}
}

func (r *reader) number(at string, f field) decimal.Decimal {
	n, err := decimal.NewFromString(f.Value)
	if err != nil {
		r.fault("NUMBER", at, fmt.Sprintf("%s is %q, not a decimal.", at, f.Value), "Map it to an amount such as -1150.00.")
	}
	return n
}

// dates reads the document's date and that of its period, which is the same unless the mapping says otherwise.
func (r *reader) dates(date string, posting *string) {
	if _, err := time.Parse(dateForm, date); err != nil {
		r.fault("DATE", "date", fmt.Sprintf("date is %q, not YYYY-MM-DD.", date), "Map it to a date without a time.")
	}
	if *posting == "" {
		*posting = date
	} else if _, err := time.Parse(dateForm, *posting); err != nil || *posting < date {
		r.fault("DATE", "posting_date", fmt.Sprintf("posting_date is %q, and the document is dated %s.", *posting, date), "Map it to a date without a time, not before the document's.")
	}
}

func (r *reader) lines(n, least int) {
	if n < least || n > maxLines {
		r.fault("LINES", "lines", fmt.Sprintf("The document has %d lines; %d to %d are possible.", n, least, maxLines), "Correct the document in billing.")
	}
}

// described adds to a description what NetSuite has no field for.
func described(text, what, name string) string {
	if name == "" {
		return text
	}
	return strings.TrimPrefix(text+", "+what+" "+name, ", ")
}
