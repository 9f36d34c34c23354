package sinks_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
)

// stamp is a product that commits whatever is sent.
type stamp struct{}

func (stamp) Handle(_ *sinktest.Sim, w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.WriteHeader(http.StatusCreated)
}
func (stamp) Names(*http.Request, []byte) (entity, step string) { return "sales_invoice", "create" }
func (stamp) Fail(w http.ResponseWriter, status int, wait time.Duration) {
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	w.WriteHeader(status)
}

// post is a sink that posts to a URL.
type post struct {
	url    string
	client *http.Client
}

func (p *post) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return sinks.Outcome{Class: sinks.Setup, Message: err.Error()}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return sinks.Outcome{Class: sinks.Unknown, Code: "OUTAGE", Outage: true, Message: err.Error()}
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		return sinks.Outcome{Class: sinks.Unknown, Code: "OUTAGE", Outage: true}
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && err == nil:
		return sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeRate, Wait: time.Duration(seconds) * time.Second}
	case resp.StatusCode == http.StatusTooManyRequests:
		return sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeRate}
	}
	return sinks.Outcome{Class: sinks.Applied}
}
func (p *post) Entity(string) (sinks.Entity, error) { return sinks.Entity{}, nil }
func (p *post) Prepare(_ context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, _ time.Time) (sinks.Intent, *sinks.Outcome) {
	return sinks.Intent{Operation: op, Step: step}, nil
}
func (p *post) Verify(context.Context, sinks.Intent) sinks.Outcome {
	return sinks.Outcome{Class: sinks.Absent}
}
func (p *post) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (p *post) Identity(context.Context) (string, error)     { return p.url, nil }
func (p *post) Close() error                                 { p.client.CloseIdleConnections(); return nil }

func govern(t *testing.T, sim *sinktest.Sim, a *sinks.Account, p sinks.Policy) *sinks.Governed {
	t.Helper()
	g := a.Govern(&post{sim.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}, p, nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func newAccount(t *testing.T, l sinks.Limits) *sinks.Account {
	t.Helper()
	a, err := sinks.NewAccount("erp", l, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Over HTTP, with the counts of the server: it never sees one call more than configured, and once its hidden limit is found few are refused.
func TestAIMDOverHTTP(t *testing.T) {
	t.Parallel()
	const concurrency, hidden = 24, 10
	sim := sinktest.StartSim(t, stamp{}, sinktest.SimOptions{Concurrent: hidden, Takes: 20 * time.Millisecond})
	a := newAccount(t, sinks.Limits{Concurrency: concurrency, Adapt: sinks.Adapt{Cooldown: 100 * time.Millisecond}})
	g := govern(t, sim, a, sinks.Policy{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 2 * concurrency {
		wg.Go(func() {
			for ctx.Err() == nil {
				if o := g.Lane([]string{"master", "transactional"}[i%2]).Deliver(t.Context(), sinks.Intent{}); !o.Done() {
					<-time.After(10 * time.Millisecond) // a lane backs off longer
				}
			}
		})
	}
	wg.Wait()
	if peak := sim.Peak(); peak > concurrency {
		t.Errorf("the server saw %d calls at once, configured are %d", peak, concurrency)
	}
	calls := sim.Calls()
	half, refused := calls[len(calls)/2:], 0
	for _, c := range half {
		if c.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	if len(half) < 100 || refused*100 > len(half) {
		t.Errorf("%d of the last %d calls were refused, want at most 1 %%", refused, len(half))
	}
	if limit := a.Stand().Limit; limit > hidden*12/10 {
		t.Errorf("the limit is %d, hidden are %d", limit, hidden)
	}
}

// A Retry-After holds for every sink of the account, by the server's clock.
func TestRetryAfterOverHTTP(t *testing.T) {
	t.Parallel()
	sim := sinktest.StartSim(t, stamp{}, sinktest.SimOptions{})
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Throttle, Count: 1, Delay: 2 * time.Second})
	a := newAccount(t, sinks.Limits{Concurrency: 8})
	one, two := govern(t, sim, a, sinks.Policy{}), govern(t, sim, a, sinks.Policy{})
	if o := one.Deliver(t.Context(), sinks.Intent{}); o.Code != sinks.CodeRate {
		t.Fatalf("%+v", o)
	}
	told := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, g := range []*sinks.Governed{one, two} {
		for _, lane := range []string{"master", "transactional", "lookup"} {
			wg.Go(func() {
				for ctx.Err() == nil {
					g.Lane(lane).Deliver(t.Context(), sinks.Intent{})
					<-time.After(5 * time.Millisecond) // harder than any lane would
				}
			})
		}
	}
	wg.Wait()
	calls := sim.Calls()
	if len(calls) < 10 {
		t.Errorf("%d calls after the wish was over", len(calls)-1)
	}
	for _, c := range calls[1:] {
		if early := told.Add(2 * time.Second).Sub(c.At); early > 5*time.Millisecond {
			t.Fatalf("a call %s before the end of Retry-After", early)
		}
	}
}
