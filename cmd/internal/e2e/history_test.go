package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// On real databases: the difference of a code table that learns a code is exactly what its activation then posts; an
// explanation says what held the document; and the state is what the journal makes, beside the running daemon and without it.
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
	s.draft(invoice{no: "A4", customer: "C1", lines: []line{{"LH", 50_00, "EX"}, {"TRF", 400_00, "EX"}}})
	s.release("A1", "A2")
	s.release("A3", "A4")
	s.until(30*time.Second, "the two that are known are posted", func() bool { return effectsOf(t, erp, "nstar:") == 2 })
	s.settled(30 * time.Second)

	text := strings.Replace(strings.Replace(s.mapping(), "version: 1", "version: 2", 1), "LMP: LUMPER, _unknown: hold }\n  item", "LMP: LUMPER, TRF: LUMPER, _unknown: hold }\n  item", 1)
	s.file("next.yaml", text)
	diff := told[pipeline.MappingDiff](s, "map", "diff", "active", "next.yaml", "--since", "7d")
	var ids, documents []string
	for _, e := range diff.Activation.Events {
		ids = append(ids, e.ID)
	}
	for _, d := range diff.Activation.Documents {
		documents = append(documents, d.ExternalID)
	}
	want := pipeline.MoneyDiff{Of: "erp.sales_invoice", Currency: "USD", OldCount: 2, OldSum: "354.75", NewCount: 4, NewSum: "1104.75"}
	if !slices.Equal(documents, []string{"nstar:A3:0", "nstar:A4:0"}) || !slices.Contains(diff.History.Money, want) || diff.History.Added != 2 || diff.History.Gone+diff.History.Changed != 0 {
		t.Fatalf("%+v", diff)
	}
	held := told[pipeline.ExplainView](s, "map", "explain", "billing.inv_hdr", "A3")
	if len(held.Documents) != 1 || held.Documents[0].State != "waits" || !strings.Contains(strings.Join(held.Documents[0].Trouble, " "), `"TRF"`) || len(held.Holds) != 1 {
		t.Errorf("%+v", held)
	}

	s.file("mapping.yaml", text)
	if v := told[pipeline.Activated](s, "map", "activate", "--why", "new tariff", "--yes"); v.Version != "northstar/2" || v.Entry == 0 {
		t.Errorf("%+v", v)
	}
	s.until(30*time.Second, "what was held is posted", func() bool { return effectsOf(t, erp, "nstar:") == 4 })
	s.settled(30 * time.Second)
	var made []string
	for _, e := range told[[]pipeline.StoredEvent](s, "events", "list", "--limit", "1000") {
		if e.MapVersion == "northstar/2" {
			made = append(made, e.ID)
		}
	}
	slices.Sort(ids)
	slices.Sort(made)
	if !slices.Equal(ids, made) {
		t.Errorf("the difference said %v, the activation made %v", ids, made)
	}
	for _, running := range []bool{true, false} {
		if !running {
			s.stop()
		}
		if proof := told[pipeline.StateProof](s, "checkpoint", "verify"); !proof.Equal || proof.Keys < 100 || proof.From != "the beginning of the journal" {
			t.Errorf("running %v: %+v %+v", running, proof, proof.First)
		}
	}
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
