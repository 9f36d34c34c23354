package pipeline

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"waybill/cdc"
	"waybill/checkpoint"
)

// ReadingOptions bound what the readings of a source's tables may cost it.
type ReadingOptions struct {
	Workers       int // tables that are read at once; default 2
	ChunkRows     int // rows of a chunk; default 20,000, at most what 2 MiB hold
	RowsPerSecond int // of all workers together; 0 is no bound
	// MaxLag is how far the source's own stream, or the slowest physical replica of its server, may be behind: beyond it no
	// chunk is read. 0 is no bound.
	MaxLag time.Duration
}

func (o ReadingOptions) withDefaults() ReadingOptions {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.ChunkRows == 0 {
		o.ChunkRows = 20_000
	}
	return o
}

// nudgeEvery is how often a stream that has not come far enough is asked again.
const nudgeEvery = 250 * time.Millisecond

// reader reads tables beside the stream of one source. Each chunk waits until the stream has passed what its rows include,
// and is then journalled between the stream's batches.
type reader struct {
	c        *capture
	options  ReadingOptions
	limiter  *rate.Limiter
	current  func() []reading // the source's readings, as the projector has them
	kick     chan struct{}    // readings may have changed
	mu       sync.Mutex
	progress map[uint64]*progress // by reading id
	landing  chan struct{}        // closed and replaced when a chunk is in the journal
	strain   strain
}

// progress is what this daemon knows of a reading beyond what is projected.
type progress struct {
	after    string // cursor behind the last chunk in the journal
	number   int    // of that chunk
	sent     int    // of the last chunk on its way into the journal
	rows     int64  // in the journal
	end      bool   // the last chunk is in the journal
	busy     bool   // a worker has it
	estimate int64  // rows that the table has; -1 when unknown
	began    time.Time
	read     int64 // rows read since began, by this daemon
	err      string
}

func newReader(c *capture, o ReadingOptions, current func() []reading) *reader {
	r := &reader{c: c, options: o.withDefaults(), current: current, kick: make(chan struct{}, 1), landing: make(chan struct{}), progress: map[uint64]*progress{}}
	limit := rate.Inf
	if o.RowsPerSecond > 0 {
		limit = rate.Limit(o.RowsPerSecond)
	}
	r.limiter = rate.NewLimiter(limit, max(r.options.ChunkRows, 1))
	return r
}

// notify says that readings may have changed.
func (r *reader) notify() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// run reads what there is to read until ctx ends.
func (r *reader) run(ctx context.Context, batches chan<- cdc.Batch) error {
	r.begin()
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, r.options.Workers)
	for {
		rd, ok := r.take()
		if !ok {
			select {
			case <-r.kick:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			r.give(rd.ID)
			return ctx.Err()
		}
		workers.Add(1)
		go func() {
			defer workers.Done()
			r.table(ctx, rd, batches)
			r.give(rd.ID)
			<-slots
			r.notify()
		}()
	}
}

// begin forgets what the last session had on its way into the journal: it is there, or lost.
func (r *reader) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.progress {
		p.sent = p.number
	}
}

// take returns a reading that nobody is at work on.
func (r *reader) take() (reading, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rd := range r.current() {
		p := r.progress[rd.ID]
		if rd.State != ReadingPending {
			if p != nil && !p.busy && p.sent == p.number && rd.State != ReadingPaused {
				delete(r.progress, rd.ID)
			}
			continue
		}
		if p == nil {
			p = &progress{after: rd.After, number: rd.Number, sent: rd.Number, rows: rd.Rows, estimate: -1}
			r.progress[rd.ID] = p
		}
		if p.busy || p.end || p.sent > p.number {
			continue
		}
		p.busy, p.began, p.read, p.err = true, time.Now(), 0, ""
		return rd, true
	}
	return reading{}, false
}

// holds reports whether a first reading is under way: the changes that it holds keep the journal from being trimmed until its last
// chunk is in, which joins the stream.
func (r *reader) holds() bool {
	return slices.ContainsFunc(r.current(), func(rd reading) bool { return rd.First && rd.State == ReadingPending })
}

func (r *reader) give(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress[id].busy = false
}

// pending reports whether a reading is still wanted.
func (r *reader) pending(id uint64) bool {
	for _, rd := range r.current() {
		if rd.ID == id {
			return rd.State == ReadingPending
		}
	}
	return false
}

// table reads a table's chunks until its end, a pause, or the session's end. A failure that another try may help is tried again, later and later.
func (r *reader) table(ctx context.Context, rd reading, batches chan<- cdc.Batch) {
	wait := backoffLeast
	for ctx.Err() == nil && r.pending(rd.ID) {
		moved, err := r.chunks(ctx, rd, batches)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !passing(err) {
			r.fail(ctx, rd, err)
			return
		}
		if moved {
			wait = backoffLeast
		}
		r.note(rd.ID, func(p *progress) { p.err = err.Error() })
		r.c.log.Warn("reading a table is tried again", "table", rd.Table.String(), "error", err, "wait", wait)
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
		}
		wait = min(2*wait, backoffMost)
	}
}

func (r *reader) note(id uint64, set func(*progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set(r.progress[id])
}

// chunks reads on behind the last chunk that is in the journal, one chunk after the other: a daemon that is killed reads one of them
// again, and no more.
func (r *reader) chunks(ctx context.Context, rd reading, batches chan<- cdc.Batch) (moved bool, err error) {
	if rows, err := r.c.src.Estimate(ctx, rd.Table); err == nil { // without it there is no percentage, and no harm
		r.note(rd.ID, func(p *progress) { p.estimate = rows })
	}
	at, err := r.landed(ctx, rd.ID)
	if err != nil {
		return false, err
	}
	for after, number := at.after, at.number+1; r.pending(rd.ID); number++ {
		if err := r.giveWay(ctx, rd); err != nil {
			return moved, err
		}
		chunk, err := r.c.src.ReadChunk(ctx, cdc.ChunkRequest{Table: rd.Table, After: after, Where: rd.Where, Rows: r.options.ChunkRows})
		if err == nil {
			err = r.limiter.WaitN(ctx, min(chunk.Batch.Changes, r.options.ChunkRows))
		}
		if err != nil {
			return moved, err
		}
		chunk.Batch.Chunk.Reading, chunk.Batch.Chunk.Number = rd.ID, number
		if err := r.join(ctx, chunk, batches); err != nil {
			return moved, err
		}
		if chunk.Batch.Chunk.End {
			return true, nil
		}
		moved, after = true, chunk.Batch.Chunk.After
	}
	return moved, nil
}

// join puts a chunk between the stream's batches as soon as the stream has passed what its rows include, and waits until it is in
// the journal.
func (r *reader) join(ctx context.Context, chunk cdc.ChunkRead, batches chan<- cdc.Batch) error {
	for {
		at, moved := r.c.queued()
		if at != "" && r.c.src.Covers(at, chunk.High) {
			break
		}
		r.c.src.Nudge()
		select {
		case <-moved:
		case <-time.After(nudgeEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.note(chunk.Batch.Chunk.Reading, func(p *progress) { p.sent = chunk.Batch.Chunk.Number })
	select {
	case batches <- chunk.Batch:
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := r.landed(ctx, chunk.Batch.Chunk.Reading)
	return err
}

// landed waits until no chunk of the reading is on its way into the journal. Two of them must not be: if the first is read again,
// it may end at another row.
func (r *reader) landed(ctx context.Context, id uint64) (at progress, err error) {
	for {
		r.mu.Lock()
		at, landing := *r.progress[id], r.landing
		r.mu.Unlock()
		if at.sent == at.number {
			return at, nil
		}
		select {
		case <-landing:
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// journalled notes a chunk that is in the journal. The next session goes on behind it.
func (r *reader) journalled(b *cdc.Batch) {
	r.mu.Lock()
	p := r.progress[b.Chunk.Reading]
	p.after, p.number, p.end = b.Chunk.After, b.Chunk.Number, b.Chunk.End
	p.rows += int64(b.Changes)
	p.read += int64(b.Changes)
	p.err = ""
	close(r.landing)
	r.landing = make(chan struct{})
	r.mu.Unlock()
	r.notify()
}

// fail journals that the table cannot be read: an exception opens, the other tables go on.
func (r *reader) fail(ctx context.Context, rd reading, cause error) {
	r.c.log.Error("a table cannot be read", "table", rd.Table.String(), "error", cause)
	r.note(rd.ID, func(p *progress) { p.err = cause.Error() })
	payload, err := json.Marshal(noteEntry{Action: noteReadingFailed, Target: rd.Source + "/" + rd.Table.String(),
		Identity: strconv.FormatUint(rd.ID, 10), Why: cause.Error()})
	if err == nil {
		_, err = r.c.store.Append(context.WithoutCancel(ctx), checkpoint.Entry{Kind: checkpoint.Note, Payload: payload})
	}
	if err != nil { // the reading stays pending, and is tried again by the next session
		r.c.log.Error("journalling that a table cannot be read", "table", rd.Table.String(), "error", err)
	}
}

// status tells what is being read, cannot be read, or was asked for by a person.
func (r *reader) status(now time.Time) (list []ReadingStatus) {
	waits := r.waits(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rd := range r.current() {
		if rd.State == ReadingDone && rd.By == "" {
			continue
		}
		st := ReadingStatus{Table: rd.Table.String(), State: rd.State, First: rd.First, Where: rd.Where, Rows: rd.Rows, Estimate: -1,
			Percent: -1, Began: rd.Began, By: rd.By, Error: rd.Error}
		if p := r.progress[rd.ID]; p != nil {
			p.describe(&st, now)
		}
		if !rd.live() && rd.State != ReadingFailed {
			st.Percent = 100
		}
		if rd.State == ReadingPending {
			st.Waits = waits
		}
		list = append(list, st)
	}
	return list
}

func (p *progress) describe(st *ReadingStatus, now time.Time) {
	st.Rows, st.Estimate = max(st.Rows, p.rows), p.estimate
	if st.Error == "" {
		st.Error = p.err
	}
	if st.Estimate > 0 && st.Where == "" {
		st.Percent = min(100*float64(st.Rows)/float64(st.Estimate), 99)
	}
	if took := now.Sub(p.began).Seconds(); p.busy && took > 1 && p.read > 0 {
		st.Rate = float64(p.read) / took
		if left := st.Estimate - st.Rows; left > 0 && st.Where == "" {
			st.Seconds = float64(left) / st.Rate
		}
	}
}
