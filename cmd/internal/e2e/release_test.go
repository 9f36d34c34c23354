package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// TestReleasesDuringFirstReadings lets the carrier work while the tables of both databases are read for the first time: customers come, loads are
// delivered, documents are drafted, released and rebilled at random moments, some before the daemon, some before their table's first chunk, some
// between two chunks. Each is delivered once. FIRST_READINGS says how often (default 2), FIRST_READING_SEED with which seed to begin; every third
// daemon is killed in the middle.
func TestReleasesDuringFirstReadings(t *testing.T) {
	first := setting("FIRST_READING_SEED", 1)
	for seed := first; seed < first+setting("FIRST_READINGS", 2); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { firstReadings(t, uint64(seed)) })
	}
}

func firstReadings(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x72656164))
	c := newCrash(t)
	erp := c.ledger()
	c.history(300 + rng.IntN(700))
	c.sql(c.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord, dlv_dt, dlv_tm)
		SELECT n, '100100', 'CLS', now(), 20, current_date, '10:00' FROM generate_series(600001, 601000) s(n)`)
	c.open()
	for range rng.IntN(20) {
		c.work(rng)
	}
	c.slowly(200+rng.IntN(300), 300+rng.IntN(600))
	c.launch()
	began, killed := time.Now(), seed%3 != 0
	lasts := time.Duration(2000+rng.IntN(3000)) * time.Millisecond
	for time.Since(began) < lasts {
		c.work(rng)
		if !killed && time.Since(began) > lasts/2 {
			c.kill()
			c.launch()
			killed = true
		}
		time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond) // the pace of the carrier's people
	}
	if len(c.drafts) > 0 {
		c.release(c.drafts...)
		c.released = append(c.released, c.drafts...)
		c.drafts = nil
	}
	if st := c.settled(c.patience); len(st.Exceptions) > 0 {
		t.Errorf("seed %d: exceptions are open:\n%s", seed, c.must("exceptions", "list"))
	}
	report, err := sinktest.Ledger(erp.File, map[string][]string{"sales_invoice": externalIDs(c.released), "customer": c.codes}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, missing := range report.Missing[:min(len(report.Missing), 2)] {
		_, id, _ := strings.Cut(missing, "/")
		t.Logf("%s\n%s", missing, c.must("trace", "invoice/"+numberOf(id)))
	}
	if len(report.Missing)+len(report.Duplicates) > 0 {
		t.Errorf("seed %d: of %d documents %v are missing, %v were done twice\n%s", seed, len(c.released), report.Missing, report.Duplicates, c.must("status"))
	}
	for _, e := range report.Effects {
		if e.Entity == "sales_invoice" && !slices.Contains(c.released, numberOf(e.ExternalID)) {
			t.Errorf("seed %d: %s was posted, but was not released since the cut-over", seed, e.ExternalID)
		}
	}
	t.Logf("seed %d: %d documents, %d corrections, readings of at least %s", seed, len(c.released), len(c.chains), lasts)
	c.stop()
}

// slowly writes the configuration so that the first readings go by small chunks and take their time.
func (s *site) slowly(chunk, perSecond int) {
	s.t.Helper()
	s.write()
	text, err := os.ReadFile(filepath.Join(s.dir, "waybill.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.file("waybill.yaml", strings.ReplaceAll(string(text), "heartbeat: 1s\n", fmt.Sprintf("heartbeat: 1s\n    snapshot: { workers: 2, chunk_rows: %d, rows_per_second: %d }\n", chunk, perSecond)))
}
