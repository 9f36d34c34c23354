package mysql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// plainServer is one whose log has nothing but types: no names, no signs, no charsets.
func plainServer(t *testing.T, args ...string) *cdctest.MariaDB {
	m := cdctest.StartMariaDB(t, append([]string{"--binlog-row-metadata=NO_LOG"}, args...)...)
	m.Exec(t, "CREATE DATABASE d CHARACTER SET utf8mb4")
	return m
}

// oldLog changes a table in every way, by hand and by the tools, with a row between each two changes. Every row's own columns
// say what it must be read as.
const oldLog = `INSERT INTO t VALUES (1,'a1',-1);
	ALTER TABLE t ADD c ENUM('p','q') FIRST; INSERT INTO t VALUES ('q',2,'a2',-2);
	ALTER TABLE t ADD x INT UNSIGNED AFTER id; INSERT INTO t VALUES ('p',3,4294967295,'a3',-3);
	ALTER TABLE t DROP c, MODIFY b BIGINT UNSIGNED FIRST; INSERT INTO t VALUES (18446744073709551615,4,4,'a4');
	ALTER TABLE t CHANGE a name VARCHAR(20) CHARSET latin1; INSERT INTO t VALUES (5,5,5,'é5');
	ALTER TABLE t RENAME COLUMN x TO y, ADD x INT; INSERT INTO t VALUES (6,6,66,'é6',-66);
	ALTER TABLE t CONVERT TO CHARACTER SET utf8mb3; INSERT INTO t VALUES (7,7,77,'é7',-77);
	CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho MODIFY x INT AFTER id; INSERT INTO _t_gho SELECT b,id,x,y,name FROM t; INSERT INTO t VALUES (8,8,88,'é8',-88);
	RENAME TABLE t TO _t_del, _t_gho TO t; INSERT INTO t VALUES (9,9,-99,99,'é9'); DROP TABLE _t_del;
	CREATE TABLE d._t_new (id INT NOT NULL, u UUID, j JSON, y INT UNSIGNED, name VARCHAR(20), PRIMARY KEY (id)); RENAME TABLE d.t TO d._t_old, d._t_new TO d.t;
	INSERT INTO t VALUES (10,'11223344-5566-7788-99aa-bbccddeeff00','[1]',4294967295,'é10'); DROP TABLE IF EXISTS _t_old;
	ALTER TABLE t MODIFY u BINARY(16), RENAME TO t2; ALTER TABLE t2 RENAME t; INSERT INTO t VALUES (11,'x','[1]',11,'é11');
	DROP TABLE t; CREATE TABLE t (name TEXT, id INT PRIMARY KEY, y SMALLINT); INSERT INTO t VALUES ('é12',12,-12);
	TRUNCATE TABLE t; ALTER DATABASE d CHARACTER SET latin1; CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, name VARCHAR(9)); INSERT INTO t VALUES (13,'é13')`

var oldRows = []string{
	"id=1 a=a1 b=-1", "c=q id=2 a=a2 b=-2", "c=p id=3 x=4294967295 a=a3 b=-3", "b=18446744073709551615 id=4 x=4 a=a4",
	"b=5 id=5 x=5 name=é5", "b=6 id=6 y=66 name=é6 x=-66", "b=7 id=7 y=77 name=é7 x=-77", "b=8 id=8 y=88 name=é8 x=-88",
	"b=9 id=9 x=-99 y=99 name=é9", "id=10 u=11223344-5566-7788-99aa-bbccddeeff00 j=[1] y=4294967295 name=é10",
	"id=11 u=x" + strings.Repeat("\x00", 15) + " j=[1] y=11 name=é11", "name=é12 id=12 y=-12", "truncate", "id=13 name=é13",
}

// TestOldLog reads a log across many changes of its table when all of them are long over, and then again from every position
// on that it went through, with what was kept on the way.
func TestOldLog(t *testing.T) {
	m := plainServer(t)
	m.Exec(t, "USE d; CREATE TABLE t(id INT PRIMARY KEY, a VARCHAR(20), b INT)")
	cfg := config(m, "d")
	cfg.Heartbeat = minHeartbeat
	kept := &keeper{}
	cfg.Definitions = kept
	all := []cdc.Selection{pick("t", "gone")} // a selected column that is gone keeps all of them
	f := follow(t, cfg, all...)
	f.pos = endOf(t, m)
	f.open()
	f.settled()
	begin := f.pos
	f.src.Close()
	m.Exec(t, "USE d; SET sql_mode=''; "+oldLog)
	f.open()
	f.settled()
	check := func(rows []string, from int) {
		t.Helper()
		want := oldRows[from:]
		if len(rows) != len(want) {
			t.Fatalf("%d rows from %d on, want %d:\n%s", len(rows), from, len(want), strings.Join(rows, "\n"))
		}
		for i := range want {
			if !strings.HasSuffix(rows[i], " "+want[i]) && rows[i] != want[i]+" t" {
				t.Errorf("from %d on, row %d:\n got %s\nwant %s", from, i, rows[i], want[i])
			}
		}
	}
	check(f.rows, 0)
	for at := range len(oldRows) {
		g := follow(t, cfg, all...)
		g.pos = begin
		if at > 0 {
			g.pos = position{flavor: MariaDB, server: "1", history: "mariadb/1-0", gtids: f.commits[at-1]}.at(t, m)
		}
		again := &keeper{raw: kept.raw}
		g.src.cfg.Definitions = again
		g.open()
		g.settled()
		g.src.Close()
		check(g.rows, at)
	}
}

// at finds the place of the position's GTID in the log, behind its transaction.
func (p position) at(t *testing.T, m *cdctest.MariaDB) cdc.Position {
	t.Helper()
	events, err := m.DB.Query("SHOW BINLOG EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	found := false
	for events.Next() {
		var file, kind, info string
		var pos, server, end uint64
		if err := events.Scan(&file, &pos, &kind, &server, &end, &info); err != nil {
			t.Fatal(err)
		}
		if found && kind == "Gtid" {
			break
		}
		found = found || kind == "Gtid" && strings.Contains(info, p.gtids)
		p.file, p.pos = file, end
	}
	return p.text()
}

// endOf is the position at the end of the log.
func endOf(t *testing.T, m *cdctest.MariaDB) cdc.Position {
	t.Helper()
	p := position{flavor: MariaDB, server: "1", history: "mariadb/1-0"}
	if err := m.DB.QueryRow("SHOW MASTER STATUS").Scan(&p.file, &p.pos, new(string), new(string)); err != nil {
		t.Fatal(err)
	}
	if err := m.DB.QueryRow("SELECT @@gtid_binlog_pos").Scan(&p.gtids); err != nil {
		t.Fatal(err)
	}
	return p.text()
}

// TestUnknownStatement holds the rows of a table whose statement is not understood, of that one alone, and only up to where
// the log ended when information_schema was asked again.
func TestUnknownStatement(t *testing.T) {
	m := plainServer(t)
	m.Exec(t, "USE d; CREATE TABLE t(id INT PRIMARY KEY, a INT); CREATE TABLE u(id INT PRIMARY KEY, a INT)")
	cfg := config(m, "d")
	kept := &keeper{}
	cfg.Definitions = kept
	f := follow(t, cfg, pick("t", "a"), pick("u", "a")).open()
	f.settled()
	f.src.Close()
	m.Exec(t, "USE d; INSERT INTO t VALUES (1,1); CREATE TABLE model SELECT 5 AS id, 6 AS a; DROP TABLE t; CREATE TABLE t SELECT 7 AS a, 2 AS id; INSERT INTO u VALUES (2,2)")
	f.open()
	f.settled()
	m.Exec(t, "USE d; ALTER TABLE t ORDER BY a; INSERT INTO t VALUES (3,3); INSERT INTO u VALUES (4,4)")
	f.settled()
	m.Exec(t, "USE d; INSERT INTO t VALUES (5,6); INSERT INTO u VALUES (6,6)")
	f.settled()
	var lines []string
	for i, row := range f.rows {
		if f.faults[i] != "" {
			row = row[:len("insert t")] + " held: " + f.faults[i]
		}
		lines = append(lines, row)
	}
	compareGolden(t, "unknown.golden", strings.Join(lines, "\n")+"\n")
	if !strings.Contains(string(kept.raw), `"table":{"schema":"d","name":"t"}`) {
		t.Errorf("kept: %s", kept.raw)
	}
}

// TestLostHistory starts at a position of which nothing was kept: rows without names from before the start are held, as a table
// may have been another one then; those after it are not, and with the history none is.
func TestLostHistory(t *testing.T) {
	m := plainServer(t)
	for i, kept := range []Definitions{nil, &keeper{}} {
		m.Exec(t, "USE d; CREATE OR REPLACE TABLE t(id INT PRIMARY KEY, a INT)")
		cfg := config(m, "d")
		cfg.Definitions = kept
		f := follow(t, cfg, pick("t", "a")).open()
		f.settled()
		f.src.Close()
		m.Exec(t, "INSERT INTO d.t VALUES (1,1)")
		f.open()
		f.settled()
		m.Exec(t, "INSERT INTO d.t VALUES (2,2)")
		f.until(2)
		if held := strings.HasPrefix(f.faults[0], "the log has no column names, and nothing was kept"); held != (i == 0) || f.faults[1] != "" {
			t.Errorf("kept %v: %q", kept, f.faults)
		}
	}
}

// TestTwoPhases follows an ALTER TABLE that the log has twice: when it began, and when it was done.
func TestTwoPhases(t *testing.T) {
	m := plainServer(t, "--binlog-alter-two-phase=ON")
	m.Exec(t, "USE d; CREATE TABLE t(id INT PRIMARY KEY, a INT)")
	f := follow(t, config(m, "d"), pick("t", "a", "gone"))
	f.pos = endOf(t, m)
	f.open()
	f.settled()
	m.Exec(t, "USE d; ALTER TABLE t ADD b INT FIRST; INSERT INTO t VALUES (1,2,3)")
	if _, err := m.DB.Exec("USE d; INSERT INTO t VALUES (1,3,3); ALTER TABLE t ADD UNIQUE (b), ADD c INT"); err == nil {
		t.Fatal("the second ALTER TABLE did not fail")
	}
	m.Exec(t, "USE d; INSERT INTO t VALUES (4,5,6)")
	equalRows(t, f.until(3), "insert t new b=1 id=2 a=3", "insert t new b=1 id=3 a=3", "insert t new b=4 id=5 a=6")
}

// TestThin keeps the history short: what no restart needs goes.
func TestThin(t *testing.T) {
	kept := &keeper{}
	s := &session{cfg: &Config{Name: "billing", Flavor: MariaDB, Definitions: kept}, tables: map[cdc.Table]*selected{{Schema: "d", Name: "t"}: {}}}
	at := cdc.Position("")
	s.history = &history{flavor: MariaDB, selected: s.tables, tables: map[cdc.Table]*definition{}, databases: map[string]bool{"d": true},
		confirmed: func() cdc.Position { return at }}
	for i := range keptMost + 50 {
		s.resume = position{flavor: MariaDB, server: "1", history: "mariadb/1-0", file: "b.000001", pos: uint64(i + 4)}
		if i == keptMost-10 {
			at = s.resume.text()
		}
		for _, statement := range []string{"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE w" + itoa(i%9) + " (id INT PRIMARY KEY)", "DROP TABLE w" + itoa(i%9)} {
			changes, err := parseDDL(statement, "d", MariaDB, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.history.apply(&changes[0], fmt.Sprint("statement ", i))
		}
		if err := s.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.history.kept); n > keptMost || n < 60 {
		t.Errorf("%d definitions are kept", n)
	}
	list, err := kept.Load(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	place, err := parsePosition(at)
	if err != nil {
		t.Fatal(err)
	}
	past, err := upTo(list, place)
	if err != nil || len(past) != 1 || past[0].From != at || past[0].Table.Name != "t" {
		t.Errorf("at %s: %+v %v", at, past, err)
	}
}

// TestRandomAlters moves, adds, drops and renames columns at random while rows are written, and reads the log in pieces that are
// behind. A column's value says which one it is: no row may be read by the columns of another time, and none be held.
func TestRandomAlters(t *testing.T) {
	m := plainServer(t)
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	m.Exec(t, "USE d; CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, c100 INT, c200 INT)")
	cfg := config(m, "d")
	cfg.Definitions = &keeper{}
	f := follow(t, cfg, pick("t", "gone"))
	f.pos = endOf(t, m)
	f.open()
	f.settled()
	columns, next, rows := []int{100, 200}, 300, 0
	for round := range 12 {
		f.src.Close()
		for range 8 {
			m.Exec(t, alterAtRandom(random, &columns, &next))
			var names, values []string
			for _, c := range columns {
				names, values = append(names, fmt.Sprint("c", c)), append(values, fmt.Sprint(c))
			}
			m.Exec(t, "INSERT INTO d.t ("+strings.Join(names, ",")+") VALUES ("+strings.Join(values, ",")+")")
			rows++
		}
		f.open()
		f.until(rows)
		for i, row := range f.rows {
			for _, value := range strings.Fields(row)[3:] {
				if name, v, _ := strings.Cut(value, "="); name != "c"+v && name != "id" || f.faults[i] != "" {
					t.Fatalf("seed %d, round %d: %s %s", seed, round, row, f.faults[i])
				}
			}
			if n := len(strings.Fields(row)); n < 5 {
				t.Fatalf("seed %d: %s", seed, row)
			}
		}
	}
}

// alterAtRandom makes a statement, or several as the tools for changes online do, and follows it.
func alterAtRandom(random *rand.Rand, columns *[]int, next *int) string {
	list := *columns
	at, to := random.IntN(len(list)), random.IntN(len(list)+1)
	place := " FIRST"
	if to > 0 {
		place = fmt.Sprint(" AFTER c", list[to-1])
	}
	name := fmt.Sprint("c", list[at])
	*next += 100
	clause := ""
	switch op := random.IntN(4); {
	case op == 0 || len(list) < 2:
		clause = fmt.Sprintf("ADD c%d INT%s", *next, place)
		list = slices.Insert(slices.Clone(list), to, *next)
	case op == 1:
		clause = "DROP COLUMN " + name
		list = slices.Delete(slices.Clone(list), at, at+1)
	case op == 2:
		clause = fmt.Sprintf("RENAME COLUMN %s TO c%d", name, *next)
		list = slices.Clone(list)
		list[at] = *next
	default:
		if to == at+1 {
			place = " FIRST"
		}
		clause = fmt.Sprintf("CHANGE %s c%d INT%s", name, *next, place)
		list = slices.Clone(list)
		list[at] = *next
	}
	*columns = list
	if random.IntN(3) > 0 {
		return "ALTER TABLE d.t " + clause
	}
	return "CREATE TABLE d._t_gho LIKE d.t; ALTER TABLE d._t_gho " + clause + "; RENAME TABLE d.t TO d._t_del, d._t_gho TO d.t; DROP TABLE d._t_del"
}

// TestReaches orders positions by place on one server, and by GTID when the source has moved to another.
func TestReaches(t *testing.T) {
	for _, c := range []struct {
		at, from cdc.Position
		want     bool
	}{
		{"mariadb/1/b.000002:500/0-1-9", "mariadb/1/b.000002:500/0-1-9", true},
		{"mariadb/1/b.000002:499/0-1-8", "mariadb/1/b.000002:500/0-1-9", false},
		{"mariadb/1/b.1000000:4/", "mariadb/1/b.999999:500/", true},
		{"mariadb/2/b.000001:4/0-2-9,1-2-1/1-0", "mariadb/1/b.000009:500/0-1-9", true},
		{"mariadb/2/b.000099:4/0-2-8/1-0", "mariadb/1/b.000009:500/0-1-9", false},
		{"mariadb/2/b.000099:4/0-2-10/1-0", "mariadb/1/b.000009:500/0-1-9,3-1-1", false},
		{"mysql/b/b.000001:4/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9/a", "mysql/a/b.000009:4/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9", true},
		{"mysql/b/b.000099:4/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-8/a", "mysql/a/b.000009:4/3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9", false},
	} {
		at, err1 := parsePosition(c.at)
		from, err2 := parsePosition(c.from)
		got, err3 := reaches(at, from)
		if err := errors.Join(err1, err2, err3); err != nil || got != c.want {
			t.Errorf("%s reaches %s: %v, %v", c.at, c.from, got, err)
		}
	}
}
