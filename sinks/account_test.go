package sinks

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func account(t *testing.T, l Limits, m Memory) *Account {
	t.Helper()
	a, err := NewAccount("netsuite-prod", l, m, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Account) of(s Sink, p Policy) *Governed {
	return a.Govern(s, p, nil, slog.New(slog.DiscardHandler))
}

// Two sinks and a service share the calls of one account; the reserve of the people is never touched.
func TestAccountIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(time.Second)} // all of them count in one target
		a := account(t, Limits{Concurrency: 10, Reserve: 4}, nil)
		sinks := []*Governed{a.of(s, Policy{}), a.of(s, Policy{Weight: 2}), a.of(s, Policy{})}
		var wg sync.WaitGroup
		for i := range 90 {
			wg.Go(func() {
				if o := sinks[i%3].Lane([]string{"master", "transactional", ""}[i/3%3]).Deliver(t.Context(), Intent{}); o.Class != Applied {
					t.Errorf("%+v", o)
				}
			})
		}
		wg.Wait()
		if s.most != 6 || s.calls != 90 {
			t.Errorf("at most %d of %d calls at once, want 6 of 90", s.most, s.calls)
		}
	})
}

// Of those who wait, a sink of twice the weight has twice the turns.
func TestAccountGoesByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		one, two := s.join(1, map[string]int{"master": 1, "transactional": 3}), s.join(2, map[string]int{"master": 1})
		hold, err := one.acquire(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		turns := map[*seats]int{}
		for range 12 {
			for _, each := range []struct {
				m    *seats
				lane string
			}{{one, "master"}, {one, "transactional"}, {two, "master"}} {
				go func() {
					release, err := each.m.acquire(t.Context(), each.lane)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if len(turns) == 0 || turns[one]+turns[two] < 12 {
						turns[each.m]++
					}
					mu.Unlock()
					release()
				}()
			}
		}
		synctest.Wait()
		hold()
		synctest.Wait()
		if turns[one] < 3 || turns[one] > 5 {
			t.Errorf("of the first twelve turns the light sink had %d and the heavy one %d, want 4 and 8", turns[one], turns[two])
		}
	})
}

// One sink of the account hangs with all its calls; the other still has a slot.
func TestAccountHangsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		dead := &target{deliver: func(context.Context, Intent) Outcome { <-hang; return Outcome{Class: Applied} }}
		a := account(t, Limits{Concurrency: 3}, nil)
		first, second := a.of(dead, Policy{Timeout: time.Hour}), a.of(&target{deliver: takes(0)}, Policy{})
		for range 9 {
			go first.Deliver(t.Context(), Intent{})
		}
		synctest.Wait()
		if dead.running != 2 {
			t.Errorf("%d calls hang, want 2 of 3", dead.running)
		}
		start := time.Now()
		if o := second.Deliver(t.Context(), Intent{}); o.Class != Applied || time.Since(start) > 0 {
			t.Errorf("after %s: %+v", time.Since(start), o)
		}
		close(hang)
		synctest.Wait()
	})
}

// A 60 s Retry-After gives no call before its end, on any lane, sink or lookup of the account, and those who wait come after it.
func TestQuietIsTheAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked time.Time
		var early, late int
		answer := func(ctx context.Context, _ Intent) Outcome {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case asked.IsZero():
				asked = time.Now()
				return Outcome{Class: RetryLater, Code: CodeRate, Wait: time.Minute}
			case time.Since(asked) < time.Minute:
				early++
			default:
				late++
			}
			return Outcome{Class: Applied}
		}
		a := account(t, Limits{Concurrency: 8}, nil)
		one, two := a.of(&target{deliver: answer}, Policy{}), a.of(&target{deliver: answer}, Policy{Account: "netsuite-prod"})
		one.Deliver(t.Context(), Intent{})
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for _, g := range []*Governed{one, two} {
			for _, lane := range []string{"master", "transactional", "lookup", ""} {
				wg.Go(func() {
					for ctx.Err() == nil { // harder than any lane would
						g.Lane(lane).Deliver(ctx, Intent{})
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
		}
		wg.Wait()
		if early != 0 || late < 1000 {
			t.Errorf("%d calls within the minute, want 0; %d after it", early, late)
		}
		if until, why := two.Shut("customer"); !until.IsZero() {
			t.Errorf("shut until %s: %s", until, why)
		}
	})
}

// A wait that is said of one locked record quiets nobody else.
func TestLockedRecordIsNoQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := govern(&target{deliver: func(context.Context, Intent) Outcome {
			return Outcome{Class: RetryLater, Code: CodeLocked, Wait: time.Minute}
		}}, Policy{})
		for range 2 {
			if o := g.Deliver(t.Context(), Intent{}); o.Code != CodeLocked {
				t.Errorf("%+v", o)
			}
		}
	})
}

// Limits are changed while calls run: what is used stays used, and nobody exceeds the new ones.
func TestAccountIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &target{deliver: takes(time.Second)}
		a := account(t, Limits{Concurrency: 8, PerDay: 1000}, nil)
		g := a.of(s, Policy{})
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() { g.Deliver(t.Context(), Intent{}) })
		}
		time.Sleep(1500 * time.Millisecond)
		a.Set(Limits{Concurrency: 3, PerDay: 2000})
		time.Sleep(time.Second) // those that ran may end
		s.mu.Lock()
		s.most = 0
		s.mu.Unlock()
		wg.Wait()
		if s.most != 3 {
			t.Errorf("at most %d calls at once after the change, want 3", s.most)
		}
		if st := a.Stand(); st.LeftDay != 1940 || st.Limit != 3 || st.LeftMinute != -1 {
			t.Errorf("%+v", st)
		}
		a.Set(Limits{Concurrency: 5})
		if st := a.Stand(); st.Limit != 5 || st.LeftDay != -1 {
			t.Errorf("%+v", st)
		}
	})
}

// The policy of a sink changes between two calls.
func TestPolicyIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := govern(&target{deliver: takes(time.Hour)}, Policy{Timeout: 3 * time.Second, BreakerFailures: 100})
		for _, timeout := range []time.Duration{3 * time.Second, 5 * time.Second} {
			g.Set(Policy{Timeout: timeout, BreakerFailures: 2, BreakerCooldown: time.Minute})
			start := time.Now()
			if o := g.Deliver(t.Context(), Intent{}); o.Class != Unknown || time.Since(start) != timeout {
				t.Errorf("after %s: %+v", time.Since(start), o)
			}
		}
		if o := g.Deliver(t.Context(), Intent{}); o.Code != CodeBreakerOpen || o.Wait != time.Minute {
			t.Errorf("after two outages: %+v", o)
		}
	})
}
