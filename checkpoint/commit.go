package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

const (
	groupBytes   = 4 << 20  // a group is full with the entry that reaches this
	groupEntries = 4096     // or with this many
	queueBytes   = 16 << 20 // waiting for the committer; more blocks the sender
	maxAppend    = 64 << 20 // of one Append
	entryCost    = 256      // counted for each waiting entry beside its payload
)

// request is one call of Append or Submit: entries that go into one group, together.
type request struct {
	entries []Entry
	one     [1]Entry // backs entries of Submit
	writer  *Writer
	weight  int64
	done    func(last uint64, err error)
}

// committer is the one goroutine that writes to the journal. It takes what is waiting, up to a group, writes it with one
// sync, tells who waits, and takes the next: no timer, so one entry alone waits for nothing and a flood shares its syncs.
type committer struct {
	s     *Store
	room  *semaphore.Weighted // bytes of the queue
	ended chan struct{}

	mu     sync.Mutex
	queue  []*request
	closed bool
	wake   chan struct{} // holds one

	logs  []raft.Log
	group []*raft.Log
	seals []byte
}

func newCommitter(s *Store) *committer {
	return &committer{s: s, room: semaphore.NewWeighted(queueBytes), ended: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// Append appends the entries with consecutive indexes and returns the last of them after the sync that covers it. Either
// all are in the journal or none is. An entry without a time gets the present one. Refusals are *FloorError, ErrJournalFull
// and ErrTooBig; any other error means that the journal takes nothing until the store is opened again. When ctx ends
// first, the entries may still be written.
func (s *Store) Append(ctx context.Context, entries ...Entry) (last uint64, err error) {
	if len(entries) == 0 {
		return s.Last(), nil
	}
	type result struct {
		last uint64
		err  error
	}
	c := make(chan result, 1)
	r := &request{entries: entries, done: func(last uint64, err error) { c <- result{last, err} }}
	if err := s.committer.submit(ctx, r); err != nil {
		return 0, err
	}
	select {
	case got := <-c:
		return got.last, got.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Submit queues an entry and calls done with its index after the sync, or with the refusal (as of Append); in the order of
// submission, from the committer's goroutine, so done must not block. Submit itself blocks while 16 MiB are waiting. The
// payload must not change before done. Its error means that the entry was not queued and done is never called.
//
// A refused entry does not stop the ones behind it. A sender whose entries make sense only without a gap, like a source's
// batches, uses a Writer.
func (s *Store) Submit(e Entry, done func(index uint64, err error)) error {
	r := &request{done: done}
	r.one[0] = e
	r.entries = r.one[:]
	return s.committer.submit(context.Background(), r)
}

// Writer submits entries of which none may be missing before a later one. After the first refusal it refuses all that
// follow with ErrLatched, queued ones too; the sender then begins again, with a new Writer, from what the journal holds.
type Writer struct {
	s      *Store
	mu     sync.Mutex
	failed error
}

// Writer returns a new Writer.
func (s *Store) Writer() *Writer { return &Writer{s: s} }

// Submit is Store.Submit for an entry that must follow the ones before it.
func (w *Writer) Submit(e Entry, done func(index uint64, err error)) error {
	if err := w.latched(); err != nil {
		return err
	}
	r := &request{done: done, writer: w}
	r.one[0] = e
	r.entries = r.one[:]
	return w.s.committer.submit(context.Background(), r)
}

func (w *Writer) latched() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return fmt.Errorf("%w: %w", ErrLatched, w.failed)
	}
	return nil
}

func (w *Writer) latch(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
}

func (c *committer) submit(ctx context.Context, r *request) error {
	var bytes int64
	for i := range r.entries {
		n := len(r.entries[i].Payload)
		if n > maxPayload {
			return fmt.Errorf("%w: an entry of %d bytes, the bound is %d", ErrTooBig, n, maxPayload)
		}
		bytes += int64(n) + entryCost
	}
	if bytes > maxAppend {
		return fmt.Errorf("%w: %d entries of %d bytes in one append, the bound is %d", ErrTooBig, len(r.entries), bytes, maxAppend)
	}
	r.weight = min(bytes, queueBytes)
	if err := c.room.Acquire(ctx, r.weight); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.room.Release(r.weight)
		return ErrClosed
	}
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	c.signal()
	return nil
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits until close; what is queued by then is still written.
func (c *committer) run() {
	defer close(c.ended)
	for {
		batch, closed := c.take()
		if len(batch) > 0 {
			c.commit(batch)
			continue
		}
		if closed {
			return
		}
		<-c.wake
	}
}

func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.ended
}

// take removes up to a group from the queue.
func (c *committer) take() (batch []*request, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var bytes int64
	n, entries := 0, 0
	for n < len(c.queue) && bytes < groupBytes && entries < groupEntries {
		bytes += c.queue[n].weight
		entries += len(c.queue[n].entries)
		n++
	}
	batch = c.queue[:n:n]
	c.queue = c.queue[n:]
	if len(c.queue) == 0 {
		c.queue = nil
	}
	return batch, c.closed
}

// commit writes a batch of requests with one sync and answers each.
func (c *committer) commit(batch []*request) {
	next := c.s.journal.last.Load() + 1
	lasts := make([]uint64, len(batch))
	errs := make([]error, len(batch))
	c.logs, c.seals = c.logs[:0], c.seals[:0]
	var bytes int64
	for i, r := range batch {
		if errs[i] = c.admit(r, bytes); errs[i] != nil {
			if r.writer != nil {
				r.writer.latch(errs[i])
			}
			continue
		}
		now := time.Now()
		for _, e := range r.entries {
			if e.At.IsZero() {
				e.At = now
			}
			var l raft.Log
			l, c.seals = seal(&e, next, c.seals)
			c.logs = append(c.logs, l)
			bytes += int64(len(e.Payload))
			next++
		}
		lasts[i] = next - 1
	}
	killpoint("before", batch)
	err := c.store()
	killpoint("after", batch)
	if err == nil && len(c.logs) > 0 {
		c.s.committed(len(c.logs), bytes)
	}
	for i, r := range batch {
		if errs[i] == nil && err != nil {
			lasts[i], errs[i] = 0, err
			if r.writer != nil {
				r.writer.latch(err)
			}
		}
		r.done(lasts[i], errs[i])
		c.room.Release(r.weight)
	}
	clear(c.logs)
	clear(c.group)
}

func (c *committer) store() error {
	if len(c.logs) == 0 {
		return nil
	}
	c.group = c.group[:0]
	for i := range c.logs {
		c.group = append(c.group, &c.logs[i])
	}
	return c.s.journal.store(c.group)
}

// admit decides whether a request may be written now, behind pending bytes of the same group. (Invariant 7)
func (c *committer) admit(r *request, pending int64) error {
	if r.writer != nil {
		if err := r.writer.latched(); err != nil {
			return err
		}
	}
	share, rows, continues, size := int64(shareSmall), false, false, c.s.journal.set.bytes()+pending
	for i := range r.entries {
		share = min(share, shareOf(r.entries[i].Kind))
		rows = rows || r.entries[i].Kind == Rows
		continues = continues || r.entries[i].Continues
		size += int64(len(r.entries[i].Payload))
	}
	if err := c.s.disk.allow(share); err != nil {
		return err
	}
	beyond, bound := c.s.exceeded(size, continues), c.s.options.MaxBytes
	switch {
	case continues:
		return nil
	case !rows && size > max(bound, beyond)+bound/16:
		return ErrJournalFull
	case !rows:
		return nil
	}
	err := error(nil)
	if size > bound {
		err = ErrJournalFull
	}
	c.s.noteFull(err)
	return err
}

// exceeded returns the size to which rows that had to go on have brought the journal beyond its bound, which the small
// kinds are then measured against; 0 when it is within the bound again. It is called by the committer alone.
func (s *Store) exceeded(size int64, continues bool) int64 {
	beyond := s.beyond.Load()
	switch {
	case size <= s.options.MaxBytes:
		if beyond != 0 {
			s.options.Log.Info("the journal is within its bound again")
		}
		beyond = 0
	case continues:
		if beyond == 0 {
			s.options.Log.Warn("a large transaction or a first reading takes the journal beyond its bound; it is captured to its end", "max_bytes", s.options.MaxBytes)
		}
		beyond = max(beyond, size)
	}
	s.beyond.Store(beyond)
	return beyond
}

// noteFull logs when rows begin, and cease, to be refused for the journal's bound.
func (s *Store) noteFull(err error) {
	full := errors.Is(err, ErrJournalFull)
	if s.full.Swap(full) == full {
		return
	}
	if full {
		s.options.Log.Warn("the journal is full, capture pauses", "max_bytes", s.options.MaxBytes)
	} else {
		s.options.Log.Info("the journal has room again")
	}
}
