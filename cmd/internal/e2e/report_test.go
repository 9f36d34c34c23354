package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// cents reads a decimal of two places, apart from the program under test.
func cents(t *testing.T, text string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	var w, f int64
	if _, err := fmt.Sscan(whole, &w); err != nil || len(fraction) != 2 {
		t.Fatalf("%q is no amount of cents", text)
	}
	if _, err := fmt.Sscanf(fraction, "%02d", &f); err != nil {
		t.Fatalf("%q is no amount of cents: %v", text, err)
	}
	if strings.HasPrefix(text, "-") {
		return -100*w - f
	}
	return 100*w + f
}

// reconciled asks the daemon and returns the only line of one currency over all days.
func (s *site) reconciled() (pipeline.ReconcileReport, pipeline.ReconcileLine) {
	s.t.Helper()
	var r pipeline.ReconcileReport
	if err := json.Unmarshal([]byte(s.must("report", "reconcile", "--json")), &r); err != nil {
		s.t.Fatal(err)
	}
	if len(r.Totals) != 1 || r.Totals[0].Currency != "USD" {
		s.t.Fatalf("totals: %+v", r.Totals)
	}
	return r, r.Totals[0]
}

func (s *site) backlog() map[string]pipeline.BacklogStage {
	s.t.Helper()
	var r pipeline.BacklogReport
	if err := json.Unmarshal([]byte(s.must("report", "backlog", "--json")), &r); err != nil {
		s.t.Fatal(err)
	}
	by := map[string]pipeline.BacklogStage{}
	for _, st := range r.Stages {
		by[st.Stage] = st
	}
	return by
}

// TestReports sums billing's documents and the ERP's ledger itself, and compares them with what the daemon reports: documents that are posted,
// credited, held by an unknown customer, refused by the ERP, given up, changed after their release, and on their way.
func TestReports(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.settled(60 * time.Second)
	for i := range 6 {
		s.draft(plain(fmt.Sprintf("P%d", i), "100001", int64(100000+i*1111)))
	}
	credit := plain("C0", "100001", -100000)
	credit.original = "P0"
	s.draft(credit)
	s.draft(plain("U0", "999999", 5005))
	s.draft(plain("D0", "100001", 777))
	s.load(88121, "100001")
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) VALUES (88122, '100001', 'AVL', now(), 20)`)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='MTY', dlv_dt=current_date, dlv_tm='10:15', pcs_dlv=20 WHERE load_no=88122`)
	s.release("P0", "P1", "P2", "P3", "U0")
	s.release("C0")
	s.settled(60 * time.Second)
	erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Step: "create", Fault: sinktest.Reject, Count: 2})
	s.release("P4", "P5")
	s.settled(60 * time.Second)
	var open []pipeline.ExceptionView
	if err := json.Unmarshal([]byte(s.must("exceptions", "list", "--json")), &open); err != nil || len(open) != 3 {
		t.Fatalf("exceptions: %v, %+v", err, open)
	}
	for _, x := range open {
		if x.Delivery != nil && x.Delivery.ExternalID == "nstar:P5:0" {
			s.must("exceptions", "discard", x.ID, "--why", "written by hand", "--yes")
		}
	}
	flying := plain("F0", "100001", 4242) // its load is not delivered
	flying.load = 99999
	s.draft(flying)
	s.release("F0")
	s.sql(s.billing, `UPDATE inv_hdr SET memo='late', inv_amt=inv_amt+1, tax_amt=tax_amt+1 WHERE inv_no='P1'`)
	s.until(30*time.Second, "the change of P1 is seen and F0 waits", func() bool {
		r, line := s.reconciled()
		return line.InFlight.Count == 1 && len(r.Differences) == 2
	})
	r, line := s.reconciled()

	// What billing says, in its own words.
	var n, sum int64
	if err := s.billing.QueryRow(`SELECT count(*), CAST(sum(inv_amt)*100 AS SIGNED) FROM inv_hdr WHERE stat='R'`).Scan(&n, &sum); err != nil {
		t.Fatal(err)
	}
	if line.Source.Count != n || cents(t, line.Source.Amount) != sum {
		t.Errorf("source %+v, billing has %d documents of %d cents", line.Source, n, sum)
	}
	// What the ERP's own ledger says.
	report, err := sinktest.Ledger(erp.File, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var posted, booked int64
	for _, e := range report.Effects {
		if e.Entity == "sales_invoice" && e.Step == "post" {
			var body struct{ Total string }
			if err := json.Unmarshal(e.Body, &body); err != nil {
				t.Fatal(err)
			}
			posted, booked = posted+1, booked+cents(t, body.Total)
		}
	}
	if posted != 5 || line.Posted.Count != posted || cents(t, line.Posted.Amount) != booked || line.ERP != line.Posted || line.Unread != 0 {
		t.Errorf("posted %+v, ERP %+v; the ledger has %d documents of %d cents", line.Posted, line.ERP, posted, booked)
	}
	total := func(inv invoice) int64 { _, all := inv.totals(); return all }
	held := total(plain("", "", 5005)) + total(plain("", "", 100000+4*1111))
	if line.Exception.Count != 2 || cents(t, line.Exception.Amount) != held || line.InFlight.Count != 1 || cents(t, line.InFlight.Amount) != total(flying) {
		t.Errorf("in exception %+v, in flight %+v; expected %d and %d cents", line.Exception, line.InFlight, held, total(flying))
	}
	if left := sum - booked - held - total(flying); cents(t, line.Difference.Amount) != left || line.Difference.Count != 1 {
		t.Errorf("difference %+v, expected 1 document and %d cents", line.Difference, left)
	}
	why := map[string]string{}
	for _, d := range r.Differences {
		why[d.Ref] = d.Why
	}
	if len(why) != 2 || why["invoice/P5"] != "a person gave up its posting" || why["invoice/P1"] != "the source changed it after its release" {
		t.Errorf("differences: %v", why)
	}

	stages := s.backlog()
	for stage, want := range map[string]int64{"delivered": 1, "pod": 1, "ready": 0, "drafted": 1, "released": 3, "posted": 5} {
		if got := stages[stage]; got.Count != want {
			t.Errorf("%s: %+v, expected %d", stage, got, want)
		}
	}
	if d := stages["drafted"]; cents(t, d.Money["USD"]) != total(plain("", "", 777)) || d.OldestRef != "invoice/D0" {
		t.Errorf("drafted: %+v", d)
	}
	if rel := stages["released"]; rel.Exception != 2 || cents(t, rel.Money["USD"]) != held+total(flying) {
		t.Errorf("released: %+v", rel)
	}
	if p := stages["posted"]; cents(t, p.Money["USD"]) != booked {
		t.Errorf("posted: %+v", p)
	}
	s.refusals()
	s.stop()
}

// refusals looks for the events that follow from outcomes.
func (s *site) refusals() {
	s.t.Helper()
	data := func(typ string) (all []map[string]any) {
		s.t.Helper()
		var events []struct{ Data map[string]any }
		if err := json.Unmarshal([]byte(s.must("events", "list", "--type", typ, "--json")), &events); err != nil {
			s.t.Fatal(err)
		}
		for _, e := range events {
			all = append(all, e.Data)
		}
		return all
	}
	refused := data("erp.rejected")
	if len(refused) != 2 {
		s.t.Errorf("%d refusals were told, 2 documents were refused", len(refused))
	}
	for _, d := range refused {
		if d["code"] != "REFUSED" || d["step"] != "create" || d["class"] != "rejected" || d["external_id"] == "" {
			s.t.Errorf("%v", d)
		}
	}
	posted := data("erp.posted")
	if len(posted) != 5 {
		s.t.Errorf("%d postings were told, 5 documents were posted", len(posted))
	}
	for _, d := range posted {
		for _, field := range []string{"number", "posting_date", "currency", "net", "tax", "total"} {
			if d[field] == nil || d[field] == "" {
				s.t.Errorf("erp.posted without %s: %v", field, d)
			}
		}
	}
	if out := s.must("trace", "P4"); !strings.Contains(out, "erp.rejected invoice/P4") {
		s.t.Errorf("trace does not tell of the refusal:\n%s", out)
	}
}
