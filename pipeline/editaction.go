package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// edit applies a person's edit of a parked delivery: its next intent freezes the edited body, and the original is kept beside it. An
// edit of a body that has changed since it was looked at does nothing but leave its line.
func (p *projector) edit(s *state, d decisionEntry, e checkpoint.Entry) error {
	if d.Edit.Fields != nil {
		return p.amend(s, d, e)
	}
	dl, err := s.delivery(d.Edit.Delivery)
	if err != nil || dl == nil || dl.State != StateParked || len(dl.Done) > 0 {
		return err
	}
	x, err := s.exception(dl.Exception)
	if err != nil || x == nil || !x.live() {
		return err
	}
	if digest(string(dl.Post.Body)) != d.Edit.Was {
		if err := s.note(x, exceptionNote{At: e.At, What: "edit refused", State: x.State, Text: "the body had changed since it was looked at"}); err != nil {
			return err
		}
		return s.save(bucketException, x.ID, x)
	}
	if dl.Original == nil {
		dl.Original = dl.Post.Body
	}
	dl.Post.Body, dl.Edited = d.Edit.Body, s.at.Line
	if err := s.putDelivery(dl); err != nil {
		return err
	}
	x.State = ExceptionFixed
	if err := s.note(x, exceptionNote{At: e.At, What: "edited", State: x.State}); err != nil {
		return err
	}
	if err := s.save(bucketException, x.ID, x); err != nil || !d.Edit.Resubmit {
		return err
	}
	return p.retry(s, x, d, e.At)
}

// amend gives fields of what the mapping holds the values that a person wrote, and has it evaluated again.
func (p *projector) amend(s *state, d decisionEntry, e checkpoint.Entry) error {
	x, err := s.exception(d.IDs[0])
	if err != nil || x == nil || !x.live() {
		return err
	}
	if err := s.note(x, exceptionNote{At: e.At, What: "edited", State: x.State}); err != nil {
		return err
	}
	if err := s.save(bucketException, x.ID, x); err != nil {
		return err
	}
	marks, now, err := p.now(s)
	if err != nil {
		return err
	}
	at := transform.Entry{Index: e.Index, Observed: e.At, Now: now, Marks: marks}
	return p.mapper.Amend(s, &output{s: s, entry: at}, at, x.Problem.Fingerprint, d.Edit.Subject, d.Edit.Fields, s.at.Line)
}

// prepareAmend shows what fields written by hand make of something that the mapping holds.
func (p *Pipeline) prepareAmend(r EditRequest, v ExceptionView) (*bodyEdit, EditView, error) {
	subject := r.Subject
	switch {
	case len(r.Body) > 0:
		return nil, EditView{}, fmt.Errorf("exception %s (%s): what the mapping holds has no body yet; give a patch of its fields", v.ID, v.Code)
	case subject == "" && v.Waiting == 1:
		subject = v.Subjects[0]
	case subject == "":
		return nil, EditView{}, fmt.Errorf("exception %s (%s) holds %d: say which one to edit, such as %s; or settle the cause for all", v.ID, v.Code, v.Waiting, v.Subjects[0])
	}
	patch, err := parseBody(r.Patch)
	if err != nil {
		return nil, EditView{}, err
	}
	fields := map[string]json.RawMessage{}
	for name, value := range patch.(map[string]any) {
		fields[name] = rawOf(value)
	}
	if len(fields) == 0 {
		return nil, EditView{}, errors.New("the edit changes nothing")
	}
	e := &bodyEdit{Subject: subject, Fields: fields}
	view := EditView{Exception: v}
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		x, err := s.exception(v.ID)
		if err != nil || x == nil {
			return err
		}
		carriers, err := s.compiled()
		if err != nil {
			return err
		}
		a, err := carriers.PreviewAmend(s, x.Problem.Fingerprint, subject, fields)
		if err != nil {
			return &EditError{Field: subject, Found: err.Error()}
		}
		was, err := parseBody(a.Was)
		if err != nil {
			return err
		}
		is, err := parseBody(a.Is)
		if err != nil {
			return err
		}
		e.Changes = differences("", was, is, nil)
		view.Body, view.Original, view.Changes = a.Is, a.Was, e.Changes
		for _, left := range a.Left {
			view.Notes = append(view.Notes, "Still waits: "+left)
		}
		return nil
	})
	return e, view, err
}

// PreviewEdit shows what an edit would change, and refuses one that cannot be.
func (p *Pipeline) PreviewEdit(ctx context.Context, r EditRequest) (EditView, error) {
	_, v, err := p.prepareEdit(ctx, r)
	return v, err
}

// Edit changes the body of a posting that its target refused. The person's name and the reason go with it to the end.
func (p *Pipeline) Edit(ctx context.Context, r EditRequest) (EditView, error) {
	if strings.TrimSpace(r.Why) == "" {
		return EditView{}, errors.New("an edit needs a reason; it is kept in the audit")
	}
	e, v, err := p.prepareEdit(ctx, r)
	if err != nil {
		return v, err
	}
	if err := p.decide(ctx, decisionEntry{Action: "edit", IDs: []string{r.ID}, Edit: e, By: r.By, Why: r.Why}); err != nil {
		return v, err
	}
	if r.Resubmit {
		p.kick()
	}
	v.Exception, err = p.Exception(ctx, r.ID)
	return v, err
}

func (p *Pipeline) prepareEdit(ctx context.Context, r EditRequest) (*bodyEdit, EditView, error) {
	var d *delivery
	v, err := p.Exception(ctx, r.ID)
	if err != nil {
		return nil, EditView{}, err
	}
	if v.Origin == originMapping && v.ClosedAt == nil {
		return p.prepareAmend(r, v)
	}
	if v.Delivery == nil || v.ClosedAt != nil || v.Delivery.State != string(StateParked) {
		return nil, EditView{}, fmt.Errorf("exception %s (%s) holds no posting that its target refused: only the body of such a one is edited", v.ID, v.Code)
	}
	err = p.store.View(func(tx *checkpoint.Txn) error {
		d, err = newState(tx).delivery(v.Delivery.ID)
		return err
	})
	if err != nil || d == nil {
		return nil, EditView{}, err
	}
	if d.Post.Version > 0 {
		return nil, EditView{}, fmt.Errorf("exception %s (%s) holds version %d of %s, which was approved as it is: correct it in its source", v.ID, v.Code, d.Post.Version, subjectOf(d.Post))
	}
	if len(d.Done) > 0 {
		return nil, EditView{}, fmt.Errorf("exception %s (%s): %s holds a first step of it already, made of the body as it is; settle it there, then retry or discard it",
			v.ID, v.Code, d.Post.Sink)
	}
	was, is, err := r.edited(d.Post.Body)
	if err != nil {
		return nil, EditView{}, err
	}
	e := &bodyEdit{Delivery: d.Post.ID, Was: digest(string(d.Post.Body)), Body: rawOf(is), Changes: differences("", was, is, nil), Resubmit: r.Resubmit}
	if err := checkBody(d.Post, was, is, e.Changes); err != nil {
		return nil, EditView{}, err
	}
	if len(e.Body) > maxEdited {
		return nil, EditView{}, &EditError{"the body", fmt.Sprintf("%d bytes", len(e.Body)), fmt.Sprintf("at most %d", maxEdited)}
	}
	view := EditView{Exception: v, Changes: e.Changes, Body: e.Body, Original: d.Original}
	if view.Original == nil {
		view.Original = d.Post.Body
	}
	note, err := p.wouldTake(ctx, d, e)
	if note != "" {
		view.Notes = append(view.Notes, note)
	}
	return e, view, err
}
