package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks/sinktest"
)

// The crash tests kill the daemon, over and over, while the carrier works, and then compare what billing released with what the
// target did. A seed is one life of the daemon: when and how it ends, what the carrier writes meanwhile, and how the target
// misbehaves. CRASH_KILLS (default 90) and CRASH_TRYTON_KILLS (default 10) say how many, CRASH_SEED with which one to begin.
// Every group of seeds has databases, a target and a store of its own, so that first snapshots are killed as well.
const crashGroup = 15

func crashes(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n >= 0 {
		return n
	}
	return standard
}

func TestCrash(t *testing.T) {
	kills, first := crashes("CRASH_KILLS", 90), crashes("CRASH_SEED", 1)
	for from := first; from < first+kills; from += crashGroup {
		to := min(from+crashGroup, first+kills) - 1
		t.Run(fmt.Sprintf("seeds=%d-%d", from, to), func(t *testing.T) {
			c := newCrash(t)
			erp := c.faultyLedger()
			c.history(1500)
			c.open()
			for seed := from; seed <= to; seed++ {
				c.life(uint64(seed), func(rng *rand.Rand) { misbehave(erp, rng) })
				if (from/crashGroup)%2 == 0 && seed == from+2 {
					c.trusted()
				}
			}
			erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
			c.rest()
			c.compare(erp)
		})
	}
}

func TestCrashTryton(t *testing.T) {
	kills := crashes("CRASH_TRYTON_KILLS", 10)
	if kills == 0 {
		t.Log("CRASH_TRYTON_KILLS=0: nothing to do")
		return
	}
	c := newCrash(t)
	c.patience, c.most = 4*time.Minute, 60 // Tryton posts four documents a second, on a quiet machine
	erp := c.tryton()
	c.history(200)
	c.open()
	for seed := range kills {
		c.life(uint64(9000+seed), func(*rand.Rand) {})
	}
	c.rest()
	report := c.books(erp)
	if !report.OK() || report.Paired != len(c.released) {
		t.Errorf("%d of %d documents are paired: %+v", report.Paired, len(c.released), report)
	}
	t.Logf("%d kills: %d documents paired, difference %s", kills, report.Paired, report.Difference())
}

// crash is a carrier at work on a site whose daemon is killed.
type crash struct {
	*site
	began    time.Time
	patience time.Duration // for everything to be delivered at the end
	most     int           // what the carrier writes at most; afterwards the daemon is only killed
	codes    []string      // customers
	names    map[string]string
	number   int
	drafts   []string
	plain    []invoice // released, not corrected yet
	released []string  // in the order of their release
	chains   [][]string
	totals   map[string]int64 // of what was drafted, in cents
}

func newCrash(t *testing.T) *crash {
	return &crash{site: newSite(t), began: time.Now(), patience: 60 * time.Second, most: 700, names: map[string]string{}, totals: map[string]int64{}}
}

// draft writes a document and remembers its total.
func (c *crash) draft(inv invoice) {
	c.t.Helper()
	_, c.totals[inv.no] = inv.totals()
	c.site.draft(inv)
}

// faultyLedger makes a simulator in another process the target. Its horizon is the timeout and a second.
func (c *crash) faultyLedger() *sinktest.LedgerProcess {
	erp := sinktest.StartLedgerERP(c.t, filepath.Join(c.dir, "ledger.jsonl"))
	c.sink = fmt.Sprintf("  erp:\n    type: ledger\n    url: %s\n    timeout: 400ms\n    policy: { concurrency: 8, backoff_cap: 500ms, breaker_cooldown: 500ms }\n", erp.URL)
	return erp
}

// misbehave draws the faults of one life: answers lost after the commit, late commits, errors that did it after all, reads that
// do not see yet. None outlasts the horizon.
func misbehave(erp *sinktest.LedgerProcess, rng *rand.Rand) {
	erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	for _, at := range []struct{ entity, step string }{{"sales_invoice", "create"}, {"sales_invoice", "post"}, {"customer", "upsert"}} {
		fault := []sinktest.Fault{sinktest.Pass, sinktest.DropAnswer, sinktest.Delay, sinktest.ErrorAfter, sinktest.Down}[rng.IntN(5)]
		if fault == sinktest.Pass {
			continue
		}
		erp.SetFault(sinktest.FaultOrder{Entity: at.entity, Step: at.step, Fault: fault, Share: 0.1 + 0.4*rng.Float64(),
			Delay: time.Duration(100+rng.IntN(500)) * time.Millisecond})
	}
	if rng.IntN(3) == 0 {
		erp.SetFault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Delay: time.Duration(rng.IntN(800)) * time.Millisecond, Share: 0.5})
	}
}

// open writes the configuration and the first customers.
func (c *crash) open() {
	c.write()
	for i := range 6 {
		code := strconv.Itoa(100100 + i)
		c.codes = append(c.codes, code)
		c.names[code] = "Customer " + code
		c.customer(code, c.names[code])
	}
}

// life starts the daemon, lets the carrier work, and ends the daemon at a moment that the seed draws.
func (c *crash) life(seed uint64, misbehave func(*rand.Rand)) {
	c.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0x63726173))
	misbehave(rng)
	// Half of them die while starting, reading the snapshot or verifying, half of them at work.
	lives := time.Duration(100+rng.IntN(1100)) * time.Millisecond
	if rng.IntN(2) == 0 {
		lives = time.Duration(1200+rng.IntN(2600)) * time.Millisecond
	}
	end := fate{lives: lives, asked: rng.IntN(4) == 0, grace: time.Duration(rng.IntN(300)) * time.Millisecond}
	c.t.Logf("seed %d: killed after %s, asked to stop before: %t", seed, lives, end.asked)
	c.launch()
	ended := c.fated(end, nil)
	for working := true; working; {
		c.work(rng)
		select {
		case <-ended:
			working = false
		case <-time.After(time.Duration(rng.IntN(120)) * time.Millisecond):
		}
	}
	c.died(seed, end)
}

// trusted ends the store's verify-first, as a minute of quiet would: from then on only intents without an outcome are looked
// for. Every other group runs so; in the rest a fresh store looks before each create.
func (c *crash) trusted() {
	c.t.Helper()
	store, err := checkpoint.Open(filepath.Join(c.dir, "data"), checkpoint.Options{Floor: 64 << 20})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := errors.Join(store.ClearVerifyFirst(), store.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// work is a little of what the carrier's people do.
func (c *crash) work(rng *rand.Rand) {
	c.t.Helper()
	if c.number > c.most {
		return
	}
	switch rng.IntN(5) {
	case 0:
		code := c.codes[rng.IntN(len(c.codes))]
		c.number++
		c.names[code] = fmt.Sprintf("Customer %s version %d", code, c.number)
		c.sql(c.dispatch, "UPDATE customers SET name=$1, upd_ts=now() WHERE cust_cd=$2", c.names[code], code)
	case 1, 2:
		c.number++
		inv := plain(fmt.Sprint("K", c.number), c.codes[rng.IntN(len(c.codes))], 1000+rng.Int64N(200000))
		if rng.IntN(3) == 0 {
			inv.load = 500000 + c.number
			c.load(inv.load, inv.customer)
		}
		c.draft(inv)
		c.drafts = append(c.drafts, inv.no)
		c.plain = append(c.plain, inv)
	case 3:
		c.release(c.drafts...)
		c.released = append(c.released, c.drafts...)
		c.drafts = nil
	case 4:
		c.rebill(rng)
	}
}

// rebill corrects a released invoice by a credit and a replacement, released together.
func (c *crash) rebill(rng *rand.Rand) {
	c.t.Helper()
	i := slices.IndexFunc(c.plain, func(inv invoice) bool { return slices.Contains(c.released, inv.no) })
	if i < 0 {
		return
	}
	original := c.plain[i]
	c.plain = slices.Delete(c.plain, i, i+1)
	credit, again := original, original
	credit.no, credit.original, credit.load = original.no+"C", original.no, 0
	credit.lines = slices.Clone(original.lines)
	for i := range credit.lines {
		credit.lines[i].cents = -credit.lines[i].cents
	}
	again.no, again.original, again.load = original.no+"R", original.no, 0
	again.lines = slices.Clone(original.lines)
	again.lines[0].cents += 100 + rng.Int64N(5000)
	c.draft(credit)
	c.draft(again)
	c.release(credit.no, again.no)
	c.released = append(c.released, credit.no, again.no)
	c.chains = append(c.chains, []string{original.no, credit.no, again.no})
}

// rest lets the daemon live until everything is delivered, and stops it in peace.
func (c *crash) rest() {
	c.t.Helper()
	if len(c.drafts) > 0 {
		c.release(c.drafts...)
		c.released = append(c.released, c.drafts...)
		c.drafts = nil
	}
	c.start()
	st := c.settled(c.patience)
	if len(st.Exceptions) > 0 {
		c.t.Errorf("exceptions are open: %+v\n%s", st.Exceptions, c.must("exceptions", "list"))
	}
	c.stop()
}

// compare reads what the simulated ERP did: each released document once, nothing else, a correction after what it
// corrects, and each customer at its last version.
func (c *crash) compare(erp *sinktest.LedgerProcess) {
	c.t.Helper()
	report, err := sinktest.Ledger(erp.File, map[string][]string{"sales_invoice": externalIDs(c.released), "customer": c.codes}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(report.Duplicates) > 0 || len(report.Missing) > 0 {
		c.t.Errorf("done twice: %v\nnever done: %v", report.Duplicates, report.Missing)
	}
	at, names := map[string]int{}, map[string]string{}
	for _, e := range report.Effects {
		at[e.ExternalID+"/"+e.Step] = e.Seq
		if e.Entity == "customer" {
			var body struct{ Name string }
			if err := json.Unmarshal(e.Body, &body); err != nil {
				c.t.Fatal(err)
			}
			names[e.ExternalID] = body.Name
		} else if !slices.Contains(c.released, numberOf(e.ExternalID)) {
			c.t.Errorf("%s was posted, but was not released since the cut-over", e.ExternalID)
		}
	}
	for _, chain := range c.chains {
		ids := externalIDs(chain)
		for i := 1; i < len(ids); i++ {
			if at[ids[i]+"/create"] < at[ids[i-1]+"/post"] {
				c.t.Errorf("%s was created before %s was posted", ids[i], ids[i-1])
			}
		}
	}
	for code, name := range c.names {
		if names[code] != name {
			c.t.Errorf("customer %s is %q in the ERP, %q in dispatch", code, names[code], name)
		}
	}
	c.t.Logf("%d documents, %d corrections, %d effects in %s", len(c.released), len(c.chains), len(report.Effects), time.Since(c.began).Round(time.Second))
}

// numberOf is the invoice number in an external id: nstar:K12:0.
func numberOf(id string) string {
	_, rest, _ := strings.Cut(id, ":")
	number, _, _ := strings.Cut(rest, ":")
	return number
}
