package s4hana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/transform"
)

// field is a text that may be absent from a body, which is not the same as empty: what is absent leaves the value in S/4HANA alone.
type field struct {
	Set   bool
	Value string
}

// UnmarshalJSON takes a string, a number or null.
func (f *field) UnmarshalJSON(raw []byte) error {
	f.Set = true
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if raw[0] != '"' {
		var n json.Number
		err := json.Unmarshal(raw, &n)
		f.Value = n.String()
		return err
	}
	err := json.Unmarshal(raw, &f.Value)
	f.Value = strings.TrimSpace(f.Value)
	return err
}

// partner is the body of a customer.
type partner struct {
	Code        string `json:"code"`
	Name        string `json:"name"`
	Street      field  `json:"street"`
	City        field  `json:"city"`
	PostalCode  field  `json:"postal_code"`
	State       field  `json:"state"` // TX, or US-TX
	Country     field  `json:"country"`
	Email       field  `json:"email"`
	Phone       field  `json:"phone"`
	TaxID       field  `json:"tax_id"`
	PaymentTerm field  `json:"payment_term"`
	Active      *bool  `json:"active"`
}

// location is the body of a location.
type location struct {
	Code       string `json:"code"`
	Name       string `json:"name"`
	Street     field  `json:"street"`
	City       field  `json:"city"`
	PostalCode field  `json:"postal_code"`
	State      field  `json:"state"`
	Country    field  `json:"country"`
	Email      field  `json:"email"`
	Phone      field  `json:"phone"`
	Active     *bool  `json:"active"`
}

// item is the body of an item.
type item struct {
	Code   string `json:"code"`
	Name   string `json:"name"`
	Unit   string `json:"unit"` // empty: the configured one
	Active *bool  `json:"active"`
}

// invoice is the body of a sales_invoice or a credit_note. Amounts are signed: those of a credit are negative.
type invoice struct {
	Reference   string        `json:"reference"`
	Type        string        `json:"type"`  // invoice or credit; empty: by the sign of the total
	Party       string        `json:"party"` // code of the customer
	Date        string        `json:"date"`
	PostingDate string        `json:"posting_date"` // empty: the date
	Currency    string        `json:"currency"`
	PaymentTerm string        `json:"payment_term"`
	Description string        `json:"description"`
	AppliesTo   string        `json:"applies_to"` // external id of the document that a credit corrects
	Net         field         `json:"net"`
	Tax         field         `json:"tax"`
	Total       field         `json:"total"`
	Lines       []invoiceLine `json:"lines"`
}

type invoiceLine struct {
	Product      string `json:"product"` // people read it in the item's text
	Account      string `json:"account"`
	Description  string `json:"description"`
	Shipment     string `json:"shipment"` // people read it in the item's text
	Quantity     field  `json:"quantity"` // said in the text: finance keeps amounts
	UnitPrice    field  `json:"unit_price"`
	Net          field  `json:"net"`
	Tax          field  `json:"tax"` // a name in tax_codes, or an amount
	CostCenter   string `json:"cost_center"`
	ProfitCenter string `json:"profit_center"`
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
	Account      string `json:"account"`
	Description  string `json:"description"`
	Shipment     string `json:"shipment"`
	Debit        field  `json:"debit"`
	Credit       field  `json:"credit"`
	CostCenter   string `json:"cost_center"`
	ProfitCenter string `json:"profit_center"`
}

// maxLines bounds a document: finance takes 999 items, and the debtor and the taxes are among them.
const maxLines = 950

// strict decodes a body and names a key that the entity does not have.
func strict(raw json.RawMessage, into any) *sinks.Outcome {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return rejected("BODY", "", "The body of the posting does not fit: "+strings.TrimPrefix(err.Error(), "json: "),
			"Correct the posting in the mapping; its fields are "+strings.Join(membersOf(reflect.TypeOf(into).Elem()), ", ")+".")
	}
	return nil
}

// membersOf are the keys of a body, those of its lines behind lines[].
func membersOf(t reflect.Type) (all []string) {
	for f := range t.Fields() {
		name := f.Tag.Get("json")
		if f.Type.Kind() != reflect.Slice {
			all = append(all, name)
			continue
		}
		for _, inner := range membersOf(f.Type.Elem()) {
			all = append(all, name+"[]."+inner)
		}
	}
	return all
}

// numbers reads decimals and remembers what was wrong first.
type numbers struct{ out *sinks.Outcome }

func (n *numbers) bad(out *sinks.Outcome) {
	if n.out == nil {
		n.out = out
	}
}

func (n *numbers) read(name string, f field) decimal.Decimal {
	d, err := decimal.NewFromString(f.Value)
	if err != nil {
		n.bad(rejected("NUMBER", name, fmt.Sprintf("%s is %q, not a decimal.", name, f.Value), "Map it to an amount such as -1150.00."))
	}
	return d
}

func (n *numbers) need(name, value string) {
	if value == "" {
		n.bad(rejected("REQUIRED", name, name+" is empty.", "Fill it in the mapping."))
	}
}

// takes is what S/4HANA demands of a master record, as far as that is known without asking it.
func takes(entity string) *transform.TargetTable {
	code := transform.TargetField{Name: "code", Required: true, Most: 20, Form: partnerKeys.String(), Means: "capital letters, digits, blanks and . _ / -, at most 20"}
	name := transform.TargetField{Name: "name", Required: true, Most: 160}
	place := []transform.TargetField{{Name: "street", Most: 60}, {Name: "city", Most: 40}, {Name: "postal_code", Most: 10},
		{Name: "state", Form: "^([A-Za-z]{2}-)?[A-Za-z0-9]{1,3}$", Means: "a region, such as TX or US-TX", Needs: "country"},
		{Name: "country", Form: "^[A-Za-z]{2}$", Means: "a country of two letters, such as US"}, {Name: "email", Most: 241}, {Name: "phone", Most: 30}}
	switch entity {
	case customerEntity:
		return &transform.TargetTable{Closed: true, Fields: append(append([]transform.TargetField{code, name}, place...),
			transform.TargetField{Name: "tax_id", Most: 20}, transform.TargetField{Name: "payment_term"}, transform.TargetField{Name: "active"})}
	case locationEntity:
		return &transform.TargetTable{Closed: true, Fields: append(append([]transform.TargetField{code, name}, place...), transform.TargetField{Name: "active"})}
	case itemEntity:
		return &transform.TargetTable{Closed: true, Fields: []transform.TargetField{{Name: "code", Required: true, Most: 40, Form: productKeys.String(), Means: "capital letters, digits and . _ / -, at most 40"},
			{Name: "name", Required: true, Most: 40}, {Name: "unit", Most: 3}, {Name: "active"}}}
	}
	return nil
}
