package netsuite

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"waybill/sinks"
)

// names remembers what names mean in this account. One that is not found is asked again each time.
type names struct {
	mu  sync.Mutex
	ids map[string]string // type|name → internal id
}

// nameRows bounds the cache; past it everything is asked again.
const nameRows = 10_000

func newNames() *names { return &names{ids: map[string]string{}} }

func (n *names) get(key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ids[key]
}

func (n *names) put(key, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ids) >= nameRows {
		clear(n.ids)
	}
	n.ids[key] = id
}

// lookup resolves a name to an internal id.
type lookup struct {
	kind  string // record type
	by    string // the field that holds the name
	what  string // for people
	code  string
	field string // of the body, or of the configuration
}

var (
	lookSubsidiary = lookup{"subsidiary", "name", "subsidiary", "COMPANY", "subsidiary"}
	lookCurrency   = lookup{"currency", "symbol", "currency", "UNKNOWN_CURRENCY", "currency"}
	lookTerm       = lookup{"term", "name", "payment term", "UNKNOWN_TERM", "payment_term"}
	lookAccount    = lookup{"account", "acctNumber", "account", "UNKNOWN_ACCOUNT", "lines.account"}
	lookTaxType    = lookup{"taxType", "name", "tax type", "UNKNOWN_TAX", "lines.tax"}
	lookLocation   = lookup{"location", "name", "location", "UNKNOWN_LOCATION", "location"}
)

func (s *Sink) lookItem() lookup {
	return lookup{s.cfg.ItemType, first(s.cfg.Fields["item.code"], "itemId"), "item", "UNKNOWN_PRODUCT", "lines.product"}
}

func (s *Sink) lookTax() lookup {
	return lookup{"salesTaxItem", first(s.cfg.Fields["tax_code.code"], "name"), "tax code", "UNKNOWN_TAX", "lines.tax"}
}

var internalID = regexp.MustCompile(`^id:(-?[0-9]+)$`)

// resolve finds the internal id of a name, which may also be "id:42" or "eid:X".
func (x *exchange) resolve(l lookup, name string) (string, *sinks.Outcome) {
	if m := internalID.FindStringSubmatch(name); m != nil {
		return m[1], nil
	}
	cached := l.kind + "|" + name
	if id := x.names.get(cached); id != "" {
		return id, nil
	}
	found, out := x.matches(l, name)
	if out != nil {
		return "", out
	}
	switch {
	case len(found) == 0:
		return "", rejected(l.code, l.field, fmt.Sprintf("NetSuite has no %s %q.", l.what, name), fmt.Sprintf("Create the %s in NetSuite, or correct the name in the mapping.", l.what))
	case len(found) > 1:
		return "", rejected(l.code, l.field, fmt.Sprintf("NetSuite has more than one %s %q.", l.what, name), "Name one of them by its internal id: id:42.")
	}
	x.names.put(cached, found[0])
	return found[0], nil
}

func (x *exchange) matches(l lookup, name string) ([]string, *sinks.Outcome) {
	if eid, ok := strings.CutPrefix(name, "eid:"); ok {
		r, out := x.get(recordPath+l.kind+"/eid:"+url.PathEscape(eid), nil)
		if out != nil || r == nil {
			return nil, out
		}
		return []string{r.text("id")}, nil
	}
	value, ok := quoted(name)
	if !ok {
		return nil, rejected(l.code, l.field, fmt.Sprintf("%q cannot be looked for in NetSuite.", name), "Name it by its internal id: id:42.")
	}
	rows, out := x.query(l.kind, l.by+" IS "+value)
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.text("id"))
	}
	return ids, out
}

// subsidiary is the one of a company of the mapping; "" in an account without.
func (x *exchange) subsidiary(company string) (string, *sinks.Outcome) {
	name := x.cfg.Subsidiary
	if company != "" {
		if own, ok := x.cfg.Subsidiaries[company]; ok {
			name = own
		} else if len(x.cfg.Subsidiaries) > 0 {
			return "", rejected("COMPANY", "company", fmt.Sprintf("No subsidiary is configured for company %q.", company), "Add it under subsidiaries of the sink.")
		}
	}
	if name == "" {
		return "", nil
	}
	id, out := x.resolve(lookSubsidiary, name)
	if out != nil && out.Class == sinks.Rejected {
		out.Class = sinks.Setup // nothing of this company can be posted
	}
	return id, out
}

// party finds the customer of a code: by our external id, else by NetSuite's own id of the entity, for one that was there before us.
func (x *exchange) party(company, code string) (string, *sinks.Outcome) {
	unknown := rejected("UNKNOWN_CUSTOMER", "party", fmt.Sprintf("NetSuite has no customer %q.", code), "Deliver the customer first, or give the one in NetSuite our external id.")
	look := lookup{"customer", "entityId", "customer", unknown.Code, unknown.Field}
	if internalID.MatchString(code) || strings.HasPrefix(code, "eid:") {
		return x.resolve(look, code)
	}
	key, err := encodeKey(x.cfg.Prefix, company, code)
	if err != nil {
		return "", rejected("KEY", "party", err.Error(), unknown.Hint)
	}
	r, out := x.get(recordPath+"customer/eid:"+url.PathEscape(key), nil)
	switch {
	case out != nil:
		return "", out
	case r != nil && r.truth("isInactive"):
		return "", rejected(unknown.Code, "party", fmt.Sprintf("The customer %q is inactive in NetSuite.", code), "Make it active again.")
	case r != nil:
		return r.text("id"), nil
	}
	ids, out := x.matches(look, code)
	switch {
	case out != nil:
		return "", out
	case len(ids) != 1:
		return "", unknown
	}
	return ids[0], nil
}

// item is the item by which a line is booked, whose income account must be the line's where NetSuite tells it.
func (x *exchange) item(at string, product, account string) (string, *sinks.Outcome) {
	name := product
	for _, of := range []string{product, account} {
		if own, ok := x.cfg.Items[of]; ok && of != "" {
			name = own
			break
		}
	}
	if name == "" {
		return "", rejected("UNKNOWN_PRODUCT", at+"product", fmt.Sprintf("The line has no product, and no item is configured for account %q.", account),
			"NetSuite books by items: map the line's product, or name the account's item under items of the sink.")
	}
	id, out := x.resolve(x.lookItem(), name)
	if out != nil {
		out.Field = at + "product"
		return "", out
	}
	if account == "" {
		return id, nil
	}
	return id, x.booksTo(at, name, id, account)
}

// booksTo compares the income account of an item with the line's, which NetSuite does not take.
func (x *exchange) booksTo(at, name, id, account string) *sinks.Outcome {
	cached := "income|" + id
	income := x.names.get(cached)
	if income == "" {
		r, out := x.get(recordPath+x.cfg.ItemType+"/"+url.PathEscape(id), nil)
		if out != nil {
			return out
		}
		if income = r.sub("incomeAccount").text("refName"); income == "" {
			return nil // it does not tell
		}
		x.names.put(cached, income)
	}
	if income == account || strings.HasPrefix(income, account+" ") {
		return nil
	}
	return rejected("ACCOUNT_MISMATCH", at+"account", fmt.Sprintf("The line is for account %s, and NetSuite books the item %s to %s.", account, name, income),
		"Correct the account in the mapping, or the item's income account in NetSuite.")
}
