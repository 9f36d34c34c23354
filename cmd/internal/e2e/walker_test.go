package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// step is one committed version of a key: the counter n, or the row's end after it.
type step struct {
	n    int64
	gone bool
	// The commit lay between these two.
	from, to time.Time
}

// walker is one writer with keys of its own.
type walker struct {
	e       *engine
	rng     *rand.Rand
	keys    []int
	next    map[int]int64 // counters; they go on over rollbacks, so a step that was rolled back has a number of its own
	steps   map[int][]step
	allowed *atomic.Int64
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan error
	stopped bool
	rolled  int // steps that were rolled back
}

func newWalker(e *engine, allowed *atomic.Int64, seed uint64, number int) *walker {
	w := &walker{e: e, rng: rand.New(rand.NewPCG(seed, uint64(number))), next: map[int]int64{}, steps: map[int][]step{}, allowed: allowed,
		ended: make(chan error, 1)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *walker) start() {
	go func() {
		for w.ctx.Err() == nil {
			if w.allowed.Load() > 0 {
				if err := w.transaction(); err != nil {
					w.ended <- err
					return
				}
			}
			w.pause(120)
		}
		w.ended <- nil
	}()
}

// stop ends the writer after its transaction.
func (w *walker) stop() error {
	if w.stopped {
		return nil
	}
	w.stopped = true
	w.cancel()
	return <-w.ended
}

// pause is a person's time to think, in ms at most.
func (w *walker) pause(most int) {
	select {
	case <-time.After(time.Duration(w.rng.IntN(most)) * time.Millisecond):
	case <-w.ctx.Done():
	}
}

// attempt is what a transaction has done so far.
type attempt struct {
	tx    *sql.Tx
	steps []attempted
}

type attempted struct {
	key  int
	n    int64
	gone bool
}

// transaction steps several keys; some of it is rolled back, and some transactions take their time.
func (w *walker) transaction() error {
	tx, err := w.e.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after the commit
	a := &attempt{tx: tx}
	if err := w.walk(a, 1+w.rng.IntN(6)); err != nil {
		return err
	}
	if w.rng.IntN(4) == 0 {
		if err := w.savepoint(a); err != nil {
			return err
		}
	}
	if w.rng.IntN(10) == 0 {
		w.pause(900)
		if err := w.walk(a, 1+w.rng.IntN(3)); err != nil {
			return err
		}
	}
	if w.rng.IntN(6) == 0 {
		w.rolled += len(a.steps)
		return tx.Rollback()
	}
	return w.commit(a)
}

// savepoint makes steps of which half the time nothing remains.
func (w *walker) savepoint(a *attempt) error {
	if _, err := a.tx.Exec("SAVEPOINT here"); err != nil {
		return err
	}
	before := len(a.steps)
	if err := w.walk(a, 1+w.rng.IntN(4)); err != nil {
		return err
	}
	end := "RELEASE SAVEPOINT here"
	if w.rng.IntN(2) == 0 {
		end = "ROLLBACK TO SAVEPOINT here"
		w.rolled += len(a.steps) - before
		a.steps = a.steps[:before]
	}
	if _, err := a.tx.Exec(end); err != nil {
		return err
	}
	return w.walk(a, 1)
}

func (w *walker) commit(a *attempt) error {
	from := time.Now()
	if err := a.tx.Commit(); err != nil {
		return err
	}
	to := time.Now()
	for _, s := range a.steps {
		w.steps[s.key] = append(w.steps[s.key], step{s.n, s.gone, from, to})
	}
	w.allowed.Add(-int64(len(a.steps)))
	return nil
}

// lives reports whether the key has a row, as the transaction sees it, and its counter.
func (w *walker) lives(a *attempt, key int) (n int64, lives bool) {
	for i := len(a.steps) - 1; i >= 0; i-- {
		if a.steps[i].key == key {
			return a.steps[i].n, !a.steps[i].gone
		}
	}
	done := w.steps[key]
	if len(done) == 0 {
		return 0, false
	}
	return done[len(done)-1].n, !done[len(done)-1].gone
}

// walk makes the next steps of some keys.
func (w *walker) walk(a *attempt, keys int) error {
	for range keys {
		key := w.keys[w.rng.IntN(len(w.keys))]
		var err error
		n, lives := w.lives(a, key)
		switch kind := w.rng.IntN(8); {
		case !lives:
			err = w.insert(a, key)
		case kind == 0:
			err = w.remove(a, key, n)
		case kind == 1: // in one transaction, and most often in one flush of the log
			if err = w.remove(a, key, n); err == nil {
				err = w.insert(a, key)
			}
		case kind == 2:
			if err = w.update(a, key); err == nil {
				err = w.update(a, key)
			}
		default:
			err = w.update(a, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) insert(a *attempt, key int) error {
	n := w.count(key)
	return w.exec(a, attempted{key, n, false}, "INSERT INTO walk (k, n, memo) VALUES ($1, $2, 'walked')", key, n)
}

func (w *walker) update(a *attempt, key int) error {
	n := w.count(key)
	return w.exec(a, attempted{key, n, false}, "UPDATE walk SET n=$1 WHERE k=$2", n, key)
}

func (w *walker) remove(a *attempt, key int, n int64) error {
	return w.exec(a, attempted{key, n, true}, "DELETE FROM walk WHERE k=$1", key)
}

func (w *walker) count(key int) int64 {
	w.next[key]++
	return w.next[key]
}

func (w *walker) exec(a *attempt, s attempted, text string, args ...any) error {
	result, err := a.tx.Exec(w.e.text(text), args...)
	if err != nil {
		return fmt.Errorf("%w in %s", err, text)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%d rows changed (%v) by %s %v", n, err, text, args)
	}
	a.steps = append(a.steps, s)
	return nil
}

// finish makes a last step of every key, so that each is seen at least once and each has an end to compare with.
func (w *walker) finish() error {
	tx, err := w.e.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after the commit
	a := &attempt{tx: tx}
	for _, key := range w.keys {
		last := w.insert
		if _, lives := w.lives(a, key); lives {
			last = w.update
		}
		if err := last(a, key); err != nil {
			return err
		}
	}
	return w.commit(a)
}
