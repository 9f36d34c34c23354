package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"waybill/cdc"
)

// holds are the tables of a session of which the log lacks a change (definition.held), as the readers of tables see them. A
// table is let go when it is read again from its beginning: the stream goes on with it first, and only then is its first
// chunk read, so that the chunk includes whatever the held changes do not tell. The session's goroutine writes them; any
// goroutine asks.
type holds struct {
	asked  atomic.Bool // by a reader, since the session looked last
	mu     sync.Mutex
	tables map[cdc.Table]hold
}

// hold is what is known of one table.
type hold struct {
	why   string   // empty when it was let go
	asked bool     // a reader waits for it
	until position // where it was let go: what lies before may be held
}

// set notes that a table's rows are held from here on.
func (h *holds) set(t cdc.Table, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tables == nil {
		h.tables = map[cdc.Table]hold{}
	}
	h.tables[t] = hold{why: why}
}

// of returns what is known of a table; false when it was never held in this session.
func (h *holds) of(t cdc.Table) (hold, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.tables[t]
	return one, ok
}

// ask wants a table to be let go, and reports whether nobody has asked before.
func (h *holds) ask(t cdc.Table) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.tables[t]
	if one.why == "" || one.asked {
		return false
	}
	one.asked = true
	h.tables[t] = one
	h.asked.Store(true)
	return true
}

// wanted returns the tables that readers wait for.
func (h *holds) wanted() (list []cdc.Table) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t, one := range h.tables {
		if one.asked {
			list = append(list, t)
		}
	}
	return list
}

// letGo notes where tables were let go.
func (h *holds) letGo(list []cdc.Table, at position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range list {
		h.tables[t] = hold{until: at}
	}
}

// letGo goes on with the held tables that readers wait for, by the definitions that the log's statements have made of them
// meanwhile. It is called between two groups, and is kept like a statement that changed them: a session that begins before
// this place holds them again.
func (s *session) letGo(ctx context.Context) error {
	list := s.holds.wanted()
	for _, t := range list {
		d := s.history.tables[t]
		if d == nil || d.held == "" {
			continue
		}
		d.held, d.guess = "", false
		s.history.dirty = append(s.history.dirty, t)
		s.log.Info("a held table goes on, as it is read again", "source", s.cfg.Name, "table", t.String())
	}
	s.forget()
	if err := s.ascertain(ctx); err != nil {
		return err
	}
	s.position() // completes resume
	s.holds.letGo(list, s.resume)
	s.nudged = true // the readers wait until this place was handed on
	return nil
}

// hold holds a table from here on.
func (s *session) hold(t cdc.Table, d *definition, why string) {
	d.held = why
	s.history.dirty = append(s.history.dirty, t)
	s.holds.set(t, why)
	s.forget()
}

// letGo asks the session to let go of a held table whose first chunk is wanted. Until it has, and the caller has taken every
// batch up to there, the chunk waits: cdc.ErrDisconnected, as after any other try that came too early. base is the last
// position that the stream has returned. The following chunks of a reading that began before the table was held are
// refused: those that are in may be older than the change that is missing.
func (s *Source) letGo(r *cdc.ChunkRequest, base *position) error {
	s.mu.Lock()
	live := s.live
	s.mu.Unlock()
	if live == nil {
		return fmt.Errorf("%w: it is not open", cdc.ErrDisconnected)
	}
	one, ok := live.holds.of(r.Table)
	switch {
	case !ok:
		return nil
	case one.why != "" && (r.After != "" || r.Where != ""):
		return s.unreadable(r.Table, errors.New(one.why), "It must be read whole, from its beginning: "+again(s.cfg.Name, r.Table)+".")
	case one.why != "":
		if live.holds.ask(r.Table) {
			s.Nudge()
		}
		return fmt.Errorf("%w: the table is held, and the stream does not go on with it yet", errUnsettled)
	}
	reached, err := reaches(*base, one.until)
	if err == nil && !reached {
		err = fmt.Errorf("%w: the stream has not returned all that was held of the table", errUnsettled)
	}
	return err
}

// again is the command that reads a table again.
func again(source string, t cdc.Table) string { return "waybill snapshot " + source + " " + t.String() }
