package sinks

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPolicyValidate(t *testing.T) {
	if err := (Policy{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if err := (Policy{}).WithDefaults().Validate(); err != nil {
		t.Errorf("the defaults, filled in: %v", err)
	}
	for _, c := range []struct{ yaml, want string }{
		{"rate: -1", "rate: found -1, expected calls a second"},
		{"burst: -1", "burst: found -1, expected 1 to 10000"},
		{"concurrency: 5000", "concurrency: found 5000, expected 1 to 1000"},
		{"timeout: 2h", "timeout: found 2h0m0s, expected a duration up to 1h"},
		{"max_attempts: -3", "max_attempts: found -3"},
		{"max_age: -1s", "max_age: found -1s"},
		{"backoff_base: 2m", "backoff_base: found 2m0s, expected no more than backoff_cap (1m0s)"},
		{"breaker_cooldown: 2h", "breaker_cooldown: found 2h0m0s"},
		{"lanes: {master: 0}", "lanes.master: found 0, expected a weight from 1 to 100"},
		{"reserve: 4", "reserve: found 4, expected less than concurrency (4)"},
		{"per_day: -1", "per_day: found -1, expected calls, 0 (no bound)"},
		{"day_zone: Local", `day_zone: found "Local", expected a time zone`},
		{"{concurrency: 8, reserve: 2, adapt: {start: 7}}", "adapt.start: found 7, expected 1 to 6"},
		{"adapt: {start: 1, floor: 2}", "adapt.start: found 1, expected no less than floor (2)"},
		{"adapt: {cooldown: 2h}", "adapt.cooldown: found 2h0m0s"},
		{"{account: a, rate: 3}", "account: found a beside limits of its own"},
		{"retry_share: 2", "retry_share: found 2"},
		{"blackout: [{from: '25:00', to: '06:00', zone: UTC}]", `blackout[0].from: found "25:00", expected a time such as 22:00`},
		{"blackout: [{from: '22:00', to: '6:00', zone: UTC}]", `blackout[0].to: found "6:00"`},
		{"blackout: [{from: '22:00', to: '06:00'}]", `blackout[0].zone: found "", expected a time zone`},
		{"blackout: [{from: '22:00', to: '24:00', zone: UTC, days: [monday]}]", `blackout[0].days: found "monday", expected mon, tue`},
		{"blackout: [{from: '22:00', to: '24:00', zone: UTC, days: [mon], dates: [2026-12-31]}]", "blackout[0].dates: found \"2026-12-31\", expected either days or dates"},
	} {
		var p Policy
		if err := yaml.Unmarshal([]byte(c.yaml), &p); err != nil {
			t.Fatal(err)
		}
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.yaml, err, c.want)
		}
	}
	all := Policy{Rate: -1, Burst: -1, Timeout: -1}.Validate()
	if n := strings.Count(all.Error(), "\n"); n != 2 {
		t.Errorf("three faults make %d lines: %v", n+1, all)
	}
}

func TestBackoff(t *testing.T) {
	most := func() float64 { return 1 }
	for _, c := range []struct {
		attempt int
		want    time.Duration
	}{{0, time.Second}, {1, time.Second}, {2, 2 * time.Second}, {4, 8 * time.Second}, {7, time.Minute}, {63, time.Minute}, {64, time.Minute}, {1 << 40, time.Minute}} {
		if got := Backoff(c.attempt, time.Second, time.Minute, most); got != c.want {
			t.Errorf("attempt %d: at most %s, want %s", c.attempt, got, c.want)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := Backoff(3, time.Second, time.Minute, rnd.Float64)
		low, high = min(low, d), max(high, d)
	}
	if low > 100*time.Millisecond || high < 3900*time.Millisecond || high >= 4*time.Second {
		t.Errorf("a thousand waits lie between %s and %s: not the full width", low, high)
	}
}
