package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"waybill/pipeline"
)

// The counter walk: writers step hundreds of keys through insert, update, delete and insert again, while the daemon is killed
// in the first reading, at the hand-over to the stream, while streaming and while it stops, and while its source is reset. Every
// version of a row is sent to the simulated ERP. What the ERP did is then compared, key by key, with what was
// committed: nothing missing, nothing out of order, nothing that was rolled back.
//
// SOAK_WALK_KILLS (default 12) is how often the daemon is killed on each engine; WALK_SEED (default 1) is the first seed.
// A seed is one life of the daemon.
const (
	walkKeys    = 240
	walkBallast = 2_200 // rows that never change, so that a reading has several chunks
	walkChunk   = 500   // rows of a chunk
	walkGroup   = 30    // lives with the same database and store
	walkPace    = 160   // steps that writers may make for each life
	walkGap     = 30    // steps that they may make while nobody listens: what happens then is known by its result alone
	walkProof   = 0.6   // least share of the steps that must be found one by one
	walkResets  = 12    // of so many lives two have a reset
)

// The ways to reset.
const (
	offline = iota + 1 // before the daemon starts
	online             // while it runs
)

const walkMapping = `
events:
  customer.changed:
    from: db.walk
    lane: master
    when: first(k, old.k) < 100000      # the rest is ballast
    key: first(k, old.k)
    set:
      code: first(k, old.k)
      name: >-
        deleted() ? "gone" : "here"
      phone: first(n, old.n) else 0     # the counter
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, n: phone, is: name }
`

func TestWalk(t *testing.T) {
	kills, first := setting("SOAK_WALK_KILLS", 12), setting("WALK_SEED", 1)
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for from := first; from < first+kills; from += walkGroup {
				to := min(from+walkGroup, first+kills) - 1
				t.Run(fmt.Sprintf("seeds=%d-%d", from, to), func(t *testing.T) {
					w := newWalk(t, kind, from)
					for seed := from; seed <= to; seed++ {
						w.life(uint64(seed))
					}
					w.rest()
					w.compare()
				})
			}
		})
	}
}

// walk is an engine whose table is walked.
type walk struct {
	*engine
	writers []*walker
	allowed atomic.Int64 // steps that may still be made
	saved   int64        // steps that may be made when the gap is closed
	began   time.Time
	kills   int
	resets  int
	due     int       // how the source is to be reset as soon as its table is read: resetOffline, resetOnline, or 0
	reading bool      // the table was being read when the daemon was asked last
	sure    time.Time // up to then every change was seen by itself: captured, and not held by a reading
	gaps    []gap
	open    *gap // the last one, while its end is not known
}

// gap is a time in which nobody listened: a reset forgets the stream's place, and what happened before the new beginning is
// known only by its result.
type gap struct {
	from, to time.Time
	reset    time.Time // when the reset was over
	last     uint64    // end of the journal then; 0 while it is not known
}

func newWalk(t *testing.T, kind string, seed int) *walk {
	w := &walk{engine: newEngine(t, kind), began: time.Now()}
	w.sql(w.db, "CREATE TABLE walk (k bigint PRIMARY KEY, n bigint NOT NULL, memo varchar(200))")
	w.sql(w.db, fmt.Sprintf("INSERT INTO walk SELECT 1000000 + n, 0, 'ballast' FROM %s", w.series(walkBallast)))
	w.more = fmt.Sprintf("    snapshot: { chunk_rows: %d }\n", walkChunk)
	w.configure(walkMapping, "")
	const writers = 3
	for i := range writers {
		r := newWalker(w.engine, &w.allowed, uint64(seed), i)
		for k := i; k < walkKeys; k += writers {
			r.keys = append(r.keys, k)
		}
		w.writers = append(w.writers, r)
	}
	w.allowed.Store(walkGap)
	w.saved = 2*walkKeys - walkGap
	for _, r := range w.writers {
		r.start()
	}
	t.Cleanup(w.halt)
	return w
}

// halt ends the writers.
func (w *walk) halt() {
	for _, r := range w.writers {
		if err := r.stop(); err != nil {
			w.t.Errorf("writing: %v", err)
		}
	}
}

// life starts the daemon and ends it at a moment that the seed draws.
func (w *walk) life(seed uint64) {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0x77616c6b))
	lives := time.Duration(100+rng.IntN(900)) * time.Millisecond
	if rng.IntN(2) == 0 {
		lives = time.Duration(1000+rng.IntN(2200)) * time.Millisecond
	}
	end := fate{lives: lives, asked: rng.IntN(4) == 0, grace: time.Duration(rng.IntN(250)) * time.Millisecond}
	if kind := rng.IntN(walkResets); kind < 2 {
		w.due = offline + kind
	}
	resetAt := time.Duration(rng.Int64N(int64(lives)))
	w.allow(walkPace)
	if w.due == offline && w.read() {
		w.resetOffline()
	}
	patient := w.deaf() && rng.IntN(3) > 0 // somebody listens before the end is near
	var listening chan struct{}
	if patient {
		listening = make(chan struct{})
	}
	w.launch()
	w.kills++
	begun := time.Now()
	ended := w.fated(end, listening)
	done := ""
	for alive := true; alive; {
		w.watch()
		if patient && !w.deaf() {
			patient = false
			close(listening)
		}
		if w.due == online && w.read() && time.Since(begun) > resetAt {
			done = w.resetOnline()
		}
		select {
		case <-ended:
			alive = false
		case <-time.After(30 * time.Millisecond): // polling until the life's end
		}
	}
	w.t.Logf("seed %d: lived %s, asked to stop before: %t %s", seed, lives, end.asked, done)
	w.died(seed, end)
}

// read reports whether the table was read, so that a reset makes a short gap: of changes that a reading held, too, only the result
// is known after it.
func (w *walk) read() bool { return !w.reading && !w.sure.IsZero() }

// resetOffline forgets the source's place while no daemon runs.
func (w *walk) resetOffline() {
	w.t.Helper()
	w.begin()
	w.until(20*time.Second, "the reset succeeds: the killed daemon's session has ended", func() bool {
		_, _, code := w.waybill("checkpoint", "reset", "db", "--to", "snapshot", "--yes", "--why", "the walk")
		return code == 0
	})
	w.open.reset = time.Now()
	w.resets++
}

// resetOnline asks the running daemon for the reset. It may be killed meanwhile: then nobody knows whether it happened.
func (w *walk) resetOnline() string {
	w.t.Helper()
	w.begin()
	_, _, code := w.waybill("checkpoint", "reset", "db", "--to", "snapshot", "--yes", "--why", "the walk")
	w.open.reset = time.Now()
	w.resets++
	return fmt.Sprintf("reset, exit code %d", code)
}

// deaf reports whether steps are known by their result alone: before the table was read the first time, and in a gap.
func (w *walk) deaf() bool { return w.open != nil || w.sure.IsZero() }

// allow lets the writers make more steps; while nobody listens few of them at once, and the others later.
func (w *walk) allow(steps int64) {
	if w.deaf() {
		w.saved += steps - walkGap
		steps = walkGap
	}
	w.allowed.Add(steps)
}

// heard lets the writers make the steps that were saved.
func (w *walk) heard() {
	w.allowed.Add(w.saved)
	w.saved = 0
}

// begin opens a gap, or lets the open one go on. The writers make few steps in it.
func (w *walk) begin() {
	w.due, w.reading = 0, true
	if w.open == nil {
		w.gaps = append(w.gaps, gap{from: w.sure})
		w.open = &w.gaps[len(w.gaps)-1]
		w.saved += w.allowed.Swap(walkGap) - walkGap
	}
	w.open.last = 0
}

// watch looks whether the source listens: up to which time everything was seen by itself, and in a gap whether the reset is applied
// and the watermark has passed it.
func (w *walk) watch() {
	st, err := w.asked()
	if err != nil || len(st.Sources) != 1 || st.Sources[0].State != "streaming" {
		return
	}
	src := st.Sources[0]
	if w.open != nil {
		if w.open.last == 0 {
			w.open.last = st.Journal.Last
		}
		if st.Journal.Applied < w.open.last || !src.Watermark.After(w.open.reset) {
			return
		}
		w.open.to = time.Now()
		w.open = nil
		w.heard()
	}
	w.reading = slices.ContainsFunc(src.Readings, func(r pipeline.ReadingStatus) bool { return r.State != pipeline.ReadingDone })
	if !w.reading && src.Watermark.After(w.sure) {
		first := w.sure.IsZero()
		if w.sure = src.Watermark; first {
			w.heard()
		}
	}
}

// rest ends the walk: every key makes a last step, and the daemon lives until all is delivered.
func (w *walk) rest() {
	w.t.Helper()
	w.halt()
	w.start()
	if w.open != nil {
		w.until(60*time.Second, "the source listens again", func() bool { w.watch(); return w.open == nil })
	}
	for _, r := range w.writers {
		if err := r.finish(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Logf("%s: %d lives in %s", w.kind, w.kills, time.Since(w.began).Round(time.Second))
	st := w.settled(10 * time.Minute)
	if len(st.Exceptions) > 0 {
		w.t.Errorf("exceptions are open: %+v\n%s", st.Exceptions, w.must("exceptions", "list"))
	}
	w.stop()
}
