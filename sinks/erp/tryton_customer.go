package erp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"waybill/sinks"
)

// customer is the body of a customer. A key that is not there leaves Tryton's value alone; null or "" clears it.
type customer struct {
	Code        string `json:"code"`
	Name        string `json:"name"`
	Street      field  `json:"street"`
	City        field  `json:"city"`
	PostalCode  field  `json:"postal_code"`
	State       field  `json:"state"`   // TX, or US-TX
	Country     field  `json:"country"` // US
	Email       field  `json:"email"`
	Phone       field  `json:"phone"`
	TaxID       field  `json:"tax_id"`
	PaymentTerm field  `json:"payment_term"` // by name
	Active      *bool  `json:"active"`
}

// field is a text that may be absent from a body, which is not the same as empty.
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

// MarshalJSON writes what UnmarshalJSON reads.
func (f field) MarshalJSON() ([]byte, error) {
	if f.Value == "" {
		return []byte("null"), nil
	}
	return json.Marshal(f.Value)
}

// customerRequest is the frozen intent: the wanted values with their names resolved.
type customerRequest struct {
	Code  string            `json:"code"`
	Texts map[string]string `json:"texts"` // wanted fields: name, street, city, postal_code, email, phone, tax_id
	IDs   map[string]int64  `json:"ids"`   // country, subdivision, payment_term; 0 clears
	Live  *bool             `json:"active,omitempty"`
	// Words are the names of IDs, for people.
	Words map[string]string `json:"words,omitempty"`
	// Was is what was written last, Kept what a person left as it is in Tryton since, and Take whose value a person chose now.
	Was  *customerRequest  `json:"was,omitempty"`
	Kept map[string]string `json:"kept,omitempty"`
	Take string            `json:"take,omitempty"`
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

func (x *exchange) prepareCustomer(op sinks.Operation) (customerRequest, *sinks.Outcome) {
	var b customer
	req := customerRequest{Texts: map[string]string{}, IDs: map[string]int64{}, Words: map[string]string{}}
	if out := strictBody(op.Body, &b); out != nil {
		return req, out
	}
	if b.Code == "" || b.Name == "" {
		return req, rejected("REQUIRED", "code, name", fmt.Sprintf("code is %q and name is %q; both are needed.", b.Code, b.Name),
			"Fill them in the mapping of the customer.")
	}
	if _, out := x.companyOf(); out != nil {
		return req, out
	}
	req.Code, req.Live, req.Texts["name"] = b.Code, b.Active, strings.TrimSpace(b.Name)
	for name, f := range map[string]field{"street": b.Street, "city": b.City, "postal_code": b.PostalCode, "email": b.Email,
		"phone": b.Phone, "tax_id": b.TaxID} {
		if f.Set {
			req.Texts[name] = f.Value
		}
	}
	for name, f := range map[string]field{"payment_term": b.PaymentTerm, "country": b.Country, "subdivision": b.State} {
		if f.Value != "" {
			req.Words[name] = f.Value
		}
	}
	if b.PaymentTerm.Set {
		req.IDs["payment_term"] = 0
		if b.PaymentTerm.Value != "" {
			term, out := x.resolve(lookTerm, b.PaymentTerm.Value)
			if out != nil {
				return req, out
			}
			req.IDs["payment_term"] = term.id("id")
		}
	}
	if out := x.place(b, req.IDs); out != nil {
		return req, out
	}
	return req, x.last(op, &req)
}

// place resolves country and state.
func (x *exchange) place(b customer, ids map[string]int64) *sinks.Outcome {
	country := strings.ToUpper(b.Country.Value)
	if b.Country.Set {
		ids["country"] = 0
		if country != "" {
			by := "code"
			if len(country) == 3 {
				by = "code3"
			}
			r, out := x.placeRow("country.country", by, country, "country")
			if out != nil {
				return out
			}
			ids["country"], country = r.id("id"), r.text("code")
		}
	}
	if !b.State.Set {
		return nil
	}
	ids["subdivision"] = 0
	state := strings.ToUpper(b.State.Value)
	if state == "" {
		return nil
	}
	if !strings.Contains(state, "-") {
		if country == "" {
			return rejected("REQUIRED", "country", fmt.Sprintf("The state %q has no country.", b.State.Value),
				"Map the country too, or write the state as US-TX.")
		}
		state = country + "-" + state
	}
	r, out := x.placeRow("country.subdivision", "code", state, "state")
	if out != nil {
		return out
	}
	ids["subdivision"] = r.id("id")
	return nil
}

func (x *exchange) placeRow(model, by, code, field string) (record, *sinks.Outcome) {
	key := model + "|" + by + "|" + code
	if r, ok := x.names.get(key); ok {
		return r, nil
	}
	rows, out := x.find(model, []any{[]any{by, "=", code}}, 1, []string{"code"}, nil)
	if out != nil {
		return nil, out
	}
	if len(rows) == 0 {
		return nil, rejected("UNKNOWN_"+strings.ToUpper(field), field, fmt.Sprintf("Tryton has no %s %q.", field, code),
			"Correct it in the source, or load Tryton's countries and subdivisions.")
	}
	x.names.put(key, rows[0])
	return rows[0], nil
}

var partyFields = []string{"code", "name", "active", "_timestamp", "customer_payment_term", "account_receivable", "create_date",
	"addresses.active", "addresses.invoice", "addresses.street", "addresses.city", "addresses.postal_code", "addresses.country",
	"addresses.subdivision", "addresses.country.code", "addresses.subdivision.code", "customer_payment_term.name", "contact_mechanisms.type", "contact_mechanisms.value", "contact_mechanisms.active",
	"identifiers.type", "identifiers.code"}

// party finds a party by its code, archived ones too; nil without an outcome means that there is none.
func (x *exchange) party(code string) (record, *sinks.Outcome) {
	rows, out := x.find("party.party", []any{[]any{"code", "=", code}}, 1, partyFields, record{"active_test": false})
	if out != nil || len(rows) == 0 {
		return nil, out
	}
	return rows[0], nil
}

// upsertCustomer creates the party, or writes what differs, unless somebody else wrote it since it was read.
func (x *exchange) upsertCustomer(in sinks.Intent) sinks.Outcome {
	var req customerRequest
	if err := json.Unmarshal(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	p, out := x.party(req.Code)
	if out != nil {
		return *out
	}
	if p != nil {
		edits := req.settle(x.there(p))
		if len(edits) > 0 {
			return *changedInTarget(req.Code, edits)
		}
		values := x.changes(p, req)
		if len(values) == 0 {
			return customerOutcome(sinks.AlreadyApplied, p, req)
		}
		stamp := record{"_timestamp": map[string]string{"party.party," + itoa(p.id("id")): p.text("_timestamp")}}
		if _, out := x.write(nil, "party.party", "write", stamp, []int64{p.id("id")}, values); out != nil {
			return *out
		}
		return customerOutcome(sinks.Applied, p, req)
	}
	var ids []int64
	values := x.changes(record{"active": true}, req)
	values["code"] = req.Code
	if _, out := x.write(&ids, "party.party", "create", nil, []record{values}); out != nil {
		return *out // a lost race (EXISTS) is certainly not ours: the next attempt finds the party and writes it
	}
	if len(ids) != 1 {
		return sinks.Outcome{Class: sinks.Unknown, Code: "UNRECOGNISED", Message: "Tryton answered no id for the new party."}
	}
	return customerOutcome(sinks.Applied, record{"id": ids[0]}, req)
}

// verifyCustomer reads the party. One that differs is absent rather than in conflict: an upsert may be sent again.
func (x *exchange) verifyCustomer(in sinks.Intent) sinks.Outcome {
	var req customerRequest
	if err := json.Unmarshal(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	p, out := x.party(req.Code)
	switch {
	case out != nil:
		return *out
	case p == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("Tryton has no party %q.", req.Code)}
	}
	req.settle(x.there(p))
	if v := x.changes(p, req); len(v) > 0 {
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return sinks.Outcome{Class: sinks.Absent, Ref: itoa(p.id("id")), Message: "The party has other values in " + strings.Join(keys, ", ") + "."}
	}
	return customerOutcome(sinks.AlreadyApplied, p, req)
}

func customerOutcome(class sinks.Class, p record, req customerRequest) sinks.Outcome {
	name, ours := req.Texts["name"]
	if !ours {
		name = p.text("name")
	}
	facts := map[string]string{"party": req.Code, "name": name}
	for field, there := range req.Kept {
		facts[sinks.KeptFact+field] = there
	}
	return sinks.Outcome{Class: class, Ref: itoa(p.id("id")), Number: req.Code, Facts: facts}
}

// changes are the values that make p what is wanted; empty when it is so already.
func (x *exchange) changes(p record, req customerRequest) record {
	v := record{}
	if want, ok := req.Texts["name"]; ok && want != p.text("name") {
		v["name"] = want
	}
	if live := req.Live == nil || *req.Live; live != p.truth("active") {
		v["active"] = live
	}
	if want, ok := req.IDs["payment_term"]; ok && want != p.id("customer_payment_term") {
		v["customer_payment_term"] = idOrNull(want)
	}
	if cmd := addressChange(p, req); cmd != nil {
		v["addresses"] = []any{cmd}
	}
	var contacts []any
	for _, kind := range []string{"email", "phone"} {
		if want, ok := req.Texts[kind]; ok {
			if cmd := partChange(p.list("contact_mechanisms"), kind, "value", want, sameContact); cmd != nil {
				contacts = append(contacts, cmd)
			}
		}
	}
	if contacts != nil {
		v["contact_mechanisms"] = contacts
	}
	if want, ok := req.Texts["tax_id"]; ok {
		if cmd := partChange(p.list("identifiers"), x.cfg.TaxIDType, "code", want, sameContact); cmd != nil {
			v["identifiers"] = []any{cmd}
		}
	}
	return v
}

// invoiceAddress is the invoice address, or the first; nil for none.
func invoiceAddress(p record) (at record) {
	for _, a := range p.list("addresses") {
		if a.truth("active") && (at == nil || (a.truth("invoice") && !at.truth("invoice"))) {
			at = a
		}
	}
	return at
}

// addressChange writes the invoice address, or the first, or makes one.
func addressChange(p record, req customerRequest) any {
	at := invoiceAddress(p)
	v := record{}
	for _, name := range []string{"street", "city", "postal_code"} {
		if want, ok := req.Texts[name]; ok && want != strings.TrimSpace(at.text(name)) {
			v[name] = want
		}
	}
	for _, name := range []string{"country", "subdivision"} {
		if want, ok := req.IDs[name]; ok && want != at.id(name) {
			v[name] = idOrNull(want)
		}
	}
	if at == nil {
		v["invoice"] = true
		return []any{"create", []record{v}}
	}
	if len(v) == 0 {
		return nil
	}
	return []any{"write", []int64{at.id("id")}, v}
}

// partChange writes the first part of a kind, creates it, or deletes it when the wanted text is empty.
func partChange(parts []record, kind, name, want string, same func(kind, a, b string) bool) any {
	for _, c := range parts {
		if c.text("type") != kind {
			continue
		}
		switch {
		case want == "":
			return []any{"delete", []int64{c.id("id")}}
		case same(kind, c.text(name), want):
			return nil
		}
		return []any{"write", []int64{c.id("id")}, record{name: want}}
	}
	if want == "" {
		return nil
	}
	v := record{name: want}
	if kind != "" {
		v["type"] = kind
	}
	return []any{"create", []record{v}}
}

// sameContact compares phone numbers by their digits, for Tryton formats them; everything else as it is.
func sameContact(kind, a, b string) bool {
	if kind != "phone" {
		return strings.TrimSpace(a) == b
	}
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return r
			}
			return -1
		}, s)
	}
	return digits(a) == digits(b)
}

func idOrNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}
