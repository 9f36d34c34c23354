package pipeline

import (
	"encoding/json"
	"fmt"

	"waybill/checkpoint"
	"waybill/transform"
)

// The index of a feed is what is not known to be in the target: the projector adds an entry for each publication of an event, and deletes it when
// the feed has journalled that the target has it. Its entries are numbered by publisher, without a gap, and no number is used twice; what is
// left after a start is what may have to be sent.

// publish adds an event to the index of each publisher that its mapping names.
func (s *state) publish(seq uint64, e *transform.Event) error {
	if s.carriers == nil || !s.carriers.Publishing() {
		return nil
	}
	version, err := s.versionOf(e)
	if err != nil {
		return err
	}
	for _, d := range s.carriers.Publishes(e, version) {
		if err := s.index(seq, e, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) index(seq uint64, e *transform.Event, d transform.Destination) error {
	k := feedKey(d.Sink, e.OrderKey)
	last, err := s.Get(bucketFeedKey, k)
	if err != nil {
		return err
	}
	item := feedItem{Event: seq, Sequence: unhex(string(last)) + 1, Topic: d.Topic}
	if d.Undecided != nil {
		item.Undecided = clip(d.Undecided.Error(), 300)
	}
	if err := s.Put(bucketFeedKey, k, []byte(hexKey(item.Sequence))); err != nil {
		return err
	}
	n, err := s.next("feed/" + d.Sink)
	if err != nil {
		return err
	}
	return s.Put(bucketFeed, key(d.Sink, hexKey(n)), item.append(nil))
}

// fed applies what a feed journalled. What may be long is work.
func (p *projector) fed(s *state, f *feedEntry, e checkpoint.Entry) error {
	switch {
	case f.Refused != nil:
		return s.feedRefused(f.Sink, f.Refused, e)
	case f.Free != "":
		return s.feedFree(f.Sink, f.Free)
	case f.Setup != nil:
		return s.feedSetup(f, e.At)
	case f.Well:
		return s.feedWell(f.Sink, e.At)
	}
	detail, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.addWork(work{Kind: workFed, Detail: detail})
}

// feedProgress goes on with what became of entries: those that the target has leave the index, others are set aside.
func (s *state) feedProgress(w *work, at transform.Entry) (done bool, err error) {
	var f feedEntry
	if err := json.Unmarshal(w.Detail, &f); err != nil {
		return false, err
	}
	from, n := unhex(w.Cursor), uint64(0)
	var count feedCount
	if _, err := s.load(bucketFeedCount, f.Sink, &count); err != nil {
		return false, err
	}
	step := func(do func() error) (more bool, err error) {
		if n++; n <= from {
			return true, nil
		}
		if s.Full() {
			n--
			return false, nil
		}
		return true, do()
	}
	more := true
	each := func(list []feedRange, do func(n uint64) error) {
		for _, r := range list {
			for k := r[0]; k <= r[1] && more && err == nil; k++ {
				more, err = step(func() error { return do(k) })
			}
		}
	}
	each(f.Taken, func(k uint64) error {
		count.Taken++
		return s.Delete(bucketFeed, key(f.Sink, hexKey(k)))
	})
	each(f.Aside, func(k uint64) error { return s.feedAside(f.Sink, k, &count) })
	for _, l := range f.Late {
		if more && err == nil {
			more, err = step(func() error { return s.feedLate(f.Sink, l, &count, at) })
		}
	}
	if err != nil {
		return false, err
	}
	w.Cursor = hexKey(n)
	return more, s.save(bucketFeedCount, f.Sink, count)
}

// feedAside moves an entry behind what is held of its order key.
func (s *state) feedAside(sink string, n uint64, count *feedCount) error {
	raw, err := s.Get(bucketFeed, key(sink, hexKey(n)))
	if err != nil || raw == nil {
		return err
	}
	item, err := decodeFeedItem(raw)
	if err != nil {
		return err
	}
	e, err := s.feedEvent(&item)
	if err != nil {
		return err
	}
	count.Aside++
	if err := s.Delete(bucketFeed, key(sink, hexKey(n))); err != nil {
		return err
	}
	return s.Put(bucketFeedAside, feedPlaceKey(sink, e.OrderKey, n), raw)
}

// feedLate forgets an entry that was set aside, and that the target has now.
func (s *state) feedLate(sink string, of feedPlace, count *feedCount, at transform.Entry) error {
	k := feedPlaceKey(sink, of.Key, of.N)
	raw, err := s.Get(bucketFeedAside, k)
	if err != nil || raw == nil {
		return err
	}
	count.Aside--
	count.Taken++
	if err := s.Delete(bucketFeedAside, k); err != nil {
		return err
	}
	item, err := decodeFeedItem(raw)
	if err != nil {
		return err
	}
	e, err := s.feedEvent(&item)
	if err != nil {
		return err
	}
	return s.resolve(feedFingerprint(sink, item.Topic, e), subjectOfEvent(e), daemon, "published", at.Observed)
}

// feedFree lets an order key go on in the index, when nothing of it is set aside.
func (s *state) feedFree(sink, orderKey string) error {
	if k, _, err := s.first(bucketFeedAside, feedKey(sink, orderKey)+sep); err != nil || k != "" {
		return err
	}
	return s.saveHeld(sink, orderKey, nil)
}

// saveHeld keeps, or forgets, that an order key is held. Who follows the held keys looks at the number of changes.
func (s *state) saveHeld(sink, orderKey string, h *feedHeld) error {
	if _, err := s.next("feedheld/" + sink); err != nil {
		return err
	}
	if h == nil {
		return s.Delete(bucketFeedHeld, feedKey(sink, orderKey))
	}
	return s.save(bucketFeedHeld, feedKey(sink, orderKey), h)
}

func subjectOfEvent(e *transform.Event) string { return transform.Ref(e.Company, e.Entity, e.Key) }

func feedFingerprint(sink, topic string, e *transform.Event) string {
	return fmt.Sprintf("FEED/%s/%s/%s", sink, topic, e.ID)
}
