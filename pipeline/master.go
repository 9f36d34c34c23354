package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// actionMaster is the decision about master data: a version, or whose value stays where the ERP was changed by hand.
const actionMaster = "master"

// MasterAction is a kind of decision about master data.
type MasterAction string

// The decisions.
const (
	MasterApprove MasterAction = "approve" // a version may come into force, as far as this person is asked
	MasterReject  MasterAction = "reject"  // a version never comes into force
	MasterConfirm MasterAction = "confirm" // documents pass for which the entity was another when they were ordered
	MasterSettle  MasterAction = "settle"  // somebody changed the record in the target: whose value stays
)

// MasterRequest is what a person decides. By and Why are needed for each.
type MasterRequest struct {
	Action    MasterAction `json:"action"`
	Ref       string       `json:"ref,omitempty"`      // customer/104377
	Version   int          `json:"version,omitempty"`  // 0: the one that waits; of a confirmation the one in force
	Document  string       `json:"document,omitempty"` // invoice/A1: which document is confirmed; empty for all that wait
	Content   string       `json:"content,omitempty"`  // of the version that was looked at, filled when it is journalled
	Exception string       `json:"exception,omitempty"`
	Take      string       `json:"take,omitempty"` // sinks.TakeOurs or sinks.TakeTheirs
	By        string       `json:"by"`
	Why       string       `json:"why,omitempty"`
}

// text names the decision in the audit.
func (r *MasterRequest) text() string {
	if r.Action == MasterSettle {
		return r.Exception + " takes " + r.Take
	}
	if r.Document != "" {
		return fmt.Sprintf("%s@%d for %s", r.Ref, r.Version, r.Document)
	}
	return fmt.Sprintf("%s@%d", r.Ref, r.Version)
}

// MasterError says why an entity was not found, or a decision is refused. Nothing was decided.
type MasterError struct {
	Reason string
	Hint   string
	Absent bool // there is no such thing
}

func (e *MasterError) Error() string { return e.Reason }

// Is lets callers ask for ErrNotFound.
func (e *MasterError) Is(target error) bool { return target == ErrNotFound && e.Absent }

// JudgeMaster takes a decision about master data and returns when it is applied, with the entity as it is then. The error is a *MasterError
// when it does not fit. What its source changes between the look and the decision is not approved unseen: the decision names what it saw.
func (p *Pipeline) JudgeMaster(ctx context.Context, r MasterRequest) (MasterView, error) {
	if strings.TrimSpace(r.By) == "" || strings.TrimSpace(r.Why) == "" {
		return MasterView{}, &MasterError{Reason: "a decision about master data needs the person who takes it, and the reason"}
	}
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		switch r.Action {
		case MasterSettle:
			return s.changedInTarget(&r)
		case MasterConfirm:
			return s.drifted(&r)
		}
		return s.judgeable(&r)
	})
	if err != nil {
		return MasterView{}, err
	}
	if err := p.decide(ctx, decisionEntry{Action: actionMaster, Master: &r, By: r.By, Why: r.Why}); err != nil {
		return MasterView{}, err
	}
	for _, l := range p.lanes {
		l.notify()
	}
	v, err := p.Master(ctx, r.Ref)
	var unknown *MasterError
	if errors.As(err, &unknown) && r.Action == MasterSettle { // of a mapping that governs it no more
		return MasterView{MasterEntity: transform.MasterEntity{Ref: r.Ref, Versions: []transform.MasterVersion{}}}, nil
	}
	return v, err
}

// judgeable refuses a word that does not fit the version that waits, and completes the request.
func (s *state) judgeable(r *MasterRequest) error {
	e, err := s.masterEntity(r.Ref)
	if err != nil {
		return err
	}
	if r.Version == 0 {
		switch len(e.Waiting) {
		case 0:
			return &MasterError{Reason: "no version of " + e.Ref + " waits", Hint: "waybill master list shows what does."}
		case 1:
			r.Version = e.Waiting[0]
		default:
			return &MasterError{Reason: fmt.Sprintf("%d versions of %s wait", len(e.Waiting), e.Ref), Hint: "Name one with --version; waybill master show " + e.Ref + " lists them."}
		}
	}
	i := slices.IndexFunc(e.Versions, func(v transform.MasterVersion) bool { return v.Number == r.Version })
	if i < 0 {
		return &MasterError{Reason: fmt.Sprintf("%s has no version %d", e.Ref, r.Version), Hint: "waybill master show " + e.Ref + " lists them.", Absent: true}
	}
	v := &e.Versions[i]
	if r.Content == "" {
		r.Content = v.Content
	}
	j := r.judgement(time.Time{})
	if j.Editor, err = s.editor(v); err != nil {
		return err
	}
	if why := j.Refusal(v); why != "" {
		return &MasterError{Reason: fmt.Sprintf("version %d of %s cannot be judged: %s", v.Number, e.Ref, why), Hint: "waybill master show " + e.Ref + " says what it waits for."}
	}
	return nil
}

func (r *MasterRequest) judgement(at time.Time) transform.MasterJudgement {
	return transform.MasterJudgement{Ref: r.Ref, Version: r.Version, Content: r.Content, Approve: r.Action == MasterApprove, By: r.By, At: at}
}

// editor is who wrote fields of a version by hand; empty for nobody, and when the audit's line was redacted.
func (s *state) editor(v *transform.MasterVersion) (string, error) {
	if v.Edited == 0 {
		return "", nil
	}
	line, err := s.auditLine(v.Edited)
	if err != nil || line == nil {
		return "", err
	}
	return line.By, nil
}

// drifted refuses a confirmation for which nothing waits, and completes the request.
func (s *state) drifted(r *MasterRequest) error {
	e, err := s.masterEntity(r.Ref)
	if err != nil {
		return err
	}
	r.Ref = e.Ref
	if r.Version == 0 {
		r.Version = e.Active
	}
	if r.Version != e.Active {
		return &MasterError{Reason: fmt.Sprintf("version %d of %s is in force, not %d", e.Active, e.Ref, r.Version), Hint: "waybill master show " + e.Ref + " lists them."}
	}
	known, err := s.activations()
	if err != nil {
		return err
	}
	for scope := range known {
		fp := transform.MasterDrift(e.Ref, e.Active)
		if scope != "" {
			fp = scope + ":" + fp
		}
		id, err := s.Get(bucketOpen, fp)
		if err != nil {
			return err
		}
		if id == nil {
			continue
		}
		if r.Document == "" {
			return nil
		}
		if waits, err := s.Get(bucketSubject, key(string(id), r.Document)); err != nil || waits != nil {
			return err
		}
	}
	what := "no document waits"
	if r.Document != "" {
		what = r.Document + " does not wait"
	}
	return &MasterError{Reason: fmt.Sprintf("%s because %s was another when it was ordered", what, e.Ref), Hint: "waybill exceptions list --code MASTER_DRIFT shows what does."}
}

// changedInTarget refuses an exception that is not about a record which somebody changed in the target, and completes the request.
func (s *state) changedInTarget(r *MasterRequest) error {
	if r.Take != sinks.TakeOurs && r.Take != sinks.TakeTheirs {
		return &MasterError{Reason: fmt.Sprintf("found %q, expected whose value stays: %s or %s", r.Take, sinks.TakeOurs, sinks.TakeTheirs)}
	}
	x, err := s.exception(r.Exception)
	if err != nil {
		return err
	}
	if x == nil {
		return &MasterError{Reason: "there is no exception " + r.Exception, Hint: "waybill exceptions list --code " + sinks.CodeChanged + " shows them.", Absent: true}
	}
	d, err := s.delivery(x.Delivery)
	if err != nil {
		return err
	}
	if d == nil || d.State != StateParked || d.Exception != x.ID || d.Last == nil || d.Last.Code != sinks.CodeChanged {
		return &MasterError{Reason: "exception " + x.ID + " is not about a record that somebody changed in the target, or is closed",
			Hint: "waybill exceptions list --code " + sinks.CodeChanged + " shows them."}
	}
	r.Ref = subjectOf(d.Post)
	return nil
}

// master applies a decision about master data. What fits no more does nothing.
func (p *projector) master(s *state, d decisionEntry, e checkpoint.Entry) error {
	if d.Master.Action == MasterSettle {
		r := *d.Master
		if err := s.changedInTarget(&r); err != nil {
			var late *MasterError
			if errors.As(err, &late) {
				return nil
			}
			return err
		}
		return s.takeSide(r)
	}
	if p.mapper == nil {
		return nil
	}
	marks, now, err := p.now(s)
	if err != nil {
		return err
	}
	at := transform.Entry{Index: e.Index, Observed: e.At, Now: now, Marks: marks}
	if d.Master.Action == MasterConfirm {
		out := &judged{output{s: s, entry: at}, d.By, "confirmed: " + d.Why}
		if err := p.mapper.ConfirmMaster(s, out, at, d.Master.Ref, d.Master.Document, d.Master.Version); err != nil {
			return err
		}
		return s.addWork(work{Kind: workTimers}) // the rest, when many wait
	}
	out := &judged{output{s: s, entry: at}, d.By, map[bool]string{true: "approved: ", false: "rejected: "}[d.Master.Action == MasterApprove] + d.Why}
	j := d.Master.judgement(e.At)
	if j.Editor, err = s.editorOf(d.Master); err != nil {
		return err
	}
	return p.mapper.JudgeMaster(s, out, at, j)
}

// editorOf is editor of the version that a request names.
func (s *state) editorOf(r *MasterRequest) (string, error) {
	e, err := s.masterEntity(r.Ref)
	if err != nil {
		var gone *MasterError
		if errors.As(err, &gone) {
			return "", nil
		}
		return "", err
	}
	for i := range e.Versions {
		if e.Versions[i].Number == r.Version {
			return s.editor(&e.Versions[i])
		}
	}
	return "", nil
}

// takeSide sends a delivery again, with a person's word on whose value stays.
func (s *state) takeSide(r MasterRequest) error {
	x, err := s.exception(r.Exception)
	if err != nil {
		return err
	}
	d, err := s.delivery(x.Delivery)
	if err != nil {
		return err
	}
	d.Take = r.Take
	if err := s.putDelivery(d); err != nil {
		return err
	}
	return s.again(d.Post.ID)
}

// judged closes exceptions in the name of the person who judged.
type judged struct {
	output
	by, why string
}

// Resolve implements transform.Output.
func (o *judged) Resolve(fingerprint, subject string) error {
	return o.s.resolve(fingerprint, subject, o.by, o.why, o.entry.Observed)
}

// changeable adds to an operation on governed master data what was written last and whose value a person chose, where the sink tells edits.
func (s *state) changeable(d *delivery, ent sinks.Entity, op *sinks.Operation) error {
	var row ledgerRow
	ok, err := s.load(bucketLedger, ledgerKey(d.Post, ent.Steps[len(ent.Steps)-1]), &row)
	if err != nil || !ok {
		return err
	}
	last, err := s.delivery(row.Delivery)
	if err != nil || last == nil {
		return err
	}
	op.Last, op.Take = &sinks.Last{Body: last.Post.Body, Facts: row.Facts}, d.Take
	return nil
}

// blocker says that a gate waits for an entity of which no version is in force, in words; both empty when it does not.
func (s *state) blocker(g transform.Gate) (title, hint string, err error) {
	if g.Kind != transform.GateLedger {
		return "", "", nil
	}
	states, err := s.caseStates()
	for _, st := range states {
		if err != nil {
			return "", "", err
		}
		var ref string
		if ref, err = transform.MasterAsked(st, g.Name, g.Key); ref != "" {
			return fmt.Sprintf("%s is not in force yet", ref), fmt.Sprintf("waybill master show %s says what its version waits for.", ref), err
		}
	}
	return "", "", err
}
