package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// haulier is one of the carriers: what its folder under testdata/carriers holds, and what the demo adds to its mapping.
type haulier struct {
	name, folder string
	company      string     // in the keys of its documents
	sources      []Database // of its mapping
	prefix       string     // of its documents' references in the ERP
	edits        []edit     // of the mapping's text
	cases        string     // the section that the mapping has no need of without the demo
}

// edit replaces a piece of a mapping, which must be there once.
type edit struct{ find, put string }

// sooner makes people hear within seconds of what is not whole; a day's work passes in seconds here.
var sooner = edit{"      wait: 60s\n", "      wait: 5s\n"}

const caseRules = `
cases:
  keys: { shipment: strong%s, invoice: shared }
  pod: { required: "true", within: 168h }
`

var (
	northstar = haulier{name: "Northstar", folder: "northstar", company: "NSTAR", sources: []Database{Dispatch, Billing}, prefix: "nstar:",
		edits: []edit{sooner}, cases: fmt.Sprintf(caseRules, ", load: strong")}
	pineValley = haulier{name: "Pine Valley", folder: "pinevalley", company: "PVLY", sources: []Database{PineValley}, prefix: "pvly:",
		edits: []edit{{"      wait: 15m ", "      wait: 5s "}, registry}, cases: fmt.Sprintf(caseRules, "")}
	gulfCoast = haulier{name: "Gulf Coast", folder: "gulfcoast", company: "GCBK", sources: []Database{GulfCoast}, prefix: "gcbk:",
		edits: []edit{sooner}, cases: fmt.Sprintf(caseRules, "")}
	fleet = []*haulier{&northstar, &pineValley, &gulfCoast}
)

// registry lets people keep Pine Valley's accounts, in place of its table: then one approval releases what waits.
var registry = edit{`  customer:
    from: pvly.ar.cust_acct
    key: shipto_cd
    valid: [eff_dt, end_dt]
    value: { account: erp_acct, currency: cur }
    miss: UNKNOWN_CUSTOMER
    owner: master data
`, `  customer:
    registry: customer
    system: pvly
    role: bill_to
    key: shipto_cd
    value: { account: erp_account, currency: currency }
    from: pvly.ops.consignee
    describe: { name: nm, tax_id: gst_no, street: adr1 }
    owner: master data
`}

var (
	cutoverLine  = regexp.MustCompile(`(?m)^cutover:.*$`)
	mappingLine  = regexp.MustCompile(`(?m)^mapping: .*$`)
	testsSection = regexp.MustCompile(`(?ms)^tests:.*\z`)
	versionLine  = regexp.MustCompile(`(?m)^version: *1 *$`)
	casesSection = regexp.MustCompile(`(?m)^cases:`)
)

// mapping is the carrier's mapping as the demo runs it: with the cut-over of this run, its company and its cases. The inline tests at the end go:
// their documents are dated for the carrier's own cut-over.
func (h *haulier) mapping(text string, cutover time.Time) (string, error) {
	text = testsSection.ReplaceAllString(text, "")
	for what, line := range map[string]*regexp.Regexp{"cutover:": cutoverLine, "mapping:": mappingLine} {
		if len(line.FindAllString(text, -1)) != 1 {
			return "", fmt.Errorf("writing the mapping of %s: want one line that begins with %q in its mapping.yaml", h.name, what)
		}
	}
	text = cutoverLine.ReplaceAllString(text, fmt.Sprintf("cutover: %q", cutover.Format(time.RFC3339)))
	text = mappingLine.ReplaceAllString(text, "${0}\ncompany: "+h.company)
	for _, e := range h.edits {
		if strings.Count(text, e.find) != 1 {
			return "", fmt.Errorf("writing the mapping of %s: want this once in its mapping.yaml:\n%s", h.name, e.find)
		}
		text = strings.Replace(text, e.find, e.put, 1)
	}
	if !casesSection.MatchString(text) {
		text = strings.TrimRight(text, "\n") + "\n" + h.cases
	}
	return strings.TrimRight(text, "\n") + "\n" + publication, nil
}

// withNewCharge is the next version of Northstar's mapping, which knows newChargeCode.
func withNewCharge(mapping string) (string, error) {
	for _, table := range []struct{ name, entry string }{
		{"charge", newChargeCode + ": TARPING"}, {"item", "TARPING: ACC"}, {"revenue_account", `TARPING: "4020"`},
	} {
		line := regexp.MustCompile(`(?m)^  ` + table.name + `: \{ `)
		if len(line.FindAllString(mapping, -1)) != 1 {
			return "", fmt.Errorf("writing version 2 of the mapping: want the code table %s on one line in the carrier's mapping.yaml", table.name)
		}
		mapping = line.ReplaceAllString(mapping, "${0}"+table.entry+", ")
	}
	if !versionLine.MatchString(mapping) {
		return "", fmt.Errorf("writing version 2 of the mapping: want \"version: 1\" in the carrier's mapping.yaml")
	}
	return versionLine.ReplaceAllString(mapping, "version: 2"), nil
}

// writeMapping writes the given version of a carrier's mapping into the demo's folder; only Northstar's has a second one.
func (s *show) writeMapping(h *haulier, version int) error {
	text, err := os.ReadFile(filepath.Join(s.Carriers, h.folder, "mapping.yaml"))
	if err != nil {
		return fmt.Errorf("reading the mapping of %s: %w", h.name, err)
	}
	mapping, err := h.mapping(string(text), s.cutover)
	if err == nil && version > 1 {
		mapping, err = withNewCharge(mapping)
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Dir, h.folder+".yaml"), []byte(mapping), 0o644); err != nil {
		return fmt.Errorf("writing the mapping of %s: %w", h.name, err)
	}
	return nil
}
