package pipeline

import (
	"fmt"
	"time"

	"waybill/transform"
)

// The life of an exception. A live one is open, assigned, waiting, fixed or resubmitted; the rest are ends. What is resubmitted and
// still wrong goes back to where it was.
const (
	ExceptionOpen        = "open"        // nobody has taken it
	ExceptionAssigned    = "assigned"    // a person has
	ExceptionWaiting     = "waiting"     // until a time, because a person said so
	ExceptionFixed       = "fixed"       // its cause is said to be settled, or its body was edited
	ExceptionResubmitted = "resubmitted" // looked at again; the result is not in
	ExceptionResolved    = "resolved"
	ExceptionWaived      = "waived"     // a named person let it pass
	ExceptionSuperseded  = "superseded" // a later version took its place
	ExceptionDiscarded   = "discarded"  // a named person gave up what waited
)

// ExceptionStates is every state, in the order of a life.
var ExceptionStates = []string{ExceptionOpen, ExceptionAssigned, ExceptionWaiting, ExceptionFixed, ExceptionResubmitted,
	ExceptionResolved, ExceptionWaived, ExceptionSuperseded, ExceptionDiscarded}

// live reports whether something still waits on the exception.
func (x *exception) live() bool { return x.ClosedAt == nil }

// openException opens an exception for the problem, or joins the open one of the same cause. It returns its id.
func (s *state) openException(origin string, p transform.Problem, deliveryID string, at time.Time) (string, error) {
	var x exception
	id, err := s.Get(bucketOpen, p.Fingerprint)
	if err != nil {
		return "", err
	}
	if id == nil {
		n, err := s.next("exception")
		if err != nil {
			return "", err
		}
		id = []byte(fmt.Sprintf("X-%06d", n))
		x = exception{ID: string(id), State: ExceptionOpen, Origin: origin, Delivery: deliveryID, Problem: p, OpenedAt: at, Index: s.at.Index}
		if err := s.Put(bucketOpen, p.Fingerprint, id); err != nil {
			return "", err
		}
		if err := s.duty(&x, at); err != nil {
			return "", err
		}
	} else if _, err := s.load(bucketException, string(id), &x); err != nil {
		return "", err
	} else if err := s.reopen(&x, "it is still so", at); err != nil {
		return "", err
	}
	return x.ID, s.join(&x, p)
}

// join adds the problem's subject to those who wait, once, and remembers the newest title and evidence.
func (s *state) join(x *exception, p transform.Problem) error {
	k := key(x.ID, p.Subject)
	known, err := s.Get(bucketSubject, k)
	if err != nil {
		return err
	}
	if known == nil {
		x.Waiting++
		amount := transform.Money{}
		if p.Amount != nil {
			amount = *p.Amount
		}
		if err := s.save(bucketSubject, k, amount); err != nil {
			return err
		}
		if err := s.mark(bucketSubjectEx, key(p.Subject, x.ID)); err != nil {
			return err
		}
		if x.Origin == originMapping {
			s.held(p.Amount, 1)
		}
	}
	x.Problem.Title, x.Problem.Evidence, x.Problem.Hint = p.Title, p.Evidence, p.Hint
	return s.save(bucketException, x.ID, x)
}

// held counts money of documents that have not reached the outbox.
func (s *state) held(amount *transform.Money, by int64) {
	if amount == nil || amount.Currency == "" {
		return
	}
	k := key(amount.Currency, "held")
	if s.money[k] == nil {
		s.money[k] = &moneySum{}
	}
	s.money[k].add(amount.Amount, by)
}

// resolve takes a subject from the open exception with the fingerprint, and closes it when nobody waits any more.
func (s *state) resolve(fingerprint, subject, by, reason string, at time.Time) error {
	id, err := s.Get(bucketOpen, fingerprint)
	if err != nil || id == nil {
		return err
	}
	var x exception
	if _, err := s.load(bucketException, string(id), &x); err != nil {
		return err
	}
	var amount transform.Money
	ok, err := s.load(bucketSubject, key(x.ID, subject), &amount)
	if err != nil || !ok {
		return err
	}
	if err := s.Delete(bucketSubject, key(x.ID, subject)); err != nil {
		return err
	}
	x.Waiting--
	if x.Origin == originMapping {
		s.held(&amount, -1)
	}
	if x.Waiting > 0 {
		return s.save(bucketException, x.ID, &x)
	}
	return s.closeException(&x, ExceptionResolved, by, reason, at)
}

// closeException ends the life of an exception. What a person said is kept in the audit's line alone, where it can be redacted.
func (s *state) closeException(x *exception, state, by, reason string, at time.Time) error {
	if x.State != ExceptionOpen || x.Notes > 0 { // otherwise there is nothing between its beginning and its end
		if err := s.note(x, exceptionNote{At: at, What: state, State: state, Text: byWaybill(by, reason)}); err != nil {
			return err
		}
	}
	x.State, x.ClosedBy, x.Reason, x.ClosedAt, x.ClosedIndex = state, by, reason, &at, s.at.Index
	if s.at.Line > 0 && by != daemon {
		x.ClosedBy, x.Reason, x.ClosedLine = "", "", s.at.Line
	}
	if err := s.Delete(bucketOpen, x.Problem.Fingerprint); err != nil {
		return err
	}
	for _, id := range []string{dueTimer(x.ID), waitTimer(x.ID)} {
		if err := s.clearTimer(id); err != nil {
			return err
		}
	}
	return s.save(bucketException, x.ID, x)
}

// closed says who closed an exception and why.
func (s *state) closed(x *exception) (by, why string, err error) {
	if x.ClosedLine == 0 {
		return x.ClosedBy, x.Reason, nil
	}
	line, err := s.auditLine(x.ClosedLine)
	if err != nil || line == nil {
		return "", "", err
	}
	return line.shown("by", line.By), line.shown("why", line.Why), nil
}

// daemon is who decides when no person does.
const daemon = "waybill"

func byWaybill(by, reason string) string {
	if by == daemon {
		return reason
	}
	return ""
}

func (s *state) exception(id string) (*exception, error) {
	var x exception
	ok, err := s.load(bucketException, id, &x)
	if err != nil || !ok {
		return nil, err
	}
	return &x, nil
}
