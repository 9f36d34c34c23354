package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// A batch is a gate of time. All deliveries that go with it wait behind the same one, and one timer opens it: when every source of
// theirs has been captured past its time, so that after an outage no batch goes before it is whole. A delivery keeps the
// batch that it was given when it was released; a newer mapping's schedule holds for what is released from then on.

// timerBatch begins the ids of the timers that open gates of time.
const timerBatch = "batch/"

// bucketBatch has two keys for each delivery that a gate of time holds: key("lane", lane, sink, time, gate's name and local time, delivery)
// and, for each of its references, key("ref", ref, delivery).
const bucketBatch = "bat"

// refsMost bounds the references under which a held delivery is found; a consolidated invoice names many shipments.
const refsMost = 50

// urgent is that a named person took a delivery out of its batch.
type urgent struct {
	By    string    `json:"by"`
	Why   string    `json:"why"`
	At    time.Time `json:"at"`
	Index uint64    `json:"index"`
	Until string    `json:"until"` // what it waited for
}

// timed returns the gate of time that holds a delivery, or nil. There is one at most.
func (d *delivery) timed() *transform.Gate {
	for i := range d.Unmet {
		if d.Unmet[i].Kind == transform.GateTime {
			return &d.Unmet[i]
		}
	}
	return nil
}

// reached reports whether every source of a gate of time is captured past it.
func (s *state) reached(g transform.Gate) (bool, error) {
	for _, name := range g.Sources {
		src, err := s.source(name)
		if err != nil || src.CommitAt.Before(g.At) {
			return false, err
		}
	}
	return true, nil
}

// batched files a delivery under its gate of time, and sets the timer of the gate's first one. It is called before the gate is marked as
// waited for.
func (s *state) batched(d *delivery) error {
	g := d.timed()
	if g == nil {
		return nil
	}
	waited, err := s.Get(bucketWaited, gateKey(*g))
	if err != nil {
		return err
	}
	if waited == nil {
		t := transform.Timer{ID: timerBatch + gateKey(*g), At: g.At, Sources: g.Sources, Payload: gateKey(*g)}
		if err := s.setTimer(t); err != nil {
			return err
		}
	}
	for _, k := range d.batchKeys(g) {
		if err := s.mark(bucketBatch, k); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) batchKeys(g *transform.Gate) []string {
	keys := []string{key("lane", string(d.Post.Lane), d.Post.Sink, micros(g.At), g.Name, g.Key, d.Post.ID)}
	for _, ref := range d.Post.Refs[:min(len(d.Post.Refs), refsMost)] {
		keys = append(keys, key("ref", ref, d.Post.ID))
	}
	return keys
}

// unbatch forgets that a gate of time held a delivery.
func (s *state) unbatch(d *delivery, g *transform.Gate) error {
	if g == nil {
		return nil
	}
	for _, k := range d.batchKeys(g) {
		if err := s.Delete(bucketBatch, k); err != nil {
			return err
		}
	}
	return nil
}

// hurry lets deliveries go before their batch, because a named person decided so. What waits before one of them in its order key's queue
// still goes first (Invariant 4), and what else it waits for it still does.
func (s *state) hurry(r *HeldRelease, e checkpoint.Entry) error {
	for _, id := range r.IDs {
		d, err := s.delivery(id)
		if err != nil {
			return err
		}
		if d == nil || d.State != StateWaiting && d.State != StateReady && d.State != StateRetry {
			continue // it has gone meanwhile
		}
		if d.timed() == nil {
			if d.Post.Window != nil { // a shut window alone keeps it back, which only the lane can tell
				d.Urgent = &urgent{r.By, r.Why, e.At, e.Index, "its window opens"}
				err = s.putDelivery(d)
			}
			if err != nil {
				return err
			}
			continue
		}
		g := *d.timed()
		if err := s.unbatch(d, &g); err != nil {
			return err
		}
		if err := s.Delete(bucketGate, gateKey(g)+sep+id); err != nil {
			return err
		}
		var rest []transform.Gate
		for _, x := range d.Unmet {
			if x.Kind != transform.GateTime {
				rest = append(rest, x)
			}
		}
		d.Unmet, d.Urgent = rest, &urgent{r.By, r.Why, e.At, e.Index, g.Until()}
		if err := s.putDelivery(d); err != nil {
			return err
		}
		if err := s.advance(d.Post); err != nil {
			return err
		}
	}
	return nil
}

// opening is when the window of a delivery opens next, zero when it is open. Lanes ask it with their clock: whatever the watermarks say, a
// target gets nothing at an hour that the mapping keeps it free. A person's urgent release goes before.
func (d *delivery) opening(now time.Time) time.Time {
	if d.Post.Window == nil || d.Urgent != nil {
		return time.Time{}
	}
	if at := d.Post.Window.Next(now); at.After(now) {
		return at
	}
	return time.Time{}
}

// windowText says when a window opens.
func windowText(opens time.Time) string {
	return transform.Gate{Kind: transform.GateTime, Name: "window", Key: opens.Format(time.RFC3339)}.Until()
}

// HeldBatch is what waits on a lane for one batch, or for one opening of a window.
type HeldBatch struct {
	Until string    `json:"until"` // the batch of Fri 2026-11-27 18:00 -06:00
	At    time.Time `json:"at"`
	Count int       `json:"count"` // at most 10,000 are counted
}

// batchesOf lists what waits for its time on a lane, the next first.
func (s *state) batchesOf(lane, sink string) ([]HeldBatch, error) {
	var list []HeldBatch
	prefix := key("lane", lane, sink) + sep
	left := listMost
	err := s.Scan(bucketBatch, prefix, "", func(k string, _ []byte) (bool, error) {
		part := strings.Split(strings.TrimPrefix(k, prefix), sep)
		if len(part) != 4 {
			return false, fmt.Errorf("the key %q of a batch has another form", k)
		}
		text := transform.Gate{Kind: transform.GateTime, Name: part[1], Key: part[2]}.Until()
		if n := len(list); n == 0 || list[n-1].Until != text {
			at, err := time.Parse(time.RFC3339, part[2])
			if err != nil {
				return false, fmt.Errorf("the time of a batch: %w", err)
			}
			list = append(list, HeldBatch{Until: text, At: at.UTC()})
		}
		list[len(list)-1].Count++
		left--
		return left > 0, nil
	})
	return list, err
}

// heldOf lists the deliveries of the references that wait for their time.
func (s *state) heldOf(refs []string) ([]*delivery, error) {
	var list []*delivery
	seen := map[string]bool{}
	for _, ref := range refs {
		prefix := key("ref", ref) + sep
		err := s.Scan(bucketBatch, prefix, "", func(k string, _ []byte) (bool, error) {
			id := strings.TrimPrefix(k, prefix)
			if seen[id] {
				return true, nil
			}
			seen[id] = true
			d, err := s.delivery(id)
			if err != nil || d == nil || d.timed() == nil {
				return err == nil, err
			}
			list = append(list, d)
			return len(list) < listMost, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// waits tells in a story what a delivery waits for, and who let it go before its time.
func (t *tracer) waits(d *delivery, event uint64) {
	where := d.Post.Sink + "." + d.Post.Entity
	if g := d.timed(); g != nil {
		t.add("batch/"+d.Post.ID, "", TraceItem{At: d.Queued, Kind: "note", Where: where, ID: d.Post.ID, Index: event,
			Text: d.Post.ExternalID + " waits for " + g.Until()})
	}
	if u := d.Urgent; u != nil {
		detail, err := json.Marshal(u)
		if err != nil {
			return // texts and a time: cannot be
		}
		t.add("urgent/"+d.Post.ID, "", TraceItem{At: u.At, Kind: "decision", Where: u.By, ID: d.Post.ID, Index: u.Index,
			Text: fmt.Sprintf("%s goes before %s: %s", d.Post.ExternalID, u.Until, u.Why), Detail: detail})
	}
}
