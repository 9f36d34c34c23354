package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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
	}
	return "was given up"
}

// Exceptions lists exceptions, newest last.
func (p *Pipeline) Exceptions(_ context.Context, q ExceptionQuery) ([]ExceptionView, error) {
	var list []ExceptionView
	if q.State == "" {
		q.State = "open"
	}
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		return s.Scan(bucketException, "", "", func(k string, v []byte) (bool, error) {
			var x exception
			if err := json.Unmarshal(v, &x); err != nil {
				return false, err
			}
			if q.State != "all" && x.State != q.State || q.Code != "" && x.Problem.Code != q.Code {
				return true, nil
			}
			view, err := s.exceptionView(&x)
			list = append(list, view)
			return len(list) < bounded(q.Limit), err
		})
	})
	return list, err
}

// Exception returns one exception.
func (p *Pipeline) Exception(_ context.Context, id string) (view ExceptionView, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		x, err := s.exception(id)
		if err != nil {
			return err
		}
		if x == nil {
			return fmt.Errorf("exception %q: %w", id, ErrNotFound)
		}
		view, err = s.exceptionView(x)
		return err
	})
	return view, err
}

func (s *state) exceptionView(x *exception) (ExceptionView, error) {
	v := ExceptionView{ID: x.ID, State: x.State, Origin: x.Origin, Class: x.Problem.Class, Code: x.Problem.Code, Title: x.Problem.Title,
		Hint: x.Problem.Hint, Owner: x.Problem.Owner, OpenedAt: x.OpenedAt, ClosedAt: x.ClosedAt, Waiting: x.Waiting,
		Rule: x.Problem.Rule, Evidence: x.Problem.Evidence, Retries: x.Retries, ClosedBy: x.ClosedBy, Reason: x.Reason}
	money := sums{}
	if err := s.subjectMoney(x, money); err != nil {
		return v, err
	}
	v.Money = money.texts()
	err := s.Scan(bucketSubject, x.ID+sep, "", func(k string, _ []byte) (bool, error) {
		v.Subjects = append(v.Subjects, strings.TrimPrefix(k, x.ID+sep))
		return len(v.Subjects) < 100, nil
	})
	if err != nil {
		return v, err
	}
	if len(v.Subjects) == 0 {
		v.Subjects = []string{x.Problem.Subject}
	}
	if x.Delivery == "" {
		return v, nil
	}
	d, err := s.delivery(x.Delivery)
	if err != nil || d == nil {
		return v, err
	}
	dv := d.view()
	v.Delivery = &dv
	var q queue
	if _, err := s.load(bucketQueue, queueKey(d.Post), &q); err != nil {
		return v, err
	}
	if q.Tail > q.Head && x.State == "open" {
		v.Behind = int(q.Tail-q.Head) - 1
	}
	return v, nil
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

// Audit returns the newest lines of the audit, newest last.
func (p *Pipeline) Audit(_ context.Context, limit int) ([]AuditLine, error) {
	var list []AuditLine
	err := p.store.View(func(tx *checkpoint.Txn) error {
		return tx.ScanBack(bucketAudit, "", "", func(_ string, v []byte) (bool, error) {
			var line AuditLine
			if err := json.Unmarshal(v, &line); err != nil {
				return false, err
			}
			list = append(list, line)
			return len(list) < bounded(limit), nil
		})
	})
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, err
}
