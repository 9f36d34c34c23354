package mysql

import (
	"context"
	"fmt"
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

// beginSnapshot opens the transaction and learns its place: see Config.see.
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
	if s.place, err = c.see(ctx, s.conn, server); err != nil {
		return err
	}
	s.commit = fmt.Sprintf("snapshot/%s:%d", s.place.file, s.place.pos)
	if c.Flavor == MariaDB {
		gtids, ok, err := s.conn.gtidsAt(ctx, s.place.file, s.place.pos)
		if err == nil && !ok {
			err = fmt.Errorf("the server does not know its own place %s:%d", s.place.file, s.place.pos)
		}
		s.place.gtids = gtids
		return err
	}
	return nil
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

// selectExpression asks for a column in the form that the text codec reads: an enum as its number, because a label may be
// ambiguous, and a floating point number by an expression, because the plain column is rounded to six digits.
func selectExpression(c *cdc.Column) string {
	switch c.Kind {
	case cdc.KindEnum:
		return ident(c.Name) + "+0"
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
		if err := ask(ctx, s.conn, s.wire, table.query); err != nil {
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
	return true, encodeRow(&to.enc, table.schema, &cursor{b: packet})
}

// encodeRow writes a row of a result.
func encodeRow(enc *cdc.Encoder, schema *cdc.Schema, r *cursor) error {
	enc.Change(cdc.Snapshot, schema)
	for range schema.Columns {
		if len(r.b) > 0 && r.b[0] == 0xfb {
			r.u8()
			enc.Null()
			continue
		}
		enc.Value(r.take(int(r.lenenc())))
	}
	if r.short {
		return errShort
	}
	return nil
}

// ask sends a query and reads the head of its result: the number of columns, their definitions, an EOF.
func ask(ctx context.Context, conn *conn, wire *wire, query string) error {
	if err := conn.c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	conn.c.ResetSequence()
	if err := conn.c.WritePacket(append([]byte{0, 0, 0, 0, driver.COM_QUERY}, query...)); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	for i := 0; ; i++ {
		packet, err := wire.packet(ctx, time.Time{})
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
