package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// decision applies what a named person decided. A retry is a new entry, evaluated at its own place. The audit's line comes first, so
// that whatever follows can name it.
func (p *projector) decision(s *state, e checkpoint.Entry) error {
	var d decisionEntry
	if err := json.Unmarshal(e.Payload, &d); err != nil {
		return fmt.Errorf("reading decision: %w", err)
	}
	if err := s.audit(AuditLine{At: e.At, By: d.By, Action: d.named(), Why: d.Why, Index: e.Index, Target: d.target(), Note: d.note(), salt: d.Salt}); err != nil {
		return err
	}
	switch d.Action {
	case "retry", "discard", "assign", "comment", "wait", "fix", "waive", "release":
		return p.judge(s, d, e.At)
	case "edit":
		return p.edit(s, d, e)
	case "redact":
		return s.redact(d.Redact)
	case "replay":
		detail, err := json.Marshal(d.Replay)
		if err != nil {
			return err
		}
		return s.addWork(work{Kind: workReplay, Detail: detail})
	case "reset":
		if err := s.forget(d.Reset.Source); err != nil {
			return err
		}
		return p.readAgain(s, d.Reset.Source, d, e.At)
	case "read", "pause", "resume":
		return p.decideReading(s, d, e.At)
	case actionLinkCase:
		return s.linkCase(d.Case)
	case actionHurry:
		return s.hurry(d.Hurry, e)
	case "xref":
		return p.registry(s, d, e)
	case "shadow":
		return s.switchShadow(d)
	case actionMaster:
		return p.master(s, d, e)
	case actionPauseFlow, actionResumeFlow:
		return s.switchFlow(d, e.At)
	case actionReload:
		return nil // the running daemon took it; the line of the audit is what stays
	}
	return fmt.Errorf("decision %q is not known", d.Action)
}

// named is what a decision is called in the audit.
func (d *decisionEntry) named() string {
	if d.Xref != nil {
		return d.Action + " " + string(d.Xref.Action)
	}
	if d.Master != nil {
		return d.Action + " " + string(d.Master.Action)
	}
	return d.Action
}

// target is what a decision is about, for the audit.
func (d *decisionEntry) target() string {
	switch {
	case d.Replay != nil:
		return d.Replay.text()
	case d.Reset != nil:
		return d.Reset.Source
	case d.Read != nil:
		return d.Read.Source + "/" + d.Read.Table.String()
	case d.Case != nil:
		return d.Case.Ref + " " + d.Case.Case
	case d.Hurry != nil:
		return d.Hurry.Ref
	case d.Xref != nil:
		return d.Xref.text()
	case d.Shadow != nil:
		return d.Shadow.text()
	case d.Master != nil:
		return d.Master.text()
	case d.Flow != nil:
		return d.Flow.text()
	case d.Reload != nil:
		return d.Reload.File
	case d.Redact != nil:
		return fmt.Sprintf("line %d", d.Redact.Line)
	case d.Exception != nil && d.Exception.Cause != "":
		return "cause " + d.Exception.Cause
	}
	return strings.Join(d.IDs, " ")
}

// note is what a decision says beyond its action, for the audit.
func (d *decisionEntry) note() string {
	switch {
	case d.Redact != nil:
		return strings.Join(d.Redact.Fields, ", ")
	case d.Edit != nil:
		return d.Edit.note()
	case d.Exception != nil:
		return d.Exception.note()
	case d.Reload != nil:
		return d.Reload.note()
	}
	return ""
}

// judgeAtOnce bounds the exceptions that a decision judges in the transaction of its own entry.
const judgeAtOnce = 50

// judge applies a decision to the exceptions that it names, or to all of a cause; many are a work list.
func (p *projector) judge(s *state, d decisionEntry, at time.Time) error {
	if len(d.IDs) <= judgeAtOnce && (d.Exception == nil || d.Exception.Cause == "") {
		for _, id := range d.IDs {
			if err := p.decide(s, id, d, at); err != nil {
				return err
			}
		}
		return nil
	}
	detail, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.addWork(work{Kind: workJudge, Detail: detail})
}

// judgeMany goes on with a decision about many exceptions.
func (p *projector) judgeMany(s *state, w *work, at transform.Entry) (done bool, err error) {
	var d decisionEntry
	if err := json.Unmarshal(w.Detail, &d); err != nil {
		return false, err
	}
	if d.Exception == nil || d.Exception.Cause == "" {
		for i := int(unhex(w.Cursor)); i < len(d.IDs); i++ {
			if s.Full() {
				w.Cursor = hexKey(uint64(i))
				return false, nil
			}
			if err := p.decide(s, d.IDs[i], d, at.Observed); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return s.each(bucketOpen, "", &w.Cursor, func(_ string, id []byte) (bool, error) {
		x, err := s.exception(string(id))
		if err != nil || x == nil || x.Index > at.Index || x.cause() != d.Exception.Cause {
			return true, err
		}
		return true, p.decide(s, x.ID, d, at.Observed)
	})
}

// decide does what a person decided about one exception.
func (p *projector) decide(s *state, id string, d decisionEntry, at time.Time) error {
	x, err := s.exception(id)
	if err != nil || x == nil || !x.live() {
		return err
	}
	switch d.Action {
	case "discard":
		x.Retries++
		if err := s.save(bucketException, x.ID, x); err != nil {
			return err
		}
		return p.discard(s, x, d, at)
	case "retry":
		return p.retry(s, x, d, at)
	case "waive":
		return p.waive(s, x, d, at)
	case "release":
		return s.releaseBlast(x, d, at)
	}
	if err := s.change(x, d, at); err != nil {
		return err
	}
	return s.save(bucketException, x.ID, x)
}

// retry looks again at what an exception holds.
func (p *projector) retry(s *state, x *exception, d decisionEntry, at time.Time) error {
	if x.Origin == originBlast {
		return nil // it is released or discarded, by its own decision
	}
	x.Retries++
	if x.Origin != originGate {
		x.State = ExceptionResubmitted
		if err := s.note(x, exceptionNote{At: at, What: "resubmitted", State: x.State}); err != nil {
			return err
		}
	}
	if err := s.save(bucketException, x.ID, x); err != nil {
		return err
	}
	switch x.Origin {
	case originMapping:
		return s.addWork(work{Kind: workRetry, Key: x.Problem.Fingerprint})
	case originTable:
		source, table, _ := strings.Cut(x.Problem.Subject, "/")
		return s.addWork(work{Kind: workHold, Key: key(source, table)})
	case originDelivery:
		return s.again(x.Delivery)
	case originFeed:
		return s.feedAgain(x, at)
	case originReading:
		return p.retryReading(s, x.Problem.Subject, d.By, d.Why, at)
	}
	return nil // of a target or a service: nothing in the state; Pipeline.Retry ends their pauses
}

// stillSo puts an exception back that was looked at again and is as it was.
func (s *state) stillSo(fingerprint string, at time.Time) error {
	id, err := s.Get(bucketOpen, fingerprint)
	if err != nil || id == nil {
		return err
	}
	x, err := s.exception(string(id))
	if err != nil || x == nil {
		return err
	}
	was := x.State
	if err := s.reopen(x, "it is still so", at); err != nil || was == x.State {
		return err
	}
	return s.save(bucketException, x.ID, x)
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
func (p *projector) discard(s *state, x *exception, d decisionEntry, at time.Time) error {
	switch x.Origin {
	case originBlast:
		return s.discardBlast(x, d, at)
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
			if err := s.keepReplacement(dl, d, at); err != nil {
				return err
			}
		}
		return s.settleException(dl, ExceptionDiscarded, d.By, d.Why, at)
	case originFeed:
		return s.feedGiveUp(x, ExceptionDiscarded, d.By, d.Why, at)
	case originMapping:
		return s.closeAll(x, ExceptionDiscarded, workDiscard, d, at)
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

// closeAll closes an exception with all who wait on it. What the mapper does about them, and the end of their notes, is work: closed
// first, the exception is not resolved by what the mapper says meanwhile.
func (s *state) closeAll(x *exception, state, kind string, d decisionEntry, at time.Time) error {
	x.Waiting = 0
	if err := s.closeException(x, state, d.By, d.Why, at); err != nil {
		return err
	}
	return s.addWorks(work{Kind: workSubjects, Key: x.ID}, work{Kind: kind, Key: x.Problem.Fingerprint})
}

// dropSubjects forgets who waited on a closed exception, some at a time.
func (s *state) dropSubjects(w *work) (done bool, err error) {
	x, err := s.exception(w.Key)
	if err != nil || x == nil {
		return true, err
	}
	return s.each(bucketSubject, w.Key+sep, &w.Cursor, func(k string, raw []byte) (bool, error) {
		var m transform.Money
		if err := json.Unmarshal(raw, &m); err != nil {
			return false, err
		}
		if x.Origin == originMapping {
			s.held(&m, -1)
		}
		return true, s.Delete(bucketSubject, k)
	})
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
			if err := s.replayEvent(seq, raw, r); err != nil {
				return false, err
			}
		}
		w.Cursor = hexKey(seq + 1)
	}
	return false, nil
}

func (s *state) replayEvent(seq uint64, raw []byte, r ReplayRequest) error {
	var e transform.Event
	if err := json.Unmarshal(raw, &e); err != nil || !r.selects(&e) {
		return err
	}
	if r.Event != "" { // of more than one, publishers are not asked to take again what they have
		if err := s.publish(seq, &e); err != nil {
			return err
		}
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
