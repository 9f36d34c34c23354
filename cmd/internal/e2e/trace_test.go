package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// TestTrace tells the story of an invoice whose creation timed out after the target had committed it, with a million row
// changes in the store.
func TestTrace(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	fast := filepath.Join(s.dir, "waybill-fast") // without the race detector: this test is about time
	if out, err := exec.Command("go", "build", "-o", fast, "waybill/cmd/waybill").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	racy := binary
	binary = fast
	defer func() { binary = racy }()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.settled(60 * time.Second)
	erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Step: "create", Fault: sinktest.DropAnswer, Count: 1})
	s.load(88121, "100001")
	inv := plain("T1", "100001", 115000)
	inv.load = 88121
	s.draft(inv)
	s.release("T1")
	s.settled(60 * time.Second)
	s.golden("trace", s.must("trace", "T1"))

	const loads, rounds = 20000, 50
	s.sql(s.dispatch, fmt.Sprintf(`INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) SELECT n, '100001', 'AVL', now(), 1 FROM generate_series(100000, %d) n`, 100000+loads-1))
	for i := range rounds - 1 {
		s.sql(s.dispatch, `UPDATE loads SET pcs_ord=$1 WHERE load_no >= 100000`, i+2)
	}
	s.settled(8 * time.Minute)
	begun := time.Now()
	s.must("trace", "T1")
	took := time.Since(begun)
	t.Logf("trace of one invoice with 1,000,000 changes stored: %s", took)
	if took > time.Second {
		t.Errorf("trace took %s, the bound is 1 s", took)
	}
	s.stop()
}
