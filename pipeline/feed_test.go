package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

const feedMapping = `mapping: small
version: 1
sources:
  dispatch: { schema: public, zone: America/Chicago }
events:
  shipment.delivered: { from: dispatch.loads, when: inserted(), key: load_no, set: { pieces: pcs } }
  customer.changed: { from: dispatch.customers, lane: master, key: code, set: { code: code, name: name, limit: lim } }
publish:
  shipment.* -> stream.milestones:
  customer.changed -> stream.credit: { if: limit > 100 }
`

// taker is a publisher that does what the test says.
type taker struct {
	t     *testing.T
	terms sinks.Terms

	mu     sync.Mutex
	script func(p sinks.Publication) *sinks.Outcome // nil: applied
	wait   time.Duration
	took   []sinks.Publication // in the order in which they were applied
	busy   map[string]bool
	calls  int
	most   int
	now    int
}

func newTaker(t *testing.T, terms sinks.Terms) *taker {
	return &taker{t: t, terms: terms, busy: map[string]bool{}}
}

func (k *taker) does(fn func(p sinks.Publication) *sinks.Outcome) {
	k.mu.Lock()
	k.script = fn
	k.mu.Unlock()
}

func (k *taker) Terms() sinks.Terms { return k.terms }

func (k *taker) Publish(_ context.Context, events []sinks.Publication) []sinks.Outcome {
	k.mu.Lock()
	keys := map[string]bool{}
	for _, e := range events {
		keys[e.Event.OrderKey] = true
	}
	for name := range keys {
		if k.busy[name] {
			k.t.Errorf("two calls at the same time with events of %s", name)
		}
		k.busy[name] = true
	}
	k.calls++
	k.now++
	k.most = max(k.most, k.now)
	script := k.script
	k.mu.Unlock()
	if len(events) > k.terms.Batch {
		k.t.Errorf("%d events in a call", len(events))
	}
	if k.wait > 0 {
		time.Sleep(k.wait) // the target takes its time
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now--
	for name := range keys {
		delete(k.busy, name)
	}
	outcomes := make([]sinks.Outcome, len(events))
	stopped := map[string]bool{}
	for i, e := range events {
		outcomes[i] = sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeBehind}
		if stopped[e.Event.OrderKey] {
			continue
		}
		outcomes[i] = sinks.Outcome{Class: sinks.Applied}
		if script != nil {
			if o := script(e); o != nil {
				outcomes[i], stopped[e.Event.OrderKey] = *o, true
				continue
			}
		}
		k.took = append(k.took, e)
	}
	return outcomes
}

func (k *taker) Seen(_ context.Context, events []sinks.Publication) ([]bool, error) {
	if !k.terms.Remembers {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := make([]bool, len(events))
	for i, e := range events {
		seen[i] = slices.ContainsFunc(k.took, func(t sinks.Publication) bool { return t.Event.ID == e.Event.ID })
	}
	return seen, nil
}

func (k *taker) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (k *taker) Identity(context.Context) (string, error)     { return "taker", nil }
func (k *taker) Close() error                                 { return nil }

// ids are the events that were taken, of one order key or of all.
func (k *taker) ids(orderKey string) (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.took {
		if orderKey == "" || p.Event.OrderKey == orderKey {
			all = append(all, p.Event.ID)
		}
	}
	return all
}

// feedRig is a store, a projector and one feed.
type feedRig struct {
	*rig
	feed   *feed
	taker  *taker
	number int
	end    func()
}

func newFeedRig(t *testing.T, terms sinks.Terms) *feedRig {
	t.Helper()
	r := &feedRig{rig: newRig(t), taker: newTaker(t, terms)}
	r.use(feedMapping)
	r.project.notify = func() {
		if f := r.feed; f != nil {
			f.notify()
		}
	}
	r.renew()
	return r
}

// use makes a mapping the active one, and puts it into the state as an activation would.
func (r *feedRig) use(text string) {
	r.t.Helper()
	m, err := transform.Parse("small.yml", []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	carriers := &transform.Carriers{}
	if err := carriers.Add(m, "", false); err != nil {
		r.t.Fatal(err)
	}
	r.project.mapper = carriers
}

// renew makes a new feed, as a start does.
func (r *feedRig) renew() {
	r.feed = newFeed("stream", r.taker, 100, Retry{Base: 2 * time.Millisecond, Cap: 20 * time.Millisecond, MaxAttempts: 4}, r.store, r.project, newMetrics(nil),
		slog.New(slog.DiscardHandler))
}

// run runs the projector and the feed until the returned function is called.
func (r *feedRig) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	projecting, stop := context.WithCancel(context.Background())
	r.project.ended = make(chan struct{})
	var feeding, projector sync.WaitGroup
	projector.Go(func() {
		if err := r.project.run(projecting); err != nil {
			r.t.Error(err)
		}
	})
	feeding.Go(func() {
		if err := r.feed.run(ctx, context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	r.end = func() {
		cancel()
		feeding.Wait()
		if err := r.project.wait(context.Background(), r.store.Last()); err != nil {
			r.t.Error(err)
		}
		stop()
		projector.Wait()
		r.end, r.stop = nil, nil
	}
	r.stop = r.end
}

// happen stores events, which go into the index by the mapping. It is called while nothing runs.
func (r *feedRig) happen(keys ...string) {
	r.t.Helper()
	for from := 0; from < len(keys); from += 500 {
		r.do(func(s *state, out *output) error {
			s.carriers = r.project.mapper
			for _, k := range keys[from:min(from+500, len(keys))] {
				r.number++
				e := transform.Event{ID: fmt.Sprintf("%s-%06d", k, r.number), Type: "shipment.delivered", Entity: "shipment", Key: k, OrderKey: "shipment/" + k,
					Lane: transform.LaneTransactional, MapVersion: "small/1", Recorded: time.Now(), Data: json.RawMessage(`{"pieces":1}`)}
				if err := out.event(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (r *feedRig) status() (fs FeedStatus) {
	r.t.Helper()
	err := r.store.View(func(tx *checkpoint.Txn) (err error) {
		fs, err = r.feed.status(newState(tx))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return fs
}

// published waits until nothing is behind but so many that are set aside.
func (r *feedRig) published(aside uint64) {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		fs := r.status()
		if fs.Behind == aside && fs.Aside == aside {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("waited 20 s: %+v\ntaken %v", fs, r.taker.ids(""))
		}
		time.Sleep(2 * time.Millisecond) // polling, with the deadline above
	}
}

func sortedIDs(t *testing.T, what string, got []string, want int) {
	t.Helper()
	if !slices.IsSorted(got) || len(got) != want || len(slices.Compact(slices.Clone(got))) != want {
		t.Errorf("%s: %d events, want %d in order and once: %v", what, len(got), want, got[:min(len(got), 50)])
	}
}

func TestFeedKeepsTheOrderOfAKeyAndSendsKeysInParallel(t *testing.T) {
	for _, terms := range []sinks.Terms{{Batch: 1, Parallel: 8}, {Batch: 7, Parallel: 3}, {Batch: 100, Bytes: 400, Parallel: 1}} {
		t.Run(fmt.Sprintf("%+v", terms), func(t *testing.T) {
			r := newFeedRig(t, terms)
			r.taker.wait = time.Millisecond
			var keys []string
			for i := range 400 {
				keys = append(keys, fmt.Sprint(i%20))
			}
			r.happen(keys...)
			first := r.store.Last()
			r.run()
			r.published(0)
			for i := range 20 {
				sortedIDs(t, fmt.Sprint(i), r.taker.ids(fmt.Sprint("shipment/", i)), 20)
			}
			for i, p := range r.taker.took {
				if p.Topic != "milestones" || p.Sequence == 0 || p.Sequence > 20 {
					t.Fatalf("publication %d: %+v", i, p)
				}
			}
			if r.taker.most < min(terms.Parallel, 2) {
				t.Errorf("%d calls at the same time", r.taker.most)
			}
			r.end()
			if entries := r.store.Last() - first; entries > 40 {
				t.Errorf("%d journal entries for 400 events", entries)
			}
			if fs := r.status(); fs.Published != 400 || fs.Oldest != nil {
				t.Errorf("%+v", fs)
			}
		})
	}
}

func TestFeedRefusedParksItsOrderKeyAlone(t *testing.T) {
	for _, by := range []string{"retry", "discard"} {
		t.Run(by, func(t *testing.T) {
			r := newFeedRig(t, sinks.Terms{Batch: 10, Parallel: 4})
			var refuse atomic.Bool
			refuse.Store(true)
			r.taker.does(func(p sinks.Publication) *sinks.Outcome {
				if p.Event.Key == "A" && p.Sequence == 3 && refuse.Load() {
					return &sinks.Outcome{Class: sinks.Rejected, Code: "REFUSED", Message: "pieces are missing", Field: "pieces", Hint: "Ask them.", Request: "{}", Answer: "no"}
				}
				return nil
			})
			r.happen("A", "A", "A", "A", "B", "A", "B")
			r.run()
			r.published(3)
			if a, b := len(r.taker.ids("shipment/A")), len(r.taker.ids("shipment/B")); a != 2 || b != 2 {
				t.Fatalf("%d of A, %d of B", a, b)
			}
			x := r.exception("X-000001")
			if x.Problem.Code != "REFUSED" || x.Origin != originFeed || x.Problem.Subject != "shipment/A" || !strings.Contains(string(x.Problem.Evidence), `"answer":"no"`) ||
				x.cause() != "FEED/stream.milestones/REFUSED/pieces" {
				t.Errorf("%+v %s", x.Problem, x.cause())
			}
			view, err := (&Pipeline{store: r.store}).Exception(t.Context(), "X-000001")
			if err != nil || view.Event == nil || view.Event.ID != "A-000003" || view.Behind != 2 || !slices.Equal(view.Allowed, []string{"retry", "discard"}) {
				t.Errorf("%v %+v", err, view)
			}
			if by == "retry" { // still refused: the same exception
				r.decide(decisionEntry{Action: "retry", IDs: []string{"X-000001"}, By: "ann"})
				r.until("it is open again", func() bool { x := r.exception("X-000001"); return x.Retries == 1 && x.State == ExceptionOpen })
			}
			refuse.Store(false)
			r.decide(decisionEntry{Action: by, IDs: []string{"X-000001"}, By: "ann", Why: "settled"})
			r.published(0)
			want := map[string]int{"retry": 5, "discard": 4}[by]
			sortedIDs(t, "A", r.taker.ids("shipment/A"), want)
			state := map[string]string{"retry": ExceptionResolved, "discard": ExceptionDiscarded}[by]
			r.until("the exception is "+state, func() bool { return r.exception("X-000001").State == state })
			r.until("nothing is held", func() bool { return r.keysOf(bucketFeedHeld)+r.keysOf(bucketFeedAside) == 0 })
			r.end()
			r.renew()
			r.happen("A")
			r.run()
			r.published(0)
			sortedIDs(t, "A", r.taker.ids("shipment/A"), want+1)
		})
	}
}

func TestFeedTriesAgainAndGivesUpAsAnException(t *testing.T) {
	r := newFeedRig(t, sinks.Terms{Batch: 1, Parallel: 4})
	var tried atomic.Int64
	r.taker.does(func(p sinks.Publication) *sinks.Outcome {
		switch {
		case p.Event.Key == "A" && p.Sequence == 1 && tried.Add(1) < 3:
			return &sinks.Outcome{Class: sinks.RetryLater, Code: "FAILED", Message: "not now"}
		case p.Event.Key == "B":
			return &sinks.Outcome{Class: sinks.Unknown, Message: "never"}
		}
		return nil
	})
	r.happen("A", "B", "A", "C")
	r.run()
	r.published(1)
	sortedIDs(t, "A", r.taker.ids("shipment/A"), 2)
	if x := r.exception("X-000001"); x.Problem.Code != "RETRIES_EXHAUSTED" || x.Problem.Subject != "shipment/B" {
		t.Errorf("%+v", x.Problem)
	}
}

func TestFeedSetupIsOneExceptionThatEndsByItself(t *testing.T) {
	r := newFeedRig(t, sinks.Terms{Batch: 1, Parallel: 4})
	var down atomic.Bool
	down.Store(true)
	r.taker.does(func(sinks.Publication) *sinks.Outcome {
		if down.Load() {
			return &sinks.Outcome{Class: sinks.Setup, Code: "AUTH", Message: "401", Hint: "Correct the secret."}
		}
		return nil
	})
	r.happen("A", "B", "C", "D", "E")
	r.run()
	r.until("the exception", func() bool { return r.keysOf(bucketOpen) == 1 })
	if x := r.exception("X-000001"); x.Origin != originTarget || x.Problem.Code != "AUTH" || x.Problem.Subject != "feed/stream" {
		t.Errorf("%+v", x)
	}
	if fs := r.status(); fs.State != "backing off" || fs.Error != "401" || fs.Oldest == nil {
		t.Errorf("%+v", fs)
	}
	down.Store(false)
	r.feed.kick()
	r.published(0)
	r.until("the exception ends", func() bool { return r.keysOf(bucketOpen) == 0 })
	if fs := r.status(); fs.State != "running" {
		t.Errorf("%+v", fs)
	}
}

// What was sent before a kill and not journalled: a target that remembers is asked, to one that does not the same ids come again.
func TestFeedAfterAKill(t *testing.T) {
	for _, remembers := range []bool{true, false} {
		t.Run(fmt.Sprintf("remembers=%t", remembers), func(t *testing.T) {
			r := newFeedRig(t, sinks.Terms{Batch: 3, Parallel: 2, Remembers: remembers})
			var keys []string
			for i := range 60 {
				keys = append(keys, fmt.Sprint(i%4))
			}
			r.happen(keys...)
			if err := r.project.catchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			// A run whose end nobody sees: what it has sent is not in the journal.
			if err := r.feed.fill(t.Context()); err != nil {
				t.Fatal(err)
			}
			sent := r.feed.queue.take(sinks.Terms{Batch: 10}, time.Now())
			for _, e := range sent {
				r.taker.took = append(r.taker.took, sinks.Publication{Event: e.event, Topic: e.item.Topic, Sequence: e.item.Sequence})
			}
			r.renew()
			r.run()
			r.published(0)
			want := map[bool]int{true: 60, false: 70}[remembers]
			if got := len(r.taker.ids("")); got != want {
				t.Errorf("%d were taken, want %d", got, want)
			}
			for i := range 4 {
				got := r.taker.ids(fmt.Sprint("shipment/", i))
				slices.Sort(got)
				if got = slices.Compact(got); len(got) != 15 {
					t.Errorf("%d of key %d", len(got), i)
				}
			}
		})
	}
}

// A key that waits for long does not hold up the others, although the window begins with its first event.
func TestFeedSetsASlowKeyAside(t *testing.T) {
	r := newFeedRig(t, sinks.Terms{Batch: 100, Parallel: 2})
	r.feed.window = 200
	r.feed.retry = Retry{Base: time.Hour, Cap: time.Hour}.withDefaults()
	var slow atomic.Bool
	slow.Store(true)
	r.taker.does(func(p sinks.Publication) *sinks.Outcome {
		if p.Event.Key == "slow" && slow.Load() {
			return &sinks.Outcome{Class: sinks.RetryLater, Code: "FAILED", Message: "later"}
		}
		return nil
	})
	keys := []string{"slow", "slow"}
	for i := range 700 {
		keys = append(keys, fmt.Sprint(i%50))
	}
	r.happen(append(keys, "slow")...)
	r.run()
	r.published(3)
	if n := len(r.taker.ids("")); n != 700 {
		t.Errorf("%d were taken", n)
	}
	if open := r.keysOf(bucketOpen); open > 0 {
		t.Errorf("%d exceptions", open)
	}
	slow.Store(false)
	r.feed.kick()
	r.published(0)
	sortedIDs(t, "slow", r.taker.ids("shipment/slow"), 3)
}

func TestFeedConditionThatCannotTell(t *testing.T) {
	r := newFeedRig(t, sinks.Terms{Batch: 10, Parallel: 2})
	r.do(func(s *state, out *output) error {
		s.carriers = r.project.mapper
		for i, data := range []string{`{"code":"C1","limit":500}`, `{"code":"C1","limit":"much"}`, `{"code":"C1","limit":5}`, `{"code":"C1","limit":900}`} {
			err := out.event(transform.Event{ID: fmt.Sprint("c", i), Type: "customer.changed", Entity: "customer", Key: "C1", OrderKey: "customer/C1", Lane: transform.LaneMaster,
				MapVersion: "small/1", Data: json.RawMessage(data)})
			if err != nil {
				return err
			}
		}
		return nil
	})
	r.run()
	r.published(2)
	if got := r.taker.ids(""); !slices.Equal(got, []string{"c0"}) {
		t.Fatalf("taken %v", got)
	}
	if x := r.exception("X-000001"); x.Problem.Code != codeCondition || x.Problem.Class != "MAPPING" {
		t.Errorf("%+v", x.Problem)
	}
	r.decide(decisionEntry{Action: "retry", IDs: []string{"X-000001"}, By: "ann"})
	r.until("it is still so", func() bool { x := r.exception("X-000001"); return x.Retries == 1 && x.State == ExceptionOpen })
	r.end()
	r.use(strings.Replace(feedMapping, "limit > 100", `text(limit) == "much" or limit > 100`, 1))
	r.run()
	r.decide(decisionEntry{Action: "retry", IDs: []string{"X-000001"}, By: "ann"})
	r.published(0)
	if got := r.taker.ids(""); !slices.Equal(got, []string{"c0", "c1", "c3"}) {
		t.Errorf("taken %v", got)
	}
}

func TestReplayOfOneEventPublishesItAgain(t *testing.T) {
	r := newFeedRig(t, sinks.Terms{Batch: 10, Parallel: 2})
	r.happen("A", "B")
	r.run()
	r.published(0)
	r.decide(decisionEntry{Action: "replay", Replay: &ReplayRequest{Event: "A-000001", By: "ann"}, By: "ann"})
	r.until("it comes again", func() bool { return len(r.taker.ids("")) == 3 })
	if got := r.taker.ids(""); got[2] != "A-000001" {
		t.Errorf("taken %v", got)
	}
}

// exceptions are the ids of all.
func (r *feedRig) exceptions() (all []string) {
	r.t.Helper()
	err := r.store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan(bucketException, "", "", func(k string, _ []byte) (bool, error) {
			all = append(all, k)
			return true, nil
		})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// TestFeedSchedules lets a target behave at random, people decide at random and the daemon end at random: of each key what was not discarded is
// taken in order.
func TestFeedSchedules(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { feedSchedule(t, seed) })
	}
}

func feedSchedule(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	r := newFeedRig(t, sinks.Terms{Batch: 1 + rng.IntN(8), Parallel: 1 + rng.IntN(4), Remembers: rng.IntN(2) == 0})
	var mu sync.Mutex
	good := false
	r.taker.does(func(sinks.Publication) *sinks.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if n := rng.IntN(100); good || n < 75 {
			return nil
		} else if n < 92 {
			return &sinks.Outcome{Class: sinks.RetryLater, Code: "FAILED", Message: "again"}
		}
		return &sinks.Outcome{Class: sinks.Rejected, Code: "REFUSED", Message: "no"}
	})
	decisions := rand.New(rand.NewPCG(seed, 8))
	discarded := map[string]bool{}
	made := map[string]int{}
	decideAll := func() {
		for _, k := range r.exceptions() {
			if x := r.exception(k); x.live() && x.State == ExceptionOpen && x.Feed != nil {
				by := "retry"
				if decisions.IntN(3) == 0 {
					by = "discard"
					_, rest, _ := strings.Cut(x.Problem.Fingerprint, "milestones/")
					discarded[rest] = true
				}
				r.decide(decisionEntry{Action: by, IDs: []string{k}, By: "ann", Why: "so"})
			}
		}
	}
	for range 4 {
		var keys []string
		for range 60 {
			k := fmt.Sprint("k", decisions.IntN(6))
			made[k]++
			keys = append(keys, k)
		}
		r.happen(keys...)
		r.run()
		for range 5 {
			time.Sleep(time.Duration(decisions.IntN(10)) * time.Millisecond) // the pace of people
			decideAll()
		}
		r.end()
		r.renew()
	}
	mu.Lock()
	good = true
	mu.Unlock()
	r.run()
	deadline := time.Now().Add(20 * time.Second)
	for r.status().Behind > 0 {
		decideAll()
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r.status())
		}
		time.Sleep(2 * time.Millisecond) // polling, with the deadline above
	}
	r.end()
	for k, n := range made {
		var got []string
		for _, id := range r.taker.ids("shipment/" + k) {
			if len(got) == 0 || got[len(got)-1] != id { // the same again is the same
				got = append(got, id)
			}
		}
		gone := 0
		for id := range discarded {
			if strings.HasPrefix(id, k+"-") && !slices.Contains(got, id) {
				gone++
			}
		}
		sortedIDs(t, k, got, n-gone)
	}
}
