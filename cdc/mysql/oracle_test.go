package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cdc"
)

// oracle checks what views say. Every change of a row counts its version up, so the chunk's row itself tells which
// transactions it includes, and Sees must say the same of each.
type oracle struct {
	t       *testing.T
	f       *follower
	table   string
	keys    int
	history map[string][]state // of each key, in commit order
	readMu  sync.Mutex
	reads   []oracleRead
	commits atomic.Int64
}

// state is what a transaction left of a row; "" for nothing.
type state struct {
	tx      cdc.Tx
	version string
}

type oracleRead struct {
	from, to int               // the chunk holds the keys behind from up to to
	rows     map[string]string // version by key
	view     string
}

func TestSeesWhatTheRowsShow(t *testing.T) {
	for _, engine := range []string{"InnoDB", "MyISAM", "Aria"} {
		t.Run(engine, func(t *testing.T) { hammer(t, engine, 2*time.Second) })
	}
}

func hammer(t *testing.T, engine string, span time.Duration) {
	db := database(t, server)
	o := &oracle{t: t, table: db + ".t", keys: 60, history: map[string][]state{}}
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, version BIGINT, pad VARCHAR(200)) ENGINE="+engine+"; CREATE TABLE other(id INT PRIMARY KEY, n INT)")
	o.f = follow(t, config(server, db), pick("t", "version"))
	o.f.tail()
	var work sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), span)
	defer stop()
	for i := range 8 {
		work.Go(func() { o.write(ctx, rand.New(rand.NewPCG(uint64(i), 1)), engine == "InnoDB") })
	}
	for i := range 3 {
		work.Go(func() { o.read(ctx, 5+i*20) })
	}
	server.Exec(t, "SET GLOBAL max_binlog_size = 4096") // a file begins after every few commits, in the middle of one
	defer server.Exec(t, "SET GLOBAL max_binlog_size = 1 << 30")
	work.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			server.Exec(t, "FLUSH BINARY LOGS")
		}
	})
	work.Go(func() { // as a monitor does, which fills the buffer that the server answers us from
		for ctx.Err() == nil {
			server.Exec(t, "SHOW GLOBAL STATUS LIKE 'binlog%'")
			time.Sleep(time.Millisecond)
		}
	})
	go func() { work.Wait(); stop() }()
	for ctx.Err() == nil {
		o.follow()
	}
	work.Wait()
	server.Exec(t, "INSERT INTO "+o.table+" VALUES (1000000, 1, '')") // behind everything
	for len(o.history["1000000"]) == 0 {
		o.follow()
	}
	o.check()
}

// write changes rows in transactions of every kind until ctx ends.
func (o *oracle) write(ctx context.Context, r *rand.Rand, rollbacks bool) {
	conn, err := server.DB.Conn(o.t.Context())
	if err != nil {
		o.t.Error(err)
		return
	}
	defer conn.Close()
	for ctx.Err() == nil {
		err := o.transaction(conn, r, rollbacks)
		if err != nil { // a deadlock: nothing of it is left
			_, err = conn.ExecContext(o.t.Context(), "ROLLBACK")
		}
		if err != nil {
			o.t.Error(err)
			return
		}
		o.commits.Add(1)
	}
}

func (o *oracle) transaction(conn *sql.Conn, r *rand.Rand, rollbacks bool) error {
	run := func(format string, args ...any) error {
		_, err := conn.ExecContext(o.t.Context(), fmt.Sprintf(format, args...))
		return err
	}
	change := func() error {
		id := 1 + r.IntN(o.keys)
		switch r.IntN(6) {
		case 0:
			return run("DELETE FROM %s WHERE id = %d", o.table, id)
		case 1, 2: // versions never fall: a new row begins above all that the key had
			return run("INSERT INTO %s VALUES (%d, %d, '') ON DUPLICATE KEY UPDATE version = version + 1", o.table, id, time.Now().UnixNano())
		case 3:
			return run("UPDATE %s SET version = version + 1 WHERE id BETWEEN %d AND %d ORDER BY id", o.table, id, id+5)
		default:
			return run("UPDATE %s SET version = version + 1 WHERE id = %d", o.table, id)
		}
	}
	if r.IntN(3) == 0 {
		return change() // commits by itself
	}
	var errs []error
	errs = append(errs, run("BEGIN"))
	for range 1 + r.IntN(4) {
		errs = append(errs, change())
		if r.IntN(3) == 0 {
			errs = append(errs, run("INSERT INTO %s.other VALUES (%d, 1) ON DUPLICATE KEY UPDATE n = n + 1", o.table[:len(o.table)-2], r.IntN(3)))
		}
		if r.IntN(4) == 0 && rollbacks {
			errs = append(errs, run("SAVEPOINT s"), change(), run("ROLLBACK TO SAVEPOINT s"))
		}
		if r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond) // open across chunks
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	if r.IntN(6) == 0 && rollbacks {
		return run("ROLLBACK")
	}
	return run("COMMIT")
}

// read reads the table again and again, in chunks of so many rows.
func (o *oracle) read(ctx context.Context, rows int) {
	after, from := "", 0
	for ctx.Err() == nil {
		c, err := o.f.src.ReadChunk(ctx, cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, After: after, Rows: rows})
		if errors.Is(err, cdc.ErrDisconnected) || ctx.Err() != nil {
			continue // the lock of a table without transactions was not to be had
		}
		if err != nil {
			o.t.Error(err)
			return
		}
		one := oracleRead{from: from, to: 1 << 30, rows: map[string]string{}, view: c.Batch.Chunk.View}
		reader := cdc.NewReader(Codecs(), func(uint64) (*cdc.Schema, error) { return c.Batch.Schemas[0], nil })
		for reader.Reset(&c.Batch); reader.Next(); {
			id, version := values(o.t, reader.Change())
			one.rows[id] = version
		}
		if after = c.Batch.Chunk.After; c.Batch.Chunk.End {
			after, from = "", 0
		} else if from, err = strconv.Atoi(parseChunkCursor(after).Values[0]); err != nil {
			o.t.Error(err)
			return
		} else {
			one.to = from
		}
		o.readMu.Lock()
		o.reads = append(o.reads, one)
		o.readMu.Unlock()
	}
}

func values(t *testing.T, c *cdc.Change) (id, version string) {
	get := c.New
	if !c.HasNew() {
		get = c.Old
	}
	v0, err0 := get(0)
	v1, err1 := get(1)
	if err := errors.Join(err0, err1); err != nil {
		t.Error(err)
	}
	return v0.Text, v1.Text
}

// follow takes a batch of the stream into the history.
func (o *oracle) follow() {
	b, err := o.f.src.Next(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, s := range b.Schemas {
		o.f.schemas[s.ID()] = s
	}
	for o.f.reader.Reset(&b); o.f.reader.Next(); {
		c := o.f.reader.Change()
		id, version := values(o.t, c)
		if c.Op == cdc.Delete {
			version = ""
		}
		h := o.history[id]
		if n := len(h); n > 0 && h[n-1].tx.Commit == c.Tx.Commit {
			h = h[:n-1] // only what the transaction left at its end
		}
		o.history[id] = append(h, state{c.Tx, version})
	}
}

// check holds every key of every chunk against every transaction that changed it.
func (o *oracle) check() {
	codec, asked, between := Codecs()[CodecText].(cdc.Viewer), 0, 0
	for _, read := range o.reads {
		for key, history := range o.history {
			if id, err := strconv.Atoi(key); err != nil || id <= read.from || id > read.to {
				continue
			}
			last, ended := "", false
			for _, s := range history {
				sees, err := codec.Sees(read.view, s.tx)
				if err != nil {
					o.t.Fatal(err)
				}
				if sees && ended {
					o.t.Fatalf("view %s sees %+v, and not a transaction before it", read.view, s.tx)
				}
				if ended = !sees; sees {
					last = s.version
				}
				asked++
			}
			if ended {
				between++
			}
			if read.rows[key] != last {
				o.t.Fatalf("row %s of view %s has version %q, and the transactions that the view sees leave %q", key, read.view, read.rows[key], last)
			}
		}
	}
	o.t.Logf("%d transactions, %d chunks, %d questions; for %d rows some transactions were seen and some not", o.commits.Load(), len(o.reads), asked, between)
	if len(o.reads) < 20 || between < 100 {
		o.t.Error("too little was read for the test to mean anything")
	}
}
