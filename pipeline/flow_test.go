package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// towards puts a sink under a policy before the lanes.
func (r *rig) towards(sink sinks.Sink, p sinks.Policy) *sinks.Governed {
	r.t.Helper()
	g := sinks.Govern(sink, p, nil, slog.New(slog.DiscardHandler))
	for name, l := range r.lanes {
		l.target.sink, l.target.workers, l.sink = g, g.Policy().Concurrency, g.Lane(string(name))
	}
	return g
}

// flows is a pipeline over the rig's lanes and a sink under a policy.
func (r *rig) flows(p sinks.Policy) (*Pipeline, *sinks.Governed) {
	r.t.Helper()
	g := r.towards(r.sink, p)
	daemon := fleet(r, partsMapping)
	daemon.o.Sinks = map[string]sinks.Sink{"erp": g}
	for _, l := range r.lanes {
		daemon.lanes = append(daemon.lanes, l)
		daemon.targets = []*target{l.target}
	}
	return daemon, g
}

func pauseOf(entity string) FlowRequest {
	return FlowRequest{Sink: "erp", Entity: entity, By: "ann@desk", Why: "period close"}
}

// A paused flow sends nothing new and begins no step; what is unknown of it is verified; other flows go on; and when it is resumed it goes on
// where it was.
func TestPausedFlow(t *testing.T) {
	r := newRig(t)
	p, _ := r.flows(sinks.Policy{})
	ctx := context.Background()
	created, paused := make(chan struct{}), make(chan struct{})
	var lost atomic.Bool
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		switch in.ExternalID + " " + in.Step {
		case "x:unknown create":
			if lost.CompareAndSwap(false, true) {
				r.sink.apply(in)
				return &sinks.Outcome{Class: sinks.Unknown, Message: "answer lost"}
			}
		case "x:half create":
			close(created)
			<-paused
		case "C1 upsert":
			<-paused
		}
		return nil
	})
	gate := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "C1"}
	r.post(invoice("half", "invoice/half"), invoice("unknown", "invoice/unknown"), invoice("new", "invoice/new", gate), customer("C1"))
	r.start()
	<-created
	r.until("the answer is lost", lost.Load)
	v, err := p.PauseFlow(ctx, pauseOf("sales_invoice"))
	if err != nil || len(v.Flows) == 0 || v.Paused != nil {
		t.Fatalf("%+v %v", v, err)
	}
	close(paused)
	r.state("C1", StateDone)
	r.state("new", StateReady)
	r.until("the lost answer is verified", func() bool { return r.delivery("unknown").Done["create"].Class == sinks.AlreadyApplied })
	r.until("what had begun has ended", func() bool { return r.delivery("half").Done["create"].Class != "" })
	for _, sent := range r.sink.sent() {
		if strings.HasSuffix(sent, " post") || strings.HasPrefix(sent, "x:new") {
			t.Errorf("sent while the flow is paused: %v", r.sink.sent())
		}
	}
	var ls LaneStatus
	ls.ByEntity = map[string]int{}
	flows := map[string]sinks.Reason{}
	r.view(func(s *state) (err error) { flows, err = s.paused("erp"); return err })
	r.lanes[transform.LaneTransactional].hinder(&ls, flows, []string{"sales_invoice"})
	if fmt.Sprint(ls.Hindered) != "[sales_invoice is paused by ann@desk: period close]" {
		t.Errorf("the lane says %q", ls.Hindered)
	}
	if _, err := p.ResumeFlow(ctx, pauseOf("sales_invoice")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"half", "unknown", "new"} {
		r.state(id, StateDone)
	}
	for _, sent := range r.sink.sent() {
		if strings.HasSuffix(sent, "TWICE") {
			t.Error(r.sink.sent())
		}
	}
	audit, err := p.Audit(ctx, AuditQuery{By: "ann@desk", Oldest: true})
	if err != nil || len(audit) != 2 || audit[0].Action != actionPauseFlow || audit[0].Target != "erp.sales_invoice" || audit[1].Action != actionResumeFlow || audit[0].Why != "period close" {
		t.Errorf("%+v %v", audit, err)
	}
}

func (r *rig) view(fn func(*state) error) {
	r.t.Helper()
	if err := r.store.View(func(tx *checkpoint.Txn) error { return fn(newState(tx)) }); err != nil {
		r.t.Fatal(err)
	}
}

// A pause of the whole sink holds after a restart, and its flows cannot be resumed one by one.
func TestPausedSinkSurvivesARestart(t *testing.T) {
	r := newRig(t)
	p, _ := r.flows(sinks.Policy{})
	ctx := context.Background()
	r.start()
	if _, err := p.PauseFlow(ctx, pauseOf("")); err != nil {
		t.Fatal(err)
	}
	r.again()
	r.post(invoice("i1", "invoice/1"), customer("C1"))
	again, _ := r.flows(sinks.Policy{}) // a daemon that knows of nothing yet
	if err := again.shutDoors(); err != nil {
		t.Fatal(err)
	}
	r.start()
	views, err := again.Flows(ctx)
	if err != nil || len(views) != 1 || views[0].Paused == nil || views[0].Paused.By != "ann@desk" || views[0].Account.Ceiling != 4 {
		t.Fatalf("%+v %v", views, err)
	}
	var refused *FlowError
	for _, c := range []struct {
		pause  bool
		q      FlowRequest
		absent bool
	}{{true, pauseOf(""), false}, {false, pauseOf("sales_invoice"), false}, {true, FlowRequest{Sink: "epr", By: "a", Why: "b"}, true},
		{true, pauseOf("sales_invoce"), true}, {true, FlowRequest{Sink: "erp", By: "a"}, false}} {
		do := again.ResumeFlow
		if c.pause {
			do = again.PauseFlow
		}
		if _, err := do(ctx, c.q); !errors.As(err, &refused) || refused.Hint == "" || refused.Absent != c.absent {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
	if sent := r.sink.sent(); len(sent) > 0 {
		t.Errorf("sent while the sink is paused: %v", sent)
	}
	if _, err := again.ResumeFlow(ctx, pauseOf("")); err != nil {
		t.Fatal(err)
	}
	r.state("i1", StateDone)
	r.state("C1", StateDone)
}

// In a dry run nothing is written: what would be is shown, once; and when it ends the documents go, in their order.
func TestDryRunRehearses(t *testing.T) {
	r := newRig(t)
	p, g := r.flows(sinks.Policy{DryRun: true})
	r.post(invoice("i1", "invoice/1"), invoice("i2", "invoice/1"), invoice("i3", "invoice/3"))
	r.start()
	l := r.lanes[transform.LaneTransactional]
	r.until("both heads are prepared", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.rehearsed) == 2 })
	var ls LaneStatus
	l.hinder(&ls, nil, nil)
	if !ls.DryRun || len(ls.Rehearsed) != 2 || ls.Rehearsed[0].Step != "create" || string(ls.Rehearsed[0].Request) != `{"n":"`+ls.Rehearsed[0].Delivery+`"}` {
		t.Errorf("%+v", ls)
	}
	if sent := r.sink.sent(); len(sent) > 0 {
		t.Errorf("a dry run sent %v", sent)
	}
	if d := r.delivery("i1"); d.State != StateReady || d.Sends != 0 {
		t.Errorf("i1 is %s after %d sends", d.State, d.Sends)
	}
	g.Set(sinks.Policy{})
	p.tune("erp", Tuning{Workers: 2})
	r.state("i2", StateDone)
	r.state("i3", StateDone)
}

// What a running daemon takes of its configuration is journalled with the old and the new values before it holds.
func TestReload(t *testing.T) {
	r := newRig(t)
	p, _ := r.flows(sinks.Policy{})
	ctx := context.Background()
	var held bool
	p.o.Reread = func() (Reload, func() map[string]Tuning, error) {
		return Reload{File: "waybill.yaml", Changes: []string{"sinks.erp.policy.rate: 5 → 9"}}, func() map[string]Tuning {
			held = true
			return map[string]Tuning{"erp": {Workers: 9, Retry: Retry{MaxAttempts: 7}}}
		}, nil
	}
	r.start()
	done, err := p.Reload(ctx, "ann", "more load")
	if err != nil || !held || len(done.Changes) != 1 {
		t.Fatalf("%+v %v", done, err)
	}
	workers, retry := p.targets[0].bounds()
	if workers != 9 || retry.MaxAttempts != 7 || retry.Cap != time.Minute {
		t.Errorf("%d workers, %+v", workers, retry)
	}
	audit, err := p.Audit(ctx, AuditQuery{})
	if err != nil || len(audit) != 1 || audit[0].Action != "reload" || audit[0].Target != "waybill.yaml" || audit[0].Note != "sinks.erp.policy.rate: 5 → 9" || audit[0].By != "ann" {
		t.Errorf("%+v %v", audit, err)
	}
	held = false
	p.o.Reread = func() (Reload, func() map[string]Tuning, error) { return Reload{}, nil, errors.New("line 3 is wrong") }
	if _, err := p.Reload(ctx, "ann", ""); err == nil || held {
		t.Errorf("a wrong file: %v", err)
	}
	if audit, err := p.Audit(ctx, AuditQuery{}); err != nil || len(audit) != 1 {
		t.Errorf("%+v %v", audit, err)
	}
}

// Of two flows of one lane the paused one, however much of it waits in front, does not hide the other.
func TestPausedFlowHidesNobody(t *testing.T) {
	r := newRig(t)
	p, _ := r.flows(sinks.Policy{})
	var posts []transform.Post
	for i := range headWindow + 20 {
		posts = append(posts, invoice(fmt.Sprintf("i%05d", i), fmt.Sprintf("invoice/%d", i)))
	}
	other := customer("C1")
	other.Lane, other.OrderKey = transform.LaneTransactional, "customer/C1"
	for part := range slices.Chunk(append(posts, other), 250) {
		r.post(part...)
	}
	r.decide(decisionEntry{Action: actionPauseFlow, Flow: &FlowRequest{Sink: "erp", Entity: "sales_invoice"}, By: "ann", Why: "close"})
	if err := p.shutDoors(); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.state("C1", StateDone)
	if sent := r.sink.sent(); len(sent) != 1 {
		t.Errorf("sent %d", len(sent))
	}
}

// Retries beyond their share wait, while first attempts go on.
func TestRetriesHaveABudget(t *testing.T) {
	r := newRig(t)
	_, g := r.flows(sinks.Policy{})
	for g.Again() == 0 { // nothing is saved
	}
	var again atomic.Int64
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Attempt > 1 {
			again.Add(1)
		}
		if strings.HasPrefix(in.ExternalID, "x:bad") {
			return &sinks.Outcome{Class: sinks.RetryLater, Code: "LOCKED", Message: "held by other work"}
		}
		return nil
	})
	var posts []transform.Post
	for i := range 10 {
		posts = append(posts, invoice(fmt.Sprintf("bad%d", i), fmt.Sprintf("invoice/bad%d", i)), invoice(fmt.Sprintf("good%d", i), fmt.Sprintf("invoice/good%d", i)))
	}
	r.post(posts...)
	r.start()
	for i := range 10 {
		r.state(fmt.Sprintf("good%d", i), StateDone)
		r.until("it was tried once", func() bool { return r.delivery(fmt.Sprintf("bad%d", i)).State == StateRetry })
	}
	if n := again.Load(); n > 4 { // 30 first attempts earn three; a second of the clock a tenth of one
		t.Errorf("%d retries of 30 first attempts, want 3", n)
	}
}

// What the governor does not let through is no attempt, however old the delivery is.
func TestExhaustedCountsOnlyCalls(t *testing.T) {
	r := newRig(t)
	l := r.lanes[transform.LaneTransactional]
	old := &delivery{Attempts: 1000, FirstRetry: time.Now().Add(-1000 * time.Hour)}
	for code, want := range map[string]sinks.Class{sinks.CodePaused: sinks.RetryLater, sinks.CodeBudget: sinks.RetryLater, sinks.CodeNotSent: sinks.RetryLater, "LOCKED": sinks.Rejected} {
		if o := l.exhausted(old, sinks.Outcome{Class: sinks.RetryLater, Code: code}); o.Class != want {
			t.Errorf("%s: %s, want %s", code, o.Class, want)
		}
	}
}
