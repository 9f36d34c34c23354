package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

const (
	chunkSize  = 2 << 20         // so many bytes a chunk is meant to have
	chunkMax   = 2 * chunkSize   // and at so many it ends, when its rows are larger than those before
	settleWait = 2 * time.Second // for transactions that are older than the table's publication, before the caller is told
	settleStep = 20 * time.Millisecond
)

// ReadChunk implements cdc.TableReader. It holds one transaction for the time of the call, which is read-only, takes no lock
// but ACCESS SHARE, and waits for no more than two seconds for a table that is being altered.
//
// A table with a primary key is read in the order of the key. Without one (or when a column of it is masked) it is read in
// the order of its rows' places. An UPDATE gives a row another place, so one that is changed while its table is read may come
// a second time, or only from the stream: a reader who knows no identity of the row but its place cannot tell. A table
// that is rewritten meanwhile (VACUUM FULL, CLUSTER, some kinds of ALTER TABLE) is read again from the beginning.
//
// Either way, a row that moves from the part that is not read yet to the part that is (its key is changed, or its place)
// comes from the stream alone; the stream leaves out a large value (TOAST) that was not changed, unless the replica
// identity is FULL.
func (s *Source) ReadChunk(ctx context.Context, r cdc.ChunkRequest) (cdc.ChunkRead, error) {
	r.Table = s.named(r.Table)
	if _, message := r.Table.Prefix(); message && s.choices[r.Table] != nil {
		return s.noRows(ctx, r.Table)
	}
	if s.choices[r.Table] == nil {
		return cdc.ChunkRead{}, &cdc.TableError{Source: s.cfg.Name, Table: r.Table, Err: errors.New("it is not selected"),
			Hint: "Only tables that the mapping reads are captured."}
	}
	for deadline := time.Now().Add(settleWait); ; pause(ctx, settleStep) {
		read, err := s.readChunk(ctx, r)
		if err == nil {
			return read, nil
		}
		if ctx.Err() != nil {
			return cdc.ChunkRead{}, ctx.Err()
		}
		if !errors.Is(err, errUnsettled) && !errors.As(err, new(*unseenError)) || time.Now().After(deadline) {
			return cdc.ChunkRead{}, s.readError(r, err)
		}
	}
}

func (s *Source) readChunk(ctx context.Context, r cdc.ChunkRequest) (cdc.ChunkRead, error) {
	reader, err := s.readers.take(ctx)
	if err != nil {
		return cdc.ChunkRead{}, err
	}
	defer s.readers.give(reader)
	c := &chunk{source: s, reader: reader, request: r}
	err = c.begin(ctx)
	if err == nil {
		err = c.read(ctx)
	}
	if err = c.finish(ctx, err); err != nil {
		reader.enc.Reset()
		return cdc.ChunkRead{}, err
	}
	return c.result(), nil
}

// finish ends the transaction. Reading may clean up old row versions, which goes to the log; only the end by COMMIT tells the
// server to write that part of the log to disk soon, and High of the next chunk lies behind it.
func (c *chunk) finish(ctx context.Context, err error) error {
	if c.reader.broken || c.reader.conn.IsClosed() {
		return err
	}
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	if _, failed := c.reader.conn.Exec(ctx, end); err == nil {
		return failed
	}
	return err
}

// chunk is one reading of a part of a table, in a transaction of its own.
type chunk struct {
	source  *Source
	reader  *reader
	request cdc.ChunkRequest // its table has a schema
	view    string
	high    pglogrepl.LSN
	at      time.Time // the source's clock
	shape
	scan  *scan
	rows  int
	after cursor
	end   bool
}

// The lock comes first: from then on the table keeps its columns and files, so what the snapshot sees of it is whole, and what
// the catalog says fits it. The end of the log is asked for behind the snapshot, and it is the end of what is written into
// the log's buffers, not of what is on disk: a transaction with synchronous_commit off is seen before it is there.
const beginSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_sort = %s; LOCK TABLE %s IN ACCESS SHARE MODE;
SELECT %s::text, pg_current_wal_insert_lsn()::text, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text, (
  SELECT n.xmin::text FROM (
    SELECT p.xmin FROM pg_publication p WHERE p.pubname = %s
    UNION ALL SELECT r.xmin FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
    WHERE p.pubname = %[4]s AND r.prrelid = %[5]s::regclass) n ORDER BY age(n.xmin) LIMIT 1), (
  SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM (
    SELECT 'class ' || c.oid || ':' || c.xmin FROM pg_class c WHERE c.oid = %[5]s::regclass
    UNION ALL SELECT 'column ' || a.attnum || ':' || a.xmin || ':' || t.xmin FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = %[5]s::regclass
    UNION ALL SELECT 'index ' || i.indexrelid || ':' || i.xmin FROM pg_index i WHERE i.indrelid = %[5]s::regclass
    UNION ALL SELECT 'label ' || e.oid || ':' || e.xmin FROM pg_enum e WHERE e.enumtypid IN (
      SELECT unnest(ARRAY[t.oid, t.typbasetype]) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = %[5]s::regclass)) d(x))`

// errUnsettled says that the stream may lack what a running transaction did to the table.
var errUnsettled = errors.New("transactions that are older than the table's publication are still running, and the stream would " +
	"lack what they did before; see SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start")

// begin opens the transaction and learns what the table looks like in it.
func (c *chunk) begin(ctx context.Context) error {
	sort := "off" // without statistics the planner might sort the table for every chunk
	if c.request.Where != "" {
		sort = "on" // and with a filter it may know a better index than the key's
	}
	table := tableName(c.request.Table)
	results, err := c.reader.conn.PgConn().Exec(ctx, fmt.Sprintf(beginSQL, sort, table, c.reader.currentSnapshot(),
		literal(c.source.cfg.Publication), literal(table))).ReadAll()
	if err != nil {
		return err
	}
	row := results[len(results)-1].Rows[0]
	c.view = viewText(string(row[0]))
	if c.high, err = pglogrepl.ParseLSN(string(row[1])); err != nil {
		return fmt.Errorf("reading the end of the log: %w", err)
	}
	c.high = recordEnd(c.high, pglogrepl.LSN(c.reader.page))
	micros, err := strconv.ParseInt(string(row[2]), 10, 64)
	if err != nil {
		return fmt.Errorf("reading the server's clock: %w", err)
	}
	c.at = time.UnixMicro(micros).UTC()
	if xid, err := c.source.streamed.unseen(c.view); err != nil || xid != 0 {
		return errors.Join(err, &unseenError{xid})
	}
	settled, err := settledIn(c.view, row[3])
	if err != nil {
		return err
	}
	if !settled {
		return errUnsettled
	}
	return c.lookUp(ctx, string(row[4]))
}

// recordEnd turns an insert position into one that a record's end can have: behind a page's end it has skipped the next
// page's header, which no record's end ever does.
func recordEnd(lsn, page pglogrepl.LSN) pglogrepl.LSN {
	if into := lsn % page; into <= pageHeader {
		return lsn - into
	}
	return lsn
}

// settledIn reports whether every transaction that ran when the table was published has ended in the view. What such a one
// had done before, the stream does not carry; so it must be in what is read. since is the number of a transaction that
// began when the table was published already, or nil; it may be so old that its number was used again.
func settledIn(text string, since []byte) (bool, error) {
	if since == nil {
		return true, nil
	}
	v, err := parseView(text)
	if err != nil {
		return false, err
	}
	xid, err := strconv.ParseUint(string(since), 10, 32)
	if err != nil {
		return false, fmt.Errorf("reading when the table was published: %w", err)
	}
	if xid < firstXID {
		return true, nil
	}
	published := v.widen(uint32(xid))
	return published <= v.xmin || published >= v.xmax, nil
}

// lookUp finds out how to read the table. What is known of it serves until its print is another.
func (c *chunk) lookUp(ctx context.Context, print string) (err error) {
	s, t := c.source, c.request.Table
	known := s.learnt.about(t).shape
	if known.print != print {
		known = shape{print: print}
		if known.relation, err = lookUp(ctx, c.reader.conn, t); err != nil {
			return err
		}
		if r := known.relation; r == nil || !r.publishable() {
			return &cdc.TableError{Source: s.cfg.Name, Table: t, Err: errors.New("it is not a table with rows in the log"),
				Hint: "waybill check says what it is."}
		}
		known.schema = known.relation.schema(s.cfg.Name, s.choices[t].keep)
		if known.key, err = readKey(ctx, c.reader.conn, known.relation.oid); err != nil {
			return err
		}
		s.learnt.learn(t, func(k *knowledge) { k.shape = known })
	}
	c.shape = known
	if c.scan = c.keyScan(); c.scan == nil {
		c.scan, err = c.placeScan(ctx)
	}
	return err
}

// read frames the rows of the scan until a bound is reached.
func (c *chunk) read(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	enc, n := &c.reader.enc, c.scan
	rows := c.reader.conn.PgConn().ExecParams(ctx, n.sql, n.values, n.types, nil, nil)
	full := false
	for !full && rows.NextRow() {
		values := rows.Values()
		c.row(values[:len(c.schema.Columns)])
		for i, at := range n.at {
			n.last[i] = append(n.last[i][:0], values[at]...)
		}
		full = enc.Len() >= chunkMax || c.rows == n.limit
	}
	if full && c.rows < n.limit { // the server is in the middle of it, and has perhaps much more
		stop()
		c.reader.broken = true
		rows.Close()
	} else if _, err := rows.Close(); err != nil {
		return err
	}
	c.after, c.end = n.rest, !full && n.end
	if full || c.rows > 0 && !n.blocks {
		c.after = n.behind(n.last)
	}
	if c.rows > 0 || n.blocks {
		width := float64(enc.Len()) / n.units(c.rows, c.after)
		c.source.learnt.learn(c.request.Table, func(k *knowledge) { k.width = max(width, 1) })
	}
	return nil
}

func (c *chunk) row(values [][]byte) {
	enc := &c.reader.enc
	if c.rows == 0 {
		enc.Begin(cdc.Tx{Commit: c.commit(), CommitAt: c.at})
	}
	c.rows++
	encodeRow(enc, c.schema, values)
}

// encodeRow writes a row of a result.
func encodeRow(enc *cdc.Encoder, schema *cdc.Schema, values [][]byte) {
	enc.Change(cdc.Snapshot, schema)
	for _, v := range values {
		if v == nil {
			enc.Null()
		} else {
			enc.Value(v)
		}
	}
}

// commit names the reading of the rows: where the log was, and behind which row it began, since an idle log stays where it is.
func (c *chunk) commit() string {
	h := fnv.New64a()
	h.Write([]byte(c.request.After))
	return fmt.Sprintf("snapshot/%s/%016x", c.high, h.Sum64())
}

func (c *chunk) result() cdc.ChunkRead {
	s := c.source
	here := place{c.reader.place.system, c.reader.place.timeline, c.high}
	b := cdc.Batch{Source: s.cfg.Name, Identity: here.identity(), Snapshot: true, CommitAt: c.at,
		Chunk: &cdc.Chunk{Table: c.request.Table, After: c.after.String(), End: c.end, View: c.view}}
	b.Data, b.Changes = c.reader.enc.Cut(c.reader.enc.Mark())
	if b.Changes > 0 {
		b.Schemas = []*cdc.Schema{c.schema}
	}
	return cdc.ChunkRead{Batch: b, High: here.position()}
}
