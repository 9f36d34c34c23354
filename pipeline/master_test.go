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

// governedMapping is partsMapping whose customers need two persons.
const governedMapping = partsMapping + `
masters:
  customer: { approve: { new: none, fields: { name: two } } }
`

// demanding is a scripted target that declares what it demands, and tells edits.
type demanding struct {
	*scripted
	most int
}

func (s *demanding) Entity(name string) (sinks.Entity, error) {
	e, err := s.scripted.Entity(name)
	if name == "customer" {
		e.Edits, e.Takes = true, &transform.TargetTable{Fields: []transform.TargetField{{Name: "name", Required: true, Most: s.most}}}
	}
	return e, err
}

func (s *demanding) Verify(_ context.Context, in sinks.Intent) sinks.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[in.ExternalID+" "+in.Step] == string(in.Request) {
		return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: "ref-" + in.ExternalID}
	}
	return sinks.Outcome{Class: sinks.Absent} // an upsert may be sent again
}

// masterRig is a rig whose customers are governed, with a target that takes names of at most so many characters.
func masterRig(t *testing.T, most int) (*rig, *Pipeline) {
	t.Helper()
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	sink := &demanding{r.sink, most}
	p := fleet(r, governedMapping)
	p.o.Sinks = map[string]sinks.Sink{"erp": sink}
	for _, l := range r.lanes {
		l.sink, l.target.sink = sink, sink
		p.lanes = append(p.lanes, l)
	}
	if err := p.demands(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := p.configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	return r, p
}

// named writes a customer with a name.
func named(n int, op cdc.Op, code, name string) cdc.Batch {
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 9, 0, n, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: fmt.Sprintf("n%d", n), CommitAt: at})
	e.Change(op, partsSchema)
	e.Value([]byte(code))
	e.Value([]byte(name))
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{partsSchema}, CommitAt: at, Position: cdc.Position(fmt.Sprintf("pg/1/1/n%d", n))}
	b.Data, b.Changes = e.Take()
	return b
}

// master shows an entity: versions with their states, and which the target holds.
func (p *Pipeline) master(t *testing.T, ref string) string {
	t.Helper()
	v, err := p.Master(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, x := range v.Versions {
		all = append(all, fmt.Sprintf("%d %s", x.Number, x.State))
	}
	for _, x := range v.Targets {
		if x.Holds && !x.At.IsZero() {
			all = append(all, fmt.Sprintf("%s holds %d", x.Target, x.Version))
		}
	}
	for _, x := range v.Exceptions {
		all = append(all, x.Code)
	}
	return strings.Join(all, ", ")
}

func (p *Pipeline) word(t *testing.T, action MasterAction, by string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := p.JudgeMaster(ctx, MasterRequest{Action: action, Ref: "customer/A1", By: by, Why: "test"})
	return err
}

func refusedMaster(t *testing.T, err error, want string) {
	t.Helper()
	var refused *MasterError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// Two persons bring a version into force; until then the target holds the one before. All is in the journal and in the audit.
func TestMasterVersionsAreApprovedAndAcknowledged(t *testing.T) {
	r, p := masterRig(t, 20)
	r.rows(named(1, cdc.Insert, "A1", "Lone"))
	r.start()
	r.until("the first version is in the target", func() bool { return len(r.sink.sent()) == 1 })
	r.until("and is known to be", func() bool { return p.master(t, "customer/A1") == "1 active, erp.customer holds 1" })
	r.rows(named(2, cdc.Update, "A1", "Lone Star"))
	if got := p.master(t, "A1"); got != "1 active, 2 proposed, erp.customer holds 1, APPROVAL_NEEDED" {
		t.Fatal(got)
	}
	refusedMaster(t, p.word(t, MasterApprove, ""), "needs the person who takes it")
	if err := p.word(t, MasterApprove, "ann@desk"); err != nil {
		t.Fatal(err)
	}
	refusedMaster(t, p.word(t, MasterApprove, "ann@home"), "ann@home has approved it already")
	if n := len(r.sink.sent()); n != 1 {
		t.Fatalf("%d were sent", n)
	}
	if err := p.word(t, MasterApprove, "bob@desk"); err != nil {
		t.Fatal(err)
	}
	r.until("the second version is in the target", func() bool { return p.master(t, "customer/A1") == "1 superseded, 2 active, erp.customer holds 2" })
	refusedMaster(t, p.word(t, MasterApprove, "eve"), "no version of customer/A1 waits")
	audit, err := p.Audit(context.Background(), AuditQuery{Limit: 20})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range audit {
		if strings.HasPrefix(l.Action, "master") {
			lines = append(lines, l.By+" "+l.Action+" "+l.Target+" "+l.Why)
		}
	}
	slices.Sort(lines)
	if got := strings.Join(lines, ", "); got != "ann@desk master approve customer/A1@2 test, bob@desk master approve customer/A1@2 test" {
		t.Error(got)
	}
	x, err := p.Exceptions(context.Background(), ExceptionQuery{State: "all"})
	if err != nil || len(x) != 1 || x[0].ClosedBy != "bob@desk" || x[0].Reason != "test" {
		t.Errorf("%+v %v", x, err)
	}
	list, err := p.Masters(context.Background(), MasterQuery{Entity: "customer", State: "active"})
	if err != nil || len(list) != 1 || list[0].Ref != "customer/A1" || list[0].Versions[0].Number != 2 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = p.Masters(context.Background(), MasterQuery{State: "waiting"}); err != nil || len(list) > 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := p.Master(context.Background(), "customer/A9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// What a person saw is what is approved: a change that comes between is asked again.
func TestAWordForAnotherContentDoesNothing(t *testing.T) {
	r, p := masterRig(t, 20)
	r.rows(named(1, cdc.Insert, "A1", "Lone"))
	r.rows(named(2, cdc.Update, "A1", "Loner"))
	r.start()
	v, err := p.Master(context.Background(), "customer/A1")
	if err != nil {
		t.Fatal(err)
	}
	seen := v.Versions[1].Content
	r.rows(named(3, cdc.Update, "A1", "Lonely"))
	_, err = p.JudgeMaster(context.Background(), MasterRequest{Action: MasterApprove, Ref: "customer/A1", Version: 2, Content: seen, By: "ann", Why: "test"})
	refusedMaster(t, err, "its source has changed it meanwhile")
	late, err := json.Marshal(decisionEntry{Action: actionMaster, By: "ann", Why: "late", Master: &MasterRequest{Action: MasterApprove, Ref: "customer/A1", Version: 2, Content: seen, By: "ann", Why: "late"}})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Decision, late)
	if v, err = p.Master(context.Background(), "customer/A1"); err != nil || len(v.Versions[1].Approvals) > 0 {
		t.Errorf("%+v %v", v.Versions[1], err)
	}
	if err := p.word(t, MasterReject, "ann"); err != nil {
		t.Fatal(err)
	}
	if got := p.master(t, "customer/A1"); !strings.HasPrefix(got, "1 active, 2 rejected") || strings.Contains(got, "APPROVAL_NEEDED") {
		t.Error(got)
	}
}

// What the target demands is in the journal; when another release of it demands less, what was held is judged again. A document whose
// customer was never in force says so at its deadline.
func TestIncompatibleVersionsAreJudgedByTheJournal(t *testing.T) {
	r, p := masterRig(t, 8)
	r.rows(named(1, cdc.Insert, "A1", "Lone Star Foods"))
	gate := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "A1", Deadline: time.Date(2026, 10, 1, 9, 0, 2, 0, time.UTC)}
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.post(invoice("i1", "invoice/1", gate), invoice("i2", "invoice/2", gate))
	r.project.floors = floors{} // the postings were not queued by the projector
	r.rows(named(3, cdc.Insert, "A2", "Short"))
	r.start()
	r.until("the documents' deadline has passed", func() bool { return strings.Contains(r.overdue(p), "2 wait") })
	want := "waits for it: customer/A1 is not in force yet. waybill master show customer/A1 says what its version waits for. 2 wait"
	if got := r.overdue(p); !strings.HasPrefix(got, "erp.customer A1 did not come in time") || !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
	if got := p.master(t, "customer/A1"); got != "1 held, INCOMPATIBLE_MASTER" {
		t.Fatal(got)
	}
	refusedMaster(t, p.word(t, MasterApprove, "ann"), "it does not fit erp.customer")
	last := r.store.Last() // the lane and the clock journal beside us
	if err := p.demands(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := last + 1; i <= r.store.Last(); i++ {
		if e, err := r.store.Read(i); err != nil || e.Kind == checkpoint.Note {
			t.Errorf("what is known was journalled again: %s %v", e.Payload, err)
		}
	}
	next, err := (&demanding{r.sink, 40}).Entity("customer") // of another release
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(noteEntry{Action: noteTargets, Targets: map[string]*transform.TargetTable{"erp.customer": next.Takes}})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Note, payload)
	r.state("i1", StateDone)
	r.state("i2", StateDone)
	r.until("the version is in force", func() bool { return p.master(t, "customer/A1") == "1 active, erp.customer holds 1" })
	if got := r.overdue(p); got != "" {
		t.Error(got)
	}
}

// overdue is the open exception of the gate, for people.
func (r *rig) overdue(p *Pipeline) string {
	r.t.Helper()
	open, err := p.Exceptions(context.Background(), ExceptionQuery{Code: "GATE_OVERDUE"})
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, x := range open {
		all = append(all, fmt.Sprintf("%s. %s %d wait", x.Title, x.Hint, x.Waiting))
	}
	return strings.Join(all, "; ")
}

// Somebody changes the record in the target: the delivery is parked with both values until a person chooses.
func TestAPersonChoosesWhoseValueStays(t *testing.T) {
	r, p := masterRig(t, 40)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Last == nil || in.Take == sinks.TakeTheirs {
			return nil
		}
		return &sinks.Outcome{Class: sinks.Conflict, Code: sinks.CodeChanged, Message: "name is \"Lones\" there", Field: "name",
			Facts: map[string]string{"there.name": "Lones", "last.name": string(in.Last.Body)}}
	})
	r.rows(named(1, cdc.Insert, "A1", "Lone"))
	r.start()
	r.until("the first version is in the target", func() bool { return p.master(t, "customer/A1") == "1 active, erp.customer holds 1" })
	r.rows(named(2, cdc.Update, "A1", "Lone Star"))
	for _, by := range []string{"ann", "bob"} {
		if err := p.word(t, MasterApprove, by); err != nil {
			t.Fatal(err)
		}
	}
	r.until("the second is parked", func() bool {
		return p.master(t, "customer/A1") == "1 superseded, 2 active, erp.customer holds 1, CHANGED_IN_TARGET"
	})
	open, err := p.Exceptions(context.Background(), ExceptionQuery{})
	if err != nil || len(open) != 1 || !strings.Contains(string(open[0].Evidence), `"there.name":"Lones"`) || !strings.Contains(string(open[0].Evidence), `Lone\"}`) {
		t.Fatalf("%+v %v", open, err)
	}
	settle := func(take string) error {
		_, err := p.JudgeMaster(context.Background(), MasterRequest{Action: MasterSettle, Exception: open[0].ID, Take: take, By: "ann", Why: "test"})
		return err
	}
	refusedMaster(t, settle("mine"), "expected whose value stays")
	if err := settle(sinks.TakeTheirs); err != nil {
		t.Fatal(err)
	}
	r.until("the target holds the second", func() bool { return p.master(t, "customer/A1") == "1 superseded, 2 active, erp.customer holds 2" })
	refusedMaster(t, settle(sinks.TakeOurs), "is not about a record that somebody changed")
}

// billedMapping bills customers by what they were when they were ordered.
const billedMapping = partsMapping + `
documents:
  invoice:
    root: dispatch.inv as h
    lines: h.doc as l
    key: h.inv_no
    released_at: h.rel
    emit: { invoice.released: inserted() }
    total: source
    amount: h.amt
    set:
      number: h.inv_no
      date: h.rel
      currency: "USD"
      bill_to: h.cust_cd
      total: money(h.amt)
      lines[]: { net: l.net }
masters:
  customer: { drift: { invoice: { key: bill_to, since: h.ord, fields: { name: order } } } }
`

var billedSchema = &cdc.Schema{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: "inv"}, Codec: "plain/1",
	Columns: []cdc.Column{{Name: "inv_no", Type: "text", Kind: cdc.KindText, Key: true}, {Name: "cust_cd", Type: "text", Kind: cdc.KindText},
		{Name: "amt", Type: "numeric", Kind: cdc.KindDecimal}, {Name: "ord", Type: "date", Kind: cdc.KindDate}, {Name: "rel", Type: "date", Kind: cdc.KindDate},
		{Name: "doc", Type: "json", Kind: cdc.KindJSON}}}

// A person lets documents pass that were ordered from a customer as it was: one of them, then the rest, more than one call takes.
func TestDocumentsOfACustomerThatChangedAreConfirmed(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	p := fleet(r, billedMapping)
	p.o.Sinks = map[string]sinks.Sink{"erp": &demanding{r.sink, 20}}
	if err := p.configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	r.rows(named(1, cdc.Insert, "A1", "Lone"))
	later := named(2, cdc.Update, "A1", "Loner")
	r.rows(later)
	const documents = 130
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 9, 0, 3, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: "d", CommitAt: at})
	for i := range documents {
		e.Change(cdc.Insert, billedSchema)
		for _, v := range []string{fmt.Sprintf("D%03d", i), "A1", "10.00", "2026-09-30", "2026-10-01", `[{"net": "10.00"}]`} {
			e.Value([]byte(v))
		}
	}
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{billedSchema}, CommitAt: at, Position: "pg/1/1/d"}
	b.Data, b.Changes = e.Take()
	r.rows(b)
	r.start()
	var open []ExceptionView
	r.until("all wait on one cause", func() bool {
		var err error
		open, err = p.Exceptions(context.Background(), ExceptionQuery{})
		return err == nil && len(open) == 1 && open[0].Waiting == documents
	})
	if open[0].Code != "MASTER_DRIFT" || !strings.Contains(open[0].Title, "name Lone → Loner") || open[0].Money["USD"] != "1300.00" {
		t.Errorf("%+v", open[0])
	}
	confirm := func(document string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_, err := p.JudgeMaster(ctx, MasterRequest{Action: MasterConfirm, Ref: "A1", Document: document, By: "ann", Why: "agreed"})
		return err
	}
	refusedMaster(t, confirm("invoice/X"), "invoice/X does not wait")
	if err := confirm("invoice/D007"); err != nil {
		t.Fatal(err)
	}
	if open, err := p.Exceptions(context.Background(), ExceptionQuery{}); err != nil || len(open) != 1 || open[0].Waiting != documents-1 {
		t.Fatalf("%+v %v", open, err)
	}
	if err := confirm(""); err != nil {
		t.Fatal(err)
	}
	events, err := p.Events(context.Background(), EventQuery{Type: "invoice.released", Limit: 1000})
	if err != nil || len(events) != documents {
		t.Errorf("%d events, %v", len(events), err)
	}
	refusedMaster(t, confirm(""), "no document waits")
	all, err := p.Exceptions(context.Background(), ExceptionQuery{State: "all"})
	if err != nil || all[0].State != "resolved" {
		t.Errorf("%+v %v", all, err)
	}
}

// What a person writes by hand is approved by others, cannot be let pass by anybody alone, and is not edited past its approval.
func TestWhoWritesAVersionByHandDoesNotApproveIt(t *testing.T) {
	r, p := masterRig(t, 40)
	r.rows(named(1, cdc.Insert, "A1", "Lone"))
	r.rows(named(2, cdc.Update, "A1", "Lone Star"))
	r.start()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r.until("the first version is in the target", func() bool { return strings.Contains(p.master(t, "customer/A1"), "holds 1") })
	open, err := p.Exceptions(ctx, ExceptionQuery{})
	if err != nil || len(open) != 1 || slices.Contains(open[0].Allowed, "waive") {
		t.Fatalf("%+v %v", open, err)
	}
	if _, err := p.Change(ctx, ExceptionChange{Action: "waive", IDs: []string{open[0].ID}, By: "eve", Why: "hurry"}); err == nil {
		t.Error("an approval was waived")
	}
	if _, err := p.Edit(ctx, EditRequest{ID: open[0].ID, Patch: json.RawMessage(`{"name":"Lone Star Foods"}`), By: "eve@desk", Why: "letter"}); err != nil {
		t.Fatal(err)
	}
	refusedMaster(t, p.word(t, MasterApprove, "eve@home"), "eve@home wrote it by hand")
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		return &sinks.Outcome{Class: sinks.Rejected, Code: "NAME", Message: "no"}
	})
	for _, by := range []string{"ann", "bob"} {
		if err := p.word(t, MasterApprove, by); err != nil {
			t.Fatal(err)
		}
	}
	r.until("the target refuses it", func() bool {
		open, err = p.Exceptions(ctx, ExceptionQuery{})
		return err == nil && len(open) == 1 && open[0].Code == "NAME"
	})
	if _, err := p.Edit(ctx, EditRequest{ID: open[0].ID, Patch: json.RawMessage(`{"name":"Loan Star"}`), By: "eve", Why: "letter"}); err == nil || !strings.Contains(err.Error(), "which was approved as it is") {
		t.Errorf("%v", err)
	}
	events, err := p.Events(ctx, EventQuery{Type: "customer.changed"})
	if err != nil || len(events) != 2 || events[1].Edited == 0 || !strings.Contains(string(events[1].Data), `"name":"Lone Star Foods"`) {
		t.Errorf("%+v %v", events, err)
	}
}
