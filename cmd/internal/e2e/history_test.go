package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// told runs a command with --json and reads what it says.
func told[T any](s *site, args ...string) (v T) {
	s.t.Helper()
	out := s.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		s.t.Fatalf("waybill %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

// On real databases: a code table learns a code and another one is corrected. The difference over the history says which held
// documents would be made, and which posted ones would have been otherwise; the activation then posts exactly the first, with the
// money that was said, and leaves the others as they are. An explanation says what held a document, and the state is what the
// journal makes, beside the running daemon and without it.
func TestDiffActivateVerify(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	s.customer("C1", "Lone Star")
	s.load(1, "C1")
	for i, cents := range []int64{100_00, 200_00} {
		inv := plain("A"+itoa(i+1), "C1", cents)
		inv.load = 1
		s.draft(inv)
	}
	s.draft(invoice{no: "A3", customer: "C1", lines: []line{{"TRF", 300_00, "EX"}}})
	s.draft(invoice{no: "A4", customer: "C1", lines: []line{{"LH", 50_00, "EX"}, {"DET", 25_00, "EX"}, {"TRF", 400_00, "EX"}}})
	s.draft(invoice{no: "A5", customer: "C1", lines: []line{{"DET", 75_00, "EX"}}})
	s.release("A1", "A2", "A5")
	s.release("A3", "A4")
	s.until(30*time.Second, "the three that are known are posted", func() bool { return len(postedBy(t, erp)) == 3 })
	s.settled(30 * time.Second)
	before := postedBy(t, erp)

	text := strings.NewReplacer("\nversion: 1\n", "\nversion: 2\n", "LMP: LUMPER, _unknown: hold }\n  item", "LMP: LUMPER, TRF: LUMPER, _unknown: hold }\n  item",
		`DETENTION_DL: "4020"`, `DETENTION_DL: "4025"`).Replace(s.mapping())
	s.file("next.yaml", text)
	diff := told[pipeline.MappingDiff](s, "map", "diff", "active", "next.yaml", "--since", "7d")
	money := pipeline.MoneyDiff{Of: "erp.sales_invoice", Currency: "USD", OldCount: 3, OldSum: "429.75", NewCount: 5, NewSum: "1204.75"}
	if h := diff.History; !slices.Contains(h.Money, money) || h.Added != 2 || h.Gone+h.Changed != 0 || h.Posts != (pipeline.PostDiffs{Added: 2, Changed: 1}) {
		t.Errorf("the history: %+v", h)
	}
	promised, otherwise := map[string]string{}, map[string][]pipeline.FieldDiff{}
	for _, d := range diff.Activation.Documents {
		promised[d.ExternalID] = d.New.Amount + " " + d.New.Currency
	}
	for _, d := range diff.History.Documents {
		if d.Kind == "changed" && d.Posted {
			otherwise[d.ExternalID] = d.Fields
		}
	}
	if want := map[string]string{"nstar:A3:0": "300.00 USD", "nstar:A4:0": "475.00 USD"}; !maps.Equal(promised, want) {
		t.Errorf("an activation would post %v, want %v", promised, want)
	}
	if f := otherwise["nstar:A5:0"]; len(otherwise) != 1 || !slices.Equal(f, []pipeline.FieldDiff{{Name: "body.lines[0].account", Old: "4020", New: "4025"}}) {
		t.Errorf("otherwise would be %+v", otherwise)
	}
	held := told[pipeline.ExplainView](s, "map", "explain", "billing.inv_hdr", "A3")
	if len(held.Documents) != 1 || held.Documents[0].State != "waits" || !strings.Contains(strings.Join(held.Documents[0].Trouble, " "), `"TRF"`) || len(held.Holds) != 1 {
		t.Errorf("%+v", held)
	}

	s.file("mapping.yaml", text)
	if v := told[pipeline.Activated](s, "map", "activate", "--why", "new tariff", "--yes"); v.Version != "northstar/2" || v.Entry == 0 {
		t.Errorf("%+v", v)
	}
	s.until(30*time.Second, "what was held is posted", func() bool { return len(postedBy(t, erp)) == 5 })
	s.settled(30 * time.Second)
	made := map[string]string{}
	for id, body := range postedBy(t, erp) {
		if was, known := before[id]; !known {
			made[id] = body.Total + " " + body.Currency
		} else if !reflect.DeepEqual(was, body) {
			t.Errorf("%s was %+v, and is %+v", id, was, body)
		}
	}
	if !maps.Equal(made, promised) {
		t.Errorf("the activation posted %v, the difference said %v", made, promised)
	}
	if a4 := postedBy(t, erp)["nstar:A4:0"]; len(a4.Lines) != 3 || a4.Lines[1].Account != "4025" {
		t.Errorf("A4 was posted as %+v", a4)
	}
	s.madeBy("northstar/2", diff.Activation.Events)
	for _, running := range []bool{true, false} {
		if !running {
			s.stop()
		}
		if proof := told[pipeline.StateProof](s, "checkpoint", "verify"); !proof.Equal || proof.Keys < 100 || proof.From != "the beginning of the journal" {
			t.Errorf("running %v: %+v %+v", running, proof, proof.First)
		}
	}
}

// madeBy proves that a version has made these events and no others.
func (s *site) madeBy(version string, events []pipeline.EventDiff) {
	s.t.Helper()
	var want, got []string
	for _, e := range events {
		want = append(want, e.ID)
	}
	for _, e := range told[[]pipeline.StoredEvent](s, "events", "list", "--limit", "1000") {
		if e.MapVersion == version {
			got = append(got, e.ID)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		s.t.Errorf("the difference said %v, the activation made %v", want, got)
	}
}

// postedInvoice is what the ERP was given.
type postedInvoice struct {
	Total, Currency string
	Lines           []struct{ Account, Net string }
}

// postedBy lists the invoices that the ERP has posted, each once.
func postedBy(t *testing.T, erp *sinktest.LedgerProcess) map[string]postedInvoice {
	t.Helper()
	report, err := sinktest.Ledger(erp.File, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Duplicates) > 0 {
		t.Errorf("done twice: %v", report.Duplicates)
	}
	all := map[string]postedInvoice{}
	for _, x := range report.Effects {
		if x.Entity != "sales_invoice" || x.Step != "post" {
			continue
		}
		var body postedInvoice
		if err := json.Unmarshal(x.Body, &body); err != nil {
			t.Fatal(err)
		}
		all[x.ExternalID] = body
	}
	return all
}

// A new carrier in shadow: its documents are kept, not sent; switched on, those since the cut-over are sent, each once.
func TestShadowGoesLive(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.file("mapping.yaml", strings.Replace(s.mapping(), "\nversion: 1\n", "\nversion: 1\nshadow: true\n", 1))
	s.start()
	s.customer("C1", "Lone Star")
	release := func(no string, cents int64, ago time.Duration) {
		inv := plain(no, "C1", cents)
		inv.released = time.Now().Add(-ago)
		s.draft(inv)
	}
	release("A1", 100_00, 30*time.Minute)
	release("A2", 200_00, 10*time.Minute)
	kept := func(n int) func() bool {
		return func() bool {
			for _, x := range told[pipeline.ShadowView](s, "map", "shadow").Targets {
				if x.Target == "erp.sales_invoice" {
					return x.Count == n
				}
			}
			return false
		}
	}
	s.until(30*time.Second, "both invoices are in shadow", kept(2))
	if n := effectsOf(t, erp, ""); n != 0 {
		t.Fatalf("%d documents were sent out of the shadow", n)
	}
	s.must("map", "shadow", "on", "northstar", "--cutover", time.Now().Add(-20*time.Minute).UTC().Format(time.RFC3339), "--why", "go-live", "--yes")
	s.until(30*time.Second, "the second invoice is posted", func() bool { return effectsOf(t, erp, "nstar:A2") == 1 })
	release("A3", 300_00, 0)
	s.until(30*time.Second, "so is a new one", func() bool { return effectsOf(t, erp, "nstar:A3") == 1 })
	s.settled(30 * time.Second)
	if n := effectsOf(t, erp, "nstar:A1"); n != 0 || !kept(1)() {
		t.Errorf("what happened before the cut-over was sent %d times", n)
	}
}

// mapping is the site's mapping file.
func (s *site) mapping() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "mapping.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// effectsOf counts the records of the ERP whose external id begins so.
func effectsOf(t *testing.T, erp *sinktest.LedgerProcess, prefix string) int {
	t.Helper()
	report, err := sinktest.Ledger(erp.File, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, x := range report.Effects {
		if strings.HasPrefix(x.ExternalID, prefix) {
			seen[x.ExternalID] = true
		}
	}
	return len(seen)
}
