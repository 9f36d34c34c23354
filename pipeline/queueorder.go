package pipeline

import "waybill/transform"

// aheadMost bounds the postings of one order key that are looked through.
const aheadMost = 100

// stepAhead puts a posting that has just been queued before the first one of its order key that waits for it by a gate: a credit that was
// released before its original would otherwise wait for what stands behind it, for ever. Gates are an order that the mapping declares, so
// none that holds is broken (Invariant 4); what a lane may have taken stays where it is.
func (s *state) stepAhead(d *delivery, q queue) error {
	own := gateKey(transform.Gate{Kind: transform.GateLedger, Name: d.Post.Sink + "." + d.Post.Entity, Key: transform.CompanyKey(d.Post.Company, d.Post.ExternalID)})
	if waited, err := s.Get(bucketWaited, own); err != nil || waited == nil || q.Tail-q.Head > aheadMost {
		return err
	}
	moving := d.Post.ID
	for n := q.Head; n < q.Tail; n++ {
		id, err := s.Get(bucketItem, itemKey(d.Post, n))
		if err != nil || id == nil {
			return err
		}
		if moving == d.Post.ID {
			if string(id) == d.Post.ID {
				return nil // nothing before it waits for it
			}
			waits, err := s.Get(bucketGate, own+sep+string(id))
			if err != nil {
				return err
			}
			if waits == nil {
				continue
			}
		}
		if err := s.Put(bucketItem, itemKey(d.Post, n), []byte(moving)); err != nil {
			return err
		}
		moving = string(id)
	}
	return nil
}
