package sinks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"waybill/cdc"
)

// Governed is a Sink under a Policy: each call waits for a slot of its lane and for the rate, and has a deadline; a run of
// outages stops all calls for a while; so does a target that asks to be left alone (Retry-After), for all of its account. Writes are kept back
// in a blackout, in a dry run, and where a person paused them. It sends nothing twice, and it decides nothing about retries: lanes do.
type Governed struct {
	sink    Sink
	account *Account
	seats   *seats
	metrics *metrics
	log     *slog.Logger
	retries *retries
	doors

	policy  atomic.Pointer[Policy]
	breaker atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]

	mu     sync.Mutex
	opened time.Time // when the breaker opened last
}

var (
	_ Sink   = (*Governed)(nil)
	_ Binder = (*Governed)(nil)
)

// CodeBreakerOpen is the code of a call that was not made because the target was down a moment ago.
const CodeBreakerOpen = "BREAKER_OPEN"

var (
	errOutage  = errors.New("outage")
	errNeutral = errors.New("says nothing about the target")
)

// Govern puts s under a policy, which must be valid, with an account of its own that keeps nothing over a restart. reg may be nil; give one that
// names the sink (prometheus.WrapRegistererWith), for one sink's metrics carry no name of their own.
func Govern(s Sink, p Policy, reg prometheus.Registerer, log *slog.Logger) *Governed {
	return ownAccount(p.Limits(), log).Govern(s, p, reg, log)
}

// Govern puts s under a policy and into the account, whose limits count instead of the policy's.
func (a *Account) Govern(s Sink, p Policy, reg prometheus.Registerer, log *slog.Logger) *Governed {
	p = p.WithDefaults()
	g := &Governed{sink: s, account: a, seats: a.slots.join(p.Weight, p.Lanes), metrics: newMetrics(reg), log: log, retries: newRetries(time.Now())}
	g.policy.Store(&p)
	g.breaker.Store(g.newBreaker(p.BreakerCooldown))
	return g
}

// Set takes a new policy, which must be valid, from the next call on. The account stays, with its limits. A breaker that is open closes
// when its cool-down changes.
func (g *Governed) Set(p Policy) {
	p = p.WithDefaults()
	was := g.policy.Swap(&p)
	g.seats.weigh(p.Weight, p.Lanes)
	if was.BreakerCooldown != p.BreakerCooldown {
		g.breaker.Store(g.newBreaker(p.BreakerCooldown))
		g.metrics.breaker.Set(float64(gobreaker.StateClosed))
	}
}

func (g *Governed) newBreaker(cooldown time.Duration) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     cooldown,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= g.policy.Load().BreakerFailures },
		// Only outages count: a bad document says nothing about the target's health, except that it answers.
		IsSuccessful:  func(err error) bool { return !errors.Is(err, errOutage) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, from, to gobreaker.State) { g.breakerMoved(from, to) },
	})
}

func (g *Governed) breakerMoved(from, to gobreaker.State) {
	g.metrics.breaker.Set(float64(to))
	if to == gobreaker.StateOpen {
		g.mu.Lock()
		g.opened = time.Now()
		g.mu.Unlock()
	}
	g.log.Warn("breaker of the sink moved", "from", from.String(), "to", to.String(), "cooldown", g.policy.Load().BreakerCooldown)
}

// Policy is the policy with its defaults filled in; lanes read their ceilings from it.
func (g *Governed) Policy() Policy { return *g.policy.Load() }

// Account is the account that its calls are counted in.
func (g *Governed) Account() *Account { return g.account }

// Available is how long until a call would be made: zero now, more while the breaker is open or the target wants quiet.
func (g *Governed) Available() time.Duration {
	_, wait := g.closed()
	return wait
}

func (g *Governed) closed() (code string, wait time.Duration) {
	if wait := g.account.resting(); wait > 0 {
		return CodeQuiet, wait
	}
	if g.breaker.Load().State() == gobreaker.StateOpen {
		g.mu.Lock()
		defer g.mu.Unlock()
		return CodeBreakerOpen, max(g.policy.Load().BreakerCooldown-time.Since(g.opened), time.Millisecond)
	}
	return "", 0
}

// Shut says until when nothing of an entity is taken up to be written, and why: a pause, a blackout, the target's wish, or a budget that is used
// up; zero when nothing keeps it back. A breaker that is open does not: one delivery must find out whether the target is back.
func (g *Governed) Shut(entity string) (until time.Time, why string) {
	now := time.Now()
	code, wait, why := g.doors.shut(g.policy.Load(), entity, now)
	if code == "" {
		code, wait, why = g.account.shut()
	}
	if code == "" {
		return time.Time{}, ""
	}
	return now.Add(wait), why
}

// DryRun says that nothing is written: operations are prepared, for people to see.
func (g *Governed) DryRun() bool { return g.policy.Load().DryRun }

// Again takes a retry out of the budget of retries, or says how long there is none.
func (g *Governed) Again() time.Duration { return g.retries.spend(time.Now()) }

// Lane is the sink as one lane may use it: within the lane's share of the budget.
func (g *Governed) Lane(name string) Sink { return &laneView{g, name} }

// barred says that a door keeps writes of an entity back now; nil when none does.
func (g *Governed) barred(entity string) *Outcome {
	p := g.policy.Load()
	code, wait, why := g.doors.shut(p, entity, time.Now())
	if code == "" && p.DryRun {
		code, wait, why = CodeDryRun, pausedWait, "Nothing is written to the target: dry_run is set."
	}
	if code == "" {
		return nil
	}
	return &Outcome{Class: RetryLater, Code: code, Wait: wait, Message: why}
}

// write makes a call that changes the target, unless a door keeps it back.
func (g *Governed) write(ctx context.Context, lane, call, entity string, f func(context.Context) Outcome) Outcome {
	return g.do(ctx, lane, call, func() *Outcome { return g.barred(entity) }, f)
}

// open is the door of calls that change nothing in the target.
func open() *Outcome { return nil }

// do makes one call under the policy and says what became of it; a call that is not made is RetryLater.
func (g *Governed) do(ctx context.Context, lane, call string, barred func() *Outcome, f func(context.Context) Outcome) Outcome {
	leave := func() *Outcome {
		if o := barred(); o != nil {
			return o
		}
		code, wait := g.closed()
		if code == "" {
			return nil
		}
		return &Outcome{Class: RetryLater, Code: code, Outage: code == CodeBreakerOpen, Wait: wait, Message: "The target is left alone for a while."}
	}
	release, err := g.seats.acquire(ctx, lane)
	if err != nil {
		return notSent(err)
	}
	defer release()
	if o := leave(); o != nil {
		return *o
	}
	if o := g.account.admit(ctx); o != nil {
		return *o
	}
	if o := leave(); o != nil { // it said so while we waited for the rate
		g.account.budget.back()
		return *o
	}
	done, err := g.breaker.Load().Allow()
	if err != nil { // open, or half open and somebody else is trying
		g.account.budget.back()
		return Outcome{Class: RetryLater, Code: CodeBreakerOpen, Outage: true, Wait: max(g.Available(), 100*time.Millisecond), Message: "The target was down a moment ago."}
	}
	verdict := errNeutral // also when f panics
	defer func() { done(verdict) }()
	o := g.call(ctx, lane, call, f)
	switch {
	case o.Outage:
		verdict = errOutage
	case o.Class != Setup: // a refused login may not have been tried at all
		verdict = nil
	}
	return o
}

// call makes a call that was let through, within its deadline, and learns from it.
func (g *Governed) call(ctx context.Context, lane, call string, f func(context.Context) Outcome) Outcome {
	g.metrics.inFlight.WithLabelValues(lane).Inc()
	defer g.metrics.inFlight.WithLabelValues(lane).Dec()
	ctx, cancel := context.WithTimeout(ctx, g.policy.Load().Timeout)
	defer cancel()
	rank := g.account.begin()
	defer g.account.end()
	start := time.Now()
	o := f(ctx)
	took := time.Since(start)
	g.metrics.requests.WithLabelValues(call, string(o.Class)).Inc()
	g.metrics.seconds.WithLabelValues(call).Observe(took.Seconds())
	if o.Took == 0 {
		o.Took = took
	}
	// Preparing may ask the target nothing, and what is looked for is found faster than what is written is done: only the calls that it is
	// there for tell how many of them it takes.
	g.account.learn(o, rank, took, call == "deliver" || call == "publish" || g.sink == nil)
	return o
}

// ask makes a call that ends in an error instead of an outcome.
func (g *Governed) ask(ctx context.Context, call string, barred func() *Outcome, f func(context.Context) error) error {
	var err error
	sent := false
	o := g.do(ctx, "", call, barred, func(ctx context.Context) Outcome {
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
	err = g.ask(ctx, "identity", open, func(ctx context.Context) error {
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
	err = g.ask(ctx, "bound", open, func(ctx context.Context) error {
		b, err = binder.Bound(ctx)
		return err
	})
	return b, err
}

// Bind implements Binder; a target that holds no mark is left without, and so is one to which nothing is written (dry_run).
func (g *Governed) Bind(ctx context.Context, b Binding) error {
	binder, ok := g.sink.(Binder)
	if !ok || g.DryRun() {
		return nil
	}
	return g.ask(ctx, "bind", func() *Outcome { return g.barred("") }, func(ctx context.Context) error { return binder.Bind(ctx, b) })
}

// Close implements Sink.
func (g *Governed) Close() error { return g.sink.Close() }
