package netsuite

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"waybill/cdc"
	"waybill/sinks"
)

// Identity implements sinks.Sink: the account and the subsidiary, which NetSuite must know. A sandbox has an account id of its own; a
// sandbox that is refreshed keeps it.
func (s *Sink) Identity(ctx context.Context) (string, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	id, out := x.subsidiary("")
	if out == nil && id != "" {
		var r record
		if r, out = x.get(recordPath+"subsidiary/"+url.PathEscape(id), nil); out == nil && r == nil {
			out = setup("COMPANY", "subsidiary", fmt.Sprintf("NetSuite has no subsidiary %s.", id), "Correct subsidiary in the sink's configuration.")
		}
	}
	if out != nil {
		return "", fmt.Errorf("asking NetSuite for its subsidiary: %w", errOf(out))
	}
	return "netsuite:" + s.cfg.Account + "/" + id, nil
}

// Check implements sinks.Sink.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	limits, out := x.get(limitsPath, nil)
	if out != nil && out.Outage {
		return nil, fmt.Errorf("asking %s: %w", redacted(s.cfg.URL), errOf(out))
	}
	found := []cdc.Finding{x.checkLimits(limits, out)}
	if out != nil && out.Code == "AUTH" {
		return append(found, cdc.Finding{Check: "login", Level: cdc.LevelFail, Found: out.Code + ": " + out.Message, Why: "Nothing can be posted.", Fix: out.Hint}), nil
	}
	found = append(found, x.checkSubsidiaries()...)
	found = append(found, x.checkForeign("customer"), x.checkForeign("invoice"))
	found = append(found, x.checkNames()...)
	return append(found, x.checkMode()), nil
}

// checkLimits reads the account's concurrency, which only an administrator may.
func (x *exchange) checkLimits(r record, out *sinks.Outcome) cdc.Finding {
	f := cdc.Finding{Check: "concurrency of the account", Level: cdc.LevelWarn, Found: "not shown", Want: "the account's limit",
		Why: "It is one budget for all integrations and people's scripts; above it NetSuite answers 429.",
		Fix: "Ask an administrator for Setup / Integration / Integration Governance, and set concurrency in the sink's policy below it."}
	if out != nil {
		f.Found = "not shown: " + out.Code
		return f
	}
	limit := r.text("accountConcurrencyLimit")
	if limit == "" {
		return f
	}
	return cdc.Finding{Check: f.Check, Level: cdc.LevelOK, Found: fmt.Sprintf("%s, unallocated %s, %s", limit, orNone(first(r.text("accountUnallocatedConcurrencyLimit"), r.text("unallocatedConcurrencyLimit"))),
		orNone(first(r.text("limitType"), r.text("type"))))}
}

func (x *exchange) checkSubsidiaries() []cdc.Finding {
	if x.cfg.Subsidiary == "" && len(x.cfg.Subsidiaries) == 0 {
		return []cdc.Finding{{Check: "subsidiary", Level: cdc.LevelWarn, Found: "none configured", Want: "the subsidiary, in an account that has several",
			Why: "NetSuite refuses documents without one in a OneWorld account.", Fix: `subsidiary: "Example Freight Inc"`}}
	}
	var all []cdc.Finding
	if x.cfg.Subsidiary != "" {
		id, out := x.subsidiary("")
		all = append(all, outcomeFinding("subsidiary "+x.cfg.Subsidiary, out, "id "+id))
	}
	for _, company := range sortedKeys(x.cfg.Subsidiaries) {
		id, out := x.subsidiary(company)
		all = append(all, outcomeFinding("subsidiary of "+company, out, "id "+id))
	}
	return all
}

// checkForeign looks for external ids of somebody else: one application owns those of a record type.
func (x *exchange) checkForeign(kind string) cdc.Finding {
	f := cdc.Finding{Check: "external ids of " + kind, Level: cdc.LevelOK, Found: "none of another application"}
	rows, out := x.query(kind, fmt.Sprintf(`externalId EMPTY_NOT AND externalId START_WITH_NOT "%s-"`, x.cfg.Prefix))
	switch {
	case out != nil:
		f.Level, f.Found, f.Want = cdc.LevelWarn, "not known: "+out.Code, "no external ids but ours"
		f.Why = "One application owns the external ids of a record type. " + out.Message
		f.Fix = "Look at Setup / Integration in NetSuite whether another application sets external ids of " + kind + "."
	case len(rows) > 0:
		f.Level, f.Found, f.Want = cdc.LevelWarn, fmt.Sprintf("some begin otherwise than with %s-, such as that of %s", x.cfg.Prefix, rows[0].text("id")), "no external ids but ours"
		f.Why = "A record has one external id: one that another application has set is not found by ours, and would be made again."
		f.Fix = "Let one application own them, or give those records to Waybill by waybill xref import."
	}
	return f
}

func (x *exchange) checkNames() []cdc.Finding {
	var all []cdc.Finding
	seen := map[string]bool{"": true}
	look := func(l lookup, names ...string) {
		for _, n := range names {
			if seen[l.kind+n] || n == "" {
				continue
			}
			seen[l.kind+n] = true
			id, out := x.resolve(l, n)
			all = append(all, outcomeFinding(l.what+" "+n, out, "id "+id))
		}
	}
	look(lookTerm, append([]string{x.cfg.PaymentTerm}, x.cfg.Terms...)...)
	look(lookLocation, x.cfg.Location)
	look(lookAccount, x.cfg.Accounts...)
	for _, name := range sortedKeys(x.cfg.Items) {
		look(x.lookItem(), x.cfg.Items[name])
	}
	for _, name := range sortedKeys(x.cfg.Taxes) {
		look(x.lookTax(), x.cfg.Taxes[name].Code)
		look(lookTaxType, x.cfg.Taxes[name].Type)
	}
	look(lookTaxType, x.cfg.TaxType)
	return all
}

// checkMode says what can be known of keys without writing.
func (x *exchange) checkMode() cdc.Finding {
	f := cdc.Finding{Check: "create-only", Level: cdc.LevelOK, Found: "by external id, looked for before each create"}
	if x.cfg.Mode == modeAsync {
		f.Found += "; jobs with an idempotency key"
	}
	f.Why = fmt.Sprintf("After a lost answer a write may still appear for %s; it is looked for until then.", x.cfg.Horizon)
	return f
}

func outcomeFinding(name string, out *sinks.Outcome, found string) cdc.Finding {
	if out == nil {
		return cdc.Finding{Check: name, Level: cdc.LevelOK, Found: strings.TrimSpace(found)}
	}
	return cdc.Finding{Check: name, Level: cdc.LevelFail, Found: out.Code + ": " + out.Message, Why: "Documents that need it are refused.", Fix: out.Hint}
}
