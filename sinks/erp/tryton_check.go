package erp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
)

// trytonSeries is what the adapter was tested with.
const trytonSeries = "6.0"

// Identity implements sinks.Sink. It is made of the database's name, the company, and the microseconds at which company
// and party were created there. The address is not part of it, so a server may move. A copy under the same name that
// was restored from a backup has the same identity: give a test copy another database name.
func (t *Tryton) Identity(ctx context.Context) (string, error) {
	x, cancel := t.begin(ctx)
	defer cancel()
	co, out := x.companyOf()
	if out != nil {
		return "", fmt.Errorf("asking Tryton for its company: %w", errOf(out))
	}
	sum := sha256.Sum256([]byte(co.born))
	return fmt.Sprintf("tryton:%s/%d/%s/%s", t.cfg.Database, co.id, co.code, hex.EncodeToString(sum[:6])), nil
}

func errOf(o *sinks.Outcome) error {
	text := o.Code + ": " + o.Message
	if o.Hint != "" {
		text += " " + o.Hint
	}
	return errors.New(text)
}

// Check implements sinks.Sink.
func (t *Tryton) Check(ctx context.Context) ([]cdc.Finding, error) {
	x, cancel := t.begin(ctx)
	defer cancel()
	v, f := t.rpc.version(x.ctx)
	if f != nil {
		return nil, fmt.Errorf("asking %s for its version: %s", redacted(t.cfg.URL), f.message())
	}
	found := []cdc.Finding{finding("version", strings.HasPrefix(v, trytonSeries+"."), cdc.LevelWarn, "Tryton "+v, trytonSeries,
		"Texts and fields of another series may be classified as unknown.", "")}
	co, out := x.companyOf()
	found = append(found, outcomeFinding("login and company", out, fmt.Sprintf("user %s, company %s (%s)", t.cfg.User, co.name, co.code)))
	if out != nil {
		return found, nil
	}
	for _, check := range []func(company) []cdc.Finding{x.checkLanguage, x.checkRights, x.checkPeriods, x.checkNames, x.checkIndex} {
		found = append(found, check(co)...)
	}
	return found, nil
}

func finding(name string, ok bool, level cdc.Level, found, want, why, fix string) cdc.Finding {
	if ok {
		return cdc.Finding{Check: name, Level: cdc.LevelOK, Found: found}
	}
	return cdc.Finding{Check: name, Level: level, Found: found, Want: want, Why: why, Fix: fix}
}

func outcomeFinding(name string, out *sinks.Outcome, found string) cdc.Finding {
	if out == nil {
		return cdc.Finding{Check: name, Level: cdc.LevelOK, Found: found}
	}
	return cdc.Finding{Check: name, Level: cdc.LevelFail, Found: out.Code + ": " + out.Message, Why: "Nothing can be posted.", Fix: out.Hint}
}

func (x *exchange) checkLanguage(company) []cdc.Finding {
	var prefs record
	if out := x.read(&prefs, "res.user", "get_preferences", nil, true); out != nil {
		return []cdc.Finding{outcomeFinding("language", out, "")}
	}
	lang := prefs.text("language")
	return []cdc.Finding{finding("language", strings.HasPrefix(lang, "en"), cdc.LevelWarn, lang, "en",
		"Tryton's errors have texts and no codes. English is asked for in every call; the user should have it too.",
		"Set the language of "+x.cfg.User+" to English in Tryton.")}
}

func (x *exchange) checkRights(company) []cdc.Finding {
	models := []string{"party.party", "account.invoice", "res.user.warning", "ir.note"}
	var access map[string]record
	if out := x.read(&access, "ir.model.access", "get_access", nil, models); out != nil {
		return []cdc.Finding{outcomeFinding("rights", out, "")}
	}
	var missing []string
	for _, m := range models {
		for _, verb := range []string{"read", "write", "create"} {
			if !access[m].truth(verb) {
				missing = append(missing, verb+" "+m)
			}
		}
	}
	if !access["account.invoice"].truth("delete") {
		missing = append(missing, "delete account.invoice")
	}
	name := "rights of " + x.cfg.User
	if missing == nil {
		return []cdc.Finding{{Check: name, Level: cdc.LevelOK, Found: "may create and post customers and invoices"}}
	}
	return []cdc.Finding{{Check: name, Level: cdc.LevelFail, Found: "may not " + strings.Join(missing, ", "), Want: "all of them",
		Why: "Every document would be refused.", Fix: "Add the groups Account and Party Administration to the user in Tryton."}}
}

// checkPeriods looks at today's period, and whether the books go on for the next thirty days.
func (x *exchange) checkPeriods(co company) []cdc.Finding {
	var out []cdc.Finding
	now := x.rpc.now().In(co.zone)
	for _, d := range []struct {
		name  string
		at    time.Time
		level cdc.Level
	}{{"period of today", now, cdc.LevelFail}, {"period in 30 days", now.AddDate(0, 0, 30), cdc.LevelWarn}} {
		date := d.at.Format(dateForm)
		p, _, o := x.numbering(date, "out_invoice_sequence", co)
		f := outcomeFinding(d.name, o, date+" is open, numbers from "+p.sequence)
		if o != nil {
			f.Level, f.Want = d.level, "an open period"
			f.Why = "Documents dated then cannot be posted."
		}
		out = append(out, f)
	}
	return out
}

func (x *exchange) checkNames(co company) []cdc.Finding {
	_, o := x.journal()
	out := []cdc.Finding{outcomeFinding("revenue journal", o, "found")}
	_, o = x.receivable(record{})
	out = append(out, outcomeFinding("receivable account", o, "the company has a default"))
	_, o = x.resolve(lookCurrency, co.currency)
	out = append(out, outcomeFinding("currency "+co.currency, o, "found"))
	taxes, terms := append([]string{x.cfg.Tax, x.cfg.ExemptTax}, x.cfg.Taxes...), append([]string{x.cfg.PaymentTerm}, x.cfg.Terms...)
	for _, g := range []struct {
		look  lookup
		names []string
	}{{lookTax, taxes}, {lookTerm, terms}, {lookAccount, x.cfg.Accounts}, {lookProduct, x.cfg.Products}} {
		seen := map[string]bool{"": true}
		for _, n := range g.names {
			if seen[n] {
				continue
			}
			seen[n] = true
			_, o := x.resolve(g.look, n)
			out = append(out, outcomeFinding(g.look.what+" "+n, o, "found"))
		}
	}
	return out
}

// uniqueIndex is what makes a doubled draft impossible. It belongs to the site's own database, so it is only advised.
const uniqueIndex = `CREATE UNIQUE INDEX account_invoice_extref ON account_invoice (company, type, reference) WHERE reference IS NOT NULL AND state <> 'cancelled';`

// checkIndex cannot see indexes through the API; it says what is done without, and how to add it.
func (x *exchange) checkIndex(company) []cdc.Finding {
	return []cdc.Finding{{Check: "unique index on invoice references", Level: cdc.LevelOK,
		Found: "not visible through Tryton's API; without it a draft created twice is found by its reference and deleted before anything is posted",
		Why:   "With it, Tryton itself refuses a second document with the same reference.", Fix: uniqueIndex}}
}
