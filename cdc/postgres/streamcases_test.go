package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// begin opens a source of the selected tables and reads its snapshot.
func begin(t *testing.T, p *cdctest.Postgres, name string, selection ...cdc.Selection) *follower {
	t.Helper()
	s := postgres.New(config(p, name), selection, logger(t))
	t.Cleanup(func() {
		s.Close()
		if err := s.Release(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Release: %v", err)
		}
	})
	f := follow(t, s)
	f.open("")
	f.until(0)
	f.rows = nil
	return f
}

// refused runs a statement that the server must refuse.
func refused(t *testing.T, p *cdctest.Postgres, statement, why string) {
	t.Helper()
	if _, err := p.DB.Exec(statement); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want %q", statement, err, why)
	}
}

// TestStreamVersions has the cases of which a server's version might make another stream.
func TestStreamVersions(t *testing.T) {
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		for _, c := range []struct {
			name string
			test func(*testing.T, *cdctest.Postgres)
		}{
			{"identity", identityCase}, {"identity of partitions", partitionIdentityCase}, {"partitions come and go", partitionsCase},
			{"truncate", truncateCase}, {"publication narrowed by somebody else", narrowedCase}, {"names", namesCase},
			{"generated columns", generatedCase}, {"many rows in one place", copyCase}, {"interleaved", interleavedCase},
			{"rolled back", rollbackCase}, {"unchanged TOAST", toastCase},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, p) })
		}
	})
}

func identityCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE d (id int PRIMARY KEY, n int); CREATE TABLE f (id int, n int); ALTER TABLE f REPLICA IDENTITY FULL;
		CREATE TABLE i (id int PRIMARY KEY, code text NOT NULL UNIQUE, n int); ALTER TABLE i REPLICA IDENTITY USING INDEX i_code_key`)
	f := begin(t, p, "identity", selection("d", "n"), selection("f", "id", "n"), selection("i", "id", "n"))
	p.Exec(t, `INSERT INTO d VALUES (1, 1); UPDATE d SET n = 2; UPDATE d SET id = 2; DELETE FROM d;
		INSERT INTO f VALUES (1, NULL); UPDATE f SET n = 2; DELETE FROM f;
		INSERT INTO i VALUES (1, 'a', 1); UPDATE i SET n = 2; UPDATE i SET code = 'b'; DELETE FROM i`)
	f.until(11)
	expect(t, f.take(),
		`insert d id="1" n="1"`, `update d id="1" n="2"`, `update d id="2" old.id="1" n="2"`, `delete d old.id="2"`,
		`insert f id="1" n=null`, `update f id="1" old.id="1" n="2" old.n=null`, `delete f old.id="1" old.n="2"`,
		`insert i id="1" code="a" n="1"`, `update i id="1" code="a" n="2"`, `update i id="1" code="b" old.code="a" n="2"`,
		`delete i old.code="b"`)
	// Changed under the stream, each identity holds from its own change on. NOTHING makes the server refuse the owner's
	// statements, which is why a table with it is never published.
	p.Exec(t, `ALTER TABLE d REPLICA IDENTITY FULL; INSERT INTO d VALUES (3, 3); UPDATE d SET n = 4`)
	p.Exec(t, `ALTER TABLE d REPLICA IDENTITY NOTHING; INSERT INTO d VALUES (4, 4)`)
	refused(t, p, `UPDATE d SET n = 5`, "does not have a replica identity")
	refused(t, p, `DELETE FROM d`, "does not have a replica identity")
	p.Exec(t, `ALTER TABLE d REPLICA IDENTITY DEFAULT; DELETE FROM d WHERE id = 4`)
	f.until(4)
	expect(t, f.take(), `insert d id="3" n="3"`, `update d id="3" old.id="3" n="4" old.n="3"`, `insert d id="4" n="4"`, `delete d old.id="4"`)
	p.Exec(t, `ALTER TABLE d REPLICA IDENTITY NOTHING; CREATE TABLE keyless (n int)`)
	for _, table := range []string{"d", "keyless"} {
		err := postgres.New(config(p, "nothing"), []cdc.Selection{selection(table)}, logger(t)).Open(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), "PostgreSQL would refuse every UPDATE and DELETE of the table") {
			t.Errorf("a table without an identity: %v", err)
		}
	}
}

// The identity of a partition is its own, whatever the root's is, and the server sends its rows as if they had the root's: as
// a null where a value was not in the log.
func partitionIdentityCase(t *testing.T, p *cdctest.Postgres) {
	for _, table := range []string{"pa", "pb", "pc", "pd"} {
		p.Exec(t, fmt.Sprintf(`CREATE TABLE %[1]s (id int PRIMARY KEY, code text NOT NULL, n int) PARTITION BY RANGE (id);
			CREATE TABLE %[1]s1 PARTITION OF %[1]s FOR VALUES FROM (0) TO (10); CREATE UNIQUE INDEX %[1]si ON %[1]s1 (code)`, table))
	}
	p.Exec(t, `ALTER TABLE pa REPLICA IDENTITY FULL; ALTER TABLE pb1 REPLICA IDENTITY USING INDEX pbi; ALTER TABLE pc1 REPLICA IDENTITY FULL;
		ALTER TABLE pd REPLICA IDENTITY FULL; ALTER TABLE pd1 REPLICA IDENTITY FULL`)
	f := begin(t, p, "unlike", selection("pa", "code", "n"), selection("pb", "code", "n"), selection("pc", "code", "n"), selection("pd", "code", "n"))
	for _, table := range []string{"pa", "pb", "pc", "pd"} {
		p.Exec(t, fmt.Sprintf(`INSERT INTO %[1]s VALUES (1, 'c', 7); UPDATE %[1]s SET code = 'd', id = 2; DELETE FROM %[1]s`, table))
	}
	f.until(12)
	expect(t, f.rows,
		`insert pa id="1" code="c" n="7"`, `update pa id="2" old.id="1" code="d" n="7"`, `delete pa old.id="2"`,
		`insert pb id="1" code="c" n="7"`, `update pb id="2" code="d" n="7"`, `delete pb`,
		`insert pc id="1" code="c" n="7"`, `update pc id="2" old.id="1" code="d" n="7"`, `delete pc old.id="2"`,
		`insert pd id="1" code="c" n="7"`, `update pd id="2" old.id="1" code="d" old.code="c" n="7" old.n="7"`,
		`delete pd old.id="2" old.code="d" old.n="7"`)
}

// What is attached or detached is not a change of rows: the log says nothing of the rows that come and go with it.
func partitionsCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
		CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
		CREATE TABLE part2a PARTITION OF part2 FOR VALUES FROM (10) TO (15);
		CREATE TABLE part3 (n int, other int, id int PRIMARY KEY); ALTER TABLE part3 DROP other; INSERT INTO part3 VALUES (1, 21)`)
	f := begin(t, p, "part", selection("part", "n"))
	p.Exec(t, `INSERT INTO part VALUES (1, 1), (11, 1); UPDATE part SET n = 2 WHERE id = 1; UPDATE part SET id = 12 WHERE id = 1`)
	p.Exec(t, `INSERT INTO part3 VALUES (2, 22); ALTER TABLE part ATTACH PARTITION part3 FOR VALUES FROM (20) TO (30); UPDATE part SET n = 5 WHERE id = 21`)
	p.Exec(t, `INSERT INTO part3 VALUES (3, 23); ALTER TABLE part DETACH PARTITION part1; INSERT INTO part1 VALUES (2, 2); DROP TABLE part1`)
	p.Exec(t, `CREATE TABLE part4 PARTITION OF part FOR VALUES FROM (30) TO (40); INSERT INTO part4 VALUES (31, 1)`)
	want := []string{`insert part id="1" n="1"`, `insert part id="11" n="1"`, `update part id="1" n="2"`, `delete part old.id="1"`,
		`insert part id="12" n="2"`, `update part id="21" n="5"`, `insert part id="23" n="3"`, `insert part id="31" n="1"`}
	if p.Version(t) < 15 {
		// A walsender of PostgreSQL 14 that has met a table decides once whose partition it is: what is attached or detached later
		// stays what it was until the session is opened anew.
		want = append(append(want[:5:5], `insert part id="2" n="2"`), want[7])
	}
	f.until(len(want))
	expect(t, f.rows, want...)
	if len(f.schemas) != 1 {
		t.Errorf("partitions with another order of columns made %d schemas", len(f.schemas))
	}
}

// A partition that is truncated by its own name is not in the stream, for the server publishes it as its root, which was not.
func truncateCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE t2 (id serial PRIMARY KEY, r int REFERENCES t1); CREATE TABLE t3 (id int PRIMARY KEY);
		CREATE TABLE tp (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE tp1 PARTITION OF tp FOR VALUES FROM (0) TO (10)`)
	f := begin(t, p, "truncate", selection("t1"), selection("t2"), selection("tp"))
	p.Exec(t, `INSERT INTO t1 VALUES (1); TRUNCATE t1, t2, t3; TRUNCATE t1 RESTART IDENTITY CASCADE; INSERT INTO t1 VALUES (2); INSERT INTO tp VALUES (1); TRUNCATE tp1; TRUNCATE tp`)
	f.until(8)
	expect(t, f.rows, `insert t1 id="1"`, `truncate t1`, `truncate t2`, `truncate t1`, `truncate t2`, `insert t1 id="2"`, `insert tp id="1"`, `truncate tp`)
}

// A publication that somebody else narrowed is refused; one that is narrowed under the stream ends it: see
// TestPublicationAltered.
func narrowedCase(t *testing.T, p *cdctest.Postgres) {
	if p.Version(t) < 15 {
		t.Skip("publications have no row filters and column lists before PostgreSQL 15")
	}
	p.Exec(t, `CREATE TABLE narrow (id int PRIMARY KEY, n int, note text); ALTER TABLE narrow REPLICA IDENTITY FULL;
		CREATE PUBLICATION theirs FOR TABLE narrow (id, n) WHERE (n > 5)`)
	cfg := config(p, "theirs")
	cfg.Publication = "theirs"
	err := postgres.New(cfg, []cdc.Selection{selection("narrow", "n", "note")}, logger(t)).Open(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "has a row filter or column list for public.narrow") {
		t.Errorf("a publication with a filter: %v", err)
	}
}

func namesCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE SCHEMA "Dis.patch"; CREATE TYPE "Dis.patch"."Sta tus" AS ENUM ('On, "Time"');
		CREATE TABLE "Dis.patch"."Lo""ads ł" ("Id" int PRIMARY KEY, "Net Amount" numeric(6,2), "select" "Dis.patch"."Sta tus", "ünïcödé'" "Dis.patch"."Sta tus"[]);
		CREATE TABLE "Dis.patch"."lo""ads ł" ("Id" int PRIMARY KEY)`)
	table := cdc.Table{Schema: "Dis.patch", Name: `Lo"ads ł`}
	f := begin(t, p, "names", cdc.Selection{Table: table, Columns: []string{"Net Amount", "select", "ünïcödé'"}})
	p.Exec(t, `INSERT INTO "Dis.patch"."Lo""ads ł" VALUES (1, 2.5, 'On, "Time"', array['On, "Time"']::"Dis.patch"."Sta tus"[]); INSERT INTO "Dis.patch"."lo""ads ł" VALUES (1)`)
	f.until(1)
	expect(t, f.rows, `insert Lo"ads ł Id="1" Net Amount="2.50" select="On, \"Time\"" ünïcödé'="[\"On, \\\"Time\\\"\"]"`)
	if got := f.rows[0].schema.Table; got != table {
		t.Errorf("the table is %s", got)
	}
}

// A generated column is not in the log before PostgreSQL 18, and there only if the publication says so; check refuses to read
// one. The others of its table are captured.
func generatedCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, note text)`)
	if p.Version(t) >= 18 { // before the stream begins: a publication that is altered under it ends it
		p.Exec(t, `CREATE PUBLICATION waybill_gen FOR TABLE gen WITH (publish_via_partition_root = true, publish_generated_columns = stored)`)
	}
	f := begin(t, p, "gen", selection("gen", "n", "note"))
	p.Exec(t, `INSERT INTO gen (n, note) VALUES (1, 'a')`)
	if p.Version(t) >= 18 {
		p.Exec(t, `ALTER TABLE gen ADD thrice int GENERATED ALWAYS AS (n * 3) VIRTUAL`)
	}
	p.Exec(t, `UPDATE gen SET n = 2`)
	f.until(2)
	expect(t, f.rows, `insert gen id="1" n="1" note="a"`, `update gen id="1" n="2" note="a"`)
	if f.rows[0].schema != f.rows[1].schema {
		t.Error("a generated column made another Schema")
	}
	err := postgres.New(config(p, "twice"), []cdc.Selection{selection("gen", "twice")}, logger(t)).Open(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "found a generated column") {
		t.Errorf("a selected generated column: %v", err)
	}
	// Published, these would lose their key, and from PostgreSQL 18 on refuse the owner's UPDATEs.
	p.Exec(t, `CREATE TABLE genkey (a int, b int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, b));
		CREATE TABLE genfull (a int, b int GENERATED ALWAYS AS (a * 2) STORED); ALTER TABLE genfull REPLICA IDENTITY FULL`)
	tables := []string{"genkey"}
	if p.Version(t) >= 18 {
		tables = append(tables, "genfull")
	}
	for _, table := range tables {
		err := postgres.New(config(p, "generated"), []cdc.Selection{selection(table, "a")}, logger(t)).Open(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), "replica identity of public."+table) {
			t.Errorf("%s: %v", table, err)
		}
		p.Exec(t, "CREATE PUBLICATION pub_"+table+" FOR TABLE "+table)
		if p.Version(t) >= 18 {
			refused(t, p, "UPDATE "+table+" SET a = 2", "cannot update table")
		}
	}
}

// COPY writes many rows in one record, so that they share a place in the log: a reader that resumes behind a row would lose those
// beside it. A session that ends in the middle begins the transaction again, whole.
func copyCase(t *testing.T, p *cdctest.Postgres) {
	const rows = 15000
	p.Exec(t, `CREATE TABLE copied (id int PRIMARY KEY, pad text DEFAULT repeat('x', 200))`)
	f := begin(t, p, "copied", selection("copied", "pad"))
	p.Exec(t, fmt.Sprintf(`COPY copied (id) FROM PROGRAM 'seq 1 %d'`, rows))
	p.Exec(t, fmt.Sprintf(`COPY copied (id) FROM PROGRAM 'seq %d %d'`, rows+1, rows+3))
	before := f.pos
	f.next()
	for !f.batch.More {
		f.next()
	}
	if len(f.take()) == 0 || f.pos != before {
		t.Errorf("a part of a transaction moved the position from %s to %s", before, f.pos)
	}
	if err := f.s.Close(); err != nil {
		t.Fatal(err)
	}
	f.open(before)
	f.until(rows + 3)
	for i, r := range f.rows {
		if want := fmt.Sprintf("%q", fmt.Sprint(i+1)); r.new[0] != want || r.tx != f.rows[i/rows*rows].tx {
			t.Fatalf("row %d is %s of transaction %+v", i, show(r), r.tx)
		}
	}
}

// Of two transactions, the one that began first commits last, and Waybill stops between the commits: in the middle of the first
// one's changes in the log. They come, whole and once, when it commits; behind a commit that is already confirmed.
func interleavedCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE inter (id int PRIMARY KEY)`)
	f := begin(t, p, "inter", selection("inter"))
	session := func() (run func(string)) {
		conn, err := p.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil && err != sql.ErrConnDone {
				t.Error(err)
			}
		})
		return func(statement string) {
			t.Helper()
			if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b, c := session(), session(), session()
	restart := func() {
		t.Helper()
		if err := f.s.Close(); err != nil {
			t.Fatal(err)
		}
		f.open(f.pos)
	}
	a(`BEGIN; INSERT INTO inter VALUES (1)`)
	b(`BEGIN; INSERT INTO inter VALUES (11)`)
	a(`INSERT INTO inter VALUES (2)`)
	c(`BEGIN; INSERT INTO inter VALUES (21)`)
	b(`INSERT INTO inter VALUES (12); COMMIT`)
	f.until(2)
	expect(t, f.take(), `insert inter id="11"`, `insert inter id="12"`)
	restart()
	a(`INSERT INTO inter VALUES (3)`)
	p.Exec(t, `INSERT INTO inter VALUES (31)`)
	f.until(1)
	restart()
	a(`COMMIT`)
	c(`INSERT INTO inter VALUES (22); COMMIT`)
	f.until(6)
	expect(t, f.take(), `insert inter id="31"`, `insert inter id="1"`, `insert inter id="2"`, `insert inter id="3"`, `insert inter id="21"`, `insert inter id="22"`)
	restart()
	p.Exec(t, `INSERT INTO inter VALUES (41)`)
	f.until(1)
	expect(t, f.take(), `insert inter id="41"`)
}

func rollbackCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE rolled (id int PRIMARY KEY)`)
	f := begin(t, p, "rolled", selection("rolled"))
	p.Exec(t, `BEGIN; INSERT INTO rolled SELECT generate_series(1, 20000); ROLLBACK`)
	p.Exec(t, `BEGIN; INSERT INTO rolled VALUES (1); SAVEPOINT s; INSERT INTO rolled VALUES (2); SAVEPOINT s2; INSERT INTO rolled VALUES (3); RELEASE s2;
		ROLLBACK TO s; INSERT INTO rolled VALUES (4); COMMIT`)
	f.until(2)
	expect(t, f.rows, `insert rolled id="1"`, `insert rolled id="4"`)
}

func toastCase(t *testing.T, p *cdctest.Postgres) {
	p.Exec(t, `CREATE TABLE toast (id int PRIMARY KEY, n int, doc text); ALTER TABLE toast ALTER doc SET STORAGE EXTERNAL`)
	f := begin(t, p, "toast", selection("toast", "n", "doc"))
	p.Exec(t, `INSERT INTO toast VALUES (1, 1, repeat('x', 3000))`)
	p.Exec(t, `UPDATE toast SET n = 2`)
	p.Exec(t, `UPDATE toast SET doc = 'short'`)
	p.Exec(t, `ALTER TABLE toast REPLICA IDENTITY FULL; UPDATE toast SET doc = repeat('y', 3000); UPDATE toast SET n = 3`)
	f.until(5)
	expect(t, f.rows[1:3], `update toast id="1" n="2" doc=absent`, `update toast id="1" n="2" doc="short"`)
	// With FULL, the old row brings what the new one leaves out.
	if last := f.rows[4]; last.new[2] != "absent" || len(last.old[2]) != 3002 {
		t.Errorf("an unchanged TOASTed value under FULL is %.20s, and was %.20s", last.new[2], last.old[2])
	}
}
