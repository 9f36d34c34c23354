package transform

import (
	"fmt"
	"strings"
	"time"
)

// The kinds of waiters that cases have, and the ids of their timers.
const (
	waiterCase = "case"
	waiterLink = "link"
	timerCase  = "case/"
	timerLink  = "case-link/"
	timerAgain = "case-again/"
)

// caseTimer handles the timers of cases and reports whether t was one.
func (r *run) caseTimer(t Timer) (mine bool, err error) {
	if id, ok := strings.CutPrefix(t.ID, timerCase); ok {
		rec, err := r.caseRecord(id)
		if err != nil || rec == nil || r.m.cases == nil {
			return true, err
		}
		rec.Timer = time.Time{}
		if t.At.After(rec.Past) {
			rec.Past = t.At
		}
		return true, r.judgeCase(rec)
	}
	if strings.HasPrefix(t.ID, timerLink) {
		return true, r.linkTimer(t.Payload)
	}
	if strings.HasPrefix(t.ID, timerAgain) {
		parts := stateParts(t.Payload)
		if len(parts) != 2 {
			return true, fmt.Errorf("timer %s: payload %q", t.ID, t.Payload)
		}
		return true, r.placeAgain(parts[0], parts[1])
	}
	return false, nil
}

// caseAgain looks again at a case, or at an event without one, that waits on a problem.
func (r *run) caseAgain(w waiter) error {
	if w.kind == waiterLink {
		l, err := r.link(w.id)
		if err != nil || l == nil {
			return err
		}
		if r.m.cases == nil {
			return r.dropLink(l)
		}
		return r.place(l)
	}
	rec, err := r.caseRecord(w.id)
	if err != nil || rec == nil {
		return err
	}
	if r.m.cases == nil { // a version of the mapping without cases
		for _, fp := range rec.Waits {
			if err := r.free(w, fp); err != nil {
				return err
			}
		}
		rec.Waits = nil
		return r.saveCase(rec)
	}
	return r.judgeCase(rec)
}

// caseGivenUp applies a person's decision that a problem of a case is none, or that an event needs no case.
func (r *run) caseGivenUp(w waiter, fingerprint string) error {
	if w.kind == waiterLink {
		l, err := r.link(w.id)
		if err != nil || l == nil {
			return err
		}
		return r.dropLink(l)
	}
	rec, err := r.caseRecord(w.id)
	if err != nil || rec == nil || r.m.cases == nil {
		return err
	}
	return r.waive(rec, fingerprint)
}
