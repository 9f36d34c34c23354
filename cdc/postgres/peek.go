package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// peek reads the selected tables in one read-only transaction.
type peek struct {
	source *Source
	conn   *pgx.Conn
	yield  func(cdc.Batch) error
	next   cdc.Batch // the part at hand, without its rows
	enc    cdc.Encoder
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
	defer closeConn(conn)
	point := place{is.system, is.timeline, is.flushed}
	n := &peek{source: s, conn: conn, yield: yield,
		next: cdc.Batch{Source: s.cfg.Name, Identity: point.identity(), Snapshot: true, Tx: "snapshot/" + point.lsn.String()}}
	if err := n.begin(ctx); err != nil {
		return err
	}
	for _, t := range s.tables {
		if err := n.table(ctx, t); err != nil {
			return err
		}
	}
	return n.hand(false)
}

// begin takes the snapshot. The locks come first: from then on the tables keep their columns and files, so what the snapshot
// sees of them is whole.
func (n *peek) begin(ctx context.Context) error {
	if _, err := n.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return n.source.disconnected(fmt.Errorf("beginning the snapshot: %w", err))
	}
	for _, t := range n.source.tables {
		if _, err := n.conn.Exec(ctx, "LOCK TABLE "+tableName(t)+" IN ACCESS SHARE MODE"); err != nil {
			return n.source.disconnected(fmt.Errorf("opening table %s for the snapshot: %w", t, err))
		}
	}
	var at time.Time
	if err := n.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return n.source.disconnected(fmt.Errorf("beginning the snapshot: %w", err))
	}
	n.next.CommitAt = at.UTC()
	return nil
}

// table reads one table to its end.
func (n *peek) table(ctx context.Context, t cdc.Table) error {
	s := n.source
	r, err := lookUp(ctx, n.conn, t)
	if err == nil && r == nil {
		err = fmt.Errorf("table %s was made anew while the snapshot began", t)
	}
	if err != nil {
		return s.disconnected(err)
	}
	schema := r.schema(s.cfg.Name, s.choices[t].keep)
	n.next.Schemas = append(n.next.Schemas, schema)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rows := n.conn.PgConn().ExecParams(ctx, "SELECT "+strings.Join(columnNames(schema), ", ")+" FROM "+r.from(), nil, nil, nil, nil)
	for rows.NextRow() {
		if n.enc.Changes() == 0 {
			n.enc.Begin(cdc.Tx{Commit: n.next.Tx, CommitAt: n.next.CommitAt})
		}
		encodeRow(&n.enc, schema, rows.Values())
		if n.enc.Len() < batchSize {
			continue
		}
		if err := n.hand(true); err != nil {
			stop() // breaks the connection in the middle of its result, which is the quickest end
			rows.Close()
			return err
		}
	}
	if _, err := rows.Close(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.disconnected(fmt.Errorf("reading table %s: %w", t, err))
	}
	return nil
}

// hand gives the part at hand to the caller.
func (n *peek) hand(more bool) error {
	b := n.next
	b.More = more
	b.Data, b.Changes = n.enc.Cut(n.enc.Mark())
	n.next.Part++
	n.next.Schemas = nil
	return n.yield(b)
}
