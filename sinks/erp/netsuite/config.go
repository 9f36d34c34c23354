package netsuite

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Config is one NetSuite account, or one subsidiary of it. Names are resolved when they are used; "id:42" is an internal id and "eid:X" an
// external id as it stands, wherever a name is asked for.
type Config struct {
	// Account id as NetSuite shows it: 1234567, or 1234567_SB1 for a sandbox.
	Account string `yaml:"account"`
	// Address of the account. Default https://<account>.suitetalk.api.netsuite.com.
	URL string `yaml:"url"`
	// How NetSuite lets us in: oauth2 with an assertion signed for a mapped certificate, oauth1 (token-based authentication), or bearer with a token
	// that something else keeps fresh. token_url, scope and realm are the account's unless they are set.
	Auth web.AuthConfig `yaml:"auth"`
	// The subsidiary that documents and masters belong to; left out in an account without subsidiaries.
	Subsidiary string `yaml:"subsidiary"`
	// Subsidiaries of the companies that the mapping names, where one sink serves several.
	Subsidiaries map[string]string `yaml:"subsidiaries"`
	// What our external ids begin with. It must never change. Default waybill.
	Prefix string `yaml:"prefix"`
	// sync (default), or async: each write is a job, with an idempotency key that NetSuite honours.
	Mode string `yaml:"mode"`
	// How often a job is asked for. Default 1s.
	Poll time.Duration `yaml:"poll"`
	// Of one step with all its calls. Default 50s; a longer one needs a longer timeout of the sink's policy, too.
	Timeout time.Duration `yaml:"timeout"`
	// How long after a lost answer a write may still appear. Default 15m, which is NetSuite's own time limit of a request.
	Horizon time.Duration `yaml:"horizon"`

	// Location of documents, in an account that asks for one.
	Location string `yaml:"location"`
	// Record type of items. Default serviceSaleItem.
	ItemType string `yaml:"item_type"`
	// Items of products, and of accounts where a line has no product: NetSuite books by items. A product that is not here is the item's name.
	Items map[string]string `yaml:"items"`
	// Taxes of the documents' lines by the names that the mapping gives them; a name that is not here is the tax code's own.
	Taxes map[string]Tax `yaml:"taxes"`
	// How taxes are given: details (default, SuiteTax: as the source has them), lines (tax code and amount on each line, without SuiteTax), or
	// none: a document that bears tax is refused.
	Taxation string `yaml:"taxation"`
	// Tax type of tax codes that name none (SuiteTax).
	TaxType string `yaml:"tax_type"`
	// Tax code of lines whose tax is given as an amount other than zero.
	Tax string `yaml:"tax"`
	// Payment terms of documents that name none; left out, the customer's own.
	PaymentTerm string `yaml:"payment_term"`
	// own (default): Waybill keeps a customer's one address; create: it gives the first one and never touches it again.
	Addresses string `yaml:"addresses"`
	// NetSuite's field for a member of a master, where it is not the adapter's: { customer.tax_id: custentity_ein }. Text fields only.
	Fields map[string]string `yaml:"fields"`

	// Memory keeps the jobs of mode async over a restart; nil: they are forgotten, and the idempotency key finds them again.
	Memory sinks.Memory `yaml:"-"`

	// Code of a customer that waybill check --probe may write, as a test; left out, it writes nothing.
	Probe string `yaml:"probe"`
	// Accounts and Terms are looked for by check, so that a name missing there is found before the first document asks for it.
	Accounts []string `yaml:"accounts"`
	Terms    []string `yaml:"terms"`
}

// Tax is a tax of the mapping as NetSuite knows it.
type Tax struct {
	// Name of the tax code.
	Code string `yaml:"code"`
	// Name of its tax type; left out, tax_type of the sink.
	Type string `yaml:"type"`
	// Lines with this tax bear none.
	Exempt bool `yaml:"exempt"`
}

const (
	modeSync  = "sync"
	modeAsync = "async"

	addressOwn    = "own"
	addressCreate = "create"

	taxDetails = "details"
	taxLines   = "lines"
	taxNone    = "none"
)

var (
	accountForm = regexp.MustCompile(`^[A-Za-z0-9]+(_[A-Za-z0-9]+)?$`)
	prefixForm  = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}$`)
	fieldForm   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
)

func (c Config) withDefaults() Config {
	if c.URL == "" {
		// The host has the account in lower case with a hyphen [S].
		c.URL = "https://" + strings.ToLower(strings.ReplaceAll(c.Account, "_", "-")) + ".suitetalk.api.netsuite.com"
	}
	c.URL = strings.TrimRight(c.URL, "/")
	c.Account = strings.ToUpper(c.Account)
	c.Auth = c.authOf()
	texts := []struct {
		at    *string
		value string
	}{{&c.Prefix, "waybill"}, {&c.Mode, modeSync}, {&c.ItemType, "serviceSaleItem"}, {&c.Addresses, addressOwn}, {&c.Taxation, taxDetails}}
	for _, d := range texts {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	times := []struct {
		at    *time.Duration
		value time.Duration
	}{{&c.Poll, time.Second}, {&c.Timeout, 50 * time.Second}, {&c.Horizon, 15 * time.Minute}}
	for _, d := range times {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return c
}

// tokenPath is the token server of an account (NS3).
const tokenPath = "/services/rest/auth/oauth2/v1/token"

// authOf fills what the account says of its credentials: the realm, and where and for what tokens are asked for.
func (c Config) authOf() web.AuthConfig {
	a := c.Auth
	if a.OAuth1 != nil {
		own := *a.OAuth1
		own.Realm = first(own.Realm, c.Account)
		a.OAuth1 = &own
	}
	if a.OAuth2 != nil {
		own := *a.OAuth2
		own.TokenURL = first(own.TokenURL, c.URL+tokenPath)
		if own.Assertion != nil && own.Assertion.Claims["scope"] == "" {
			assertion := *own.Assertion
			assertion.Claims = map[string]string{"scope": "rest_webservices"}
			maps.Copy(assertion.Claims, own.Assertion.Claims)
			own.Assertion = &assertion
		}
		a.OAuth2 = &own
	}
	return a
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	if !accountForm.MatchString(c.Account) {
		bad("account", c.Account, "an account id such as 1234567 or 1234567_SB1")
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil) {
		bad("url", redacted(c.URL), "https://host of the account, without credentials")
	}
	if c.Prefix != "" && !prefixForm.MatchString(c.Prefix) {
		bad("prefix", c.Prefix, "1 to 20 letters in lower case and digits, a letter first")
	}
	for _, f := range []struct {
		name, value string
		words       []string
	}{{"mode", c.Mode, []string{modeSync, modeAsync}}, {"addresses", c.Addresses, []string{addressOwn, addressCreate}}, {"taxation", c.Taxation, []string{taxDetails, taxLines, taxNone}}} {
		if f.value != "" && !slices.Contains(f.words, f.value) {
			bad(f.name, f.value, strings.Join(f.words, ", "))
		}
	}
	for _, d := range []struct {
		name        string
		value, most time.Duration
	}{{"poll", c.Poll, time.Minute}, {"timeout", c.Timeout, time.Hour}, {"horizon", c.Horizon, 24 * time.Hour}} {
		if d.value < 0 || d.value > d.most {
			bad(d.name, d.value.String(), fmt.Sprintf("a duration between 0 (default) and %s", d.most))
		}
	}
	if c.ItemType != "" && !fieldForm.MatchString(c.ItemType) {
		bad("item_type", c.ItemType, "a record type such as serviceSaleItem or nonInventorySaleItem")
	}
	if err := c.withDefaults().Auth.Validate("auth.", web.KindOAuth2, web.KindOAuth1, web.KindBearer); err != nil {
		errs = append(errs, err)
	}
	for _, name := range sortedKeys(c.Fields) {
		if !fieldForm.MatchString(c.Fields[name]) {
			bad("fields."+name, c.Fields[name], "the name of a field, such as custentity_ein")
		}
		if !isTextField(name) {
			bad("fields."+name, c.Fields[name], "one of "+strings.Join(textFields(), ", "))
		}
	}
	for _, name := range sortedKeys(c.Taxes) {
		if t := c.Taxes[name]; t.Code == "" && !t.Exempt {
			bad("taxes."+name+".code", "", "the name of a tax code in NetSuite, or exempt: true")
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
