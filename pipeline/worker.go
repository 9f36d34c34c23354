package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// verifyAgain is the pause between verifications of one unknown outcome.
const verifyAgain = time.Second

// deliver carries one delivery as far as it goes now: to its end, to a back-off, or to an exception. The protocol: freeze
// the body in an intent and wait for its sync; send; append the outcome. An intent without an outcome is
// unknown and is verified before anything else (Invariant 9). An error means that the store does not take entries.
func (l *lane) deliver(ctx, hard context.Context, id string) error {
	verified := "" // step that was looked for and is certainly absent
	for ctx.Err() == nil {
		d, err := l.delivery(id)
		if err != nil || d == nil {
			return err
		}
		var goOn bool
		switch d.State {
		case StateSent:
			goOn, err = l.verify(hard, d)
		case StateReady, StateRetry:
			if until, _ := l.shut(d.Post.Entity); !until.IsZero() || !d.opening(time.Now()).IsZero() {
				return nil // its window has closed meanwhile, or its flow
			}
			if l.overRetries(d) {
				return nil
			}
			goOn, err = l.send(ctx, hard, d, &verified)
		default:
			return nil
		}
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

func (l *lane) delivery(id string) (d *delivery, err error) {
	err = l.store.View(func(tx *checkpoint.Txn) error {
		d, err = newState(tx).delivery(id)
		return err
	})
	return d, err
}

// step returns the delivery's next step and whether it is the last one; "" when none is left.
func step(ent sinks.Entity, d *delivery) (name string, final bool) {
	for i, st := range ent.Steps {
		if _, done := d.Done[st]; !done {
			return st, i == len(ent.Steps)-1
		}
	}
	return "", false
}

// send freezes, journals and sends the next step.
func (l *lane) send(ctx, hard context.Context, d *delivery, verified *string) (goOn bool, err error) {
	ent, err := l.sink.Entity(d.Post.Entity)
	if err != nil {
		return l.refuse(hard, d, "", err)
	}
	name, final := step(ent, d)
	if name == "" {
		return l.refuse(hard, d, "", fmt.Errorf("entity %s has no step left", d.Post.Entity))
	}
	op := sinks.OperationOf(d.Post)
	if ent.Edits && d.Post.Version > 0 {
		if err := l.store.View(func(tx *checkpoint.Txn) error { return newState(tx).changeable(d, ent, &op) }); err != nil {
			return false, err
		}
	}
	if l.dry() {
		return l.rehearse(ctx, hard, d, op, name)
	}
	intent, end, oc := l.prepare(ctx, hard, op, name, d.Done)
	if end != nil {
		defer end()
	}
	if ctx.Err() != nil {
		return false, nil // shutting down
	}
	if oc != nil {
		return l.report(hard, d, name, final, false, *oc)
	}
	intent.Operation, intent.Step = op, name
	intent.Attempt, intent.At = d.Attempts+1, time.Now().UTC()
	look := d.Verify || l.store.Identity().VerifyFirst && !d.ours()
	if look && ent.CanVerify && *verified != name {
		if o := l.sink.Verify(hard, intent); o.Class != sinks.Absent {
			return l.report(hard, d, name, final, true, o)
		}
		*verified = name
	}
	return l.transmit(hard, d, intent, final)
}

// prepare freezes a step. Where the target gives numbers in sequence, it waits for its turn first, so that what the
// posting before changed (the last date, say) is seen; end ends the turn.
func (l *lane) prepare(ctx, hard context.Context, op sinks.Operation, name string, done map[string]sinks.Outcome) (in sinks.Intent, end func(), oc *sinks.Outcome) {
	guess := l.target.guess(op, name, "")
	for ctx.Err() == nil {
		if guess != "" {
			turn, err := l.target.sequence(ctx, guess)
			if err != nil {
				return in, nil, nil
			}
			end = turn
		}
		in, oc = l.sink.Prepare(hard, op, name, done, time.Now())
		if oc != nil || in.Sequence == guess || in.Sequence == "" {
			return in, end, oc
		}
		if end != nil {
			end()
			end = nil
		}
		guess = l.target.guess(op, name, in.Sequence)
	}
	return in, end, oc
}

// ours reports whether an earlier step of this delivery was sent, not found: the document is the one that we have just
// made, and nobody else can have gone on with it.
func (d *delivery) ours() bool {
	for _, o := range d.Done {
		if o.Class == sinks.Applied {
			return true
		}
	}
	return false
}

// transmit journals the intent, sends it and journals the outcome.
func (l *lane) transmit(hard context.Context, d *delivery, intent sinks.Intent, final bool) (goOn bool, err error) {
	payload, err := json.Marshal(intent)
	if err != nil {
		return false, fmt.Errorf("encoding the intent of %s: %w", d.Post.ID, err)
	}
	if _, err := l.store.Append(hard, checkpoint.Entry{Kind: checkpoint.Intent, Payload: payload}); err != nil {
		return l.unwritten(err)
	}
	begun := time.Now()
	o := l.sink.Deliver(hard, intent)
	l.metrics.delivered(l, d, o, time.Since(begun))
	if o.Took == 0 {
		o.Took = time.Since(begun)
	}
	d.Attempts++ // as the projector counts it when it applies the intent
	if o.Class == sinks.Unknown {
		l.mu.Lock()
		l.sentEnd[d.Post.ID] = time.Now()
		l.mu.Unlock()
	}
	return l.report(hard, d, intent.Step, final, false, o)
}

// unwritten waits out a journal that takes no intents now (disk floor): nothing was sent.
func (l *lane) unwritten(err error) (bool, error) {
	if !checkpoint.Refused(err) {
		return false, err
	}
	l.mu.Lock()
	l.blocked, l.lastErr = time.Now().Add(blockedLeast), err.Error()
	l.mu.Unlock()
	return false, nil
}

// verify asks the target what became of an intent whose outcome is not known.
func (l *lane) verify(hard context.Context, d *delivery) (goOn bool, err error) {
	if d.Intent == nil {
		return false, fmt.Errorf("delivery %s is sent but has no intent", d.Post.ID)
	}
	ent, err := l.sink.Entity(d.Post.Entity)
	if err != nil {
		return l.refuse(hard, d, d.Intent.Step, err)
	}
	name, final := step(ent, d)
	l.mu.Lock()
	sentEnd, ours := l.sentEnd[d.Post.ID]
	l.mu.Unlock()
	if !ours {
		sentEnd = l.started // the process that sent it is dead: its connection ended before we began
	}
	certain := sentEnd.Add(ent.Horizon)
	if !ent.CanVerify {
		if time.Now().Before(certain) {
			return false, l.delay(d.Post.ID, certain)
		}
		return l.report(hard, d, name, final, true, sinks.Outcome{Class: sinks.Absent, Code: "UNVERIFIABLE",
			Message: "the target cannot be asked; sent again with the same id: at least once"})
	}
	o := l.sink.Verify(hard, *d.Intent)
	l.metrics.verified(l, o)
	now := time.Now()
	switch {
	case o.Class == sinks.Absent && now.Before(certain):
		return false, l.delay(d.Post.ID, earlier(certain, now.Add(verifyAgain))) // an early read proves nothing
	case o.Class == sinks.RetryLater || o.Class == sinks.Unknown:
		l.mu.Lock()
		l.lastErr = o.Message
		l.mu.Unlock()
		return false, l.delay(d.Post.ID, now.Add(max(l.trouble(o), o.Wait, verifyAgain)))
	}
	return l.report(hard, d, name, final, true, o)
}

func (l *lane) delay(id string, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delayed[id] = until
	return nil
}

// report journals an outcome, waits until it is applied and says whether the delivery may go on at once.
func (l *lane) report(hard context.Context, d *delivery, name string, final, verify bool, o sinks.Outcome) (goOn bool, err error) {
	o.Message, o.Request, o.Answer = clip(o.Message, 500), clip(o.Request, 4096), clip(o.Answer, 4096)
	o = l.exhausted(d, o)
	l.note(d, name, o)
	wait := l.trouble(o)
	now := time.Now()
	e := outcomeEntry{Delivery: d.Post.ID, Step: name, Final: final, Verify: verify, Attempt: d.Attempts, Outcome: o}
	switch o.Class {
	case sinks.RetryLater, sinks.Setup:
		e.RetryAt = now.Add(max(wait, o.Wait, l.backoff(d.Attempts))).UTC()
	case sinks.Unknown:
		e.RetryAt = now.Add(verifyAgain).UTC()
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return false, fmt.Errorf("encoding the outcome of %s: %w", d.Post.ID, err)
	}
	// The outcome is known now: it is journalled even while shutting down, or the next start must verify.
	index, err := l.store.Append(context.WithoutCancel(hard), checkpoint.Entry{Kind: checkpoint.Outcome, Payload: payload})
	if err != nil {
		return l.unwritten(err)
	}
	// However far the projector is behind, this delivery stays in flight until the state knows what became of it: taken up
	// again on an older state, it would be sent a second time (Invariant 9).
	if err := l.project.wait(hard, index); err != nil {
		return false, errEnded // we are ending; the entry is safe, and the next start applies it first
	}
	switch o.Class {
	case sinks.Applied, sinks.AlreadyApplied:
		return !final, nil
	case sinks.Absent:
		return true, nil
	case sinks.Unknown:
		return false, l.delay(d.Post.ID, now.Add(verifyAgain))
	}
	return false, nil
}

// note logs what a person may want to know; success is a metric, not a line.
func (l *lane) note(d *delivery, step string, o sinks.Outcome) {
	switch o.Class {
	case sinks.Rejected, sinks.Conflict, sinks.Unknown, sinks.Setup:
		l.log.Warn("delivery "+string(o.Class), "event", d.Post.Event, "delivery", d.Post.ID, "order_key", d.Post.OrderKey,
			"external_id", d.Post.ExternalID, "step", step, "code", o.Code, "message", o.Message)
	default:
		l.log.Debug("delivery "+string(o.Class), "event", d.Post.Event, "external_id", d.Post.ExternalID, "step", step)
	}
}

// unclearMost bounds the sends of one step that the target answered in words that nobody understands, and did not take.
const unclearMost = 5

// exhausted turns a retry beyond the ceiling into an exception. Outages do not count: the target comes back.
func (l *lane) exhausted(d *delivery, o sinks.Outcome) sinks.Outcome {
	_, r := l.target.bounds()
	if o.Class == sinks.Absent && d.Last != nil && d.Last.Class == sinks.Unknown && !d.Last.Outage && d.Attempts >= min(unclearMost, r.MaxAttempts) {
		o.Class, o.Code, o.Message, o.Answer = sinks.Rejected, "ANSWER_UNCLEAR", d.Last.Message, d.Last.Answer
		o.Hint = fmt.Sprintf("It was sent %d times, and each time the target answered this and did not take it. Read the answer, settle what it means, then retry.", d.Attempts)
		return o
	}
	young := d.FirstRetry.IsZero() || time.Since(d.FirstRetry) < r.MaxAge
	if o.Class != sinks.RetryLater || o.Outage || sinks.NotMade(o.Code) || d.Attempts < r.MaxAttempts && young {
		return o
	}
	o.Class, o.Hint = sinks.Rejected, "It was tried "+fmt.Sprint(d.Attempts)+" times. Find out what the target needs, then retry."
	o.Code = "RETRIES_EXHAUSTED"
	return o
}

// backoff is the wait before the next attempt, with full jitter.
func (l *lane) backoff(attempts int) time.Duration {
	_, r := l.target.bounds()
	most := min(r.Cap, r.Base<<min(attempts, 20))
	return rand.N(most) + time.Millisecond
}

// refuse parks a delivery that the adapter does not know how to handle.
func (l *lane) refuse(hard context.Context, d *delivery, name string, err error) (bool, error) {
	return l.report(hard, d, name, false, false, sinks.Outcome{Class: sinks.Rejected, Code: "ENTITY_UNKNOWN", Message: err.Error(),
		Hint: "Correct the target named in the mapping's posts, then retry."})
}
