package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill/cdc"
	"waybill/checkpoint"
)

// Bounds of a capture session.
const (
	captureQueue   = 4                      // batches between reader and journal
	captureGroup   = 4 << 20                // bytes appended with one sync
	pauseCheck     = 500 * time.Millisecond // how often a full journal is tried again
	backoffLeast   = 500 * time.Millisecond
	backoffMost    = 30 * time.Second
	sessionHealthy = 10 * time.Second // a session that lived so long resets the back-off
)

// capture carries one source's batches into the journal, and only then confirms them.
type capture struct {
	name   string
	src    cdc.Source
	store  *checkpoint.Store
	log    *slog.Logger
	meter  *metrics
	full   func()  // asks for the journal to be trimmed
	tables *reader // reads tables beside the stream; nil when the source cannot

	mu       sync.Mutex
	state    string // connecting, snapshot, streaming, backing off, stopped, paused
	err      error
	position cdc.Position // last one in the journal
	mark     time.Time    // watermark in the journal
	identity string
	changes  uint64
	sent     cdc.Position       // last one on its way into the journal in this session
	passed   chan struct{}      // closed and replaced when sent moves
	cancel   context.CancelFunc // ends the present session
	idle     chan struct{}      // closed while no session runs
	hold     bool               // a person's action keeps the source stopped
	resume   chan struct{}      // signals that hold ended
}

func newCapture(name string, src cdc.Source, store *checkpoint.Store, m *metrics, log *slog.Logger) *capture {
	idle := make(chan struct{})
	close(idle)
	return &capture{name: name, src: src, store: store, meter: m, full: func() {}, log: log.With("source", name), state: "connecting", idle: idle,
		resume: make(chan struct{}, 1), passed: make(chan struct{})}
}

// pass notes how far the session's batches are on their way into the journal.
func (c *capture) pass(pos cdc.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = pos
	close(c.passed)
	c.passed = make(chan struct{})
}

// queued returns the position up to which batches are on their way into the journal, and a channel that closes when it moves.
func (c *capture) queued() (cdc.Position, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent, c.passed
}

// begin takes up the resume point that the state holds. A daemon that is asked for its status while it starts reads it
// meanwhile.
func (c *capture) begin(src sourceState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.position, c.mark, c.identity = cdc.Position(src.Position), src.CommitAt, src.Identity
}

// run keeps a session open until ctx ends. A source that cannot go on stops alone and waits for a person; what came of the
// first Open is told to started, because a daemon does not start with such a source (Invariant 11).
func (c *capture) run(ctx context.Context, started chan<- error) error {
	wait := backoffLeast
	for ctx.Err() == nil {
		begun := time.Now()
		err := c.session(ctx, started)
		started = nil
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > sessionHealthy {
			wait = backoffLeast
		}
		if err == nil { // ended by a person's action
			if !c.rest(ctx, 0) {
				return nil
			}
			continue
		}
		if errors.Is(err, errJournal) {
			return err
		}
		if final(err) {
			c.set("stopped", err)
			c.log.Error("source stopped", "error", err)
			if !c.rest(ctx, 0) {
				return nil
			}
			continue
		}
		c.set("backing off", err)
		c.log.Warn("source session ended; connecting again", "error", err, "wait", wait)
		if !c.rest(ctx, wait/2+rand.N(wait/2)) {
			return nil
		}
		wait = min(2*wait, backoffMost)
	}
	return nil
}

// errJournal says that the journal took changes no more: the daemon cannot go on.
var errJournal = errors.New("journalling changes")

// final reports whether opening again cannot help.
func final(err error) bool { return !errors.Is(err, cdc.ErrDisconnected) }

// rest waits for d, or for a person when d is 0, and reports whether to go on.
func (c *capture) rest(ctx context.Context, d time.Duration) bool {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer:
		case <-c.resume:
		}
		c.mu.Lock()
		held := c.hold
		c.mu.Unlock()
		if !held {
			return true
		}
		timer = nil
	}
}

// session opens the source at the last journalled position and carries batches until it ends.
func (c *capture) session(parent context.Context, started chan<- error) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	c.mu.Lock()
	if c.hold {
		c.mu.Unlock()
		return nil
	}
	pos := c.position
	c.cancel, c.idle, c.state = cancel, make(chan struct{}), "connecting"
	c.mu.Unlock()
	defer c.ended()
	c.pass(pos)
	if pos == "" && c.tables != nil {
		pos = cdc.Tail
	}
	err := c.src.Open(ctx, pos)
	if started != nil {
		started <- err
	}
	if err != nil {
		if held := c.held(); held {
			return nil
		}
		return errors.Join(err, c.src.Close())
	}
	c.set("streaming", nil)
	batches := make(chan cdc.Batch, captureQueue)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.read(gctx, batches) })
	group.Go(func() error { return c.append(gctx, batches) })
	if c.tables != nil {
		group.Go(func() error { return c.tables.run(gctx, batches) })
	}
	err = group.Wait()
	if cerr := c.src.Close(); cerr != nil && !errors.Is(cerr, cdc.ErrDisconnected) {
		c.log.Warn("closing the source", "error", cerr)
	}
	if c.held() || parent.Err() != nil {
		return nil
	}
	return err
}

func (c *capture) held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hold
}

func (c *capture) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = nil
	close(c.idle)
}

func (c *capture) read(ctx context.Context, batches chan<- cdc.Batch) error {
	for {
		b, err := c.src.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case batches <- b:
			if b.Position != "" {
				c.pass(b.Position)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// append journals batches in order, several with one sync when they have queued up. After a refusal nothing later may
// enter the journal, so the same group is tried until it is in, or the session ends.
func (c *capture) append(ctx context.Context, batches <-chan cdc.Batch) error {
	for {
		var group []cdc.Batch
		bytes := 0
		select {
		case b := <-batches:
			group, bytes = append(group, b), len(b.Data)
		case <-ctx.Done():
			return ctx.Err()
		}
		for more := true; more && bytes < captureGroup; {
			select {
			case next := <-batches:
				group, bytes = append(group, next), bytes+len(next.Data)
			default:
				more = false
			}
		}
		if err := c.known(group); err != nil {
			return err
		}
		if err := c.journal(ctx, group); err != nil {
			return err
		}
	}
}

// known refuses rows of another server than the one that the store's rows came from, before any of them is in the
// journal (Invariant 11). With a position the source itself has checked; this is about a fresh snapshot.
func (c *capture) known(group []cdc.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range group {
		if c.identity != "" && server(c.identity) != server(group[i].Identity) {
			return &cdc.LostError{Source: c.name, Reason: fmt.Sprintf("the address answers as %s, the store's rows came from %s",
				server(group[i].Identity), server(c.identity)),
				Hint: "Point the configuration back. If the server was really replaced, start with a new data directory: every posting is then looked up before it is made"}
		}
	}
	return nil
}

func (c *capture) journal(ctx context.Context, group []cdc.Batch) error {
	entries := make([]checkpoint.Entry, len(group))
	for i := range group {
		payload, err := group[i].Stored()
		if err != nil {
			return err
		}
		entries[i] = checkpoint.Entry{Kind: checkpoint.Rows, Payload: payload}
	}
	for {
		// Not ended by ctx: whether the group is in must be known, or the next session would journal it again.
		_, err := c.store.Append(context.WithoutCancel(ctx), entries...)
		if err == nil {
			break
		}
		if !checkpoint.Refused(err) {
			return fmt.Errorf("%w of %s: %w", errJournal, c.name, err)
		}
		c.set("paused", err)
		if errors.Is(err, checkpoint.ErrJournalFull) {
			c.full()
		}
		select {
		case <-time.After(pauseCheck):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.journalled(group)
	return nil
}

// journalled notes what is synced and lets the source forget it. Invariant 1: this is the only caller of Confirm.
func (c *capture) journalled(group []cdc.Batch) {
	c.mu.Lock()
	state, moved := "streaming", false
	for i := range group {
		b := &group[i]
		if b.Chunk != nil {
			c.tables.journalled(b)
			c.changes += uint64(b.Changes)
			c.meter.journalled(c.name, b)
			continue
		}
		c.changes += uint64(b.Changes)
		c.meter.journalled(c.name, b)
		c.identity = b.Identity
		if b.Position != "" {
			c.position, moved = b.Position, true
		}
		if b.CommitAt.After(c.mark) && !b.More {
			c.mark = b.CommitAt
		}
		if b.Snapshot && b.More {
			state = "snapshot"
		}
	}
	c.state, c.err = state, nil
	pos := c.position
	c.mu.Unlock()
	if moved {
		c.src.Confirm(pos)
	}
}

func (c *capture) set(state string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.err = state, err
}

// stop ends the session for a person's action and returns when it has ended.
func (c *capture) stop(ctx context.Context) error {
	c.mu.Lock()
	c.hold = true
	cancel, idle := c.cancel, c.idle
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start lets the source go on from pos.
func (c *capture) start(pos cdc.Position) {
	c.mu.Lock()
	c.hold, c.position = false, pos
	c.mu.Unlock()
	select {
	case c.resume <- struct{}{}:
	default:
	}
}

func (c *capture) status(now time.Time) SourceStatus {
	c.mu.Lock()
	st := SourceStatus{Name: c.name, State: c.state, Position: string(c.position), Watermark: c.mark, Changes: c.changes}
	if c.err != nil {
		st.Error = c.err.Error()
	}
	mark := c.mark
	c.mu.Unlock()
	if c.tables != nil {
		st.Readings = c.tables.status(now)
	}
	lag := c.src.Lag()
	st.LagBytes, st.Confirmed = lag.Bytes, string(lag.Confirmed)
	if !mark.IsZero() {
		st.LagSeconds = max(0, now.Sub(mark).Seconds())
	}
	return st
}
