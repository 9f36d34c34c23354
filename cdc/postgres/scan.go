package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// scan is the statement that finds the next rows of a table, and what its rows say about the place reached.
type scan struct {
	sql    string // gives the columns of the schema, then those that at needs beside them
	values [][]byte
	types  []uint32 // OIDs of the values' types
	limit  int      // most rows that it gives
	at     []int    // columns of a row that say where it is
	last   [][]byte // their values in the last row read
	behind func(at [][]byte) cursor
	rest   cursor // place behind the scan if it ends without a row; with blocks also if it has rows
	end    bool   // there is nothing behind its end
	// units is how many rows, or blocks of each file, the scan has read: what widths are learnt by.
	units  func(rows int, after cursor) float64
	blocks bool
}

// keyColumn is a column of the primary key, in the index's order.
type keyColumn struct {
	name  string
	typ   uint32
	shape string // name, type and collation: what the order of the rows depends on
}

const keySQL = `SELECT a.attname::text, a.atttypid, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || coalesce(' collate ' || n.collname, '')
FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation n ON n.oid = a.attcollation AND a.attcollation <> t.typcollation
WHERE i.indrelid = $1 AND i.indisprimary AND i.indisvalid AND k.place <= i.indnkeyatts ORDER BY k.place`

func readKey(ctx context.Context, conn *pgx.Conn, oid uint32) (key []keyColumn, err error) {
	rows, err := conn.Query(ctx, keySQL, oid)
	if err != nil {
		return nil, fmt.Errorf("looking up the primary key: %w", err)
	}
	var k keyColumn
	if _, err = pgx.ForEachRow(rows, []any{&k.name, &k.typ, &k.shape}, func() error { key = append(key, k); return nil }); err != nil {
		return nil, fmt.Errorf("looking up the primary key: %w", err)
	}
	return key, nil
}

// keyScan goes on behind the row whose key the cursor names. It is nil for a table without a primary key, and when a column
// of the key is masked: a cursor is stored (Invariant 12).
func (c *chunk) keyScan() *scan {
	key := c.key
	if len(key) == 0 {
		return nil
	}
	columns := columnNames(c.schema)
	n := &scan{limit: c.limit(c.width(2 << 10)), end: true,
		units: func(rows int, _ cursor) float64 { return float64(rows) }}
	var shape, names, params []string
	at := make([]int, len(key))
	for i, k := range key {
		if c.source.choices[c.request.Table].masked[k.name] {
			return nil
		}
		name := identifier(k.name)
		if at[i] = slices.Index(columns, name); at[i] < 0 {
			at[i], columns = len(columns), append(columns, name)
		}
		shape, names, params = append(shape, k.shape), append(names, name), append(params, "$"+strconv.Itoa(i+1))
		n.types = append(n.types, k.typ)
	}
	n.rest = parseCursor(c.request.After)
	var where []string
	if n.values = n.rest.values(shape); n.values != nil {
		where = append(where, fmt.Sprintf("(%s) > (%s)", strings.Join(names, ", "), strings.Join(params, ", ")))
	} else {
		n.rest, n.types = cursor{}, nil
	}
	n.sql = c.sql(columns, where, names, n.limit)
	n.at, n.last = at, make([][]byte, len(at))
	n.behind = func(values [][]byte) cursor { return keyCursor(shape, values) }
	return n
}

// A row's place is the block and item in its file, and of a partitioned table the partition: all partitions are read side by
// side, block by block. Every row that the snapshot sees lies in a block that was there when it was taken.
const filesSQL = `SELECT coalesce(max(pg_relation_size(c.oid)), 0), md5(string_agg(c.oid || ':' || pg_relation_filenode(c.oid), ',' ORDER BY c.oid)),
  greatest(count(*), 1)
FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1)))`

// placeScan goes on behind the row whose place the cursor names, for some blocks.
func (c *chunk) placeScan(ctx context.Context) (*scan, error) {
	var (
		size, files int64
		file        *string
	)
	if err := c.reader.conn.QueryRow(ctx, filesSQL, c.relation.oid).Scan(&size, &file, &files); err != nil {
		return nil, fmt.Errorf("looking up the table's files: %w", err)
	}
	from := parseCursor(c.request.After)
	block, ok := tidBlock(from.TID)
	if file == nil { // a partitioned table without partitions
		file = new(string)
	}
	if !ok || from.File != *file {
		from, block = cursor{File: *file, TID: "(0,0)", Leaf: "0"}, 0
	}
	blocks := size / int64(c.reader.block)
	share := c.width(float64(c.reader.block)) * float64(files)
	to := min(block+int64(min(max(1, chunkSize/max(share, 1)), spanMax)), max(blocks, block))
	n := &scan{limit: c.limit(1), end: to >= blocks, rest: cursor{File: *file, TID: fmt.Sprintf("(%d,0)", to), Leaf: "0"},
		types: []uint32{27, 27, 26}} // tid, tid, oid
	n.values = [][]byte{[]byte(from.TID), []byte(n.rest.TID), []byte(from.Leaf)}
	where := []string{"ctid >= $1", "ctid < $2", "(ctid, tableoid) > ($1, $3)"}
	if c.reader.version < 140000 {
		where = append(where, fmt.Sprintf(placesSQL, block, to-1, c.reader.block/minTuple))
	}
	columns := columnNames(c.schema)
	own := len(columns)
	n.sql = c.sql(append(columns, "ctid", "tableoid"), where, []string{"ctid", "tableoid"}, n.limit)
	n.at, n.last = []int{own, own + 1}, make([][]byte, 2)
	n.behind = func(at [][]byte) cursor { return cursor{File: *file, TID: string(at[0]), Leaf: string(at[1])} }
	n.blocks = true
	n.units = func(_ int, after cursor) float64 {
		reached, _ := tidBlock(after.TID)
		return float64(max(1, reached-block) * files)
	}
	return n, nil
}

const (
	spanMax  = 4096 // blocks of one scan, when they hold little
	minTuple = 28   // bytes that a row takes in a block at least: its header and its item
)

// Before PostgreSQL 14 a range of places is not looked up but filtered out of the whole table; single places are looked up.
const placesSQL = `ctid = ANY (ARRAY(SELECT ('(' || b || ',' || i || ')')::tid FROM generate_series(%d, %d) b, generate_series(1, %d) i))`

// tidBlock returns the block of a tuple id such as (12,5).
func tidBlock(tid string) (int64, bool) {
	block, item, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(tid, "("), ")"), ",")
	if !ok {
		return 0, false
	}
	b, err := strconv.ParseUint(block, 10, 32)
	if err != nil {
		return 0, false
	}
	_, err = strconv.ParseUint(item, 10, 16)
	return int64(b), err == nil
}

// columnNames returns the names of the schema's columns as SQL has them.
func columnNames(schema *cdc.Schema) []string {
	columns := make([]string, len(schema.Columns))
	for i, col := range schema.Columns {
		columns[i] = identifier(col.Name)
	}
	return columns
}

// from names the table whose rows are read: those of its partitions too, but not those of tables that inherit from it.
func (r *relation) from() string {
	if r.kind == "p" {
		return tableName(r.table)
	}
	return "ONLY " + tableName(r.table)
}

// width is what is known of the width of a row or block of the table.
func (c *chunk) width(unknown float64) float64 {
	if w := c.source.learnt.about(c.request.Table).width; w > 0 {
		return w
	}
	return unknown
}

// limit is how many rows of a width make a chunk, no more than were asked for.
func (c *chunk) limit(width float64) int {
	n := max(1, int(chunkSize/max(width, 1)))
	if c.request.Rows > 0 {
		n = min(n, c.request.Rows)
	}
	return n
}

func (c *chunk) sql(columns, where, order []string, limit int) string {
	if c.request.Where != "" {
		where = append(where, "(\n"+c.request.Where+"\n)") // on lines of its own: it may end with a comment
	}
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	return fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d", strings.Join(columns, ", "), c.relation.from(), condition,
		strings.Join(order, ", "), limit)
}
