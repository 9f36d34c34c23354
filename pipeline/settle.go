package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// intent applies an Intent entry: the delivery may have been sent from now on, whatever happens to us.
func (p *projector) intent(s *state, e checkpoint.Entry) error {
	var in sinks.Intent
	if err := json.Unmarshal(e.Payload, &in); err != nil {
		return fmt.Errorf("reading intent %d: %w", e.Index, err)
	}
	if err := p.expect(s, &in, e); err != nil {
		return err
	}
	d, err := s.delivery(in.ID)
	if err != nil || d == nil || d.over() {
		return err
	}
	d.State, d.Step, d.Intent, d.Last = StateSent, in.Step, &in, nil
	d.Attempts++
	d.Sends++
	if err := s.log(in.ID, e, traceNote{At: e.At, Kind: "intent", Step: in.Step, Attempt: in.Attempt,
		Request: clip(string(in.Request), 2000), Edited: d.Edited}); err != nil {
		return err
	}
	return s.putDelivery(d)
}

// outcome applies an Outcome entry: it settles the step, or says when and how to go on.
func (p *projector) outcome(s *state, e checkpoint.Entry) error {
	var o outcomeEntry
	if err := json.Unmarshal(e.Payload, &o); err != nil {
		return fmt.Errorf("reading outcome %d: %w", e.Index, err)
	}
	if o.Feed != nil {
		return p.fed(s, o.Feed, e)
	}
	if err := p.expected(s, o, e.At); err != nil {
		return err
	}
	d, err := s.delivery(o.Delivery)
	if err != nil || d == nil || d.over() {
		return err
	}
	note := traceNote{At: e.At, Kind: "outcome", Step: o.Step, Attempt: o.Attempt, Class: o.Outcome.Class, Code: o.Outcome.Code,
		Message: o.Outcome.Message, Number: o.Outcome.Number, Took: o.Outcome.Took, Request: o.Outcome.Request, Answer: o.Outcome.Answer,
		Edited: d.Edited}
	if o.Verify {
		note.Kind = "verify"
	}
	if err := s.log(d.Post.ID, e, note); err != nil {
		return err
	}
	if o.Outcome.Class != sinks.Setup {
		if err := s.healthy(d, o, e.At); err != nil {
			return err
		}
	}
	last := o.Outcome
	last.Request, last.Answer = "", ""
	d.Step, d.Last, d.RetryFrom = o.Step, &last, e.At
	return p.settle(s, d, o, e)
}

// healthy resolves the exception of a blocked target when it answers about documents again.
func (s *state) healthy(d *delivery, o outcomeEntry, at time.Time) error {
	if !o.Outcome.Done() && o.Outcome.Class != sinks.Rejected && o.Outcome.Class != sinks.Absent {
		return nil
	}
	fp, err := s.Get(bucketSystem, "setup/"+laneSubject(d.Post))
	if err != nil || len(fp) == 0 {
		return err
	}
	if err := s.Delete(bucketSystem, "setup/"+laneSubject(d.Post)); err != nil {
		return err
	}
	return s.resolve(string(fp), laneSubject(d.Post), "waybill", "the target accepts us again", at)
}

func (p *projector) settle(s *state, d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	switch o.Outcome.Class {
	case sinks.Applied, sinks.AlreadyApplied:
		return p.delivered(s, d, o, e)
	case sinks.Absent:
		d.State, d.Intent, d.Last = StateReady, nil, nil
		return s.putDelivery(d)
	case sinks.RetryLater:
		// A verification that could not ask leaves the intent as unknown as it was (Invariant 9).
		d.RetryAt = o.RetryAt
		if d.FirstRetry.IsZero() {
			d.FirstRetry = e.At
		}
		if !o.Verify || d.Intent == nil {
			d.State, d.Intent = StateRetry, nil
		}
		return s.putDelivery(d)
	case sinks.Unknown:
		d.State, d.RetryAt = StateSent, o.RetryAt
		return s.putDelivery(d)
	case sinks.Setup:
		if !o.Verify || d.Intent == nil {
			d.State, d.Intent = StateRetry, nil
		}
		d.RetryAt = o.RetryAt
		return s.blocked(d, o, e.At)
	case sinks.Rejected, sinks.Conflict:
		return p.park(s, d, o, e)
	}
	return fmt.Errorf("outcome %d has class %q, which this release does not know", e.Index, o.Outcome.Class)
}

// delivered writes the ledger and, after the last step, takes the delivery out of its queue and opens the gates that wait.
func (p *projector) delivered(s *state, d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	row := ledgerRow{Delivery: d.Post.ID, Ref: o.Outcome.Ref, Number: o.Outcome.Number, Facts: o.Outcome.Facts,
		Index: e.Index, At: e.At, Adopted: o.Verify && d.Intent == nil}
	if err := s.save(bucketLedger, ledgerKey(d.Post, o.Step), row); err != nil {
		return err
	}
	if d.Done == nil {
		d.Done = map[string]sinks.Outcome{}
	}
	kept := o.Outcome
	kept.Request, kept.Answer, kept.Message = "", "", ""
	d.Done[o.Step] = kept
	d.Intent, d.Attempts, d.FirstRetry = nil, 0, time.Time{}
	if !o.Final {
		d.State = StateReady
		return s.putDelivery(d)
	}
	d.State, d.Verify, d.Take = StateDone, false, ""
	if err := s.putDelivery(d); err != nil {
		return err
	}
	if err := s.settleException(d, "resolved", "waybill", "delivered", e.At); err != nil {
		return err
	}
	if err := p.posted(s, d, o, e); err != nil {
		return err
	}
	gate := transform.Gate{Kind: transform.GateLedger, Name: d.Post.Sink + "." + d.Post.Entity, Key: transform.CompanyKey(d.Post.Company, d.Post.ExternalID)}
	if err := s.Put(bucketApplied, key(d.Post.Sink, d.Post.Entity, gate.Key), []byte(d.Post.ID)); err != nil {
		return err
	}
	if err := s.open(gateKey(gate)); err != nil {
		return err
	}
	return s.leave(d)
}

// posted notes the target's number, so that people find the document by it, and tells everyone who follows the events.
func (p *projector) posted(s *state, d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	out := &output{s: s, entry: transform.Entry{Index: e.Index, Observed: e.At}}
	for _, name := range []string{o.Outcome.Number, o.Outcome.Ref} {
		if name == "" {
			continue
		}
		if err := s.mark(bucketAlias, key(name, "post/"+d.Post.ID)); err != nil {
			return err
		}
	}
	if d.Post.Amount == nil {
		return p.requested(s, out, d, o, e)
	}
	ev := derived("erp.posted", d, o, e)
	if err := out.Event(ev); err != nil {
		return err
	}
	return p.inCase(s, out, ev)
}

// park opens an exception for a delivery that its target refuses. Only its own order key waits.
func (p *projector) park(s *state, d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	code := refusal(o.Outcome)
	class, owner := concerns(code)
	title := fmt.Sprintf("%s refused %s: %s", d.Post.Sink, subjectOf(d.Post), o.Outcome.Message)
	if o.Outcome.Class == sinks.Conflict {
		title = fmt.Sprintf("%s holds something else as %s: %s", d.Post.Sink, subjectOf(d.Post), o.Outcome.Message)
	}
	evidence, err := json.Marshal(map[string]any{"target": d.Post.Sink + "." + d.Post.Entity, "step": o.Step, "field": o.Outcome.Field, "message": o.Outcome.Message,
		"facts": o.Outcome.Facts, "body": d.Post.Body, "external_id": d.Post.ExternalID})
	if err != nil {
		return err
	}
	prob := transform.Problem{Fingerprint: "DELIVERY/" + d.Post.ID, Class: class, Code: code, Title: clip(title, 300),
		Hint: o.Outcome.Hint, Owner: owner, Subject: subjectOf(d.Post), OrderKey: d.Post.OrderKey, Amount: d.Post.Amount, Evidence: evidence}
	id, err := s.openException(originDelivery, prob, d.Post.ID, e.At)
	if err != nil {
		return err
	}
	d.State, d.Exception, d.Intent = StateParked, id, nil
	if err := s.behead(d); err != nil {
		return err
	}
	if err := p.doubtPeriods(s, d, code, e); err != nil {
		return err
	}
	if err := s.rejected(d, o, e); err != nil {
		return err
	}
	return s.putDelivery(d)
}

// blocked opens one exception for a target that refuses all of us, whatever the document.
func (s *state) blocked(d *delivery, o outcomeEntry, at time.Time) error {
	if err := s.putDelivery(d); err != nil {
		return err
	}
	prob := transform.Problem{Fingerprint: "SETUP/" + d.Post.Sink + "/" + o.Outcome.Code, Class: "POLICY", Code: o.Outcome.Code,
		Title: clip(fmt.Sprintf("%s cannot be used: %s", d.Post.Sink, o.Outcome.Message), 300), Hint: o.Outcome.Hint,
		Owner: "integration", Subject: laneSubject(d.Post)}
	if _, err := s.openException(originTarget, prob, "", at); err != nil {
		return err
	}
	return s.Put(bucketSystem, "setup/"+laneSubject(d.Post), []byte(prob.Fingerprint))
}

// laneSubject is what waits when a target is blocked: the lane towards it.
func laneSubject(p transform.Post) string { return "lane/" + string(p.Lane) + ">" + p.Sink }

// settleException closes the exception that parked a delivery, if there is one.
func (s *state) settleException(d *delivery, state, by, reason string, at time.Time) error {
	if d.Exception == "" {
		return nil
	}
	x, err := s.exception(d.Exception)
	if err != nil || x == nil || !x.live() {
		return err
	}
	x.Waiting = 0
	if err := s.Delete(bucketSubject, key(x.ID, x.Problem.Subject)); err != nil {
		return err
	}
	return s.closeException(x, state, by, reason, at)
}

// deliveryRule is the rule of events that follow from outcomes rather than from rows.
const deliveryRule = "delivery"

// derived makes an event that follows from an outcome. Its id hashes its causes, so the same history gives the same id.
func derived(typ string, d *delivery, o outcomeEntry, e checkpoint.Entry) transform.Event {
	data := outcomeData(typ, d, o)
	entity, k := "posting", d.Post.ExternalID
	if len(d.Post.Refs) > 0 {
		entity, k = splitRef(d.Post.Refs[0])
		k = strings.TrimPrefix(k, transform.CompanyKey(d.Post.Company, ""))
	}
	return transform.Event{ID: hashID(typ, d.Post.ID, fmt.Sprint(d.Replays)), Type: typ, Rule: deliveryRule, Source: "/waybill/" + d.Post.Sink,
		Entity: entity, Key: k, Company: d.Post.Company, Lane: d.Post.Lane, OrderKey: d.Post.OrderKey,
		Occurred: e.At, Recorded: e.At, Observed: e.At, Causation: []string{d.Post.Event}, Index: e.Index,
		Position: fmt.Sprintf("journal/%d", e.Index), Data: data, Amount: d.Post.Amount, Refs: d.Post.Refs}
}

// log keeps the story of a delivery for trace.
func (s *state) log(id string, e checkpoint.Entry, n traceNote) error {
	n.Request, n.Answer, n.Message = clip(n.Request, 2000), clip(n.Answer, 2000), clip(n.Message, 500)
	return s.save(bucketLog, key(id, hexKey(e.Index)), n)
}
