package netsuite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/transform"
)

// How a member of a master stands in NetSuite.
const (
	asText    = "text"
	asFlag    = "flag"    // active, which is isInactive turned
	asRef     = "ref"     // by a name, which is resolved
	asPercent = "percent" // a number, which NetSuite shows with a sign behind it
	asAddress = "address" // part of the one address
)

// member is one member of a master's body.
type member struct {
	name, at string // canonical, and NetSuite's
	how      string
	required bool
	most     int // characters; 0 without bound [K: NetSuite's own bounds]
	form     string
	means    string
	look     *lookup // of asRef
}

// masterKind is one kind of master data.
type masterKind struct {
	entity     string // its word in the mapping
	kind       string // record type; "" that of items in the configuration
	members    []member
	fixed      record // sent when the record is created
	book       bool   // the address is the first line of addressBook, and not mainAddress
	subsidiary string // how the subsidiary stands: one, many, or none
}

func addressMembers() []member {
	return []member{{name: "street", at: "addr1", how: asAddress, most: 150}, {name: "city", at: "city", how: asAddress, most: 50},
		{name: "postal_code", at: "zip", how: asAddress, most: 36}, {name: "state", at: "state", how: asAddress, form: "^([A-Za-z]{2}-)?[A-Za-z0-9]{1,3}$", means: "a subdivision of ISO 3166-2, such as TX or US-TX"},
		{name: "country", at: "country", how: asAddress, form: "^[A-Za-z]{2}$", means: "a country of ISO 3166-1, such as US"}}
}

// masters are the entities that are kept up to date, by their names in the mapping.
var masters = map[string]masterKind{
	"customer": {entity: "customer", kind: "customer", fixed: record{"isPerson": false}, book: true, subsidiary: "one", members: slices.Concat([]member{
		{name: "code", at: "accountNumber", how: asText, required: true, most: 99}, {name: "name", at: "companyName", how: asText, required: true, most: 83}}, addressMembers(), []member{
		{name: "email", at: "email", how: asText, most: 254}, {name: "phone", at: "phone", how: asText, most: 32}, {name: "tax_id", at: "vatRegNumber", how: asText, most: 20},
		{name: "payment_term", at: "terms", how: asRef, look: &lookTerm}, {name: "active", at: "isInactive", how: asFlag}})},
	"location": {entity: "location", kind: "location", subsidiary: "many", members: slices.Concat([]member{
		{name: "code", at: "", how: asText, required: true, most: 99}, {name: "name", at: "name", how: asText, required: true, most: 31}}, addressMembers(), []member{
		{name: "active", at: "isInactive", how: asFlag}})},
	"item": {entity: "item", subsidiary: "many", members: []member{
		{name: "code", at: "itemId", how: asText, required: true, most: 60}, {name: "name", at: "displayName", how: asText, required: true, most: 60},
		{name: "description", at: "salesDescription", how: asText, most: 999}, {name: "account", at: "incomeAccount", how: asRef, look: &lookAccount}, {name: "active", at: "isInactive", how: asFlag}}},
	"tax_code": {entity: "tax_code", kind: "salesTaxItem", members: []member{
		{name: "code", at: "name", how: asText, required: true, most: 60}, {name: "name", at: "", how: asText}, {name: "description", at: "description", how: asText, most: 999},
		{name: "rate", at: "rate", how: asPercent}, {name: "tax_type", at: "taxType", how: asRef, look: &lookTaxType}, {name: "active", at: "isInactive", how: asFlag}}},
}

// table is what NetSuite demands of a master, as far as it is known without asking.
func (m masterKind) table() *transform.TargetTable {
	t := &transform.TargetTable{Closed: true}
	for _, f := range m.members {
		t.Fields = append(t.Fields, transform.TargetField{Name: f.name, Required: f.required, Most: f.most, Form: f.form, Means: f.means})
	}
	return t
}

// textFields are the members that fields of the configuration may move.
func textFields() []string {
	all := map[string]bool{}
	for entity, m := range masters {
		for _, f := range m.members {
			if f.how == asText && f.at != "" {
				all[entity+"."+f.name] = true
			}
		}
	}
	return sortedKeys(all)
}

func isTextField(name string) bool { return slices.Contains(textFields(), name) }

// at is where a member stands in this account.
func (s *Sink) at(m masterKind, f member) string {
	if own := s.cfg.Fields[m.entity+"."+f.name]; own != "" && f.how == asText {
		return own
	}
	return f.at
}

// wanted is the frozen intent of a master: its members as texts that compare, references by their ids.
type wanted struct {
	Code       string            `json:"code"`
	Subsidiary string            `json:"subsidiary,omitempty"`
	Values     map[string]string `json:"values"`
	Words      map[string]string `json:"words,omitempty"` // names of the references, for people
	// Was is what was written last, Kept what a person left as it is in NetSuite since, and Take whose value a person chose now.
	Was  map[string]string `json:"was,omitempty"`
	Kept map[string]string `json:"kept,omitempty"`
	Take string            `json:"take,omitempty"`
}

func (x *exchange) prepareMaster(op sinks.Operation, key string) (request, *sinks.Outcome) {
	m := masters[op.Entity]
	req := request{Type: m.kind, Key: key}
	if req.Type == "" {
		req.Type = x.cfg.ItemType
	}
	values, words, out := x.readMaster(m, op.Body)
	if out != nil {
		return req, out
	}
	req.Master = &wanted{Code: values["code"], Values: values, Words: words}
	if m.subsidiary != "" {
		if req.Master.Subsidiary, out = x.subsidiary(op.Company); out != nil {
			return req, out
		}
	}
	if op.Last == nil {
		return req, nil
	}
	was, _, out := x.readMaster(m, op.Last.Body)
	if out != nil {
		if out.Class == sinks.Rejected { // a name that was there then is no more: nothing can be told from it
			return req, nil
		}
		return req, out
	}
	req.Master.Was, req.Master.Take, req.Master.Kept = was, op.Take, map[string]string{}
	for name, v := range op.Last.Facts {
		if field, ok := strings.CutPrefix(name, sinks.KeptFact); ok {
			req.Master.Kept[field] = v
		}
	}
	return req, nil
}

// readMaster reads a body: a member that is not there leaves NetSuite's value alone; null or "" clears it.
func (x *exchange) readMaster(m masterKind, raw json.RawMessage) (values, words map[string]string, out *sinks.Outcome) {
	var body map[string]field
	if err := decode(raw, &body); err != nil {
		return nil, nil, rejected("BODY", "", "The body of the posting does not fit: "+err.Error(), "Correct the posting in the mapping.")
	}
	values, words = map[string]string{}, map[string]string{}
	var names []string
	for _, f := range m.members {
		names = append(names, f.name)
		v, there := body[f.name]
		delete(body, f.name)
		if f.required && v.Value == "" {
			return nil, nil, rejected("REQUIRED", f.name, f.name+" is empty.", "Fill it in the mapping.")
		}
		if !there {
			continue
		}
		if values[f.name], out = x.valueOf(f, v.Value); out != nil {
			return nil, nil, out
		}
		if f.how == asRef && v.Value != "" {
			words[f.name] = v.Value
		}
	}
	if len(body) > 0 {
		return nil, nil, rejected("BODY", sortedKeys(body)[0], fmt.Sprintf("The body of the posting has the unknown field %q.", sortedKeys(body)[0]),
			"Correct the posting in the mapping; its fields are "+strings.Join(names, ", ")+".")
	}
	return values, words, nil
}

// valueOf is a member as a text that compares with what NetSuite shows.
func (x *exchange) valueOf(f member, v string) (string, *sinks.Outcome) {
	if n := len([]rune(v)); f.most > 0 && n > f.most {
		return "", rejected("TOO_LONG", f.name, fmt.Sprintf("%s has %d characters; NetSuite takes %d.", f.name, n, f.most), "Shorten the value in the source or in the mapping.")
	}
	switch {
	case f.how == asPercent && v != "":
		d, err := decimal.NewFromString(strings.TrimSpace(strings.TrimSuffix(v, "%")))
		if err != nil {
			return "", rejected("NUMBER", f.name, fmt.Sprintf("%s is %q, not a number of percent.", f.name, v), "Map it to a number such as 8.25.")
		}
		return d.String(), nil
	case f.how == asFlag && v != "true" && v != "false":
		return "", rejected("FLAG", f.name, fmt.Sprintf("%s is %q.", f.name, v), "Map it to true or false.")
	case f.how == asRef && v != "":
		id, out := x.resolve(*f.look, v)
		if out != nil {
			out.Field = f.name
		}
		return id, out
	case f.name == "state":
		if _, short, ok := strings.Cut(v, "-"); ok {
			v = short
		}
		return strings.ToUpper(v), nil
	case f.name == "country":
		if v != "" && len(v) != 2 {
			return "", rejected("COUNTRY", f.name, fmt.Sprintf("%s is %q.", f.name, v), "Map it to a country of ISO 3166-1, such as US.")
		}
		return strings.ToUpper(v), nil
	}
	return strings.TrimSpace(v), nil
}

// there are the members of a record as texts that compare; those that NetSuite does not show are not there.
func (x *exchange) there(m masterKind, r record) map[string]string {
	is := map[string]string{}
	address := m.address(r)
	for _, f := range m.members {
		switch at := x.at(m, f); {
		case at == "": // the external id says it
		case f.how == asFlag:
			is[f.name] = fmt.Sprint(!r.truth(at))
		case f.how == asRef:
			is[f.name] = r.ref(at)
		case f.how == asPercent:
			is[f.name] = strings.TrimSpace(strings.TrimSuffix(r.text(at), "%"))
			if d, err := decimal.NewFromString(is[f.name]); err == nil {
				is[f.name] = d.String()
			}
		case f.how == asAddress:
			is[f.name] = strings.TrimSpace(address.ref(at))
		default:
			is[f.name] = strings.TrimSpace(r.text(at))
		}
	}
	return is
}

// address is the one that is compared: the line for billing, or the first; nil for none.
func (m masterKind) address(r record) record {
	if !m.book {
		return r.sub("mainAddress")
	}
	lines := r.items("addressBook")
	for _, l := range lines {
		if l.truth("defaultBilling") {
			return l.sub("addressBookAddress")
		}
	}
	if len(lines) > 0 {
		return lines[0].sub("addressBookAddress")
	}
	return nil
}

// same compares phone numbers by their digits, for NetSuite formats them; everything else as it is.
func same(field, a, b string) bool {
	if field != "phone" {
		return a == b
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
