package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// snapshot reads the selected tables in one REPEATABLE READ transaction whose place in the log is known. It is one large
// transaction to the reader of the batches.
type snapshot struct {
	conn   *conn
	wire   *wire
	place  position // where the stream begins: exactly behind what the snapshot sees
	at     time.Time
	commit string
	part   int
	begun  bool
	open   bool // the result of tables[0] is being read
	tables []snapshotTable
}

type snapshotTable struct {
	schema *cdc.Schema
	query  string
}

func (s *snapshot) close() { s.conn.close() }

// beginSnapshot opens the transaction and learns its place. MariaDB tells it without any lock. MySQL cannot: writers wait
// while its tables are locked for the two statements in between, and after a second of waiting for that lock we give up
// (Invariant 13).
func (c *Config) beginSnapshot(ctx context.Context, server *serverInfo) (*snapshot, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	out := &snapshot{conn: conn}
	if err := out.begin(ctx, c, server); err != nil {
		conn.close()
		return nil, fmt.Errorf("beginning the snapshot: %w", err)
	}
	return out, nil
}

func (s *snapshot) begin(ctx context.Context, c *Config, server *serverInfo) error {
	for _, set := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION lock_wait_timeout = 10, " + stayOpen,
		// Text comes in the column's own charset and is transcoded by the same table as the stream's.
		"SET SESSION character_set_results = NULL",
	} {
		if err := s.conn.exec(ctx, set); err != nil {
			return err
		}
	}
	g, err := s.conn.goal(ctx, c.Flavor)
	if err != nil {
		return err
	}
	s.at = g.at
	if c.Flavor == MariaDB {
		err = s.beginMariaDB(ctx, server)
	} else {
		err = s.beginMySQL(ctx, c, server)
	}
	s.commit = fmt.Sprintf("snapshot/%s:%d", s.place.file, s.place.pos)
	return err
}

func (s *snapshot) beginMariaDB(ctx context.Context, server *serverInfo) error {
	if err := s.conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return err
	}
	status, err := s.conn.query(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return err
	}
	s.place = server.position()
	for _, row := range status {
		switch strings.ToLower(row[0]) {
		case "binlog_snapshot_file":
			s.place.file = row[1]
		case "binlog_snapshot_position":
			if s.place.pos, err = strconv.ParseUint(row[1], 10, 64); err != nil {
				return fmt.Errorf("reading binlog_snapshot_position: %w", err)
			}
		}
	}
	if s.place.file == "" {
		return errors.New("the server does not tell binlog_snapshot_file: is its binary log on?")
	}
	gtids, ok, err := s.conn.gtidsAt(ctx, s.place.file, s.place.pos)
	if err == nil && !ok {
		err = fmt.Errorf("the server does not know its own place %s:%d", s.place.file, s.place.pos)
	}
	s.place.gtids = gtids
	return err
}

func (s *snapshot) beginMySQL(ctx context.Context, c *Config, server *serverInfo) error {
	lock, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer lock.close() // which releases the lock, whatever happened
	if err := lock.exec(ctx, "SET SESSION lock_wait_timeout = 1"); err != nil {
		return err
	}
	if err := lock.exec(ctx, "FLUSH TABLES WITH READ LOCK"); err != nil {
		return fmt.Errorf("locking for the snapshot's beginning (a long statement or transaction is running; try again later): %w", err)
	}
	if err := s.conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return err
	}
	s.place = server.position()
	if s.place.file, s.place.pos, err = lock.logEnd(ctx, MySQL); err != nil {
		return err
	}
	if server.gtid {
		set, err := lock.query(ctx, "SELECT @@GLOBAL.gtid_executed")
		if err != nil {
			return err
		}
		s.place.gtids = strings.ReplaceAll(set.one(), "\n", "")
	}
	return lock.exec(ctx, "UNLOCK TABLES")
}

// choose prepares the tables. A table that is not there has no rows.
func (s *snapshot) choose(ctx context.Context, c *Config, side *conn, tables []*selected) error {
	for _, sel := range tables {
		info, err := side.describe(ctx, sel.table, c.Flavor == MariaDB)
		if err != nil {
			return err
		}
		if info == nil {
			continue
		}
		schema := sel.schema(c.Name, CodecText, info)
		if len(schema.Columns) == 0 {
			continue
		}
		expressions := make([]string, len(schema.Columns))
		for i := range schema.Columns {
			expressions[i] = selectExpression(&schema.Columns[i])
		}
		s.tables = append(s.tables, snapshotTable{schema, "SELECT " + strings.Join(expressions, ", ") + " FROM " + tableIdent(sel.table)})
	}
	return nil
}

// selectExpression asks for a column in the form that the text codec reads: an enum or a set as its number, because a label
// may be ambiguous, and a floating point number by an expression, because the plain column is rounded to six digits.
func selectExpression(c *cdc.Column) string {
	switch c.Kind {
	case cdc.KindEnum:
		return ident(c.Name) + "+0"
	case cdc.KindArray: // + 0 is signed
		return "CAST(" + ident(c.Name) + " AS UNSIGNED)"
	case cdc.KindFloat:
		return ident(c.Name) + "+0e0"
	}
	return ident(c.Name)
}

// readSnapshot reads rows into enc until there is a batch; after the last one the stream goes on from the snapshot's place.
func (s *session) readSnapshot(ctx context.Context) error {
	snap := s.snapshot
	for s.enc.Len() < maxBatch {
		if len(snap.tables) == 0 {
			s.emitSnapshot(false)
			snap.close()
			s.snapshot = nil
			return nil
		}
		more, err := snap.row(ctx, s)
		if err != nil {
			return fmt.Errorf("reading the snapshot of %s: %w", snap.tables[0].schema.Table, err)
		}
		if !more {
			snap.tables = snap.tables[1:]
		}
	}
	s.emitSnapshot(true)
	return nil
}

func (s *session) emitSnapshot(more bool) {
	snap := s.snapshot
	data, changes := s.enc.Cut(s.enc.Mark())
	b := cdc.Batch{Snapshot: true, Tx: snap.commit, Part: snap.part, More: more, Data: data, Changes: changes, CommitAt: snap.at}
	if !more {
		b.Position = s.position()
	}
	snap.part++
	snap.begun = false
	s.emit(b)
}

// row reads one row of the first table; false at its end.
func (s *snapshot) row(ctx context.Context, to *session) (more bool, err error) {
	table := &s.tables[0]
	if !s.open {
		if err := s.ask(ctx, table); err != nil {
			return false, err
		}
		s.open = true
	}
	packet, err := s.wire.packet(ctx, time.Time{})
	if err != nil {
		return false, err
	}
	switch {
	case len(packet) == 0:
		return false, errShort
	case packet[0] == driver.EOF_HEADER && len(packet) < 9:
		s.open = false
		return false, nil
	case packet[0] == driver.ERR_HEADER:
		return false, classifyError(serverError(packet))
	}
	if !s.begun {
		to.enc.Begin(cdc.Tx{Commit: s.commit, CommitAt: s.at})
		s.begun = true
	}
	to.use(table.schema)
	to.enc.Change(cdc.Snapshot, table.schema)
	r := &cursor{b: packet}
	for range table.schema.Columns {
		if len(r.b) > 0 && r.b[0] == 0xfb {
			r.u8()
			to.enc.Null()
			continue
		}
		to.enc.Value(r.take(int(r.lenenc())))
	}
	if r.short {
		return false, errShort
	}
	return true, nil
}

// ask sends the query and reads the head of its result: the number of columns, their definitions, an EOF.
func (s *snapshot) ask(ctx context.Context, table *snapshotTable) error {
	if err := s.conn.c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	s.conn.c.ResetSequence()
	if err := s.conn.c.WritePacket(append([]byte{0, 0, 0, 0, driver.COM_QUERY}, table.query...)); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	for i := 0; ; i++ {
		packet, err := s.wire.packet(ctx, time.Time{})
		switch {
		case err != nil:
			return err
		case len(packet) == 0:
			return errShort
		case packet[0] == driver.ERR_HEADER:
			return classifyError(serverError(packet))
		case i > 0 && packet[0] == driver.EOF_HEADER && len(packet) < 9:
			return nil
		}
	}
}
