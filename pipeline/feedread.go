package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// begin takes up where the last run left off: what is in the index may have been sent, so a target that remembers is asked first.
func (f *feed) begin(ctx, hard context.Context) error {
	err := f.store.View(func(tx *checkpoint.Txn) error {
		fp, err := tx.Get(bucketSystem, "setup/"+feedSubject(f.name))
		f.setup = string(fp)
		return err
	})
	if err != nil {
		return err
	}
	for before, more := uint64(math.MaxUint64), true; more; more = f.again && f.next != before {
		before = f.next
		if err := f.fill(hard); err != nil {
			return err
		}
	}
	if !f.terms.Remembers {
		return nil
	}
	return f.ask(ctx)
}

// ask finds out which of the events in memory the target holds.
func (f *feed) ask(ctx context.Context) error {
	f.mu.Lock()
	var all []*feedEvent
	for _, k := range f.queue.keys {
		all = append(all, k.items...)
	}
	f.mu.Unlock()
	all = slices.DeleteFunc(all, func(e *feedEvent) bool { return e.item.Undecided != "" })
	slices.SortFunc(all, func(a, b *feedEvent) int { return int(int64(a.n) - int64(b.n)) })
	list := make([]sinks.Publication, len(all))
	for i, e := range all {
		list[i] = sinks.Publication{Event: e.event, Topic: e.item.Topic, Sequence: e.item.Sequence}
	}
	for wait := feedRestart; len(list) > 0 && ctx.Err() == nil; wait = min(2*wait, blockedMost) {
		seen, err := f.sink.Seen(ctx, list)
		if err == nil {
			f.fault(nil)
			f.hold(all, seen)
			return nil
		}
		f.fault(fmt.Errorf("asking what it holds: %w", err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// hold takes as published what the target holds.
func (f *feed) hold(all []*feedEvent, seen []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for i, e := range all {
		if i >= len(seen) || !seen[i] {
			continue
		}
		k := e.key
		f.queue.out(k, now)
		at := slices.Index(k.items, e)
		k.items = slices.Delete(k.items, at, at+1)
		f.done(e)
		f.queue.settle(k, now)
	}
}

// done notes that the target has an event. The caller holds the lock.
func (f *feed) done(e *feedEvent) {
	f.queue.bytes -= e.size
	f.since++
	if e.aside {
		f.late = append(f.late, feedPlace{e.key.name, e.n})
		return
	}
	f.taken = append(f.taken, e.n)
}

// fill reads as much of the index into memory as there is room for.
func (f *feed) fill(hard context.Context) error {
	f.mu.Lock()
	look := f.moved || f.more()
	if f.recheck {
		f.held = 0
	}
	f.moved, f.recheck = false, false
	f.mu.Unlock()
	if look {
		if err := f.follow(); err != nil {
			return err
		}
		if err := f.read(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	going := f.wants()
	f.mu.Unlock()
	for _, k := range going {
		if err := f.readAside(hard, k); err != nil {
			return err
		}
	}
	return f.relieve(hard)
}

// more reports whether there is more to read, and room for it. The caller holds the lock.
func (f *feed) more() bool { return f.again && f.room() }

// room reports whether there is room for some more. The caller holds the lock.
func (f *feed) room() bool {
	first := f.open.first()
	return (first == 0 || f.next+f.window/20 < first+f.window) && f.queue.bytes < feedMemory*3/4
}

// read reads a page of the index.
func (f *feed) read() error {
	f.mu.Lock()
	limit, bytes := uint64(math.MaxUint64), f.queue.bytes
	if first := f.open.first(); first != 0 {
		limit = first + f.window
	}
	f.mu.Unlock()
	f.again = false
	var list []*feedEvent
	err := f.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		items, err := f.page(s, limit)
		for _, e := range items {
			if err != nil || bytes >= feedMemory {
				f.again = true
				break
			}
			err = s.feedLoad(e)
			bytes += e.size
			f.next = e.n + 1
			list = append(list, e)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the index of feed %s: %w", f.name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, e := range list {
		f.open.add(e.n)
		k := f.queue.key(e.event.OrderKey)
		if k.held {
			e.key = k
			f.queue.bytes += e.size
			f.setAside(e)
			continue
		}
		f.queue.add(k, e, now)
	}
	return nil
}

// page finds the next entries of the index below a limit; without one the window begins with the first of them.
func (f *feed) page(s *state, limit uint64) (items []*feedEvent, err error) {
	last, err := s.Get(bucketSystem, "seq/feed/"+f.name)
	if err != nil || unhex(string(last)) < f.next {
		return nil, err
	}
	err = s.Scan(bucketFeed, f.name+sep, key(f.name, hexKey(f.next)), func(k string, raw []byte) (bool, error) {
		n := unhex(k[len(f.name)+1:])
		if len(items) == 0 && limit == math.MaxUint64 {
			limit = n + f.window
		}
		if n >= limit || len(items) == feedPage {
			f.again = true
			return false, nil
		}
		item, err := decodeFeedItem(raw)
		items = append(items, &feedEvent{n: n, item: item})
		return err == nil, err
	})
	return items, err
}

// setAside notes that an event is to be set aside. The caller holds the lock.
func (f *feed) setAside(e *feedEvent) {
	e.key.moving++
	f.aside = append(f.aside, e)
}

// feedLoad reads the event of an entry.
func (s *state) feedLoad(e *feedEvent) error {
	raw, err := s.rawEvent(e.item.Event)
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("entry %d names event %d, which the state does not have", e.n, e.item.Event)
	}
	e.event = new(transform.Event)
	e.size = len(raw)
	return json.Unmarshal(raw, e.event)
}

// follow learns which order keys are held, when that has changed.
func (f *feed) follow() error {
	changed, held := false, map[string]feedHeld{}
	err := f.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		raw, err := s.Get(bucketSystem, "seq/feedheld/"+f.name)
		if err != nil || unhex(string(raw)) == f.held {
			return err
		}
		changed, f.held = true, unhex(string(raw))
		return s.Scan(bucketFeedHeld, f.name+sep, "", func(k string, raw []byte) (bool, error) {
			var h feedHeld
			held[k[len(f.name)+1:]] = h
			if err := json.Unmarshal(raw, &h); err != nil {
				return false, err
			}
			held[k[len(f.name)+1:]] = h
			return true, nil
		})
	})
	if err != nil || !changed {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for name, h := range held {
		k := f.queue.key(name)
		if k.busy { // whoever has it asks for another look when it is done
			continue
		}
		f.holdKey(k, now)
		if goes := h.Exception == ""; goes != k.goes {
			f.queue.out(k, now)
			f.queue.drop(k)
			k.goes, k.until, k.attempts, k.since = goes, time.Time{}, 0, time.Time{}
			f.queue.settle(k, now)
		}
	}
	return nil
}

// holdKey sets aside what is in memory of a key that is held from now on. The caller holds the lock.
func (f *feed) holdKey(k *feedKeyed, now time.Time) {
	if k.held {
		return
	}
	f.queue.out(k, now)
	items := k.items
	k.items = nil
	k.held, k.goes, k.loaded = true, false, 0
	for _, e := range items {
		f.setAside(e)
	}
	f.queue.settle(k, now)
}

// wants are the held keys that go and of which nothing is in memory. The caller holds the lock.
func (f *feed) wants() (all []*feedKeyed) {
	for k := range f.queue.going {
		if len(k.items) == 0 && !k.busy {
			all = append(all, k)
		}
	}
	return all
}

// readAside reads what is set aside of a key. When nothing is left of it the key goes on in the index.
func (f *feed) readAside(hard context.Context, k *feedKeyed) error {
	var list []*feedEvent
	err := f.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		err := s.Scan(bucketFeedAside, feedKey(f.name, k.name)+sep, feedPlaceKey(f.name, k.name, k.loaded+1), func(at string, raw []byte) (bool, error) {
			item, err := decodeFeedItem(raw)
			list = append(list, &feedEvent{n: unhex(at[len(at)-16:]), item: item, aside: true})
			return len(list) < feedAsides, err
		})
		for _, e := range list {
			if err == nil {
				err = s.feedLoad(e)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading what is set aside of %s for %s: %w", k.name, f.name, err)
	}
	f.mu.Lock()
	now := time.Now()
	for _, e := range list {
		k.loaded = e.n
		f.queue.add(k, e, now)
	}
	whole := len(list) == 0 && k.moving == 0 && !slices.ContainsFunc(f.late, func(l feedPlace) bool { return l.Key == k.name })
	f.mu.Unlock()
	if !whole {
		return nil
	}
	return f.free(hard, k)
}
