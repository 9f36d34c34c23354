package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// rig is a store, a projector and lanes towards a scripted target, without sources.
type rig struct {
	t       *testing.T
	store   *checkpoint.Store
	project *projector
	lanes   map[transform.Lane]*lane
	sink    *scripted
	stop    func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, sink: newScripted(), lanes: map[transform.Lane]*lane{}}
	store, err := checkpoint.Open(t.TempDir(), checkpoint.Options{Floor: 1 << 20, Segment: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.ClearVerifyFirst(); err != nil {
		t.Fatal(err)
	}
	r.store = store
	log := slog.New(slog.DiscardHandler)
	r.project = newProjector(store, cdc.Codecs{}, log, func() {
		for _, l := range r.lanes {
			l.notify()
		}
	})
	tg := &target{name: "erp", sink: r.sink, workers: 4, sequences: map[string]chan struct{}{}, guesses: map[string]string{},
		retry: Retry{Base: 5 * time.Millisecond, Cap: 20 * time.Millisecond, MaxAttempts: 4}.withDefaults()}
	for _, name := range []transform.Lane{transform.LaneMaster, transform.LaneTransactional} {
		r.lanes[name] = newLane(name, tg, store, r.project, newMetrics(nil), log)
	}
	t.Cleanup(r.close)
	return r
}

// start runs the projector and the lanes until close. Like Pipeline.Run it projects what is there before a lane starts.
func (r *rig) start() {
	if err := r.project.catchUp(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	projecting, end := context.WithCancel(context.Background())
	var lanes, projector sync.WaitGroup
	projector.Add(1)
	go func() {
		defer projector.Done()
		if err := r.project.run(projecting); err != nil {
			r.t.Error(err)
		}
	}()
	for _, l := range r.lanes {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			if err := l.run(ctx, context.Background()); err != nil {
				r.t.Error(err)
			}
		}()
	}
	r.stop = func() {
		cancel()
		lanes.Wait()
		end()
		projector.Wait()
		r.stop = nil
	}
}

func (r *rig) close() {
	if r.stop != nil {
		r.sink.free()
		r.stop()
	}
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
}

// post queues postings as the mapper would. It is called before start.
func (r *rig) post(posts ...transform.Post) {
	r.t.Helper()
	r.do(func(s *state, out *output) error {
		for _, p := range posts {
			if err := out.Post(p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *rig) do(fn func(*state, *output) error) {
	r.t.Helper()
	err := r.store.Project(func(tx *checkpoint.Txn) (checkpoint.Applied, error) {
		s := newState(tx)
		if err := s.begin(); err != nil {
			return checkpoint.Applied{}, err
		}
		if err := fn(s, &output{s: s, entry: transform.Entry{Index: 1, Observed: time.Now()}}); err != nil {
			return checkpoint.Applied{}, err
		}
		return r.store.Applied(), s.flush()
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) delivery(id string) *delivery {
	r.t.Helper()
	d, err := r.lanes[transform.LaneMaster].delivery(id)
	if err != nil {
		r.t.Fatal(err)
	}
	if d == nil {
		r.t.Fatalf("delivery %s does not exist", id)
	}
	return d
}

// until polls for a condition with a deadline.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited 10 s for: %s\nsent: %v", what, r.sink.sent())
		}
		time.Sleep(2 * time.Millisecond) // polling, with the deadline above
	}
}

func (r *rig) state(id string, want DeliveryState) {
	r.t.Helper()
	r.until(fmt.Sprintf("%s is %s", id, want), func() bool { return r.delivery(id).State == want })
}

func invoice(id, orderKey string, gates ...transform.Gate) transform.Post {
	return transform.Post{ID: id, Event: "e-" + id, Sink: "erp", Entity: "sales_invoice", ExternalID: "x:" + id,
		Lane: transform.LaneTransactional, OrderKey: orderKey, Gates: gates, Body: json.RawMessage(`{"n":"` + id + `"}`),
		Amount: &transform.Money{Amount: "10.00", Currency: "USD"}, Refs: []string{"invoice/" + id}}
}

func customer(id string) transform.Post {
	return transform.Post{ID: id, Event: "e-" + id, Sink: "erp", Entity: "customer", ExternalID: id,
		Lane: transform.LaneMaster, OrderKey: "customer/" + id, Body: json.RawMessage(`{}`), Refs: []string{"customer/" + id}}
}

// scripted is a target that does what the test says. What it holds is keyed by external id and step.
type scripted struct {
	mu      sync.Mutex
	held    map[string]string // external id and step → body
	log     []string          // external id and step of each send that arrived
	deliver func(sinks.Intent) *sinks.Outcome
	horizon time.Duration
	gate    chan struct{} // closed by free
	once    sync.Once
}

func newScripted() *scripted {
	return &scripted{held: map[string]string{}, horizon: 50 * time.Millisecond, gate: make(chan struct{})}
}

func (s *scripted) free() { s.once.Do(func() { close(s.gate) }) }

func (s *scripted) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

func (s *scripted) Entity(name string) (sinks.Entity, error) {
	switch name {
	case "customer":
		return sinks.Entity{Name: name, Steps: []string{"upsert"}, CanVerify: true, Horizon: s.horizon}, nil
	case "sales_invoice":
		return sinks.Entity{Name: name, Steps: []string{"create", "post"}, CanVerify: true, Horizon: s.horizon}, nil
	}
	return sinks.Entity{}, errors.New("knows customer and sales_invoice")
}

func (s *scripted) Prepare(_ context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, _ time.Time) (sinks.Intent, *sinks.Outcome) {
	return sinks.Intent{Operation: op, Step: step, Request: op.Body}, nil
}

// apply holds the intent, as a target that commits.
func (s *scripted) apply(in sinks.Intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := in.ExternalID + " " + in.Step
	if _, twice := s.held[k]; twice {
		k += " TWICE"
	}
	s.held[k] = string(in.Request)
	s.log = append(s.log, k)
}

func (s *scripted) Deliver(_ context.Context, in sinks.Intent) sinks.Outcome {
	s.mu.Lock()
	fn := s.deliver
	s.mu.Unlock()
	if fn != nil {
		if o := fn(in); o != nil {
			return *o
		}
	}
	s.apply(in)
	return sinks.Outcome{Class: sinks.Applied, Ref: "ref-" + in.ExternalID, Number: "N-" + in.ExternalID}
}

func (s *scripted) Verify(_ context.Context, in sinks.Intent) sinks.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.held[in.ExternalID+" "+in.Step]
	switch {
	case !ok:
		return sinks.Outcome{Class: sinks.Absent}
	case body != string(in.Request):
		return sinks.Outcome{Class: sinks.Conflict, Message: "holds " + body}
	}
	return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: "ref-" + in.ExternalID, Number: "N-" + in.ExternalID}
}

func (s *scripted) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (s *scripted) Identity(context.Context) (string, error)     { return "scripted/1", nil }
func (s *scripted) Close() error                                 { return nil }
func (s *scripted) script(fn func(in sinks.Intent) *sinks.Outcome) {
	s.mu.Lock()
	s.deliver = fn
	s.mu.Unlock()
}
