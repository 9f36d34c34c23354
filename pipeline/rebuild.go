package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
)

// book is what a projector works on: a journal, and the state that it makes of it. The live store is one, a side state of
// its journal is the other.
type book interface {
	Applied() checkpoint.Applied
	Last() uint64
	Read(index uint64) (checkpoint.Entry, error)
	Wait(ctx context.Context, after uint64) error
	View(fn func(*checkpoint.Txn) error) error
	Project(fn func(*checkpoint.Txn) (checkpoint.Applied, error)) error
}

var (
	_ book = (*checkpoint.Store)(nil)
	_ book = (*checkpoint.Side)(nil)
)

// Progress says how far a long question has come. Entries are of the journal. It is told after each commit of a side state,
// which is often: who shows it keeps a pace.
type Progress struct {
	Step  string `json:"step"`
	Entry uint64 `json:"entry"`
	Last  uint64 `json:"last"`
}

// History is a journal with the state that it has made: of a running daemon, or of a store that no daemon has open. Its
// questions are answered in side states, one at a time, and change nothing.
type History struct {
	store    *checkpoint.Store
	codecs   cdc.Codecs
	log      *slog.Logger
	progress func(Progress)
}

// HistoryOf returns the history of a store that no daemon has open. What the journal holds beyond the state is applied first,
// as the next start would do.
func HistoryOf(ctx context.Context, store *checkpoint.Store, codecs cdc.Codecs, log *slog.Logger, progress func(Progress)) (*History, error) {
	p := newProjector(store, codecs, log, func() {})
	if _, err := p.load(); err != nil {
		return nil, err
	}
	if err := p.catchUp(ctx); err != nil {
		return nil, err
	}
	return &History{store, codecs, log, progress}, nil
}

// ErrSideBusy says that another question is being answered in a side state. Each takes as much disk as the state, so there is
// one at a time.
var ErrSideBusy = errors.New("another side state is being made; ask again when it is done")

// history lends the daemon's own history to one question at a time; end gives it back.
func (p *Pipeline) history(progress func(Progress)) (h *History, end func(), err error) {
	if !p.sides.TryLock() {
		return nil, nil, ErrSideBusy
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	return &History{p.store, p.o.Codecs, p.log, progress}, p.sides.Unlock, nil
}

// sideRun projects the journal into a side state. Close removes it.
type sideRun struct {
	*projector
	side *checkpoint.Side
	from checkpoint.Base
	say  func(Progress)
	step string
	// began is where it stood when it was marked.
	began began
}

// run opens a side state at the base. Nothing is projected yet.
func (h *History) run(from checkpoint.Base, step string) (*sideRun, error) {
	side, err := h.store.Side(from)
	if err != nil {
		return nil, err
	}
	r := &sideRun{projector: newProjector(side, h.codecs, h.log, func() {}), side: side, from: from, say: h.progress, step: step}
	if _, err := r.load(); err != nil {
		return nil, errors.Join(err, side.Close())
	}
	return r, nil
}

// to projects the journal up to the entry, with the work that this leaves behind.
func (r *sideRun) to(ctx context.Context, entry uint64) error {
	r.side.Until(entry)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		idle, err := r.projector.step()
		if errors.Is(err, checkpoint.ErrTrimmed) {
			return fmt.Errorf("the journal was trimmed while a side state was made of it; ask again: %w", err)
		}
		if err != nil {
			return fmt.Errorf("projecting journal entry %d in a side state: %w", r.place().Index+1, err)
		}
		if idle {
			return nil
		}
		r.say(Progress{r.step, r.place().Index, entry})
	}
}

// base returns where a run over the journal since the given time begins: the latest place before it, or the earliest there is.
// reached says whether that is early enough.
func (h *History) base(since time.Time) (from checkpoint.Base, reached bool, err error) {
	bases, err := h.store.Bases()
	if err != nil {
		return from, false, err
	}
	if len(bases) == 0 {
		return from, false, errors.New("the journal was trimmed and no state snapshot reaches its beginning: nothing can be projected again. " +
			"The first snapshot is taken before the next trim")
	}
	from = bases[0]
	reached = from.Path == "" || !since.IsZero() && !from.Taken.After(since)
	for _, b := range bases[1:] {
		if !since.IsZero() && !b.Taken.After(since) {
			from, reached = b, true
		}
	}
	return from, reached, nil
}

// baseText says in words where a run begins.
func baseText(b checkpoint.Base) string {
	if b.Path == "" {
		return "the beginning of the journal"
	}
	return fmt.Sprintf("the state snapshot of %s (entry %d)", b.Taken.UTC().Format(time.RFC3339), b.Applied)
}
