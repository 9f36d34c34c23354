package pipeline

import (
	"waybill/checkpoint"
	"waybill/transform"
)

// requested tells everyone that a target took the request for a shipment's invoice, and files it under the shipment's case. The invoice itself
// comes through the log of the billing database.
func (p *projector) requested(s *state, out *output, d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	if d.Post.Lane != transform.LaneTransactional {
		return nil
	}
	seq, err := s.Get(bucketEventID, d.Post.Event)
	if err != nil || seq == nil {
		return err
	}
	cause, err := s.event(string(seq))
	if err != nil || cause == nil || cause.Type != "billing.ready" {
		return err
	}
	ev := derived("invoice.requested", d, o, e)
	if err := out.Event(ev); err != nil {
		return err
	}
	return p.inCase(s, out, ev)
}

// caseHeld lists what the case and its documents ask of the targets and what waits for its time.
func (s *state) caseHeld(c *transform.Case) ([]DeliveryView, error) {
	refs := append([]string(nil), c.Keys...)
	for _, d := range c.Documents {
		refs = append(refs, transform.Ref(c.Company, "invoice", d.Number))
	}
	found, err := s.heldOf(refs)
	var views []DeliveryView
	for _, d := range found {
		views = append(views, d.view())
	}
	return views, err
}
