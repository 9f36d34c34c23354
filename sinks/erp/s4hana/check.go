package s4hana

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"waybill/cdc"
	"waybill/sinks"
)

// Identity implements sinks.Sink: the host, the client and the company code. A test tenant has another host.
func (s *Sink) Identity(ctx context.Context) (string, error) {
	x := &exchange{Sink: s, ctx: ctx}
	if _, out := x.company(); out != nil {
		return "", fmt.Errorf("asking S/4HANA for company code %s: %w", s.cfg.Company, errOf(out))
	}
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("the address of S/4HANA: %w", err)
	}
	return fmt.Sprintf("s4hana:%s/%s/%s", u.Host, orNone(s.cfg.Client), s.cfg.Company), nil
}

func errOf(o *sinks.Outcome) error {
	text := o.Code + ": " + o.Message
	if o.Hint != "" {
		text += " " + o.Hint
	}
	return errors.New(text)
}

// company reads the company code.
func (x *exchange) company() (object, *sinks.Outcome) {
	all, out := x.query(companyService+"A_CompanyCode", "CompanyCode eq "+quoted(x.cfg.Company), "", "")
	if out != nil {
		return nil, out
	}
	if len(all) == 0 {
		return nil, setup("COMPANY", "company", fmt.Sprintf("S/4HANA has no company code %s.", x.cfg.Company), "Correct company in the sink's configuration.")
	}
	return all[0], nil
}

// Check implements sinks.Sink.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	x := &exchange{Sink: s, ctx: ctx}
	company, out := x.company()
	if out != nil && out.Class == sinks.RetryLater {
		return nil, fmt.Errorf("asking %s: %w", redacted(s.cfg.URL), errOf(out))
	}
	all := []cdc.Finding{finding("login and company", out, fmt.Sprintf("%s %s, %s", s.cfg.Company, company.text("CompanyCodeName"), company.text("Currency")))}
	if out != nil {
		return all, nil
	}
	for _, c := range []struct{ name, path string }{{"business partners", partnerService + "A_BusinessPartner"}, {"products", productService + "A_Product"}, {"journal entries", journalService + "A_OperationalAcctgDocItemCube"}} {
		_, out := x.get(c.path, url.Values{"$top": {"1"}, "$format": {"json"}})
		all = append(all, finding("reading "+c.name, out, "may be read"))
	}
	all = append(all, x.checkTaxes()...)
	return append(all, s.unseen()...), nil
}

func finding(name string, out *sinks.Outcome, good string) cdc.Finding {
	if out == nil {
		return cdc.Finding{Check: name, Level: cdc.LevelOK, Found: good}
	}
	return cdc.Finding{Check: name, Level: cdc.LevelFail, Found: out.Code + ": " + out.Message, Why: "Nothing can be posted, or not verified.", Fix: out.Hint}
}

// checkTaxes looks whether each tax code was ever posted in the company: the codes themselves are customizing, which no service reads.
func (x *exchange) checkTaxes() (all []cdc.Finding) {
	for _, name := range slices.Sorted(maps.Keys(x.cfg.TaxCodes)) {
		code := x.cfg.TaxCodes[name].Code
		items, out := x.query(journalService+"A_OperationalAcctgDocItemCube", "CompanyCode eq "+quoted(x.cfg.Company)+" and TaxCode eq "+quoted(code), "", "1")
		f := finding("tax "+name, out, code+" has been posted in "+x.cfg.Company)
		if out == nil && len(items) == 0 {
			f = cdc.Finding{Check: f.Check, Level: cdc.LevelWarn, Found: code + " has never been posted in " + x.cfg.Company, Want: "a tax code of the company",
				Why: "No service says which tax codes there are; a wrong one is refused with the first document.", Fix: "Compare tax_codes with the tax codes in S/4HANA."}
		}
		all = append(all, f)
	}
	return all
}

// unseen is what cannot be looked at without writing.
func (s *Sink) unseen() []cdc.Finding {
	repeat := cdc.Finding{Check: "repeatability", Level: cdc.LevelOK, Found: "creates are preceded by a search for their key"}
	if s.cfg.Repeatability == RepeatabilityRequestID {
		repeat.Found = "creates by OData carry RequestID and RepeatabilityCreation too; that they are honoured is the configuration's word"
	}
	return []cdc.Finding{repeat, {Check: "posting journal entries", Level: cdc.LevelOK, Found: "not seen without posting: " + s.cfg.JournalPath,
		Why: "The service takes no question.", Fix: "Post one document into the test tenant."}}
}
