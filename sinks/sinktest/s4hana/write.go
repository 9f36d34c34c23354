package s4hana

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

// The codes of refused bodies, as the gateway writes them.
const (
	codeParse = "CX_SXML_PARSE_ERROR/001560AA0E081DEB8CA398CC1690D406"
	codeData  = "/IWBEP/CM_MGW_RT/022"
)

// part is one entity of a deep body.
type part struct {
	set    string
	values map[string]any
	below  []part
}

// readPart reads a body by the properties of its set.
func readPart(name string, raw json.RawMessage, deep bool) (p part, fault string) {
	s := sets[name]
	p = part{set: name, values: map[string]any{}}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(raw, &body); err != nil {
		return p, "Error while parsing the request body of " + name
	}
	for _, member := range slices.Sorted(maps.Keys(body)) {
		if member == "__metadata" {
			continue
		}
		if prop, known := s.props[member]; known {
			v, wrong := decodeValue(prop, body[member])
			if wrong != "" {
				return p, "Property '" + member + "' " + wrong
			}
			p.values[member] = v
			continue
		}
		to, known := s.navs[member]
		if !known || !deep {
			return p, "Property '" + member + "' is invalid in type '" + name + "Type'"
		}
		below, fault := readBelow(to, body[member], single(member))
		if fault != "" {
			return p, fault
		}
		p.below = append(p.below, below...)
	}
	return p, ""
}

func readBelow(to string, raw json.RawMessage, single bool) (parts []part, fault string) {
	entities := []json.RawMessage{raw}
	if !single {
		var wrapped struct {
			Results []json.RawMessage `json:"results"`
		}
		if json.Unmarshal(raw, &entities) != nil {
			if json.Unmarshal(raw, &wrapped) != nil || wrapped.Results == nil {
				return nil, "A list of " + to + " is expected"
			}
			entities = wrapped.Results
		}
	}
	for _, e := range entities {
		p, fault := readPart(to, e, true)
		if fault != "" {
			return nil, fault
		}
		parts = append(parts, p)
	}
	return parts, ""
}

// post creates an entity with those below it. related are the keys that the address gives.
func (t *tx) post(c call, name string, related map[string]string) reply {
	if !sets[name].writes {
		return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method 'POST' not supported for entity set "+name)
	}
	if !strings.HasPrefix(c.header.Get("Content-Type"), "application/json") {
		return fault(c.service, http.StatusUnsupportedMediaType, "/IWFND/CM_CONSUMER/106", "Unsupported content type "+c.header.Get("Content-Type"))
	}
	p, wrong := readPart(name, c.body, true)
	if wrong != "" {
		return fault(c.service, http.StatusBadRequest, codeParse, wrong)
	}
	made, wrong := t.create(p, related)
	if wrong != "" {
		return fault(c.service, http.StatusBadRequest, codeData, wrong)
	}
	t.log(name, "create", made)
	answer := jsonReply(http.StatusCreated, map[string]any{"d": t.fresh().encodeRow(name, made, nil, expanded(p))})
	answer.header.Set("Location", address(name, made))
	if sets[name].etag {
		answer.header.Set("ETag", made.etag())
	}
	return answer
}

// fresh reads without delay: the answer to a write shows what it wrote.
func (t *tx) fresh() *tx {
	now := *t
	now.behind = 0
	return &now
}

// expanded are the navigation properties that a deep body used.
func expanded(p part) (navs []string) {
	for nav, to := range sets[p.set].navs {
		if slices.ContainsFunc(p.below, func(b part) bool { return b.set == to }) {
			navs = append(navs, nav)
		}
	}
	return navs
}

// create adds a row by the rules of its set, and then what is below it.
func (t *tx) create(p part, related map[string]string) (made row, wrong string) {
	for k, v := range related {
		if given := text(p.values[k]); given != "" && given != v {
			return made, "Key " + k + " of the body differs from the address"
		}
		p.values[k] = v
	}
	if rule := rules[p.set]; rule != nil {
		if wrong = rule(t, p.values); wrong != "" {
			return made, wrong
		}
	}
	if _, there := t.data.get(p.set, keysOf(p.set, p.values)); there {
		return made, fmt.Sprintf("%s %s already exists", strings.TrimPrefix(p.set, "A_"), strings.Join(slices.Sorted(maps.Values(keysOf(p.set, p.values))), " "))
	}
	made = t.data.put(p.set, row{values: p.values})
	for _, below := range p.below {
		if now, there := t.data.get(p.set, keysOf(p.set, made.values)); there {
			made = now // a role has made the customer
		}
		if below.set == "A_Customer" {
			wrong = t.customer(below, made)
		} else {
			_, wrong = t.create(below, relation(below.set, made))
		}
		if wrong != "" {
			return made, wrong
		}
	}
	if now, there := t.data.get(p.set, keysOf(p.set, made.values)); there {
		made = now // what is below may have changed it
	}
	return made, ""
}

// rules fill and check an entity before it is created.
var rules = map[string]func(*tx, map[string]any) string{
	"A_BusinessPartner": func(t *tx, v map[string]any) string {
		switch {
		case !strings.Contains("123", text(v["BusinessPartnerCategory"])) || text(v["BusinessPartnerCategory"]) == "":
			return "Enter a business partner category: 1 person, 2 organization, 3 group"
		case text(v["BusinessPartnerCategory"]) == "2" && text(v["OrganizationBPName1"]) == "":
			return "Enter a name for the organization"
		case text(v["BusinessPartnerCategory"]) == "1" && text(v["LastName"]) == "":
			return "Enter a last name"
		}
		if text(v["BusinessPartner"]) == "" {
			v["BusinessPartner"] = strings.TrimLeft(t.data.next("BusinessPartner", 10100001), "0")
		}
		v["BusinessPartnerFullName"] = text(v["OrganizationBPName1"]) + text(v["LastName"])
		v["CreationDate"] = time.Now().UTC().Format(dateForm)
		v["Customer"] = nil // by its roles
		return ""
	},
	"A_BusinessPartnerAddress": func(t *tx, v map[string]any) string {
		if text(v["Country"]) == "" {
			return "Enter a country for the address"
		}
		if text(v["AddressID"]) == "" {
			v["AddressID"] = strings.TrimLeft(t.data.next("Address", 20001), "0")
		}
		return ""
	},
	"A_AddressEmailAddress": ordinal,
	"A_AddressPhoneNumber":  ordinal,
	"A_BusinessPartnerRole": func(t *tx, v map[string]any) string {
		role := text(v["BusinessPartnerRole"])
		if !slices.Contains([]string{"FLCU00", "FLCU01", "FLVN00", "FLVN01", "BUP001", "000000"}, role) {
			return "Business partner role " + role + " does not exist"
		}
		if strings.HasPrefix(role, "FLCU") {
			return t.becomesCustomer(text(v["BusinessPartner"]))
		}
		return ""
	},
	"A_Customer": func(t *tx, v map[string]any) string { return "A customer is created with its business partner" },
	"A_CustomerCompany": func(t *tx, v map[string]any) string {
		if _, known := t.options.Companies[text(v["CompanyCode"])]; !known {
			return "Company code " + text(v["CompanyCode"]) + " does not exist"
		}
		return ""
	},
	"A_Product": func(t *tx, v map[string]any) string {
		for _, needed := range []string{"Product", "ProductType", "BaseUnit"} {
			if text(v[needed]) == "" {
				return "Enter a value for " + needed
			}
		}
		return ""
	},
}

func ordinal(t *tx, v map[string]any) string {
	if text(v["OrdinalNumber"]) == "" {
		v["OrdinalNumber"] = strings.TrimLeft(t.data.next("Ordinal/"+text(v["AddressID"]), 1), "0")
	}
	if v["Person"] == nil {
		v["Person"] = ""
	}
	return ""
}

// becomesCustomer makes the customer of a business partner that got the role.
func (t *tx) becomesCustomer(partner string) string {
	bp, there := t.data.get("A_BusinessPartner", map[string]string{"BusinessPartner": partner})
	if !there {
		return "Business partner " + partner + " does not exist"
	}
	if text(bp.values["Customer"]) != "" {
		return ""
	}
	values := maps.Clone(bp.values)
	values["Customer"] = partner
	t.data.put("A_BusinessPartner", row{values: values})
	t.data.put("A_Customer", row{values: map[string]any{"Customer": partner, "CustomerName": bp.values["BusinessPartnerFullName"], "CreationDate": bp.values["CreationDate"]}})
	return ""
}

// customer fills the customer that a role has made, with its company codes and sales areas [S: public samples of the deep insert].
func (t *tx) customer(p part, partner row) string {
	found, there := t.data.get("A_Customer", map[string]string{"Customer": text(partner.values["Customer"])})
	if !there {
		return "Business partner " + text(partner.values["BusinessPartner"]) + " has no role of a customer"
	}
	values := maps.Clone(found.values)
	maps.Copy(values, p.values)
	t.data.put("A_Customer", row{values: values})
	for _, below := range p.below {
		if _, wrong := t.create(below, relation(below.set, found)); wrong != "" {
			return wrong
		}
	}
	return ""
}

// patch changes properties of an entity; what is below it is changed by itself.
func (t *tx) patch(c call, name string, found row) reply {
	if !strings.HasPrefix(c.header.Get("Content-Type"), "application/json") {
		return fault(c.service, http.StatusUnsupportedMediaType, "/IWFND/CM_CONSUMER/106", "Unsupported content type "+c.header.Get("Content-Type"))
	}
	p, wrong := readPart(name, c.body, false)
	if wrong != "" {
		return fault(c.service, http.StatusBadRequest, codeParse, wrong)
	}
	values := maps.Clone(found.values)
	for k, v := range p.values {
		if slices.Contains(sets[name].keys, k) && text(v) != text(found.values[k]) {
			return fault(c.service, http.StatusBadRequest, codeData, "Key "+k+" cannot be changed")
		}
		values[k] = v
	}
	made := t.data.put(name, row{values: values})
	t.log(name, "update", made)
	answer := reply{status: http.StatusNoContent, header: http.Header{}}
	if sets[name].etag {
		answer.header.Set("ETag", made.etag())
	}
	return answer
}

func (t *tx) drop(c call, name string, found row) reply {
	if name == "A_BusinessPartner" || name == "A_Product" {
		return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method 'DELETE' not supported for entity set "+name)
	}
	t.data.remove(name, keysOf(name, found.values))
	t.log(name, "update", found)
	return reply{status: http.StatusNoContent, header: http.Header{}}
}

// log notes what was done to a business partner or a product, or to what is below them.
func (t *tx) log(name, step string, r row) {
	line := sinktest.Committed{Entity: "item", Step: step}
	switch {
	case name == "A_Product":
		line.Key, line.ID = text(r.values["Product"]), text(r.values["Product"])
	case strings.HasPrefix(name, "A_Product"):
		line.Step, line.Key, line.ID = "update", text(r.values["Product"]), text(r.values["Product"])
	default:
		line.Entity = "customer"
		bp := r
		if name != "A_BusinessPartner" {
			line.Step = "update"
			bp, _ = t.data.get("A_BusinessPartner", map[string]string{"BusinessPartner": text(r.values["BusinessPartner"]) + text(r.values["Customer"])})
		}
		line.ID, line.Key = text(bp.values["BusinessPartner"]), t.legacyKey(bp)
		line.Number = line.ID
	}
	raw, err := json.Marshal(r.values)
	if err != nil {
		panic("writing the ledger: " + err.Error()) // of the simulator's own values
	}
	line.Body = raw
	t.lines = append(t.lines, line)
}

// legacyKey is the key of another system: an identification, else the id by an external system, else the search term.
func (t *tx) legacyKey(bp row) string {
	for _, r := range t.data.rows["A_BuPaIdentification"] {
		if bp.values != nil && r.values["BusinessPartner"] == bp.values["BusinessPartner"] {
			return text(r.values["BPIdentificationNumber"])
		}
	}
	if key := text(bp.values["BusinessPartnerIDByExtSystem"]); key != "" {
		return key
	}
	return text(bp.values["SearchTerm1"])
}
