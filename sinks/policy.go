package sinks

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Policy is how gently a target is treated and how long an operation is tried. The target's budget is one for all lanes;
// it is split between them by weight, so that none can use it up (Invariant 5).
type Policy struct {
	Rate        float64        `yaml:"rate"`        // calls a second, all lanes together; 0: no bound
	Burst       int            `yaml:"burst"`       // calls that may come at once; default 1
	Concurrency int            `yaml:"concurrency"` // calls at the same time, all lanes together; default 4
	Lanes       map[string]int `yaml:"lanes"`       // weight of each lane; default master 1, transactional 3
	Timeout     time.Duration  `yaml:"timeout"`     // of one call; default 60s. The adapter's own should be shorter

	MaxAttempts int           `yaml:"max_attempts"` // then an exception; default 50. Outages do not count
	MaxAge      time.Duration `yaml:"max_age"`      // since the first attempt, then an exception; default 72h
	BackoffBase time.Duration `yaml:"backoff_base"` // default 500ms, doubled each attempt, with full jitter
	BackoffCap  time.Duration `yaml:"backoff_cap"`  // default 60s

	BreakerFailures int           `yaml:"breaker_failures"` // outages in a row that stop all calls; default 5
	BreakerCooldown time.Duration `yaml:"breaker_cooldown"` // until one call tries again; default 15s
}

// WithDefaults fills what is not set.
func (p Policy) WithDefaults() Policy {
	ints := []struct {
		at    *int
		value int
	}{{&p.Burst, 1}, {&p.Concurrency, 4}, {&p.MaxAttempts, 50}, {&p.BreakerFailures, 5}}
	for _, d := range ints {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	times := []struct {
		at    *time.Duration
		value time.Duration
	}{{&p.Timeout, time.Minute}, {&p.MaxAge, 72 * time.Hour}, {&p.BackoffBase, 500 * time.Millisecond},
		{&p.BackoffCap, time.Minute}, {&p.BreakerCooldown, 15 * time.Second}}
	for _, d := range times {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
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
	if p.Rate < 0 || math.IsNaN(p.Rate) || p.Rate > 1e6 {
		bad("rate", p.Rate, "calls a second, 0 (no bound) to 1000000")
	}
	for _, f := range []struct {
		name        string
		value, most int
	}{{"burst", p.Burst, 10_000}, {"concurrency", p.Concurrency, 1000}, {"max_attempts", p.MaxAttempts, 1_000_000},
		{"breaker_failures", p.BreakerFailures, 10_000}} {
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
	if d := p.WithDefaults(); d.BackoffBase > d.BackoffCap {
		bad("backoff_base", d.BackoffBase, fmt.Sprintf("no more than backoff_cap (%s)", d.BackoffCap))
	}
	for _, lane := range slices.Sorted(maps.Keys(p.Lanes)) {
		if w := p.Lanes[lane]; w < 1 || w > 100 {
			bad("lanes."+lane, w, "a weight from 1 to 100")
		}
	}
	return errors.Join(errs...)
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
