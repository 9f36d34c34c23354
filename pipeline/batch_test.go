package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

const batchMapping = `mapping: small
version: 3
sources:
  billing: { schema: public, zone: America/Chicago }
  dispatch: { schema: public, zone: America/Chicago }
events:
  customer.changed:
    from: billing.customers
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name }
`

var batchTime = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) // Friday 18:00 in Chicago

// batchRig is a rig that knows a source, so that watermarks fire timers.
func batchRig(t *testing.T) (*rig, *Pipeline) {
	t.Helper()
	r := newRig(t)
	if err := r.project.use(map[string]activation{"": {mappingEntry: mappingEntry{Version: "small/3", File: "small.yml", Text: batchMapping}}}); err != nil {
		t.Fatal(err)
	}
	return r, &Pipeline{store: r.store, project: r.project}
}

// captured moves the watermark of the source.
func (r *rig) captured(at time.Time) {
	r.t.Helper()
	r.rows(cdc.Batch{Source: "billing", Identity: "m/1/1", Position: "m/1/1/0", CommitAt: at})
	if r.stop == nil {
		if err := r.project.catchUp(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
}

func batchGate(at time.Time) transform.Gate {
	zone, err := time.LoadLocation("America/Chicago")
	if err != nil {
		panic(err)
	}
	return transform.Gate{Kind: transform.GateTime, Name: "batch", Key: at.In(zone).Format(time.RFC3339), At: at, Sources: []string{"billing"}}
}

func (r *rig) keysOf(bucket string) (n int) {
	r.t.Helper()
	err := r.store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan(bucket, "", "", func(string, []byte) (bool, error) { n++; return true, nil })
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// A batch waits until its source is captured past its time, however late that is; then all of it goes, and nothing of the next.
func TestABatchGoesWhenItsSourceIsCapturedPastIt(t *testing.T) {
	r, p := batchRig(t)
	next := batchTime.Add(72 * time.Hour)
	const many = 300 // more than one piece of work takes
	for i := range many {
		r.post(invoice(fmt.Sprintf("a%03d", i), fmt.Sprintf("invoice/%d", i), batchGate(batchTime)))
	}
	r.post(invoice("b", "invoice/b", batchGate(next)), invoice("free", "invoice/free"))
	credit := invoice("credit", "invoice/0") // of the same order key: it waits behind
	r.post(credit)
	r.captured(batchTime.Add(-time.Hour))
	r.start()
	r.state("free", StateDone)
	if d := r.delivery("a000"); d.State != StateWaiting || d.why() != "waits for the batch of Fri 2026-11-27 18:00 -06:00" {
		t.Errorf("%s: it %s", d.State, d.why())
	}
	if why := r.delivery("credit").why(); why != "waits behind an earlier posting of invoice/0" {
		t.Error(why)
	}
	held := func() (list []HeldBatch) {
		err := r.store.View(func(tx *checkpoint.Txn) (err error) {
			list, err = newState(tx).batchesOf("transactional", "erp")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := held(); len(list) != 2 || list[0].Count != many || !list[0].At.Equal(batchTime) || list[1].Count != 1 || list[1].Until != "the batch of Mon 2026-11-30 18:00 -06:00" {
		t.Errorf("%+v", list)
	}
	r.captured(batchTime.Add(-time.Second)) // not yet
	if d := r.delivery("a299"); d.State != StateWaiting {
		t.Fatalf("a second before its time it is %s", d.State)
	}
	r.captured(batchTime.Add(16 * time.Hour)) // after an outage
	for i := range many {
		r.state(fmt.Sprintf("a%03d", i), StateDone)
	}
	r.state("credit", StateDone)
	sent := r.sink.sent()
	if slices.Index(sent, "x:a000 post") > slices.Index(sent, "x:credit create") {
		t.Error("the credit went before its invoice")
	}
	if d := r.delivery("b"); d.State != StateWaiting || len(held()) != 1 {
		t.Errorf("the next batch is %s, %+v", d.State, held())
	}
	views, err := p.Held(context.Background(), "", 0)
	if err != nil || len(views) != 1 || views[0].ID != "b" {
		t.Errorf("%+v %v", views, err)
	}
	// Another version of the mapping has no schedule: what has its batch keeps it.
	payload, err := json.Marshal(mappingEntry{"small/4", "small.yml", strings.Replace(batchMapping, "version: 3", "version: 4", 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Mapping, payload)
	if d := r.delivery("b"); d.State != StateWaiting {
		t.Errorf("under another mapping it is %s", d.State)
	}
	r.captured(next.Add(time.Second))
	r.state("b", StateDone)
	for _, bucket := range []string{bucketBatch, bucketGate, bucketWaited, bucketTimer, bucketTimerID} {
		if n := r.keysOf(bucket); n != 0 {
			t.Errorf("%d keys are left in %s", n, bucket)
		}
	}
	// What is delivered again waits for no batch that has gone.
	r.do(func(s *state, _ *output) error {
		d, err := s.delivery("a001")
		if err != nil {
			return err
		}
		d.Done, d.Verify = nil, true
		if err := s.enqueue(d); err != nil {
			return err
		}
		if d.timed() != nil {
			return errors.New("replayed it " + d.why())
		}
		return nil
	})
}

// A person lets one document go before its batch; the others stay. Twice is refused.
func TestUrgentRelease(t *testing.T) {
	r, p := batchRig(t)
	r.captured(batchTime.Add(-time.Hour))
	gate := batchGate(batchTime)
	customer := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "C1"}
	r.post(invoice("a", "invoice/a", gate), invoice("b", "invoice/b", gate), invoice("c", "invoice/c", customer, gate), invoice("d", "invoice/a", gate))
	r.start()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var refused *HeldError
	for _, q := range []HeldRelease{{Ref: "invoice/zz", By: "ann", Why: "x"}, {Ref: "invoice/a", By: "ann"}} {
		if _, err := p.ReleaseHeld(ctx, q); !errors.As(err, &refused) || refused.Hint == "" {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := p.ReleaseHeld(ctx, HeldRelease{Ref: "invoice/a", Why: "x"}); err == nil {
		t.Error("nobody released it")
	}
	views, err := p.ReleaseHeld(ctx, HeldRelease{Ref: "x:d", By: "ann", Why: "the customer waits"})
	if err != nil || len(views) != 1 || views[0].Why != "waits behind an earlier posting of invoice/a" {
		t.Fatalf("%+v %v", views, err)
	}
	if _, err = p.ReleaseHeld(ctx, HeldRelease{Ref: "invoice/a", By: "ann", Why: "the customer waits"}); err != nil {
		t.Fatal(err)
	}
	r.state("a", StateDone)
	r.state("d", StateDone)
	if _, err := p.ReleaseHeld(ctx, HeldRelease{Ref: "invoice/a", By: "ann", Why: "again"}); !errors.As(err, &refused) {
		t.Errorf("a second time: %v", err)
	}
	if _, err = p.ReleaseHeld(ctx, HeldRelease{Ref: "invoice/c", By: "ann", Why: "urgent"}); err != nil {
		t.Fatal(err)
	}
	if d := r.delivery("c"); d.State != StateWaiting || d.why() != "waits for erp.customer C1" {
		t.Errorf("%s: it %s", d.State, d.why())
	}
	if d := r.delivery("b"); d.State != StateWaiting {
		t.Errorf("b is %s", d.State)
	}
	audit, err := p.Audit(ctx, AuditQuery{By: "ann", Oldest: true})
	if err != nil || len(audit) != 3 || audit[1].Action != actionHurry || audit[1].Target != "invoice/a" || audit[1].By != "ann" || audit[1].Why != "the customer waits" {
		t.Errorf("%+v %v", audit, err)
	}
}

// A document that is taken back before its batch leaves nothing behind.
func TestABatchForgetsWhatIsWithdrawn(t *testing.T) {
	r, _ := batchRig(t)
	r.post(invoice("a", "invoice/a", batchGate(batchTime)))
	r.do(func(_ *state, out *output) error {
		back, err := out.Withdraw("e-a", "it was corrected")
		if err == nil && !back {
			err = errors.New("it was not taken back")
		}
		return err
	})
	if n := r.keysOf(bucketBatch) + r.keysOf(bucketGate); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	r.captured(batchTime.Add(time.Hour))
	r.start()
	r.until("the timer is gone", func() bool { return r.keysOf(bucketTimer) == 0 })
	if sent := r.sink.sent(); len(sent) != 0 {
		t.Error(sent)
	}
}

// shut is a window that is closed at the instant, and for an hour more.
func shut(now time.Time) *transform.Window {
	now = now.UTC()
	clock := func(t time.Time) string { return t.Format("15:04") }
	return &transform.Window{Zone: "UTC", Open: clock(now.Add(2 * time.Hour)), Close: clock(now.Add(-time.Hour))}
}

// Whatever the watermarks say, nothing is sent while the window is shut by the clock: neither first nor again. What was sent without an
// answer is looked up all the same, and a person's release goes before.
func TestNothingIsSentWhileTheWindowIsShut(t *testing.T) {
	r, p := batchRig(t)
	r.captured(batchTime.Add(-time.Hour))
	late, hurried, asked, open := invoice("late", "invoice/late"), invoice("hurried", "invoice/h", batchGate(batchTime)), invoice("asked", "invoice/asked"), invoice("open", "invoice/open")
	for _, post := range []*transform.Post{&late, &hurried, &asked} {
		post.Window = shut(time.Now())
	}
	r.post(late, hurried, asked, open)
	r.do(func(s *state, _ *output) error { // sent before the window closed, by a process that was killed
		d, err := s.delivery("asked")
		if err != nil {
			return err
		}
		in := sinks.Intent{Operation: sinks.OperationOf(asked), Step: "create", Request: json.RawMessage(asked.Body)}
		d.State, d.Step, d.Intent = StateSent, "create", &in
		return s.putDelivery(d)
	})
	r.sink.apply(sinks.Intent{Operation: sinks.OperationOf(asked), Step: "create", Request: asked.Body})
	r.start()
	r.state("open", StateDone)
	r.until("the unknown outcome is looked up", func() bool { return len(r.delivery("asked").Done) == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := p.ReleaseHeld(ctx, HeldRelease{Ref: "invoice/hurried", By: "ann", Why: "now"}); err != nil {
		t.Fatal(err)
	}
	r.state("hurried", StateDone)
	for _, s := range r.sink.sent() {
		if strings.HasPrefix(s, "x:late") || s == "x:asked post" {
			t.Errorf("%s was sent through a shut window", s)
		}
	}
	if d := r.delivery("late"); d.State != StateReady || !strings.HasPrefix(d.why(), "waits for the window that opens at ") {
		t.Errorf("%s: it %s", d.State, d.why())
	}
	if _, err := p.ReleaseHeld(ctx, HeldRelease{Ref: "x:late", By: "ann", Why: "tonight"}); err != nil {
		t.Fatal(err)
	}
	r.state("late", StateDone)
}

// A case shows what of it, and of its documents, waits for a batch.
func TestCaseShowsItsBatch(t *testing.T) {
	r, p := caseRig(t)
	r.happen("d", "shipment.delivered", "1")
	r.happen("i", "invoice.released", "A1", "shipment/1")
	gate := batchGate(batchTime)
	gate.Sources = []string{"dispatch"}
	other := invoice("A2", "invoice/A2", gate)
	r.post(invoice("A1", "invoice/A1", gate), other)
	v, err := p.Case(context.Background(), "shipment/1")
	if err != nil || len(v.Held) != 1 || v.Held[0].ID != "A1" || !strings.HasPrefix(v.Held[0].Why, "waits for the batch of Fri") {
		t.Errorf("%+v %v", v.Held, err)
	}
}
