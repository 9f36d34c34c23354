package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// output takes what the mapper makes of one entry and writes it into the state.
type output struct {
	s      *state
	entry  transform.Entry
	change *cdc.Change // the change being mapped, nil for timers and retries
	unit   uint64      // its ordinal in the entry
	// recorded is the commit time of the transaction that ends, when there is no change; zero for timers and retries.
	recorded time.Time
}

var _ transform.Output = (*output)(nil)

// Event stores an event once (Invariant 6) and lets gates that wait for it go, unless the transaction's guard keeps it back or
// something of its order key is held.
func (o *output) Event(e transform.Event) error {
	if known, err := o.s.Get(bucketEventID, e.ID); err != nil || known != nil {
		return err
	}
	if e.Historic || e.Rule == deliveryRule { // of an outcome: its posting has had its turn
		return o.event(e)
	}
	return o.take(blastItem{Event: &e})
}

// take keeps an item back while a guard is set.
func (o *output) take(item blastItem) error {
	if o.s.guard != nil {
		return o.s.guard.keep(o.s, item)
	}
	return o.put(item)
}

// put lets an item out, or holds it behind what is held of its order key (Invariant 4).
func (o *output) put(item blastItem) error {
	b, err := o.s.heldBy(item.orderKey())
	if err != nil {
		return err
	}
	if b.ID == "" {
		return o.emit(item)
	}
	item.Behind = true
	h := &holder{s: o.s}
	if err := h.hold(b.ID, item); err != nil {
		return err
	}
	return h.flush()
}

func (o *output) emit(item blastItem) error {
	if item.Event != nil {
		return o.event(*item.Event)
	}
	return o.queue(*item.Post, item.Recorded)
}

func (o *output) event(e transform.Event) error {
	if known, err := o.s.Get(bucketEventID, e.ID); err != nil || known != nil {
		return err
	}
	seq, err := o.s.next("event")
	if err != nil {
		return err
	}
	if err := o.s.tell(seq, &e); err != nil {
		return err
	}
	if err := o.s.Put(bucketEventID, e.ID, []byte(hexKey(seq))); err != nil {
		return err
	}
	refs := eventRefs(e)
	if err := o.s.mentionable(refs); err != nil {
		return err
	}
	if err := o.s.company(e.Company); err != nil {
		return err
	}
	if err := o.s.publish(seq, &e); err != nil {
		return err
	}
	o.s.said.event(seq, refs)
	return o.s.happened(&e, seq)
}

func eventRefs(e transform.Event) []string {
	own := transform.Ref(e.Company, e.Entity, e.Key)
	refs := []string{own}
	for _, r := range e.Refs {
		if r != own {
			refs = append(refs, r)
		}
	}
	return refs
}

// mentionable notes of which entities there are references, so that people find one by the part that they know: A10023 for
// invoice/A10023.
func (s *state) mentionable(refs []string) error {
	for _, ref := range refs {
		kind, _, ok := strings.Cut(ref, "/")
		if !ok || s.floors != nil && s.floors.kinds[kind] {
			continue
		}
		if err := s.mark(bucketKind, kind); err != nil {
			return err
		}
		if s.floors != nil {
			if s.floors.kinds == nil {
				s.floors.kinds = map[string]bool{}
			}
			s.floors.kinds[kind] = true
		}
	}
	return nil
}

// happened notes an event that postings wait for, and lets them go.
func (s *state) happened(e *transform.Event, seq uint64) error {
	if !s.awaited[e.Type] {
		return nil
	}
	own := transform.CompanyKey(e.Company, e.Key)
	keys := []string{own}
	for _, r := range e.Refs {
		if _, k, ok := strings.Cut(r, "/"); ok && k != own {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		gate := key(string(transform.GateEvent), e.Type, k)
		if known, err := s.Get(bucketHappened, key(e.Type, k)); err != nil {
			return err
		} else if known != nil {
			continue
		}
		if err := s.Put(bucketHappened, key(e.Type, k), []byte(hexKey(seq))); err != nil {
			return err
		}
		if err := s.open(gate); err != nil {
			return err
		}
	}
	return nil
}

// Post queues a delivery. The same post of the same event is queued once.
func (o *output) Post(p transform.Post) error {
	if known, err := o.s.delivery(p.ID); err != nil || known != nil {
		return err
	}
	item := blastItem{Post: &p, Recorded: o.entry.Observed}
	switch {
	case o.change != nil:
		item.Recorded = o.change.Tx.CommitAt
	case !o.recorded.IsZero():
		item.Recorded = o.recorded
	}
	return o.take(item)
}

func (o *output) queue(p transform.Post, recorded time.Time) error {
	if known, err := o.s.delivery(p.ID); err != nil || known != nil {
		return err
	}
	seq, err := o.s.next("delivery")
	if err != nil {
		return err
	}
	by, clash, err := o.s.claimed(p)
	if err != nil {
		return err
	}
	d := &delivery{Post: p, Seq: seq, Verify: p.Adopt, Queued: o.entry.Observed, Recorded: recorded}
	if err := o.s.mark(bucketEventPost, key(p.Event, p.ID)); err != nil {
		return err
	}
	if err := o.s.mark(bucketAlias, key(p.ExternalID, "post/"+p.ID)); err != nil {
		return err
	}
	if shadowed, err := o.s.shadow(d); shadowed || err != nil {
		return err
	}
	if err := o.s.supersede(d, o.entry.Observed); err != nil {
		return err
	}
	if err := o.s.enqueue(d); err != nil || !clash {
		return err
	}
	return o.parkClaimed(d, by)
}

// Problem opens an exception, or adds a subject to the one that is open.
func (o *output) Problem(p transform.Problem) error {
	_, err := o.s.openException(originMapping, p, "", o.entry.Observed)
	return err
}

// Resolve takes a subject from an exception and closes it with the last one.
func (o *output) Resolve(fingerprint, subject string) error {
	return o.s.resolve(fingerprint, subject, "waybill", "the data is right now", o.entry.Observed)
}

func (o *output) SetTimer(t transform.Timer) error { return o.s.setTimer(t) }

func (o *output) ClearTimer(id string) error { return o.s.clearTimer(id) }

// Row notes what the change being mapped is about.
func (o *output) Row(refs []string) error {
	if o.change == nil {
		return nil
	}
	if err := o.s.mentionable(refs); err != nil {
		return err
	}
	o.s.said.row(notedRow{rowNote{Table: o.change.Source + "." + o.change.Schema.Table.Name, Op: o.change.Op,
		Commit: o.change.Tx.Commit, CommitAt: o.change.Tx.CommitAt, At: o.entry.Observed}, o.entry.Index, o.unit}, refs)
	return nil
}

// micros writes a time as a key that sorts.
func micros(t time.Time) string { return fmt.Sprintf("%020d", max(0, t.UnixMicro())) }

func (s *state) setTimer(t transform.Timer) error {
	if err := s.clearTimer(t.ID); err != nil {
		return err
	}
	at := micros(t.At)
	if err := s.Put(bucketTimerID, t.ID, []byte(at)); err != nil {
		return err
	}
	s.timer = min(s.timer, key(at, t.ID))
	if s.floors != nil {
		s.floors.timer = min(s.floors.timer, key(at, t.ID))
	}
	return s.save(bucketTimer, key(at, t.ID), t)
}

func (s *state) clearTimer(id string) error {
	at, err := s.Get(bucketTimerID, id)
	if err != nil || at == nil {
		return err
	}
	if err := s.Delete(bucketTimer, key(string(at), id)); err != nil {
		return err
	}
	return s.Delete(bucketTimerID, id)
}

// due returns the next timer whose time every source it concerns has passed.
func (s *state) due(marks map[string]time.Time, now time.Time) (*transform.Timer, error) {
	var found *transform.Timer
	from := ""
	if s.floors != nil {
		from = s.floors.timer
	}
	err := s.Scan(bucketTimer, "", from, func(k string, v []byte) (bool, error) {
		at, _, _ := strings.Cut(k, sep)
		n, _ := strconv.ParseInt(at, 10, 64)
		if latest := latestOf(marks); latest.IsZero() || n > latest.UnixMicro() {
			return false, nil
		}
		var t transform.Timer
		if err := json.Unmarshal(v, &t); err != nil {
			return false, err
		}
		if passed(t, marks, now) {
			found = &t
			return false, nil
		}
		return true, nil
	})
	return found, err
}

// passed reports whether every source that the timer concerns is captured past its time: no false alarm after an outage.
func passed(t transform.Timer, marks map[string]time.Time, now time.Time) bool {
	if len(t.Sources) == 0 {
		return !now.IsZero() && !now.Before(t.At)
	}
	for _, name := range t.Sources {
		if mark, ok := marks[name]; !ok || mark.Before(t.At) {
			return false
		}
	}
	return true
}

func latestOf(marks map[string]time.Time) time.Time {
	var latest time.Time
	for _, m := range marks {
		if m.After(latest) {
			latest = m
		}
	}
	return latest
}

var _ transform.State = (*checkpoint.Txn)(nil)
