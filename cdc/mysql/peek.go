package mysql

import (
	"context"
	"fmt"
	"time"

	"waybill/cdc"
)

// peek reads the selected tables in one transaction.
type peek struct {
	*reader
	yield func(cdc.Batch) error
	next  cdc.Batch // the part at hand, without its rows
	enc   cdc.Encoder
}

// Peek implements cdc.Inspector. A table that is not there has no rows.
func (s *Source) Peek(ctx context.Context, yield func(cdc.Batch) error) error {
	r, err := s.cfg.newReader(ctx, &s.readers.turn)
	if err != nil {
		return err
	}
	defer r.close()
	n := &peek{reader: r, yield: yield, next: cdc.Batch{Source: s.cfg.Name, Snapshot: true}}
	tables, err := n.begin(ctx, s.tables)
	if err != nil {
		return fmt.Errorf("beginning the snapshot: %w", err)
	}
	for _, t := range tables {
		n.next.Schemas = append(n.next.Schemas, t.schema)
		if err := r.query(ctx, t.rows(0), func(row *cursor) (bool, error) { return true, n.add(t.schema, row) }); err != nil {
			return fmt.Errorf("reading the snapshot of %s: %w", t.table, err)
		}
	}
	return n.hand(false)
}

// begin prepares the tables and takes the snapshot.
func (n *peek) begin(ctx context.Context, tables []*selected) (list []statement, err error) {
	for _, sel := range tables {
		info, err := n.guard.describe(ctx, sel.table, n.cfg.Flavor == MariaDB)
		if err != nil {
			return nil, err
		}
		if info == nil {
			continue
		}
		if schema := sel.schema(n.cfg.Name, CodecText, info); len(schema.Columns) > 0 {
			list = append(list, statement{table: sel.table, schema: schema})
		}
	}
	n.wire.quiet = time.Minute // before the first row of a table whose pages are on a slow disk
	if err := n.unbound(ctx); err != nil {
		return nil, err
	}
	if err := n.data.exec(ctx, "SET SESSION lock_wait_timeout = 10"); err != nil {
		return nil, err
	}
	if n.next.CommitAt, err = n.guard.clock(ctx); err != nil {
		return nil, err
	}
	at, err := n.cfg.see(ctx, n.data, n.server)
	n.next.Identity, n.next.Tx = at.history, fmt.Sprintf("snapshot/%s:%d", at.file, at.pos)
	return list, err
}

// add frames a row.
func (n *peek) add(schema *cdc.Schema, row *cursor) error {
	if n.enc.Changes() == 0 {
		n.enc.Begin(cdc.Tx{Commit: n.next.Tx, CommitAt: n.next.CommitAt})
	}
	if err := encodeRow(&n.enc, schema, row); err != nil || n.enc.Len() < maxBatch {
		return err
	}
	err := n.hand(true)
	n.wire.heardAt = time.Now() // nobody has read meanwhile
	return err
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
