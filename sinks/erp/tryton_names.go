package erp

import (
	"fmt"
	"sync"
	"time"

	"waybill/sinks"
)

// names remembers what configured names and codes mean in this database, so that an id is never configuration. A name
// that is not found is asked again each time; one that turns out to be stale makes all be forgotten.
type names struct {
	mu   sync.Mutex
	rows map[string]record // model|field|value
	co   company
}

// company is the one that the sink posts into.
type company struct {
	id       int64
	party    int64
	name     string
	code     string
	currency string
	zone     *time.Location
	born     string // creation times of company and party, for Identity
}

// nameRows bounds the cache; past it everything is asked again.
const nameRows = 10_000

func newNames() *names { return &names{rows: map[string]record{}} }

func (n *names) company() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.co.id
}

func (n *names) get(key string) (record, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.rows[key]
	return r, ok
}

func (n *names) put(key string, r record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rows) >= nameRows {
		clear(n.rows)
	}
	n.rows[key] = r
}

func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rows)
	n.co = company{}
}

// lookup resolves a name of a document to its row.
type lookup struct {
	model  string
	by     string // the field that holds the name
	fields []string
	what   string // for people
	code   string
	field  string // of the body, or of the configuration
	owned  bool   // rows belong to a company
}

var (
	lookCurrency = lookup{"currency.currency", "code", []string{"digits"}, "currency", "UNKNOWN_CURRENCY", "currency", false}
	lookTerm     = lookup{"account.invoice.payment_term", "name", nil, "payment term", "UNKNOWN_TERM", "payment_term", false}
	lookProduct  = lookup{"product.product", "code", []string{"default_uom.digits"}, "product", "UNKNOWN_PRODUCT", "lines.product", false}
	lookAccount  = lookup{"account.account", "code", []string{"closed"}, "account", "UNKNOWN_ACCOUNT", "lines.account", true}
	lookTax      = lookup{"account.tax", "name", []string{"type", "rate", "invoice_account", "credit_note_account", "childs",
		"description"}, "tax", "UNKNOWN_TAX", "lines.tax", true}
)

func (x *exchange) resolve(l lookup, name string) (record, *sinks.Outcome) {
	key := l.model + "|" + name
	if r, ok := x.names.get(key); ok {
		return r, nil
	}
	co, out := x.companyOf()
	if out != nil {
		return nil, out
	}
	domain := []any{[]any{l.by, "=", name}}
	if l.owned {
		domain = append(domain, []any{"company", "=", co.id})
	}
	rows, out := x.find(l.model, domain, 2, append([]string{l.by}, l.fields...), nil)
	if out != nil {
		return nil, out
	}
	switch len(rows) {
	case 0:
		return nil, rejected(l.code, l.field, fmt.Sprintf("Tryton has no %s %q in company %s.", l.what, name, co.name),
			fmt.Sprintf("Create the %s in Tryton, or correct the name in the mapping.", l.what))
	case 2:
		return nil, rejected(l.code, l.field, fmt.Sprintf("Tryton has more than one %s %q.", l.what, name),
			fmt.Sprintf("Rename or archive all but one %s in Tryton.", l.what))
	}
	x.names.put(key, rows[0])
	return rows[0], nil
}

// companyOf finds the configured company, once.
func (x *exchange) companyOf() (company, *sinks.Outcome) {
	x.names.mu.Lock()
	co := x.names.co
	x.names.mu.Unlock()
	if co.id != 0 {
		return co, nil
	}
	var domain []any
	if want := x.cfg.Company; want != "" {
		domain = []any{"OR", []any{"party.name", "=", want}, []any{"party.code", "=", want}}
	} else {
		var prefs record
		if out := x.read(&prefs, "res.user", "get_preferences", nil, true); out != nil {
			return co, out
		}
		domain = []any{[]any{"id", "=", prefs.id("company")}}
	}
	rows, out := x.find("company.company", domain, 2, []string{"party.name", "party.code", "party.create_date", "create_date",
		"currency.code", "timezone"}, nil)
	if out != nil {
		return co, out
	}
	if len(rows) != 1 {
		return co, setup("COMPANY", "company", fmt.Sprintf("Tryton shows %d companies named %q to user %s.", len(rows), x.cfg.Company, x.cfg.User),
			"Set company to the name or the code of its party, and add the company to the user.")
	}
	r := rows[0]
	p := r.sub("party")
	co = company{id: r.id("id"), party: p.id("id"), name: p.text("name"), code: p.text("code"), currency: r.sub("currency").text("code"),
		zone: time.UTC, born: r.instant("create_date") + "/" + p.instant("create_date")}
	for _, z := range []string{x.cfg.TimeZone, r.text("timezone")} {
		if z == "" {
			continue
		}
		if zone, err := time.LoadLocation(z); err == nil {
			co.zone = zone
		}
		break
	}
	x.names.mu.Lock()
	x.names.co = co
	x.names.mu.Unlock()
	return co, nil
}

// journal is the journal of revenue.
func (x *exchange) journal() (int64, *sinks.Outcome) {
	key := "account.journal|"
	if r, ok := x.names.get(key); ok {
		return r.id("id"), nil
	}
	domain := []any{[]any{"type", "=", "revenue"}}
	if j := x.cfg.Journal; j != "" {
		domain = append(domain, []any{"OR", []any{"name", "=", j}, []any{"code", "=", j}})
	}
	rows, out := x.find("account.journal", domain, 1, []string{"name"}, nil)
	if out != nil {
		return 0, out
	}
	if len(rows) == 0 {
		return 0, setup("UNKNOWN_JOURNAL", "journal", fmt.Sprintf("Tryton has no revenue journal %q.", x.cfg.Journal),
			"Set journal to the name or code of a journal of type Revenue.")
	}
	x.names.put(key, rows[0])
	return rows[0].id("id"), nil
}

// receivable is the receivable account of a party, or the company's default.
func (x *exchange) receivable(party record) (int64, *sinks.Outcome) {
	if id := party.id("account_receivable"); id != 0 {
		return id, nil
	}
	key := "account.configuration|"
	r, ok := x.names.get(key)
	if !ok {
		var rows []record
		if out := x.read(&rows, "account.configuration", "read", nil, []int{1}, []string{"default_account_receivable"}); out != nil {
			return 0, out
		}
		if len(rows) == 0 || rows[0].id("default_account_receivable") == 0 {
			return 0, setup("UNKNOWN_ACCOUNT", "party", "Tryton has no default receivable account for this company.",
				"Set it in Tryton under Financial / Configuration.")
		}
		r = rows[0]
		x.names.put(key, r)
	}
	return r.id("default_account_receivable"), nil
}
