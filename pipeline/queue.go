package pipeline

import (
	"fmt"
	"strings"
	"time"

	"waybill/transform"
)

// queue is the FIFO of one order key in one lane: only its head is ever sent, so only its head ever leaves.
type queue struct {
	Head uint64 `json:"h"` // number of the first item
	Tail uint64 `json:"t"` // number after the last item
}

func queueKey(p transform.Post) string {
	return key(string(p.Lane), p.Sink, p.OrderKey)
}

func itemKey(p transform.Post, n uint64) string { return key(queueKey(p), hexKey(n)) }

// headKey orders heads by when they became one: a lane looks from its lowest live head on, and never walks over those
// that it has delivered.
func headKey(d *delivery) string { return key(string(d.Post.Lane), d.Post.Sink, hexKey(d.Head)) }

// behead takes a delivery from the heads of its lane.
func (s *state) behead(d *delivery) error {
	if d.Head == 0 {
		return nil
	}
	if err := s.Delete(bucketHead, headKey(d)); err != nil {
		return err
	}
	d.Head = 0
	return nil
}

// enqueue puts a delivery at the end of its order key's queue (Invariant 4).
func (s *state) enqueue(d *delivery) error {
	var q queue
	if _, err := s.load(bucketQueue, queueKey(d.Post), &q); err != nil {
		return err
	}
	if err := s.Put(bucketItem, itemKey(d.Post, q.Tail), []byte(d.Post.ID)); err != nil {
		return err
	}
	q.Tail++
	if err := s.save(bucketQueue, queueKey(d.Post), q); err != nil {
		return err
	}
	unmet, err := s.unmet(d.Post.Gates)
	if err != nil {
		return err
	}
	d.Unmet, d.State = unmet, StateWaiting
	if err := s.batched(d); err != nil {
		return err
	}
	for _, g := range unmet {
		if err := s.mark(bucketGate, gateKey(g)+sep+d.Post.ID); err != nil {
			return err
		}
		if err := s.mark(bucketWaited, gateKey(g)); err != nil {
			return err
		}
		if !g.Deadline.IsZero() {
			t := transform.Timer{ID: "gate/" + d.Post.ID, At: g.Deadline, Sources: d.Post.Sources, Payload: d.Post.ID}
			if err := s.setTimer(t); err != nil {
				return err
			}
		}
	}
	if err := s.stepAhead(d, q); err != nil {
		return err
	}
	if err := s.putDelivery(d); err != nil {
		return err
	}
	return s.advance(d.Post)
}

// advance makes the first delivery of an order key takeable, if nothing holds it.
func (s *state) advance(p transform.Post) error {
	var q queue
	if ok, err := s.load(bucketQueue, queueKey(p), &q); err != nil || !ok {
		return err
	}
	id, err := s.Get(bucketItem, itemKey(p, q.Head))
	if err != nil || id == nil {
		return err
	}
	d, err := s.delivery(string(id))
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("queue of %s names delivery %s, which the state does not have", p.OrderKey, id)
	}
	if d.Withdrawn != "" {
		return s.leave(d)
	}
	if len(d.Unmet) > 0 || d.State == StateParked {
		return nil
	}
	if d.State == StateWaiting || d.Head == 0 {
		if d.State == StateWaiting {
			d.State = StateReady
		}
		if d.Head == 0 {
			if d.Head, err = s.next("head"); err != nil {
				return err
			}
		}
		if err := s.putDelivery(d); err != nil {
			return err
		}
	}
	return s.Put(bucketHead, headKey(d), []byte(d.Post.ID))
}

// leave takes a delivery out of its queue for good and lets the next one of its key step forward.
func (s *state) leave(d *delivery) error {
	if err := s.behead(d); err != nil {
		return err
	}
	if err := s.putDelivery(d); err != nil {
		return err
	}
	var q queue
	if _, err := s.load(bucketQueue, queueKey(d.Post), &q); err != nil {
		return err
	}
	if id, err := s.Get(bucketItem, itemKey(d.Post, q.Head)); err != nil {
		return err
	} else if string(id) != d.Post.ID {
		return fmt.Errorf("delivery %s leaves the queue of %s, whose head is %q", d.Post.ID, d.Post.OrderKey, id)
	}
	if err := s.Delete(bucketItem, itemKey(d.Post, q.Head)); err != nil {
		return err
	}
	q.Head++
	if q.Head == q.Tail {
		return s.Delete(bucketQueue, queueKey(d.Post))
	}
	if err := s.save(bucketQueue, queueKey(d.Post), q); err != nil {
		return err
	}
	return s.advance(d.Post)
}

// unmet returns the gates that are not open.
func (s *state) unmet(gates []transform.Gate) ([]transform.Gate, error) {
	var unmet []transform.Gate
	for _, g := range gates {
		ok, err := s.met(g)
		if err != nil {
			return nil, err
		}
		if !ok {
			unmet = append(unmet, g)
		}
	}
	return unmet, nil
}

func (s *state) met(g transform.Gate) (bool, error) {
	switch g.Kind {
	case transform.GateEvent:
		v, err := s.Get(bucketHappened, key(g.Name, g.Key))
		return v != nil, err
	case transform.GateLedger:
		sink, entity, _ := strings.Cut(g.Name, ".")
		v, err := s.Get(bucketApplied, key(sink, entity, g.Key)) // with its company
		return v != nil, err
	case transform.GateTime:
		return s.reached(g)
	}
	return false, fmt.Errorf("gate kind %q is not known", g.Kind)
}

// open notes that a gate is met: those who wait for it are released by a work item, however many they are.
func (s *state) open(gate string) error {
	waited, err := s.Get(bucketWaited, gate)
	if err != nil || waited == nil {
		return err
	}
	if err := s.Delete(bucketWaited, gate); err != nil {
		return err
	}
	return s.addWork(work{Kind: workGate, Key: gate})
}

// release lets the waiters of a gate go, some at a time, and reports whether none is left.
func (s *state) release(gate string, at time.Time) (done bool, err error) {
	cursor := ""
	return s.each(bucketGate, gate+sep, &cursor, func(k string, _ []byte) (bool, error) {
		if err := s.Delete(bucketGate, k); err != nil {
			return false, err
		}
		return true, s.pass(strings.TrimPrefix(k, gate+sep), at)
	})
}

// pass looks at a delivery's gates again.
func (s *state) pass(id string, at time.Time) error {
	d, err := s.delivery(id)
	if err != nil || d == nil || len(d.Unmet) == 0 {
		return err
	}
	before, timed := d.Unmet, d.timed()
	if d.Unmet, err = s.unmet(d.Unmet); err != nil {
		return err
	}
	for _, g := range before {
		if err := s.resolve(gateFingerprint(g), subjectOf(d.Post), "waybill", "what it waited for is there", at); err != nil {
			return err
		}
	}
	if timed != nil && d.timed() == nil {
		if err := s.unbatch(d, timed); err != nil {
			return err
		}
	}
	if len(d.Unmet) == 0 {
		if err := s.clearTimer("gate/" + id); err != nil {
			return err
		}
	}
	if err := s.putDelivery(d); err != nil {
		return err
	}
	return s.advance(d.Post)
}

const gatePrefix = "WAITING/GATE/"

func gateFingerprint(g transform.Gate) string {
	return gatePrefix + string(g.Kind) + "/" + g.Name + "/" + g.Key
}

func subjectOf(p transform.Post) string {
	if len(p.Refs) > 0 {
		return p.Refs[0]
	}
	return p.Entity + "/" + p.ExternalID
}

// overdue opens one exception of what blocks, when a gate is not met at its deadline.
func (s *state) overdue(id string, at time.Time) error {
	d, err := s.delivery(id)
	if err != nil || d == nil || len(d.Unmet) == 0 {
		return err
	}
	for _, g := range d.Unmet {
		if g.Kind == transform.GateTime {
			continue // nobody is late
		}
		p := transform.Problem{Fingerprint: gateFingerprint(g), Class: "WAITING", Code: "GATE_OVERDUE",
			Title: fmt.Sprintf("%s %s did not come in time; %s waits for it", g.Name, g.Key, subjectOf(d.Post)),
			Hint:  "Find out why it is missing. The posting goes on by itself when it comes.",
			Owner: "billing", Subject: subjectOf(d.Post), OrderKey: d.Post.OrderKey, Amount: d.Post.Amount}
		if title, hint, err := s.blocker(g); err != nil {
			return err
		} else if title != "" {
			p.Title, p.Hint = p.Title+": "+title, hint
		}
		if _, err := s.openException(originGate, p, "", at); err != nil {
			return err
		}
	}
	return nil
}
