package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

// snapshot reads the selected tables as one large transaction.
//
// While it lasts, a TEMPORARY slot holds the log from the consistent point on; it dies with its connection, so a
// Waybill that never comes back leaves nothing behind that would fill the server's disk (Invariant 13). Only when every
// row has been read is it copied to the slot that stays.
type snapshot struct {
	source *Source
	holder *pgconn.PgConn // holds the temporary slot; nil for Peek
	temp   string
	conn   *pgx.Conn // the reading transaction
	point  place
	at     time.Time // the source's clock
	read   []*reading

	enc    cdc.Encoder
	rows   *pgconn.ResultReader
	stop   context.CancelFunc
	part   int
	fresh  []*cdc.Schema
	framed bool
}

// reading is one table of a snapshot.
type reading struct {
	table  cdc.Table
	schema *cdc.Schema
	sql    string
}

// openFresh opens without a position: with a snapshot.
func (s *Source) openFresh(ctx context.Context) error {
	conn, err := s.ready(ctx)
	if err != nil {
		return err
	}
	snap := &snapshot{source: s, conn: conn}
	if err := snap.open(ctx); err != nil {
		snap.close()
		return err
	}
	s.snapshot = snap
	s.begin(snap.point, false)
	s.log.Info("reading a snapshot", "source", s.cfg.Name, "position", snap.point.position(), "tables", names(s.tables))
	return nil
}

// open makes the temporary slot and begins to read at its consistent point.
func (n *snapshot) open(ctx context.Context) (err error) {
	if n.holder, err = n.source.replication(ctx); err != nil {
		return err
	}
	var exported string
	if n.temp, n.point, exported, err = n.source.holdLog(ctx, n.holder, "EXPORT_SNAPSHOT"); err != nil {
		return err
	}
	return n.begin(ctx, exported)
}

// begin starts the reading transaction, in an exported snapshot if one is named, and looks the tables up in it.
func (n *snapshot) begin(ctx context.Context, exported string) error {
	s := n.source
	if _, err := n.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return s.disconnected(fmt.Errorf("beginning the snapshot: %w", err))
	}
	if exported != "" {
		if _, err := n.conn.Exec(ctx, "SET TRANSACTION SNAPSHOT "+literal(exported)); err != nil {
			return s.disconnected(fmt.Errorf("entering the slot's snapshot: %w", err))
		}
	}
	if err := n.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&n.at); err != nil {
		return s.disconnected(fmt.Errorf("beginning the snapshot: %w", err))
	}
	n.at = n.at.UTC()
	for _, t := range s.tables {
		if err := n.prepare(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// A table that is rewritten or truncated after the snapshot was taken looks empty in it. The lock keeps that from
// happening later, as the reading itself would; the comparison tells whether it has happened already.
const rewrittenSQL = `SELECT EXISTS (SELECT FROM pg_class c
	WHERE (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1))) AND c.relfilenode <> 0
	AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))`

func (n *snapshot) prepare(ctx context.Context, t cdc.Table) error {
	s := n.source
	if _, err := n.conn.Exec(ctx, "LOCK TABLE "+tableName(t)+" IN ACCESS SHARE MODE"); err != nil {
		return s.disconnected(fmt.Errorf("opening table %s for the snapshot: %w", t, err))
	}
	r, err := lookUp(ctx, n.conn, t)
	if err != nil {
		return s.disconnected(err)
	}
	var rewritten bool
	if r != nil {
		if err := n.conn.QueryRow(ctx, rewrittenSQL, r.oid).Scan(&rewritten); err != nil {
			return s.disconnected(fmt.Errorf("opening table %s for the snapshot: %w", t, err))
		}
	}
	if r == nil || rewritten {
		return s.disconnected(fmt.Errorf("table %s was made anew while the snapshot began", t))
	}
	schema := r.schema(s.cfg.Name, s.choices[t].keep)
	columns := make([]string, len(schema.Columns))
	for i, c := range schema.Columns {
		columns[i] = identifier(c.Name)
	}
	only := "ONLY "
	if r.kind == "p" {
		only = ""
	}
	n.read = append(n.read, &reading{t, schema, fmt.Sprintf("SELECT %s FROM %s%s", strings.Join(columns, ", "), only, tableName(t))})
	return nil
}

// nextOfSnapshot is Source.Next while a snapshot is read.
func (s *Source) nextOfSnapshot(ctx context.Context) (cdc.Batch, error) {
	b, err := s.snapshot.next(ctx)
	if err == nil && !b.More {
		err = s.snapshot.end(ctx)
	}
	if err != nil {
		s.snapshot.close()
		s.snapshot = nil
		s.lagState(func(l *cdc.Lag) { l.Connected = false })
		if ctx.Err() != nil {
			return cdc.Batch{}, ctx.Err()
		}
		return cdc.Batch{}, err
	}
	if !b.More {
		b.Position = s.snapshot.point.position()
		s.resume = s.snapshot.point
		s.snapshot.close()
		s.snapshot = nil
	}
	s.lagState(func(l *cdc.Lag) { l.Position, l.HeardAt = b.Position, time.Now() })
	return b, nil
}

// end ends the transaction and makes the slot that stays.
func (n *snapshot) end(ctx context.Context) error {
	if _, err := n.conn.Exec(ctx, "COMMIT"); err != nil {
		return n.source.disconnected(fmt.Errorf("ending the snapshot: %w", err))
	}
	return n.source.keepSlot(ctx, n.conn, n.temp, n.point)
}

// next reads rows until a part is full or the last table is read.
func (n *snapshot) next(ctx context.Context) (cdc.Batch, error) {
	if err := ctx.Err(); err != nil {
		return cdc.Batch{}, err
	}
	quit := context.AfterFunc(ctx, func() { n.conn.PgConn().Conn().SetDeadline(time.Unix(1, 0)) })
	defer quit()
	for len(n.read) > 0 {
		full, err := n.table(n.read[0])
		if err != nil {
			return cdc.Batch{}, err
		}
		if full {
			return n.batch(true), nil
		}
		n.read = n.read[1:]
	}
	return n.batch(false), nil
}

// table reads on in one table; full means that a part is complete and the table may have more rows.
func (n *snapshot) table(r *reading) (full bool, err error) {
	if n.rows == nil {
		ctx, cancel := context.WithCancel(context.Background())
		n.stop = cancel
		n.rows = n.conn.PgConn().ExecParams(ctx, r.sql, nil, nil, nil, nil)
		n.fresh = append(n.fresh, r.schema)
	}
	for n.rows.NextRow() {
		n.row(r.schema, n.rows.Values())
		if n.enc.Len() >= batchSize {
			return true, nil
		}
	}
	_, err = n.rows.Close()
	n.stop()
	n.rows, n.stop = nil, nil
	if err != nil {
		return false, n.source.disconnected(fmt.Errorf("reading table %s: %w", r.table, err))
	}
	return false, nil
}

func (n *snapshot) row(schema *cdc.Schema, values [][]byte) {
	if !n.framed {
		n.enc.Begin(cdc.Tx{Commit: n.tx(), CommitAt: n.at})
		n.framed = true
	}
	n.enc.Change(cdc.Snapshot, schema)
	for _, v := range values {
		if v == nil {
			n.enc.Null()
		} else {
			n.enc.Value(v)
		}
	}
}

func (n *snapshot) tx() string { return "snapshot/" + n.point.lsn.String() }

func (n *snapshot) batch(more bool) cdc.Batch {
	b := cdc.Batch{Source: n.source.cfg.Name, Identity: n.point.identity(), Snapshot: true, Tx: n.tx(), Part: n.part, More: more,
		Schemas: n.fresh, CommitAt: n.at}
	b.Data, b.Changes = n.enc.Cut(n.enc.Mark())
	n.part++
	n.fresh, n.framed = nil, false
	return b
}

func (n *snapshot) close() {
	if n.stop != nil {
		n.stop() // breaks the connection in the middle of its result, which is the quickest end
		n.rows.Close()
	}
	closeConn(n.conn)
	if n.holder != nil {
		closeReplication(n.holder)
	}
}

// Peek implements cdc.Inspector.
func (s *Source) Peek(ctx context.Context, yield func(cdc.Batch) error) error {
	is, err := s.identify(ctx)
	if err != nil {
		return err
	}
	conn, _, err := s.connectVersion(ctx)
	if err != nil {
		return err
	}
	n := &snapshot{source: s, conn: conn, point: place{is.system, is.timeline, is.flushed}}
	defer n.close()
	if err := n.begin(ctx, ""); err != nil {
		return err
	}
	for {
		b, err := n.next(ctx)
		if err != nil {
			return err
		}
		if err := yield(b); err != nil || !b.More {
			return err
		}
	}
}
