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
	tables *reader // reads tables beside the stream

	again func(ctx context.Context, c *capture, lost *cdc.LostError) error // makes a loss good that the owner has agreed to

	mu       sync.Mutex
	state    string // connecting, streaming, backing off, stopped, paused
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
	began    uint64             // last entry of the journal when the session began
	resume   chan struct{}      // signals that hold ended
	runway   *RunwayStatus      // nil until the server was asked
	open     bool               // the session has journalled parts of a transaction, and not its end; append's own

	resetting sync.Mutex // held while the position is being forgotten, by a person or by ourselves
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
		if lost := agreed(err); lost != nil && ctx.Err() == nil {
			if err = c.again(ctx, c, lost); err == nil {
				continue // the next session tells started
			}
			if started != nil {
				started <- err
			}
		}
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
		if !passing(err) {
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

// final reports whether a source that fails so at its first opening ends the daemon's start.
func final(err error) bool { return !errors.Is(err, cdc.ErrDisconnected) }

// passing reports whether opening again may help, once the daemon runs.
func passing(err error) bool {
	return errors.Is(err, cdc.ErrDisconnected) || errors.Is(err, cdc.ErrDenied)
}

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
	c.began, c.open = c.store.Last(), false
	c.mu.Unlock()
	defer c.ended()
	c.pass(pos)
	err := c.src.Open(ctx, pos)
	if err == nil && pos == "" {
		err = c.first(ctx)
	}
	if started != nil && agreed(err) == nil {
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
	group.Go(func() error { return c.tables.run(gctx, batches) })
	err = group.Wait()
	if cerr := c.src.Close(); cerr != nil && !errors.Is(cerr, cdc.ErrDisconnected) {
		c.log.Warn("closing the source", "error", cerr)
	}
	if c.held() || parent.Err() != nil {
		return nil
	}
	return err
}

// first journals where a stream begins, before anybody is told that it streams: a process that died until then would begin anew, at
// another place, and what was written between the two and lies in no table (messages) would be lost.
func (c *capture) first(ctx context.Context) error {
	b, err := c.src.Next(ctx)
	if err != nil {
		return err
	}
	group := []cdc.Batch{b}
	if err := c.known(group); err != nil {
		return err
	}
	c.pass(b.Position)
	return c.journal(ctx, group)
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
// journal (Invariant 11). With a position the source itself has checked; this is about a stream that begins anew.
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
		entries[0].Continues = c.open || c.tables != nil && c.tables.holds()
		// Not ended by ctx: whether the group is in must be known, or the next session would journal it again.
		_, err := c.store.Append(context.WithoutCancel(ctx), entries...)
		if err == nil {
			break
		}
		if !checkpoint.Refused(err) {
			return fmt.Errorf("%w of %s: %w", errJournal, c.name, err)
		}
		c.set("paused", err)
		c.full()
		select {
		case <-time.After(pauseCheck):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.journalled(group)
	for i := range group {
		group[i].Free()
	}
	return nil
}

// journalled notes what is synced and lets the source forget it. Invariant 1: this is the only caller of Confirm.
func (c *capture) journalled(group []cdc.Batch) {
	c.mu.Lock()
	moved := false
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
		c.identity, c.open = b.Identity, b.More
		if b.Position != "" {
			c.position, moved = b.Position, true
		}
		if b.CommitAt.After(c.mark) && !b.More {
			c.mark = b.CommitAt
		}
	}
	c.state, c.err = "streaming", nil
	pos := c.position
	c.mu.Unlock()
	if moved {
		c.src.Confirm(pos)
	}
}

// watermark is the time by the source's clock up to which the journal has everything; zero when nothing is known.
func (c *capture) watermark() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark
}

// leftover reports whether parts of a transaction that the state holds, up to entry last, are those of a session that ended
// before the transaction's end came: the present one sends it again from its first part, and the journal need not keep
// them. applied is how far the state goes.
func (c *capture) leftover(last, applied uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return last <= c.began && c.began <= applied
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
	var lost *cdc.LostError
	if errors.As(c.err, &lost) {
		st.SQL = lost.SQL
	}
	st.Runway = c.runway
	mark := c.mark
	c.mu.Unlock()
	st.Readings = c.tables.status(now)
	lag := c.src.Lag()
	st.LagBytes, st.Confirmed = lag.Bytes, string(lag.Confirmed)
	if !mark.IsZero() {
		st.LagSeconds = max(0, now.Sub(mark).Seconds())
	}
	return st
}
