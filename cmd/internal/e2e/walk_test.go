package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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
	walkBallast = 22_000 // rows that never change: a reading has more than one chunk
	walkGroup   = 30     // lives with the same database and store
	walkPace    = 160    // steps that writers may make for each life
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
	began   time.Time
	kills   int
	resets  int
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
	w.configure(walkMapping, "")
	const writers = 3
	for i := range writers {
		r := newWalker(w.engine, &w.allowed, uint64(seed), i)
		for k := i; k < walkKeys; k += writers {
			r.keys = append(r.keys, k)
		}
		w.writers = append(w.writers, r)
	}
	w.allowed.Store(2 * walkKeys)
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
	asked := rng.IntN(4) == 0 // SIGTERM first, and SIGKILL during the shutdown
	grace := time.Duration(rng.IntN(250)) * time.Millisecond
	reset := rng.IntN(5)
	resetAt := time.Duration(rng.Int64N(int64(lives)))
	w.allowed.Add(walkPace)
	if reset == 0 {
		w.resetOffline()
	}
	patient := w.open != nil && rng.IntN(3) > 0 // a gap is closed before the end is near
	listening := make(chan struct{})
	w.launch()
	w.kills++
	waits, begun, daemon, exited := patient, time.Now(), w.daemon, w.exited
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if waits {
			select {
			case <-listening:
			case <-time.After(15 * time.Second):
			case <-exited:
				return
			}
		}
		select {
		case <-time.After(lives):
		case <-exited:
			return
		}
		if asked {
			_ = daemon.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which is seen below
			select {
			case <-time.After(grace):
			case <-exited:
				return
			}
		}
		_ = daemon.Process.Kill()
	}()
	done := ""
	for alive := true; alive; {
		w.watch()
		if patient && w.open == nil {
			patient = false
			close(listening)
		}
		if reset == 1 && done == "" && time.Since(begun) > resetAt {
			done = w.resetOnline()
		}
		select {
		case <-ended:
			alive = false
		case <-time.After(20 * time.Millisecond): // polling until the life's end
		}
	}
	<-exited
	w.daemon = nil
	w.t.Logf("seed %d: lived %s, asked to stop before: %t %s", seed, lives, asked, done)
	state := daemon.ProcessState.Sys().(syscall.WaitStatus)
	interrupted := asked && strings.Contains(w.log.String(), "interrupted") // while it was still starting
	if !state.Signaled() && state.ExitStatus() != 0 && !interrupted {
		w.t.Fatalf("seed %d: the daemon ended by itself with code %d\n%s", seed, state.ExitStatus(), w.log.String())
	}
}

// resetOffline forgets the source's place while no daemon runs. Without a store there is nothing to forget.
func (w *walk) resetOffline() {
	w.t.Helper()
	if _, err := os.Stat(filepath.Join(w.dir, "data")); err != nil {
		return
	}
	from, known := w.captured()
	if !known {
		return
	}
	w.begin(from)
	w.until(20*time.Second, "the reset succeeds: the killed daemon's session has ended", func() bool {
		_, _, code := w.waybill("checkpoint", "reset", "db", "--to", "snapshot", "--yes", "--why", "the walk")
		return code == 0
	})
	w.open.reset = time.Now()
	w.resets++
}

// captured is the time up to which the store holds everything, while no daemon runs.
func (w *walk) captured() (time.Time, bool) {
	w.t.Helper()
	out, errs, code := w.waybill("checkpoint", "show", "--json")
	if code != 0 {
		if strings.Contains(errs, "no store") { // killed before it was made
			return time.Time{}, false
		}
		w.t.Fatalf("checkpoint show: %d\n%s", code, errs)
	}
	var shown struct {
		Sources []struct {
			CommitAt time.Time `json:"commit_at"`
		} `json:"sources"`
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		w.t.Fatal(err)
	}
	if len(shown.Sources) == 0 {
		return time.Time{}, false
	}
	return shown.Sources[0].CommitAt, true
}

// resetOnline asks the running daemon for the reset. It may be killed meanwhile: then nobody knows whether it happened.
func (w *walk) resetOnline() string {
	w.t.Helper()
	src, _ := w.source()
	if src.Watermark.IsZero() {
		return ""
	}
	w.begin(src.Watermark)
	_, _, code := w.waybill("checkpoint", "reset", "db", "--to", "snapshot", "--yes", "--why", "the walk")
	w.open.reset = time.Now()
	w.resets++
	return fmt.Sprintf("reset, exit code %d", code)
}

// begin opens a gap, or lets the open one go on.
func (w *walk) begin(from time.Time) {
	if w.open == nil {
		w.gaps = append(w.gaps, gap{from: from})
		w.open = &w.gaps[len(w.gaps)-1]
	}
	w.open.last = 0
}

// watch looks whether the source listens again: the reset is applied, and the watermark has passed it.
func (w *walk) watch() {
	if w.open == nil {
		return
	}
	st, err := w.asked()
	if err != nil || len(st.Sources) != 1 {
		return
	}
	if w.open.last == 0 {
		w.open.last = st.Journal.Last
	}
	if st.Journal.Applied >= w.open.last && st.Sources[0].Watermark.After(w.open.reset) {
		w.open.to = time.Now()
		w.open = nil
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
	st := w.settled(2 * time.Minute)
	if len(st.Exceptions) > 0 {
		w.t.Errorf("exceptions are open: %+v\n%s", st.Exceptions, w.must("exceptions", "list"))
	}
	w.stop()
}
