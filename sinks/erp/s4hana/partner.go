package s4hana

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"waybill/sinks"
)

// partnerRequest is the frozen intent of a business partner.
type partnerRequest struct {
	ID    string            `json:"message_id"`
	Field string            `json:"field"` // that holds the key
	Key   string            `json:"key"`
	Name  string            `json:"name,omitempty"` // "" leaves that of S/4HANA
	Roles []string          `json:"roles"`
	Texts map[string]string `json:"texts"` // wanted values by the words of the body; "" clears
	Live  *bool             `json:"active,omitempty"`
	Sells bool              `json:"customer,omitempty"` // it has data of the company code
	// Was is what was written last, Kept what a person left as it is in S/4HANA since, and Take whose value a person chose now.
	Was  *partnerRequest   `json:"was,omitempty"`
	Kept map[string]string `json:"kept,omitempty"`
	Take string            `json:"take,omitempty"`
}

// A customer is found by its first search term or its number in an external system, a location by its second search term: their codes may be the
// same.
const (
	customerField = "SearchTerm1"
	externalField = "BusinessPartnerIDByExtSystem"
	locationField = "SearchTerm2"
)

func (x *exchange) prepareCustomer(op sinks.Operation, _ time.Time) (any, *sinks.Outcome) {
	return x.preparePartner(op, x.wantCustomer)
}

func (x *exchange) prepareLocation(op sinks.Operation, _ time.Time) (any, *sinks.Outcome) {
	return x.preparePartner(op, x.wantLocation)
}

// preparePartner asks for the partner, so that what stops it is known before anything is frozen.
func (x *exchange) preparePartner(op sinks.Operation, want func(sinks.Operation) (partnerRequest, *sinks.Outcome)) (any, *sinks.Outcome) {
	req, out := want(op)
	if out != nil {
		return nil, out
	}
	if _, out := x.partner(req.Field, req.Key); out != nil {
		return nil, out
	}
	return req, x.last(op, &req, want)
}

// wantCustomer is what a body of a customer wants.
func (x *exchange) wantCustomer(op sinks.Operation) (none partnerRequest, out *sinks.Outcome) {
	var b partner
	if out := strict(op.Body, &b); out != nil {
		return none, out
	}
	req := partnerRequest{ID: x.messageID(op, stepUpsert), Field: x.cfg.Partner.Key, Key: b.Code, Name: strings.TrimSpace(b.Name), Roles: x.cfg.Partner.Roles, Live: b.Active, Sells: true,
		Texts: map[string]string{}}
	if b.TaxID.Value != "" && x.cfg.Partner.TaxType == "" {
		return none, rejected("TAX_ID", "tax_id", "The customer has a tax number, and its type is not known.", "Set partner.tax_type in the sink's configuration, such as US1.")
	}
	if b.PaymentTerm.Set {
		term, out := x.term(b.PaymentTerm.Value)
		if out != nil {
			return none, out
		}
		req.Texts["payment_term"] = term
	}
	if b.TaxID.Set && x.cfg.Partner.TaxType != "" {
		req.Texts["tax_id"] = b.TaxID.Value
	}
	return req.place(map[string]field{"street": b.Street, "city": b.City, "postal_code": b.PostalCode, "state": b.State, "country": b.Country, "email": b.Email, "phone": b.Phone})
}

// term is the key of a payment term.
func (x *exchange) term(word string) (string, *sinks.Outcome) {
	if key, named := x.cfg.PaymentTerms[word]; named {
		return key, nil
	}
	if len(word) > 4 {
		return "", rejected("UNKNOWN_TERM", "payment_term", fmt.Sprintf("The payment term %q is not in payment_terms, and no key of S/4HANA.", word), "Add it to payment_terms in the sink's configuration.")
	}
	return word, nil
}

// wantLocation is what a body of a location wants.
func (x *exchange) wantLocation(op sinks.Operation) (none partnerRequest, out *sinks.Outcome) {
	var b location
	if out := strict(op.Body, &b); out != nil {
		return none, out
	}
	req := partnerRequest{ID: x.messageID(op, stepUpsert), Field: locationField, Key: b.Code, Name: strings.TrimSpace(b.Name), Roles: x.cfg.Partner.LocationRoles, Live: b.Active, Texts: map[string]string{}}
	return req.place(map[string]field{"street": b.Street, "city": b.City, "postal_code": b.PostalCode, "state": b.State, "country": b.Country, "email": b.Email, "phone": b.Phone})
}

// place fills in and looks at what both have in common.
func (req partnerRequest) place(fields map[string]field) (partnerRequest, *sinks.Outcome) {
	if req.Key == "" || req.Name == "" {
		return req, rejected("REQUIRED", "code, name", fmt.Sprintf("code is %q and name is %q; both are needed.", req.Key, req.Name), "Fill them in the mapping.")
	}
	if !partnerKeys.MatchString(req.Key) {
		return req, rejected("KEY", "code", fmt.Sprintf("The code %q cannot be kept in a search term.", req.Key), "A code has at most 20 characters: capital letters, digits, blanks and . _ / -.")
	}
	if utf8.RuneCountInString(req.Name) > 4*nameMost {
		return req, rejected("NAME", "name", "The name has more than 160 characters.", "Shorten it in the source.")
	}
	for name, f := range fields {
		if f.Set {
			req.Texts[name] = f.Value
		}
	}
	req.Texts["country"] = strings.ToUpper(req.Texts["country"])
	if !fields["country"].Set {
		delete(req.Texts, "country")
	}
	if state := strings.ToUpper(req.Texts["state"]); state != "" {
		country, region, both := strings.Cut(state, "-")
		if !both {
			country, region = req.Texts["country"], state
		}
		if country == "" {
			return req, rejected("REQUIRED", "country", fmt.Sprintf("The state %q has no country.", state), "Map the country too, or write the state as US-TX.")
		}
		req.Texts["state"] = region
	}
	return req, nil
}

const partnerExpand = "to_BusinessPartnerAddress/to_EmailAddress,to_BusinessPartnerAddress/to_PhoneNumber,to_BusinessPartnerTax,to_Customer/to_CustomerCompany"

// partner finds a partner by its search term; nil without an outcome means that there is none.
func (x *exchange) partner(field, key string) (object, *sinks.Outcome) {
	all, out := x.query(partnerService+"A_BusinessPartner", field+" eq "+quoted(key), partnerExpand, "")
	if out != nil || len(all) == 0 {
		return nil, out
	}
	if len(all) > 1 {
		var ids []string
		for _, p := range all {
			ids = append(ids, p.text("BusinessPartner"))
		}
		return nil, conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("S/4HANA has %d business partners with %s %s: %s.", len(all), field, key, strings.Join(ids, ", ")),
			"Take the search term from all but the right one in S/4HANA, then retry.")
	}
	return all[0], nil
}

// upsertPartner makes the partner, or changes what differs.
func (x *exchange) upsertPartner(in sinks.Intent) sinks.Outcome {
	var req partnerRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	p, out := x.partner(req.Field, req.Key)
	if out != nil {
		return *out
	}
	if p == nil {
		made, out := x.write(partnerService, []change{{Method: http.MethodPost, Path: "A_BusinessPartner", Body: x.newPartner(req)}}, in, req.ID)
		if out != nil {
			return *out
		}
		return partnerOutcome(sinks.Applied, made, req)
	}
	if edits := req.settle(x.there(p)); len(edits) > 0 {
		return *changedInTarget(req.Key, edits)
	}
	changes := x.partnerChanges(p, req)
	if len(changes) == 0 {
		return partnerOutcome(sinks.AlreadyApplied, p, req)
	}
	if _, out := x.write(partnerService, changes, in, req.ID); out != nil {
		return *out
	}
	return partnerOutcome(sinks.Applied, p, req)
}

// verifyPartner reads the partner. One that differs is absent rather than in conflict: an upsert may be sent again.
func (x *exchange) verifyPartner(in sinks.Intent) sinks.Outcome {
	var req partnerRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	p, out := x.partner(req.Field, req.Key)
	switch {
	case out != nil:
		return *out
	case p == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("S/4HANA has no business partner with %s %s.", req.Field, req.Key)}
	}
	req.settle(x.there(p))
	if changes := x.partnerChanges(p, req); len(changes) > 0 {
		return sinks.Outcome{Class: sinks.Absent, Ref: p.text("BusinessPartner"), Message: "The business partner has other values in " + keysOf(changes) + "."}
	}
	return partnerOutcome(sinks.AlreadyApplied, p, req)
}

func partnerOutcome(class sinks.Class, p object, req partnerRequest) sinks.Outcome {
	id := p.text("BusinessPartner")
	if id == "" {
		return sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "S/4HANA made a business partner and did not say which."}
	}
	facts := map[string]string{"party": req.Key, "name": req.Name}
	if req.Name == "" {
		facts["name"] = fullName(p)
	}
	for field, there := range req.Kept {
		facts[sinks.KeptFact+field] = there
	}
	return sinks.Outcome{Class: class, Ref: id, Number: id, Facts: facts}
}
