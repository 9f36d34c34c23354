package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// Bounds of a lane.
const (
	headWindow   = 2000             // heads looked at when slots are free
	keptWindow   = 20_000           // and so many more of paused flows
	laneIdle     = 30 * time.Second // looked at again even if nobody woke it
	blockedLeast = 5 * time.Second  // first pause of a lane whose target is down or refuses us
	blockedMost  = 5 * time.Minute
)

// target is one sink with what its lanes share.
type target struct {
	name    string
	sink    sinks.Sink
	workers int
	retry   Retry

	mu        sync.Mutex
	sequences map[string]chan struct{} // one posting at a time per number sequence
	guesses   map[string]string        // entity and step → the sequence that its last posting took
}

// guess remembers the sequence of an entity's step, or tells the last one when seen is empty: most postings take the
// same as the one before.
func (t *target) guess(op sinks.Operation, step, seen string) string {
	k := op.Company + sep + op.Entity + sep + step
	t.mu.Lock()
	defer t.mu.Unlock()
	if seen != "" {
		t.guesses[k] = seen
	}
	return t.guesses[k]
}

// Retry bounds how often a delivery is sent again.
type Retry struct {
	Base        time.Duration // first back-off; 0 means 500 ms
	Cap         time.Duration // longest; 0 means 1 minute
	MaxAttempts int           // sends of one step before it becomes an exception; 0 means 10. Outages do not count.
	MaxAge      time.Duration // since the first retry, then an exception; 0 means 72 h. Outages do not count.
}

func (r Retry) withDefaults() Retry {
	if r.Base == 0 {
		r.Base = 500 * time.Millisecond
	}
	if r.Cap == 0 {
		r.Cap = time.Minute
	}
	if r.MaxAttempts == 0 {
		r.MaxAttempts = 10
	}
	if r.MaxAge == 0 {
		r.MaxAge = 72 * time.Hour
	}
	return r
}

// sequence waits for its turn on a number sequence and returns the function that ends it.
func (t *target) sequence(ctx context.Context, name string) (func(), error) {
	t.mu.Lock()
	lock := t.sequences[name]
	if lock == nil {
		lock = make(chan struct{}, 1)
		t.sequences[name] = lock
	}
	t.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lane delivers the heads of its queues to one target: in order for each order key, in parallel across keys, with its own
// retries and pace. It waits for no other lane (Invariant 5).
type lane struct {
	name    transform.Lane
	target  *target
	sink    sinks.Sink // the target's, as this lane may use it: with the lane's share of its budget
	store   *checkpoint.Store
	project *projector
	log     *slog.Logger
	metrics *metrics
	started time.Time // when this process could have sent nothing yet

	mu       sync.Mutex
	inflight map[string]bool      // delivery ids
	delayed  map[string]time.Time // verification again at
	sentEnd  map[string]time.Time // when a send of unknown outcome ended
	blocked  time.Time            // nothing is sent before then
	kicked   time.Time            // back-off set before then no longer counts
	pause    time.Duration        // last pause, doubled while the target stays down
	lastErr  string
	floor    string // no live head lies before this key
	// rehearsed are what a dry run prepared last.
	rehearsed []Rehearsal
	wake      chan struct{}
}

func newLane(name transform.Lane, t *target, store *checkpoint.Store, p *projector, m *metrics, log *slog.Logger) *lane {
	sink := t.sink
	if governed, ok := sink.(interface{ Lane(string) sinks.Sink }); ok {
		sink = governed.Lane(string(name))
	}
	return &lane{name: name, target: t, sink: sink, store: store, project: p, metrics: m, log: log.With("lane", string(name), "sink", t.name),
		started: time.Now(), inflight: map[string]bool{}, delayed: map[string]time.Time{}, sentEnd: map[string]time.Time{},
		wake: make(chan struct{}, 1)}
}

// notify says that queues may have moved.
func (l *lane) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// kick ends a pause: a person has set the target right.
func (l *lane) kick() {
	l.mu.Lock()
	l.blocked, l.pause, l.kicked = time.Time{}, 0, time.Now()
	clear(l.delayed)
	l.mu.Unlock()
	l.notify()
}

// run delivers until ctx ends, then waits for what is in flight. hard ends the sends themselves.
func (l *lane) run(ctx, hard context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	failed := make(chan error, 1)
	for {
		next, err := l.fill(ctx, func(id string) {
			workers.Add(1)
			go func() {
				defer workers.Done()
				err := l.deliver(ctx, hard, id)
				if errors.Is(err, errEnded) {
					return // it stays in flight: what the state shows of it is old
				}
				if err != nil && ctx.Err() == nil {
					select {
					case failed <- err:
					default:
					}
				}
				l.finished(id)
			}()
		})
		if err != nil {
			return err
		}
		timer := time.NewTimer(min(laneIdle, max(10*time.Millisecond, time.Until(next))))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case err := <-failed:
			timer.Stop()
			return err
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *lane) finished(id string) {
	l.mu.Lock()
	delete(l.inflight, id)
	l.mu.Unlock()
	l.notify()
}

// fill starts deliveries of heads that may go now and returns when to look again.
func (l *lane) fill(ctx context.Context, start func(id string)) (next time.Time, err error) {
	now := time.Now()
	next = now.Add(laneIdle)
	workers, _ := l.target.bounds()
	whole, _ := l.shut("")
	l.mu.Lock()
	free := workers - len(l.inflight)
	if now.Before(l.blocked) {
		// While the target is down one delivery probes it at the end of each pause, instead of all of them.
		next, free = l.blocked, 0
	} else if l.pause > 0 {
		free = min(free, 1-len(l.inflight))
	}
	l.mu.Unlock()
	if free <= 0 || ctx.Err() != nil {
		return next, nil
	}
	var ids []string
	err = l.store.View(func(tx *checkpoint.Txn) error {
		s, seen, kept := newState(tx), 0, 0
		prefix := key(string(l.name), l.target.name) + sep
		last, err := s.Get(bucketSystem, "seq/head")
		if err != nil {
			return err
		}
		floor := prefix + hexKey(unhex(string(last))+1) // of a lane without heads
		err = s.Scan(bucketHead, prefix, l.floor, func(k string, v []byte) (bool, error) {
			if seen == 0 {
				floor = k
			}
			seen++
			at, shut, err := l.takeable(s, string(v))
			if err != nil {
				return false, err
			}
			if shut && whole.IsZero() && kept < keptWindow { // those of a paused flow hide nobody
				kept, seen = kept+1, max(1, seen-1)
			}
			switch {
			case at.IsZero():
			case at.After(now):
				next = earlier(next, at)
			default:
				ids = append(ids, string(v))
			}
			return len(ids) < free && seen < headWindow, nil
		})
		l.floor = floor
		return err
	})
	if err != nil {
		return next, err
	}
	for _, id := range ids {
		l.mu.Lock()
		l.inflight[id] = true
		l.mu.Unlock()
		start(id)
	}
	return next, nil
}

// takeable says from when a head may be taken; zero when it is in flight or no longer to be sent. shut says that its flow is kept back.
func (l *lane) takeable(s *state, id string) (at time.Time, shut bool, err error) {
	l.mu.Lock()
	flying, delayed, kicked := l.inflight[id], l.delayed[id], l.kicked
	l.mu.Unlock()
	if flying {
		return time.Time{}, false, nil
	}
	d, err := s.delivery(id)
	if err != nil || d == nil {
		return time.Time{}, false, err
	}
	if opens := d.opening(time.Now()); !opens.IsZero() && d.State != StateSent {
		return opens, false, nil
	}
	if until, _ := l.shut(d.Post.Entity); !until.IsZero() && d.State != StateSent {
		return until, true, nil
	}
	switch d.State {
	case StateReady, StateSent:
		return later(l.started, delayed), false, nil
	case StateRetry:
		if kicked.After(d.RetryFrom) {
			return later(l.started, delayed), false, nil
		}
		return later(d.RetryAt, delayed), false, nil
	}
	return time.Time{}, false, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// trouble pauses the lane after an outage or a setup outcome, and good news ends the pause.
func (l *lane) trouble(o sinks.Outcome) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !o.Outage && o.Class != sinks.Setup {
		l.pause = 0
		return 0
	}
	l.lastErr = o.Message
	l.pause = min(max(2*l.pause, blockedLeast/5), blockedMost)
	if o.Class == sinks.Setup {
		l.pause = max(l.pause, blockedLeast)
	} else {
		l.pause = min(l.pause, blockedLeast)
	}
	wait := max(l.pause, o.Wait)
	l.blocked = time.Now().Add(wait)
	return wait
}
