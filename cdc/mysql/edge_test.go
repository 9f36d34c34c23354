package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// lostWith reads on, or opens, until the source is lost, and checks the reason.
func (f *follower) lostWith(parts ...string) *cdc.LostError {
	f.t.Helper()
	f.src.Close()
	err := f.src.Open(f.t.Context(), f.pos)
	for i := 0; err == nil && i < 20; i++ {
		_, err = f.next()
	}
	return f.isLost(err, parts...)
}

func (f *follower) isLost(err error, parts ...string) *cdc.LostError {
	f.t.Helper()
	var lost *cdc.LostError
	if !errors.As(err, &lost) {
		f.t.Fatalf("got %v, want a LostError", err)
	}
	for _, part := range append(parts, "waybill checkpoint reset billing --to snapshot") {
		if !strings.Contains(lost.Error(), part) {
			f.t.Errorf("%v\ndoes not say %q", lost, part)
		}
	}
	return lost
}

// again does what a refusal says: it runs its SQL, and begins with a snapshot.
func (f *follower) again(m *cdctest.MariaDB, lost *cdc.LostError) {
	f.t.Helper()
	if len(lost.SQL) == 0 {
		f.t.Fatalf("the refusal has no SQL: %v", lost)
	}
	for _, statement := range lost.SQL {
		if !strings.Contains(lost.Hint, "run on the server: "+statement) {
			f.t.Errorf("the hint does not print %s: %s", statement, lost.Hint)
		}
		m.Exec(f.t, statement)
	}
	f.src.Close()
	f.pos, f.rows = "", nil
	f.open()
	f.until(1)
	f.settled()
	f.reopen()
	f.settled()
	f.src.Close()
}

func TestLost(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	for _, gtid := range []string{gtidAuto, gtidOff} {
		open := func(t *testing.T) *follower {
			m.Exec(t, "RESET MASTER; CREATE OR REPLACE DATABASE lost; CREATE TABLE lost.t(id INT PRIMARY KEY); INSERT INTO lost.t VALUES (1)")
			cfg := config(m, "lost")
			cfg.GTID = gtid
			f := follow(t, cfg, pick("t")).open()
			f.until(1)
			m.Exec(t, "INSERT INTO lost.t VALUES (2); INSERT INTO lost.t VALUES (3)")
			f.until(3)
			return f
		}
		t.Run(gtid+"/purged", func(t *testing.T) {
			f := open(t)
			f.src.Close()
			m.Exec(t, "INSERT INTO lost.t VALUES (4); FLUSH BINARY LOGS; INSERT INTO lost.t VALUES (5); FLUSH BINARY LOGS")
			purge(t, m)
			if gtid == gtidOff {
				f.again(m, f.lostWith("was purged", "the oldest is binlog.000003"))
			} else {
				f.again(m, f.lostWith("the server will not send its log"))
			}
		})
		t.Run(gtid+"/reset and shorter", func(t *testing.T) {
			f := open(t)
			f.src.Close()
			m.Exec(t, "RESET MASTER; INSERT INTO lost.t VALUES (4)")
			if gtid == gtidOff {
				f.again(m, f.lostWith("behind the end of", "the server was restored"))
			} else {
				f.again(m, f.lostWith("before the stored position 0-1-"))
			}
		})
		if gtid == gtidOff {
			continue // without GTIDs a log of the same shape cannot be told apart; check warns
		}
		t.Run(gtid+"/reset and longer", func(t *testing.T) {
			f := open(t)
			f.src.Close()
			m.Exec(t, "RESET MASTER")
			for i := range 40 {
				m.Exec(t, fmt.Sprintf("INSERT INTO lost.t VALUES (%d)", 10+i))
			}
			f.again(m, f.lostWith("another history"))
		})
	}
}

// purge waits until the server has noticed that nobody reads the older files any more, and has deleted them.
func purge(t *testing.T, m *cdctest.MariaDB) {
	var first string
	for until := time.Now().Add(20 * time.Second); first != "binlog.000003"; {
		if time.Now().After(until) {
			t.Fatalf("the oldest file is still %s", first)
		}
		m.Exec(t, "PURGE BINARY LOGS TO 'binlog.000003'")
		if err := m.DB.QueryRow("SHOW BINARY LOGS").Scan(&first, new(string)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherServer opens a stored position at an address where another server answers.
func TestOtherServer(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY)")
	f := follow(t, config(server, db), pick("t")).open()
	f.settled()
	pos, err := parsePosition(f.pos)
	if err != nil {
		t.Fatal(err)
	}
	pos.server, pos.history = "7", MariaDB+"/7-0"

	with := pos
	with.gtids = ""
	f.pos = with.text()
	lost := f.lostWith("server 1 answers", "is of server 7")
	server.Exec(t, "INSERT INTO "+db+".t VALUES (0)")
	fresh := follow(t, config(server, db), pick("t"))
	fresh.again(server, lost)
	server.Exec(t, "DELETE FROM "+db+".t")
	f.pos = fresh.pos
	f.open()
	f.settled()
	f.rows = nil
	if pos, err = parsePosition(f.pos); err != nil {
		t.Fatal(err)
	}
	pos.server, pos.history = "7", MariaDB+"/7-0"
	with = pos

	with.gtids = "9-7-100"
	f.pos = with.text()
	f.lostWith("before the stored position 9-7-100")

	same := pos
	same.server, same.history, same.gtids = "1", MariaDB+"/1-0", "0-1-1"
	f.pos = same.text()
	f.lostWith("another history", `the stored position has "0-1-1"`)

	// The server knows our GTIDs, as a replica that was promoted does: go on, under the name of the first history.
	f.pos = pos.text()
	f.reopen()
	server.Exec(t, "INSERT INTO "+db+".t VALUES (1)")
	equalRows(t, f.until(1), "insert t new id=1")
	last := f.batches[len(f.batches)-1]
	if !strings.HasPrefix(last.Identity, "mariadb/7-0/") || !strings.Contains(string(last.Position), "/7-0/") || !strings.HasPrefix(string(last.Position), "mariadb/1/") {
		t.Errorf("identity %s, position %s", last.Identity, last.Position)
	}
	f.settled()
	f.reopen() // now by place again
	server.Exec(t, "INSERT INTO "+db+".t VALUES (2)")
	f.until(2)
}

// TestIdleStartByGTID opens on another server when nothing follows: no position may be given before its place is known.
func TestIdleStartByGTID(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "FLUSH BINARY LOGS; CREATE TABLE "+db+".t(id INT PRIMARY KEY)")
	f := follow(t, config(server, db), pick("t")).open()
	f.settled()
	pos, err := parsePosition(f.pos)
	if err != nil {
		t.Fatal(err)
	}
	pos.server, pos.history = "7", MariaDB+"/7-0"
	f.pos = pos.text()
	f.reopen()
	f.settled()
	f.reopen() // at the watermark's place, whose GTIDs are compared
	server.Exec(t, "INSERT INTO "+db+".t VALUES (1)")
	f.until(1)
}

func TestSchemaChanges(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, a VARCHAR(20), b INT)")
	f := follow(t, config(server, db), pick("t", "a", "b", "c")).openTableMissing()
	f.src.Close()
	server.Exec(t, "USE "+db+`; INSERT INTO t VALUES (1,'x',2);
		ALTER TABLE t ADD c ENUM('p','q') FIRST; INSERT INTO t VALUES ('q',2,'y',3);
		ALTER TABLE t MODIFY c ENUM('r','p','q') AFTER id, RENAME COLUMN b TO d; INSERT INTO t VALUES (3,'q','z',4);
		ALTER TABLE t MODIFY a TEXT CHARSET latin1, ADD b BIGINT UNSIGNED; INSERT INTO t VALUES (4,'r','é',5,18446744073709551615)`)
	f.open()
	equalRows(t, f.until(4),
		"insert t new id=1 a=x b=2",
		"insert t new c=q id=2 a=y b=3",
		"insert t new id=3 c=q a=z d=4",
		"insert t new id=4 c=r a=é b=18446744073709551615")
}

// openTableMissing opens although check would refuse a selected column that is not there yet.
func (f *follower) openTableMissing() *follower {
	f.t.Helper()
	file, pos := "", uint64(0)
	if err := server.DB.QueryRow("SHOW MASTER STATUS").Scan(&file, &pos, new(string), new(string)); err != nil {
		f.t.Fatal(err)
	}
	f.pos = position{flavor: MariaDB, server: "1", history: "mariadb/1-0", file: file, pos: pos}.text()
	return f.open()
}

// TestDoubt reads rows whose columns are not known for certain: they are kept whole, and held.
func TestDoubt(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, u UUID, v VARCHAR(5), s VARCHAR(9))")
	f := follow(t, config(server, db), pick("t", "u", "v")).open()
	f.settled()
	f.src.Close()
	server.Exec(t, "INSERT INTO "+db+".t VALUES (1,UUID(),'v','s')")
	waitNextSecond(t)
	server.Exec(t, "ALTER TABLE "+db+".t MODIFY u BINARY(16)")
	f.open()
	f.until(1)
	schema := f.schemaOf("t")
	if !strings.Contains(schema.Fault, "column u may be one of several types") || len(schema.Columns) != 1 || schema.Columns[0].Name != "" {
		t.Fatalf("%+v", schema)
	}
	if !strings.Contains(f.rows[0], "v\x01s") {
		t.Errorf("the row image is not kept: %q", f.rows[0])
	}
	server.Exec(t, "INSERT INTO "+db+".t VALUES (2,'0123456789abcdef','w','s')")
	equalRows(t, f.until(2)[1:], "insert t new id=2 u=0123456789abcdef v=w")

	// With a masked column nothing may be kept of such a row: the source stops.
	f.src.Close()
	cfg := config(server, db)
	cfg.Masked = []string{"t.s"}
	server.Exec(t, "INSERT INTO "+db+".t VALUES (3,'0123456789abcdef','w','secret')")
	waitNextSecond(t)
	server.Exec(t, "ALTER TABLE "+db+".t MODIFY u UUID")
	g := follow(t, cfg, pick("t", "u", "v"))
	g.pos = f.pos
	g.lostWith("masked columns")
}

func (f *follower) schemaOf(table string) *cdc.Schema {
	for _, s := range f.schemas {
		if s.Table.Name == table && s.Codec == CodecBinlog {
			return s
		}
	}
	f.t.Fatalf("no schema of %s", table)
	return nil
}

// waitNextSecond waits for the server's clock: a definition's age is known in seconds.
func waitNextSecond(t testing.TB) {
	var now, then string
	for then == now {
		if err := server.DB.QueryRow("SELECT UNIX_TIMESTAMP()").Scan(&now); err != nil {
			t.Fatal(err)
		}
		if then == "" {
			then = now
		} else if then != now {
			return
		}
	}
}

func TestWithoutMetadata(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--binlog-row-metadata=NO_LOG", "--binlog-row-image=MINIMAL", "--log-bin-compress=ON", "--log-bin-compress-min-len=10")
	m.Exec(t, "CREATE DATABASE d; USE d; CREATE TABLE t(id INT UNSIGNED PRIMARY KEY, a VARCHAR(100) CHARSET latin1, n BIGINT UNSIGNED, e ENUM('x','y'), u UUID, j JSON)")
	f := follow(t, config(m, "d"), pick("t", "a", "n", "e", "u", "j")).open()
	m.Exec(t, `USE d; INSERT INTO t VALUES (4294967295,REPEAT('é',50),18446744073709551615,'y','11223344-5566-7788-99aa-bbccddeeff00','[1]');
		UPDATE t SET n=7; DELETE FROM t`)
	equalRows(t, f.until(3),
		"insert t new id=4294967295 a="+strings.Repeat("é", 50)+" n=18446744073709551615 e=y u=11223344-5566-7788-99aa-bbccddeeff00 j=[1]",
		"update t old id=4294967295 a? n? e? u? j? new id? a? n=7 e? u? j?",
		"delete t old id=4294967295 a? n? e? u? j?")
	f.settled()
	f.src.Close()
	m.Exec(t, "USE d; INSERT INTO t VALUES (1,'a',1,'x',NULL,NULL); ALTER TABLE t ADD extra INT FIRST")
	f.open()
	f.until(4)
	found := false
	for _, s := range f.schemas {
		found = found || strings.Contains(s.Fault, "binlog_row_metadata=FULL")
	}
	if !found {
		t.Errorf("a row from before an ALTER TABLE was read by the columns of after: %s", f.rows[3])
	}
}

// TestNoBlob leaves columns that did not change, and are long, out of the log: they are absent, not null.
func TestNoBlob(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, a INT, b TEXT)")
	f := follow(t, config(server, db), pick("t", "a", "b")).open()
	f.settled()
	server.Exec(t, "USE "+db+"; SET binlog_row_image='NOBLOB'; INSERT INTO t VALUES (1,1,'x'); UPDATE t SET a=2; UPDATE t SET b='y'; DELETE FROM t; SET binlog_row_image='FULL'")
	equalRows(t, f.until(4),
		"insert t new id=1 a=1 b=x",
		"update t old id=1 a=1 b? new id=1 a=2 b?",
		"update t old id=1 a=2 b? new id=1 a=2 b=y",
		"delete t old id=1 a=2 b?")
}

func TestStatements(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE other(id INT PRIMARY KEY)")
	f := follow(t, config(server, db), pick("t")).open()
	f.settled()
	// A statement about a table that is not selected is passed over.
	server.Exec(t, "USE "+db+"; SET SESSION binlog_format='STATEMENT'; INSERT INTO other VALUES (1); SET SESSION binlog_format='ROW'; INSERT INTO t VALUES (1)")
	equalRows(t, f.until(1), "insert t new id=1")

	server.Exec(t, "USE "+db+"; INSERT INTO t VALUES (2); XA START 'x'; INSERT INTO t VALUES (3); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'")
	g := follow(t, config(server, db), pick("t"))
	g.open()
	g.settled()
	server.Exec(t, "USE "+db+"; XA START 'x'; INSERT INTO other VALUES (3); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'; INSERT INTO t VALUES (4)")
	n := len(g.rows)
	g.until(n + 1)
	server.Exec(t, "USE "+db+"; XA START 'x'; INSERT INTO t VALUES (5); XA END 'x'; XA PREPARE 'x'; XA ROLLBACK 'x'")
	g.lostWith("two phases")
}

// TestStatementFormat holds a table, and that one alone, from the statement on that the log has without its rows, until it is read again
// (held_test.go).
func TestStatementFormat(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE u(id INT PRIMARY KEY)")
	cfg := config(server, db)
	cfg.Definitions = &keeper{}
	f := follow(t, cfg, pick("t"), pick("u")).open()
	f.settled()
	server.Exec(t, "USE "+db+"; INSERT INTO t VALUES (1); SET SESSION binlog_format='STATEMENT'; INSERT INTO t VALUES (2); SET SESSION binlog_format='ROW'; INSERT INTO u VALUES (3); INSERT INTO t VALUES (4)")
	want := []string{"insert t new id=1", "update t new ?", "insert u new id=3", "insert t new id=4"}
	equalRows(t, f.until(4), want...)
	f.reopen()
	server.Exec(t, "USE "+db+"; INSERT INTO t VALUES (5); INSERT INTO u VALUES (6)")
	equalRows(t, f.until(6), append(want, "insert t new id=5", "insert u new id=6")...)
	for i, fault := range f.faults {
		held := i == 1 || i == 3 || i == 4
		if held != strings.HasPrefix(fault, "a change of "+db+".t is in the log at binlog.") || held != strings.Contains(fault, "SET GLOBAL binlog_format='ROW'") {
			t.Errorf("change %d has the fault %q", i, fault)
		}
	}
}

func TestRefused(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(id INT PRIMARY KEY, b LONGTEXT CHARACTER SET big5, s VARCHAR(9) CHARSET swe7, g POINT, i MULTIPOLYGON, k VARCHAR(9) CHARSET sjis, z VARCHAR(900) COMPRESSED);
		CREATE TABLE my(a INT) ENGINE=MyISAM; CREATE TABLE hist(id INT PRIMARY KEY) WITH SYSTEM VERSIONING;
		CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'r'; GRANT SELECT ON `+db+`.* TO reader@'%'`)
	cfg := config(server, db)
	cfg.User, cfg.Password, cfg.Masked = "reader", "r", []string{"t.id"}
	f := follow(t, cfg, pick("t", "b", "s", "g", "i", "k", "z", "gone"), pick("my", "a"), pick("hist"), pick("none"))
	findings, err := f.src.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, x := range findings {
		if !slices.Contains([]string{"clock", "version", "time zone", "free connections", "log runway"}, x.Check) {
			fmt.Fprintf(&lines, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Level, x.Check, x.Found, x.Want, x.Why, x.Fix)
		}
	}
	compareGolden(t, "refused.golden", lines.String())
	var refused *cdc.RefusedError
	if err := f.src.Open(t.Context(), ""); !errors.As(err, &refused) {
		t.Fatalf("Open returned %v", err)
	}
}

func TestPeekLeavesNothing(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1,2)")
	f := follow(t, config(server, db), pick("t", "a"))
	n := 0
	err := f.src.Peek(t.Context(), func(b cdc.Batch) error {
		n += b.Changes
		if !b.Snapshot || b.Position != "" {
			t.Errorf("%+v", b)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	stop := errors.New("enough")
	if err := f.src.Peek(t.Context(), func(cdc.Batch) error { return stop }); err != stop {
		t.Fatal(err)
	}
	catalog, err := f.src.Catalog(t.Context(), []cdc.Table{{Name: "none"}, {Name: "t"}})
	if err != nil || len(catalog) != 1 || len(catalog[0].Columns) != 2 || !catalog[0].Columns[0].Key {
		t.Fatalf("%+v %v", catalog, err)
	}
}

func TestGeneratedColumns(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(id INT PRIMARY KEY, a INT, v INT AS (a+1) VIRTUAL, p INT AS (a*2) PERSISTENT, i INT INVISIBLE DEFAULT 5, u TEXT UNIQUE);
		INSERT INTO t(id, a, u) VALUES (1, 10, 'x')`)
	f := follow(t, config(server, db), pick("t", "a", "v", "p", "i", "u")).open()
	f.until(1)
	server.Exec(t, "DELETE FROM "+db+".t; INSERT INTO "+db+".t(id, a, u) VALUES (1, 10, 'x')")
	const row = " id=1 a=10 v=11 p=20 i=5 u=x"
	equalRows(t, f.until(3), "snapshot t new"+row, "delete t old"+row, "insert t new"+row)
}

// TestSameServerID runs two sources under one id: the server ends the older, which must say why and not fight.
func TestSameServerID(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY)")
	a := follow(t, config(server, db), pick("t")).open()
	a.settled()
	b := follow(t, config(server, db), pick("t")).open()
	b.settled()
	var err error
	for i := 0; err == nil && i < 20; i++ {
		_, err = a.next()
	}
	if err == nil || errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "another replica uses server_id") {
		t.Fatalf("the older session got %v", err)
	}
	// The message has a setting to paste, with which both run.
	free, err := strconv.ParseUint(regexp.MustCompile(`server_id: (\d+)`).FindStringSubmatch(err.Error())[1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	a.src.Close()
	cfg := config(server, db)
	cfg.ServerID = uint32(free)
	c := follow(t, cfg, pick("t"))
	c.pos = a.pos
	c.open()
	server.Exec(t, "INSERT INTO "+db+".t VALUES (1)")
	c.until(1)
	b.until(1)
}

// TestReplicaWithOurID has a replica on another machine that uses our id: it must not be ended by us.
func TestReplicaWithOurID(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)")
	cfg := config(m, "d").withDefaults()
	cfg.ServerID = 4711
	conn, err := cfg.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	replica := &session{cfg: &cfg, dump: conn}
	if err := replica.register("db-2"); err != nil {
		t.Fatal(err)
	}
	f := follow(t, cfg, pick("t"))
	var refused *cdc.RefusedError
	if err := f.src.Open(t.Context(), ""); !errors.As(err, &refused) || !strings.Contains(err.Error(), `the replica on "db-2" uses server_id 4711`) {
		t.Fatalf("Open returned %v", err)
	}
	free, err := strconv.ParseUint(regexp.MustCompile(`server_id: (\d+)`).FindStringSubmatch(refused.Error())[1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ServerID = uint32(free)
	f = follow(t, cfg, pick("t")).open()
	f.until(1)
}

// TestLargeValues carries rows of more than one packet.
func TestLargeValues(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--max-allowed-packet=64M")
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY, b LONGBLOB); INSERT INTO d.t VALUES (1, REPEAT('a', 20000000))")
	f := follow(t, config(m, "d"), pick("t", "b")).open()
	f.until(1)
	m.Exec(t, "INSERT INTO d.t VALUES (2, REPEAT('b', 17000000)); UPDATE d.t SET b = 'c' WHERE id = 1")
	f.until(3)
	for i, want := range []string{" new id=1 b=" + strings.Repeat("a", 20000000), " new id=2 b=" + strings.Repeat("b", 17000000), " new id=1 b=c"} {
		if !strings.HasSuffix(f.rows[i], want) {
			t.Errorf("row %d has %d bytes, want %d", i, len(f.rows[i]), len(want))
		}
	}
}
