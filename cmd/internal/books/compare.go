package books

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Invoice is a customer invoice or credit note as the ERP holds it.
type Invoice struct {
	ID        int64
	Reference string // the key that it is paired by
	Number    string // given by the ERP when it was posted
	State     string // draft, validated, posted, paid, cancelled
	Move      int64  // the booking in the ledger; 0 for none
	PartyCode string
	PartyName string
	Currency  string
	Net       Cents
	Tax       Cents
	Total     Cents
}

// ERP is where the posted documents are read.
type ERP interface {
	// Invoices returns every customer invoice and credit note of the company, in any state.
	Invoices(ctx context.Context) ([]Invoice, error)
}

// Terms say what the comparison is about.
type Terms struct {
	Cutover time.Time         // documents released before it belong to the old world: none may be in the ERP
	Zone    *time.Location    // of billing's local times
	Names   map[string]string // account → customer's name; nil leaves names unchecked
	// Key makes a document's reference in the ERP; nil takes the number as it is.
	Key func(number string, revision int) string
	// Exceptions and InFlight name the documents (by key) of which the feed itself says that they are not posted yet, and why.
	// They are counted apart and are no difference. At the end of a run both are empty.
	Exceptions, InFlight map[string]bool
}

// Check reads both systems and compares them. An error means that one of them could not be read; differences are in the report.
func Check(ctx context.Context, billing *sql.DB, erp ERP, terms Terms) (Report, error) {
	key := terms.Key
	if key == nil {
		key = func(number string, _ int) string { return number }
	}
	headers, err := ReadBilling(ctx, billing, terms.Zone, key)
	if err != nil {
		return Report{}, err
	}
	invoices, err := erp.Invoices(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("reading the ERP's invoices: %w", err)
	}
	return Compare(headers, invoices, terms), nil
}

// Compare pairs the documents one by one. It does no I/O, and the same rows give the same report.
func Compare(headers []Header, invoices []Invoice, terms Terms) Report {
	c := comparison{terms: terms, headers: map[string]Header{}, invoices: map[string][]Invoice{}, totals: map[string]*Currency{}}
	for _, h := range headers {
		c.headers[h.Key] = h
	}
	for _, i := range invoices {
		if i.State != "cancelled" {
			c.invoices[i.Reference] = append(c.invoices[i.Reference], i)
		}
	}
	for _, h := range headers {
		if c.due(h) {
			c.document(h)
		}
	}
	for _, reference := range slices.Sorted(maps.Keys(c.invoices)) {
		c.stranger(reference)
	}
	c.rebills(headers)
	for _, currency := range slices.Sorted(maps.Keys(c.totals)) {
		c.report.Currencies = append(c.report.Currencies, *c.totals[currency])
	}
	return c.report
}

type comparison struct {
	terms    Terms
	headers  map[string]Header    // by key
	invoices map[string][]Invoice // by reference, without the cancelled
	totals   map[string]*Currency
	report   Report
}

// due reports whether the ERP must hold the document: released, and not before the cut-over.
func (c *comparison) due(h Header) bool {
	return h.State == "R" && !h.Released.Before(c.terms.Cutover)
}

func (c *comparison) total(currency string) *Currency {
	if c.totals[currency] == nil {
		c.totals[currency] = &Currency{Code: currency}
	}
	return c.totals[currency]
}

func (c *comparison) differ(kind, key, format string, args ...any) {
	c.report.Differences = append(c.report.Differences, Difference{Kind: kind, Key: key, Text: fmt.Sprintf(format, args...)})
}

// document checks one released document against what the ERP holds under its key.
func (c *comparison) document(h Header) {
	c.total(h.Currency).Released.add(h.Total)
	if h.Total < 0 {
		c.report.Credits++
	}
	found, before := c.invoices[h.Key], len(c.report.Differences)
	for _, i := range found {
		if booked(i) {
			c.total(i.Currency).Posted.add(i.Total)
		}
	}
	if len(found) > 1 {
		c.report.Duplicates += len(found) - 1
		c.differ("duplicate", h.Key, "is in the ERP %d times: %s", len(found), describe(found))
	}
	switch {
	case c.terms.Exceptions[h.Key] && !anyBooked(found):
		c.total(h.Currency).Exception.add(h.Total)
	case c.terms.InFlight[h.Key] && !anyBooked(found):
		c.total(h.Currency).InFlight.add(h.Total)
	case len(found) == 0:
		c.differ("missing", h.Key, "was released on %s over %s %s and is not in the ERP",
			h.Released.Format(time.DateTime), h.Total, h.Currency)
	default:
		c.fields(h, found[0])
		if len(c.report.Differences) == before {
			c.report.Paired++
		}
	}
}

// fields compares a document with its posting.
func (c *comparison) fields(h Header, i Invoice) {
	switch {
	case i.State != "posted" && i.State != "paid":
		c.differ("state", h.Key, "is %s in the ERP, not posted", i.State)
	case i.Move == 0:
		c.differ("state", h.Key, "says %s in the ERP but has no booking in the ledger", i.State)
	case i.Number == "":
		c.differ("state", h.Key, "is posted in the ERP without a number")
	}
	if h.Net+h.Tax != h.Total {
		c.differ("billing", h.Key, "does not add up in billing: lines %s and tax %s, but the total says %s", h.Net, h.Tax, h.Total)
	}
	if i.Currency != h.Currency {
		c.differ("currency", h.Key, "is in %s in billing and in %s in the ERP", h.Currency, i.Currency)
	}
	for _, m := range []struct {
		what          string
		billing, here Cents
	}{{"net", h.Net, i.Net}, {"tax", h.Tax, i.Tax}, {"total", h.Total, i.Total}} {
		if m.billing != m.here {
			c.differ(m.what, h.Key, "has a %s of %s in billing and of %s in the ERP, %s apart", m.what, m.billing, m.here, (m.here - m.billing).Abs())
		}
	}
	c.party(h, i)
}

func (c *comparison) party(h Header, i Invoice) {
	switch {
	case h.Account == "":
		c.differ("party", h.Key, "is for customer %s, whom bill_cust does not know on its date, and is posted to %s", h.Code, i.PartyCode)
	case i.PartyCode != h.Account:
		c.differ("party", h.Key, "belongs to account %s (code %s) and is posted to %s %q", h.Account, h.Code, i.PartyCode, i.PartyName)
	case c.terms.Names != nil && i.PartyName != c.terms.Names[h.Account]:
		c.differ("party", h.Key, "is posted to account %s, which dispatch calls %q and the ERP %q", h.Account, c.terms.Names[h.Account], i.PartyName)
	}
}

// stranger looks at what the ERP holds under a key that no due document has.
func (c *comparison) stranger(reference string) {
	h, known := c.headers[reference]
	if known && c.due(h) {
		return
	}
	found := c.invoices[reference]
	for _, i := range found {
		if booked(i) {
			c.total(i.Currency).Posted.add(i.Total)
		}
	}
	if len(found) > 1 {
		c.report.Duplicates += len(found) - 1
	}
	switch {
	case !known:
		c.differ("unknown", reference, "is in the ERP (%s) and not in billing", describe(found))
	case h.State == "R":
		c.differ("before cut-over", reference, "was released on %s, before the cut-over, and is in the ERP: %s",
			h.Released.Format(time.DateTime), describe(found))
	default:
		c.differ("not released", reference, "is in the ERP (%s) though billing has not released it (stat %s)", describe(found), h.State)
	}
}

// rebills checks that a credit and the replacement that belongs to it are in the ERP together or not at all.
func (c *comparison) rebills(headers []Header) {
	credits, replacements := map[string][]Header{}, map[string][]Header{}
	for _, h := range headers {
		switch {
		case h.Original == "" || !c.due(h):
		case h.Total < 0:
			credits[h.Original] = append(credits[h.Original], h)
		default:
			replacements[h.Original] = append(replacements[h.Original], h)
		}
	}
	for _, original := range slices.Sorted(maps.Keys(replacements)) {
		for n, r := range replacements[original] {
			if n >= len(credits[original]) {
				c.differ("rebill", r.Key, "replaces invoice %s, which billing has not credited", original)
				continue
			}
			c.report.Rebills++
			credit := credits[original][n]
			credited, replaced := anyBooked(c.invoices[credit.Key]), anyBooked(c.invoices[r.Key])
			switch {
			case credited && !replaced:
				c.differ("rebill", credit.Key, "credits invoice %s in the ERP, but its replacement %s is not posted there: the customer owes too little", original, r.Key)
			case replaced && !credited:
				c.differ("rebill", r.Key, "replaces invoice %s in the ERP, but its credit %s is not posted there: the customer is billed twice", original, credit.Key)
			}
		}
	}
}

func booked(i Invoice) bool { return (i.State == "posted" || i.State == "paid") && i.Move != 0 }

func anyBooked(found []Invoice) bool { return slices.ContainsFunc(found, booked) }

func describe(found []Invoice) string {
	texts := make([]string, len(found))
	for n, i := range found {
		texts[n] = fmt.Sprintf("%s %s (id %d) over %s %s", i.State, i.Number, i.ID, i.Total, i.Currency)
	}
	return strings.Join(texts, ", ")
}
