package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// committed runs statements in one transaction whose time in the database's log is another one than now.
func (s *site) committed(at time.Time, statements ...string) {
	s.t.Helper()
	ctx := context.Background()
	c, err := s.billing.Conn(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	all := append([]string{fmt.Sprintf("SET timestamp=%d", at.Unix()), "BEGIN"}, statements...)
	for _, text := range append(all, "COMMIT", "SET timestamp=DEFAULT") {
		if _, err := c.ExecContext(ctx, text); err != nil {
			s.t.Fatalf("%v\n%s", err, text)
		}
	}
}

// TestBatchWithCutoff releases invoices before and behind the cut-off of a batch, at times that the billing database writes into its log.
// They wait through a kill -9, one goes because a person says so, and the batch goes when the log has passed its time.
func TestBatchWithCutoff(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	e := &engine{site: s, erp: erp}
	s.mapped("    external_id: \"nstar:{number}:{revision}\"\n", "    external_id: \"nstar:{number}:{revision}\"\n"+
		`    schedule: { batch: "0 18 * * *", zone: America/Chicago, cutoff: "17:30" }`+"\n")
	s.start()
	s.customer("100001", "Lone Star Foods")
	for _, no := range []string{"B1", "B2", "B3"} {
		s.draft(plain(no, "100001", 10000))
	}
	s.settled(60 * time.Second)
	y, m, d := time.Now().In(terminal).Date()
	batch := time.Date(y, m, d+2, 18, 0, 0, 0, terminal)
	release := func(no string, at time.Time) {
		s.committed(at, fmt.Sprintf("UPDATE inv_hdr SET stat='R', rel_ts='%s', upd_ts='%[1]s' WHERE inv_no='%s'", chicago(at), no))
	}
	release("B1", batch.Add(-50*time.Minute))
	release("B2", batch.Add(-40*time.Minute))
	release("B3", batch.Add(-20*time.Minute)) // behind the cut-off: the day after
	text := "the batch of " + batch.Format("Mon 2006-01-02 15:04 -07:00")
	next := "the batch of " + batch.AddDate(0, 0, 1).Format("Mon 2006-01-02")
	held := func() bool {
		out := s.must("status")
		return strings.Contains(out, "2 wait for "+text) && strings.Contains(out, "1 waits for "+next)
	}
	s.until(60*time.Second, "three invoices wait for two batches", held)
	s.kill()
	s.start()
	if !held() {
		t.Errorf("after a kill\n%s", s.must("status"))
	}
	if out := s.must("trace", "B1"); !strings.Contains(out, "nstar:B1:0 waits for "+text) {
		t.Error(out)
	}
	s.must("lane", "release", "invoice/B2", "--why", "the customer needs it today")
	s.until(30*time.Second, "the urgent one is posted", func() bool { return e.effects()["nstar:B2:0"] == 2 })
	if seen := e.effects(); seen["nstar:B1:0"] != 0 || seen["nstar:B3:0"] != 0 {
		t.Errorf("the ERP did %v", seen)
	}
	if out := s.must("trace", "B2"); !strings.Contains(out, "goes before "+text+": the customer needs it today") {
		t.Error(out)
	}
	s.committed(batch.Add(time.Second), "INSERT INTO bill_cust (cust_cd, erp_acct, eff_dt) VALUES ('TICK', '1', '2020-01-01')")
	s.until(30*time.Second, "the batch is posted", func() bool { return e.effects()["nstar:B1:0"] == 2 })
	if seen := e.effects(); seen["nstar:B3:0"] != 0 || !strings.Contains(s.must("status"), "1 waits for "+next) {
		t.Errorf("the ERP did %v", seen)
	}
	s.stop()
}
