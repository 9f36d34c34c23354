package demo

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The customers of Northstar that have a story.
const (
	movedCode = "ACM01" // its account changes while the days run
)

// customer is one account of dispatch, and the code that billing has for it.
type customer struct {
	account, name, street, city, state, zip string
	email, phone, taxID, terms, code        string
	exempt                                  bool   // pays no sales tax
	currency                                string // "" is billing's NULL: USD
}

// carrier is Northstar before the days begin.
type carrier struct {
	customers []customer
	moved     customer // the account that movedCode means from moveDay on
}

var (
	namedCustomers = []string{"Acme Foods", "Café Olé Roasters", "Béton Québec Ltée", "Señorial Produce", "Müller Steel Works",
		"Ångström Optics", "Lone Star Foods", "O'Hare Cold Storage", "Smith & Sons \"Express\"", "Peña Brothers Citrus"}
	firstWords = []string{"Prairie", "Lakeshore", "Blue Ridge", "Mesa", "Great Plains", "Harbor", "Pioneer", "Sunbelt", "Midway", "Cascade"}
	lastWords  = []string{"Paper", "Beverages"}
	streets    = []string{"Industrial Blvd", "Main St", "Terminal Way", "Commerce Dr", "Río Grande Ave", "Dock Rd"}
	places     = []struct{ city, state, zip string }{{"Dallas", "TX", "75201"}, {"Houston", "TX", "77002"}, {"El Paso", "TX", "79901"},
		{"Chicago", "IL", "60607"}, {"Joliet", "IL", "60431"}, {"Fresno", "CA", "93721"}, {"San José", "CA", "95110"}}
	terms = []string{"N30", "N30", "N30", "N15", "COD"}
)

// newCarrier makes the thirty customers of a seed.
func newCarrier(rng *rand.Rand) carrier {
	names := append([]string(nil), namedCustomers...)
	for _, first := range firstWords {
		for _, last := range lastWords {
			names = append(names, first+" "+last)
		}
	}
	var c carrier
	for n, name := range names {
		c.customers = append(c.customers, newCustomer(rng, 104301+n, name))
	}
	c.customers[0].code = movedCode
	c.moved = newCustomer(rng, 104412, "Acme Foods Holding")
	return c
}

func newCustomer(rng *rand.Rand, account int, name string) customer {
	place := pick(rng, places)
	c := customer{
		account: fmt.Sprint(account), name: name, city: place.city, state: place.state, zip: place.zip,
		street: fmt.Sprintf("%d %s", 100+rng.IntN(9800), pick(rng, streets)),
		email:  fmt.Sprintf("ap%d@customer.example", account), phone: fmt.Sprintf("+1 312 555 %04d", rng.IntN(10_000)),
		taxID: fmt.Sprintf("36-%07d", rng.IntN(10_000_000)), terms: pick(rng, terms),
		code: fmt.Sprintf("C%04d", account%10_000), exempt: rng.IntN(5) == 0,
	}
	if rng.IntN(20) == 0 {
		c.currency = "CAD"
	}
	return c
}

// insertCustomer is the row of dispatch.
func insertCustomer(c customer, at string) Statement {
	return Statement{`INSERT INTO customers (cust_cd, name, addr1, city, state, zip, email, phone, tax_id, terms_cd, active_flg, upd_ts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'Y', $11)`,
		[]any{c.account, c.name, c.street, c.city, c.state, c.zip, c.email, c.phone, c.taxID, c.terms, at}}
}

// insertCode is the row of billing's crosswalk. An empty end is open.
func insertCode(code, account, from, end string) Statement {
	var until any
	if end != "" {
		until = end
	}
	return Statement{"INSERT INTO bill_cust (cust_cd, erp_acct, eff_dt, end_dt) VALUES (?, ?, ?, ?)", []any{code, account, from, until}}
}

// masterData is what the two databases know of customers before the days begin: dispatch and billing, one transaction each. moveDay
// is the first day on which movedCode means its new account.
func (c carrier) masterData(at string, moveDay time.Time) []Transaction {
	dispatch, billing := Transaction{Database: Dispatch, What: "customers"}, Transaction{Database: Billing, What: "customer codes"}
	for _, customer := range append(c.customers[:len(c.customers):len(c.customers)], c.moved) {
		dispatch.Statements = append(dispatch.Statements, insertCustomer(customer, at))
		end := ""
		if customer.code == movedCode {
			end = moveDay.AddDate(0, 0, -1).Format(time.DateOnly)
		}
		billing.Statements = append(billing.Statements, insertCode(customer.code, customer.account, "2019-01-01", end))
	}
	billing.Statements = append(billing.Statements, insertCode(movedCode, c.moved.account, moveDay.Format(time.DateOnly), ""))
	return []Transaction{dispatch, billing}
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
