package businesscentral

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"waybill/sinks"
)

// names remembers what configured names mean in this company, and its setup for a minute. What is not found is asked again each time.
type names struct {
	mu      sync.Mutex
	company record
	ids     map[string]string // set|field|name → id
	books   books
	read    time.Time // when books were
}

const (
	nameMost   = 10_000
	booksFresh = time.Minute
)

func newNames() *names { return &names{ids: map[string]string{}} }

// open points the exchange to the company, and reads its books.
func (x *exchange) open() (out *sinks.Outcome) {
	if out = x.company(); out == nil {
		x.books, out = x.ledger()
	}
	return out
}

// company finds the company once.
func (x *exchange) company() *sinks.Outcome {
	x.names.mu.Lock()
	found := x.names.company
	x.names.mu.Unlock()
	if found == nil {
		var out *sinks.Outcome
		if found, out = x.findCompany(); out != nil {
			return out
		}
		x.names.mu.Lock()
		x.names.company = found
		x.names.mu.Unlock()
	}
	x.base = x.cfg.URL + "/companies(" + found.id() + ")"
	return nil
}

func (x *exchange) findCompany() (record, *sinks.Outcome) {
	x.base = x.cfg.URL
	all, out := x.find("companies", "", 1000)
	if out != nil {
		return nil, out
	}
	var known []string
	for _, field := range []string{"id", "name", "displayName"} { // an id counts before a name that looks like one
		for _, c := range all {
			if strings.EqualFold(c.text(field), x.cfg.Company) {
				return c, nil
			}
			if field == "name" {
				known = append(known, c.text(field))
			}
		}
	}
	return nil, refusal(sinks.Setup, "COMPANY", "company", fmt.Sprintf("Business Central has no company %q; it has %s.", x.cfg.Company, strings.Join(known, ", ")),
		"Correct company in the sink's configuration.")
}

// idOf finds a record by its code, or by its display name, and remembers its id.
func (x *exchange) idOf(set, what, field, name string) (string, *sinks.Outcome) {
	key := set + "|" + strings.ToUpper(name)
	x.names.mu.Lock()
	id := x.names.ids[key]
	x.names.mu.Unlock()
	if id != "" {
		return id, nil
	}
	for _, by := range []string{"code eq " + quoted(strings.ToUpper(name)), "displayName eq " + quoted(name)} {
		rows, out := x.find(set, by, 2)
		if out != nil {
			return "", out
		}
		if len(rows) == 1 {
			x.names.put(key, rows[0].id())
			return rows[0].id(), nil
		}
	}
	return "", rejected("UNKNOWN_"+strings.ToUpper(what), field, fmt.Sprintf("Business Central has no %s %q.", strings.ReplaceAll(what, "_", " "), name),
		"Create it there, or correct the table of codes in the mapping.")
}

func (n *names) put(key, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ids) >= nameMost {
		clear(n.ids)
	}
	n.ids[key] = id
}

// books are what the company's general ledger says about currency and dates.
type books struct {
	currency string // ISO code of the local currency; documents in it name none
	from, to string // postings are allowed between; "" without bound
}

// ledger reads the general ledger setup. Older versions do not offer it: then the company information tells the currency, or the configuration, and
// the posting says whether its date is taken.
func (x *exchange) ledger() (books, *sinks.Outcome) {
	x.names.mu.Lock()
	b, read := x.names.books, x.names.read
	x.names.mu.Unlock()
	if time.Since(read) < booksFresh {
		return b, nil
	}
	rows, out := x.find("generalLedgerSetups", "", 1)
	currency := "localCurrencyCode"
	if out != nil && out.Code == codeAddress {
		rows, out = x.find("companyInformation", "", 1)
		currency = "currencyCode"
	}
	if out != nil && out.Code != codeAddress {
		return b, out
	}
	b = books{currency: x.cfg.Currency}
	if len(rows) > 0 {
		b.from, b.to = rows[0].date("allowPostingFrom"), rows[0].date("allowPostingTo")
		if told := rows[0].text(currency); told != "" {
			b.currency = strings.ToUpper(told)
		}
	}
	if b.currency == "" {
		return b, refusal(sinks.Setup, "COMPANY", "currency", "The API does not tell the company's local currency.", "Set LCY Code in the General Ledger Setup of Business Central, or currency in the sink's configuration.")
	}
	x.names.mu.Lock()
	x.names.books, x.names.read = b, time.Now()
	x.names.mu.Unlock()
	return b, nil
}

// takes reports whether the ledger allows a posting on a date (YYYY-MM-DD).
func (b books) takes(date string) bool {
	return (b.from == "" || b.from <= date) && (b.to == "" || date <= b.to)
}

func (b books) period(field, date string) *sinks.Outcome {
	if b.takes(date) {
		return nil
	}
	return rejected(codePeriod, field, fmt.Sprintf("Postings on %s are not allowed: Business Central takes them from %s to %s.", date, orOpen(b.from), orOpen(b.to)), hintPeriod)
}

func orOpen(date string) string {
	if date == "" {
		return "any date"
	}
	return date
}

// iso is the ISO code of a currency that a document names, "" being the local one.
func (b books) iso(code string) string {
	if code == "" {
		return b.currency
	}
	return code
}

// theirs is what a document names for an ISO code.
func (b books) theirs(iso string) string {
	if strings.EqualFold(iso, b.currency) {
		return ""
	}
	return strings.ToUpper(iso)
}
