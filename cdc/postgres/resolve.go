package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// What the stream does not say about a column: whether it may be null, and whether it is in the primary key when the
// replica identity does not tell.
const flagsSQL = `
SELECT a.attname::text, a.attnotnull, coalesce(a.attnum = ANY (k.indkey), false)
FROM pg_attribute a LEFT JOIN pg_index k ON k.indrelid = a.attrelid AND k.indisprimary
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

// resolve finds the Schema of a relation that the stream announced. A selected column that is not there any more makes
// another Schema; whether that can be used is for the projector to say.
func (n *session) resolve(r *wireRelation) error {
	choice := n.source.choices[r.table]
	if choice == nil {
		return nil
	}
	if _, message := r.table.Prefix(); message {
		n.announce(r, messageShape(n.source.cfg.Name, r.table))
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*n.source.cfg.ConnectTimeout)
	defer cancel()
	conn, err := n.catalog.open(ctx)
	if err != nil {
		return n.source.disconnected(err)
	}
	s, err := n.source.schemaOf(ctx, conn, r, choice)
	if err != nil {
		n.catalog.close()
		return n.source.disconnected(err)
	}
	n.announce(r, s)
	return nil
}

// announce gives the relation its Schema, one pointer for equal ones, and lets the next batch bring it if it is new.
func (n *session) announce(r *wireRelation, s *cdc.Schema) {
	if known := n.announced[s.ID()]; known != nil {
		s = known
	} else {
		n.announced[s.ID()] = s
		n.fresh = append(n.fresh, s)
	}
	r.schema = s
}

func (s *Source) schemaOf(ctx context.Context, conn *pgx.Conn, r *wireRelation, c *choice) (*cdc.Schema, error) {
	primary, notNull := map[string]bool{}, map[string]bool{}
	rows, err := conn.Query(ctx, flagsSQL, r.oid)
	if err != nil {
		return nil, fmt.Errorf("looking up relation %s: %w", r.table, err)
	}
	var (
		name         string
		always, isPK bool
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &always, &isPK}, func() error {
		primary[name], notNull[name] = isPK, always
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up relation %s: %w", r.table, err)
	}
	unlike, err := unlikePartitions(ctx, conn, r.oid)
	if err != nil {
		return nil, fmt.Errorf("looking up relation %s: %w", r.table, err)
	}
	if r.partial = r.identity == 'f' && len(unlike) > 0; r.partial {
		for i := range r.columns {
			r.columns[i].identity = primary[r.columns[i].name]
		}
	}
	refs := make([]typeRef, len(r.columns))
	for i, w := range r.columns {
		refs[i] = w.typ
	}
	infos, err := describe(ctx, conn, refs)
	if err != nil {
		return nil, err
	}
	out := &cdc.Schema{Source: s.cfg.Name, Table: r.table, Codec: CodecName}
	r.take = make([]bool, len(r.columns))
	wide := c.widened(func(column string) bool {
		return slices.ContainsFunc(r.columns, func(w wireColumn) bool { return w.name == column })
	})
	for i, w := range r.columns {
		key := w.identity
		if r.identity == 'f' || r.identity == 'n' {
			key = primary[w.name]
		}
		if r.take[i] = c.keep(w.name, key) || wide && !c.masked[w.name]; !r.take[i] {
			continue
		}
		out.Columns = append(out.Columns, infos[i].column(w.name, key, notNull[w.name]))
		if infos[i].gone {
			out.Fault = fmt.Sprintf("the type of column %s (OID %d) was dropped before its rows were read", w.name, w.typ.oid)
		}
	}
	return out, nil
}
