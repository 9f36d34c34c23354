package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

const (
	chunkBytes = 2 << 20 // a chunk ends behind the row that reaches this
	chunkRows  = 100_000 // most rows of a chunk, however small they are
	// windowRows is how many rows a filter is tried on for each that a chunk may have: a filter that fits few rows must
	// not make one statement walk through the whole table.
	windowRows = 10
)

// Estimate implements cdc.TableReader.
func (s *Source) Estimate(ctx context.Context, t cdc.Table) (int64, error) {
	conn, err := s.cfg.dial(ctx)
	if err != nil {
		return -1, err
	}
	defer conn.close()
	t = s.qualified(t)
	out, err := conn.query(ctx, "SELECT IFNULL(TABLE_ROWS,-1) FROM information_schema.TABLES WHERE TABLE_SCHEMA="+quote(t.Schema)+" AND TABLE_NAME="+quote(t.Name))
	if err != nil || len(out) == 0 {
		return -1, err
	}
	return strconv.ParseInt(out.one(), 10, 64)
}

// ReadChunk implements cdc.TableReader. The session must have been opened: its history and opening name the view.
//
// A table of InnoDB is read by its key in a transaction of its own, without any lock but that no statement changes its
// definition meanwhile; such a statement waits for one chunk, and when it waits first the chunk fails with
// cdc.ErrDisconnected after a second. A table of MyISAM, Aria, MEMORY or CSV is locked for reading during each chunk, as every
// SELECT locks it. A table of InnoDB without a key is read by one statement that stays open from chunk to chunk (see scan);
// one of another engine without a key cannot be read.
//
// The view includes every transaction that the stream had returned when ReadChunk was called. The first chunk of a table that
// is held because the log lacks a change of it lets the table go: see holds.
func (s *Source) ReadChunk(ctx context.Context, r cdc.ChunkRequest) (cdc.ChunkRead, error) {
	r.Table = s.qualified(r.Table)
	sel := s.selection(r.Table)
	if sel == nil {
		return cdc.ChunkRead{}, s.unreadable(r.Table, errors.New("it is not among the selected tables"), "Map it first.")
	}
	base, _, err := s.streamed()
	if err != nil {
		return cdc.ChunkRead{}, err
	}
	if err := s.letGo(&r, &base); err != nil && !errors.Is(err, errUnsettled) {
		return cdc.ChunkRead{}, err
	}
	if scan := s.readers.resume(r.Table, r.After); scan != nil {
		return s.goOn(ctx, scan, &r)
	}
	rd, err := s.readers.take(ctx, &s.cfg)
	if err != nil {
		return cdc.ChunkRead{}, fmt.Errorf("reading table %s of source %s: %w", r.Table, s.cfg.Name, err)
	}
	out, scan, err := s.settledChunk(ctx, rd, &r, sel)
	if scan != nil {
		return s.goOn(ctx, scan, &r)
	}
	s.readers.give(rd, err != nil)
	return out, s.chunkError(ctx, &r, err)
}

// settledChunk tries again while the server does not tell what is visible. Nothing is held in between.
func (s *Source) settledChunk(ctx context.Context, rd *reader, r *cdc.ChunkRequest, sel *selected) (out cdc.ChunkRead, scan *scan, err error) {
	for until := time.Now().Add(settleTries); ; {
		base, calm, err := s.streamed()
		if err == nil {
			err = s.letGo(r, &base)
		}
		if err == nil {
			out, scan, err = rd.chunk(ctx, r, sel, base, calm)
		}
		if !errors.Is(err, errUnsettled) || time.Now().After(until) {
			return out, scan, err
		}
		if err := errors.Join(rd.data.exec(ctx, "COMMIT"), rd.release(ctx)); err != nil {
			return out, nil, err
		}
		select {
		case <-ctx.Done():
			return out, nil, ctx.Err()
		case <-time.After(settlePause):
		}
	}
}

func (s *Source) qualified(t cdc.Table) cdc.Table {
	if t.Schema == "" {
		t.Schema = s.cfg.Database
	}
	return t
}

func (s *Source) selection(t cdc.Table) *selected {
	for _, sel := range s.tables {
		if sel.table == t {
			return sel
		}
	}
	return nil
}

// streamed returns the last position that the stream has returned, and where it stands.
func (s *Source) streamed() (position, *calm, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil || !s.lag.Connected {
		return position{}, nil, fmt.Errorf("reading tables of source %s: %w: it is not open", s.cfg.Name, cdc.ErrDisconnected)
	}
	base, err := parsePosition(s.lag.Position)
	return base, s.live.calm.Load(), err
}

// chunk reads a chunk by the key. For a table without one it begins a scan instead.
func (r *reader) chunk(ctx context.Context, req *cdc.ChunkRequest, sel *selected, base position, calm *calm) (out cdc.ChunkRead, scan *scan, err error) {
	d, err := r.hold(ctx, sel)
	if err != nil {
		return out, nil, err
	}
	c := &chunk{req: req, ask: &d.ask, enc: &cdc.Encoder{}}
	if c.at, err = r.guard.clock(ctx); err != nil {
		return out, nil, err
	}
	if d.ask.key == nil {
		scan, err = r.scan(ctx, d, c, base, calm)
		return out, scan, err
	}
	end := "COMMIT"
	if transactional(d.info.engine) {
		c.view, err = r.see(ctx, &base, calm)
	} else {
		end = "UNLOCK TABLES"
		c.view, err = r.lock(ctx, d)
		if err == nil {
			err = r.joins(ctx, &c.view, &base)
		}
	}
	if err == nil {
		err = c.read(ctx, r, d)
	}
	if err == nil && !r.spent {
		err = r.data.exec(ctx, end)
	}
	if err == nil && !r.spent {
		err = r.release(ctx)
	}
	if err != nil {
		return out, nil, err
	}
	return c.result(), nil, nil
}

// see begins a snapshot that joins the stream and of which is known what it includes.
func (r *reader) see(ctx context.Context, base *position, calm *calm) (position, error) {
	r.turn.Lock()
	at, err := r.cfg.see(ctx, r.data, r.server)
	r.turn.Unlock()
	if err == nil {
		err = r.joins(ctx, &at, base)
	}
	if err != nil || r.cfg.Flavor != MariaDB {
		return at, err
	}
	if here := (place{server: at.server, file: fileNumber(at.file), pos: at.pos}); here != r.sure {
		ok, err := r.settled(ctx, &at, calm)
		if err == nil && !ok {
			err = errUnsettled
		}
		if err != nil {
			return at, err
		}
		r.sure = here
	}
	return at, nil
}

// transactional reports whether a snapshot sees the engine's tables.
func transactional(engine string) bool { return strings.EqualFold(engine, "InnoDB") }

// lockable reports whether a table of an engine without transactions is read under a lock.
func lockable(engine string) bool {
	return slices.Contains([]string{"myisam", "aria", "memory", "csv"}, strings.ToLower(engine))
}

// lock holds a table without transactions still. A statement that changes it has written its rows to the log before it
// gives its own lock back, so the log ends behind all that the table holds now.
func (r *reader) lock(ctx context.Context, d *described) (at position, err error) {
	if !lockable(d.info.engine) {
		return at, &cdc.TableError{Source: r.cfg.Name, Table: d.info.table, Err: fmt.Errorf("nothing tells which transactions a row of engine %q includes", d.info.engine),
			Hint: "Run: ALTER TABLE " + tableIdent(d.info.table) + " ENGINE=InnoDB;"}
	}
	wait := ""
	if r.cfg.Flavor == MariaDB {
		wait = " WAIT 1"
	}
	if err := r.data.exec(ctx, "LOCK TABLES "+tableIdent(d.info.table)+" READ"+wait); err != nil {
		return at, err
	}
	at = r.server.position()
	if at.file, at.pos, err = r.data.logEnd(ctx, r.cfg.Flavor); err != nil {
		return at, err
	}
	if r.cfg.Flavor == MySQL && r.server.gtid {
		at.gtids, err = r.data.executed(ctx)
	}
	return at, err
}

// joins makes sure that a view goes on where the stream is: on its server, and with all that it has returned. That fails when
// the log was reset, which the stream has not noticed yet. at becomes a position of the stream's history.
func (r *reader) joins(ctx context.Context, at, base *position) error {
	at.history, at.opening = base.history, base.opening
	if at.server != base.server {
		return fmt.Errorf("%w: server %s answers, and the stream comes from server %s", cdc.ErrDisconnected, at.server, base.server)
	}
	if !before(at.file, at.pos, base.file, base.pos) {
		return nil
	}
	// The log may have gone on without a transaction (a file begun, a checkpoint), or with one that is not visible yet.
	err := fmt.Errorf("%w: the tables are at %s:%d, before what the stream has returned (%s:%d): a commit is on its way, or the log was reset",
		errUnsettled, at.file, at.pos, base.file, base.pos)
	if r.cfg.Flavor != MariaDB {
		return err
	}
	there, ok1, err1 := r.guard.gtidsAt(ctx, at.file, at.pos)
	here, ok2, err2 := r.guard.gtidsAt(ctx, base.file, base.pos)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if ok1 && ok2 && there == here {
		return nil
	}
	return err
}

// chunk is one being read.
type chunk struct {
	req   *cdc.ChunkRequest
	ask   *statement
	view  position
	at    time.Time // the server's clock before the view
	enc   *cdc.Encoder
	last  []byte // the key of the last row, as the server sent it
	after string
	end   bool
}

// read reads rows by the key.
func (c *chunk) read(ctx context.Context, r *reader, d *described) error {
	k := c.ask.key
	limit := c.limit(d.width)
	behind, upTo := "", ""
	if values := k.values(c.req.After); values != nil {
		behind, _ = k.behind(values) // values has tried it
		c.after = c.req.After
	}
	var edge []string
	if c.req.Where != "" {
		err := r.query(ctx, c.ask.edge(windowRows*limit, behind), func(row *cursor) (bool, error) {
			edge = k.read(row)
			return true, nil
		})
		if err == nil && edge != nil {
			upTo, err = k.upTo(edge)
		}
		if err != nil {
			return err
		}
	}
	more := true
	err := r.query(ctx, c.ask.rows(limit, behind, upTo, filter(c.req.Where)), func(row *cursor) (bool, error) {
		err := c.row(row)
		c.last = append(c.last[:0], row.b...)
		more = c.enc.Len() < chunkBytes
		return more, err
	})
	if err != nil {
		return err
	}
	n := c.enc.Changes()
	if n > 0 {
		d.width = max(1, c.enc.Len()/n)
		c.after = k.cursor(k.read(&cursor{b: c.last}))
	}
	switch {
	case !more || n >= limit:
	case edge != nil:
		c.after = k.cursor(edge)
	default:
		c.end = true
	}
	return nil
}

// limit is how many rows of the width make a chunk.
func (c *chunk) limit(width int) int {
	limit := min(chunkRows, max(1, chunkBytes/width))
	if c.req.Rows > 0 {
		limit = min(limit, c.req.Rows)
	}
	return limit
}

func (c *chunk) row(row *cursor) error {
	if c.enc.Changes() == 0 {
		c.enc.Begin(cdc.Tx{Commit: fmt.Sprintf("snapshot/%s:%d", c.view.file, c.view.pos), CommitAt: c.at})
	}
	return encodeRow(c.enc, c.ask.schema, row)
}

func (c *chunk) result() cdc.ChunkRead {
	data, changes := c.enc.Take()
	return cdc.ChunkRead{
		Batch: cdc.Batch{Source: c.ask.schema.Source, Identity: c.view.identity(), Snapshot: true, Schemas: []*cdc.Schema{c.ask.schema}, Data: data,
			Changes: changes, CommitAt: c.at, Chunk: &cdc.Chunk{Table: c.ask.table, After: c.after, End: c.end, View: viewOf(&c.view)}},
		High: c.view.text(),
	}
}

// chunkError says what an error means to the table.
func (s *Source) chunkError(ctx context.Context, r *cdc.ChunkRequest, err error) error {
	var table *cdc.TableError
	var my *driver.MyError
	switch {
	case err == nil || errors.As(err, &table):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("reading table %s of source %s: %w", r.Table, s.cfg.Name, ctx.Err())
	case errors.Is(err, cdc.ErrDisconnected):
		return fmt.Errorf("reading table %s of source %s: %w", r.Table, s.cfg.Name, err)
	case errors.As(err, &my) && overTime(my) && r.Where == "":
		return fmt.Errorf("reading table %s of source %s: %w: %w", r.Table, s.cfg.Name, cdc.ErrDisconnected, err)
	}
	hint := "Correct what the server says, then read the table again."
	switch {
	case my == nil:
	case my.Code == 1146:
		hint = "Make the table again, or take it out of the mapping."
	case my.Code == 1142 || my.Code == 1143:
		hint = "Run: GRANT SELECT ON " + tableIdent(r.Table) + " TO " + quote(s.cfg.User) + ";"
	case my.Code == 1044:
		hint = "The table has no transactions, so it is locked while a chunk is read. Run: GRANT LOCK TABLES ON " + ident(r.Table.Schema) + ".* TO " + quote(s.cfg.User) + ";"
	case overTime(my):
		hint = fmt.Sprintf("The filter %q takes longer than %v on a part of the table: give it an easier one.", r.Where, chunkTime)
	case r.Where != "":
		hint = fmt.Sprintf("Correct the filter %q: it must be a condition in the database's SQL.", r.Where)
	}
	return s.unreadable(r.Table, err, hint)
}

func overTime(e *driver.MyError) bool { return e.Code == 1969 || e.Code == 3024 }

func (s *Source) unreadable(t cdc.Table, err error, hint string) error {
	return &cdc.TableError{Source: s.cfg.Name, Table: t, Err: err, Hint: hint}
}

// Covers implements cdc.TableReader. Positions of two openings are never taken for comparable, nor those of two servers without
// MySQL's GTIDs: a chunk that was read before the source went over to another server must be read again.
func (s *Source) Covers(at, high cdc.Position) bool {
	a, err1 := parsePosition(at)
	h, err2 := parsePosition(high)
	if err1 != nil || err2 != nil || a.flavor != h.flavor || a.opening != h.opening {
		return false
	}
	if a.flavor == MySQL && a.gtids != "" && h.gtids != "" {
		has, err := inGTIDs(a.gtids, h.gtids)
		return err == nil && has
	}
	return a.server == h.server && !before(a.file, a.pos, h.file, h.pos)
}

// Nudge implements cdc.TableReader.
func (s *Source) Nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.wire.nudge()
	}
}
