package erp

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TrytonConfig is one company in one Tryton 6.0 database. Everything is named as people name it there; ids are never
// configuration.
type TrytonConfig struct {
	URL      string `yaml:"url"`      // https://erp.example:8000, without the database
	Database string `yaml:"database"` // database name, the first part of every path
	User     string `yaml:"user"`     // integration user with the groups Account and Party Administration
	Password string `yaml:"password"` // already resolved from its file or environment
	Company  string `yaml:"company"`  // party name or code of the company; empty: the user's own company

	Timeout       time.Duration `yaml:"timeout"`        // for one step, all its calls together; default 30s
	Horizon       time.Duration `yaml:"horizon"`        // how long after a lost answer a write may still appear; default 45s
	LoginCooldown time.Duration `yaml:"login_cooldown"` // no login for so long after a refused one; default 300s
	TimeZone      string        `yaml:"time_zone"`      // IANA name that decides what "today" is; default the company's, else UTC

	Journal     string   `yaml:"journal"`      // name or code; default the first journal of type revenue
	PaymentTerm string   `yaml:"payment_term"` // used when neither document nor customer names one
	Tax         string   `yaml:"tax"`          // tax of lines whose tax is given as an amount other than zero
	ExemptTax   string   `yaml:"exempt_tax"`   // tax of lines without tax; empty: such lines carry none
	PostingDate string   `yaml:"posting_date"` // document_or_today (default) or document
	Acknowledge []string `yaml:"acknowledge"`  // prefixes of warning names answered with yes; default invoice_payment_term_
	TaxIDType   string   `yaml:"tax_id_type"`  // Tryton's identifier type, such as us_ein; empty: untyped and unchecked

	// Accounts, Products, Taxes and Terms are looked for by Check, so that a name missing there is found before the first
	// document asks for it.
	Accounts []string `yaml:"accounts"`
	Products []string `yaml:"products"`
	Taxes    []string `yaml:"taxes"`
	Terms    []string `yaml:"terms"`
}

// The posting date policies.
const (
	// PostDocumentOrToday books at the document's date, or today when a later number of the same sequence is already
	// out, for Tryton numbers in date order only. The document's own date stays.
	PostDocumentOrToday = "document_or_today"
	// PostDocument books at the document's date or not at all.
	PostDocument = "document"
)

const warningPastDue = "invoice_payment_term_"

func (c TrytonConfig) withDefaults() TrytonConfig {
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Horizon == 0 {
		c.Horizon = 45 * time.Second
	}
	if c.LoginCooldown == 0 {
		c.LoginCooldown = 300 * time.Second
	}
	if c.PostingDate == "" {
		c.PostingDate = PostDocumentOrToday
	}
	if c.Acknowledge == nil {
		c.Acknowledge = []string{warningPastDue}
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c TrytonConfig) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "" || err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		bad("url", redacted(c.URL), "http(s)://host:port of the Tryton server")
	case u.User != nil:
		bad("url", redacted(c.URL), "no credentials in the address; set user and password")
	case u.Path != "" && u.Path != "/":
		bad("url", c.URL, "no path; the database has a field of its own")
	}
	for _, f := range []struct{ name, value, want string }{
		{"database", c.Database, "the name of the Tryton database"},
		{"user", c.User, "the login of the integration user"},
		{"password", c.Password, "its password, from a file or the environment"},
	} {
		if f.value == "" {
			bad(f.name, f.value, f.want)
		}
	}
	if strings.ContainsAny(c.Database, "/?#") {
		bad("database", c.Database, "a plain database name")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", c.Timeout}, {"horizon", c.Horizon}, {"login_cooldown", c.LoginCooldown}} {
		if d.value < 0 || d.value > time.Hour {
			bad(d.name, d.value.String(), "a duration between 0 (default) and 1h")
		}
	}
	if p := c.PostingDate; p != "" && p != PostDocument && p != PostDocumentOrToday {
		bad("posting_date", p, PostDocumentOrToday+" or "+PostDocument)
	}
	if c.TimeZone != "" {
		if _, err := time.LoadLocation(c.TimeZone); err != nil {
			bad("time_zone", c.TimeZone, "an IANA name such as America/Chicago")
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
