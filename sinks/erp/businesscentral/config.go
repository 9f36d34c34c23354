package businesscentral

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"waybill/sinks/web"
)

// Config is one company of one environment of Business Central.
type Config struct {
	// Address of the environment's API, up to its version: https://api.businesscentral.dynamics.com/v2.0/<tenant>/<environment>/api/v2.0.
	URL string `yaml:"url"`
	// The company, by its id, its name or its display name.
	Company string `yaml:"company"`
	// The service principals, which take turns.
	Principals []Principal `yaml:"principals"`
	// Whether the server takes the ids of documents from us: yes, no, or probe (default), which finds out with the first document.
	ClientIDs string `yaml:"client_ids"`
	// For one step, all its calls together. Default 50s.
	Timeout time.Duration `yaml:"timeout"`
	// How long after a lost answer a write may still appear. Default 10m.
	Horizon time.Duration `yaml:"horizon"`

	// What a line of a document becomes: account (default) books on the line's G/L account, item on the accounts of its product's posting groups.
	Lines string `yaml:"lines"`
	// How a credit note that takes a whole invoice back is made: whole (default) by the corrective credit memo of that invoice, never by lines.
	Corrective string `yaml:"corrective"`
	// Tax code of lines whose tax is given as an amount other than zero.
	Tax string `yaml:"tax"`
	// The tax codes of names that the mapping gives to lines: { "Sales tax 8.25%": TAXABLE, Exempt: NONTAXABLE }. A name that is not here is the code itself.
	TaxCodes map[string]string `yaml:"tax_codes"`
	// Tax code of lines without tax; empty: none is sent.
	ExemptTax string `yaml:"exempt_tax"`
	// The company's own currency (ISO 4217), where its API does not tell it.
	Currency string `yaml:"currency"`
	// Base unit of items that name none. Default PCS.
	Unit string `yaml:"unit"`

	// What waybill check --probe may write: left out, nothing.
	Probe Probe `yaml:"probe"`

	// G/L accounts, items, tax codes and payment terms that waybill check looks for, so that one that is missing there is found before the first
	// document asks for it.
	Accounts []string `yaml:"accounts"`
	// See accounts.
	Items []string `yaml:"items"`
	// See accounts; tax, exempt_tax and those of tax_codes are looked for as well.
	Taxes []string `yaml:"taxes"`
	// See accounts.
	Terms []string `yaml:"terms"`
}

// Principal is a service principal: an application that is registered in Entra and in Business Central.
type Principal struct {
	// What logs and findings call it. Default principal-1, principal-2, …
	Name string `yaml:"name"`
	// Requests at the same time, at most 5 (default): what Business Central runs of one user.
	InFlight int `yaml:"in_flight"`
	// Its credentials: oauth2 of Entra, or basic where the server is the company's own.
	Auth web.AuthConfig `yaml:"auth"`
}

// Probe is a draft that waybill check --probe may make and delete, to see whether the server takes an id from us.
type Probe struct {
	// The number of a customer whom the draft names. It has no lines and is never posted.
	Customer string `yaml:"customer"`
}

// The words of the configuration.
const (
	IDsYes   = "yes"
	IDsNo    = "no"
	IDsProbe = "probe"

	LinesAccount = "account"
	LinesItem    = "item"

	CorrectiveWhole = "whole"
	CorrectiveNever = "never"
)

var currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)

// runningMost is how many requests of one user Business Central runs at the same time [B7].
const runningMost = 5

func (c Config) withDefaults() Config {
	c.URL = strings.TrimRight(c.URL, "/")
	words := []struct {
		at    *string
		value string
	}{{&c.ClientIDs, IDsProbe}, {&c.Lines, LinesAccount}, {&c.Corrective, CorrectiveWhole}, {&c.Unit, "PCS"}}
	for _, w := range words {
		if *w.at == "" {
			*w.at = w.value
		}
	}
	if c.Timeout == 0 {
		c.Timeout = 50 * time.Second
	}
	if c.Horizon == 0 {
		c.Horizon = 10 * time.Minute
	}
	c.Principals = append([]Principal(nil), c.Principals...)
	for i := range c.Principals {
		p := &c.Principals[i]
		if p.Name == "" {
			p.Name = fmt.Sprintf("principal-%d", i+1)
		}
		if p.InFlight == 0 {
			p.InFlight = runningMost
		}
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, fmt.Sprint(found), want))
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("url", redacted(c.URL), "https://api.businesscentral.dynamics.com/v2.0/<tenant>/<environment>/api/v2.0")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		bad("url", redacted(c.URL), "an address without credentials, query and fragment")
	}
	if c.Company == "" {
		bad("company", "", "the id, the name or the display name of the company")
	}
	if n := len(c.Principals); n < 1 || n > 20 {
		bad("principals", fmt.Sprint(n, " of them"), "1 to 20 service principals")
	}
	for i, p := range c.Principals {
		if p.InFlight < 0 || p.InFlight > runningMost {
			bad(fmt.Sprintf("principals[%d].in_flight", i), p.InFlight, fmt.Sprintf("1 to %d, or 0 for the default", runningMost))
		}
		errs = append(errs, p.Auth.Validate(fmt.Sprintf("principals[%d].auth.", i), web.KindOAuth2, web.KindBasic, web.KindBearer))
	}
	for _, w := range []struct{ name, value, one, two, three string }{
		{"client_ids", c.ClientIDs, IDsYes, IDsNo, IDsProbe}, {"lines", c.Lines, LinesAccount, LinesItem, ""}, {"corrective", c.Corrective, CorrectiveWhole, CorrectiveNever, ""}} {
		if v := w.value; v != "" && v != w.one && v != w.two && v != w.three {
			bad(w.name, v, strings.TrimSuffix(w.one+", "+w.two+", "+w.three, ", "))
		}
	}
	if c.Currency != "" && !currencyForm.MatchString(c.Currency) {
		bad("currency", c.Currency, "a code of ISO 4217, such as USD")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		most  time.Duration
	}{{"timeout", c.Timeout, 10 * time.Minute}, {"horizon", c.Horizon, 2 * time.Hour}} {
		if d.value < 0 || d.value > d.most {
			bad(d.name, d.value, fmt.Sprintf("a duration between 0 (default) and %s", d.most))
		}
	}
	return errors.Join(errs...)
}

// redacted is the address as a message may show it.
func redacted(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return "(not an address)"
}
