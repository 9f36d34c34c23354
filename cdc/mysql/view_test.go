package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

func TestSees(t *testing.T) {
	const (
		uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
		view = "mysqltext/1 k2/1/7:500"
		set  = "mysqltext/1 k2/" + uuid + "/7:500 " + uuid + ":1-5:9"
	)
	for _, c := range []struct {
		name, view, commit, xid string
		want                    bool
		err                     string
	}{
		{"an earlier file", view, "0-1-900", "k2/1/6:90000", true, ""},
		{"inside the last group", view, "0-1-901", "k2/1/7:480", true, ""},
		{"behind", view, "0-1-902", "k2/1/7:542", false, ""},
		{"a later file", view, "0-1-903", "k2/1/8:256", false, ""},
		{"a number below the last in its domain", view, "0-1-3", "k2/1/7:600", false, ""},
		{"another domain", view, "5-1-1", "k2/1/7:300", true, ""},
		{"a place without GTID", view, "binlog.000007:450", "k2/1/7:480", true, ""},
		{"another opening: the log was reset", view, "0-1-902", "k1/1/7:300", false, "may have been reset"},
		{"another server", view, "0-2-902", "k2/2/7:300", false, "comes from server 2, and the rows were read on server 1"},
		{"the snapshot of before", view, "snapshot/binlog.000007:500", "", false, "does not say where it lies"},
		{"of MySQL, executed", set, uuid + ":9", "k2/" + uuid + "/9:1", true, ""},
		{"of MySQL, not executed, at an earlier place", set, uuid + ":7", "k2/" + uuid + "/7:1", false, ""},
		{"of MySQL, on another server of the history", set, uuid + ":3", "k2/other/1:1", true, ""},
		{"of MySQL, under another opening", set, uuid + ":3", "k1/" + uuid + "/7:1", false, "may have been reset"},
		{"of MySQL, without GTID", set, "binlog.000007:450", "k2/" + uuid + "/7:480", true, ""},
		{"another codec's view", "pgtext/1 1:1:", "0-1-1", "k2/1/7:1", false, "is not one of mysqltext/1"},
		{"no place", "mysqltext/1 k2/1/seven", "0-1-1", "k2/1/7:1", false, "is not one of mysqltext/1"},
	} {
		got, err := textCodec{}.Sees(c.view, cdc.Tx{Commit: c.commit, XID: c.xid})
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestCovers(t *testing.T) {
	s := New(Config{Name: "billing"}, nil, quiet())
	const u = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	for _, c := range []struct {
		at, high cdc.Position
		want     bool
	}{
		{"mariadb/1/binlog.000007:500/0-1-5//k2", "mariadb/1/binlog.000007:500///k2", true},
		{"mariadb/1/binlog.000008:256/0-1-5//k2", "mariadb/1/binlog.000007:500///k2", true},
		{"mariadb/1/binlog.000007:499/0-1-5//k2", "mariadb/1/binlog.000007:500///k2", false},
		{"mariadb/1/binlog.1000000:4///k2", "mariadb/1/binlog.999999:500///k2", true},
		{"mariadb/2/binlog.000009:500/0-1-5/1-0/k2", "mariadb/1/binlog.000007:500///k2", false},
		{"mariadb/1/binlog.000009:500/0-1-5//k3", "mariadb/1/binlog.000007:500///k2", false},
		{"mysql/" + u + "/binlog.000001:4/" + u + ":1-7//k2", "mysql/other/binlog.000007:500/" + u + ":1-5:7//k2", true},
		{"mysql/" + u + "/binlog.000009:4/" + u + ":1-6//k2", "mysql/" + u + "/binlog.000007:500/" + u + ":1-5:7//k2", false},
		{"", "", false},
	} {
		if got := s.Covers(c.at, c.high); got != c.want {
			t.Errorf("%s covers %s: %v", c.at, c.high, got)
		}
	}
}

func TestPositionText(t *testing.T) {
	for _, text := range []cdc.Position{"mariadb/1/binlog.000007:500/0-1-5", "mariadb/1/binlog.000007:500/0-1-5/1-3", "mariadb/1/binlog.000007:500/0-1-5//k2",
		"mariadb/2/binlog.000007:500/0-1-5,3-1-9/1-0/k2"} {
		p, err := parsePosition(text)
		if err != nil || p.text() != text {
			t.Errorf("%s becomes %s, %v", text, p.text(), err)
		}
	}
}

// TestSeeLocked compares the place that MySQL's way finds with the one that MariaDB knows of the same snapshot, while
// others write.
func TestSeeLocked(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY, n INT); INSERT INTO "+db+".t VALUES (1,0),(2,0),(3,0)")
	cfg := config(server, db).withDefaults()
	conn, err := cfg.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	info, err := cfg.inspect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	info.gtid = false // MariaDB has none of MySQL's
	if err := conn.exec(t.Context(), "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	end := time.Now().Add(time.Second)
	for id := 1; id <= 3; id++ {
		writers.Go(func() {
			for time.Now().Before(end) {
				if _, err := server.DB.Exec("UPDATE "+db+".t SET n = n + 1 WHERE id = ?", id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer writers.Wait()
	n := 0
	for ; time.Now().Before(end); n++ {
		at, err := cfg.seeLocked(t.Context(), conn, info)
		if err != nil {
			t.Fatal(err)
		}
		truth, err := conn.query(t.Context(), "SHOW STATUS LIKE 'binlog_snapshot_%'")
		if err != nil {
			t.Fatal(err)
		}
		if at.file != truth[0][1] || strconv.FormatUint(at.pos, 10) != truth[1][1] {
			t.Fatalf("found %s:%d, the server knows %v", at.file, at.pos, truth)
		}
	}
	t.Logf("%d snapshots", n)
}

// TestLogReset resets the log while a session is open: no chunk of the new log goes with positions of the old one.
func TestLogReset(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY)")
	f := follow(t, config(m, "d"), pick("t")).tail()
	m.Exec(t, "INSERT INTO d.t VALUES (1); INSERT INTO d.t VALUES (2)")
	f.until(2)
	m.Exec(t, "RESET MASTER")
	if _, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); err == nil || !strings.Contains(err.Error(), "or the log was reset") {
		t.Errorf("a chunk of the new log: %v", err)
	}
	before := f.pos
	f.src.Close()
	f.tail()
	c, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	if err != nil || f.src.Covers(before, c.High) {
		t.Errorf("%v; %s covers %s", err, before, c.High)
	}
}

// TestIdentityOfAnOpening resets the log, which then counts from the beginning again: the same GTID comes twice, and must not make the
// same event id twice. A session that goes on behind a position keeps its identity.
func TestIdentityOfAnOpening(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY); RESET MASTER")
	f := follow(t, config(m, "d"), pick("t")).tail()
	write := func(id int) (identity, commit string) {
		t.Helper()
		m.Exec(t, fmt.Sprintf("INSERT INTO d.t VALUES (%d)", id))
		f.until(len(f.rows) + 1)
		i := slices.IndexFunc(f.batches, func(b cdc.Batch) bool { return b.Changes > 0 })
		b := f.batches[i]
		f.batches = nil
		return b.Identity, f.commits[len(f.commits)-1]
	}
	first, commit := write(1)
	chunk, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	if err != nil || chunk.Batch.Identity != first {
		t.Errorf("rows read beside the stream come from %q, the stream from %q: %v", chunk.Batch.Identity, first, err)
	}
	f.reopen()
	if same, next := write(2); same != first || next == commit {
		t.Errorf("behind its own position: identity %q and commit %s, before %q and %s", same, next, first, commit)
	}
	m.Exec(t, "RESET MASTER")
	f.src.Close()
	f.tail()
	if other, again := write(3); other == first || again != commit || !strings.HasPrefix(other, "mariadb/1-0/") {
		t.Errorf("after the reset: identity %q and commit %s, before %q and %s", other, again, first, commit)
	}
}
