package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// server is shared by the tests that leave it as it is; each has a database of its own.
var server *cdctest.MariaDB

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // fuzzing needs no server, in each of its processes
	}
	dir, err := os.MkdirTemp("", "waybill-mysql-")
	if err == nil {
		// Not /tmp: a server that starts there removes the temporary tables of those that run.
		server, err = cdctest.NewMariaDB(dir, cdctest.MariaDBOptions{Args: []string{"--tmpdir=" + dir}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	server.Kill()
	server.DB.Close()
	os.RemoveAll(dir)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// database makes a fresh database named after the test.
func database(t testing.TB, m *cdctest.MariaDB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
	m.Exec(t, "CREATE OR REPLACE DATABASE "+name)
	return name
}

func config(m *cdctest.MariaDB, db string) Config {
	return Config{Name: "billing", Host: m.Host, Port: m.Port, Database: db, User: m.User, Password: m.Password, Heartbeat: 300 * time.Millisecond}
}

func pick(table string, columns ...string) cdc.Selection {
	return cdc.Selection{Table: cdc.Table{Name: table}, Columns: columns}
}

// keeper keeps table definitions as a store does: as JSON, from one session to the next.
type keeper struct{ raw []byte }

func (k *keeper) Load(context.Context, string) (list []Definition, err error) {
	if k.raw != nil {
		err = json.Unmarshal(k.raw, &list)
	}
	return list, err
}

func (k *keeper) Save(_ context.Context, _ string, list []Definition) (err error) {
	k.raw, err = json.Marshal(list)
	return err
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// follower reads a source as the journal does: it remembers schemas, confirms positions, and keeps what it saw as text.
type follower struct {
	t       testing.TB
	src     *Source
	schemas map[uint64]*cdc.Schema
	reader  *cdc.Reader
	pos     cdc.Position
	batches []cdc.Batch
	rows    []string // of every change, in order
	commits []string // of every change, its Tx.Commit
	xids    []string // of every change, its Tx.XID
	faults  []string // of every change, its schema's

	followed bool // another goroutine calls Next
	bare     bool // open reads no tables
}

func follow(t testing.TB, cfg Config, selection ...cdc.Selection) *follower {
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, src: New(cfg, selection, quiet()), schemas: map[uint64]*cdc.Schema{}}
	f.reader = cdc.NewReader(Codecs(), func(id uint64) (*cdc.Schema, error) {
		if s := f.schemas[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("schema %x was not announced", id)
	})
	t.Cleanup(func() { f.src.Close() })
	return f
}

// open opens at the last position. Without one it also takes the first batch, and reads the tables.
func (f *follower) open() *follower {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	first := f.pos == ""
	if err := f.src.Open(ctx, f.pos); err != nil {
		f.t.Fatal(err)
	}
	if !first {
		return f
	}
	if b, err := f.next(); err != nil || !b.Watermark() || b.CommitAt.IsZero() {
		f.t.Fatalf("the first batch is %+v, %v", b, err)
	}
	for _, sel := range f.src.tables {
		for r, end := (cdc.ChunkRequest{Table: sel.table}), f.bare; !end; {
			c, _, err := f.chunk(r)
			if err != nil {
				f.t.Fatal(err)
			}
			f.keep(c.Batch)
			r.After, end = c.Batch.Chunk.After, c.Batch.Chunk.End
		}
	}
	return f
}

func (f *follower) reopen() *follower {
	f.src.Close()
	return f.open()
}

// next takes one batch.
func (f *follower) next() (cdc.Batch, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := f.src.Next(ctx)
	if err != nil {
		return b, err
	}
	if b.More != (b.Position == "") {
		f.t.Errorf("More %v with position %q", b.More, b.Position)
	}
	if b.Position != "" {
		f.pos = b.Position
		f.src.Confirm(b.Position)
	}
	f.keep(b)
	return b, nil
}

// keep decodes a batch.
func (f *follower) keep(b cdc.Batch) {
	f.t.Helper()
	for _, s := range b.Schemas {
		f.schemas[s.ID()] = s
	}
	f.batches = append(f.batches, b)
	f.reader.Reset(&b)
	n := 0
	for ; f.reader.Next(); n++ {
		c := f.reader.Change()
		f.rows = append(f.rows, show(c))
		f.commits, f.xids = append(f.commits, c.Tx.Commit), append(f.xids, c.Tx.XID)
		f.faults = append(f.faults, c.Schema.Fault)
	}
	if err := f.reader.Err(); err != nil {
		f.t.Fatal(err)
	}
	if n != b.Changes {
		f.t.Errorf("batch of %d changes says %d", n, b.Changes)
	}
}

// until reads until there are n changes in all.
func (f *follower) until(n int) []string {
	f.t.Helper()
	for len(f.rows) < n {
		if _, err := f.next(); err != nil {
			f.t.Fatalf("after %d of %d changes: %v", len(f.rows), n, err)
		}
	}
	return f.rows
}

// settled reads until a watermark says that everything is captured.
func (f *follower) settled() []string {
	f.t.Helper()
	start := time.Now().UTC()
	for {
		b, err := f.next()
		if err != nil {
			f.t.Fatal(err)
		}
		if b.Watermark() && b.CommitAt.After(start) {
			return f.rows
		}
	}
}

// show writes a change as a line: op, table, old row, new row.
func show(c *cdc.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", c.Op, c.Schema.Table.Name)
	side := func(get func(int) (cdc.Value, error)) {
		for i := range c.Schema.Columns {
			v, err := get(i)
			switch {
			case err != nil:
				var d *cdc.DecodeError
				errors.As(err, &d)
				fmt.Fprintf(&b, " %s=!%v", c.Schema.Columns[i].Name, d.Err)
			case v.IsAbsent():
				fmt.Fprintf(&b, " %s?", c.Schema.Columns[i].Name)
			case v.IsNull():
				fmt.Fprintf(&b, " %s=NULL", c.Schema.Columns[i].Name)
			default:
				fmt.Fprintf(&b, " %s=%s", c.Schema.Columns[i].Name, v.Text)
			}
		}
	}
	if c.HasOld() {
		b.WriteString(" old")
		side(c.Old)
	}
	if c.HasNew() {
		b.WriteString(" new")
		side(c.New)
	}
	return b.String()
}

func equalRows(t testing.TB, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d changes, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("change %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	if t.Failed() {
		t.Logf("all:\n%s", strings.Join(got, "\n"))
	}
}
