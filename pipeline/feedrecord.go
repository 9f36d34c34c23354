package pipeline

import (
	"encoding/binary"
	"errors"
	"fmt"

	"waybill/sinks"
	"waybill/transform"
)

// feedItem is an event on its way to a publisher: an entry of the index. There is one for each publication, so its form is short: the
// number of the event and the number in its order key as uvarint, the length of the topic as uvarint, the topic, and why nobody can tell
// whether it goes there.
type feedItem struct {
	Event     uint64 // in the order of the events
	Sequence  uint64 // in its order key, from 1
	Topic     string
	Undecided string // empty: it goes
}

func (i *feedItem) append(b []byte) []byte {
	b = binary.AppendUvarint(b, i.Event)
	b = binary.AppendUvarint(b, i.Sequence)
	b = binary.AppendUvarint(b, uint64(len(i.Topic)))
	b = append(b, i.Topic...)
	return append(b, i.Undecided...)
}

var errFeedItem = errors.New("an entry of the index of a feed does not follow its form")

func decodeFeedItem(b []byte) (i feedItem, err error) {
	var n [3]uint64
	for k := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return i, errFeedItem
		}
		n[k], b = v, b[size:]
	}
	if n[2] > uint64(len(b)) {
		return i, errFeedItem
	}
	return feedItem{n[0], n[1], string(b[:n[2]]), string(b[n[2]:])}, nil
}

// feedHeld is an order key of which something is set aside: behind an event that the target refused, or one that it does not take now.
type feedHeld struct {
	N         uint64 `json:"n,omitempty"`         // what the exception is about; 0 for none
	Exception string `json:"exception,omitempty"` // that holds it; empty: what is set aside is sent, in its order
}

// feedCount is what became of the index of a publisher so far.
type feedCount struct {
	Taken uint64 `json:"taken"`           // the target has them
	Given uint64 `json:"given,omitempty"` // given up, by a named person or because a condition says no
	Aside int64  `json:"aside,omitempty"` // set aside now
}

// feedEntry is what a feed journals, as the payload of a checkpoint.Outcome entry beside Delivery. Numbers are of the index.
type feedEntry struct {
	Sink    string         `json:"sink"`
	Taken   []feedRange    `json:"taken,omitempty"` // the target has them
	Aside   []feedRange    `json:"aside,omitempty"` // they wait behind one of their order key that is set aside
	Late    []feedPlace    `json:"late,omitempty"`  // the target has them, and they were set aside
	Refused *feedRefusal   `json:"refused,omitempty"`
	Free    string         `json:"free,omitempty"`  // order key of which nothing is set aside any more
	Setup   *sinks.Outcome `json:"setup,omitempty"` // nothing is taken now
	Well    bool           `json:"well,omitempty"`  // something is taken again
}

// feedRange is a run of numbers, both included.
type feedRange [2]uint64

// feedPlace is an entry that is set aside.
type feedPlace struct {
	Key string `json:"key"`
	N   uint64 `json:"n"`
}

// feedRefusal is an event that stops its order key: Rejected, or only slow, when the others shall not wait for it.
type feedRefusal struct {
	feedPlace
	Outcome sinks.Outcome `json:"outcome"`
}

// ranges are numbers as runs. They are sorted.
func ranges(numbers []uint64) (all []feedRange) {
	for _, n := range numbers {
		if last := len(all) - 1; last >= 0 && all[last][1]+1 == n {
			all[last][1] = n
		} else {
			all = append(all, feedRange{n, n})
		}
	}
	return all
}

// feedRef says what an exception of a feed is about.
type feedRef struct {
	Sink string `json:"sink"`
	feedPlace
}

func feedKey(sink, orderKey string) string                { return key(sink, orderKey) }
func feedPlaceKey(sink, orderKey string, n uint64) string { return key(sink, orderKey, hexKey(n)) }

// feedSubject is what waits when a publisher cannot be used.
func feedSubject(sink string) string { return "feed/" + sink }

// versionOf is the mapping that made an event, or the first of its causes; empty when none did.
func (s *state) versionOf(e *transform.Event) (string, error) {
	if e.MapVersion != "" || len(e.Causation) == 0 {
		return e.MapVersion, nil
	}
	cause, err := s.eventByID(e.Causation[0])
	if err != nil || cause == nil {
		return "", err
	}
	return cause.MapVersion, nil
}

// feedEvent reads the event of an entry.
func (s *state) feedEvent(i *feedItem) (*transform.Event, error) {
	e, err := s.event(hexKey(i.Event))
	if err == nil && e == nil {
		err = fmt.Errorf("the index of a feed names event %d, which the state does not have", i.Event)
	}
	return e, err
}
