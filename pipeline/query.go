package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// Bounds of a listing.
const (
	listDefault = 100
	listMost    = 10000
	searchMost  = 1_000_000 // events of one reference that are looked through
)

func bounded(limit int) int {
	if limit <= 0 {
		return listDefault
	}
	return min(limit, listMost)
}

// Events lists stored events, oldest first.
func (p *Pipeline) Events(_ context.Context, q EventQuery) ([]StoredEvent, error) {
	var list []StoredEvent
	limit := bounded(q.Limit)
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		take := func(seq uint64, raw []byte) (bool, error) {
			var e transform.Event
			if err := json.Unmarshal(raw, &e); err != nil || !q.selects(&e) {
				return err == nil, err
			}
			list = append(list, StoredEvent{Seq: seq, Event: e})
			return len(list) < limit, nil
		}
		if q.Key != "" {
			return s.eventsOf(q, take)
		}
		if q.Newest {
			return s.eachEventBack(take)
		}
		return s.eachEvent(q.After+1, take)
	})
	if q.Newest {
		for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
			list[i], list[j] = list[j], list[i]
		}
	}
	return list, err
}

func (s *state) eventsOf(q EventQuery, take func(seq uint64, raw []byte) (bool, error)) error {
	refs, err := s.refs(q.Key)
	if err != nil {
		return err
	}
	known, err := s.mentionsOf(refs, q.After, searchMost)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if len(known.events[ref]) == searchMost {
			return fmt.Errorf("%s has more than %d events: list them by time, without the key", ref, searchMost)
		}
		for _, seq := range known.events[ref] {
			raw, err := s.rawEvent(seq)
			if err != nil {
				return err
			}
			if raw == nil {
				continue
			}
			if more, err := take(seq, raw); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

func (q *EventQuery) selects(e *transform.Event) bool {
	return (q.Type == "" || e.Type == q.Type) && !e.Recorded.Before(q.Since) && (q.Until.IsZero() || e.Recorded.Before(q.Until))
}

// Event returns one event with its deliveries. The id may be shortened as long as it is unique.
func (p *Pipeline) Event(_ context.Context, id string) (found StoredEvent, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		full, seq, n := "", "", 0
		err := s.Scan(bucketEventID, id, "", func(k string, v []byte) (bool, error) {
			full, seq, n = k, string(v), n+1
			return n < 2, nil
		})
		if err != nil {
			return err
		}
		if n == 0 || id == "" {
			return fmt.Errorf("event %q: %w", id, ErrNotFound)
		}
		if n > 1 && full != id {
			return fmt.Errorf("event id %q is not unique: give more of it", id)
		}
		e, err := s.event(seq)
		if err != nil || e == nil {
			return err
		}
		found = StoredEvent{Seq: unhex(seq), Event: *e}
		ids, err := s.deliveriesOf(e.ID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			d, err := s.delivery(id)
			if err != nil {
				return err
			}
			found.Deliveries = append(found.Deliveries, d.view())
		}
		return nil
	})
	return found, err
}

func (d *delivery) view() DeliveryView {
	v := DeliveryView{ID: d.Post.ID, Event: d.Post.Event, Sink: d.Post.Sink, Entity: d.Post.Entity, ExternalID: d.Post.ExternalID,
		OrderKey: d.Post.OrderKey, Lane: string(d.Post.Lane), State: string(d.State), Step: d.Step, Attempts: d.Sends,
		Amount: d.Post.Amount, Exception: d.Exception, Why: d.why()}
	for _, o := range d.Done {
		if o.Ref != "" {
			v.Ref = o.Ref
		}
		if o.Number != "" {
			v.Number = o.Number
		}
	}
	return v
}

// why says in one sentence what a delivery waits for.
func (d *delivery) why() string {
	switch d.State {
	case StateWaiting:
		if len(d.Unmet) > 0 {
			g := d.Unmet[0]
			if timed := d.timed(); timed != nil && len(d.Unmet) == 1 {
				return "waits for " + timed.Until()
			}
			return fmt.Sprintf("waits for %s %s", g.Name, g.Key)
		}
		return "waits behind an earlier posting of " + d.Post.OrderKey
	case StateReady:
		if opens := d.opening(time.Now()); !opens.IsZero() {
			return "waits for " + windowText(opens)
		}
		return "will be sent next"
	case StateSent:
		if d.Last != nil {
			return "was sent, but its outcome is not known: it is looked up in " + d.Post.Sink
		}
		return "is being sent"
	case StateRetry:
		why := "will be sent again at " + d.RetryAt.Format("15:04:05")
		if d.Last != nil {
			why += ": " + d.Last.Message
		}
		return why
	case StateParked:
		return "is held by exception " + d.Exception
	case StateDone:
		return d.Post.Sink + " holds it"
	case StateSuperseded:
		return "a later version took its place"
	case StateShadow:
		return "is kept in shadow: nothing of " + d.Post.Shadow + " is sent before it is switched on"
	}
	return "was given up"
}

// Checkpoint returns the positions and cursors.
func (p *Pipeline) Checkpoint(context.Context) (CheckpointView, error) {
	return checkpointView(p.store, names(p.o.Sources))
}

// CheckpointOf reads the positions of a store that no daemon has open.
func CheckpointOf(store *checkpoint.Store) (CheckpointView, error) { return checkpointView(store, nil) }

func checkpointView(store *checkpoint.Store, sources []string) (CheckpointView, error) {
	id := store.Identity()
	v := CheckpointView{Store: id.ID, Epoch: id.Epoch, Applied: store.Applied().Index, Last: store.Last(), Bindings: map[string]string{}}
	backups, err := store.Backups()
	if err != nil {
		return v, err
	}
	err = store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		known, err := s.activations()
		if err != nil {
			return err
		}
		v.Mapping = versions(known)
		v.Backups = backups
		err = s.Scan(bucketSource, "", "", func(k string, raw []byte) (bool, error) {
			var src sourceState
			if err := json.Unmarshal(raw, &src); err != nil {
				return false, err
			}
			v.Sources = append(v.Sources, SourcePosition{k, src.Identity, src.Position, src.CommitAt})
			return true, nil
		})
		if err != nil {
			return err
		}
		return s.Scan(bucketBind, "", "", func(k string, raw []byte) (bool, error) {
			v.Bindings[k] = string(raw)
			return true, nil
		})
	})
	return v, err
}
