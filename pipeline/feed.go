package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// Bounds of a feed.
const (
	feedWindow  = 10_000                 // numbers of the index from the first one that is not journalled on
	feedMemory  = 32 << 20               // bytes of data in memory
	feedPage    = 500                    // entries read at once
	feedAsides  = 100                    // entries of one order key read at once of what is set aside
	feedRecord  = 250 * time.Millisecond // between two journal entries of what was taken
	feedLinger  = 5 * time.Millisecond   // how long a call that is not full waits for more
	feedAlarm   = 10_000                 // events set aside above which the status says so
	feedIdle    = 30 * time.Second       // looked at again even if nobody woke it
	feedRestart = time.Second            // between two questions what the target holds
)

// feed gives a publisher the events that its index names: in order for each order key, in parallel across keys, at least once, each with the
// same id. It journals what the target has a few times a second, not for each event: what was sent meanwhile is, after a kill, asked for
// (Terms.Remembers) or sent again.
type feed struct {
	name    string
	sink    sinks.Publisher
	terms   sinks.Terms
	retry   Retry
	window  uint64 // feedWindow, but in tests
	store   *checkpoint.Store
	project *projector
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{}
	calls   sync.WaitGroup
	failed  chan error

	telling sync.Mutex // held while it is journalled that nothing, or something, is taken

	// Of the goroutine of run alone.
	next  uint64 // number after the last one that was read
	held  uint64 // number of changes of held keys that was seen
	again bool   // there was more to read than there was room for

	mu       sync.Mutex
	queue    *feedQueue
	inflight int
	moved    bool // the projector has committed since the index was read
	recheck  bool // what is held is looked at again, although nobody changed it
	open     feedOpen
	taken    []uint64 // not journalled yet
	aside    []*feedEvent
	late     []feedPlace
	blocked  time.Time     // nothing is sent before then
	pause    time.Duration // last pause, doubled while the target stays down
	lastErr  string
	setup    string // code of the exception that says that nothing is taken
	since    uint64 // published since the start
}

// feedOpen are the numbers that were read and of which the journal does not say yet what became of them.
type feedOpen struct {
	order []uint64
	known map[uint64]bool
}

func (o *feedOpen) add(n uint64) {
	o.order = append(o.order, n)
	o.known[n] = true
}

// first is the lowest of them; 0 when there is none.
func (o *feedOpen) first() uint64 {
	for len(o.order) > 0 && !o.known[o.order[0]] {
		o.order = o.order[1:]
	}
	if len(o.order) == 0 {
		return 0
	}
	return o.order[0]
}

func newFeed(name string, sink sinks.Publisher, workers int, retry Retry, store *checkpoint.Store, p *projector, m *metrics, log *slog.Logger) *feed {
	terms := sink.Terms()
	terms.Batch, terms.Parallel = max(terms.Batch, 1), max(min(terms.Parallel, workers), 1)
	return &feed{name: name, sink: sink, terms: terms, retry: retry.withDefaults(), window: feedWindow, store: store, project: p, metrics: m, log: log.With("sink", name),
		wake: make(chan struct{}, 1), failed: make(chan error, 1), queue: newFeedQueue(), open: feedOpen{known: map[uint64]bool{}}, moved: true}
}

// notify says that the index may have moved.
func (f *feed) notify() {
	f.mu.Lock()
	f.moved = true
	f.mu.Unlock()
	f.nudge()
}

func (f *feed) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// kick ends a pause: a person has set the target right.
func (f *feed) kick() {
	f.mu.Lock()
	f.blocked, f.pause = time.Time{}, 0
	for k := range f.queue.late {
		k.until = time.Time{}
	}
	f.mu.Unlock()
	f.notify()
}

// fault shows on a feed that has not begun why nothing is sent; nil that nothing is in the way any more.
func (f *feed) fault(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.lastErr, f.pause = "", 0
		return
	}
	f.lastErr, f.pause = err.Error(), max(f.pause, blockedLeast)
}

// run publishes until ctx ends, then waits for what is in flight and journals what came of it. hard ends the calls themselves.
func (f *feed) run(ctx, hard context.Context) error {
	if err := f.begin(ctx, hard); err != nil || ctx.Err() != nil {
		return err
	}
	err := f.loop(ctx, hard)
	f.calls.Wait()
	if err != nil {
		return err
	}
	select {
	case err := <-f.failed:
		return err
	default:
	}
	return f.record(context.WithoutCancel(hard))
}

func (f *feed) loop(ctx, hard context.Context) error {
	recorded := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if due, many := f.unrecorded(); due && (many || now.Sub(recorded) >= feedRecord) {
			if err := f.record(hard); err != nil {
				return err
			}
			recorded = now
		}
		if err := f.fill(hard); err != nil {
			return err
		}
		next := f.start(ctx, hard, now)
		f.mu.Lock()
		more := f.more()
		f.mu.Unlock()
		if more {
			continue
		}
		if due, _ := f.unrecorded(); due {
			next = earlier(next, recorded.Add(feedRecord))
		}
		timer := time.NewTimer(max(time.Millisecond, time.Until(next)))
		select {
		case <-ctx.Done():
		case err := <-f.failed:
			timer.Stop()
			return err
		case <-f.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// unrecorded reports whether there is something to journal, and whether it is so much that it should not wait.
func (f *feed) unrecorded() (due, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.taken) + len(f.aside) + len(f.late)
	return n > 0, uint64(n) >= f.window/4
}

// start starts calls for what may be sent now, and returns when to look again.
func (f *feed) start(ctx, hard context.Context, now time.Time) (next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next = now.Add(feedIdle)
	if at := f.queue.wake(now); !at.IsZero() {
		next = earlier(next, at)
	}
	for ctx.Err() == nil {
		batch, at := f.batch(now)
		if batch == nil {
			return earlier(next, at)
		}
		f.inflight++
		f.calls.Add(1)
		go f.work(ctx, hard, batch)
	}
	return next
}

// batch takes what one more call may send; when nothing, it says when to look again. The caller holds the lock.
func (f *feed) batch(now time.Time) (batch []*feedEvent, at time.Time) {
	at = now.Add(feedIdle)
	switch {
	case f.inflight >= f.terms.Parallel || f.pause > 0 && f.inflight > 0: // while the target is down one call probes it
		return nil, at
	case now.Before(f.blocked):
		return nil, f.blocked
	case len(f.queue.ready) == 0:
		return nil, at
	}
	if until := f.shut(now); !until.IsZero() {
		return nil, until
	}
	if full := f.queue.first.Add(feedLinger); f.terms.Batch > 1 && f.queue.count < f.terms.Batch && now.Before(full) {
		return nil, full
	}
	return f.queue.take(f.terms, now), at
}

// work makes calls one after the other until there is nothing to send.
func (f *feed) work(ctx, hard context.Context, batch []*feedEvent) {
	defer f.calls.Done()
	for batch != nil {
		outcomes := f.call(hard, batch)
		err := f.settle(hard, batch, outcomes)
		if _, many := f.unrecorded(); many {
			f.nudge()
		}
		now := time.Now()
		f.mu.Lock()
		if f.inflight--; err != nil || ctx.Err() != nil {
			batch = nil
		} else if batch, _ = f.batch(now); batch != nil {
			f.inflight++
		}
		f.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			select {
			case f.failed <- err:
			default:
			}
		}
	}
	f.nudge()
}

// call sends events. What a condition could not tell is not sent.
func (f *feed) call(hard context.Context, batch []*feedEvent) []sinks.Outcome {
	if why := batch[0].item.Undecided; why != "" {
		return []sinks.Outcome{{Class: sinks.Rejected, Code: codeCondition, Message: why,
			Hint: "Correct the condition under publish in the mapping, activate it, and retry; or discard it: then this event is not published."}}
	}
	list := make([]sinks.Publication, len(batch))
	for i, e := range batch {
		list[i] = sinks.Publication{Event: e.event, Topic: e.item.Topic, Sequence: e.item.Sequence}
	}
	begun := time.Now()
	outcomes := f.sink.Publish(hard, list)
	f.metrics.published(f.name, list, outcomes, time.Since(begun))
	for len(outcomes) < len(batch) {
		outcomes = append(outcomes, sinks.Outcome{Class: sinks.RetryLater, Code: "ANSWER", Message: "the publisher does not say what became of it"})
	}
	return outcomes
}

// append journals an entry of the feed. refused: the journal takes nothing now, and nothing was written.
func (f *feed) append(ctx context.Context, e feedEntry) (index uint64, refused bool, err error) {
	e.Sink = f.name
	payload, err := json.Marshal(outcomeEntry{Feed: &e})
	if err != nil {
		return 0, false, fmt.Errorf("encoding what became of events for %s: %w", f.name, err)
	}
	index, err = f.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Outcome, Payload: payload})
	if err != nil && checkpoint.Refused(err) {
		f.mu.Lock()
		f.blocked, f.lastErr = time.Now().Add(blockedLeast), err.Error()
		f.mu.Unlock()
		return 0, true, nil
	}
	return index, false, err
}
