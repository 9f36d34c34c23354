package businesscentral

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
)

// Identity implements sinks.Sink: the address of the environment, which names tenant and environment, and the company's id. A sandbox that was
// copied from production has another environment.
func (s *Sink) Identity(ctx context.Context) (string, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	if out := x.open(); out != nil {
		return "", fmt.Errorf("asking Business Central for its company: %w", errOf(out))
	}
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("reading the address of Business Central: %w", err)
	}
	return "businesscentral:" + u.Host + strings.TrimSuffix(u.Path, "/api/v2.0") + "/" + strings.TrimPrefix(x.base, s.cfg.URL+"/"), nil
}

func errOf(o *sinks.Outcome) error {
	return errors.New(strings.TrimSpace(o.Code + ": " + o.Message + " " + o.Hint))
}

// Check implements sinks.Sink.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	out := x.open()
	if out != nil && out.Outage {
		return nil, fmt.Errorf("asking %s: %w", redacted(s.cfg.URL), errOf(out))
	}
	s.names.mu.Lock()
	company := s.names.company
	s.names.mu.Unlock()
	found := []cdc.Finding{outcomeFinding("login and company", out, fmt.Sprintf("%d service principals, company %s, version %s", len(s.cfg.Principals), company.text("name"), orNone(company.text("systemVersion"))))}
	if out != nil {
		return found, nil
	}
	found = append(found, x.checkRights()...)
	found = append(found, x.checkPeriods(time.Now())...)
	found = append(found, x.checkNames()...)
	return append(found, s.checkIDs(), primary()), nil
}

func outcomeFinding(name string, out *sinks.Outcome, found string) cdc.Finding {
	if out == nil {
		return cdc.Finding{Check: name, Level: cdc.LevelOK, Found: found}
	}
	return cdc.Finding{Check: name, Level: cdc.LevelFail, Found: out.Code + ": " + out.Message, Why: "Nothing can be posted.", Fix: out.Hint}
}

// checkRights reads one row of each set that is written; whether it may be written is not said without writing.
func (x *exchange) checkRights() []cdc.Finding {
	var missing []string
	for _, set := range []string{"customers", "locations", "items", "taxGroups", "salesInvoices", "salesCreditMemos", "journals", "generalLedgerEntries"} {
		if _, out := x.find(set, "", 1); out != nil {
			missing = append(missing, set+" ("+out.Code+")")
		}
	}
	if missing == nil {
		return []cdc.Finding{{Check: "rights", Level: cdc.LevelOK, Found: "customers, locations, items, taxes, invoices, credit memos and journals may be read; what may be written shows with the first document"}}
	}
	return []cdc.Finding{{Check: "rights", Level: cdc.LevelFail, Found: "may not read " + strings.Join(missing, ", "), Want: "all of them", Why: "Documents would be refused.", Fix: hintRights}}
}

// checkPeriods looks whether today may be posted on, and whether it goes on for the next thirty days.
func (x *exchange) checkPeriods(now time.Time) (found []cdc.Finding) {
	for _, d := range []struct {
		name  string
		at    time.Time
		level cdc.Level
	}{{"posting date today", now, cdc.LevelFail}, {"posting date in 30 days", now.AddDate(0, 0, 30), cdc.LevelWarn}} {
		date := d.at.Format(dateForm)
		f := outcomeFinding(d.name, x.books.period("posting_date", date), date+" is allowed, currency "+x.books.currency)
		if f.Level != cdc.LevelOK {
			f.Level, f.Want, f.Why = d.level, "an allowed date", "Documents dated then cannot be posted."
		}
		found = append(found, f)
	}
	return found
}

func (x *exchange) checkNames() (found []cdc.Finding) {
	accounts := x.cfg.Accounts
	for _, g := range []struct {
		what, set, field string
		names            []string
	}{{"account", "accounts", "number", accounts}, {"item", "items", "number", x.cfg.Items},
		{"tax code", "taxGroups", "code", slices.Concat([]string{x.cfg.Tax, x.cfg.ExemptTax}, slices.Sorted(maps.Values(x.cfg.TaxCodes)), x.cfg.Taxes)}, {"payment term", "paymentTerms", "", x.cfg.Terms}} {
		seen := map[string]bool{"": true}
		for _, name := range g.names {
			if seen[name] {
				continue
			}
			seen[name] = true
			found = append(found, outcomeFinding(g.what+" "+name, x.named(g.what, g.set, g.field, name), "found"))
		}
	}
	return found
}

func (x *exchange) named(what, set, field, name string) *sinks.Outcome {
	if field == "" {
		_, out := x.idOf(set, strings.ReplaceAll(what, " ", "_"), "", name)
		return out
	}
	rows, out := x.find(set, field+" eq "+quoted(strings.ToUpper(name)), 1)
	if out == nil && len(rows) == 0 {
		return rejected("UNKNOWN_"+strings.ToUpper(strings.ReplaceAll(what, " ", "_")), "", fmt.Sprintf("Business Central has no %s %q.", what, name), "Create it there, or correct the mapping.")
	}
	return out
}

// checkIDs says what keeps a document from being made twice.
func (s *Sink) checkIDs() cdc.Finding {
	f := cdc.Finding{Check: "ids of documents", Level: cdc.LevelOK}
	switch s.ids.Load() {
	case idsTaken:
		f.Found = "chosen here: the server refuses a second document of the same id"
	case idsRefused:
		f.Found = "given by the server: each create is preceded by a search for its external document number"
	default:
		f.Found = "not known yet: the first document tells whether the server takes an id; until then each create is preceded by a search for its external document number"
	}
	return f
}

// primary is what the API cannot tell [B4].
func primary() cdc.Finding {
	return cdc.Finding{Check: "reads of the primary", Level: cdc.LevelOK,
		Found: "asked for with each read; an entry on page 9880 (Database Access Intent List) overrides it: leave the API pages of documents at Default there"}
}
