package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// Service is an Answerer with how it is asked.
type Service struct {
	Answerer sinks.Answerer
	Workers  int           // questions at the same time; default 4
	Patience time.Duration // silent for so long, people are told and fallbacks hold; default 1m
	Retry    Retry         // pauses between attempts while it is silent
}

// Bounds of an asker.
const (
	askWindow       = 1000             // questions looked at in one round
	askIdle         = 30 * time.Second // looked at again even if nobody woke it
	defaultPatience = time.Minute
)

// asker puts the questions of one service, each once however many wait for it, outside of the projector and of all lanes. What comes of a
// question becomes a journal entry; of the questions themselves it only reads the state. A service that fails pauses all its
// questions, and no other's.
type asker struct {
	name    string
	service Service
	store   *checkpoint.Store
	project *projector
	metrics *metrics
	log     *slog.Logger
	wake    chan struct{}

	mu       sync.Mutex
	cursor   string               // where the next round begins
	flying   map[string]bool      // questions being asked
	asked    map[string]time.Time // questions to ask again: when they were asked or seen first
	seen     map[string]bool      // of those, in this walk over the queue
	kicked   time.Time            // a person asked for all of them
	failures int                  // attempts in a row that told nothing
	since    time.Time            // of the first of them
	pause    time.Time            // nothing is asked before
	silent   bool                 // the journal says that it does not answer
	last     string               // why it did not answer last
}

func newAsker(name string, service Service, store *checkpoint.Store, project *projector, m *metrics, log *slog.Logger) *asker {
	if service.Workers == 0 {
		service.Workers = defaultWorkers
	}
	if service.Patience == 0 {
		service.Patience = defaultPatience
	}
	service.Retry = service.Retry.withDefaults()
	return &asker{name: name, service: service, store: store, project: project, metrics: m, log: log.With("service", name), wake: make(chan struct{}, 1),
		flying: map[string]bool{}, asked: map[string]time.Time{}, seen: map[string]bool{}}
}

// notify says that there may be questions.
func (a *asker) notify() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// kick asks at once what would be asked again later, because a person wants to know.
func (a *asker) kick() {
	a.mu.Lock()
	a.kicked, a.pause, a.cursor = time.Now(), time.Time{}, ""
	a.mu.Unlock()
	a.notify()
}

// run asks until ctx ends, and returns when no question is under way any more. An error means that the store does not take entries.
func (a *asker) run(ctx context.Context) error {
	err := a.store.View(func(tx *checkpoint.Txn) error {
		raw, err := transform.Silent(tx, a.name)
		a.silent = raw != nil
		return err
	})
	if err != nil {
		return err
	}
	broken := make(chan error, 1)
	var flights sync.WaitGroup
	defer flights.Wait()
	for {
		wait, err := a.round(ctx, func(q *transform.Question) {
			flights.Go(func() {
				if err := a.ask(ctx, q); err != nil {
					select {
					case broken <- err:
					default: // one ends us
					}
				}
				a.landed(q.ID())
			})
		})
		if err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case err = <-broken:
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (a *asker) landed(id string) {
	a.mu.Lock()
	delete(a.flying, id)
	a.mu.Unlock()
	a.notify()
}

// round starts the questions that are due while slots are free, and says how long there is nothing more to do unless somebody wakes it.
func (a *asker) round(ctx context.Context, start func(*transform.Question)) (time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if wait := a.pause.Sub(now); wait > 0 {
		return wait, nil
	}
	next, walked, found := askIdle, 0, 0
	from := a.cursor
	a.cursor = ""
	err := a.store.View(func(tx *checkpoint.Txn) error {
		return transform.Questions(tx, a.name, from, func(id string, q *transform.Question) (bool, error) {
			if walked++; walked > askWindow || ctx.Err() != nil {
				a.cursor, next = id, 0
				return false, nil
			}
			found++
			if wait := a.due(id, q, now); wait > 0 {
				next = min(next, wait)
				return true, nil
			}
			if !a.flying[id] {
				if !a.takeOff(id) {
					a.cursor = id // a flight that lands wakes us
					return false, nil
				}
				start(q)
			}
			return true, nil
		})
	})
	if a.cursor == "" {
		maps.DeleteFunc(a.asked, func(id string, _ time.Time) bool { return !a.seen[id] })
		clear(a.seen)
	}
	if err == nil && from != "" && a.cursor == "" {
		next = 0 // the beginning of the queue has not been looked at
	}
	if err == nil && a.silent && from == "" && found == 0 && len(a.flying) == 0 {
		err = a.idle(ctx)
	}
	return next, err
}

// takeOff reserves a place for a question, unless none is free. While the service fails one question at a time finds out whether it is
// back. It is called with the lock held.
func (a *asker) takeOff(id string) bool {
	if len(a.flying) >= a.service.Workers || a.failures > 0 && len(a.flying) > 0 {
		return false
	}
	a.flying[id] = true
	return true
}

// due is how long a question may wait. One that was answered is asked again once in its time.
func (a *asker) due(id string, q *transform.Question, now time.Time) time.Duration {
	if q.Again == 0 {
		delete(a.asked, id)
		return 0
	}
	a.seen[id] = true
	last, known := a.asked[id]
	if !known {
		a.asked[id], last = now, now
	}
	if last.Before(a.kicked) {
		return 0
	}
	return max(0, last.Add(q.Again).Sub(now))
}

// ask asks once and journals what came of it.
func (a *asker) ask(ctx context.Context, q *transform.Question) error {
	ours, out := put(ctx, a.service.Answerer, q)
	if out != nil {
		if ctx.Err() != nil {
			return nil // shutting down
		}
		a.metrics.asked(a.name, "failed")
		return a.failed(ctx, *out)
	}
	a.metrics.asked(a.name, ours.Status)
	return a.tell(ctx, q, ours)
}

// put puts a question and reads the answer. The outcome is not nil when nothing can be asked now.
func put(ctx context.Context, to sinks.Answerer, q *transform.Question) (*transform.Answer, *sinks.Outcome) {
	begun := time.Now()
	got, out := to.Ask(ctx, q)
	ours := &transform.Answer{Question: *q, Status: transform.AnswerAbsent, Version: got.Version, Asked: begun.UTC().Truncate(time.Microsecond), Took: time.Since(begun)}
	ours.Wakes, ours.Again, ours.Last = nil, 0, ""
	switch {
	case out == nil && got.Found:
		ours.Status = transform.AnswerFound
		values, err := transform.Pick(q.Fields, got.Object)
		if ours.Values = values; err != nil {
			ours.Status, ours.Why = transform.AnswerRefused, err.Error()
		}
	case out == nil:
	case out.Class == sinks.Rejected || out.Class == sinks.Conflict:
		ours.Status, ours.Why = transform.AnswerRefused, clip(out.Code+": "+out.Message, 500)
	default:
		return nil, out
	}
	return ours, nil
}

// tell journals an answer, unless it says what the last one said and somebody still waits for another.
func (a *asker) tell(ctx context.Context, q *transform.Question, ours *transform.Answer) error {
	a.mu.Lock()
	a.failures, a.since, a.pause, a.last = 0, time.Time{}, time.Time{}, ""
	a.asked[q.ID()] = time.Now()
	silent := a.silent
	a.mu.Unlock()
	if q.Again > 0 && ours.Sum() == q.Last && !silent {
		if awaited, err := a.awaited(q); err != nil || awaited {
			return err
		}
	}
	if err := a.append(ctx, answerEntry{Answer: ours}); err != nil {
		return err
	}
	a.mu.Lock()
	a.silent = false
	a.mu.Unlock()
	return nil
}

// awaited reports whether anything waits for another answer than the last one.
func (a *asker) awaited(q *transform.Question) (is bool, err error) {
	err = a.store.View(func(tx *checkpoint.Txn) error {
		known, err := newState(tx).activations()
		if err != nil {
			return err
		}
		for scope, m := range known {
			if m.carrierOf() == q.Mapping {
				is, err = q.Awaited(transform.Scoped(tx, []string{scope})[0])
				return err
			}
		}
		return nil
	})
	return is, err
}

// failed pauses the service, and tells people when it has been silent for too long, or cannot answer until somebody changes something.
func (a *asker) failed(ctx context.Context, o sinks.Outcome) error {
	now := time.Now()
	a.mu.Lock()
	if a.failures++; a.since.IsZero() {
		a.since = now
	}
	r := a.service.Retry
	width := min(r.Cap, r.Base<<min(a.failures, 20))
	a.last = clip(o.Code+": "+o.Message, 300)
	a.pause = now.Add(max(o.Wait, width/2+rand.N(width/2+1)))
	tells := !a.silent && (o.Class == sinks.Setup || now.Sub(a.since) >= a.service.Patience)
	if wait := a.since.Add(a.service.Patience).Sub(now); !a.silent && wait > 0 && a.pause.After(now.Add(wait)) {
		a.pause = now.Add(wait) // so that people hear of it in time
	}
	since := a.since
	a.mu.Unlock()
	a.log.Debug("a question was not answered", "class", string(o.Class), "code", o.Code, "message", o.Message)
	if !tells {
		return nil
	}
	a.log.Warn("the service does not answer", "code", o.Code, "message", o.Message)
	err := a.append(ctx, answerEntry{Silent: &silence{Service: a.name, Since: since.UTC().Truncate(time.Microsecond), Code: o.Code, Message: clip(o.Message, 300), Hint: o.Hint}})
	if err == nil {
		a.mu.Lock()
		a.silent = true
		a.mu.Unlock()
	}
	return err
}

// idle ends the silence of a service that nothing is asked of any more. It is called with the lock held.
func (a *asker) idle(ctx context.Context) error {
	a.silent = false
	payload, err := json.Marshal(answerEntry{Idle: a.name})
	if err != nil {
		return err
	}
	_, err = a.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Answer, Payload: payload})
	if err != nil && (checkpoint.Refused(err) || ctx.Err() != nil) {
		a.silent = true
		return nil
	}
	return err
}

// append journals an entry and waits until it is applied: until then the state shows the question as it was. A journal that takes nothing
// now pauses the service; the question is asked again.
func (a *asker) append(ctx context.Context, e answerEntry) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding what came of a question to %s: %w", a.name, err)
	}
	index, err := a.store.Append(context.WithoutCancel(ctx), checkpoint.Entry{Kind: checkpoint.Answer, Payload: payload})
	if err != nil {
		if !checkpoint.Refused(err) {
			return err
		}
		a.mu.Lock()
		a.pause = time.Now().Add(blockedLeast)
		a.mu.Unlock()
		return nil
	}
	if err := a.project.wait(ctx, index); err != nil && ctx.Err() == nil && !errors.Is(err, errEnded) {
		return err
	}
	return nil // when we are ending, the entry is safe, and the next start applies it first
}
