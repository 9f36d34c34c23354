package sinks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// narrow is a target with a hidden limit: what is beyond it is refused, or waits where it queues.
type narrow struct {
	target
	hidden int
	queues bool
	each   time.Duration

	inside  int
	refused int
	queue   chan struct{} // first come, first served
}

func newNarrow(hidden int, each time.Duration, queues bool) *narrow {
	n := &narrow{hidden: hidden, each: each, queues: queues, queue: make(chan struct{}, hidden)}
	n.deliver = n.take
	return n
}

func (n *narrow) take(context.Context, Intent) Outcome {
	if n.queues {
		n.queue <- struct{}{}
		defer func() { <-n.queue }()
	}
	n.mu.Lock()
	if n.inside >= n.hidden && !n.queues {
		n.refused++
		n.mu.Unlock()
		time.Sleep(time.Millisecond)
		return Outcome{Class: RetryLater, Code: CodeRate}
	}
	n.inside++
	n.mu.Unlock()
	time.Sleep(time.Duration((0.7 + 0.6*rand.Float64()) * float64(n.each)))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inside--
	return Outcome{Class: Applied}
}

func (n *narrow) counts() (calls, refused int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls, n.refused
}

// press keeps a sink busy with more callers than its concurrency until the time is over; a refused one waits a moment.
func press(t *testing.T, g *Governed, callers int, until time.Duration) *sync.WaitGroup {
	ctx, cancel := context.WithTimeout(t.Context(), until)
	t.Cleanup(cancel)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if o := g.Lane([]string{"master", "transactional"}[i%2]).Deliver(ctx, Intent{}); !o.Done() {
					time.Sleep(time.Duration(rand.Float64() * float64(200*time.Millisecond)))
				}
			}
		})
	}
	return &wg
}

// It settles within 20 % of a hidden limit in 60 s, keeps throttled calls under 1 % from then on, and never has one call more than configured.
func TestAIMDSettles(t *testing.T) {
	for _, c := range []struct {
		hidden, concurrency, start int
		each                       time.Duration
	}{{20, 64, 0, 400 * time.Millisecond}, {20, 64, 2, 500 * time.Millisecond}, {5, 40, 0, 300 * time.Millisecond}, {50, 60, 10, 500 * time.Millisecond},
		{100, 12, 0, time.Second}, {1, 8, 0, 100 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNarrow(c.hidden, c.each, false)
				g := govern(n, Policy{Concurrency: c.concurrency, Adapt: Adapt{Start: c.start}, MaxAttempts: 1})
				wg := press(t, g, 2*c.concurrency, 5*time.Minute)
				time.Sleep(time.Minute)
				calls, refused := n.counts()
				sum, looks := 0, 0
				for range 235 * 2 {
					time.Sleep(500 * time.Millisecond)
					sum, looks = sum+g.account.Stand().Limit, looks+1
				}
				wg.Wait()
				mean, want := float64(sum)/float64(looks), float64(min(c.hidden, c.concurrency))
				if mean < 0.8*want || mean > 1.2*want {
					t.Errorf("settled at %.1f of a hidden %.0f", mean, want)
				}
				allCalls, allRefused := n.counts()
				if share := float64(allRefused-refused) / float64(allCalls-calls); share > 0.01 {
					t.Errorf("%d of %d calls were throttled after the first minute: %.2f %%", allRefused-refused, allCalls-calls, 100*share)
				}
				if n.most > c.concurrency {
					t.Errorf("%d calls at once, configured are %d", n.most, c.concurrency)
				}
			})
		})
	}
}

// Within the first minute it is there: the mean of the last ten seconds of it.
func TestAIMDSettlesInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarrow(20, 200*time.Millisecond, false)
		g := govern(n, Policy{Concurrency: 64, Adapt: Adapt{Start: 4}})
		wg := press(t, g, 100, time.Minute)
		time.Sleep(50 * time.Second)
		var limits []int
		for range 19 {
			time.Sleep(500 * time.Millisecond)
			limits = append(limits, g.account.Stand().Limit)
		}
		wg.Wait()
		if slices.Min(limits) < 16 || slices.Max(limits) > 24 {
			t.Errorf("limits between 50 s and 60 s: %v, hidden are 20", limits)
		}
	})
}

// When the target takes more, more is found; when it takes fewer, fewer are sent.
func TestAIMDFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarrow(8, 400*time.Millisecond, false)
		g := govern(n, Policy{Concurrency: 40})
		wg := press(t, g, 100, 12*time.Minute)
		for _, hidden := range []int{30, 6} {
			time.Sleep(2 * time.Minute)
			n.mu.Lock()
			n.hidden = hidden
			n.mu.Unlock()
			time.Sleep(3 * time.Minute)
			sum := 0
			for range 60 {
				time.Sleep(time.Second)
				sum += g.account.Stand().Limit
			}
			if mean := float64(sum) / 60; mean < 0.8*float64(hidden) || mean > 1.2*float64(hidden) {
				t.Errorf("%.1f of a hidden %d", mean, hidden)
			}
		}
		wg.Wait()
	})
}

// A target that queues silently is found by its latency.
func TestAIMDByLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarrow(10, 200*time.Millisecond, true)
		g := govern(n, Policy{Concurrency: 60, Adapt: Adapt{Start: 2, Latency: 100 * time.Millisecond}})
		wg := press(t, g, 100, 4*time.Minute)
		time.Sleep(time.Minute)
		most, sum := 0, 0
		for range 120 {
			time.Sleep(time.Second)
			limit := g.account.Stand().Limit
			most, sum = max(most, limit), sum+limit
		}
		wg.Wait()
		if mean := float64(sum) / 120; mean < 7 || mean > 16 || most > 30 {
			t.Errorf("%.1f calls at the same time, at most %d, of a target that takes 10", mean, most)
		}
	})
}

// Who does not use what it has is not given more.
func TestAIMDGrowsOnlyWhereItIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := govern(newNarrow(100, 10*time.Millisecond, false), Policy{Concurrency: 50, Adapt: Adapt{Start: 4}})
		for range 1000 {
			g.Deliver(t.Context(), Intent{})
		}
		if limit := g.account.Stand().Limit; limit != 4 {
			t.Errorf("limit %d after calls one by one, want 4", limit)
		}
	})
}

// After an outage it begins with half of what it had, at most once in a cool-down, and is soon back.
func TestAIMDAfterOutage(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	a := newAIMD(Limits{Concurrency: 16}.WithDefaults())
	wanted := func() bool { return true }
	for range 5 {
		a.done(now, 16, time.Second, tellsDown, wanted)
	}
	if a.limit != 8 {
		t.Errorf("%d after an outage, want 8", a.limit)
	}
	now = now.Add(3 * time.Second)
	for range 8 {
		a.done(now, 8, time.Second, tellsRoom, wanted)
	}
	if a.limit != 16 {
		t.Errorf("%d after a round of answers, want 16", a.limit)
	}
	for range 40 {
		now = now.Add(10 * time.Second)
		a.done(now, 16, time.Second, tellsFull, wanted)
	}
	if a.limit != 1 {
		t.Errorf("%d after many refusals, want the floor", a.limit)
	}
}
