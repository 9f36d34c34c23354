package sinks

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"waybill/cdc"
)

// paper is a publisher whose answers a test writes.
type paper struct {
	answer []Outcome
	calls  int
}

func (p *paper) Terms() Terms { return Terms{Batch: 10, Parallel: 1, Remembers: true} }
func (p *paper) Publish(context.Context, []Publication) []Outcome {
	p.calls++
	return p.answer
}
func (p *paper) Seen(_ context.Context, events []Publication) ([]bool, error) {
	return make([]bool, len(events)), nil
}
func (p *paper) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (p *paper) Identity(context.Context) (string, error)     { return "paper", nil }
func (p *paper) Close() error                                 { return nil }

// A publisher stands under the same policy as a sink.
func TestGovernPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paper{}
		g := GovernPublisher(p, Policy{Rate: 10, BreakerFailures: 2}, nil, slog.New(slog.DiscardHandler))
		events := make([]Publication, 3)
		p.answer = []Outcome{{Class: Applied}, {Class: Rejected, Code: "BAD"}, {Class: RetryLater, Code: CodeBehind}}
		if got := g.Publish(t.Context(), events); !slices.EqualFunc(got, p.answer, func(a, b Outcome) bool { return a.Code == b.Code }) {
			t.Errorf("%+v", got)
		}
		if got := g.Publish(t.Context(), nil); got != nil || p.calls != 1 {
			t.Errorf("%+v, %d calls", got, p.calls)
		}
		p.answer = p.answer[:1]
		if got := g.Publish(t.Context(), events); len(got) != 3 || got[0].Class != RetryLater || got[0].Code != codeNoOutcome {
			t.Errorf("outcomes of an adapter that left some out: %+v", got)
		}
		g.Pause(map[string]Reason{"": {By: "ann", Why: "partner asks"}})
		if got := g.Publish(t.Context(), events); len(got) != 3 || got[2].Code != CodePaused || p.calls != 2 {
			t.Errorf("paused: %+v, %d calls", got, p.calls)
		}
		if _, err := g.Seen(t.Context(), events); err != nil {
			t.Errorf("while it is paused it is not asked: %v", err)
		}
		g.Pause(nil)
		p.answer = []Outcome{{Class: RetryLater, Code: "OUTAGE", Outage: true}, {Class: RetryLater, Code: CodeBehind}, {Class: Applied}}
		for range 2 {
			g.Publish(t.Context(), events)
		}
		if got := g.Publish(t.Context(), events); got[0].Code != CodeBreakerOpen || p.calls != 4 {
			t.Errorf("after two outages: %+v, %d calls", got, p.calls)
		}
		time.Sleep(time.Minute)
		p.answer = []Outcome{{Class: RetryLater, Code: CodeRate, Wait: time.Minute}, {Class: Applied}, {Class: Applied}}
		g.Publish(t.Context(), events)
		if got := g.Publish(t.Context(), events); got[1].Code != CodeQuiet || p.calls != 5 {
			t.Errorf("after a wish for quiet: %+v, %d calls", got, p.calls)
		}
		if until, _ := g.Shut(""); until.IsZero() {
			t.Error("it is not shut while the target wants quiet")
		}
	})
}
