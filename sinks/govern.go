package sinks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"waybill/cdc"
)

// Governed is a Sink under a Policy: each call waits for a slot of its lane and for the rate, and has a deadline; a run of
// outages stops all calls for a while; so does a target that asks to be left alone (Retry-After). It sends nothing
// twice, and it decides nothing about retries: lanes do.
type Governed struct {
	sink    Sink
	policy  Policy
	slots   *slots
	rate    *rate.Limiter
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	metrics *metrics
	log     *slog.Logger

	mu     sync.Mutex
	opened time.Time // when the breaker opened last
	quiet  time.Time // no calls before, by the target's wish
}

var (
	_ Sink   = (*Governed)(nil)
	_ Binder = (*Governed)(nil)
	_ Sink   = (*laneView)(nil)
	_ Binder = (*laneView)(nil)
)

// The codes of calls that were not made.
const (
	CodeBreakerOpen = "BREAKER_OPEN" // the target has been down a moment ago
	CodeQuiet       = "QUIET"        // the target asked to wait
	CodeNotSent     = "NOT_SENT"     // the caller's time was over before a slot was free
)

// maxQuiet bounds what a target may ask for.
const maxQuiet = time.Hour

var (
	errOutage  = errors.New("outage")
	errNeutral = errors.New("says nothing about the target")
)

// Govern puts s under a policy, which must be valid. reg may be nil; give one that names the sink
// (prometheus.WrapRegistererWith), for one sink's metrics carry no name of their own.
func Govern(s Sink, p Policy, reg prometheus.Registerer, log *slog.Logger) *Governed {
	p = p.WithDefaults()
	g := &Governed{sink: s, policy: p, slots: newSlots(p.Concurrency, p.Lanes), metrics: newMetrics(reg), log: log}
	limit := rate.Limit(p.Rate)
	if p.Rate == 0 {
		limit = rate.Inf
	}
	g.rate = rate.NewLimiter(limit, p.Burst)
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     p.BreakerCooldown,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= p.BreakerFailures },
		// Only outages count: a bad document says nothing about the target's health, except that it answers.
		IsSuccessful:  func(err error) bool { return !errors.Is(err, errOutage) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, from, to gobreaker.State) { g.breakerMoved(from, to) },
	})
	return g
}

func (g *Governed) breakerMoved(from, to gobreaker.State) {
	g.metrics.breaker.Set(float64(to))
	if to == gobreaker.StateOpen {
		g.mu.Lock()
		g.opened = time.Now()
		g.mu.Unlock()
	}
	g.log.Warn("breaker of the sink moved", "from", from.String(), "to", to.String(), "cooldown", g.policy.BreakerCooldown)
}

// Policy is the policy with its defaults filled in; lanes read their ceilings from it.
func (g *Governed) Policy() Policy { return g.policy }

// Available is how long until a call would be made: zero now, more while the breaker is open or the target wants quiet.
func (g *Governed) Available() time.Duration {
	_, wait := g.closed()
	return wait
}

func (g *Governed) closed() (code string, wait time.Duration) {
	open := g.breaker.State() == gobreaker.StateOpen
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := time.Until(g.quiet); wait > 0 {
		return CodeQuiet, wait
	}
	if open {
		return CodeBreakerOpen, max(g.policy.BreakerCooldown-time.Since(g.opened), time.Millisecond)
	}
	return "", 0
}

// Lane is the sink as one lane may use it: within the lane's share of the budget.
func (g *Governed) Lane(name string) Sink { return &laneView{g, name} }

// do makes one call under the policy and says what became of it; a call that is not made is RetryLater.
func (g *Governed) do(ctx context.Context, lane, call string, f func(context.Context) Outcome) Outcome {
	release, err := g.slots.acquire(ctx, lane)
	if err != nil {
		return notSent(err)
	}
	defer release()
	if code, wait := g.closed(); code != "" {
		return Outcome{Class: RetryLater, Code: code, Outage: code == CodeBreakerOpen, Wait: wait, Message: "The target is left alone for a while."}
	}
	if err := g.rate.Wait(ctx); err != nil {
		return notSent(err)
	}
	done, err := g.breaker.Allow()
	if err != nil { // open, or half open and somebody else is trying
		return Outcome{Class: RetryLater, Code: CodeBreakerOpen, Outage: true, Wait: max(g.Available(), 100*time.Millisecond), Message: "The target was down a moment ago."}
	}
	verdict := errNeutral // also when f panics
	defer func() { done(verdict) }()
	g.metrics.inFlight.WithLabelValues(lane).Inc()
	defer g.metrics.inFlight.WithLabelValues(lane).Dec()
	ctx, cancel := context.WithTimeout(ctx, g.policy.Timeout)
	defer cancel()
	start := time.Now()
	o := f(ctx)
	took := time.Since(start)
	g.metrics.requests.WithLabelValues(call, string(o.Class)).Inc()
	g.metrics.seconds.WithLabelValues(call).Observe(took.Seconds())
	if o.Took == 0 {
		o.Took = took
	}
	switch {
	case o.Outage:
		verdict = errOutage
	case o.Class != Setup: // a refused login may not have been tried at all
		verdict = nil
	}
	if o.Class == RetryLater && o.Wait > 0 {
		g.mu.Lock()
		g.quiet = time.Now().Add(min(o.Wait, maxQuiet))
		g.mu.Unlock()
	}
	return o
}

func notSent(err error) Outcome {
	return Outcome{Class: RetryLater, Code: CodeNotSent, Message: "No slot was free in time: " + err.Error()}
}

// ask makes a call that ends in an error instead of an outcome.
func (g *Governed) ask(ctx context.Context, lane, call string, f func(context.Context) error) error {
	var err error
	sent := false
	o := g.do(ctx, lane, call, func(ctx context.Context) Outcome {
		sent = true
		if err = f(ctx); err != nil {
			return Outcome{Class: Setup}
		}
		return Outcome{Class: Applied}
	})
	if !sent {
		return errors.New(o.Code + ": " + o.Message)
	}
	return err
}

// The Sink's methods, outside of any lane.

// Entity implements Sink.
func (g *Governed) Entity(name string) (Entity, error) { return g.sink.Entity(name) }

// Prepare implements Sink.
func (g *Governed) Prepare(ctx context.Context, op Operation, step string, prior map[string]Outcome, now time.Time) (Intent, *Outcome) {
	return (&laneView{g, ""}).Prepare(ctx, op, step, prior, now)
}

// Deliver implements Sink.
func (g *Governed) Deliver(ctx context.Context, in Intent) Outcome {
	return (&laneView{g, ""}).Deliver(ctx, in)
}

// Verify implements Sink.
func (g *Governed) Verify(ctx context.Context, in Intent) Outcome {
	return (&laneView{g, ""}).Verify(ctx, in)
}

// Check implements Sink. It is not held back by the breaker: it is how people find out what is wrong.
func (g *Governed) Check(ctx context.Context) ([]cdc.Finding, error) { return g.sink.Check(ctx) }

// Identity implements Sink.
func (g *Governed) Identity(ctx context.Context) (id string, err error) {
	err = g.ask(ctx, "", "identity", func(ctx context.Context) error {
		id, err = g.sink.Identity(ctx)
		return err
	})
	return id, err
}

// Bound implements Binder; a target that holds no mark has none.
func (g *Governed) Bound(ctx context.Context) (b *Binding, err error) {
	binder, ok := g.sink.(Binder)
	if !ok {
		return nil, nil
	}
	err = g.ask(ctx, "", "bound", func(ctx context.Context) error {
		b, err = binder.Bound(ctx)
		return err
	})
	return b, err
}

// Bind implements Binder; a target that holds no mark is left without.
func (g *Governed) Bind(ctx context.Context, b Binding) error {
	binder, ok := g.sink.(Binder)
	if !ok {
		return nil
	}
	return g.ask(ctx, "", "bind", func(ctx context.Context) error { return binder.Bind(ctx, b) })
}

// Close implements Sink.
func (g *Governed) Close() error { return g.sink.Close() }

// laneView is a governed sink as one lane sees it.
type laneView struct {
	*Governed
	lane string
}

func (v *laneView) Prepare(ctx context.Context, op Operation, step string, prior map[string]Outcome, now time.Time) (in Intent, out *Outcome) {
	o := v.do(ctx, v.lane, "prepare", func(ctx context.Context) Outcome {
		in, out = v.sink.Prepare(ctx, op, step, prior, now)
		if out == nil {
			return Outcome{Class: Applied}
		}
		return *out
	})
	if o.Class != Applied {
		return in, &o
	}
	return in, nil
}

func (v *laneView) Deliver(ctx context.Context, in Intent) Outcome {
	return v.do(ctx, v.lane, "deliver", func(ctx context.Context) Outcome { return v.sink.Deliver(ctx, in) })
}

func (v *laneView) Verify(ctx context.Context, in Intent) Outcome {
	return v.do(ctx, v.lane, "verify", func(ctx context.Context) Outcome { return v.sink.Verify(ctx, in) })
}
