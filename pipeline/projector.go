package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// maxUnits bounds how many changes and entries one state transaction takes, so that a commit stays short and its
// memory small; the store may ask to stop earlier.
const maxUnits = 500

// projector reads the journal in order and is the only writer of the state. It reads no clock, no network and no random
// number: the same journal gives the same state.
type projector struct {
	store  book
	codecs cdc.Codecs
	log    *slog.Logger
	notify func() // called after each commit: queues may have moved
	most   int    // maxUnits, but in tests
	// supposed is what a side state projects instead of what the journal says; nil for the journal as it is.
	supposed *supposition
	// probe is asked about each change before the rules see it; nil for none.
	probe func(s *state, at transform.Entry, ch *cdc.Change, unit uint64) error

	mapper   *transform.Carriers // nil until a mapping is active
	schemas  map[uint64]*cdc.Schema
	readings readings                 // nil until read
	holding  map[*cdc.Schema]*reading // which first reading holds a table's changes; nil for none
	changed  bool                     // readings were changed since they were published
	tx       *state                   // the present transaction
	cursor   *rowsCursor              // place inside a long Rows entry, kept between commits
	guard    *guard                   // of the transaction that is open there
	floors   floors
	awaited  map[string]bool           // event types that postings ever waited for; nil until read
	echoes   map[string]map[string]int // source and table → key columns → rows that we wrote and whose change has not come back; nil until read
	quiet    bool                      // the last step found neither entry nor work

	mu        sync.Mutex
	applied   checkpoint.Applied
	published []reading     // copies of readings
	moved     chan struct{} // closed and replaced after each commit
	ended     chan struct{} // closed when run has returned
	asks      atomic.Bool   // an active mapping has lookups
	changes   atomic.Uint64 // row changes applied since start
}

func newProjector(store book, codecs cdc.Codecs, log *slog.Logger, notify func()) *projector {
	return &projector{store: store, codecs: codecs, log: log, notify: notify, most: maxUnits, schemas: map[uint64]*cdc.Schema{}, holding: map[*cdc.Schema]*reading{},
		applied: store.Applied(), moved: make(chan struct{}), ended: make(chan struct{})}
}

// run projects until ctx ends. An error means a bug or a broken store: the pipeline stops.
func (p *projector) run(ctx context.Context) error {
	defer close(p.ended)
	for {
		idle, err := p.step()
		if err != nil {
			return fmt.Errorf("projecting journal entry %d: %w", p.place().Index+1, err)
		}
		if err := ctx.Err(); err != nil {
			return nil
		}
		if idle {
			if err := p.store.Wait(ctx, p.place().Index); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// catchUp projects what is in the journal and returns.
func (p *projector) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		idle, err := p.step()
		if err != nil {
			return fmt.Errorf("projecting journal entry %d: %w", p.place().Index+1, err)
		}
		if idle {
			return nil
		}
	}
	return ctx.Err()
}

// step commits one bounded transaction and reports whether nothing was left to do.
func (p *projector) step() (idle bool, err error) {
	at := p.place()
	if p.quiet && at.Index >= p.store.Last() {
		return true, nil
	}
	err = p.store.Project(func(tx *checkpoint.Txn) (checkpoint.Applied, error) {
		s := newState(tx)
		s.floors = &p.floors
		if err := p.remember(s); err != nil {
			return at, err
		}
		p.tx, s.carriers = s, p.mapper
		if moved, err := s.moveAudit(); err != nil || !moved {
			return at, errors.Join(err, s.flush())
		}
		if err := s.begin(); err != nil {
			return at, err
		}
		for units := 0; units < p.most && !tx.Full(); {
			n, next, err := p.one(s, at, p.most-units)
			if err != nil {
				return at, err
			}
			if n == 0 {
				idle = true
				break
			}
			at, units = next, units+n
		}
		return at, s.flush()
	})
	if err != nil {
		p.cursor, p.guard, p.floors, p.awaited = nil, nil, floors{}, nil
		p.readings, p.echoes = nil, nil
		return false, err
	}
	if p.changed {
		p.changed = false
		p.publishReadings()
	}
	p.mu.Lock()
	p.quiet = idle
	p.applied = at
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
	p.notify()
	return idle, nil
}

// one does the next piece of work, or the next entry as far as it may go. It returns 0 when there is neither.
func (p *projector) one(s *state, at checkpoint.Applied, limit int) (int, checkpoint.Applied, error) {
	if s.busy {
		more, err := p.doWork(s)
		s.busy = more
		return 1, at, err
	}
	if at.Index >= p.store.Last() {
		return 0, at, nil
	}
	if c := p.cursor; c != nil && c.index == at.Index+1 {
		return p.rows(s, c.entry, at, limit)
	}
	e, err := p.store.Read(at.Index + 1)
	if err != nil {
		return 0, at, err
	}
	if e.Kind == checkpoint.Rows {
		return p.rows(s, e, at, limit)
	}
	if err := p.entry(s, e); err != nil {
		return 0, at, err
	}
	return 1, checkpoint.Applied{Index: e.Index}, nil
}

func (p *projector) entry(s *state, e checkpoint.Entry) error {
	s.at, s.payload = workAt{Index: e.Index, At: e.At}, e.Payload
	if done, err := p.supposed.entry(p, s, &e); done || err != nil {
		return err
	}
	switch e.Kind {
	case checkpoint.Intent:
		return p.intent(s, e)
	case checkpoint.Outcome:
		return p.outcome(s, e)
	case checkpoint.Decision:
		return p.decision(s, e)
	case checkpoint.Mapping:
		return p.activate(s, e)
	case checkpoint.Note:
		return p.note(s, e)
	case checkpoint.Answer:
		return p.answer(s, e)
	}
	return fmt.Errorf("entry %d has kind %q, which this release does not know", e.Index, e.Kind)
}

// place returns what is applied.
func (p *projector) place() checkpoint.Applied {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.applied
}

// mapped returns the row changes applied since start.
func (p *projector) mapped() uint64 { return p.changes.Load() }

// wait blocks until the entry is applied. The work that it left behind may still be under way: see settled.
func (p *projector) wait(ctx context.Context, index uint64) error {
	return p.until(ctx, func() bool { return p.applied.Index >= index })
}

// settled waits until an entry is applied and the work that it left is done.
func (p *projector) settled(ctx context.Context, index uint64) error {
	if err := p.wait(ctx, index); err != nil {
		return err
	}
	return p.until(ctx, func() bool { return p.quiet || p.applied.Index > index })
}

// until blocks until the condition holds, which is asked after each commit with the lock held; errEnded when the
// projector ends first.
func (p *projector) until(ctx context.Context, cond func() bool) error {
	for {
		p.mu.Lock()
		done, moved := cond(), p.moved
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-p.ended:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errEnded says that the projector applies nothing more.
var errEnded = errors.New("the projector has ended")

// schema finds a schema by the id that a batch used. It is called inside a transaction of the projector.
func (p *projector) schema(id uint64) (*cdc.Schema, error) {
	if known := p.schemas[id]; known != nil {
		return known, nil
	}
	var found cdc.Schema
	ok, err := p.tx.load(bucketSchema, hexKey(id), &found)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("schema %016x of a captured row is not in the state", id)
	}
	p.schemas[id] = &found
	return &found, nil
}

func (p *projector) learn(s *state, b *cdc.Batch) error {
	for _, sc := range b.Schemas {
		id := sc.ID()
		if p.schemas[id] != nil {
			continue
		}
		if err := s.save(bucketSchema, hexKey(id), sc); err != nil {
			return err
		}
		p.schemas[id] = sc
	}
	return nil
}

// now returns the watermark of each source that the mappings name, and the time up to which all of them are captured.
func (p *projector) now(s *state) (marks map[string]time.Time, now time.Time, err error) {
	marks = map[string]time.Time{}
	if p.mapper == nil {
		return marks, now, nil
	}
	for i, name := range p.mapper.Sources() {
		src, err := s.source(name)
		if err != nil {
			return nil, now, err
		}
		marks[name] = src.CommitAt
		if i == 0 || src.CommitAt.Before(now) {
			now = src.CommitAt
		}
	}
	return marks, now, nil
}

// remember reads once what the projector keeps in memory.
func (p *projector) remember(s *state) error {
	if p.readings == nil {
		if err := p.loadReadings(s); err != nil {
			return err
		}
	}
	if p.awaited == nil {
		p.awaited = map[string]bool{}
		err := s.Scan(bucketAwaited, "", "", func(typ string, _ []byte) (bool, error) {
			p.awaited[typ] = true
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	s.awaited = p.awaited
	return p.loadEchoes(s)
}

func (p *projector) note(s *state, e checkpoint.Entry) error {
	var n noteEntry
	if err := json.Unmarshal(e.Payload, &n); err != nil {
		return fmt.Errorf("reading note: %w", err)
	}
	switch n.Action {
	case "bind":
		if err := s.Put(bucketBind, n.Target, []byte(n.Identity)); err != nil {
			return err
		}
	case noteDoubt, noteSure:
		if err := s.doubted(n.Action); err != nil {
			return err
		}
	case noteTargets:
		if err := s.targets(n); err != nil {
			return err
		}
	case noteReadingFailed:
		if err := p.readingFailed(s, n, e); err != nil {
			return err
		}
	}
	return s.audit(AuditLine{At: e.At, By: "waybill", Action: n.Action, Target: n.Target, Why: n.Why, Index: e.Index})
}

// errNoMapping says that rows came before any mapping was active; the pipeline activates one before it captures.
var errNoMapping = errors.New("no mapping is active")
