package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// Withdraw takes back the deliveries of an event, all of them or none: an invoice that was corrected before anybody sent it need not be
// posted and credited. Only what was certainly never sent is taken back (Invariant 9).
func (o *output) Withdraw(event, why string) (bool, error) {
	doubt, err := o.s.Get(bucketSystem, keyDoubt)
	if err != nil || doubt != nil {
		return false, err
	}
	ids, err := o.s.deliveriesOf(event)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	var all []*delivery
	for _, id := range ids {
		d, err := o.s.delivery(id)
		if err != nil {
			return false, err
		}
		if d == nil || !d.unsent() {
			return false, nil
		}
		all = append(all, d)
	}
	for _, d := range all {
		if err := o.s.withdraw(d, why, o.entry.Observed); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unsent reports whether the target certainly holds nothing of a delivery and no lane can be about to send it. A lane takes from the heads
// alone, so what is none is out of its reach; what the target refused it does not hold. A delivery that may be in the target by another
// way (adopted, replayed, retried by a person) is not certain.
func (d *delivery) unsent() bool {
	if d.Head != 0 || d.Intent != nil || d.Verify || len(d.Done) > 0 {
		return false
	}
	switch d.State {
	case StateWaiting:
		return d.Sends == 0
	case StateParked:
		return d.Sends == 0 || d.Last != nil && d.Last.Class == sinks.Rejected
	}
	return false
}

// withdraw ends a delivery that was never sent. Its place in the queue is passed over when it comes to the front.
func (s *state) withdraw(d *delivery, why string, at time.Time) error {
	if err := s.unbatch(d, d.timed()); err != nil {
		return err
	}
	for _, g := range d.Unmet {
		if err := s.Delete(bucketGate, gateKey(g)+sep+d.Post.ID); err != nil {
			return err
		}
		if err := s.resolve(gateFingerprint(g), subjectOf(d.Post), "waybill", why, at); err != nil {
			return err
		}
	}
	if err := s.clearTimer("gate/" + d.Post.ID); err != nil {
		return err
	}
	if err := s.settleException(d, "superseded", "waybill", why, at); err != nil {
		return err
	}
	d.Unmet, d.State, d.Withdrawn = nil, StateDiscarded, why
	if err := s.putDelivery(d); err != nil {
		return err
	}
	return s.advance(d.Post)
}

// The notes that say whether our outbox is all that a target ever got from us. An adopted copy of a store may be older than what was
// sent: nothing is certainly unsent until its targets were compared.
const (
	noteDoubt = "targets may hold more than the store knows"
	noteSure  = "the targets were compared with the store"
)

const keyDoubt = "doubt" // of bucketSystem

// doubt journals one of the two, for a store that was adopted.
func (p *Pipeline) doubt(ctx context.Context, action string) error {
	if id := p.store.Identity(); !id.VerifyFirst || id.Epoch < 2 {
		return nil
	}
	payload, err := json.Marshal(noteEntry{Action: action})
	if err != nil {
		return err
	}
	if _, err := p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Note, Payload: payload}); err != nil {
		return fmt.Errorf("journalling that %s: %w", action, err)
	}
	return nil
}

// doubted applies the notes.
func (s *state) doubted(action string) error {
	if action == noteSure {
		return s.Delete(bucketSystem, keyDoubt)
	}
	return s.mark(bucketSystem, keyDoubt)
}
