package sinks

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Policy is how gently a target is treated and how long an operation is tried. Without account, the limits are the sink's own; with one, they
// are those of the account, which others share. Either way the budget is one for all lanes, split between them by weight, so that none can
// use it up (Invariant 5).
type Policy struct {
	Account     string         `yaml:"account"`     // of accounts, whose limits count instead of those here; default: one of its own
	Weight      int            `yaml:"weight"`      // of this sink among those of its account; default 1
	Rate        float64        `yaml:"rate"`        // calls a second, all lanes together; 0: no bound
	Burst       int            `yaml:"burst"`       // calls that may come at once; default 1
	Concurrency int            `yaml:"concurrency"` // calls at the same time, all lanes together; default 4
	Reserve     int            `yaml:"reserve"`     // as of an account
	PerMinute   int            `yaml:"per_minute"`  // as of an account
	PerDay      int            `yaml:"per_day"`     // as of an account
	DayZone     string         `yaml:"day_zone"`    // as of an account
	Adapt       Adapt          `yaml:"adapt"`       // as of an account
	Lanes       map[string]int `yaml:"lanes"`       // weight of each lane; default master 1, transactional 3
	Timeout     time.Duration  `yaml:"timeout"`     // of one call; default 60s. The adapter's own should be shorter

	MaxAttempts int           `yaml:"max_attempts"` // then an exception; default 50. Outages do not count
	MaxAge      time.Duration `yaml:"max_age"`      // since the first attempt, then an exception; default 72h
	BackoffBase time.Duration `yaml:"backoff_base"` // default 500ms, doubled each attempt, with full jitter
	BackoffCap  time.Duration `yaml:"backoff_cap"`  // default 60s
	RetryShare  float64       `yaml:"retry_share"`  // retries, as a share of the first attempts; beside outages, and one in 10s is always let through. Default 0.1

	BreakerFailures int           `yaml:"breaker_failures"` // outages in a row that stop all calls; default 5
	BreakerCooldown time.Duration `yaml:"breaker_cooldown"` // until one call tries again; default 15s

	// Hours in which nothing is written to the target; what is unknown is verified, and lookups are asked. See below.
	Blackout []Blackout `yaml:"blackout"`
	// Nothing is written: operations are prepared, and status shows them. Default false.
	DryRun bool `yaml:"dry_run"`
}

// Limits are those of a sink that has an account of its own.
func (p Policy) Limits() Limits {
	return Limits{Rate: p.Rate, Burst: p.Burst, Concurrency: p.Concurrency, Reserve: p.Reserve, PerMinute: p.PerMinute, PerDay: p.PerDay,
		DayZone: p.DayZone, Adapt: p.Adapt}
}

// WithDefaults fills what is not set.
func (p Policy) WithDefaults() Policy {
	l := p.Limits().WithDefaults()
	p.Burst, p.Concurrency, p.DayZone, p.Adapt = l.Burst, l.Concurrency, l.DayZone, l.Adapt
	fill(&p.Weight, 1)
	fill(&p.Timeout, time.Minute)
	fill(&p.MaxAttempts, 50)
	fill(&p.MaxAge, 72*time.Hour)
	fill(&p.BackoffBase, 500*time.Millisecond)
	fill(&p.BackoffCap, time.Minute)
	fill(&p.RetryShare, 0.1)
	fill(&p.BreakerFailures, 5)
	fill(&p.BreakerCooldown, 15*time.Second)
	if p.Lanes == nil {
		p.Lanes = map[string]int{"master": 1, "transactional": 3}
	}
	return p
}

// Validate reports all faults at once, one a line, each beginning with the field's name. Zero means the default.
func (p Policy) Validate() error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("%s: found %v, expected %s", field, found, want))
	}
	if p.Account != "" && p.Limits() != (Limits{}) {
		bad("account", p.Account+" beside limits of its own", "either: rate, burst, concurrency, reserve, per_minute, per_day, day_zone and adapt are the account's")
	}
	errs = append(errs, p.Limits().Validate())
	for _, f := range []struct {
		name        string
		value, most int
	}{{"weight", p.Weight, 100}, {"max_attempts", p.MaxAttempts, 1_000_000}, {"breaker_failures", p.BreakerFailures, 10_000}} {
		if f.value < 0 || f.value > f.most {
			bad(f.name, f.value, fmt.Sprintf("1 to %d, or 0 for the default", f.most))
		}
	}
	for _, f := range []struct {
		name        string
		value, most time.Duration
	}{{"timeout", p.Timeout, time.Hour}, {"max_age", p.MaxAge, 90 * 24 * time.Hour}, {"backoff_base", p.BackoffBase, time.Hour},
		{"backoff_cap", p.BackoffCap, 24 * time.Hour}, {"breaker_cooldown", p.BreakerCooldown, time.Hour}} {
		if f.value < 0 || f.value > f.most {
			bad(f.name, f.value, fmt.Sprintf("a duration up to %s, or 0 for the default", f.most))
		}
	}
	if p.RetryShare < 0 || p.RetryShare > 1 || math.IsNaN(p.RetryShare) {
		bad("retry_share", p.RetryShare, "a share up to 1, or 0 for the default")
	}
	if d := p.WithDefaults(); d.BackoffBase > d.BackoffCap {
		bad("backoff_base", d.BackoffBase, fmt.Sprintf("no more than backoff_cap (%s)", d.BackoffCap))
	}
	for _, lane := range slices.Sorted(maps.Keys(p.Lanes)) {
		if w := p.Lanes[lane]; w < 1 || w > 100 {
			bad("lanes."+lane, w, "a weight from 1 to 100")
		}
	}
	return errors.Join(append(errs, validBlackouts(p.Blackout))...)
}

// Backoff is how long to wait before an attempt is repeated: somewhere between nothing and base doubled with each attempt
// (from 1), at most limit. rnd gives a number in [0,1); the full width of it keeps many waiters from coming back at once.
func Backoff(attempt int, base, limit time.Duration, rnd func() float64) time.Duration {
	width := limit
	if n := attempt - 1; n < 62 && base < limit>>max(n, 0) {
		width = base << max(n, 0)
	}
	return time.Duration(rnd() * float64(width))
}
