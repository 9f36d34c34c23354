package s4hana

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/web"
)

// Config is one company code of one tenant. Codes are written as S/4HANA has them.
type Config struct {
	// Address of the tenant's API host, such as https://my300000-api.s4hana.cloud.sap.
	URL string `yaml:"url"`
	// Client of the system, three digits. Empty: the host's own.
	Client string `yaml:"client"`
	// Company code, such as 1010.
	Company string `yaml:"company"`
	// Who we are: basic, oauth2, or a client certificate (tls), as the communication arrangement says. csrf is always used.
	Auth web.AuthConfig `yaml:"auth"`
	// For one request with its answer. Default 60s.
	Timeout time.Duration `yaml:"timeout"`
	// How long after a lost answer a write may still appear. Default 10m, the longest that a dialog step runs on the server unless it was set otherwise.
	Horizon time.Duration `yaml:"horizon"`
	// none (default): before each create its key is looked for. request-id: creates by OData carry RequestID and RepeatabilityCreation too;
	// only where the tenant was seen to honour them.
	Repeatability string `yaml:"repeatability"`
	// journal, the default and all there is: an invoice is posted into finance.
	Invoice string `yaml:"invoice"`
	// Path of the SOAP service that posts journal entries. Default /sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi.
	JournalPath string `yaml:"journal_path"`
	// User that the journal names as its creator, at most 12 characters. Default WAYBILL.
	CreatedBy string `yaml:"created_by"`
	// Document types of finance.
	DocumentTypes DocumentTypes `yaml:"document_types"`
	// Taxes of the mapping by their names, and the tax codes that they mean here.
	TaxCodes map[string]TaxCode `yaml:"tax_codes"`
	// Name in tax_codes for lines that say only that they bear tax.
	Tax string `yaml:"tax"`
	// Name in tax_codes for lines without tax. Empty: such lines have no tax code.
	ExemptTax string `yaml:"exempt_tax"`
	// Payment terms of the mapping by their names, and the keys that they have here. A name that is not listed is taken as the key itself.
	PaymentTerms map[string]string `yaml:"payment_terms"`
	// How business partners are made.
	Partner Partner `yaml:"partner"`
	// How products are made.
	Product Product `yaml:"product"`
	// Search term with which the test partners begin that waybill check --probe may make, such as PROBE. Empty: it makes none.
	Probe string `yaml:"probe"`
}

// DocumentTypes are those of finance, two characters each.
type DocumentTypes struct {
	// Default DR.
	Invoice string `yaml:"invoice"`
	// Default DG.
	Credit string `yaml:"credit"`
	// Default SA.
	Journal string `yaml:"journal"`
}

// TaxCode is a tax code of S/4HANA.
type TaxCode struct {
	// The code, one or two characters.
	Code string `yaml:"code"`
	// Percent, such as "8.25". Needed where one document has several taxes.
	Rate string `yaml:"rate"`
	// Tax item classification, such as MWS. Empty: the system's own.
	Classification string `yaml:"classification"`
	// Condition type, such as MWAS. Empty: the system's own.
	Condition string `yaml:"condition"`
	// Tax jurisdiction, where the company has them.
	Jurisdiction string `yaml:"jurisdiction"`
}

// Partner says how business partners are made.
type Partner struct {
	// Property that holds a customer's code: SearchTerm1 (default) or BusinessPartnerIDByExtSystem.
	Key string `yaml:"key"`
	// Grouping that numbers them. Empty: the system's own.
	Grouping string `yaml:"grouping"`
	// Roles of a customer. Default FLCU00 and FLCU01.
	Roles []string `yaml:"roles"`
	// Roles of a location. Default 000000.
	LocationRoles []string `yaml:"location_roles"`
	// Reconciliation account of a customer in the company code. Empty: no company data are made.
	ReconciliationAccount string `yaml:"reconciliation_account"`
	// Type of the tax number, such as US1. Empty: tax numbers are refused.
	TaxType string `yaml:"tax_type"`
	// Language of addresses and texts, two letters. Default EN.
	Language string `yaml:"language"`
}

// Product says how products are made.
type Product struct {
	// Product type. Default SERV.
	Type string `yaml:"type"`
	// Base unit. Default EA.
	Unit string `yaml:"unit"`
	// Product group. Empty: none.
	Group string `yaml:"group"`
}

// The values of Repeatability and Invoice.
const (
	RepeatabilityNone      = "none"
	RepeatabilityRequestID = "request-id"
	InvoiceJournal         = "journal"
)

func (c Config) withDefaults() Config {
	c.URL = strings.TrimRight(c.URL, "/")
	for _, f := range []struct {
		field *string
		value string
	}{{&c.Repeatability, RepeatabilityNone}, {&c.Invoice, InvoiceJournal}, {&c.JournalPath, "/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"}, {&c.CreatedBy, "WAYBILL"},
		{&c.DocumentTypes.Invoice, "DR"}, {&c.DocumentTypes.Credit, "DG"}, {&c.DocumentTypes.Journal, "SA"}, {&c.Partner.Language, "EN"}, {&c.Partner.Key, customerField}, {&c.Product.Type, "SERV"}, {&c.Product.Unit, "EA"}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	if c.Auth.CSRF == nil {
		c.Auth.CSRF = &web.CSRF{Path: partnerService}
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Horizon == 0 {
		c.Horizon = 10 * time.Minute
	}
	if c.Partner.Roles == nil {
		c.Partner.Roles = []string{"FLCU00", "FLCU01"}
	}
	if c.Partner.LocationRoles == nil {
		c.Partner.LocationRoles = []string{"000000"}
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("url", redacted(c.URL), "https://host of the tenant's APIs")
	case u.User != nil:
		bad("url", redacted(c.URL), "no credentials in the address; they have a block of their own, auth")
	case u.Path != "" && u.Path != "/":
		bad("url", c.URL, "no path; the services' paths are known")
	}
	d := c.withDefaults()
	for _, f := range []struct{ name, value, form, want string }{
		{"client", c.Client, `^(\d{3})?$`, "three digits, or nothing"},
		{"company", c.Company, `^[A-Z0-9]{1,4}$`, "a company code: one to four capital letters and digits"},
		{"repeatability", d.Repeatability, "^(" + RepeatabilityNone + "|" + RepeatabilityRequestID + ")$", RepeatabilityNone + " or " + RepeatabilityRequestID},
		{"journal_path", d.JournalPath, `^/[^\s?#]*$`, "a path behind url, beginning with /"},
		{"created_by", d.CreatedBy, `^\S{1,12}$`, "a user name of at most 12 characters"},
		{"document_types.invoice", d.DocumentTypes.Invoice, `^[A-Z0-9]{2}$`, "two capital letters or digits"},
		{"document_types.credit", d.DocumentTypes.Credit, `^[A-Z0-9]{2}$`, "two capital letters or digits"},
		{"document_types.journal", d.DocumentTypes.Journal, `^[A-Z0-9]{2}$`, "two capital letters or digits"},
		{"partner.key", d.Partner.Key, "^(" + customerField + "|" + externalField + ")$", customerField + " or " + externalField},
		{"probe", c.Probe, `^([A-Z0-9._/-]{1,12})?$`, "at most 12 capital letters, digits and . _ / -"},
		{"partner.language", d.Partner.Language, `^[A-Z]{2}$`, "two capital letters, such as EN"},
	} {
		if !regexp.MustCompile(f.form).MatchString(f.value) {
			bad(f.name, f.value, f.want)
		}
	}
	if d.Invoice != InvoiceJournal {
		bad("invoice", d.Invoice, InvoiceJournal+"; the service that takes billing from outside does not say what became of it, and its message could not be verified, so none is guessed")
	}
	for _, f := range []struct {
		name        string
		value, most time.Duration
	}{{"timeout", c.Timeout, time.Hour}, {"horizon", c.Horizon, 24 * time.Hour}} {
		if f.value < 0 || f.value > f.most {
			bad(f.name, f.value.String(), fmt.Sprintf("a duration between 0 (default) and %s", f.most))
		}
	}
	c.validateTaxes(bad)
	return errors.Join(append(errs, d.Auth.Validate("auth.", web.KindBasic, web.KindOAuth2, web.KindTLS))...)
}

func (c Config) validateTaxes(bad func(field, found, want string)) {
	for _, name := range slices.Sorted(maps.Keys(c.TaxCodes)) {
		t := c.TaxCodes[name]
		if !taxCodes.MatchString(t.Code) {
			bad("tax_codes."+name+".code", t.Code, "a tax code of one or two characters")
		}
		if rate, err := decimal.NewFromString(t.Rate); t.Rate != "" && (err != nil || rate.IsNegative() || rate.GreaterThan(decimal.NewFromInt(100))) {
			bad("tax_codes."+name+".rate", t.Rate, "percent from 0 to 100, such as 8.25")
		}
	}
	for field, name := range map[string]string{"tax": c.Tax, "exempt_tax": c.ExemptTax} {
		if _, known := c.TaxCodes[name]; name != "" && !known {
			bad(field, name, "a name in tax_codes")
		}
	}
}

var taxCodes = regexp.MustCompile(`^[A-Z0-9]{1,2}$`)

// redacted is the address as a message may show it.
func redacted(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return "(not an address)"
}
