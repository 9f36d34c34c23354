package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// relation is a table as the catalog describes it.
type relation struct {
	oid      uint32
	table    cdc.Table
	kind     string // pg_class.relkind: r table, p partitioned table
	unlogged bool
	identity string // pg_class.relreplident: d default, n nothing, f full, i index
	usable   bool   // an UPDATE of a published row would find an identity
	// Of a partitioned table, the partitions whose old rows lack what the table's own replica identity promises: the
	// identity of a partition is its own, and the server sends its rows as if they had the root's.
	unlike    []cdc.Table
	mayUse    bool // the role may use the schema
	mayRead   bool
	owned     bool // the role may alter the table, and so publish it
	columns   []attribute
	generated []string // not in the log, so not captured
}

// attribute is a column of a relation, without those that the log never carries.
type attribute struct {
	cdc.Column
	identity bool // part of the replica identity
	mayRead  bool
}

// A table has a usable identity by FULL, by its index, or by its primary key. Of a partitioned table the leaves count:
// theirs are the rows that an UPDATE touches. A generated column is not in the log, so an index that has one identifies nothing; and
// PostgreSQL 18 refuses UPDATEs of a published table whose identity needs one, with FULL any.
const relationSQL = `
SELECT c.oid, c.relkind::text, c.relpersistence <> 'p', c.relreplident::text,
       NOT EXISTS (
         SELECT FROM pg_class l
         WHERE (l.oid = c.oid OR l.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)) AND l.relkind = 'r'
         AND NOT (
           l.relreplident = 'f' AND NOT (current_setting('server_version_num')::int >= 180000
             AND EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = l.oid AND g.attgenerated <> '' AND NOT g.attisdropped))
           OR EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisvalid
             AND (l.relreplident = 'd' AND i.indisprimary OR l.relreplident = 'i' AND i.indisreplident)
             AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = l.oid AND g.attnum = ANY (i.indkey) AND g.attgenerated <> '')))),
       has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'),
       pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2`

// The key is the primary key, or the replica identity's index if one was chosen.
const attributeSQL = `
SELECT a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '',
       coalesce(a.attnum = ANY (k.indkey), false), has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index k ON k.indrelid = c.oid
  AND CASE WHEN c.relreplident = 'i' THEN k.indisreplident ELSE k.indisprimary END
WHERE c.oid = $1 ORDER BY a.attnum`

// A partition that is FULL is never short of anything. One with an index is as its root if its index is part of the root's.
const unlikeSQL = `
SELECT n.nspname::text, l.relname::text
FROM pg_partition_tree($1) t JOIN pg_class l ON l.oid = t.relid JOIN pg_namespace n ON n.oid = l.relnamespace
CROSS JOIN (SELECT relreplident FROM pg_class WHERE oid = $1) r
WHERE t.isleaf AND l.relreplident <> 'f' AND (
  l.relreplident <> r.relreplident
  OR r.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisprimary)
  OR r.relreplident = 'i' AND NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid JOIN pg_index p ON p.indexrelid = h.inhparent
    WHERE i.indrelid = l.oid AND i.indisreplident AND p.indisreplident))
ORDER BY 1, 2`

func unlikePartitions(ctx context.Context, conn *pgx.Conn, oid uint32) ([]cdc.Table, error) {
	rows, err := conn.Query(ctx, unlikeSQL, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[cdc.Table])
}

// lookUp reads one table's description; nil if it does not exist.
func lookUp(ctx context.Context, conn *pgx.Conn, table cdc.Table) (*relation, error) {
	r := &relation{table: table}
	err := conn.QueryRow(ctx, relationSQL, table.Schema, table.Name).
		Scan(&r.oid, &r.kind, &r.unlogged, &r.identity, &r.usable, &r.mayUse, &r.mayRead, &r.owned)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up table %s: %w", table, err)
	}
	if r.kind == "p" {
		if r.unlike, err = unlikePartitions(ctx, conn, r.oid); err != nil {
			return nil, fmt.Errorf("looking up the partitions of %s: %w", table, err)
		}
	}
	rows, err := conn.Query(ctx, attributeSQL, r.oid)
	if err != nil {
		return nil, fmt.Errorf("looking up the columns of %s: %w", table, err)
	}
	var (
		a         attribute
		ref       typeRef
		refs      []typeRef
		generated bool
	)
	_, err = pgx.ForEachRow(rows, []any{&a.Name, &ref.oid, &ref.modifier, &a.NotNull, &generated, &a.Key, &a.mayRead}, func() error {
		if generated {
			r.generated = append(r.generated, a.Name)
			return nil
		}
		a.identity = a.Key && r.identity != "n" || r.identity == "f" && len(r.unlike) == 0
		r.columns = append(r.columns, a)
		refs = append(refs, ref)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up the columns of %s: %w", table, err)
	}
	infos, err := describe(ctx, conn, refs)
	if err != nil {
		return nil, err
	}
	for i := range r.columns {
		c := &r.columns[i].Column
		*c = infos[i].column(c.Name, c.Key, c.NotNull)
	}
	return r, nil
}

// publishable reports whether a publication may contain the relation.
func (r *relation) publishable() bool { return (r.kind == "r" || r.kind == "p") && !r.unlogged }

// column returns the named column, or nil.
func (r *relation) column(name string) *attribute {
	for i := range r.columns {
		if r.columns[i].Name == name {
			return &r.columns[i]
		}
	}
	return nil
}

// schema makes the shape of the relation's captured rows.
func (r *relation) schema(source string, keep func(column string, key bool) bool) *cdc.Schema {
	s := &cdc.Schema{Source: source, Table: r.table, Codec: CodecName}
	for _, a := range r.columns {
		if keep(a.Name, a.Key) {
			s.Columns = append(s.Columns, a.Column)
		}
	}
	return s
}

// Catalog implements cdc.Inspector.
func (s *Source) Catalog(ctx context.Context, want []cdc.Table) ([]*cdc.Schema, error) {
	conn, err := s.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	var list []*cdc.Schema
	for _, t := range want {
		if _, message := t.Prefix(); message {
			has, err := hasMessages(ctx, conn)
			if err != nil {
				return nil, err
			}
			if has {
				list = append(list, messageShape(s.cfg.Name, t))
			}
			continue
		}
		r, err := lookUp(ctx, conn, s.named(t))
		if err != nil {
			return nil, err
		}
		if r != nil && r.mayUse && r.mayRead {
			list = append(list, r.schema(s.cfg.Name, func(name string, _ bool) bool { return !s.masked(r.table, name) }))
		}
	}
	return list, nil
}
