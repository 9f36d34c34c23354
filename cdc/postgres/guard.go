package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// guard is what a source knows of the things that it keeps on the server, beside what it finds there.
type guard struct {
	mu      sync.Mutex
	version int               // of the server
	known   fingerprint       // of the publication when it was last known to be whole
	restart pglogrepl.LSN     // of the slot at the reading before
	over    int64             // bytes that the slot kept at the reading before, if more than max_retained
	notes   map[string]string // for this process; Config.Memory keeps them beyond it

	reading sync.Mutex // held while the server is asked for its runway
	runway  measured   // the reading before
	read    time.Time
}

// Notes are remembered beside the position of an unfinished first start, under the slot's name, a dot and these.
const (
	printNote   = "publication" // the publication's fingerprint
	droppedNote = "dropped"     // why we dropped the slot
	restartNote = "restart"     // from where on the server kept the log for us
)

// load recalls the notes of the processes before; what this one has noted is newer and stays.
func (g *guard) load(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.notes == nil {
		g.notes = map[string]string{}
	}
	for _, name := range []string{printNote, droppedNote, restartNote} {
		if _, known := g.notes[name]; known || cfg.Memory == nil {
			continue
		}
		text, err := cfg.Memory.Recall(cfg.Slot + "." + name)
		if err != nil {
			return fmt.Errorf("recalling what is known of slot %q: %w", cfg.Slot, err)
		}
		g.notes[name] = text
	}
	return nil
}

func (g *guard) note(name string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.notes[name]
}

// say notes something for this process.
func (g *guard) say(key, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.notes == nil {
		g.notes = map[string]string{}
	}
	g.notes[key] = text
}

// keep notes something beyond this process.
func (g *guard) keep(cfg Config, key, text string) error {
	g.say(key, text)
	if cfg.Memory == nil {
		return nil
	}
	return cfg.Memory.Remember(cfg.Slot+"."+key, text)
}

// protect looks, once per heartbeat, at what a running stream depends on. When it finds that the stream is not whole any
// more, or must not go on, it ends the session; the next Open finds the same and says so.
func (n *session) protect(ctx context.Context, side *side) error {
	s := n.source
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	conn, err := side.open(ctx)
	if err != nil {
		return err
	}
	now, err := s.readPrint(ctx, conn)
	if err != nil {
		side.close()
		return err
	}
	s.guard.mu.Lock()
	known, version := s.guard.known, s.guard.version
	s.guard.mu.Unlock()
	if what, err := s.difference(ctx, conn, known, now); err != nil || what != "" {
		if what != "" {
			n.log.Error("ending the session: the publication "+what, "source", s.cfg.Name, "publication", s.cfg.Publication)
			n.wire.conn.Close()
		}
		return err
	}
	is, err := readSlot(ctx, conn, s.cfg.Slot, version)
	if err != nil {
		side.close()
		return err
	}
	if err := s.noteRestart(is); err != nil {
		return err
	}
	if s.tooMuch(is) {
		return n.shed(ctx, side, is)
	}
	return nil
}

// tooMuch reports whether the slot keeps more than its owner allows, and did so at the reading before, and it grows: a
// stream that is catching up is left to do so.
func (s *Source) tooMuch(is slot) bool {
	over := is.retained
	if limit := int64(s.cfg.MaxRetained); limit == 0 || over <= limit {
		over = 0
	}
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	before := s.guard.over
	s.guard.over = over
	return over > 0 && before > 0 && over >= before
}

// noteRestart remembers how far the slot's restart point has come. The server syncs it before it acts on it, so it never goes
// back, also over a crash, unless the server's files do. The reading before is noted, which was synced for certain.
func (s *Source) noteRestart(is slot) error {
	s.guard.mu.Lock()
	before := s.guard.restart
	s.guard.restart = is.restart
	s.guard.mu.Unlock()
	if before == 0 || s.guard.note(restartNote) == before.String() {
		return nil
	}
	return s.guard.keep(s.cfg, restartNote, before.String())
}

// shed drops the slot because its owner would rather take a new snapshot than fill the database's disk (max_retained).
func (n *session) shed(ctx context.Context, side *side, is slot) error {
	s := n.source
	why := fmt.Sprintf("Waybill dropped replication slot %q itself: it made the server keep %s of log and more, and max_retained is %s",
		s.cfg.Slot, cdc.Bytes(is.retained), s.cfg.MaxRetained)
	// From now on Open does not take the slot up again, after a crash in the middle of this neither. Without the note a person is
	// asked after a crash; but our full disk must not fill the database's.
	noted := s.guard.keep(s.cfg, droppedNote, why)
	n.log.Error("dropping the slot", "source", s.cfg.Name, "slot", s.cfg.Slot, "retained", cdc.Bytes(is.retained).String(),
		"max_retained", s.cfg.MaxRetained.String())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ConnectTimeout) // Close, which comes next, waits for us
	defer cancel()
	n.wire.conn.Close()
	var err error
	for ; ; pause(ctx, 50*time.Millisecond) { // the sender notices soon
		conn, errOpen := side.open(ctx)
		if errOpen != nil {
			err = errOpen
		} else if err = s.dropSlot(ctx, conn); err == nil {
			return noted
		}
		if ctx.Err() != nil {
			return errors.Join(err, s.guard.keep(s.cfg, droppedNote, ""))
		}
	}
}
