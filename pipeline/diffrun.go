package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// supposition is a mapping that a side state projects by instead of those of its name that the journal activates; the other
// carriers' are what the journal says. What
// people and targets did is in the journal all the same: it is applied to what it was about, as far as that exists.
type supposition struct {
	mapping mappingEntry
	// cause is the fingerprint of an exception as the live state numbers it; "" when it has none of that number.
	cause func(id string) (string, error)
}

// supposedReadings keeps the numbers of readings that only the supposed mapping would begin apart from those of the journal.
const supposedReadings = 1 << 48

// entry sees each entry but rows before the projector does, and may change it; done says that nothing of it is left.
func (h *supposition) entry(p *projector, s *state, e *checkpoint.Entry) (done bool, err error) {
	if h == nil {
		return false, nil
	}
	switch e.Kind {
	case checkpoint.Mapping:
		return h.activation(p, s, e)
	case checkpoint.Decision:
		return false, h.decision(s, e)
	case checkpoint.Outcome:
		return h.outcome(p, s, *e)
	}
	return false, nil
}

// activation plans the readings that the journal's mapping began, because its chunks name them, and keeps to the supposed
// mapping in everything else.
func (h *supposition) activation(p *projector, s *state, e *checkpoint.Entry) (done bool, err error) {
	var a activation
	if err := json.Unmarshal(e.Payload, &a); err != nil {
		return false, fmt.Errorf("reading mapping entry: %w", err)
	}
	supposed := activation{mappingEntry: h.mapping}
	if a.carrierOf() != supposed.carrierOf() {
		return false, nil
	}
	supposed.Carrier, supposed.Retired = a.Carrier, a.Retired
	if a.Retired {
		e.Payload, err = json.Marshal(supposed)
		return false, err
	}
	known, err := s.activations()
	if err != nil {
		return false, err
	}
	join(known, a)
	if err := p.use(known); err != nil {
		return false, err
	}
	if err := p.planReadings(s, e.At); err != nil {
		return false, err
	}
	return true, activateSupposed(p, s, *e, supposed)
}

// activateSupposed makes a supposed mapping an active one, unless it is.
func activateSupposed(p *projector, s *state, e checkpoint.Entry, a activation) error {
	known, err := s.activations()
	if err != nil {
		return err
	}
	was, is := known[place(known, &a)]
	if changed := join(known, a); is && !was.Retired && was.Text == a.Text && len(changed) == 1 {
		return p.use(known)
	}
	number, err := s.Get(bucketSystem, "seq/reading")
	if err != nil {
		return err
	}
	if err := s.Put(bucketSystem, "seq/reading", []byte(hexKey(supposedReadings))); err != nil {
		return err
	}
	if e.Payload, err = json.Marshal(a); err != nil {
		return err
	}
	if err := p.activate(s, e); err != nil {
		return err
	}
	if number == nil {
		return s.Delete(bucketSystem, "seq/reading")
	}
	return s.Put(bucketSystem, "seq/reading", number)
}

// decision gives exceptions the numbers that those of the same cause have here. One that is not open here needs no decision.
func (h *supposition) decision(s *state, e *checkpoint.Entry) error {
	var d decisionEntry
	if err := json.Unmarshal(e.Payload, &d); err != nil {
		return fmt.Errorf("reading decision: %w", err)
	}
	var ids []string
	for _, id := range d.IDs {
		fp, err := h.cause(id)
		if err != nil {
			return err
		}
		if fp == "" {
			ids = append(ids, id) // not an exception's
			continue
		}
		here, err := s.Get(bucketOpen, fp)
		if err != nil {
			return err
		}
		if here != nil {
			ids = append(ids, string(here))
		}
	}
	if err := h.settles(s, &d); err != nil {
		return err
	}
	var err error
	d.IDs = ids
	e.Payload, err = json.Marshal(d)
	return err
}

// outcome takes what stands before the delivery in its queue as delivered: the target took this one after it.
func (h *supposition) outcome(p *projector, s *state, e checkpoint.Entry) (done bool, err error) {
	var o outcomeEntry
	if err := json.Unmarshal(e.Payload, &o); err != nil {
		return false, fmt.Errorf("reading outcome %d: %w", e.Index, err)
	}
	if o.Feed != nil { // its numbers are those of the journal's mapping: nothing is published from a side state
		return true, nil
	}
	d, err := s.delivery(o.Delivery)
	if err != nil || d == nil || d.State == StateDone || d.State == StateDiscarded {
		return false, err
	}
	for {
		var q queue
		if _, err := s.load(bucketQueue, queueKey(d.Post), &q); err != nil {
			return false, err
		}
		id, err := s.Get(bucketItem, itemKey(d.Post, q.Head))
		if err != nil || id == nil || string(id) == o.Delivery {
			return false, err
		}
		before, err := s.delivery(string(id))
		if err != nil || before == nil {
			return false, err
		}
		assumed := outcomeEntry{Delivery: before.Post.ID, Step: "assumed", Final: true, Outcome: sinks.Outcome{Class: sinks.Applied}}
		if err := p.delivered(s, before, assumed, e); err != nil {
			return false, err
		}
	}
}

// suppose lets a side state project by a mapping from its beginning on.
func (r *sideRun) suppose(m mappingEntry, cause func(string) (string, error)) error {
	r.supposed = &supposition{m, cause}
	a, ok, err := r.renewed(m)
	if err != nil || !ok { // the journal's first activation is still to come
		return err
	}
	at := r.from.Taken
	return r.aside(at, func(s *state) error {
		return activateSupposed(r.projector, s, checkpoint.Entry{Index: r.place().Index, Kind: checkpoint.Mapping, At: at}, a)
	})
}

// renewed is the activation of a mapping in the side state; ok is false when none of its name is active there.
func (r *sideRun) renewed(m mappingEntry) (a activation, ok bool, err error) {
	err = r.side.View(func(tx *checkpoint.Txn) error {
		known, err := newState(tx).activations()
		_, a, ok = renewed(known, m)
		return err
	})
	return a, ok, err
}

// aside changes the side state without an entry: its place stays.
func (r *sideRun) aside(at time.Time, fn func(*state) error) error {
	return r.side.Project(func(tx *checkpoint.Txn) (checkpoint.Applied, error) {
		place := r.place()
		s := newState(tx)
		s.floors = &r.floors
		if err := r.remember(s); err != nil {
			return place, err
		}
		r.tx, r.quiet = s, false
		if err := s.begin(); err != nil {
			return place, err
		}
		s.at = workAt{Index: place.Index, At: at}
		if err := fn(s); err != nil {
			return place, err
		}
		return place, s.flush()
	})
}

// activateNow appends the activation of a mapping to the side state alone, and does what follows from it.
func (r *sideRun) activateNow(ctx context.Context, m mappingEntry, at time.Time) error {
	a, _, err := r.renewed(m)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return err
	}
	r.supposed = nil
	r.side.Extend(checkpoint.Entry{Kind: checkpoint.Mapping, At: at, Payload: payload})
	return r.to(ctx, r.side.Last()-1)
}

// sequence is the last number that was given of a sequence.
func (s *state) sequence(name string) (uint64, error) {
	raw, err := s.Get(bucketSystem, "seq/"+name)
	return unhex(string(raw)), err
}

// uncaptured lists what one mapping reads of the tables of another, and the other does not: its history is not in the journal.
func uncaptured(old, fresh *transform.Mapping) []string {
	var missing []string
	for _, name := range fresh.Sources() {
		captured := map[string]bool{}
		for _, sel := range old.Selections(name) {
			captured[sel.Table.String()] = true
			for _, col := range sel.Columns {
				captured[sel.Table.String()+" "+col] = true
			}
		}
		for _, sel := range fresh.Selections(name) {
			if !captured[sel.Table.String()] {
				missing = append(missing, fmt.Sprintf("table %s of source %s", sel.Table, name))
				continue
			}
			for _, col := range sel.Columns {
				if !captured[sel.Table.String()+" "+col] {
					missing = append(missing, fmt.Sprintf("column %s.%s of source %s", sel.Table, col, name))
				}
			}
		}
	}
	return missing
}
