package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// ExceptionChange is what a named person decides about exceptions: those of IDs, or all live ones of a cause.
type ExceptionChange struct {
	Action string    `json:"action"` // assign, comment, wait, fix, retry, waive, release
	IDs    []string  `json:"ids,omitempty"`
	Cause  string    `json:"cause,omitempty"`
	To     string    `json:"to,omitempty"`   // assign: the person; empty gives it back to the team
	Team   string    `json:"team,omitempty"` // assign: the team that owns it from now on
	Until  time.Time `json:"until,omitzero"` // wait
	Text   string    `json:"text,omitempty"` // comment
	By     string    `json:"by"`
	Why    string    `json:"why,omitempty"`
}

// ChangeActions are the actions of an ExceptionChange.
var ChangeActions = []string{"assign", "comment", "wait", "fix", "retry", "waive", "release"}

// maxComment bounds a comment, in bytes.
const maxComment = 4000

// Valid reports what is wrong with the change itself.
func (c *ExceptionChange) Valid() error {
	switch {
	case !slices.Contains(ChangeActions, c.Action):
		return fmt.Errorf("action: found %q, expected one of %s", c.Action, strings.Join(ChangeActions, ", "))
	case strings.TrimSpace(c.By) == "":
		return errors.New("a decision needs the name of the person who takes it")
	case (len(c.IDs) > 0) == (c.Cause != ""):
		return errors.New("name exceptions by their ids, or all of a cause, and not both")
	case c.Cause != "" && c.Action == "release":
		return errors.New("what a rule made too much of is released one by one")
	case c.Action == "comment" && strings.TrimSpace(c.Text) == "":
		return errors.New("the comment is empty")
	case len(c.Text) > maxComment:
		return fmt.Errorf("the comment has %d bytes; at most %d are kept", len(c.Text), maxComment)
	case c.Action == "wait" && c.Until.IsZero():
		return errors.New("waiting needs the time until which")
	case (c.Action == "waive" || c.Action == "release") && strings.TrimSpace(c.Why) == "":
		return fmt.Errorf("a %s needs a reason; it is kept in the audit", c.Action)
	}
	return nil
}

// exceptionWords is what a decision says of exceptions beyond their ids.
type exceptionWords struct {
	Cause string     `json:"cause,omitempty"`
	To    string     `json:"to,omitempty"`
	Team  string     `json:"team,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	Text  string     `json:"text,omitempty"`
}

// note is the words for the audit.
func (w *exceptionWords) note() string {
	var parts []string
	if w.To != "" {
		parts = append(parts, "to "+w.To)
	}
	if w.Team != "" {
		parts = append(parts, "team "+w.Team)
	}
	if w.Until != nil {
		parts = append(parts, "until "+w.Until.UTC().Format(time.RFC3339))
	}
	if w.Text != "" {
		parts = append(parts, w.Text)
	}
	return strings.Join(parts, ", ")
}

// Change applies a decision about exceptions and returns them as they are then; of a cause, as many as a listing has.
func (p *Pipeline) Change(ctx context.Context, c ExceptionChange) ([]ExceptionView, error) {
	if err := c.Valid(); err != nil {
		return nil, err
	}
	ids := c.IDs
	if c.Cause != "" {
		list, err := p.Exceptions(ctx, ExceptionQuery{Cause: c.Cause, Limit: listMost})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("no exception of the cause %q: %w", c.Cause, ErrNotFound)
		}
		for _, x := range list {
			ids = append(ids, x.ID)
		}
	}
	for _, id := range ids {
		if err := p.allows(c.Action, id); err != nil {
			return nil, err
		}
	}
	words := exceptionWords{Cause: c.Cause, To: c.To, Team: c.Team, Text: c.Text}
	if !c.Until.IsZero() {
		until := c.Until.UTC().Truncate(time.Microsecond)
		words.Until = &until
	}
	if err := p.decide(ctx, decisionEntry{Action: c.Action, IDs: c.IDs, Exception: &words, By: c.By, Why: c.Why}); err != nil {
		return nil, err
	}
	if c.Action == "retry" {
		p.kick()
	}
	return p.views(ctx, ids)
}

// allows says why an exception cannot be changed so.
func (p *Pipeline) allows(action, id string) error {
	return p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		x, err := s.exception(id)
		switch {
		case err != nil:
			return err
		case x == nil:
			return fmt.Errorf("exception %q: %w", id, ErrNotFound)
		case !x.live():
			return cannot(x, "is %s already", x.State)
		case action == "comment" && x.Notes >= maxNotes:
			return cannot(x, "has %d notes, and keeps no more", maxNotes)
		case action == "release" && x.Origin != originBlast:
			return cannot(x, "holds nothing to release; settle its cause and retry it")
		case action == "retry" && x.Origin == originBlast:
			return cannot(x, "is released or discarded: a retry would send what was held")
		case action == "retry" && x.Problem.Code == codeUncertain:
			return cannot(x, "cannot be retried. %s", x.Problem.Hint)
		case action == "waive":
			return p.waivable(s, x)
		}
		return nil
	})
}

func cannot(x *exception, format string, args ...any) error {
	return fmt.Errorf("exception %s (%s) "+format, append([]any{x.ID, x.Problem.Code}, args...)...)
}

// waivable says why a problem cannot be let pass: something is missing without which nothing can go on.
func (p *Pipeline) waivable(s *state, x *exception) error {
	switch x.Origin {
	case originGate:
		return nil
	case originMapping:
		carriers, err := s.compiled()
		if err != nil {
			return err
		}
		waits, err := carriers.Waits(s, x.Problem.Fingerprint)
		if err != nil || !waits || transform.Waivable(x.Problem.Class, x.Problem.Code) {
			return err
		}
		return cannot(x, "cannot be waived: what waits lacks something. Settle the cause and retry it, edit it, or discard it")
	case originDelivery:
		return cannot(x, "cannot be waived: the target refused it. Edit it and retry it, or discard it")
	case originFeed:
		return cannot(x, "cannot be waived: the target refused it. Retry it, or discard it, which lets its order key go on")
	}
	return cannot(x, "cannot be waived: it ends when its cause is removed")
}

// views returns exceptions as they are now, in the order of the ids.
func (p *Pipeline) views(ctx context.Context, ids []string) ([]ExceptionView, error) {
	var list []ExceptionView
	for _, id := range ids {
		x, err := p.Exception(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

// change notes what a person said about an exception. The caller saves it.
func (s *state) change(x *exception, d decisionEntry, at time.Time) error {
	w := d.Exception
	if w == nil {
		return fmt.Errorf("the decision %q of exception %s says nothing more", d.Action, x.ID)
	}
	n := exceptionNote{At: at, What: d.Action}
	switch d.Action {
	case "assign":
		n.What = "assigned"
		x.Person = w.To
		if w.Team != "" {
			x.Problem.Owner = w.Team
		}
		if x.State == ExceptionOpen || x.State == ExceptionAssigned {
			x.State = x.taken()
		}
	case "wait":
		n.What, n.Until = "waiting", w.Until
		x.State, x.Until = ExceptionWaiting, w.Until
		if err := s.setTimer(transform.Timer{ID: waitTimer(x.ID), At: *w.Until, Payload: x.ID}); err != nil {
			return err
		}
		if err := s.postpone(x, *w.Until); err != nil {
			return err
		}
	case "fix":
		n.What, x.State = "fixed", ExceptionFixed
	}
	n.State = x.State
	return s.note(x, n)
}

// waive lets a problem pass, by a named person: what waits goes on without what the problem asks for.
func (p *projector) waive(s *state, x *exception, d decisionEntry, at time.Time) error {
	switch x.Origin {
	case originGate:
		x.Waiting = 0
		if err := s.closeException(x, ExceptionWaived, d.By, d.Why, at); err != nil {
			return err
		}
		return s.addWorks(work{Kind: workUngate, Key: x.Problem.Fingerprint}, work{Kind: workSubjects, Key: x.ID})
	case originMapping:
		return s.closeAll(x, ExceptionWaived, workWaive, d, at)
	}
	return nil // refused before it was journalled
}

// ungate lets those who wait at a gate now pass it, some at a time.
func (s *state) ungate(w *work, at time.Time) (done bool, err error) {
	parts := strings.SplitN(strings.TrimPrefix(w.Key, gatePrefix), "/", 3)
	if len(parts) != 3 {
		return false, fmt.Errorf("no gate in %q", w.Key)
	}
	gate := transform.Gate{Kind: transform.GateKind(parts[0]), Name: parts[1], Key: parts[2]}
	return s.each(bucketGate, gateKey(gate)+sep, &w.Cursor, func(k string, _ []byte) (bool, error) {
		if err := s.Delete(bucketGate, k); err != nil {
			return false, err
		}
		d, err := s.delivery(strings.TrimPrefix(k, gateKey(gate)+sep))
		if err != nil || d == nil {
			return err == nil, err
		}
		d.Unmet = slices.DeleteFunc(d.Unmet, func(g transform.Gate) bool { return gateKey(g) == gateKey(gate) })
		if len(d.Unmet) == 0 {
			if err := s.clearTimer("gate/" + d.Post.ID); err != nil {
				return false, err
			}
		}
		if err := s.putDelivery(d); err != nil {
			return false, err
		}
		return true, s.advance(d.Post)
	})
}

// cause groups exceptions that one settlement would end: what the mapper says is the cause, or of deliveries the target, the code
// and the field that it complained about.
func (x *exception) cause() string {
	if x.Origin == originFeed {
		return x.feedCause()
	}
	if x.Origin != originDelivery {
		return x.Problem.Fingerprint
	}
	var e struct {
		Target string `json:"target"`
		Field  string `json:"field"`
	}
	if json.Unmarshal(x.Problem.Evidence, &e) != nil || e.Target == "" { // of an earlier release
		return "DELIVERY/" + x.Problem.Code
	}
	return strings.TrimSuffix("DELIVERY/"+e.Target+"/"+x.Problem.Code+"/"+e.Field, "/")
}
