package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cmd/internal/books"
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

// target is what the ERP at the end of a site holds, read without Waybill.
type target interface {
	// posted proves that exactly these documents were posted, each once, corrections after their originals.
	posted(numbers []string)
	// writes changes with every write to the target.
	writes() string
}

// simulated is the ledger simulator as a target.
type simulated struct {
	*site
	erp *sinktest.LedgerProcess
}

func (s simulated) posted(numbers []string) {
	s.t.Helper()
	want := externalIDs(numbers)
	report, err := sinktest.Ledger(s.erp.File, map[string][]string{"sales_invoice": want}, nil)
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

func (s simulated) writes() string {
	s.t.Helper()
	report, err := sinktest.Ledger(s.erp.File, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text := fmt.Sprint(len(report.Effects), " effects, the last ones")
	for _, e := range report.Effects[max(0, len(report.Effects)-3):] {
		text += fmt.Sprintf(" %s %s %s", e.Step, e.Entity, e.ExternalID)
	}
	return text
}

// real is Tryton as a target: its books are compared with billing's.
type real struct {
	*site
	erp *books.Tryton
}

func (s real) posted(numbers []string) {
	s.t.Helper()
	report := s.books(s.erp)
	if !report.OK() || report.Paired != len(numbers) {
		s.t.Errorf("%d of %d documents are paired: %+v", report.Paired, len(numbers), report)
	}
}

func (s real) writes() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	invoices, err := s.erp.Invoices(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%+v", invoices)
}

func TestMainJob(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	numbers := s.workday(5, 20)
	st := s.settled(60 * time.Second)
	if len(st.Exceptions) > 0 {
		out, _, _ := s.waybill("exceptions", "list")
		t.Errorf("unexpected exceptions:\n%s", out)
	}
	simulated{s, erp}.posted(numbers)
	s.stop()
}

func TestRepeatingPostsNothing(t *testing.T) {
	t.Run("ledger", func(t *testing.T) {
		s := newSite(t)
		s.repeat(t, simulated{s, s.ledger()}, 15, time.Minute)
	})
	t.Run("Tryton", func(t *testing.T) {
		s := newSite(t)
		s.repeat(t, real{s, s.tryton()}, 8, 3*time.Minute)
	})
}

// repeat does a day's work and then all that could do it again.
func (s *site) repeat(t *testing.T, erp target, invoices int, patience time.Duration) {
	s.write()
	s.history(300)
	s.start()
	numbers := s.workday(4, invoices)
	s.settled(patience)
	erp.posted(numbers)
	writes := erp.writes()
	unchanged := func(t *testing.T) {
		t.Helper()
		s.settled(patience)
		if after := erp.writes(); after != writes {
			t.Errorf("the target was written to\nbefore %s\nafter  %s", writes, after)
		}
	}

	t.Run("replay everything", func(t *testing.T) {
		s.must("replay", "--all", "--yes", "--why", "test")
		unchanged(t)
	})
	t.Run("reset both sources to a fresh snapshot", func(t *testing.T) {
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "test")
		s.must("checkpoint", "reset", "billing", "--to", "snapshot", "--yes", "--why", "test")
		unchanged(t)
	})
	t.Run("reset while the daemon is down", func(t *testing.T) {
		s.stop()
		// A release in the gap must be found by the compared snapshot.
		s.draft(plain("A5000", "100001", 4200))
		s.release("A5000")
		s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "test")
		s.must("checkpoint", "reset", "billing", "--to", "snapshot", "--yes", "--why", "test")
		s.start()
		s.settled(patience)
		numbers = append(numbers, "A5000")
		erp.posted(numbers)
		writes = erp.writes()
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
		unchanged(t)
	})
	erp.posted(numbers)
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

func TestTenThousandInvoicesFromBeforeTheCutOver(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.history(10000)
	s.start()
	s.customer("100000", "New customer")
	s.draft(plain("N1", "100000", 12345))
	s.release("N1")
	s.settled(120 * time.Second)
	simulated{s, erp}.posted([]string{"N1"})
	s.stop()
}

// TestBlackHoleInOneLaneDoesNotStopTheOther holds each lane's calls in a black hole for a minute, in which the other lane's
// work is acknowledged.
func TestBlackHoleInOneLaneDoesNotStopTheOther(t *testing.T) {
	t.Run("invoices black-holed", func(t *testing.T) {
		t.Parallel()
		b := newBlackHole(t)
		b.fall("sales_invoice", func() { b.invoices(30) })
		b.meanwhile("customer", 500, func() {
			for i := range 500 {
				b.sql(b.dispatch, `UPDATE customers SET phone=$1, upd_ts=now() WHERE cust_cd=$2`, fmt.Sprintf("+1 214 555 %04d", i), fmt.Sprintf("1%05d", i%10))
			}
		})
		b.end()
	})
	t.Run("customers black-holed", func(t *testing.T) {
		t.Parallel()
		b := newBlackHole(t)
		b.fall("customer", func() { b.sql(b.dispatch, `UPDATE customers SET phone='+1 000'`) })
		b.meanwhile("sales_invoice", 500, func() { b.invoices(500) })
		b.end()
	})
}

// blackHole is a site whose target swallows the calls of one entity.
type blackHole struct {
	*site
	erp     *sinktest.LedgerProcess
	until   time.Time // the hole's end
	numbers []string  // released
}

func newBlackHole(t *testing.T) *blackHole {
	s := newSite(t)
	b := &blackHole{site: s, erp: s.ledger()}
	s.write()
	for i := range 10 {
		s.customer(fmt.Sprintf("1%05d", i), "Customer")
	}
	s.start()
	s.settled(60 * time.Second)
	return b
}

func (b *blackHole) invoices(n int) {
	for range n {
		inv := plain(fmt.Sprint("B", len(b.numbers)), fmt.Sprintf("1%05d", len(b.numbers)%10), 1000)
		b.draft(inv)
		b.release(inv.no)
		b.numbers = append(b.numbers, inv.no)
	}
}

// done counts what the target did for an entity.
func (b *blackHole) done(entity string) (n int) {
	b.t.Helper()
	report, err := sinktest.Ledger(b.erp.File, nil, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range report.Effects {
		if e.Entity == entity && (e.Step == "upsert" || e.Step == "post") {
			n++
		}
	}
	return n
}

// fall opens the hole for a minute, and gives it what it may swallow.
func (b *blackHole) fall(entity string, work func()) {
	b.t.Helper()
	b.until = time.Now().Add(time.Minute)
	b.erp.SetFault(sinktest.FaultOrder{Entity: entity, Fault: sinktest.BlackHole})
	work()
}

// meanwhile wants n pieces of the other lane's work done before the hole closes, and closes it when its minute is over.
func (b *blackHole) meanwhile(entity string, n int, work func()) {
	b.t.Helper()
	before, began := b.done(entity), time.Now()
	work()
	b.site.until(time.Until(b.until), fmt.Sprintf("%d of %s are acknowledged", n, entity), func() bool { return b.done(entity)-before >= n })
	b.t.Logf("%d of %s acknowledged after %s, with %s of the black hole left", n, entity,
		time.Since(began).Round(time.Millisecond), time.Until(b.until).Round(time.Second))
	b.site.until(2*time.Minute, "the hole has lasted its minute", func() bool { return time.Now().After(b.until) })
	b.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
}

func (b *blackHole) end() {
	b.t.Helper()
	b.settled(2 * time.Minute)
	simulated{b.site, b.erp}.posted(b.numbers)
	b.stop()
}
