package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// patient is chunk for a table that may have to be let go first: on a busy machine that takes longer than one try.
func (f *follower) patient(r cdc.ChunkRequest) (c cdc.ChunkRead, rows []string, err error) {
	f.t.Helper()
	for until := time.Now().Add(30 * time.Second); ; {
		c, rows, err = f.chunk(r)
		if !errors.Is(err, cdc.ErrDisconnected) || time.Now().After(until) {
			return c, rows, err
		}
	}
}

// TestHeldTableIsReadAgain reads a table again that a statement without rows has held: its first chunk includes what the statement
// did, and the stream goes on with the table from a place on that lies before that chunk's view, over restarts.
func TestHeldTableIsReadAgain(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, a INT); CREATE TABLE u(id INT PRIMARY KEY); INSERT INTO t VALUES (1,1),(2,2),(3,3)")
	cfg := config(server, db)
	cfg.Definitions = &keeper{}
	f := follow(t, cfg, pick("t", "a"), pick("u")).tail()
	begin := f.pos
	first, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, Rows: 1})
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "USE "+db+"; SET SESSION binlog_format='STATEMENT'; UPDATE t SET a = 20 WHERE id = 2; SET SESSION binlog_format='ROW'; UPDATE t SET a = 30 WHERE id = 3; INSERT INTO u VALUES (1)")
	f.until(3)

	// A reading that began before may have read the row already: it does not go on, nor does a part of the table do.
	for _, r := range []cdc.ChunkRequest{{After: first.Batch.Chunk.After}, {Where: "id = 3"}} {
		r.Table = cdc.Table{Schema: db, Name: "t"}
		var refused *cdc.TableError
		if _, _, err := f.chunk(r); !errors.As(err, &refused) || !strings.Contains(refused.Hint, "waybill snapshot billing "+db+".t") {
			t.Errorf("after %q where %q: %v", r.After, r.Where, err)
		}
	}
	server.Exec(t, "UPDATE "+db+".t SET a = 31 WHERE id = 3")
	f.until(4)

	got, rows, err := f.patient(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	equalRows(t, rows, "snapshot t new id=1 a=1", "snapshot t new id=2 a=20", "snapshot t new id=3 a=31")
	letGo := f.pos
	server.Exec(t, "USE "+db+"; UPDATE t SET a = 32 WHERE id = 3")
	f.until(5)
	f.reopen()
	server.Exec(t, "USE "+db+"; UPDATE t SET a = 33 WHERE id = 3")
	equalRows(t, f.until(6), "update t new ?", "update t old id=3 a=3 new id=3 a=30", "insert u new id=1",
		"update t old id=3 a=30 new id=3 a=31", "update t old id=3 a=31 new id=3 a=32", "update t old id=3 a=32 new id=3 a=33")
	for i, fault := range f.faults {
		if held := slices.Contains([]int{0, 1, 3}, i); held != strings.Contains(fault, "then: waybill snapshot billing "+db+".t") || held != (fault != "") {
			t.Errorf("change %d has the fault %q", i, fault)
		}
		if sees := seen(t, got.Batch.Chunk.View, f.xids[i], f.commits[i]); f.faults[i] != "" && !sees {
			t.Errorf("the chunk does not include the held change %d", i)
		}
	}

	// Who begins before the statement again finds the table held again, and who begins behind the place does not.
	for from, held := range map[cdc.Position]bool{begin: true, letGo: false} {
		g := follow(t, cfg, pick("t", "a"), pick("u"))
		g.src.cfg.Definitions = &keeper{raw: cfg.Definitions.(*keeper).raw}
		g.pos = from
		g.open()
		g.settled()
		if got := g.faults[len(g.faults)-1] != ""; got != held {
			t.Errorf("from %s: faults %q", from, g.faults)
		}
		g.src.Close()
	}
}

func seen(t *testing.T, view, xid, commit string) bool {
	t.Helper()
	sees, err := textCodec{}.Sees(view, cdc.Tx{XID: xid, Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	return sees
}

// TestChunkWaitsForWhatIsHeld lets a table go while the stream has not handed on all that was held of it.
func TestChunkWaitsForWhatIsHeld(t *testing.T) {
	table := cdc.Table{Schema: "d", Name: "t"}
	src := &Source{cfg: Config{Name: "billing"}, live: &session{}}
	src.live.holds.set(table, "a statement")
	src.live.holds.ask(table)
	at := func(pos uint64) *position {
		return &position{flavor: MariaDB, server: "1", history: "mariadb/1-0", file: "b.000001", pos: pos}
	}
	r := &cdc.ChunkRequest{Table: table}
	if err := src.letGo(r, at(900)); !errors.Is(err, errUnsettled) {
		t.Errorf("while it is held: %v", err)
	}
	if list := src.live.holds.wanted(); len(list) != 1 || list[0] != table {
		t.Errorf("wanted %v", list)
	}
	src.live.holds.letGo([]cdc.Table{table}, *at(500))
	if err := src.letGo(r, at(499)); !errors.Is(err, errUnsettled) {
		t.Errorf("before the place: %v", err)
	}
	if err := src.letGo(r, at(500)); err != nil {
		t.Errorf("behind it: %v", err)
	}
	if err := src.letGo(&cdc.ChunkRequest{Table: cdc.Table{Schema: "d", Name: "u"}}, at(4)); err != nil {
		t.Errorf("another table: %v", err)
	}
}

// TestHeldAgain lets a table go that is held anew after each reading; a session that begins behind the statement knows.
func TestHeldAgain(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1,1)")
	cfg := config(server, db)
	cfg.Definitions = &keeper{}
	f := follow(t, cfg, pick("t", "a")).tail()
	for n := range 3 {
		server.Exec(t, "USE "+db+"; SET SESSION binlog_format='STATEMENT'; UPDATE t SET a = a + 10; SET SESSION binlog_format='ROW'")
		f.until(n + 1)
		f.settled()
		f.reopen()
		var refused *cdc.TableError
		if _, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, Where: "true"}); !errors.As(err, &refused) {
			t.Errorf("a session that began behind the statement read a part: %v", err)
		}
		_, rows, err := f.patient(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
		if err != nil {
			t.Fatal(err)
		}
		equalRows(t, rows, fmt.Sprintf("snapshot t new id=1 a=%d", 10*n+11))
	}
	server.Exec(t, "USE "+db+"; UPDATE t SET a = 0")
	f.until(4)
	if f.faults[3] != "" {
		t.Errorf("still held: %s", f.faults[3])
	}
}
