package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

func TestOrderKeyIsFIFOAndKeysAreParallel(t *testing.T) {
	r := newRig(t)
	var posts []transform.Post
	for i := range 30 {
		posts = append(posts, invoice(fmt.Sprintf("a%02d", i), "invoice/A"), invoice(fmt.Sprintf("b%02d", i), "invoice/B"))
	}
	r.post(posts...)
	r.start()
	r.state("a29", StateDone)
	r.state("b29", StateDone)
	for _, k := range []string{"a", "b"} {
		var got []string
		for _, s := range r.sink.sent() {
			if strings.HasPrefix(s, "x:"+k) && strings.HasSuffix(s, " post") {
				got = append(got, s)
			}
		}
		if !slices.IsSorted(got) || len(got) != 30 {
			t.Errorf("key %s: posted out of order or not once: %v", k, got)
		}
	}
}

func TestGateHoldsUntilTheLedgerHasIt(t *testing.T) {
	r := newRig(t)
	release := make(chan struct{})
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Entity == "customer" {
			<-release
		}
		return nil
	})
	gate := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "C1"}
	r.post(customer("C1"), invoice("i1", "invoice/1", gate), invoice("i2", "invoice/1"), invoice("i3", "invoice/3"))
	r.start()
	r.state("i3", StateDone) // another key does not wait (Invariant 5)
	if st := r.delivery("i1").State; st != StateWaiting {
		t.Fatalf("i1 is %s before its customer is acknowledged", st)
	}
	close(release)
	r.state("i2", StateDone)
	sent := r.sink.sent()
	if slices.Index(sent, "C1 upsert") > slices.Index(sent, "x:i1 create") {
		t.Errorf("the invoice went before its customer: %v", sent)
	}
}

func TestUnknownIsVerifiedNeverResentBlind(t *testing.T) {
	for _, committed := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed=%v", committed), func(t *testing.T) {
			r := newRig(t)
			var lost atomic.Bool
			r.sink.script(func(in sinks.Intent) *sinks.Outcome {
				if in.Step == "create" && lost.CompareAndSwap(false, true) {
					if committed {
						r.sink.apply(in)
					}
					return &sinks.Outcome{Class: sinks.Unknown, Message: "answer lost"}
				}
				return nil
			})
			r.post(invoice("i1", "invoice/1"))
			r.start()
			r.state("i1", StateDone)
			sent := r.sink.sent()
			want := []string{"x:i1 create", "x:i1 post"}
			if !slices.Equal(sent, want) {
				t.Errorf("the target took %v, want %v", sent, want)
			}
			d := r.delivery("i1")
			if wantSends := map[bool]int{true: 2, false: 3}[committed]; d.Sends != wantSends {
				t.Errorf("%d sends, want %d", d.Sends, wantSends)
			}
		})
	}
}

func TestAbsenceIsBelievedOnlyAfterTheHorizon(t *testing.T) {
	r := newRig(t)
	r.sink.horizon = 400 * time.Millisecond
	var lost atomic.Bool
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Step == "create" && lost.CompareAndSwap(false, true) {
			// The target is slow: it commits after we gave up and had a first look.
			time.AfterFunc(150*time.Millisecond, func() { r.sink.apply(in) })
			return &sinks.Outcome{Class: sinks.Unknown}
		}
		return nil
	})
	r.post(invoice("i1", "invoice/1"))
	r.start()
	r.state("i1", StateDone)
	if sent := r.sink.sent(); !slices.Equal(sent, []string{"x:i1 create", "x:i1 post"}) {
		t.Errorf("created twice: %v", sent)
	}
}

func TestRejectedParksOnlyItsOrderKeyAndRetryLooksFirst(t *testing.T) {
	r := newRig(t)
	var refuse atomic.Bool
	refuse.Store(true)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "x:i1" && refuse.Load() {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "TAX", Message: "tax code missing", Field: "lines.0.tax"}
		}
		return nil
	})
	r.post(invoice("i1", "invoice/1"), invoice("i2", "invoice/1"), invoice("i3", "invoice/3"))
	r.start()
	r.state("i1", StateParked)
	r.state("i3", StateDone)
	if st := r.delivery("i2").State; st != StateWaiting {
		t.Errorf("i2 is %s behind a parked posting of its key", st)
	}
	refuse.Store(false)
	r.decide(decisionEntry{Action: "retry", IDs: []string{"X-000001"}, By: "ann"})
	r.state("i2", StateDone)
	sent := r.sink.sent()
	if slices.Index(sent, "x:i1 post") > slices.Index(sent, "x:i2 create") {
		t.Errorf("i2 overtook i1: %v", sent)
	}
	x := r.exception("X-000001")
	if x.State != "resolved" || x.Retries != 1 {
		t.Errorf("exception is %s after %d retries", x.State, x.Retries)
	}
}

func TestDiscardLetsTheNextOneGo(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "x:i1" {
			return &sinks.Outcome{Class: sinks.Conflict, Message: "another total"}
		}
		return nil
	})
	r.post(invoice("i1", "invoice/1"), invoice("i2", "invoice/1"))
	r.start()
	r.state("i1", StateParked)
	r.decide(decisionEntry{Action: "discard", IDs: []string{"X-000001"}, By: "ann", Why: "entered by hand"})
	r.state("i2", StateDone)
	if x, err := r.desk().Exception(context.Background(), "X-000001"); err != nil || x.State != "discarded" || x.ClosedBy != "ann" || x.Reason != "entered by hand" {
		t.Errorf("exception is %s by %q: %v", x.State, x.ClosedBy, err)
	}
}

func TestRetriesAreBoundedAndOutagesAreNot(t *testing.T) {
	r := newRig(t)
	var outages atomic.Int32
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		switch in.ExternalID {
		case "x:i1":
			return &sinks.Outcome{Class: sinks.RetryLater, Message: "locked"}
		case "C1":
			if outages.Add(1) <= 2 {
				return &sinks.Outcome{Class: sinks.RetryLater, Outage: true, Message: "connection refused"}
			}
		}
		return nil
	})
	r.post(invoice("i1", "invoice/1"), customer("C1"))
	r.start()
	r.state("i1", StateParked)
	if d := r.delivery("i1"); d.Last.Code != "RETRIES_EXHAUSTED" || d.Sends != 4 {
		t.Errorf("parked with %q after %d sends", d.Last.Code, d.Sends)
	}
	r.state("C1", StateDone)
}

// An answer that nobody understands, to what the target then does not have, becomes an exception and no endless sending.
func TestAnUnclearAnswerBecomesAnException(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(sinks.Intent) *sinks.Outcome {
		return &sinks.Outcome{Class: sinks.Unknown, Message: "TypeError: null"}
	})
	r.post(invoice("i1", "invoice/1"))
	r.start()
	r.state("i1", StateParked)
	if d := r.delivery("i1"); d.Last.Code != "ANSWER_UNCLEAR" || d.Sends != 4 || d.Last.Message != "TypeError: null" {
		t.Errorf("parked with %q, %q after %d sends", d.Last.Code, d.Last.Message, d.Sends)
	}
}

func TestSetupStopsTheLaneWithOneException(t *testing.T) {
	r := newRig(t)
	var bad atomic.Bool
	bad.Store(true)
	var asked atomic.Int32
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Entity == "sales_invoice" && bad.Load() {
			asked.Add(1)
			return &sinks.Outcome{Class: sinks.Setup, Code: "AUTH", Message: "wrong password"}
		}
		return nil
	})
	var posts []transform.Post
	for i := range 20 {
		posts = append(posts, invoice(fmt.Sprintf("i%02d", i), fmt.Sprintf("invoice/%d", i)))
	}
	r.post(append(posts, customer("C1"))...)
	r.start()
	r.state("C1", StateDone) // the other lane goes on (Invariant 5)
	r.until("one exception", func() bool { return r.exception("X-000001") != nil })
	if n := asked.Load(); n > 4 {
		t.Errorf("asked %d times with a bad password", n)
	}
	if r.exception("X-000002") != nil {
		t.Error("a second exception for the same cause")
	}
	bad.Store(false)
	for _, l := range r.lanes {
		l.kick()
	}
	r.state("i19", StateDone)
	r.until("the exception closes", func() bool { return r.exception("X-000001").State == "resolved" })
}

func TestReplayVerifiesAndPostsNothingTwice(t *testing.T) {
	r := newRig(t)
	r.do(func(s *state, out *output) error {
		for i := range 5 {
			p := invoice(fmt.Sprintf("i%d", i), fmt.Sprintf("invoice/%d", i))
			e := transform.Event{ID: p.Event, Type: "invoice.released", Entity: "invoice", Key: p.ID, Recorded: time.Now()}
			if err := out.Event(e); err != nil {
				return err
			}
			if err := out.Post(p); err != nil {
				return err
			}
		}
		return nil
	})
	r.start()
	r.state("i4", StateDone)
	before := r.sink.sent()
	r.decide(decisionEntry{Action: "replay", Replay: &ReplayRequest{All: true, By: "ann"}, By: "ann"})
	r.until("all replayed", func() bool {
		for i := range 5 {
			if d := r.delivery(fmt.Sprintf("i%d", i)); d.Replays != 1 || d.State != StateDone {
				return false
			}
		}
		return true
	})
	if after := r.sink.sent(); !slices.Equal(before, after) {
		t.Errorf("a replay posted again: %v", after[len(before):])
	}
}

func TestCrashBetweenCommitAndOutcomeIsVerified(t *testing.T) {
	r := newRig(t)
	p := invoice("i1", "invoice/1")
	r.post(p)
	// What a process that died after the target's commit leaves: an intent without an outcome.
	in := sinks.Intent{Operation: sinks.OperationOf(p), Step: "create", Attempt: 1, Request: p.Body, At: time.Now()}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Append(context.Background(), checkpoint.Entry{Kind: checkpoint.Intent, Payload: payload}); err != nil {
		t.Fatal(err)
	}
	r.sink.apply(in)
	r.start()
	r.state("i1", StateDone)
	if sent := r.sink.sent(); !slices.Equal(sent, []string{"x:i1 create", "x:i1 post"}) {
		t.Errorf("posted again after the crash: %v", sent)
	}
}

// While the projector is far behind, the state still shows a delivery as it was before it was sent.
func TestADeliveryStaysInFlightUntilItsOutcomeIsApplied(t *testing.T) {
	r := newRig(t)
	r.post(invoice("i1", "invoice/1"), invoice("i2", "invoice/2"))
	lane := r.lanes[transform.LaneTransactional]
	ctx, cancel := context.WithCancel(context.Background())
	hard, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- lane.run(ctx, hard) }()
	r.until("both are sent", func() bool { return len(r.sink.sent()) == 2 })
	for range 50 { // many occasions to take them up again on the old state
		lane.notify()
		time.Sleep(5 * time.Millisecond)
	}
	if sent := r.sink.sent(); len(sent) != 2 {
		t.Errorf("sent again before the outcome was applied: %v", sent)
	}
	cancel()
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// What the next start finds: the outcomes are applied before a lane begins.
	r.lanes[transform.LaneTransactional] = newLane(transform.LaneTransactional, lane.target, r.store, r.project, newMetrics(nil), lane.log)
	r.start()
	r.state("i1", StateDone)
	r.state("i2", StateDone)
	if sent := r.sink.sent(); len(sent) != 4 || strings.Contains(strings.Join(sent, " "), "TWICE") {
		t.Errorf("the target took %v", sent)
	}
}

func (r *rig) decide(d decisionEntry) {
	r.t.Helper()
	payload, err := json.Marshal(d)
	if err != nil {
		r.t.Fatal(err)
	}
	index, err := r.store.Append(context.Background(), checkpoint.Entry{Kind: checkpoint.Decision, Payload: payload})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if r.stop == nil {
		if err := r.project.catchUp(ctx); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if err := r.project.settled(ctx, index); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) exception(id string) (x *exception) {
	r.t.Helper()
	err := r.store.View(func(tx *checkpoint.Txn) (err error) {
		x, err = newState(tx).exception(id)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}
