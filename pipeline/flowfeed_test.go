package pipeline

import (
	"context"
	"log/slog"
	"testing"

	"waybill/sinks"
)

// What goes to a publisher is paused and resumed as what goes to a sink; a dry run publishes nothing either.
func TestPausedFeed(t *testing.T) {
	for _, dry := range []bool{false, true} {
		r := newFeedRig(t, sinks.Terms{Batch: 10, Parallel: 2})
		g := sinks.GovernPublisher(r.taker, sinks.Policy{DryRun: dry}, nil, slog.New(slog.DiscardHandler))
		r.feed.sink = g
		p := fleet(r.rig, feedMapping)
		p.o.Publishers, p.feeds = map[string]sinks.Publisher{"stream": g}, []*feed{r.feed}
		want := "dry run"
		if !dry {
			want = "paused"
			r.decide(decisionEntry{Action: actionPauseFlow, Flow: &FlowRequest{Sink: "stream"}, By: "ann", Why: "the partner moves"})
			if err := p.shutDoors(); err != nil {
				t.Fatal(err)
			}
		}
		r.happen("a", "b", "a")
		r.run()
		r.until("the events are read", func() bool { r.feed.mu.Lock(); defer r.feed.mu.Unlock(); return r.feed.queue.count == 3 })
		var st Status
		r.view(func(s *state) error { return p.feedStatus(s, &st) })
		if len(st.Feeds) != 1 || st.Feeds[0].State != want || len(st.Problems) != 1 || len(r.taker.ids("")) != 0 {
			t.Errorf("%+v, published %v", st.Feeds, r.taker.ids(""))
		}
		if dry {
			g.Set(sinks.Policy{})
			p.tune("stream", Tuning{Workers: 1})
		} else if v, err := p.ResumeFlow(context.Background(), FlowRequest{Sink: "stream", By: "ann", Why: "moved"}); err != nil || v.Paused != nil {
			t.Errorf("%+v %v", v, err)
		}
		r.published(0)
		r.end()
	}
}
