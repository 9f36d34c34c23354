package sinks

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits are how much of a target's account the daemon uses. An account is what the target counts by: a NetSuite account, a service principal of
// Business Central. Several sinks and services may share one; each has its share of it by weight. A call is whatever an adapter does for one
// preparation, sending, verification, question or publication; most are one request, and one that asks the target nothing is counted all the same.
type Limits struct {
	Rate        float64 `yaml:"rate"`        // calls a second, all together; 0: no bound
	Burst       int     `yaml:"burst"`       // calls that may come at once; default 1
	Concurrency int     `yaml:"concurrency"` // calls at the same time, all together; default 4
	Reserve     int     `yaml:"reserve"`     // of concurrency, so many are left to people and other programs, and never used; default 0
	PerMinute   int     `yaml:"per_minute"`  // calls in any 60 seconds; 0: no bound. Kept over restarts
	PerDay      int     `yaml:"per_day"`     // calls a day; 0: no bound. Kept over restarts
	DayZone     string  `yaml:"day_zone"`    // whose midnight begins the day, such as America/Chicago; default UTC
	Adapt       Adapt   `yaml:"adapt"`       // how it finds what the target can take; see below
}

// Adapt is how the number of calls at the same time follows the target: half as many when it throttles (429), is down (503) or, with latency,
// slows down; then up to what it was seen to take, and one more for each round of answers while more is wanted.
type Adapt struct {
	Start    int           `yaml:"start"`    // calls at the same time at first; default all of concurrency but the reserve
	Floor    int           `yaml:"floor"`    // never fewer; default 1
	Cooldown time.Duration `yaml:"cooldown"` // how long it stays at half before it grows; default 2s
	Probe    time.Duration `yaml:"probe"`    // a limit that was found is kept so long, and for 500 calls, before more is tried; default 1m
	Latency  time.Duration `yaml:"latency"`  // slower than at its best by so much (median of a round of answers) counts as throttled; 0: not looked at
}

// The bounds of limits.
const (
	mostBurst       = 10_000
	mostConcurrency = 1000
	mostBudget      = 1_000_000_000
)

// WithDefaults fills what is not set.
func (l Limits) WithDefaults() Limits {
	fill(&l.Burst, 1)
	fill(&l.Concurrency, 4)
	fill(&l.DayZone, "UTC")
	fill(&l.Adapt.Start, l.ceiling())
	fill(&l.Adapt.Floor, 1)
	fill(&l.Adapt.Cooldown, 2*time.Second)
	fill(&l.Adapt.Probe, time.Minute)
	return l
}

func fill[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

// ceiling is how many calls may run at the same time; at least 1.
func (l Limits) ceiling() int { return max(1, l.Concurrency-l.Reserve) }

// Validate reports all faults at once, one a line, each beginning with the field's name. Zero means the default.
func (l Limits) Validate() error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("%s: found %v, expected %s", field, found, want))
	}
	if l.Rate < 0 || math.IsNaN(l.Rate) || l.Rate > 1e6 {
		bad("rate", l.Rate, "calls a second, 0 (no bound) to 1000000")
	}
	for _, f := range []struct {
		name        string
		value, most int
	}{{"burst", l.Burst, mostBurst}, {"concurrency", l.Concurrency, mostConcurrency}} {
		if f.value < 0 || f.value > f.most {
			bad(f.name, f.value, fmt.Sprintf("1 to %d, or 0 for the default", f.most))
		}
	}
	d := l.WithDefaults()
	if l.Reserve < 0 || l.Reserve >= d.Concurrency {
		bad("reserve", l.Reserve, fmt.Sprintf("less than concurrency (%d): at least one call is the daemon's", d.Concurrency))
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"per_minute", l.PerMinute}, {"per_day", l.PerDay}} {
		if f.value < 0 || f.value > mostBudget {
			bad(f.name, f.value, fmt.Sprintf("calls, 0 (no bound) to %d", mostBudget))
		}
	}
	if _, err := time.LoadLocation(d.DayZone); err != nil || d.DayZone == "Local" {
		bad("day_zone", fmt.Sprintf("%q", l.DayZone), "a time zone such as America/Chicago")
	}
	return errors.Join(append(errs, l.Adapt.validate(d.ceiling()))...)
}

func (a Adapt) validate(ceiling int) error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("adapt.%s: found %v, expected %s", field, found, want))
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"start", a.Start}, {"floor", a.Floor}} {
		if f.value < 0 || f.value > ceiling {
			bad(f.name, f.value, fmt.Sprintf("1 to %d (concurrency less reserve), or 0 for the default", ceiling))
		}
	}
	if a.Start > 0 && a.Start < a.Floor {
		bad("start", a.Start, fmt.Sprintf("no less than floor (%d)", a.Floor))
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"cooldown", a.Cooldown}, {"probe", a.Probe}, {"latency", a.Latency}} {
		if f.value < 0 || f.value > time.Hour {
			bad(f.name, f.value, "a duration up to 1h, or 0 for the default")
		}
	}
	return errors.Join(errs...)
}
