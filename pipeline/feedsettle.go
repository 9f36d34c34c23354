package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"waybill/sinks"
)

// feedAnswer is what a call said, by order key.
type feedAnswer struct {
	keys  []*feedKeyed
	went  map[*feedKeyed]bool // something of the key was taken
	stops map[*feedKeyed]*feedStop
	news  []sinks.Outcome // of the stops
}

// feedStop is what was not taken of a key, and what became of the first of it.
type feedStop struct {
	first sinks.Outcome
	list  []*feedEvent
}

// answer sorts outcomes by order key, and notes what was taken. The caller holds the lock.
func (f *feed) answer(batch []*feedEvent, outcomes []sinks.Outcome) feedAnswer {
	a := feedAnswer{went: map[*feedKeyed]bool{}, stops: map[*feedKeyed]*feedStop{}}
	for i, e := range batch {
		if a.stops[e.key] == nil && !a.went[e.key] {
			a.keys = append(a.keys, e.key)
		}
		if outcomes[i].Done() {
			f.done(e)
			a.went[e.key] = true
			continue
		}
		if a.stops[e.key] == nil {
			a.stops[e.key] = &feedStop{first: outcomes[i]}
			a.news = append(a.news, outcomes[i])
		}
		a.stops[e.key].list = append(a.stops[e.key].list, e)
	}
	return a
}

// settle does what the outcomes of a call ask for. An error means that the store does not take entries.
func (f *feed) settle(hard context.Context, batch []*feedEvent, outcomes []sinks.Outcome) error {
	f.mu.Lock()
	a, now := f.answer(batch, outcomes), time.Now()
	for _, o := range a.news {
		f.trouble(o, now)
	}
	if len(a.went) > 0 && !slices.ContainsFunc(a.news, down) {
		f.pause = 0
	}
	var refused []*feedKeyed
	for _, k := range a.keys {
		if a.went[k] {
			k.attempts, k.since = 0, time.Time{}
		}
		if s := a.stops[k]; s != nil {
			f.queue.back(k, s.list)
			if s.first = f.exhausted(k, s.first, now); f.parks(s.first) {
				refused = append(refused, k) // it stays busy
				continue
			}
			f.later(k, s.first, now)
		}
		k.busy = false
		f.queue.settle(k, now)
	}
	f.mu.Unlock()
	if err := f.tell(hard, a.news, len(a.went) > 0); err != nil {
		return err
	}
	for _, k := range refused {
		f.note(k.items[0], a.stops[k].first)
		if err := f.park(hard, k, a.stops[k].first); err != nil {
			return err
		}
	}
	return nil
}

// parks reports whether an outcome stops the order key until a person decides.
func (f *feed) parks(o sinks.Outcome) bool {
	switch o.Class {
	case sinks.RetryLater, sinks.Unknown, sinks.Absent, sinks.Setup:
		return false
	}
	return true
}

// trouble pauses the feed after an outage or a setup outcome, or as long as the target asks for. The caller holds the lock.
func (f *feed) trouble(o sinks.Outcome, now time.Time) {
	if !down(o) && (o.Wait == 0 || o.Code == sinks.CodeLocked) {
		return
	}
	f.lastErr = o.Message
	wait := o.Wait
	if down(o) {
		if f.pause = min(max(2*f.pause, blockedLeast/5), blockedMost); o.Class == sinks.Setup {
			f.pause = max(f.pause, blockedLeast)
		} else {
			f.pause = min(f.pause, blockedLeast)
		}
		wait = max(wait, f.pause)
	}
	f.blocked = later(f.blocked, now.Add(wait))
}

// down are outcomes of a target that takes nothing now.
func down(o sinks.Outcome) bool { return o.Outage || o.Class == sinks.Setup }

// uncounted are outcomes that say nothing of the event itself: it was not sent, or one too many at once.
func uncounted(o sinks.Outcome) bool {
	return down(o) || o.Code == sinks.CodeBehind || o.Code == sinks.CodeRate || sinks.NotMade(o.Code)
}

// exhausted turns a retry beyond the ceiling into a refusal. Outages do not count: the target comes back. The caller holds the lock.
func (f *feed) exhausted(k *feedKeyed, o sinks.Outcome, now time.Time) sinks.Outcome {
	if f.parks(o) || uncounted(o) {
		return o
	}
	if k.attempts++; k.since.IsZero() {
		k.since = now
	}
	if k.attempts < f.retry.MaxAttempts && now.Sub(k.since) < f.retry.MaxAge {
		return o
	}
	o.Class, o.Code, o.Hint = sinks.Rejected, "RETRIES_EXHAUSTED", fmt.Sprintf("It was tried %d times. Find out what the target needs, then retry.", k.attempts)
	return o
}

// later lets a key wait before its first event is sent again. The caller holds the lock.
func (f *feed) later(k *feedKeyed, o sinks.Outcome, now time.Time) {
	k.until = time.Time{}
	if down(o) || o.Wait > 0 && o.Code != sinks.CodeLocked {
		return // the whole feed waits
	}
	f.lastErr = o.Message
	if o.Wait > 0 {
		k.until = now.Add(o.Wait)
		return
	}
	most := min(f.retry.Cap, f.retry.Base<<min(max(k.attempts-1, 0), 20))
	k.until = now.Add(rand.N(most) + time.Millisecond)
}

// tell journals that nothing is taken, once for each cause, and that something is taken again.
func (f *feed) tell(hard context.Context, news []sinks.Outcome, good bool) error {
	at := slices.IndexFunc(news, func(o sinks.Outcome) bool { return o.Class == sinks.Setup })
	f.mu.Lock()
	is := f.setup
	f.mu.Unlock()
	if at < 0 && (!good || is == "") {
		return nil
	}
	f.telling.Lock() // the journal has them in the order in which they were found
	defer f.telling.Unlock()
	f.mu.Lock()
	was := f.setup
	if is = ""; at >= 0 {
		is = "SETUP/" + f.name + "/" + news[at].Code
	}
	f.setup = is
	f.mu.Unlock()
	if was == is {
		return nil
	}
	entry := feedEntry{Well: true}
	if is != "" {
		o := news[at]
		entry = feedEntry{Setup: &o}
		f.log.Warn("nothing is published", "code", o.Code, "message", o.Message)
	}
	_, refused, err := f.append(context.WithoutCancel(hard), entry)
	if refused {
		f.mu.Lock()
		f.setup = was // told the next time
		f.mu.Unlock()
	}
	return err
}

func (f *feed) note(e *feedEvent, o sinks.Outcome) {
	f.log.Warn("event refused", "event", e.event.ID, "type", e.event.Type, "topic", e.item.Topic, "order_key", e.key.name, "code", o.Code, "message", o.Message)
}

// park journals that the first event of a key stops it, and sets the others aside behind it. The key is busy, or waits, until that is
// applied.
func (f *feed) park(hard context.Context, k *feedKeyed, o sinks.Outcome) error {
	first := k.items[0]
	index, refused, err := f.append(context.WithoutCancel(hard), feedEntry{Refused: &feedRefusal{feedPlace{k.name, first.n}, o}})
	if err != nil {
		return err
	}
	if !refused {
		if err := f.project.wait(hard, index); err != nil {
			return f.ended(hard, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	k.busy = false
	if refused {
		f.later(k, sinks.Outcome{}, now)
		f.queue.settle(k, now)
		return nil
	}
	k.items = k.items[1:]
	f.queue.bytes -= first.size
	if !first.aside {
		delete(f.open.known, first.n)
	}
	k.held, k.goes, k.loaded = true, o.Class == sinks.RetryLater, first.n-1
	for _, e := range k.items {
		if e.aside { // it is there already
			f.queue.bytes -= e.size
		} else {
			f.setAside(e)
		}
	}
	k.items = nil
	f.queue.settle(k, now)
	f.moved, f.recheck = true, true // a person may have decided meanwhile
	return nil
}

// ended is an error of waiting for the projector: while we are ending it is none, for the entry is safe.
func (f *feed) ended(hard context.Context, err error) error {
	if errors.Is(err, errEnded) || hard.Err() != nil {
		return nil
	}
	return err
}

// relieve sets a key aside that waits so long that it holds up the others: the window begins with its first event (Invariant 5).
func (f *feed) relieve(hard context.Context) error {
	f.mu.Lock()
	var slow *feedKeyed
	if first := f.open.first(); first != 0 && !f.room() {
		for k := range f.queue.late {
			if !k.held && !k.busy && k.items[0].n == first {
				slow = k
				k.busy = true
				f.queue.settle(k, time.Now())
			}
		}
	}
	f.mu.Unlock()
	if slow == nil {
		return nil
	}
	return f.park(hard, slow, sinks.Outcome{Class: sinks.RetryLater})
}

// free journals that nothing of a key is set aside any more.
func (f *feed) free(hard context.Context, k *feedKeyed) error {
	index, refused, err := f.append(hard, feedEntry{Free: k.name})
	if err != nil || refused {
		return f.ended(hard, err)
	}
	if err := f.project.wait(hard, index); err != nil {
		return f.ended(hard, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k.held, k.goes, k.loaded = false, false, 0
	f.queue.settle(k, time.Now())
	return nil
}

// record journals what became of events since the last time.
func (f *feed) record(ctx context.Context) error {
	f.mu.Lock()
	taken, aside, late := f.taken, f.aside, f.late
	f.taken, f.aside, f.late = nil, nil, nil
	f.mu.Unlock()
	if len(taken)+len(aside)+len(late) == 0 {
		return nil
	}
	slices.Sort(taken)
	moved := make([]uint64, len(aside))
	for i, e := range aside {
		moved[i] = e.n
	}
	slices.Sort(moved)
	_, refused, err := f.append(ctx, feedEntry{Taken: ranges(taken), Aside: ranges(moved), Late: late})
	if err != nil {
		return f.ended(ctx, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if refused {
		f.taken, f.aside, f.late = append(taken, f.taken...), append(aside, f.aside...), append(late, f.late...)
		return nil
	}
	for _, n := range append(taken, moved...) {
		delete(f.open.known, n)
	}
	now := time.Now()
	for _, e := range aside {
		f.queue.bytes -= e.size
		e.key.moving--
		f.queue.settle(e.key, now)
	}
	if !f.room() {
		return nil
	}
	f.moved = f.moved || f.again
	return nil
}
