package sinks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waybill/cdc"
)

// target is a sink whose answers a test writes.
type target struct {
	mu      sync.Mutex
	deliver func(context.Context, Intent) Outcome
	calls   int
	running int
	most    int
}

func (s *target) Deliver(ctx context.Context, in Intent) Outcome {
	s.mu.Lock()
	s.calls++
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.running--; s.mu.Unlock() }()
	return s.deliver(ctx, in)
}
func (s *target) Entity(string) (Entity, error) { return Entity{}, nil }
func (s *target) Prepare(_ context.Context, op Operation, step string, _ map[string]Outcome, _ time.Time) (Intent, *Outcome) {
	if op.ID == "" {
		return Intent{}, &Outcome{Class: Rejected, Code: "NO_ID"}
	}
	return Intent{Operation: op, Step: step}, nil
}
func (s *target) Verify(context.Context, Intent) Outcome       { return Outcome{Class: Absent} }
func (s *target) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (s *target) Identity(context.Context) (string, error)     { return "t", nil }
func (s *target) Close() error                                 { return nil }

func govern(s Sink, p Policy) *Governed { return Govern(s, p, nil, slog.New(slog.DiscardHandler)) }

func takes(d time.Duration) func(context.Context, Intent) Outcome {
	return func(ctx context.Context, _ Intent) Outcome {
		select {
		case <-time.After(d):
			return Outcome{Class: Applied}
		case <-ctx.Done():
			return Outcome{Class: Unknown, Outage: true}
		}
	}
}

func TestConcurrencyIsNeverExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(time.Second)}
		g := govern(s, Policy{Concurrency: 4})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if o := g.Lane([]string{"master", "transactional"}[i%2]).Deliver(t.Context(), Intent{}); o.Class != Applied {
					t.Errorf("%+v", o)
				}
			})
		}
		wg.Wait()
		if s.most != 4 || s.calls != 40 {
			t.Errorf("at most %d of %d calls at once, want 4 of 40", s.most, s.calls)
		}
	})
}

// One lane hangs in calls that never end; the other must not notice (Invariant 5).
func TestLaneCannotTakeAllSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		s := &target{deliver: func(_ context.Context, in Intent) Outcome {
			if in.Step == "hang" {
				<-hang
			}
			return Outcome{Class: Applied}
		}}
		g := govern(s, Policy{Concurrency: 4, Timeout: time.Hour})
		for range 10 {
			go g.Lane("transactional").Deliver(t.Context(), Intent{Step: "hang"})
		}
		synctest.Wait()
		start := time.Now()
		if o := g.Lane("master").Deliver(t.Context(), Intent{}); o.Class != Applied || time.Since(start) > 0 {
			t.Errorf("after %s: %+v", time.Since(start), o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if o := g.Lane("transactional").Deliver(ctx, Intent{}); o.Class != RetryLater || o.Code != CodeNotSent {
			t.Errorf("a call that found no slot: %+v", o)
		}
		close(hang)
		synctest.Wait()
		if n := g.account.slots.used; n != 0 {
			t.Errorf("%d slots are used in the end, want 0", n)
		}
	})
}

func TestSlotsGoByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1).join(1, map[string]int{"master": 1, "transactional": 3})
		release, err := s.acquire(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		for _, lane := range []string{"master", "transactional"} {
			for range 6 {
				go func() {
					release, err := s.acquire(t.Context(), lane)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					order = append(order, lane)
					mu.Unlock()
					release()
				}()
			}
		}
		synctest.Wait()
		release()
		synctest.Wait()
		n := 0
		for _, lane := range order[:8] {
			if lane == "master" {
				n++
			}
		}
		if n != 2 {
			t.Errorf("master had %d of the first eight turns, want 2: %v", n, order)
		}
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(0)}
		g := govern(s, Policy{Rate: 10, Burst: 2})
		start := time.Now()
		for range 22 {
			g.Deliver(t.Context(), Intent{})
		}
		if d := time.Since(start); d < 1990*time.Millisecond || d > 2010*time.Millisecond {
			t.Errorf("22 calls at 10 a second and a burst of 2 took %s, want 2s", d)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := govern(&target{deliver: takes(time.Hour)}, Policy{Timeout: 3 * time.Second})
		start := time.Now()
		if o := g.Deliver(t.Context(), Intent{}); o.Class != Unknown || time.Since(start) != 3*time.Second {
			t.Errorf("after %s: %+v", time.Since(start), o)
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := Outcome{Class: Rejected, Code: "BAD"}
		s := &target{deliver: func(context.Context, Intent) Outcome { return answer }}
		g := govern(s, Policy{BreakerFailures: 3, BreakerCooldown: 10 * time.Second})
		for range 20 { // bad documents are no outage
			if o := g.Deliver(t.Context(), Intent{}); o.Code != "BAD" {
				t.Fatal(o)
			}
		}
		for range 5 { // nor are outages that are not in a row
			for range 2 {
				answer = Outcome{Class: Unknown, Outage: true}
				g.Deliver(t.Context(), Intent{})
			}
			answer = Outcome{Class: Rejected, Code: "BAD"}
			if o := g.Deliver(t.Context(), Intent{}); o.Code != "BAD" {
				t.Fatal(o)
			}
		}
		answer = Outcome{Class: Unknown, Outage: true}
		for range 3 {
			g.Deliver(t.Context(), Intent{})
		}
		calls := s.calls
		time.Sleep(4 * time.Second)
		o := g.Deliver(t.Context(), Intent{})
		if o.Class != RetryLater || o.Code != CodeBreakerOpen || !o.Outage || o.Wait != 6*time.Second || s.calls != calls {
			t.Errorf("open: %+v, %d calls", o, s.calls-calls)
		}
		if w := g.Available(); w != 6*time.Second {
			t.Errorf("available in %s", w)
		}
		time.Sleep(7 * time.Second)
		g.Deliver(t.Context(), Intent{}) // half open: one call, which fails
		if o := g.Deliver(t.Context(), Intent{}); o.Code != CodeBreakerOpen || s.calls != calls+1 {
			t.Errorf("after a failed trial: %+v, %d calls", o, s.calls-calls)
		}
		time.Sleep(11 * time.Second)
		answer = Outcome{Class: Applied}
		for range 2 {
			if o := g.Deliver(t.Context(), Intent{}); o.Class != Applied {
				t.Errorf("closed again: %+v", o)
			}
		}
	})
}

// A wish to be left alone holds for all lanes (Retry-After).
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: func(context.Context, Intent) Outcome {
			return Outcome{Class: RetryLater, Code: "RATE", Wait: time.Minute}
		}}
		g := govern(s, Policy{})
		g.Lane("master").Deliver(t.Context(), Intent{})
		for range 59 {
			time.Sleep(time.Second)
			if o := g.Lane("transactional").Deliver(t.Context(), Intent{}); o.Code != CodeQuiet || o.Wait <= 0 {
				t.Fatalf("%+v", o)
			}
		}
		if s.calls != 1 {
			t.Errorf("%d calls within the minute, want 1", s.calls)
		}
		time.Sleep(2 * time.Second)
		if o := g.Deliver(t.Context(), Intent{}); o.Code != "RATE" {
			t.Errorf("after the minute: %+v", o)
		}
	})
}

func TestPrepareUnderPolicy(t *testing.T) {
	g := govern(&target{}, Policy{})
	in, out := g.Lane("master").Prepare(t.Context(), Operation{ID: "d1"}, "upsert", nil, time.Now())
	if out != nil || in.ID != "d1" || in.Step != "upsert" {
		t.Errorf("%+v, %+v", in, out)
	}
	if _, out := g.Prepare(t.Context(), Operation{}, "upsert", nil, time.Now()); out == nil || out.Code != "NO_ID" {
		t.Errorf("%+v", out)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := &target{deliver: func(context.Context, Intent) Outcome { return Outcome{Class: Conflict} }}
	g := Govern(s, Policy{}, prometheus.WrapRegistererWith(prometheus.Labels{"sink": "erp"}, reg), slog.New(slog.DiscardHandler))
	g.Deliver(t.Context(), Intent{})
	g.Verify(t.Context(), Intent{})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if want := []string{"waybill_sink_breaker_state", "waybill_sink_in_flight", "waybill_sink_request_seconds", "waybill_sink_requests_total"}; !slices.Equal(names, want) {
		t.Errorf("metrics %v, want %v", names, want)
	}
	if n := testutil.ToFloat64(g.metrics.requests.WithLabelValues("deliver", "conflict")); n != 1 {
		t.Errorf("%g conflicts counted", n)
	}
}

func TestAskReportsWhatWasNotAsked(t *testing.T) {
	g := govern(&target{}, Policy{Concurrency: 1})
	release, err := g.seats.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Identity(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("identity without a slot: %v", err)
	}
	release()
	if id, err := g.Identity(t.Context()); err != nil || id != "t" {
		t.Errorf("identity %q, %v", id, err)
	}
}
