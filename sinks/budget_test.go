package sinks

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// folder is a Memory of a test.
type folder struct {
	mu     sync.Mutex
	texts  map[string]string
	writes int
	last   time.Time
	soon   bool // two writings came within a second
	broken error
}

func newFolder() *folder { return &folder{texts: map[string]string{}} }

func (f *folder) Remember(name, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	f.soon = f.soon || time.Since(f.last) < writeEvery
	f.texts[name], f.last = text, time.Now()
	f.writes++
	return nil
}

func (f *folder) Recall(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.texts[name], f.broken
}

// calls makes calls until one is refused, and returns how many were made and the refusal.
func calls(ctx context.Context, g *Governed) (n int, o Outcome) {
	for {
		if o = g.Deliver(ctx, Intent{}); o.Class != Applied {
			return n, o
		}
		n++
	}
}

func TestBudgetOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins at midnight UTC of 2000-01-01
		f := newFolder()
		limits := Limits{PerDay: 100, DayZone: "America/Chicago"}
		g := account(t, limits, f).of(&target{deliver: takes(0)}, Policy{})
		n, o := calls(t.Context(), g)
		if n != 100 || o.Code != CodeBudget || o.Class != RetryLater || o.Wait != 6*time.Hour-time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%d calls, then %+v", n, o)
		}
		if until, why := g.Shut("customer"); !until.Equal(time.Date(2000, 1, 1, 6, 0, 0, 0, time.UTC)) || why != "The account's 100 calls of 1999-12-31 are used up." {
			t.Errorf("shut until %s: %s", until, why)
		}
		if f.soon {
			t.Error("it was written more than once a second")
		}
		time.Sleep(o.Wait)
		if n, _ := calls(t.Context(), g); n != 100 {
			t.Errorf("%d calls on the next day", n)
		}
	})
}

// In no minute are there more calls than it has, wherever the minute begins.
func TestBudgetOfTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var made []time.Time
		s := &target{deliver: func(context.Context, Intent) Outcome {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, time.Now())
			return Outcome{Class: Applied}
		}}
		g := account(t, Limits{PerMinute: 30}, nil).of(s, Policy{})
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
			_, o := calls(t.Context(), g)
			time.Sleep(min(o.Wait, 7*time.Second))
		}
		for i := 30; i < len(made); i++ {
			if d := made[i].Sub(made[i-30]); d < time.Minute {
				t.Fatalf("31 calls within %s", d)
			}
		}
		if len(made) < 120 {
			t.Errorf("%d calls in five minutes of 30", len(made))
		}
	})
}

// After a clean end exactly what was used counts; after a kill what may have been used does.
func TestBudgetSurvives(t *testing.T) {
	for _, kill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFolder()
			limits := Limits{PerDay: 1000, PerMinute: 500}
			a := account(t, limits, f)
			g := a.of(&target{deliver: takes(0)}, Policy{})
			for range 37 {
				if o := g.Deliver(t.Context(), Intent{}); o.Class != Applied {
					t.Fatalf("%+v", o)
				}
			}
			if !kill {
				if err := errors.Join(a.Close(), a.Close()); err != nil {
					t.Fatal(err)
				}
			}
			again := account(t, limits, f).Stand()
			left := 1000 - 37
			if kill {
				if again.LeftDay > left || again.LeftDay < left-64 || again.LeftMinute > 500-37 {
					t.Errorf("after a kill: %+v, at most %d are left", again, left)
				}
			} else if again.LeftDay != left || again.LeftMinute != 500-37 {
				t.Errorf("after a clean end: %+v, want %d", again, left)
			}
			time.Sleep(25 * time.Hour)
			// What may have been used when it was killed may have been used a moment ago.
			if st := account(t, limits, f).Stand(); st.LeftDay != 1000 || !kill && st.LeftMinute != 500 || st.LeftMinute < 500-64 {
				t.Errorf("on the next day: %+v", st)
			}
		})
	}
}

// A budget that cannot be written down lets nothing through: what nobody counts may be too much.
func TestBudgetWithoutItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder()
		g := account(t, Limits{PerDay: 1000}, f).of(&target{deliver: takes(0)}, Policy{})
		f.broken = errors.New("the disk is full")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if n, o := calls(ctx, g); n != 0 || o.Code != CodeNotSent {
			t.Errorf("%d calls, then %+v", n, o)
		}
		if _, err := NewAccount("a", Limits{PerDay: 1}, f, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, f.broken) {
			t.Errorf("recalled %v", err)
		}
		f.broken, f.texts["a"] = nil, "{"
		if _, err := NewAccount("a", Limits{PerDay: 1}, f, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "reading the budget a") {
			t.Errorf("recalled %v", err)
		}
	})
}

// A call that the breaker kept back is not counted.
func TestBudgetOfCallsThatWereNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := account(t, Limits{PerDay: 100}, nil)
		g := a.of(&target{deliver: func(context.Context, Intent) Outcome { return Outcome{Class: Unknown, Outage: true} }}, Policy{BreakerFailures: 3})
		for range 50 {
			g.Deliver(t.Context(), Intent{})
		}
		if st := a.Stand(); st.LeftDay != 97 {
			t.Errorf("%+v, want 97 left", st)
		}
	})
}
