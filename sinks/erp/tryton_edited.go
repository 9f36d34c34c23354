package erp

import (
	"fmt"
	"slices"
	"strings"

	"waybill/sinks"
	"waybill/transform"
)

// customerTable is what Tryton demands of a customer, as far as it is known without asking: names of payment terms, countries and states
// are resolved when it is sent.
func (t *Tryton) customerTable() *transform.TargetTable {
	fields := []transform.TargetField{{Name: "code", Required: true}, {Name: "name", Required: true}, {Name: "street"}, {Name: "city"}, {Name: "postal_code"},
		{Name: "state", Form: "^([A-Za-z]{2}-)?[A-Za-z0-9]{1,3}$", Means: "a subdivision of ISO 3166-2, such as TX or US-TX"},
		{Name: "country", Form: "^[A-Za-z]{2,3}$", Means: "a country of ISO 3166-1, such as US"}, {Name: "email"}, {Name: "phone"}, {Name: "tax_id"},
		{Name: "payment_term"}, {Name: "active"}}
	if t.cfg.TaxIDType == "us_ein" {
		fields[9].Form, fields[9].Means = `^\d{2}-?\d{7}$`, "an EIN: nine digits"
	}
	return &transform.TargetTable{Fields: fields, Closed: true}
}

// edit is a field that was changed in Tryton since it was written.
type edit struct{ field, there, last, wanted string }

// last resolves what was written last, so that what somebody else wrote since is told from it.
func (x *exchange) last(op sinks.Operation, req *customerRequest) *sinks.Outcome {
	if op.Last == nil {
		return nil
	}
	was := op
	was.Body, was.Last = op.Last.Body, nil
	before, out := x.prepareCustomer(was)
	if out != nil {
		if out.Class == sinks.Rejected { // a name that was there then is no more: nothing can be told from it
			return nil
		}
		return out
	}
	req.Was, req.Take, req.Kept = &before, op.Take, map[string]string{}
	for name, v := range op.Last.Facts {
		if field, ok := strings.CutPrefix(name, sinks.KeptFact); ok {
			req.Kept[field] = v
		}
	}
	return nil
}

// there are the fields of a party in the form of a request.
func (x *exchange) there(p record) customerRequest {
	at := invoiceAddress(p)
	live := p.truth("active")
	r := customerRequest{Code: p.text("code"), Live: &live, Texts: map[string]string{"name": p.text("name"), "street": strings.TrimSpace(at.text("street")),
		"city": at.text("city"), "postal_code": at.text("postal_code"), "email": firstPart(p.list("contact_mechanisms"), "email", "value"),
		"phone": firstPart(p.list("contact_mechanisms"), "phone", "value"), "tax_id": firstPart(p.list("identifiers"), x.cfg.TaxIDType, "code")},
		IDs: map[string]int64{"country": at.id("country"), "subdivision": at.id("subdivision"), "payment_term": p.id("customer_payment_term")}}
	r.Words = map[string]string{"payment_term": p.sub("customer_payment_term").text("name"), "country": at.sub("country").text("code"),
		"subdivision": at.sub("subdivision").text("code")}
	return r
}

func firstPart(parts []record, kind, name string) string {
	for _, c := range parts {
		if c.text("type") == kind {
			return c.text(name)
		}
	}
	return ""
}

// fields are what the request says, by field, as text that compares; ids are their numbers.
func (r *customerRequest) fields() map[string]string {
	all := map[string]string{"active": fmt.Sprint(r.Live == nil || *r.Live)}
	for name, v := range r.Texts {
		all[name] = strings.TrimSpace(v)
	}
	for name, id := range r.IDs {
		all[name] = itoa(id)
	}
	return all
}

// shown is a field for people: an id by its name.
func (r *customerRequest) shown(field, value string) string {
	if _, byID := r.IDs[field]; byID {
		value = r.Words[field]
	}
	return orNone(value)
}

// settle compares what is wanted with what was written last and what is there now. It returns the fields that somebody else changed and
// that are wanted otherwise, unless a person has chosen; fields in which Tryton's value stays are taken out of the request, and
// remembered in Kept.
func (req *customerRequest) settle(there customerRequest) []edit {
	if req.Was == nil {
		return nil
	}
	want, was, is := req.fields(), req.Was.fields(), there.fields()
	kept := map[string]string{}
	var edits []edit
	for _, field := range sortedNames(want) {
		last, written := was[field]
		if !written || sameContact(field, is[field], want[field]) || sameContact(field, is[field], last) {
			continue // nobody else wrote it, or the same
		}
		before, stays := req.Kept[field]
		stays = stays && sameContact(field, is[field], before) && sameContact(field, want[field], last)
		switch {
		case stays, req.Take == sinks.TakeTheirs:
			req.leave(field, there)
			kept[field] = is[field]
		case req.Take != sinks.TakeOurs:
			edits = append(edits, edit{field, there.shown(field, is[field]), req.Was.shown(field, last), req.shown(field, want[field])})
		}
	}
	req.Kept = kept
	return edits
}

func sortedNames(m map[string]string) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// leave takes a field out of the request, so that Tryton's value stays.
func (req *customerRequest) leave(field string, there customerRequest) {
	if field == "active" {
		req.Live = there.Live
	}
	delete(req.Texts, field)
	delete(req.IDs, field)
}

// changedInTarget is the outcome of edits that nobody has judged: both values of each field.
func changedInTarget(code string, edits []edit) *sinks.Outcome {
	var texts, names []string
	facts := map[string]string{}
	for _, e := range edits {
		names = append(names, e.field)
		texts = append(texts, fmt.Sprintf("%s is %q there, %q was written, %q is wanted", e.field, e.there, e.last, e.wanted))
		facts["there."+e.field], facts["last."+e.field], facts["wanted."+e.field] = e.there, e.last, e.wanted
	}
	o := conflict(sinks.CodeChanged, fmt.Sprintf("Somebody changed the party %s in Tryton: %s.", code, strings.Join(texts, "; ")),
		"Choose whose value stays: waybill master settle <exception> --take ours, or --take theirs.")
	o.Field, o.Facts = strings.Join(names, ", "), facts
	return o
}
