package sinks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Account is what several sinks and services share of a target: the calls at the same time, the rate, the calls of a minute and of a day, and the
// target's wish to be left alone. It is safe for several goroutines.
type Account struct {
	name    string
	slots   *slots
	rate    *rate.Limiter
	budget  *budget
	metrics *accountMetrics
	log     *slog.Logger

	mu      sync.Mutex
	limits  Limits
	adapt   *aimd
	running int       // calls at the target
	quiet   time.Time // no calls before, by the target's wish
}

// The codes of calls that an account did not let through, beside those of a sink.
const (
	CodeQuiet   = "QUIET"    // the target asked to wait
	CodeBudget  = "BUDGET"   // the calls of the minute or of the day are used up
	CodeNotSent = "NOT_SENT" // the caller's time was over before a slot was free
)

// The codes of outcomes that govern what follows; adapters give them.
const (
	CodeRate   = "RATE"   // throttled: one call too many
	CodeLocked = "LOCKED" // this record is held by other work: its Wait is of the record alone
)

const (
	maxQuiet   = 24 * time.Hour  // bounds what a target may ask for
	mostJitter = time.Second     // after what it asked for, so that many programs do not come back at once
	shortWait  = 2 * time.Second // a call waits so long for the budget in its place
)

// NewAccount makes an account with limits, which must be valid, and recalls what is used up of its budgets. memory may be nil: then nothing is
// kept over a restart. reg may be nil; it adds the account's name as the label account.
func NewAccount(name string, l Limits, memory Memory, reg prometheus.Registerer, log *slog.Logger) (*Account, error) {
	l = l.WithDefaults()
	b, err := newBudget(name, l, memory, time.Now())
	if err != nil {
		return nil, err
	}
	a := &Account{name: name, limits: l, adapt: newAIMD(l), budget: b, log: log, rate: rate.NewLimiter(limitOf(l.Rate), l.Burst)}
	a.slots = newSlots(a.adapt.limit)
	a.metrics = newAccountMetrics(reg, a)
	return a, nil
}

// ownAccount is that of a sink which shares nothing and keeps nothing over a restart.
func ownAccount(l Limits, log *slog.Logger) *Account {
	a, err := NewAccount("", l, nil, nil, log)
	if err != nil {
		panic(err) // without a memory nothing is recalled
	}
	return a
}

func limitOf(calls float64) rate.Limit {
	if calls == 0 {
		return rate.Inf
	}
	return rate.Limit(calls)
}

// Set takes new limits, which must be valid. What is used, and what was learned of the target, stays.
func (a *Account) Set(l Limits) {
	l = l.WithDefaults()
	a.rate.SetLimit(limitOf(l.Rate))
	a.rate.SetBurst(l.Burst)
	a.budget.set(l, time.Now())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.adapt.limit == a.limits.ceiling() { // nothing held it down
		a.adapt.limit, a.adapt.goal = l.ceiling(), l.ceiling()
	}
	a.limits = l
	a.adapt.set(l)
	a.slots.resize(a.adapt.limit)
}

// Limits are those that hold now, with their defaults.
func (a *Account) Limits() Limits {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.limits
}

// Ceiling is how many calls may run at the same time at most.
func (a *Account) Ceiling() int { return a.Limits().ceiling() }

// Close writes down what was used of the budgets. Calls may still come; they are counted.
func (a *Account) Close() error { return a.budget.close(time.Now()) }

// AccountStand is how an account stands, for people.
type AccountStand struct {
	Name       string     `json:"name"`
	Limit      int        `json:"limit"`   // calls at the same time now
	Ceiling    int        `json:"ceiling"` // at most
	LeftMinute int        `json:"left_minute"`
	LeftDay    int        `json:"left_day"` // -1: no bound
	Quiet      *time.Time `json:"quiet,omitempty"`
}

// Stand says how the account stands.
func (a *Account) Stand() AccountStand {
	now := time.Now()
	st := AccountStand{Name: a.name}
	st.LeftMinute, st.LeftDay = a.budget.left(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	st.Limit, st.Ceiling = a.adapt.limit, a.limits.ceiling()
	if a.quiet.After(now) {
		quiet := a.quiet.UTC()
		st.Quiet = &quiet
	}
	return st
}

// resting is how long the target wants to be left alone.
func (a *Account) resting() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(0, time.Until(a.quiet))
}

// shut is how long no call can be made, and why; 0 when one can.
func (a *Account) shut() (code string, wait time.Duration, why string) {
	if wait := a.resting(); wait > 0 {
		return CodeQuiet, wait, "The target asked to be left alone for a while."
	}
	if wait, why := a.budget.shut(time.Now()); wait > 0 {
		return CodeBudget, wait, why
	}
	return "", 0, ""
}

// admit waits for the rate and takes a call of the budget; the outcome is not nil when no call may be made.
func (a *Account) admit(ctx context.Context) *Outcome {
	if err := a.rate.Wait(ctx); err != nil {
		o := notSent(err)
		return &o
	}
	for {
		wait, why := a.budget.take(time.Now())
		if wait == 0 {
			return nil
		}
		if wait > shortWait {
			return &Outcome{Class: RetryLater, Code: CodeBudget, Wait: wait, Message: why}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			o := notSent(ctx.Err())
			return &o
		}
	}
}

// begin counts a call that goes to the target now, and says how many are there with it; end is that it is over.
func (a *Account) begin() (rank int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	return a.running
}

func (a *Account) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
}

// learn takes in the outcome of a call: of rank among those that ran when it began, and of the time that it took. room says whether an answer of
// its kind tells that the target has room.
func (a *Account) learn(o Outcome, rank int, took time.Duration, room bool) {
	v := tellsNothing
	switch {
	case o.Code == CodeRate && o.Class == RetryLater:
		v = tellsFull
		a.metrics.throttled.Inc()
	case o.Outage:
		v = tellsDown
	case room && o.Class != Setup: // a refused login may not have been tried at all
		v = tellsRoom
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.adapt.limit
	a.adapt.done(now, rank, took, v, a.slots.scarce)
	if a.adapt.limit != was {
		a.slots.resize(a.adapt.limit)
		a.log.Debug("the account's limit moved", "from", was, "to", a.adapt.limit)
	}
	if o.Wait > 0 && o.Code != CodeLocked && (o.Class == RetryLater || o.Class == Unknown) {
		jitter := time.Duration(rand.Float64() * float64(min(o.Wait/10, mostJitter)))
		if until := now.Add(min(o.Wait, maxQuiet) + jitter); until.After(a.quiet) {
			a.quiet = until
		}
	}
}

func notSent(err error) Outcome {
	return Outcome{Class: RetryLater, Code: CodeNotSent, Message: "No slot was free in time: " + err.Error()}
}
