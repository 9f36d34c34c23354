package pipeline

import "time"

// supersede lets a later version of a record take the place of the one that its target refused, when nothing else waits between
// them: only the newest state counts, and the older exception is settled by it.
func (s *state) supersede(d *delivery, at time.Time) error {
	var q queue
	ok, err := s.load(bucketQueue, queueKey(d.Post), &q)
	if err != nil || !ok || q.Tail-q.Head != 1 {
		return err
	}
	id, err := s.Get(bucketItem, itemKey(d.Post, q.Head))
	if err != nil || id == nil {
		return err
	}
	old, err := s.delivery(string(id))
	if err != nil || old == nil || old.State != StateParked || old.Post.ID == d.Post.ID || old.Post.Entity != d.Post.Entity ||
		old.Post.Company != d.Post.Company || old.Post.ExternalID != d.Post.ExternalID || len(old.Done) > 0 {
		return err
	}
	old.State = StateSuperseded
	if err := s.putDelivery(old); err != nil {
		return err
	}
	if err := s.leave(old); err != nil {
		return err
	}
	return s.settleException(old, ExceptionSuperseded, daemon, "a later version took its place", at)
}
