package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// show prints a change as its operation and values, old ones only where there are any.
func show(r row) string {
	s := r.op.String() + " " + r.schema.Table.Name
	for i, c := range r.schema.Columns {
		if r.op != cdc.Delete && r.op != cdc.Truncate {
			s += fmt.Sprintf(" %s=%s", c.Name, r.new[i])
		}
		if r.old[i] != "absent" {
			s += fmt.Sprintf(" old.%s=%s", c.Name, r.old[i])
		}
	}
	return s
}

func expect(t *testing.T, rows []row, want ...string) {
	t.Helper()
	got := make([]string, len(rows))
	for i, r := range rows {
		got[i] = show(r)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func selection(table string, columns ...string) cdc.Selection {
	return cdc.Selection{Table: cdc.Table{Name: table}, Columns: columns}
}

// TestStream covers what only this engine has, with one server and a source for each case.
func TestStream(t *testing.T) {
	p := cdctest.StartPostgres(t)
	t.Run("masked columns are never captured", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE masked (id int PRIMARY KEY, n int, ssn text); INSERT INTO masked VALUES (1, 1, '078-05-1120'); ALTER TABLE masked REPLICA IDENTITY FULL`)
		cfg := config(p, "masked")
		cfg.Masked = []string{"masked.ssn"}
		s := postgres.New(cfg, []cdc.Selection{selection("masked", "n")}, logger(t))
		defer s.Close()
		f := follow(t, s)
		f.open("")
		p.Exec(t, `UPDATE masked SET n = 2; DELETE FROM masked`)
		for len(f.rows) < 3 {
			f.next()
			if strings.Contains(string(f.batch.Data), "078-05") {
				t.Fatal("a batch holds the bytes of a masked column")
			}
		}
		expect(t, f.rows, `snapshot masked id="1" n="1"`, `update masked id="1" old.id="1" n="2" old.n="1"`, `delete masked old.id="1" old.n="2"`)
	})

	t.Run("partitions come as their root in a snapshot", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
			CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
			INSERT INTO part VALUES (1, 1), (11, 1)`)
		s := postgres.New(config(p, "part"), []cdc.Selection{selection("part", "n")}, logger(t))
		defer s.Close()
		f := follow(t, s)
		f.open("")
		f.until(2)
		expect(t, f.rows, `snapshot part id="1" n="1"`, `snapshot part id="11" n="1"`)
	})

	t.Run("the table changes under the stream", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE ddl (id int PRIMARY KEY, n int, note text)`)
		f := begin(t, p, "ddl", selection("ddl", "n", "note"))
		p.Exec(t, `INSERT INTO ddl VALUES (1, 1, 'a')`)
		p.Exec(t, `ALTER TABLE ddl ADD other int; INSERT INTO ddl VALUES (2, 2, 'b', 7)`)
		p.Exec(t, `ALTER TABLE ddl ALTER n TYPE text; INSERT INTO ddl VALUES (3, '3', 'c', 7)`)
		p.Exec(t, `ALTER TABLE ddl DROP note; INSERT INTO ddl VALUES (4, '4', 7)`)
		f.until(4)
		expect(t, f.rows, `insert ddl id="1" n="1" note="a"`, `insert ddl id="2" n="2" note="b"`, `insert ddl id="3" n="3" note="c"`,
			`insert ddl id="4" n="4" other="7"`) // a selected column is gone: the whole row is kept
		if f.rows[0].schema != f.rows[1].schema {
			t.Error("a column that is not selected made another Schema")
		}
		if a, b := f.rows[1].schema.Columns[1], f.rows[2].schema.Columns[1]; a.Kind != cdc.KindInt || b.Kind != cdc.KindText || b.Type != "text" {
			t.Errorf("column n is %+v and then %+v", a, b)
		}
	})

	t.Run("the table is gone before it is read", func(t *testing.T) {
		p.Exec(t, `CREATE TYPE gone AS ENUM ('x'); CREATE TABLE dropped (id int PRIMARY KEY, e gone); CREATE TABLE kept (id int PRIMARY KEY)`)
		f := begin(t, p, "dropped", selection("dropped", "e"), selection("kept"))
		f.s.Close()
		p.Exec(t, `INSERT INTO dropped VALUES (1, 'x')`)
		p.Exec(t, `DROP TABLE dropped; DROP TYPE gone; INSERT INTO kept VALUES (1)`)
		f.open(f.pos)
		f.until(2)
		if fault := f.rows[0].schema.Fault; !strings.Contains(fault, "the type of column e") {
			t.Errorf("the dropped table's rows have fault %q", fault)
		}
		expect(t, f.rows[1:], `insert kept id="1"`)
	})

	t.Run("transactions carry commit, xid and time", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE tx (id int PRIMARY KEY)`)
		f := begin(t, p, "tx", selection("tx"))
		p.Exec(t, `INSERT INTO tx VALUES (1); INSERT INTO tx VALUES (2)`)
		p.Exec(t, `INSERT INTO tx VALUES (3)`)
		f.until(3)
		var xid string
		if err := p.DB.QueryRow(`SELECT xmin FROM tx WHERE id = 3`).Scan(&xid); err != nil {
			t.Fatal(err)
		}
		a, b, c := f.rows[0].tx, f.rows[1].tx, f.rows[2].tx
		if a != b || b.Commit == c.Commit || c.XID != xid || time.Since(c.CommitAt).Abs() > time.Minute {
			t.Errorf("transactions %+v, %+v, %+v; want the xid %s", a, b, c, xid)
		}
		if !strings.HasPrefix(string(f.batch.Position), f.batch.Identity+"/") {
			t.Errorf("position %s does not belong to %s", f.batch.Position, f.batch.Identity)
		}
	})

	t.Run("a lone transaction is handed on at once", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE lone (id int PRIMARY KEY)`)
		f := begin(t, p, "lone", selection("lone"))
		var worst time.Duration
		for i := range 20 {
			p.Exec(t, fmt.Sprintf(`INSERT INTO lone VALUES (%d)`, i))
			began := time.Now()
			f.until(i + 1)
			worst = max(worst, time.Since(began))
		}
		if worst > 500*time.Millisecond {
			t.Errorf("a transaction took %s", worst)
		}
	})

	t.Run("writes elsewhere do not hold the log", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE quiet (id int PRIMARY KEY); CREATE TABLE busy (id int PRIMARY KEY, doc text)`)
		f := begin(t, p, "quiet", selection("quiet"))
		p.Exec(t, `INSERT INTO busy SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i`)
		var end string
		if err := p.DB.QueryRow(`SELECT pg_current_wal_lsn()`).Scan(&end); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(15 * time.Second); ; f.next() {
			var passed bool
			if err := p.DB.QueryRow(`SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = 'waybill_quiet'`, end).Scan(&passed); err != nil {
				t.Fatal(err)
			}
			if passed {
				break
			}
			if time.Now().After(until) {
				t.Fatal("the slot did not follow the log")
			}
		}
		if len(f.rows) > 0 {
			t.Errorf("changes of a table that is not selected: %v", f.rows)
		}
	})

	t.Run("the server shuts down without waiting for us", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE bye (id int PRIMARY KEY)`)
		f := begin(t, p, "bye", selection("bye"))
		p.Exec(t, `INSERT INTO bye VALUES (1)`)
		f.until(1)
		began, stopped := time.Now(), make(chan time.Duration)
		go func() { p.Stop(); stopped <- time.Since(began) }()
		for {
			b, err := f.s.Next(f.ctx)
			if err != nil {
				break
			}
			f.s.Confirm(b.Position)
		}
		if took := <-stopped; took > 10*time.Second {
			t.Errorf("the server took %s to shut down", took)
		}
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
	})
}
