package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestSchemaChangeHoldsItsTableAlone renames a column that rules read, while both sides work on.
func TestSchemaChangeHoldsItsTableAlone(t *testing.T) {
	s := newSite(t)
	erp := s.ledger()
	s.write()
	s.start()
	s.customer("100001", "Lone Star Foods")
	s.load(1, "100001")
	s.settled(60 * time.Second)
	s.sql(s.dispatch, `ALTER TABLE loads RENAME COLUMN status_cd TO status`)
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status, ord_ts, pcs_ord) VALUES (2, '100001', 'LDD', now(), 20)`)
	s.sql(s.dispatch, `UPDATE loads SET status='MTY', dlv_dt=current_date, dlv_tm='10:15', pcs_dlv=20 WHERE load_no=2`)
	first := plain("S1", "100001", 4000)
	second := plain("S2", "100001", 4100)
	second.load = 2
	for _, inv := range []invoice{first, second} {
		s.draft(inv)
		s.release(inv.no)
	}
	s.until(30*time.Second, "the table is held, and the other invoice is posted", func() bool {
		st := s.status()
		held := false
		for _, src := range st.Sources {
			held = held || len(src.Held) == 1 && src.Held[0] == "public.loads"
		}
		for _, m := range st.Money {
			if held && m.Posted == 1 && m.InFlight == 1 {
				return true
			}
		}
		return false
	})
	if out := s.must("exceptions", "list"); !strings.Contains(out, "SCHEMA_CHANGED") {
		t.Errorf("no exception for the table:\n%s", out)
	}
	s.stop()
	// The mapping's next version reads the column under its new name: what was held is mapped, nothing is lost.
	mapping := strings.ReplaceAll(good(s, "mapping.yaml"), "status_cd", "status")
	s.file("mapping.yaml", strings.Replace(mapping, "version: 1", "version: 2", 1))
	text, code := s.refused()
	if code == 0 || !strings.Contains(text, "did not capture") {
		t.Fatalf("a mapping that reads an uncaptured column was started: %d\n%s", code, text)
	}
	s.must("checkpoint", "reset", "dispatch", "--to", "snapshot", "--yes", "--why", "the column has a new name")
	s.start()
	s.settled(60 * time.Second)
	simulated{s, erp}.posted([]string{"S1", "S2"})
	if out := s.must("exceptions", "list"); strings.Contains(out, "SCHEMA_CHANGED") {
		t.Errorf("the table is still held:\n%s", out)
	}
	s.stop()
}
