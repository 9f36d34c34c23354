package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// beside makes another carrier of the same build, with databases of its own, a second one in the daemon of the site.
func (s *site) beside(o *site) {
	s.t.Helper()
	s.write()
	mapping, err := os.ReadFile(filepath.Join(s.dir, "mapping.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.file("southern.yaml", strings.NewReplacer("dispatch.", "s_dispatch.", "billing.", "s_billing.", "  dispatch: {", "  s_dispatch: {", "  billing:  {", "  s_billing: {",
		"mapping: northstar\n", "mapping: southern\ncompany: SOUTH\n", "external_id: code", `external_id: "s:{code}"`,
		"erp.customer: bill_to.account", `erp.customer: "s:{bill_to.account}"`, "nstar:", "south:").Replace(string(mapping)))
	config, err := os.ReadFile(filepath.Join(s.dir, "waybill.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.file("waybill.yaml", strings.NewReplacer("mapping: mapping.yaml", "mapping: [mapping.yaml, southern.yaml]", "\nsinks:\n", fmt.Sprintf(`
  s_dispatch: { type: postgres, host: 127.0.0.1, port: %d, database: %s, user: %s, password: "%s", ssl_mode: disable, slot: %[2]s, publication: %[2]s, heartbeat: 1s }
  s_billing: { type: mariadb, host: 127.0.0.1, port: %[5]d, database: %s, user: %s, password: "%s", server_id: 4711, heartbeat: 1s }
sinks:
`, pg.Port, o.pgName, pg.User, pg.Password, maria.Port, o.myName, maria.User, maria.Password)).Replace(string(config)))
}

// TestTwoCarriersInOneDaemon runs a carrier, and another one beside it that calls its customers, loads and invoices by the same
// numbers. Each document goes its own way; the second one's wait for their own loads alone; trace tells both by the number.
func TestTwoCarriersInOneDaemon(t *testing.T) {
	s, o := newSite(t), newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.load(88121, "100001")
	first := plain("A1", "100001", 115000)
	first.load = 88121
	s.draft(first)
	s.release("A1")
	s.settled(60 * time.Second)
	s.stop()

	s.beside(o)
	s.start()
	o.customer("100001", "Gulf Steel")
	second := plain("A1", "100001", 990000)
	second.load = 88121
	o.draft(second)
	o.release("A1")
	third := plain("A2", "100001", 100)
	s.draft(third)
	s.release("A2")
	posted := func() (all []string) {
		report, err := sinktest.Ledger(erp.File, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Duplicates) > 0 {
			t.Fatalf("twice in the ERP: %v", report.Duplicates)
		}
		for _, e := range report.Effects {
			if e.Step == "post" || e.Step == "upsert" {
				all = append(all, e.ExternalID+" "+e.OrderKey)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	alone := []string{"100001 customer/100001", "nstar:A1:0 invoice/A1", "nstar:A2:0 invoice/A2", "s:100001 customer/SOUTH:100001"}
	s.until(60*time.Second, "all but the second carrier's invoice is posted", func() bool { return slices.Equal(posted(), alone) })
	s.until(30*time.Second, "the second carrier's invoice waits for its own load", func() bool {
		return strings.Contains(s.must("trace", "SOUTH:A1"), "invoice.released invoice/SOUTH:A1")
	})
	if got := posted(); !slices.Equal(got, alone) {
		t.Fatalf("posted before its load is delivered: %v", got)
	}
	o.load(88121, "100001")
	s.settled(60 * time.Second)
	if got, want := posted(), append(slices.Clone(alone), "south:A1:0 invoice/SOUTH:A1"); !slices.Equal(got, want) {
		t.Errorf("posted:\n got %v\nwant %v", got, want)
	}
	story := s.must("trace", "A1")
	for _, part := range []string{"northstar/1", "southern/1", "invoice.released invoice/A1", "invoice.released invoice/SOUTH:A1", "nstar:A1:0", "south:A1:0"} {
		if !strings.Contains(story, part) {
			t.Errorf("trace A1 has no %q:\n%s", part, story)
		}
	}
	answer, err := http.Get(erp.URL + "/binding")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	mark, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil || !strings.Contains(string(mark), `"s_billing":`) || !strings.Contains(string(mark), `"dispatch":`) {
		t.Errorf("the mark in the ERP: %s, %v", mark, err)
	}
	if st := s.status(); st.Mapping != "northstar/1, southern/1" || len(st.Exceptions) != 0 {
		t.Errorf("mapping %q, exceptions %v", st.Mapping, st.Exceptions)
	}
	s.stop()
}
