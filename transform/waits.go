package transform

import (
	"fmt"
	"strings"
	"time"
)

// waiter is what waits on problems: a held change, or a document.
type waiter struct {
	kind    string // "held", "notice" or "doc"; of cases "case" or "link"
	id      string // key of the held change or notice; or document name and key; or the case; or the event
	subject string // as people know it: invoice/A1
}

func (w waiter) key(fingerprint string) string {
	return stateKey(fingerprint, w.subject, w.kind, w.id)
}

// settle makes the problems of a waiter those of the troubles: new ones are told, those that are gone are resolved, and those that
// stay are told again only when they changed. It returns the fingerprints, for the waiter to remember.
func (r *run) settle(w waiter, before []string, troubles []*trouble, tell func(*trouble) Problem) ([]string, error) {
	var now []string
	for _, t := range troubles {
		if t.quiet && t.ask == nil {
			continue
		}
		fp := t.fingerprint()
		if t.ask != nil {
			if err := r.ask(t.ask, fp); err != nil {
				return nil, err
			}
		}
		now = append(now, fp)
		known, err := r.st.Get(bucketWaits, w.key(fp))
		if err != nil {
			return nil, err
		}
		if known != nil && string(known) == t.title {
			continue
		}
		if err := r.st.Put(bucketWaits, w.key(fp), []byte(t.title)); err != nil {
			return nil, err
		}
		if t.quiet {
			continue // found by the answer; nobody need hear of it
		}
		if err := r.out.Problem(tell(t)); err != nil {
			return nil, err
		}
	}
	for _, fp := range before {
		if contains(now, fp) {
			continue
		}
		if err := r.free(w, fp); err != nil {
			return nil, err
		}
	}
	return now, nil
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// free says that the waiter waits no longer, unless another change of the same subject still does.
func (r *run) free(w waiter, fingerprint string) error {
	if err := r.st.Delete(bucketWaits, w.key(fingerprint)); err != nil {
		return err
	}
	others := false
	err := r.st.Scan(bucketWaits, stateKey(fingerprint, w.subject)+separator, "", func(string, []byte) (bool, error) {
		others = true
		return false, nil
	})
	if err != nil || others {
		return err
	}
	return r.out.Resolve(fingerprint, w.subject)
}

// wakeBatch bounds how many waiters one call looks at; the rest goes through a timer.
const wakeBatch = 100

// wake evaluates again what waits on the problem; "" is every problem.
func (r *run) wake(fingerprint string) error { return r.wakeFrom(fingerprint, "") }

func (r *run) wakeFrom(fingerprint, from string) error {
	prefix := ""
	if fingerprint != "" {
		prefix = stateKey(fingerprint) + separator
	}
	var batch []waiter
	next := ""
	err := r.st.Scan(bucketWaits, prefix, from, func(k string, _ []byte) (bool, error) {
		if len(batch) == wakeBatch {
			next = k
			return false, nil
		}
		parts := stateParts(k)
		if len(parts) != 4 {
			return false, fmt.Errorf("waiter %q: %w", k, errRowState)
		}
		batch = append(batch, waiter{parts[2], parts[3], parts[1]})
		return true, nil
	})
	if err != nil {
		return err
	}
	seen := map[waiter]bool{}
	for _, w := range batch {
		if seen[w] {
			continue
		}
		seen[w] = true
		if err := r.again(w); err != nil {
			return err
		}
	}
	if next == "" {
		return nil
	}
	return r.out.SetTimer(Timer{ID: "wake/" + hash(fingerprint), At: r.soon(), Payload: stateKey(fingerprint, next)})
}

// soon is a time that has come already, for work that goes on in a call of its own.
func (r *run) soon() time.Time {
	if r.at.Now.IsZero() {
		return r.at.Observed
	}
	return r.at.Now
}

// again evaluates one waiter.
func (r *run) again(w waiter) error {
	switch w.kind {
	case "held":
		return r.heldAgain(w)
	case "notice":
		return r.noticeAgain(w)
	case waiterCase, waiterLink:
		return r.caseAgain(w)
	}
	parts := stateParts(w.id)
	for _, d := range r.m.documents {
		if d.name == parts[0] {
			rec, err := r.record(d, parts[1])
			if err != nil || rec == nil || rec.Pending == nil {
				return err
			}
			return r.evaluate(d, rec)
		}
	}
	return nil
}

// Fire handles a timer whose time has come.
func (p *Mapper) Fire(st State, out Output, at Entry, t Timer) error {
	r := p.run(st, out, at)
	if mine, err := r.caseTimer(t); mine || err != nil {
		return err
	}
	if strings.HasPrefix(t.ID, "wake/") {
		parts := stateParts(t.Payload)
		if len(parts) != 2 {
			return fmt.Errorf("timer %s: payload %q", t.ID, t.Payload)
		}
		return r.wakeFrom(parts[0], parts[1])
	}
	if strings.HasPrefix(t.ID, masterTimer) {
		return r.heldAgain(waiter{"held", t.Payload, ""})
	}
	if strings.HasPrefix(t.ID, proposalTimer) {
		return r.proposalsDue(t)
	}
	if strings.HasPrefix(t.ID, "discard/") {
		return r.discard(t.Payload)
	}
	parts := stateParts(t.Payload)
	for _, d := range p.m.documents {
		if len(parts) == 2 && d.name == parts[0] {
			return r.deadline(d, parts[1])
		}
	}
	return nil // of a document that the mapping no longer has
}

// Retry evaluates again everything that waits on the problem, because a person asked for it.
func (p *Mapper) Retry(st State, out Output, at Entry, fingerprint string) error {
	return p.run(st, out, at).wake(fingerprint)
}

// Activate evaluates again what earlier mapping versions held; it is called once when this mapping's version becomes active.
func (p *Mapper) Activate(st State, out Output, at Entry) error {
	for _, t := range p.m.order {
		if err := st.Delete(bucketShape, t.key()); err != nil {
			return err
		}
	}
	return p.run(st, out, at).wake("")
}

// Discard gives up everything that waits on the problem, because a named person decided so: held rows are dropped, and a
// waiting document makes no event unless its release is written again later.
func (p *Mapper) Discard(st State, out Output, at Entry, fingerprint string) error {
	return p.run(st, out, at).discard(fingerprint)
}

func (r *run) discard(fingerprint string) error {
	var batch []waiter
	more := false
	err := r.st.Scan(bucketWaits, stateKey(fingerprint)+separator, "", func(k string, _ []byte) (bool, error) {
		if more = len(batch) == wakeBatch; more {
			return false, nil
		}
		parts := stateParts(k)
		if len(parts) != 4 {
			return false, fmt.Errorf("waiter %q: %w", k, errRowState)
		}
		batch = append(batch, waiter{parts[2], parts[3], parts[1]})
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, w := range batch {
		if err := r.giveUp(w, fingerprint); err != nil {
			return err
		}
		if err := r.free(w, fingerprint); err != nil { // also of a waiter that is gone
			return err
		}
	}
	if !more {
		return nil
	}
	return r.out.SetTimer(Timer{ID: "discard/" + hash(fingerprint), At: r.soon(), Payload: fingerprint})
}

func (r *run) giveUp(w waiter, fingerprint string) error {
	if w.kind == waiterCase || w.kind == waiterLink {
		return r.caseGivenUp(w, fingerprint)
	}
	if w.kind == "held" || w.kind == "notice" {
		h, err := r.held(w.id)
		if err != nil || h == nil {
			return err
		}
		return r.dropHeld(w, h)
	}
	parts := stateParts(w.id)
	for _, d := range r.m.documents {
		if d.name != parts[0] {
			continue
		}
		rec, err := r.record(d, parts[1])
		if err != nil || rec == nil || rec.Pending == nil {
			return err
		}
		return r.cancel(d, rec)
	}
	return nil
}
