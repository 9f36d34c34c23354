package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// workday writes customers, loads and released documents, among them a rebill and a credit memo, and returns the numbers of
// all documents that must be posted.
func (s *site) workday(customers, invoices int) []string {
	s.t.Helper()
	var numbers []string
	for i := range customers {
		s.customer(fmt.Sprintf("1%05d", i), fmt.Sprintf("Customer %d", i))
	}
	for i := range invoices {
		inv := plain(fmt.Sprintf("A%d", 1000+i), fmt.Sprintf("1%05d", i%customers), int64(10001+137*i))
		if i%5 == 0 {
			inv.load = 88000 + i
			s.load(inv.load, inv.customer)
		}
		s.draft(inv)
		s.release(inv.no)
		numbers = append(numbers, inv.no)
	}
	first, second := plain("A1000", "100000", 10001), plain("A1001", fmt.Sprintf("1%05d", 1%customers), 10138)
	credit := invoice{no: "A1000-C", customer: first.customer, original: "A1000"}
	for _, l := range first.lines {
		credit.lines = append(credit.lines, line{l.charge, -l.cents, l.tax})
	}
	again := invoice{no: "A1000-R", customer: first.customer, original: "A1000", lines: []line{{"LH", 9900, "TX"}}}
	memo := invoice{no: "A1001-C", customer: second.customer, original: "A1001", lines: []line{{"LH", -500, "EX"}}}
	s.draft(credit)
	s.draft(again)
	s.draft(memo)
	s.release("A1000-C", "A1000-R")
	s.release("A1001-C")
	return append(numbers, "A1000-C", "A1000-R", "A1001-C")
}

func externalIDs(numbers []string) []string {
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = "nstar:" + n + ":0"
	}
	return ids
}

// posted proves from the ledger that exactly these documents were posted, each once, corrections after their originals.
func (s *site) posted(erp *sinktest.LedgerProcess, numbers []string) {
	s.t.Helper()
	want := externalIDs(numbers)
	report, err := sinktest.Ledger(erp.File, map[string][]string{"sales_invoice": want}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(report.Duplicates)+len(report.Missing) > 0 {
		s.t.Errorf("duplicates %v, missing %v", report.Duplicates, report.Missing)
	}
	var order []string
	for _, e := range report.Effects {
		if e.Entity == "sales_invoice" && e.Step == "post" {
			if !slices.Contains(want, e.ExternalID) {
				s.t.Errorf("%s was posted and should not have been", e.ExternalID)
			}
			order = append(order, e.ExternalID)
		}
	}
	for _, n := range numbers {
		if base, _, ok := strings.Cut(n, "-"); ok {
			if slices.Index(order, "nstar:"+base+":0") > slices.Index(order, "nstar:"+n+":0") {
				s.t.Errorf("%s was posted before its original", n)
			}
		}
	}
	if c, r := slices.Index(order, "nstar:A1000-C:0"), slices.Index(order, "nstar:A1000-R:0"); c > r {
		s.t.Error("the replacement was posted before the credit")
	}
}

func TestMainJob(t *testing.T) {
	s := newSite(t)
	erp := s.ledger(time.Second)
	s.write()
	s.start()
	numbers := s.workday(5, 20)
	st := s.settled(60 * time.Second)
	if len(st.Exceptions) > 0 {
		out, _, _ := s.waybill("exceptions", "list")
		t.Errorf("unexpected exceptions:\n%s", out)
	}
	s.posted(erp, numbers)
	s.stop()
}

func TestRepeatingPostsNothing(t *testing.T) {
	s := newSite(t)
	erp := s.ledger(time.Second)
	s.write()
	s.history(300)
	s.start()
	numbers := s.workday(4, 15)
	s.settled(60 * time.Second)
	s.posted(erp, numbers)
	effects := s.effects(erp)

	t.Run("replay everything", func(t *testing.T) {
		s.must("replay", "--all", "--yes", "--why", "test")
		s.settled(60 * time.Second)
		s.unchanged(t, erp, effects)
	})
	t.Run("reset both sources to a fresh snapshot", func(t *testing.T) {
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "test")
		s.must("checkpoint", "reset", "billing", "--to", "snapshot", "--yes", "--why", "test")
		s.settled(60 * time.Second)
		s.unchanged(t, erp, effects)
	})
	t.Run("reset while the daemon is down", func(t *testing.T) {
		s.stop()
		// A release in the gap must be found by the compared snapshot.
		s.draft(plain("A5000", "100001", 4200))
		s.release("A5000")
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "test")
		s.must("checkpoint", "reset", "billing", "--to", "snapshot", "--yes", "--why", "test")
		s.start()
		s.settled(60 * time.Second)
		numbers = append(numbers, "A5000")
		s.posted(erp, numbers)
		effects = s.effects(erp)
	})
	t.Run("delete the data directory", func(t *testing.T) {
		s.stop()
		if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
			t.Fatal(err)
		}
		text, code := s.refused() // the slot is there, our position is not
		if code != 3 || !strings.Contains(text, "waybill checkpoint reset dispatch --to snapshot") {
			t.Fatalf("exit code %d\n%s", code, text)
		}
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "test")
		s.start()
		s.settled(60 * time.Second)
		s.unchanged(t, erp, effects)
	})
	s.posted(erp, numbers)
	s.stop()
}

// history writes documents that were released before the cut-over.
func (s *site) history(n int) {
	s.t.Helper()
	s.customer("109999", "Old customer")
	s.sql(s.billing, fmt.Sprintf(`INSERT INTO inv_hdr (inv_no, cust_cd, stat, inv_dt, line_cnt, tax_amt, inv_amt, rel_ts, upd_ts)
		SELECT CONCAT('H', seq), 'B109999', 'R', '2024-03-01', 1, 0, 100, '2024-03-02 08:00:00', '2024-03-02 08:00:00' FROM seq_1_to_%d`, n))
	s.sql(s.billing, fmt.Sprintf(`INSERT INTO inv_line (inv_no, line_no, chg_cd, qty, rate, ext_amt, tax_cd)
		SELECT CONCAT('H', seq), 1, 'LH', 1, 100, 100, 'EX' FROM seq_1_to_%d`, n))
}

func (s *site) effects(erp *sinktest.LedgerProcess) int {
	s.t.Helper()
	report, err := sinktest.Ledger(erp.File, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(report.Effects)
}

func (s *site) unchanged(t *testing.T, erp *sinktest.LedgerProcess, before int) {
	t.Helper()
	if after := s.effects(erp); after != before {
		t.Errorf("the target was written to %d times", after-before)
	}
}

func TestTenThousandInvoicesFromBeforeTheCutOver(t *testing.T) {
	s := newSite(t)
	erp := s.ledger(time.Second)
	s.write()
	s.history(10000)
	s.start()
	s.customer("100000", "New customer")
	s.draft(plain("N1", "100000", 12345))
	s.release("N1")
	s.settled(120 * time.Second)
	s.posted(erp, []string{"N1"})
	s.stop()
}

func TestBlackHoleInOneLaneDoesNotStopTheOther(t *testing.T) {
	const hole = 60 * time.Second
	s := newSite(t)
	erp := s.ledger(time.Second)
	s.write()
	for i := range 10 {
		s.customer(fmt.Sprintf("1%05d", i), "Customer")
	}
	s.start()
	s.settled(60 * time.Second)
	var numbers []string
	invoices := func(from, n int) {
		for i := from; i < from+n; i++ {
			inv := plain(fmt.Sprintf("B%d", i), fmt.Sprintf("1%05d", i%10), 1000)
			s.draft(inv)
			s.release(inv.no)
			numbers = append(numbers, inv.no)
		}
	}
	count := func(entity string) int {
		report, err := sinktest.Ledger(erp.File, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range report.Effects {
			if e.Entity == entity && (e.Step == "upsert" || e.Step == "post") {
				n++
			}
		}
		return n
	}

	until := time.Now().Add(hole)
	erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Fault: sinktest.BlackHole})
	invoices(0, 30)
	before := count("customer")
	for i := range 500 {
		s.sql(s.dispatch, `UPDATE customers SET phone=$1, upd_ts=now() WHERE cust_cd=$2`, fmt.Sprintf("+1 214 555 %04d", i), fmt.Sprintf("1%05d", i%10))
	}
	s.until(time.Until(until), "500 customer updates are acknowledged", func() bool { return count("customer")-before >= 500 })
	t.Logf("500 customer updates acknowledged with %s of the black hole left", time.Until(until).Round(time.Second))
	erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Fault: sinktest.Pass})
	s.settled(60 * time.Second)

	until = time.Now().Add(hole)
	erp.SetFault(sinktest.FaultOrder{Entity: "customer", Fault: sinktest.BlackHole})
	for i := range 10 {
		s.sql(s.dispatch, `UPDATE customers SET phone='+1 000' WHERE cust_cd=$1`, fmt.Sprintf("1%05d", i))
	}
	before = count("sales_invoice")
	invoices(100, 60)
	s.until(time.Until(until), "60 invoices are posted", func() bool { return count("sales_invoice")-before >= 60 })
	t.Logf("60 invoices posted with %s of the black hole left", time.Until(until).Round(time.Second))
	erp.SetFault(sinktest.FaultOrder{Entity: "customer", Fault: sinktest.Pass})
	s.settled(60 * time.Second)
	report, err := sinktest.Ledger(erp.File, map[string][]string{"sales_invoice": externalIDs(numbers)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Duplicates)+len(report.Missing) > 0 {
		t.Errorf("duplicates %v, missing %v", report.Duplicates, report.Missing)
	}
	s.stop()
}
