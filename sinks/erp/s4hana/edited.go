package s4hana

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/sinks"
)

// edit is a field that somebody changed in S/4HANA since it was written.
type edit struct{ field, there, last, wanted string }

// last resolves what was written last, so that what somebody else wrote since is told from it. prepare is that of the entity.
func (x *exchange) last(op sinks.Operation, req *partnerRequest, prepare func(sinks.Operation) (partnerRequest, *sinks.Outcome)) *sinks.Outcome {
	if op.Last == nil {
		return nil
	}
	was := op
	was.Body, was.Last = op.Last.Body, nil
	before, out := prepare(was)
	if out != nil {
		if out.Class == sinks.Rejected { // what could be written then cannot be now: nothing can be told from it
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

// there are the fields of a partner in the form of a request.
func (x *exchange) there(p object) partnerRequest {
	live := !p.truth("BusinessPartnerIsBlocked")
	r := partnerRequest{Name: fullName(p), Live: &live, Texts: map[string]string{}}
	if all := p.list("to_BusinessPartnerAddress"); len(all) > 0 {
		for word, property := range addressWords {
			r.Texts[word] = all[0].text(property)
		}
		for word, at := range map[string][2]string{"email": {"to_EmailAddress", "EmailAddress"}, "phone": {"to_PhoneNumber", "PhoneNumber"}} {
			if list := all[0].list(at[0]); len(list) > 0 {
				r.Texts[word] = list[0].text(at[1])
			}
		}
	}
	for _, t := range p.list("to_BusinessPartnerTax") {
		if t.text("BPTaxType") == x.cfg.Partner.TaxType {
			r.Texts["tax_id"] = t.text("BPTaxNumber")
		}
	}
	for _, c := range p.sub("to_Customer").list("to_CustomerCompany") {
		if c.text("CompanyCode") == x.cfg.Company {
			r.Texts["payment_term"] = c.text("PaymentTerms")
		}
	}
	return r
}

// fullName is a name from its parts, for comparing and for people: a blank between two parts is lost.
func fullName(p object) string {
	var all strings.Builder
	for i := range 4 {
		all.WriteString(p.text(fmt.Sprintf("OrganizationBPName%d", i+1)))
	}
	return all.String()
}

// fields are what the request says, by field, as text that compares.
func (req *partnerRequest) fields() map[string]string {
	all := maps.Clone(req.Texts)
	all["name"], all["active"] = fullName(names(req.Name)), fmt.Sprint(req.Live == nil || *req.Live)
	return all
}

// settle compares what is wanted with what was written last and what is there now. It returns the fields that somebody else changed and that are
// wanted otherwise, unless a person has chosen; fields in which S/4HANA's value stays are taken out of the request, and remembered in Kept.
func (req *partnerRequest) settle(there partnerRequest) (edits []edit) {
	if req.Was == nil {
		return nil
	}
	want, was, is := req.fields(), req.Was.fields(), there.fields()
	kept := map[string]string{}
	for _, field := range slices.Sorted(maps.Keys(want)) {
		last, written := was[field]
		if !written || is[field] == want[field] || is[field] == last {
			continue // nobody else wrote it, or the same
		}
		before, stays := req.Kept[field]
		stays = stays && is[field] == before && want[field] == last
		switch {
		case stays, req.Take == sinks.TakeTheirs:
			req.leave(field, there)
			kept[field] = is[field]
		case req.Take != sinks.TakeOurs:
			edits = append(edits, edit{field, orNone(is[field]), orNone(last), orNone(want[field])})
		}
	}
	req.Kept = kept
	return edits
}

// leave takes a field out of the request, so that S/4HANA's value stays.
func (req *partnerRequest) leave(field string, there partnerRequest) {
	switch field {
	case "active":
		req.Live = there.Live
	case "name":
		req.Name = ""
	}
	delete(req.Texts, field)
}

// changedInTarget is the outcome of edits that nobody has judged: both values of each field.
func changedInTarget(key string, edits []edit) *sinks.Outcome {
	var texts, fields []string
	facts := map[string]string{}
	for _, e := range edits {
		fields = append(fields, e.field)
		texts = append(texts, fmt.Sprintf("%s is %q there, %q was written, %q is wanted", e.field, e.there, e.last, e.wanted))
		facts["there."+e.field], facts["last."+e.field], facts["wanted."+e.field] = e.there, e.last, e.wanted
	}
	o := conflict(sinks.CodeChanged, fmt.Sprintf("Somebody changed the business partner %s in S/4HANA: %s.", key, strings.Join(texts, "; ")),
		"Choose whose value stays: waybill master settle <exception> --take ours, or --take theirs.")
	o.Field, o.Facts = strings.Join(fields, ", "), facts
	return o
}
