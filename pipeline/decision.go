package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// decision applies what a named person decided. A retry is a new entry, evaluated at its own place.
func (p *projector) decision(s *state, e checkpoint.Entry) error {
	var d decisionEntry
	if err := json.Unmarshal(e.Payload, &d); err != nil {
		return fmt.Errorf("reading decision: %w", err)
	}
	line := AuditLine{At: e.At, By: d.By, Action: d.Action, Why: d.Why, Index: e.Index, Target: strings.Join(d.IDs, " ")}
	var err error
	switch d.Action {
	case "retry", "discard":
		for _, id := range d.IDs {
			if err = p.decide(s, id, d, e.At); err != nil {
				return err
			}
		}
	case "replay":
		line.Target = d.Replay.text()
		detail, merr := json.Marshal(d.Replay)
		if merr != nil {
			return merr
		}
		err = s.addWork(work{Kind: workReplay, Detail: detail})
	case "reset":
		line.Target = d.Reset.Source
		if err = s.forget(d.Reset.Source); err == nil {
			err = p.readAgain(s, d.Reset.Source, d, e.At)
		}
	case actionLinkCase:
		line.Target = d.Case.Ref + " " + d.Case.Case
		err = s.linkCase(d.Case)
	case "read", "pause", "resume":
		line.Target = d.Read.Source + "/" + d.Read.Table.String()
		err = p.decideReading(s, d, e.At)
	case "xref":
		line.Action, line.Target = "xref "+string(d.Xref.Action), d.Xref.text()
		err = p.registry(s, d, e)
	case actionMaster:
		line.Action, line.Target = "master "+string(d.Master.Action), d.Master.text()
		err = p.master(s, d, e)
	default:
		err = fmt.Errorf("decision %q is not known", d.Action)
	}
	if err != nil {
		return err
	}
	return s.audit(line)
}

// decide retries or discards what one exception holds.
func (p *projector) decide(s *state, id string, d decisionEntry, at time.Time) error {
	x, err := s.exception(id)
	if err != nil || x == nil || x.State != "open" {
		return err
	}
	x.Retries++
	if err := s.save(bucketException, x.ID, x); err != nil {
		return err
	}
	if d.Action == "discard" {
		return s.discard(x, d, at)
	}
	switch x.Origin {
	case originMapping:
		return s.addWork(work{Kind: workRetry, Key: x.Problem.Fingerprint})
	case originTable:
		source, table, _ := strings.Cut(x.Problem.Subject, "/")
		return s.addWork(work{Kind: workHold, Key: key(source, table)})
	case originDelivery:
		return s.again(x.Delivery)
	case originReading:
		return p.retryReading(s, x.Problem.Subject, d.By, d.Why, at)
	case originTarget:
		return nil // nothing in the state: Pipeline.Retry ends the pause of the lanes
	}
	return nil
}

// again lets a parked delivery go on. It looks before it sends: a person may have settled it in the target.
func (s *state) again(id string) error {
	d, err := s.delivery(id)
	if err != nil || d == nil || d.State != StateParked {
		return err
	}
	d.State, d.Verify, d.Intent, d.Attempts = StateWaiting, true, nil, 0
	d.RetryAt, d.FirstRetry = time.Time{}, time.Time{}
	if err := s.putDelivery(d); err != nil {
		return err
	}
	return s.advance(d.Post)
}

// discard gives up what an exception holds, by a named person (Invariant 3).
func (s *state) discard(x *exception, d decisionEntry, at time.Time) error {
	switch x.Origin {
	case originDelivery:
		dl, err := s.delivery(x.Delivery)
		if err != nil {
			return err
		}
		if dl != nil && dl.State == StateParked {
			dl.State = StateDiscarded
			if err := s.putDelivery(dl); err != nil {
				return err
			}
			if err := s.leave(dl); err != nil {
				return err
			}
		}
		return s.settleException(dl, "discarded", d.By, d.Why, at)
	case originMapping:
		if err := s.addWork(work{Kind: workDiscard, Key: x.Problem.Fingerprint}); err != nil {
			return err
		}
		return s.dropSubjects(x, d, at)
	}
	if x.Origin == originTable {
		source, table, _ := strings.Cut(x.Problem.Subject, "/")
		return s.addWork(work{Kind: workDrop, Key: key(source, table), Detail: by(d)})
	}
	return nil // a target or a gate is not discarded: Discard refuses it
}

// by keeps the person and the reason with a piece of work.
func by(d decisionEntry) json.RawMessage {
	raw, err := json.Marshal(decisionEntry{By: d.By, Why: d.Why})
	if err != nil {
		return nil
	}
	return raw
}

// dropSubjects closes an exception with all who wait on it.
func (s *state) dropSubjects(x *exception, d decisionEntry, at time.Time) error {
	for {
		k, raw, err := s.first(bucketSubject, x.ID+sep)
		if err != nil {
			return err
		}
		if k == "" {
			break
		}
		var m struct{ Amount, Currency string }
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		if err := s.Delete(bucketSubject, k); err != nil {
			return err
		}
		if m.Currency != "" {
			heldKey := key(m.Currency, "held")
			if s.money[heldKey] == nil {
				s.money[heldKey] = &moneySum{}
			}
			s.money[heldKey].add(m.Amount, -1)
		}
	}
	x.Waiting = 0
	return s.closeException(x, "discarded", d.By, d.Why, at)
}

// forget drops a source's position: the next session begins with a snapshot, which is compared with the row state.
func (s *state) forget(name string) error {
	src, err := s.source(name)
	if err != nil {
		return err
	}
	src.Position, src.Open, src.Parts = "", "", nil
	return s.save(bucketSource, name, src)
}

// replay queues the deliveries of selected events again, some at a time, in the order of the events.
func (p *projector) replay(s *state, w *work) (done bool, err error) {
	var r ReplayRequest
	if err := json.Unmarshal(w.Detail, &r); err != nil {
		return false, err
	}
	for seq := unhex(w.Cursor); !s.Full(); seq++ {
		raw, err := s.rawEvent(seq)
		if err != nil {
			return false, err
		}
		if raw == nil && seq > 0 { // numbers begin with 1, and have no gap
			return true, nil
		}
		if raw != nil {
			if err := s.replayEvent(raw, r); err != nil {
				return false, err
			}
		}
		w.Cursor = hexKey(seq + 1)
	}
	return false, nil
}

func (s *state) replayEvent(raw []byte, r ReplayRequest) error {
	var e transform.Event
	if err := json.Unmarshal(raw, &e); err != nil || !r.selects(&e) {
		return err
	}
	ids, err := s.deliveriesOf(e.ID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, err := s.delivery(id)
		if err != nil {
			return err
		}
		if d == nil || d.Withdrawn != "" || (d.State != StateDone && d.State != StateDiscarded) {
			continue // taken back, or still on its way: it will be delivered once
		}
		if d.Seq, err = s.next("delivery"); err != nil {
			return err
		}
		d.Done, d.Intent, d.Last, d.Step, d.Exception = nil, nil, nil, "", ""
		d.Verify, d.Attempts = true, 0
		d.Replays++
		if err := s.enqueue(d); err != nil {
			return err
		}
	}
	return nil
}
