package businesscentral

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/transform"
)

// master is a kind of record that is found by a code of its own.
type master struct {
	set    string // of the API
	key    string // its code there
	fields []masterField
}

// masterField is a member of a body and the property that it becomes. The lengths are those of the product's tables.
type masterField struct {
	name, theirs string
	most         int
	required     bool
	upper        bool              // a code, which the product writes in upper case
	values       map[string]string // words of the body → words of the API; nil for any text
	decimal      bool
	lookup       string // the set in which the text is a code or a display name, and whose id is written
}

// noID clears a reference.
const noID = "00000000-0000-0000-0000-000000000000"

var (
	blockedCustomer = map[string]string{"true": " ", "false": "All"}
	blockedItem     = map[string]string{"true": "false", "false": "true"}
	itemTypes       = map[string]string{"service": "Service", "inventory": "Inventory", "non_inventory": "Non-Inventory"}
	taxTypes        = map[string]string{"sales_tax": "Sales Tax", "vat": "VAT"}
	taxSets         = map[string]string{"": "taxGroups", "group": "taxGroups", "area": "taxAreas"}
)

var masters = map[string]*master{
	entityCustomer: {set: "customers", key: "number", fields: []masterField{
		{name: "code", theirs: "number", most: documentMost, required: true, upper: true}, {name: "name", theirs: "displayName", most: 100, required: true},
		{name: "street", theirs: "addressLine1", most: 100}, {name: "street2", theirs: "addressLine2", most: 50}, {name: "city", theirs: "city", most: 30},
		{name: "postal_code", theirs: "postalCode", most: 20, upper: true}, {name: "state", theirs: "state", most: 30}, {name: "country", theirs: "country", most: 10, upper: true},
		{name: "email", theirs: "email", most: 80}, {name: "phone", theirs: "phoneNumber", most: 30}, {name: "tax_id", theirs: "taxRegistrationNumber", most: 20},
		{name: "payment_term", theirs: "paymentTermsId", lookup: "paymentTerms"}, {name: "currency", theirs: "currencyCode", most: 10, upper: true},
		{name: "active", theirs: "blocked", values: blockedCustomer}}},
	entityLocation: {set: "locations", key: "code", fields: []masterField{
		{name: "code", theirs: "code", most: 10, required: true, upper: true}, {name: "name", theirs: "displayName", most: 100, required: true},
		{name: "street", theirs: "addressLine1", most: 100}, {name: "street2", theirs: "addressLine2", most: 50}, {name: "city", theirs: "city", most: 30},
		{name: "postal_code", theirs: "postalCode", most: 20, upper: true}, {name: "state", theirs: "state", most: 30}, {name: "country", theirs: "country", most: 10, upper: true},
		{name: "contact", theirs: "contact", most: 100}, {name: "email", theirs: "email", most: 80}, {name: "phone", theirs: "phoneNumber", most: 30}}},
	entityItem: {set: "items", key: "number", fields: []masterField{
		{name: "code", theirs: "number", most: documentMost, required: true, upper: true}, {name: "name", theirs: "displayName", most: 100, required: true},
		{name: "type", theirs: "type", values: itemTypes}, {name: "unit", theirs: "baseUnitOfMeasureCode", most: 10, upper: true},
		{name: "price", theirs: "unitPrice", decimal: true}, {name: "tax", theirs: "taxGroupCode", most: 20, upper: true},
		{name: "category", theirs: "itemCategoryCode", most: 20, upper: true}, {name: "posting_group", theirs: "generalProductPostingGroupCode", most: 20, upper: true},
		{name: "inventory_posting_group", theirs: "inventoryPostingGroupCode", most: 20, upper: true}, {name: "active", theirs: "blocked", values: blockedItem}}},
	entityTaxCode: {set: "taxGroups", key: "code", fields: []masterField{
		{name: "code", theirs: "code", most: 20, required: true, upper: true}, {name: "name", theirs: "displayName", most: 100, required: true},
		{name: "kind", values: taxSets}, {name: "type", theirs: "taxType", values: taxTypes}}},
}

// takes is what the body must be, as far as it is known without asking.
func (m *master) takes() *transform.TargetTable {
	t := &transform.TargetTable{Closed: true}
	for _, f := range m.fields {
		tf := transform.TargetField{Name: f.name, Required: f.required, Most: f.most}
		if f.values != nil && f.values["true"] == "" { // a truth value is none of texts
			tf.Values = slices.DeleteFunc(slices.Sorted(maps.Keys(f.values)), func(v string) bool { return v == "" })
		}
		t.Fields = append(t.Fields, tf)
	}
	return t
}

// masterRequest is the frozen intent: the wanted properties with their names resolved.
type masterRequest struct {
	Set    string         `json:"set"`
	Key    string         `json:"key"`    // property that is the code
	Code   string         `json:"code"`   // its value
	Wanted map[string]any `json:"wanted"` // properties: texts, truth values, decimals
	First  map[string]any `json:"first"`  // beside them, of a record that is created
	// Was is what was written last, Kept what a person left as it is there since, by field, and Take whose value a person chose now.
	Was  map[string]any    `json:"was,omitempty"`
	Kept map[string]string `json:"kept,omitempty"`
	// Stored is what Business Central itself made of values when they were written last, such as a city in other letters.
	Stored map[string]string `json:"stored,omitempty"`
	Take   string            `json:"take,omitempty"`
}

func (x *exchange) prepareMaster(op sinks.Operation) (masterRequest, *sinks.Outcome) {
	m := masters[op.Entity]
	req := masterRequest{Set: m.set, Key: m.key, Wanted: map[string]any{}, First: map[string]any{}}
	var body map[string]field
	if err := json.Unmarshal(op.Body, &body); err != nil {
		return req, misfit(err.Error(), m.known())
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.ContainsFunc(m.fields, func(f masterField) bool { return f.name == name }) {
			return req, misfit(fmt.Sprintf("unknown field %q", name), m.known())
		}
	}
	if first, second, two := strings.Cut(body["street"].Value, "\n"); two { // an address has two lines there
		if body["street2"].Value != "" || strings.Contains(second, "\n") {
			return req, rejected("TOO_LONG", "street", "The street has more than two lines.", "Business Central has two lines for an address; shorten it in the source or in the mapping.")
		}
		body["street"], body["street2"] = field{true, strings.TrimSpace(first)}, field{true, strings.TrimSpace(second)}
	}
	for _, f := range m.fields {
		if out := x.want(&req, f, body[f.name]); out != nil {
			return req, out
		}
	}
	req.Code, _ = req.Wanted[m.key].(string)
	if op.Entity == entityItem && !body["unit"].Set {
		req.First["baseUnitOfMeasureCode"] = x.cfg.Unit
	}
	out := x.last(op, &req)
	return req, out
}

func (m *master) known() string {
	var all []string
	for _, f := range m.fields {
		all = append(all, f.name)
	}
	return strings.Join(all, ", ")
}

// want puts a member of the body into the request.
func (x *exchange) want(req *masterRequest, f masterField, v field) *sinks.Outcome {
	switch {
	case f.required && v.Value == "":
		return rejected("REQUIRED", f.name, f.name+" is empty.", "Fill it in the mapping.")
	case !v.Set:
		return nil
	case f.most > 0 && len([]rune(v.Value)) > f.most:
		return rejected("TOO_LONG", f.name, fmt.Sprintf("%s has %d characters: %q.", f.name, len([]rune(v.Value)), v.Value), fmt.Sprintf("Business Central takes %d; shorten it in the source or in the mapping.", f.most))
	case f.values != nil:
		word, ok := f.values[v.Value]
		if !ok {
			return rejected("VALUE", f.name, fmt.Sprintf("%s is %q.", f.name, v.Value), "It is one of "+strings.Join(slices.Sorted(maps.Keys(f.values)), ", ")+".")
		}
		switch {
		case f.theirs == "":
			req.Set = word // of a tax code: which of the two sets
		case word == "true" || word == "false":
			req.Wanted[f.theirs] = word == "true"
		default:
			req.Wanted[f.theirs] = word
		}
	case f.lookup != "" && v.Value == "":
		req.Wanted[f.theirs] = noID
	case f.lookup != "":
		id, out := x.idOf(f.lookup, f.name, f.name, v.Value)
		if out != nil {
			return out
		}
		req.Wanted[f.theirs] = id
	case f.decimal:
		d, err := decimal.NewFromString(v.Value)
		if err != nil {
			return rejected("NUMBER", f.name, fmt.Sprintf("%s is %q, not a decimal.", f.name, v.Value), "Map it to an amount such as 12.50.")
		}
		req.Wanted[f.theirs] = number(d)
	case f.theirs == "currencyCode":
		req.Wanted[f.theirs] = x.books.theirs(v.Value)
	case f.upper:
		req.Wanted[f.theirs] = strings.ToUpper(v.Value)
	default:
		req.Wanted[f.theirs] = v.Value
	}
	return nil
}

// there finds the record; nil without an outcome: there is none.
func (x *exchange) there(req masterRequest) (record, *sinks.Outcome) {
	rows, out := x.find(req.Set, req.Key+" eq "+quoted(req.Code), 2)
	switch {
	case out != nil || len(rows) == 0:
		return nil, out
	case len(rows) > 1:
		return nil, conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("Business Central has more than one record %s in %s.", req.Code, req.Set), "Delete all but one there, then retry.")
	}
	return rows[0], nil
}

var encoded = regexp.MustCompile(`_x([0-9A-Fa-f]{4})_`)

// changes are the wanted properties that differ in a record.
func (x *exchange) changes(req masterRequest, r record) map[string]any {
	diff := map[string]any{}
	for name, want := range req.Wanted {
		if !x.same(r, name, want) {
			diff[name] = want
		}
	}
	return diff
}

// same compares a property with a value that is written.
func (x *exchange) same(r record, name string, want any) bool {
	got := encoded.ReplaceAllStringFunc(r.text(name), func(s string) string {
		var c rune
		_, _ = fmt.Sscanf(s, "_x%04X_", &c) // the pattern has four hexadecimal digits
		return string(c)
	})
	same := strings.TrimSpace(got) == strings.TrimSpace(fmt.Sprint(want))
	switch want := want.(type) {
	case json.Number:
		a, err := decimal.NewFromString(want.String())
		b, ok := r.amount(name)
		same = err == nil && ok && a.Equal(b)
	case string:
		same = same || name == "currencyCode" && strings.EqualFold(x.books.iso(got), x.books.iso(want)) || want == noID && got == ""
	}
	return same
}

func readMaster(in sinks.Intent) (req masterRequest, out *sinks.Outcome) {
	if err := decode(in.Request, &req); err != nil {
		return req, rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	return req, nil
}

// upsert creates the record, or writes what differs.
func (x *exchange) upsert(in sinks.Intent) sinks.Outcome {
	req, out := readMaster(in)
	if out != nil {
		return *out
	}
	r, out := x.there(req)
	if out != nil {
		return *out
	}
	var after record
	if r == nil {
		body := maps.Clone(req.First)
		if body == nil {
			body = map[string]any{}
		}
		maps.Copy(body, req.Wanted)
		out = x.write(&after, http.MethodPost, req.Set, "", body)
		if out != nil && out.Code == codeExists { // somebody made it in the same moment: it is read and written the next time
			out.Class, out.Hint = sinks.RetryLater, ""
		}
	} else {
		if edits := x.settle(masters[in.Entity], &req, r); len(edits) > 0 {
			return *changedInTarget(req, edits)
		}
		diff := x.changes(req, r)
		if len(diff) == 0 {
			return x.masterOutcome(sinks.AlreadyApplied, masters[in.Entity], req, r)
		}
		out = x.write(&after, http.MethodPatch, req.Set+"("+r.id()+")", r.etag(), diff)
		if out != nil && out.Class == sinks.Conflict && out.Code == codeChanged { // it was read a moment ago, and the next time it is read again
			out.Class, out.Hint = sinks.RetryLater, ""
		}
	}
	if out != nil {
		return *out
	}
	if after.id() == "" {
		return sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "Business Central answered no id of the record.", Hint: hintAgain}
	}
	return x.masterOutcome(sinks.Applied, masters[in.Entity], req, after)
}

// verifyMaster reads the record. One that differs is absent rather than in conflict: an upsert may be sent again.
func (x *exchange) verifyMaster(in sinks.Intent) sinks.Outcome {
	req, out := readMaster(in)
	if out != nil {
		return *out
	}
	r, out := x.there(req)
	switch {
	case out != nil:
		return *out
	case r == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("Business Central has no %s in %s.", req.Code, req.Set)}
	}
	x.settle(masters[in.Entity], &req, r) // what a person left is not compared; what nobody has judged differs
	if diff := x.changes(req, r); len(diff) > 0 {
		return sinks.Outcome{Class: sinks.Absent, Message: clip("The record has other values of "+strings.Join(slices.Sorted(maps.Keys(diff)), ", ")+".", 500)}
	}
	return x.masterOutcome(sinks.AlreadyApplied, masters[in.Entity], req, r)
}

func (x *exchange) masterOutcome(class sinks.Class, m *master, req masterRequest, r record) sinks.Outcome {
	facts := map[string]string{"code": req.Code}
	for field, there := range req.Kept {
		facts[sinks.KeptFact+field] = there
	}
	for name := range x.changes(req, r) {
		facts[storedFact+m.calls(name)] = r.text(name)
	}
	return sinks.Outcome{Class: class, Ref: r.id(), Number: req.Code, Facts: facts}
}
