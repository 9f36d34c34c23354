package pipeline

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// What a feed did is in the journal: the index, what is set aside and its exceptions are made again from it, in commits of any size; and nothing
// is published from a side state.
func TestRebuildWithAFeedIsEqual(t *testing.T) {
	p := &past{rig: newRig(t)}
	p.project.codecs["plain/1"] = plainCodec{}
	take := newTaker(t, sinks.Terms{Batch: 4, Parallel: 3})
	var refuse atomic.Bool
	refuse.Store(true)
	take.does(func(e sinks.Publication) *sinks.Outcome {
		if refuse.Load() && (e.Event.Key == "C5" || e.Event.Key == "L7") {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "REFUSED", Message: "no"}
		}
		return nil
	})
	f := newFeed("stream", take, 10, Retry{Base: time.Millisecond}, p.store, p.project, newMetrics(nil), slog.New(slog.DiscardHandler))
	lanes := p.project.notify
	p.project.notify = func() { lanes(); f.notify() }
	p.activates(pastMapping + "publish:\n  shipment.*, customer.changed, invoice.*, erp.posted -> stream.all:\n")
	p.seeded("dispatch")
	p.start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx, context.Background()) }()
	behind := func(aside bool) {
		t.Helper()
		p.until("everything is published", func() bool {
			var fs FeedStatus
			err := p.store.View(func(tx *checkpoint.Txn) (err error) {
				fs, err = f.status(newState(tx))
				return err
			})
			return err == nil && fs.Published > 0 && fs.Behind == fs.Aside && (fs.Aside > 0) == aside
		})
	}
	p.month()
	p.settled()
	behind(true)
	if _, err := p.store.Backup(""); err != nil {
		t.Fatal(err)
	}
	p.discards("FEED/stream/all/")
	refuse.Store(false)
	p.settled()
	behind(false)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	p.quiet()
	before := len(take.ids(""))
	p.madeAgain()
	if after := len(take.ids("")); after != before || before < 60 {
		t.Errorf("%d events were published, %d after the state was made again", before, after)
	}
}
