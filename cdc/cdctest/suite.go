package cdctest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// Harness is what the suite needs to know about one kind of source. The suite makes tables of its own, named after each
// test, with SQL that every supported database understands, and writes through DB.
type Harness struct {
	DB     *sql.DB
	Schema string // where the suite's tables live (in MariaDB a database, which exists)
	Codecs cdc.Codecs
	// New makes a source. Sources of one name continue each other: they share a slot, or whatever the server keeps.
	New func(t *testing.T, name string, selection []cdc.Selection) cdc.Source
	// Heartbeat is what New sets.
	Heartbeat time.Duration
	// Kill ends the server as a crash would; Restart starts it again on the same address and data.
	Kill    func(t *testing.T)
	Restart func(t *testing.T)
	// Confirmed returns the position that the server keeps for the named source; nil if servers of this kind keep none.
	Confirmed func(t *testing.T, name string) cdc.Position
	// Release drops what the server keeps for the named source; nil if nothing.
	Release func(t *testing.T, name string)
}

// TestSource runs the contract of cdc.Source against real servers. Every source passes it.
func TestSource(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"tables beside the stream without gap or overlap", testReading},
		{"reading goes on behind a cursor", testCursor},
		{"a look at the tables as one moment saw them", testPeek},
		{"operations", testOperations},
		{"resume after every batch", testResume},
		{"large transaction in parts", testLargeTransaction},
		{"close inside a large transaction", testCloseInsideTransaction},
		{"rollback is invisible", testRollback},
		{"selected columns only", testSelection},
		{"server keeps what was confirmed", testConfirm},
		{"idle source gives watermarks", testWatermark},
		{"transactions that follow closely share batches", testCollect},
		{"server is killed", testKill},
		{"next ends with its context", testContext},
		{"close and open again", testReopen},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// deadline bounds every wait of the suite.
const deadline = 60 * time.Second

// run is one test's table, source and what has been read from it.
type run struct {
	t     *testing.T
	h     Harness
	name  string
	table cdc.Table
	src   cdc.Source
	ctx   context.Context

	schemas map[uint64]*cdc.Schema // as a journal remembers them, over sessions
	reader  *cdc.Reader
	pos     cdc.Position // of the last batch that had one
	parts   []cdc.Batch  // of a large transaction that is not complete
	changes []change     // of complete transactions of the stream
	chunks  []chunk      // of the table, as they were read
	batches int
}

// change is a decoded copy of a cdc.Change.
type change struct {
	op       cdc.Op
	tx       cdc.Tx
	ordinal  int
	old, new map[string]cdc.Value
}

func (c change) id() string { return fmt.Sprintf("%s/%d", c.tx.Commit, c.ordinal) }

// start makes the table rows(id, n, note) with the statements run on it, and a source of all its columns.
func start(t *testing.T, h Harness, name string, statements ...string) *run {
	t.Helper()
	r := &run{t: t, h: h, name: name, table: cdc.Table{Schema: h.Schema, Name: "suite_" + name}, schemas: map[uint64]*cdc.Schema{}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	t.Cleanup(cancel)
	r.ctx = ctx
	r.reader = cdc.NewReader(h.Codecs, func(id uint64) (*cdc.Schema, error) {
		if s := r.schemas[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("no batch has brought schema %x", id)
	})
	r.exec("DROP TABLE IF EXISTS {t}")
	r.exec("CREATE TABLE {t} (id integer NOT NULL PRIMARY KEY, n integer NOT NULL, note varchar(2000))")
	for _, s := range statements {
		r.exec(s)
	}
	r.src = h.New(t, name, []cdc.Selection{{Table: r.table, Columns: []string{"n", "note"}}})
	t.Cleanup(func() {
		if err := r.src.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if h.Release != nil {
			h.Release(t, name)
		}
	})
	return r
}

// exec runs a statement; {t} in it stands for the table.
func (r *run) exec(statement string) {
	r.t.Helper()
	if _, err := r.h.DB.ExecContext(r.ctx, r.sql(statement)); err != nil {
		r.t.Fatalf("%v\nin: %.300s", err, statement)
	}
}

func (r *run) sql(statement string) string {
	return strings.ReplaceAll(statement, "{t}", r.table.String())
}

// tx runs statements in one transaction.
func (r *run) tx(statements ...string) {
	r.t.Helper()
	if err := r.try(statements...); err != nil {
		r.t.Fatal(err)
	}
}

// try is tx for another goroutine than the test's.
func (r *run) try(statements ...string) error {
	tx, err := r.h.DB.BeginTx(r.ctx, nil)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := tx.ExecContext(r.ctx, r.sql(s)); err != nil {
			return errors.Join(fmt.Errorf("%w\nin: %.300s", err, s), tx.Rollback())
		}
	}
	return tx.Commit()
}

// open opens the source at the last position. If there is none, the first batch says where the stream begins.
func (r *run) open() {
	r.t.Helper()
	if err := r.src.Open(r.ctx, r.pos); err != nil {
		r.t.Fatalf("Open(%q): %v", r.pos, err)
	}
	if r.pos != "" {
		return
	}
	if b, err := r.next(); err != nil || !b.Watermark() {
		r.t.Fatalf("the first batch is %+v, %v; want a watermark", b, err)
	}
}

// next reads one batch, checks what holds for every batch, and remembers it as a store would.
func (r *run) next() (cdc.Batch, error) {
	r.t.Helper()
	b, err := r.src.Next(r.ctx)
	if err != nil {
		return b, err
	}
	r.check(b)
	for _, s := range b.Schemas {
		r.schemas[s.ID()] = s
	}
	if len(r.parts) > 0 && (b.Tx != r.parts[0].Tx || b.Part == 0) {
		r.parts = nil // their end never came
	}
	if b.Part != len(r.parts) {
		r.t.Fatalf("part %d of transaction %q after %d parts", b.Part, b.Tx, len(r.parts))
	}
	r.parts = append(r.parts, b)
	if b.More {
		return b, nil
	}
	for _, p := range r.parts {
		r.changes = append(r.changes, r.decode(p)...)
	}
	r.parts = nil
	r.pos = b.Position
	return b, nil
}

// must is next where nothing may go wrong; it confirms.
func (r *run) must() cdc.Batch {
	r.t.Helper()
	b, err := r.next()
	if err != nil {
		r.t.Fatalf("Next: %v", err)
	}
	if b.Position != "" {
		r.src.Confirm(b.Position)
	}
	return b
}

// until reads until cond holds.
func (r *run) until(cond func() bool) {
	r.t.Helper()
	for !cond() {
		r.must()
	}
}

// check tests what a Batch promises.
func (r *run) check(b cdc.Batch) {
	r.t.Helper()
	r.batches++
	switch {
	case b.Source != r.name:
		r.t.Errorf("Batch.Source is %q, want %q", b.Source, r.name)
	case b.Identity == "":
		r.t.Error("Batch.Identity is empty")
	case b.More != (b.Position == ""):
		r.t.Errorf("More is %t and Position %q: only the end of a transaction has a position (Invariant 2)", b.More, b.Position)
	case b.More && b.Tx == "":
		r.t.Error("a part does not name its transaction")
	case (b.Changes == 0) != (len(b.Data) == 0):
		r.t.Errorf("%d changes in %d bytes", b.Changes, len(b.Data))
	case b.Snapshot || b.Chunk != nil:
		r.t.Error("Next returned rows of a table")
	case b.Changes > 0 && b.CommitAt.IsZero():
		r.t.Error("CommitAt is zero")
	case len(b.Data) > 4<<20:
		r.t.Errorf("a batch of %d bytes", len(b.Data))
	}
}

// decode reads every change of a batch.
func (r *run) decode(b cdc.Batch) (list []change) {
	r.t.Helper()
	r.reader.Reset(&b)
	for r.reader.Next() {
		c := r.reader.Change()
		if b.Tx != "" && c.Tx.Commit != b.Tx {
			r.t.Fatalf("a part of transaction %q has a change of %q", b.Tx, c.Tx.Commit)
		}
		if (c.Op == cdc.Snapshot) != b.Snapshot {
			r.t.Fatalf("operation %s in a batch with Snapshot %t", c.Op, b.Snapshot)
		}
		if c.Schema.Table != r.table {
			r.t.Fatalf("a change of %s, which is not selected", c.Schema.Table)
		}
		d := change{op: c.Op, tx: c.Tx, ordinal: c.Ordinal, old: map[string]cdc.Value{}, new: map[string]cdc.Value{}}
		for i, col := range c.Schema.Columns {
			var errOld, errNew error
			d.old[col.Name], errOld = c.Old(i)
			d.new[col.Name], errNew = c.New(i)
			if err := errors.Join(errOld, errNew); err != nil {
				r.t.Fatal(err)
			}
		}
		list = append(list, d)
	}
	if err := r.reader.Err(); err != nil {
		r.t.Fatal(err)
	}
	if len(list) != b.Changes {
		r.t.Fatalf("a batch says %d changes and holds %d", b.Changes, len(list))
	}
	return list
}

// current reads the rows from the database.
func (r *run) current() map[string]string {
	r.t.Helper()
	found, err := r.h.DB.QueryContext(r.ctx, "SELECT id, n FROM "+r.table.String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer found.Close()
	rows := map[string]string{}
	for found.Next() {
		var id, n string
		if err := found.Scan(&id, &n); err != nil {
			r.t.Fatal(err)
		}
		rows[id] = n
	}
	if err := found.Err(); err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// last reports whether the newest change has the given id as its row's key.
func (r *run) last(id string) func() bool {
	return func() bool {
		return len(r.changes) > 0 && r.changes[len(r.changes)-1].new["id"].Text == id
	}
}
