package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// desk is a rig seen as the admin API sees a pipeline.
func (r *rig) desk() *Pipeline {
	p := &Pipeline{store: r.store, project: r.project, log: r.project.log, started: time.Now()}
	for _, l := range r.lanes {
		p.lanes = append(p.lanes, l)
	}
	p.targets = []*target{r.lanes[transform.LaneMaster].target}
	return p
}

// refuses makes the target refuse bodies that hold the text.
func (r *rig) refuses(text, code string) {
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if strings.Contains(string(in.Body), text) {
			return &sinks.Outcome{Class: sinks.Rejected, Code: code, Field: "party", Message: "no party " + text, Hint: "Create it."}
		}
		return nil
	})
}

func told(x ExceptionView) (list []string) {
	for _, n := range x.History {
		list = append(list, strings.TrimSpace(n.What+" "+n.By+" "+n.Text))
	}
	return list
}

// An exception goes through its life: assigned, waiting, woken, edited, resubmitted, resolved; each step has its name in the history.
func TestAnExceptionsLife(t *testing.T) {
	r := newRig(t)
	r.refuses("ACM9", "UNKNOWN_CUSTOMER")
	i1 := invoice("i1", "invoice/i1")
	i1.Body = json.RawMessage(`{"n":"i1","party":"ACM9","ref":"x:i1","total":"10.00"}`)
	r.do(func(_ *state, out *output) error {
		return out.Event(transform.Event{ID: i1.Event, Type: "invoice.released", Entity: "invoice", Key: "i1", Lane: i1.Lane, OrderKey: i1.OrderKey})
	})
	r.post(i1)
	r.start()
	r.state("i1", StateParked)
	p, ctx := r.desk(), context.Background()
	change := func(c ExceptionChange) ExceptionView {
		t.Helper()
		c.IDs, c.By = []string{"X-000001"}, "ann@desk"
		list, err := p.Change(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	if x := change(ExceptionChange{Action: "assign", To: "bob@desk", Team: "master data", Why: "his customer"}); x.State != ExceptionAssigned || x.Person != "bob@desk" || x.Owner != "master data" {
		t.Errorf("%+v", x)
	}
	change(ExceptionChange{Action: "comment", Text: "called the customer"})
	until := time.Now().Add(time.Hour)
	if x := change(ExceptionChange{Action: "wait", Until: until, Why: "closed today"}); x.State != ExceptionWaiting || x.Until == nil {
		t.Errorf("%+v", x)
	}
	// While a person works on it, the list still has it, by each of its marks.
	for name, q := range map[string]ExceptionQuery{"open": {}, "state": {State: ExceptionWaiting}, "person": {Person: "bob@desk"}, "class": {Class: "MASTER"}, "customer": {Customer: "ACM9"},
		"money": {Money: "10"}, "cause": {Cause: "DELIVERY/erp.sales_invoice/UNKNOWN_CUSTOMER/party"}, "before": {Before: until}, "owner": {Owner: "master data"}} {
		if list, err := p.Exceptions(ctx, q); err != nil || len(list) != 1 {
			t.Errorf("by %s: %d, %v", name, len(list), err)
		}
	}
	for name, q := range map[string]ExceptionQuery{"state": {State: ExceptionAssigned}, "person": {Person: "-"}, "class": {Class: "DATA"}, "customer": {Customer: "ACM"}, "money": {Money: "10.01"},
		"overdue": {Overdue: true}, "before": {Before: until.Add(-48 * time.Hour)}} {
		if list, err := p.Exceptions(ctx, q); err != nil || len(list) != 0 {
			t.Errorf("not by %s: %d, %v", name, len(list), err)
		}
	}
	// The edit: what it must not do is refused, the difference is shown, and it is sent with the original beside it.
	for patch, want := range map[string]string{
		`{"ref":"x:i2"}`:   `ref: found "x:i2", expected "x:i1": it is the key by which the target is asked, and stays`,
		`{"total":"9.00"}`: `total: found "9.00", expected "10.00": the money of a document is corrected at its source, by a rebill or a credit`,
		`{"total":null}`:   `total: found null, expected "10.00": the money of a document is corrected at its source, by a rebill or a credit`,
		`{"rate":1.5}`:     `rate: found 1.5, expected the text "1.5": a decimal is written as text, so that it stays exact`,
		`{"party":7}`:      `party: found a number, expected a text, as the mapping builds it`,
		`{"n":"i1"}`:       `the edit changes nothing`,
		`[1]`:              `the body: found [1], expected one JSON object`,
	} {
		if _, err := p.PreviewEdit(ctx, EditRequest{ID: "X-000001", Patch: json.RawMessage(patch)}); err == nil || err.Error() != want {
			t.Errorf("patch %s: %v", patch, err)
		}
	}
	v, err := p.Edit(ctx, EditRequest{ID: "X-000001", Patch: json.RawMessage(`{"party":"110045","memo":"<merged>"}`), By: "ann@desk", Why: "merged customer"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(rawOf(v.Changes)); got != `[{"path":"memo","is":"<merged>"},{"path":"party","was":"ACM9","is":"110045"}]` || v.Exception.State != ExceptionFixed || v.Exception.EditedBy != "ann@desk" {
		t.Errorf("%s, %+v", got, v.Exception)
	}
	change(ExceptionChange{Action: "retry", Why: "edited"})
	r.state("i1", StateDone)
	x, err := p.Exception(ctx, "X-000001")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"opened waybill", "assigned ann@desk to bob@desk, team master data: his customer", "comment ann@desk called the customer",
		"waiting ann@desk until " + until.UTC().Truncate(time.Second).Format(time.RFC3339) + ": closed today",
		`edited ann@desk memo: nothing → "<merged>"; party: "ACM9" → "110045": merged customer`, "resubmitted ann@desk edited", "resolved waybill delivered"}
	if got := told(x); !slices.Equal(got, want) {
		t.Errorf("history\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r.sink.mu.Lock()
	sent := r.sink.held["x:i1 create"]
	r.sink.mu.Unlock()
	if sent != `{"memo":"\u003cmerged\u003e","n":"i1","party":"110045","ref":"x:i1","total":"10.00"}` {
		t.Errorf("sent %s", sent)
	}
	if string(x.Original) != string(i1.Body) || len(x.Attempts) < 4 || x.Delivery.State != string(StateDone) {
		t.Errorf("%+v", x)
	}
	story, err := p.Trace(ctx, "x:i1")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(fmt.Sprint(story), "edited by ann@desk"); n < 2 {
		t.Errorf("the story names the editor %d times: %v", n, story)
	}
	if _, err := p.Change(ctx, ExceptionChange{Action: "comment", IDs: []string{"X-000001"}, Text: "late", By: "ann"}); err == nil || err.Error() != "exception X-000001 (UNKNOWN_CUSTOMER) is resolved already" {
		t.Errorf("a closed one was changed: %v", err)
	}
	if proof := r.proof(""); proof.Bad != 0 || proof.Lines != 5 {
		t.Errorf("%+v", proof)
	}
}

// What is resubmitted and refused again is open again, with its person.
func TestWhatIsStillWrongIsReopened(t *testing.T) {
	r := newRig(t)
	r.refuses("i1", "PERIOD_CLOSED")
	r.post(invoice("i1", "invoice/i1"))
	r.start()
	r.state("i1", StateParked)
	p, ctx := r.desk(), context.Background()
	for _, c := range []ExceptionChange{{Action: "assign", To: "bob@desk"}, {Action: "fix", Why: "period is open"}, {Action: "retry"}} {
		c.IDs, c.By = []string{"X-000001"}, "ann@desk"
		if _, err := p.Change(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	var x ExceptionView
	r.until("it is open again", func() bool {
		var err error
		if x, err = p.Exception(ctx, "X-000001"); err != nil {
			t.Fatal(err)
		}
		return x.State == ExceptionAssigned
	})
	if got := told(x); !slices.Equal(got[3:], []string{"resubmitted ann@desk", "reopened waybill it is still so"}) {
		t.Errorf("%v", got)
	}
}

// All exceptions of a cause are resubmitted by one decision, as bounded work; others stay.
func TestACauseIsResubmitted(t *testing.T) {
	r := newRig(t)
	const many = 3 * judgeAtOnce
	refuse := true
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		switch {
		case in.ExternalID == "x:other":
			return &sinks.Outcome{Class: sinks.Rejected, Code: "TAX_CODE_MISSING", Message: "no tax"}
		case refuse:
			return &sinks.Outcome{Class: sinks.Rejected, Code: "PERIOD_CLOSED", Message: "closed"}
		}
		return nil
	})
	for i := range many {
		id := fmt.Sprint("i", i)
		r.post(invoice(id, "invoice/"+id))
	}
	r.post(invoice("other", "invoice/other"))
	r.start()
	p, ctx := r.desk(), context.Background()
	r.until("all are parked", func() bool {
		list, err := p.Exceptions(ctx, ExceptionQuery{Limit: 1000})
		return err == nil && len(list) == many+1
	})
	r.sink.mu.Lock()
	refuse = false
	r.sink.mu.Unlock()
	list, err := p.Exceptions(ctx, ExceptionQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	groups := ByCause(list)
	if len(groups) != 2 || groups[0].Cause != "DELIVERY/erp.sales_invoice/PERIOD_CLOSED" || len(groups[0].IDs) != many || groups[0].Money["USD"] != fmt.Sprintf("%d.00", 10*many) {
		t.Fatalf("%+v", groups)
	}
	if _, err := p.Change(ctx, ExceptionChange{Action: "retry", Cause: groups[0].Cause, By: "ann@desk", Why: "period is open"}); err != nil {
		t.Fatal(err)
	}
	r.until("those of the cause are delivered", func() bool {
		list, err := p.Exceptions(ctx, ExceptionQuery{Limit: 1000})
		return err == nil && len(list) == 1 && list[0].Code == "TAX_CODE_MISSING" && list[0].State == ExceptionOpen && list[0].Retries == 0
	})
	if lines := r.lines(AuditQuery{}); len(lines) != 1 || lines[0].Target != "cause DELIVERY/erp.sales_invoice/PERIOD_CLOSED" {
		t.Errorf("%+v", lines)
	}
}

// A later version of a refused master record takes its place by itself.
func TestALaterVersionSupersedes(t *testing.T) {
	r := newRig(t)
	r.refuses("old", "BAD_STATE")
	first := customer("C1")
	first.Body = json.RawMessage(`{"state":"old"}`)
	r.post(first)
	r.start()
	r.state("C1", StateParked)
	r.again()
	second := customer("C1-2")
	second.ExternalID, second.OrderKey, second.Refs, second.Body = "C1", "customer/C1", []string{"customer/C1"}, json.RawMessage(`{"state":"new"}`)
	r.post(second)
	r.start()
	r.state("C1-2", StateDone)
	if d := r.delivery("C1"); d.State != StateSuperseded || d.why() != "a later version took its place" {
		t.Errorf("%+v", d)
	}
	x, err := r.desk().Exception(context.Background(), "X-000001")
	if err != nil || x.State != ExceptionSuperseded || x.ClosedBy != "waybill" {
		t.Errorf("%+v, %v", x, err)
	}
}

// again ends everything and makes it anew, as a restart does.
func (r *rig) again() {
	r.stop()
	r.project = newProjector(r.store, r.project.codecs, r.project.log, func() {
		for _, l := range r.lanes {
			l.notify()
		}
	})
	for name, l := range r.lanes {
		r.lanes[name] = newLane(name, l.target, r.store, r.project, newMetrics(nil), r.project.log)
	}
}

// An overdue gate is waived by name: what waits at it goes, later postings are not let through by it.
func TestAGateIsWaived(t *testing.T) {
	r := newRig(t)
	gate := transform.Gate{Kind: transform.GateEvent, Name: "shipment.delivered", Key: "88121", Deadline: time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)}
	r.post(invoice("i1", "invoice/i1", gate), invoice("i2", "invoice/i2", gate))
	r.do(func(s *state, _ *output) error {
		if err := s.overdue("i1", time.Now()); err != nil {
			return err
		}
		return s.overdue("i2", time.Now())
	})
	r.start()
	p, ctx := r.desk(), context.Background()
	if _, err := p.Change(ctx, ExceptionChange{Action: "waive", IDs: []string{"X-000001"}, By: "ann@desk"}); err == nil {
		t.Error("waived without a reason")
	}
	if _, err := p.Change(ctx, ExceptionChange{Action: "waive", IDs: []string{"X-000001"}, By: "ann@desk", Why: "paper is here"}); err != nil {
		t.Fatal(err)
	}
	r.state("i1", StateDone)
	r.state("i2", StateDone)
	x, err := p.Exception(ctx, "X-000001")
	if err != nil || x.State != ExceptionWaived || x.ClosedBy != "ann@desk" || x.Reason != "paper is here" || x.Waiting != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	err = r.store.View(func(tx *checkpoint.Txn) error {
		var m moneySum
		if ok, err := newState(tx).load(bucketMoney, key("USD", "held"), &m); err != nil || ok && !m.Sum.IsZero() {
			t.Errorf("held money %s, %v", m.text(), err)
		}
		k, _, err := newState(tx).first(bucketSubject, "X-000001")
		if k != "" {
			t.Errorf("%q still waits", k)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.post(invoice("i3", "invoice/i3", gate))
	if d := r.delivery("i3"); d.State != StateWaiting {
		t.Errorf("a later posting: %s", d.State)
	}
}

// The due time of the mapping is told once the watermark has passed it; while a person lets it wait, it is not.
func TestAnExceptionBecomesOverdue(t *testing.T) {
	m := newBlastModel(t, "exceptions: { due: { DATA: 1h, MISSING_FIELD: 10s }, owners: { MISSING_FIELD: master data } }\n")
	m.do(func(s *state, out *output) error {
		s.carriers, out.entry.Observed = m.project.mapper, m.tx(1).CommitAt
		if err := out.Problem(transform.Problem{Fingerprint: "f1", Class: "DATA", Code: "MISSING_FIELD", Subject: "customer/K1", Owner: "source data"}); err != nil {
			return err
		}
		return out.Problem(transform.Problem{Fingerprint: "f2", Class: "DATA", Code: "TOTAL_MISMATCH", Subject: "customer/K2", Owner: "source data"})
	})
	m.project.floors = floors{} // the timers were set beside the projector
	until := m.tx(30).CommitAt
	m.mass(0, 1, "a")
	for range 8 {
		m.mass(0, 1, "b")
	}
	if x := m.open("f1"); x.Escalated != nil || x.Problem.Owner != "master data" || x.Version != "parts/1" {
		t.Errorf("too soon: %+v", x)
	}
	m.mass(0, 1, "c")
	m.mass(0, 1, "d")
	m.mass(0, 1, "past it")
	if x := m.open("f1"); x.Escalated == nil || m.open("f2").Escalated != nil {
		t.Errorf("not overdue: %+v", x)
	}
	m.decide(decisionEntry{Action: "wait", IDs: []string{"X-000001"}, Exception: &exceptionWords{Until: &until}, By: "ann"})
	if x := m.open("f1"); x.State != ExceptionWaiting || x.Escalated != nil || !x.Due.Equal(until) {
		t.Errorf("%+v", x)
	}
	for range 20 {
		m.mass(0, 1, "e")
	}
	if x := m.open("f1"); x.State != ExceptionOpen || x.Escalated == nil {
		t.Errorf("not woken: %+v", x)
	}
	err := m.store.View(func(tx *checkpoint.Txn) error {
		st := Status{}
		err := openStats(newState(tx), &st)
		if len(st.Exceptions) != 2 || st.Exceptions[0].Code != "MISSING_FIELD" || st.Exceptions[0].Overdue != 1 || st.Exceptions[1].Overdue != 0 {
			t.Errorf("%+v", st.Exceptions)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
