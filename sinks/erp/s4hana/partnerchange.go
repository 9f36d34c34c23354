package s4hana

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const nameMost = 40

// names splits a name into the four of a partner.
func names(name string) object {
	runes := []rune(name)
	o := object{}
	for i := range 4 {
		n := min(nameMost, len(runes))
		o[fmt.Sprintf("OrganizationBPName%d", i+1)] = strings.TrimRight(string(runes[:n]), " ") // a field keeps no blanks at its end
		runes = runes[n:]
	}
	return o
}

// The words of a body, and the properties of an address.
var addressWords = map[string]string{"street": "StreetName", "city": "CityName", "postal_code": "PostalCode", "state": "Region", "country": "Country"}

// newPartner is the body of a deep insert.
func (x *exchange) newPartner(req partnerRequest) object {
	o := object{"BusinessPartnerCategory": "2", req.Field: req.Key}
	for name, part := range names(req.Name) {
		if part != "" {
			o[name] = part
		}
	}
	if x.cfg.Partner.Grouping != "" {
		o["BusinessPartnerGrouping"] = x.cfg.Partner.Grouping
	}
	if req.Live != nil && !*req.Live {
		o["BusinessPartnerIsBlocked"] = true
	}
	address := object{"Language": x.cfg.Partner.Language}
	for word, property := range addressWords {
		if v := req.Texts[word]; v != "" {
			address[property] = v
		}
	}
	if v := req.Texts["email"]; v != "" {
		address["to_EmailAddress"] = several(object{"EmailAddress": v})
	}
	if v := req.Texts["phone"]; v != "" {
		address["to_PhoneNumber"] = several(object{"PhoneNumber": v})
	}
	o["to_BusinessPartnerAddress"] = several(address)
	roles := []object{}
	for _, role := range req.Roles {
		roles = append(roles, object{"BusinessPartnerRole": role})
	}
	o["to_BusinessPartnerRole"] = several(roles...)
	if v := req.Texts["tax_id"]; v != "" {
		o["to_BusinessPartnerTax"] = several(object{"BPTaxType": x.cfg.Partner.TaxType, "BPTaxNumber": v})
	}
	if req.Sells && x.cfg.Partner.ReconciliationAccount != "" {
		o["to_Customer"] = object{"to_CustomerCompany": several(x.newCompany(req))}
	}
	return o
}

func several(all ...object) object { return object{"results": all} }

// newCompany are a customer's data of the company code.
func (x *exchange) newCompany(req partnerRequest) object {
	o := object{"CompanyCode": x.cfg.Company, "ReconciliationAccount": x.cfg.Partner.ReconciliationAccount}
	if v := req.Texts["payment_term"]; v != "" {
		o["PaymentTerms"] = v
	}
	return o
}

// partnerChanges are what makes p what is wanted, in a fixed order; none when it is so already.
func (x *exchange) partnerChanges(p object, req partnerRequest) (all []change) {
	id := p.text("BusinessPartner")
	head := object{}
	if req.Name != "" {
		head = differ(p, names(req.Name))
	}
	if live := req.Live == nil || *req.Live; live == p.truth("BusinessPartnerIsBlocked") {
		head["BusinessPartnerIsBlocked"] = !live
	}
	all = appendChange(all, p, "A_BusinessPartner("+quoted(id)+")", head)
	wanted := object{}
	for word, property := range addressWords {
		if v, set := req.Texts[word]; set {
			wanted[property] = v
		}
	}
	addresses := p.list("to_BusinessPartnerAddress")
	if len(addresses) == 0 {
		if body := x.firstAddress(req, wanted); len(body) > 0 {
			body["BusinessPartner"] = id
			all = append(all, change{Method: http.MethodPost, Path: "A_BusinessPartnerAddress", Body: body})
		}
	} else {
		a := addresses[0]
		at := "A_BusinessPartnerAddress(BusinessPartner=" + quoted(id) + ",AddressID=" + quoted(a.text("AddressID")) + ")"
		all = appendChange(all, a, at, differ(a, wanted))
		for _, c := range []struct{ word, set, property, many string }{{"email", "A_AddressEmailAddress", "EmailAddress", "to_EmailAddress"}, {"phone", "A_AddressPhoneNumber", "PhoneNumber", "to_PhoneNumber"}} {
			if v, set := req.Texts[c.word]; set {
				all = append(all, contact(a, at, c.set, c.property, c.many, v)...)
			}
		}
	}
	all = append(all, x.taxChange(p, id, req)...)
	return append(all, x.companyChange(p, req)...)
}

// firstAddress is an address with its contacts, nil when nothing of it is wanted.
func (x *exchange) firstAddress(req partnerRequest, wanted object) object {
	body := object{}
	for name, v := range wanted {
		if v != "" {
			body[name] = v
		}
	}
	if v := req.Texts["email"]; v != "" {
		body["to_EmailAddress"] = several(object{"EmailAddress": v})
	}
	if v := req.Texts["phone"]; v != "" {
		body["to_PhoneNumber"] = several(object{"PhoneNumber": v})
	}
	if len(body) > 0 {
		body["Language"] = x.cfg.Partner.Language
	}
	return body
}

// contact changes the first e-mail address or telephone number of an address.
func contact(a object, at, set, property, many, wanted string) []change {
	list := a.list(many)
	switch {
	case len(list) == 0 && wanted == "":
		return nil
	case len(list) == 0:
		return []change{{Method: http.MethodPost, Path: at + "/" + many, Body: object{property: wanted}}}
	}
	one := list[0]
	path := fmt.Sprintf("%s(AddressID=%s,Person=%s,OrdinalNumber=%s)", set, quoted(one.text("AddressID")), quoted(one.text("Person")), quoted(one.text("OrdinalNumber")))
	switch {
	case one.text(property) == wanted:
		return nil
	case wanted == "":
		return []change{{Method: http.MethodDelete, Path: path, ETag: one.etag()}}
	}
	return []change{{Method: http.MethodPatch, Path: path, ETag: one.etag(), Body: object{property: wanted}}}
}

func (x *exchange) taxChange(p object, id string, req partnerRequest) []change {
	wanted, set := req.Texts["tax_id"]
	if !set {
		return nil
	}
	path := "A_BusinessPartnerTaxNumber(BusinessPartner=" + quoted(id) + ",BPTaxType=" + quoted(x.cfg.Partner.TaxType) + ")"
	for _, t := range p.list("to_BusinessPartnerTax") {
		switch {
		case t.text("BPTaxType") != x.cfg.Partner.TaxType:
			continue
		case t.text("BPTaxNumber") == wanted:
			return nil
		case wanted == "":
			return []change{{Method: http.MethodDelete, Path: path, ETag: t.etag()}}
		}
		return []change{{Method: http.MethodPatch, Path: path, ETag: t.etag(), Body: object{"BPTaxNumber": wanted}}}
	}
	if wanted == "" {
		return nil
	}
	return []change{{Method: http.MethodPost, Path: "A_BusinessPartnerTaxNumber", Body: object{"BusinessPartner": id, "BPTaxType": x.cfg.Partner.TaxType, "BPTaxNumber": wanted}}}
}

// companyChange keeps the payment terms of the company code. Where the customer has no data of it, they are made if the sink has a
// reconciliation account to make them with.
func (x *exchange) companyChange(p object, req partnerRequest) []change {
	if !req.Sells {
		return nil
	}
	customer := customerOf(p)
	for _, c := range p.sub("to_Customer").list("to_CustomerCompany") {
		if c.text("CompanyCode") != x.cfg.Company {
			continue
		}
		wanted, set := req.Texts["payment_term"]
		if !set || c.text("PaymentTerms") == wanted {
			return nil
		}
		return []change{{Method: http.MethodPatch, Path: "A_CustomerCompany(Customer=" + quoted(customer) + ",CompanyCode=" + quoted(x.cfg.Company) + ")", ETag: c.etag(), Body: object{"PaymentTerms": wanted}}}
	}
	if x.cfg.Partner.ReconciliationAccount == "" {
		return nil
	}
	body := x.newCompany(req)
	body["Customer"] = customer
	return []change{{Method: http.MethodPost, Path: "A_CustomerCompany", Body: body}}
}

// customerOf is the customer's number, which is that of its partner unless the system numbers them apart.
func customerOf(p object) string {
	if c := p.text("Customer"); c != "" {
		return c
	}
	return p.text("BusinessPartner")
}

// differ are the wanted properties that o does not have.
func differ(o, wanted object) object {
	d := object{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if o.text(name) != wanted[name] {
			d[name] = wanted[name]
		}
	}
	return d
}

func appendChange(all []change, o object, path string, body object) []change {
	if len(body) == 0 {
		return all
	}
	return append(all, change{Method: http.MethodPatch, Path: path, ETag: o.etag(), Body: body})
}
