package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

const (
	maxBatch   = 1 << 20                     // bytes after which a run of transactions, or a part of a large one, is handed on
	smallBatch = 32 << 10                    // a batch below this waits for cdc.Pace, and is then handed on
	linger     = time.Millisecond            // how long a larger one waits for more
	tablesMax  = 4096                        // table ids remembered
	minSilence = 10 * time.Second            // a link is dead after three heartbeats, and no sooner than this
	stayOpen   = "net_write_timeout = 86400" // the server waits a day for us to read on, so that capture may pause
)

// session reads one server's log from one position on. One goroutine uses it.
type session struct {
	cfg      *Config
	log      *slog.Logger
	tables   map[cdc.Table]*selected
	resolver resolver
	side     *conn // asks the catalog and the server's clock
	dump     *conn
	wire     *wire

	sum    checksum
	place  position // behind the last event read
	resume position // behind the last whole transaction
	gtids  *gtidSet // before resume; nil when the server has none
	group  group

	enc       cdc.Encoder
	mark      cdc.Mark // in enc, behind the last whole transaction
	commitAt  time.Time
	plans     map[uint64]tablePlan
	history   *history
	holds     holds
	announced map[uint64]bool
	used      map[*cdc.Schema]bool // those of plans, so that a schema's id is made once and not for each event
	fresh     []*cdc.Schema        // used for the first time, for the next batch
	ready     []cdc.Batch          // never more than two
	emitted   time.Time
	goal      *goal
	ended     groupEnd
	calm      atomic.Pointer[calm] // for the readers of tables
	nudged    bool                 // a watermark is wanted as soon as what is logged by now has come
}

// group is the event group being read: a transaction, or a statement that is one by itself.
type group struct {
	open   bool
	trx    bool // ends with a commit; otherwise the next statement is all
	begun  bool // its begin is in enc
	gtid   gtidEvent
	commit string
	at     time.Time
	inside uint64 // a place in the log behind its start and not behind its end
	part   int
}

// tablePlan is a Table_map event that has been seen: the same bytes under the same id mean the same.
type tablePlan struct {
	raw  []byte
	plan *plan // nil when the table is not selected
}

// goal is a point that the server's log had reached at a moment of its clock. Once the stream is there too, everything
// committed up to that moment is captured.
type goal struct {
	at   time.Time
	file string
	pos  uint64
}

func (s *session) close() {
	s.side.close()
	s.dump.close()
}

// next reads until a batch is ready.
func (s *session) next(ctx context.Context) (cdc.Batch, error) {
	for {
		if len(s.ready) > 0 {
			b := s.ready[0]
			s.ready = s.ready[1:]
			s.emitted = time.Now()
			return b, nil
		}
		if err := s.step(ctx); err != nil {
			return cdc.Batch{}, err
		}
	}
}

// step reads one event, or hands on what there is when nothing more comes.
func (s *session) step(ctx context.Context) error {
	due := time.Time{}
	if !s.group.open {
		if s.holds.asked.Swap(false) {
			if err := s.letGo(ctx); err != nil {
				return err
			}
		}
		if s.nudged {
			s.nudged, s.goal = false, nil
			if err := s.aim(ctx); err != nil {
				return err
			}
		}
		if s.goal != nil && s.enc.Changes() == 0 && s.reached() {
			s.emitGoal()
			return nil
		}
		if !s.wire.buffered() {
			s.settle()
		}
		due = s.emitted.Add(s.cfg.Heartbeat)
		if s.enc.Changes() > 0 && !s.wire.buffered() {
			early := time.Until(s.emitted.Add(cdc.Pace))
			switch {
			case s.enc.Len() >= smallBatch:
				due = time.Now().Add(linger)
			case early > 0:
				cdc.Collect(ctx, s.wire.conn, early)
				due = time.Now().Add(cdc.Arrived)
			default:
				s.emitRun()
				return nil
			}
		} else if s.enc.Changes() == 0 && !time.Now().Before(due) {
			return s.watermark(ctx)
		}
	}
	packet, err := s.wire.packet(ctx, due)
	if errors.Is(err, errNudged) {
		s.nudged = true
		return nil
	}
	if errors.Is(err, errDue) && s.group.open {
		return nil
	}
	if errors.Is(err, errDue) {
		if s.enc.Changes() > 0 {
			s.emitRun()
			return nil
		}
		return s.watermark(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading the binlog: %w", err)
	}
	return s.packet(ctx, packet)
}

func (s *session) packet(ctx context.Context, packet []byte) error {
	switch {
	case len(packet) == 0:
		return fmt.Errorf("reading the binlog: an empty packet")
	case packet[0] == driver.OK_HEADER:
		e, err := parseEvent(packet[1:], s.sum)
		if err == nil {
			err = s.event(ctx, &e)
		}
		var lost *cdc.LostError
		if err != nil && !errors.As(err, &lost) {
			err = fmt.Errorf("reading the binlog after %s:%d: %w", s.place.file, s.place.pos, err)
		}
		return err
	case packet[0] == driver.ERR_HEADER:
		return s.refused(serverError(packet))
	case packet[0] == driver.EOF_HEADER:
		return fmt.Errorf("reading the binlog: %w: the server ended the stream", cdc.ErrDisconnected)
	}
	return fmt.Errorf("reading the binlog: a packet of kind %d", packet[0])
}

// refused reads meaning into the error that the server ended, or did not begin, the stream with.
func (s *session) refused(e *driver.MyError) error {
	const sameID = 4052 // and 1236 with a text in MySQL: another replica came with our server id
	switch e.Code {
	case 1236, 1373, 1789, 4084: // the log cannot be read from there
		return s.lost(fmt.Sprintf("the server will not send its log from %s:%d (GTID %q): %s", s.resume.file, s.resume.pos, s.resume.gtids, e.Message),
			s.purgedHint())
	case sameID:
		return fmt.Errorf("another replica uses server_id %d: set an id that no other has, %s: %w", s.cfg.ServerID, otherID(s.cfg), e)
	}
	return fmt.Errorf("reading the binlog: %w", classifyError(e))
}

// advice is what a person does about a loss.
type advice struct {
	text string
	sql  []string // the statements in text
}

func (s *session) lost(reason string, hint advice) *cdc.LostError {
	return &cdc.LostError{Source: s.cfg.Name, Reason: reason, Hint: hint.text, SQL: hint.sql}
}

// emitRun hands on the whole transactions in enc.
func (s *session) emitRun() {
	data, changes := s.enc.Cut(s.mark)
	s.mark = cdc.Mark{}
	s.emit(cdc.Batch{Data: data, Changes: changes, Position: s.position(), CommitAt: s.commitAt})
}

// emitPart hands on what there is of the transaction being read.
func (s *session) emitPart(last bool) {
	data, changes := s.enc.Cut(s.enc.Mark())
	s.mark = cdc.Mark{}
	b := cdc.Batch{Tx: s.group.commit, Part: s.group.part, More: !last, Data: data, Changes: changes, CommitAt: s.group.at}
	if last {
		b.Position = s.position() // Invariant 2: only the end of a transaction is a position
	}
	s.group.part++
	s.group.begun = false
	s.emit(b)
}

func (s *session) emit(b cdc.Batch) {
	b.Source, b.Identity = s.cfg.Name, s.resume.identity()
	b.Schemas, s.fresh = s.fresh, nil
	s.ready = append(s.ready, b)
}

// position returns the text of the place behind the last whole transaction.
func (s *session) position() cdc.Position {
	if s.gtids != nil {
		s.resume.gtids = s.gtids.String()
	}
	return s.resume.text()
}

// forget drops what is known of table ids.
func (s *session) forget() {
	clear(s.plans)
	clear(s.used)
}

// use remembers that a schema is used, so that the first batch with it brings it.
func (s *session) use(schema *cdc.Schema) {
	if s.used[schema] {
		return
	}
	s.used[schema] = true
	if id := schema.ID(); !s.announced[id] {
		s.announced[id] = true
		s.fresh = append(s.fresh, schema)
	}
}

// watermark reports progress without changes. It asks the server for its clock and then for the end of its log: what was
// committed before that moment lies before that end, so it is captured when the stream has come so far.
func (s *session) watermark(ctx context.Context) error {
	if err := s.aim(ctx); err != nil {
		return err
	}
	if !s.reached() {
		// Far behind, in transactions that nobody selected: the position moves, the time is that of the last of them.
		if s.commitAt.IsZero() {
			s.emitted = time.Now()
			return nil
		}
		s.emit(cdc.Batch{Position: s.position(), CommitAt: s.commitAt})
		return nil
	}
	s.emitGoal()
	return nil
}

// aim sets the goal for the next watermark, unless there is one.
func (s *session) aim(ctx context.Context) error {
	if s.goal != nil {
		return nil
	}
	g, err := s.ask(ctx)
	if err == nil {
		s.goal = g
	}
	return err
}

func (s *session) reached() bool { return !before(s.place.file, s.place.pos, s.goal.file, s.goal.pos) }

func (s *session) emitGoal() {
	s.emit(cdc.Batch{Position: s.position(), CommitAt: s.goal.at})
	s.goal = nil
}

// ask connects anew when the idle connection has been closed meanwhile.
func (s *session) ask(ctx context.Context) (*goal, error) {
	g, err := s.side.goal(ctx, s.cfg.Flavor)
	if err == nil || !errors.Is(err, cdc.ErrDisconnected) {
		return g, err
	}
	s.side.close()
	if s.side, err = s.cfg.dial(ctx); err != nil {
		return nil, err
	}
	return s.side.goal(ctx, s.cfg.Flavor)
}

// clock returns the server's time.
func (c *conn) clock(ctx context.Context) (time.Time, error) {
	text, err := c.query(ctx, "SELECT UTC_TIMESTAMP(6)")
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999", text.one())
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the server's clock: %w", err)
	}
	return at, nil
}

func (c *conn) goal(ctx context.Context, flavor string) (*goal, error) {
	at, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	file, pos, err := c.logEnd(ctx, flavor)
	return &goal{at, file, pos}, err
}
