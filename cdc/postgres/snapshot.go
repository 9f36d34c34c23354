package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
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
	findings, err := s.Check(ctx)
	if err != nil {
		return s.connectError(err)
	}
	for _, f := range findings {
		if f.Level == cdc.LevelFail {
			return &cdc.RefusedError{Source: s.cfg.Name, Findings: findings}
		}
	}
	conn, version, err := s.connectVersion(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if conn != nil {
			closeConn(conn)
		}
	}()
	if err := s.replaceUnfinished(ctx, conn, version); err != nil {
		return err
	}
	// The publication comes first: a slot decodes with the catalog of its own time, and would not find a later one.
	if err := s.publish(ctx, conn, version); err != nil {
		return err
	}
	snap := &snapshot{source: s, conn: conn}
	conn = nil
	if err := snap.open(ctx); err != nil {
		snap.close()
		return err
	}
	s.snapshot = snap
	s.begin(snap.point, false)
	s.log.Info("reading a snapshot", "source", s.cfg.Name, "position", snap.point.position(), "tables", names(s.tables))
	return nil
}

// replaceUnfinished drops a slot that is certainly what an unfinished snapshot of ours left, and refuses any other. It is
// ours if we remember to have made it at this very point, and nobody has moved it since.
func (s *Source) replaceUnfinished(ctx context.Context, conn *pgx.Conn, version int) error {
	is, err := readSlot(ctx, conn, s.cfg.Slot, version)
	if err != nil {
		return s.disconnected(err)
	}
	if !is.exists {
		return nil
	}
	if is.pid != 0 {
		return &cdc.LostError{Source: s.cfg.Name,
			Reason: fmt.Sprintf("slot %q is in use by process %d, and this store has no position for it", s.cfg.Slot, is.pid),
			Hint:   "Another process, perhaps another Waybill, reads from it. Stop that one, or give this source another slot name"}
	}
	made := s.made
	if made == "" && s.cfg.Unfinished != nil {
		if made, err = s.cfg.Unfinished.Recall(s.cfg.Slot); err != nil {
			return fmt.Errorf("recalling an unfinished snapshot: %w", err)
		}
	}
	if made == "" || made != is.confirmed.String() {
		return s.lost("slot %q exists (at %s), but this store has no position for it: the store is new, or was lost or moved",
			s.cfg.Slot, is.confirmed)
	}
	s.log.Info("replacing the slot of an unfinished snapshot", "source", s.cfg.Name, "slot", s.cfg.Slot)
	return s.dropSlot(ctx, conn)
}

// open makes the temporary slot and begins to read at its consistent point.
func (n *snapshot) open(ctx context.Context) error {
	s := n.source
	holder, err := s.replication(ctx)
	if err != nil {
		return err
	}
	n.holder = holder
	is, err := identifySystem(ctx, s, holder)
	if err != nil {
		return err
	}
	n.temp = fmt.Sprintf("%s_%08x", s.cfg.Slot, holder.PID())
	made, err := pglogrepl.CreateReplicationSlot(ctx, holder, n.temp, "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Temporary: true, SnapshotAction: "EXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication})
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("making a slot: the server waits until every transaction that runs has ended; see "+
				"SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start: %w", ctx.Err())
		}
		return s.disconnected(fmt.Errorf("making temporary slot %q: %w", n.temp, err))
	}
	lsn, err := pglogrepl.ParseLSN(made.ConsistentPoint)
	if err != nil {
		return fmt.Errorf("making temporary slot %q: %w", n.temp, err)
	}
	n.point = place{is.system, is.timeline, lsn}
	return n.begin(ctx, made.SnapshotName)
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
		err = s.snapshot.keepSlot(ctx)
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

// keepSlot turns the temporary slot into the one that stays. Between this and the moment when the caller has stored the
// snapshot's position, a crash leaves a slot that no store knows: that is what Unfinished is for.
func (n *snapshot) keepSlot(ctx context.Context) error {
	s := n.source
	point := n.point.lsn.String()
	if s.cfg.Unfinished != nil {
		if err := s.cfg.Unfinished.Remember(s.cfg.Slot, point); err != nil {
			return fmt.Errorf("remembering the snapshot's slot: %w", err)
		}
	}
	if _, err := n.conn.Exec(ctx, "COMMIT"); err != nil {
		return s.disconnected(fmt.Errorf("ending the snapshot: %w", err))
	}
	_, err := n.conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot($1::name, $2::name, false)", n.temp, s.cfg.Slot)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42710" {
		return s.lost("slot %q was made by somebody else while the snapshot was read", s.cfg.Slot)
	}
	if err != nil {
		return s.disconnected(fmt.Errorf("keeping slot %q: %w", s.cfg.Slot, err))
	}
	s.made = point
	return nil
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
