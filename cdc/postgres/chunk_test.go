package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// chunks reads a table of the schema public to its end.
func (f *follower) chunks(table, where string, rows int) (list []cdc.ChunkRead) {
	f.t.Helper()
	return f.table(cdc.Table{Name: table}, where, rows)
}

// table reads a table to its end and returns the chunks.
func (f *follower) table(table cdc.Table, where string, rows int) (list []cdc.ChunkRead) {
	f.t.Helper()
	full := table
	if full.Schema == "" {
		full.Schema = "public"
	}
	after := ""
	for len(list) < 10_000 {
		r, err := f.s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: table, After: after, Where: where, Rows: rows})
		if err != nil {
			f.t.Fatalf("ReadChunk of %s after %s: %v", table, after, err)
		}
		list = append(list, r)
		b := r.Batch
		if !b.Snapshot || b.Chunk == nil || b.Chunk.Table != full || b.Position != "" || b.More ||
			b.Identity == "" || !strings.HasPrefix(string(r.High), b.Identity+"/") || rows > 0 && b.Changes > rows || b.CommitAt.IsZero() {
			f.t.Fatalf("chunk %+v, high %s", b, r.High)
		}
		f.read(b)
		if b.Chunk.End {
			return list
		}
		if b.Chunk.After == after {
			f.t.Fatalf("the cursor stays at %s", after)
		}
		after = b.Chunk.After
	}
	f.t.Fatal("the reading does not end")
	return nil
}

// reading returns a source that is not open, to read tables with.
func reading(t *testing.T, p *cdctest.Postgres, name string, selection ...cdc.Selection) *follower {
	t.Helper()
	s := postgres.New(config(p, name), selection, logger(t))
	t.Cleanup(func() { s.Close() })
	return follow(t, s)
}

// TestChunks has the union of a table's chunks equal the table, whatever its key.
func TestChunks(t *testing.T) {
	p := cdctest.StartPostgres(t)
	for _, c := range []struct {
		name, sql string
		columns   []string
		key       string // what a cursor says of it; empty for none
		want      int
	}{
		{"number", `CREATE TABLE number (id bigint PRIMARY KEY, n int); INSERT INTO number SELECT i * 3 - 50, i FROM generate_series(1, 100) i`,
			[]string{"n"}, `"id bigint"`, 100},
		{"composite", `CREATE TABLE composite (b text, n int, a int, at timestamptz(3), PRIMARY KEY (a, b, at));
			INSERT INTO composite SELECT 'x' || i % 7, i, i % 3, '2026-03-08 10:00+01'::timestamptz + i * interval '1.001 s' FROM generate_series(1, 100) i`,
			[]string{"n"}, `"a integer","b text","at timestamp(3) with time zone"`, 100},
		{"words", `CREATE TABLE words (word text COLLATE "de-x-icu" PRIMARY KEY, n int);
			INSERT INTO words SELECT (ARRAY['a', 'B', 'ä', 'Z', 'z', 'ß', 'it''s', '"q"', E'back\\slash', 'Łódź', '', ' ', '東京', 'b<&>'])[i % 14 + 1] || CASE WHEN i >= 14 THEN i::text ELSE '' END, i
			FROM generate_series(0, 99) i`, []string{"n"}, `"word text collate de-x-icu"`, 100},
		{"ids", `CREATE TABLE ids (id uuid PRIMARY KEY, n int); INSERT INTO ids SELECT gen_random_uuid(), i FROM generate_series(1, 100) i`,
			[]string{"n"}, `"id uuid"`, 100},
		{`Quoted "Name"`, `CREATE TABLE "Quoted ""Name""" ("Id, ""1""" int, "select" numeric(6,2), n int, PRIMARY KEY ("select", "Id, ""1"""));
			INSERT INTO "Quoted ""Name""" SELECT i, i % 5 / 4.0, i FROM generate_series(1, 100) i`, []string{"n"},
			`"select numeric(6,2)","Id, \"1\" integer"`, 100},
		{"odd", `CREATE TYPE lane AS ENUM ('z', 'a'); CREATE DOMAIN code AS char(4); CREATE TABLE odd (l lane, c code, b bytea, f float8, n int, PRIMARY KEY (l, c, b, f));
			INSERT INTO odd SELECT (ARRAY['z', 'a'])[i % 2 + 1]::lane, 'c' || i % 3, decode(to_hex(i % 4 + 16), 'hex'), i / 3.0, i FROM generate_series(1, 100) i`,
			[]string{"n"}, `"l lane"`, 100},
		{"elsewhere", `CREATE TABLE elsewhere (id int PRIMARY KEY, code text NOT NULL UNIQUE, n int); ALTER TABLE elsewhere REPLICA IDENTITY USING INDEX elsewhere_code_key;
			INSERT INTO elsewhere SELECT i, 'c' || i, i FROM generate_series(1, 100) i`, []string{"n"}, `"id integer"`, 100},
		{"keyless", `CREATE TABLE keyless (n int, doc text); ALTER TABLE keyless REPLICA IDENTITY FULL;
			INSERT INTO keyless SELECT i, repeat('x', 200) FROM generate_series(1, 2100) i; DELETE FROM keyless WHERE n BETWEEN 500 AND 2499 AND n < 2000 OR n = 3`,
			[]string{"n"}, "", 600 - 1},
		{"parts", `CREATE TABLE parts (id int, region text, n int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
			CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a'); CREATE TABLE parts_b (n int, region text NOT NULL, id int NOT NULL);
			ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b'); INSERT INTO parts SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 100) i`,
			[]string{"n"}, `"region text"`, 100},
		{"keyless_parts", `CREATE TABLE keyless_parts (id int, n int) PARTITION BY RANGE (id); CREATE TABLE keyless_parts_1 PARTITION OF keyless_parts FOR VALUES FROM (0) TO (40);
			CREATE TABLE keyless_parts_2 PARTITION OF keyless_parts FOR VALUES FROM (40) TO (1000); INSERT INTO keyless_parts SELECT i, i FROM generate_series(1, 100) i`,
			[]string{"n"}, "", 100},
		{"none", `CREATE TABLE none (id int PRIMARY KEY, n int)`, []string{"n"}, "", 0},
		{"none_keyless", `CREATE TABLE none_keyless (n int)`, []string{"n"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Exec(t, c.sql)
			for _, rows := range []int{7, 100, 0} {
				f := reading(t, p, "chunks", selection(c.name, c.columns...))
				list := f.chunks(c.name, "", rows)
				seen := map[string]bool{}
				for _, r := range f.rows {
					n := r.new[r.schema.Column("n")]
					if seen[n] || r.op != cdc.Snapshot {
						t.Fatalf("%s came twice, or not from a snapshot", show(r))
					}
					seen[n] = true
				}
				if len(seen) != c.want || rows == 7 && len(list) < c.want/7 {
					t.Errorf("%d rows in %d chunks of %d; want %d", len(seen), len(list), rows, c.want)
				}
				if after := list[0].Batch.Chunk.After; c.key != "" && !strings.HasPrefix(after, `{"key":[`+c.key) {
					t.Errorf("cursor %s; want the key %s", after, c.key)
				}
			}
		})
	}
}

// TestChunkFilter reads a part of a table, and has the server's words about a filter that it refuses.
func TestChunkFilter(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int, at date); INSERT INTO loads SELECT i, i % 10, '2026-03-01'::date + i FROM generate_series(1, 100) i`)
	f := reading(t, p, "filter", selection("loads", "n"))
	f.chunks("loads", "at >= '2026-04-01' OR n = 1 -- the month, and the ones", 7)
	if len(f.rows) != 70+3 {
		t.Errorf("%d rows", len(f.rows))
	}
	for where, want := range map[string]string{
		"n = ":                          `syntax error`,
		"weight > 5":                    `column "weight" does not exist`,
		"n / 0 = 1":                     `division by zero`,
		"n = 1); DELETE FROM loads; --": `syntax error`,
	} {
		_, err := f.s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: cdc.Table{Name: "loads"}, Where: where})
		var table *cdc.TableError
		if !errors.As(err, &table) || !strings.Contains(err.Error(), want) || !strings.Contains(table.Hint, where) {
			t.Errorf("filter %q: %v; want %q", where, err, want)
		}
	}
	if got := f.chunks("loads", "", 0); len(got) != 1 || got[0].Batch.Changes != 100 { // the connection is as good as new
		t.Errorf("%d chunks", len(got))
	}
}

// TestChunkSize reads rows of very different sizes: memory stays bounded, and every row comes.
func TestChunkSize(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE sizes (id int PRIMARY KEY, doc text); ALTER TABLE sizes ALTER doc SET STORAGE EXTERNAL;
		INSERT INTO sizes SELECT i, repeat('x', CASE WHEN i BETWEEN 3000 AND 3049 THEN 500000 ELSE 100 END) FROM generate_series(1, 40000) i;
		CREATE TABLE sizes_keyless AS SELECT * FROM sizes`)
	for _, name := range []string{"sizes", "sizes_keyless"} {
		f := reading(t, p, "sizes", selection(name, "id", "doc"))
		total := 0
		for _, r := range f.chunks(name, "", 0) {
			total += r.Batch.Changes
			if n := len(r.Batch.Data); n > 5<<20 {
				t.Errorf("%s: a chunk of %d bytes", name, n)
			}
		}
		if total != 40000 {
			t.Errorf("%s: %d rows", name, total)
		}
		f.rows = nil
	}
}

// TestChunkCursor goes on only where a cursor means what it says.
func TestChunkCursor(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, code text, n int); INSERT INTO loads SELECT i, 'c' || i, i FROM generate_series(1, 9) i;
		CREATE TABLE keyless (id int); INSERT INTO keyless SELECT generate_series(1, 9)`)
	f := reading(t, p, "cursor", selection("loads", "n"), selection("keyless", "id"))
	read := func(table, after string) (first string, next string) {
		t.Helper()
		f.rows = nil
		r, err := f.s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: cdc.Table{Name: table}, After: after, Rows: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.read(r.Batch)
		return f.rows[0].new[0], r.Batch.Chunk.After
	}
	_, after := read("loads", "")
	if want := `{"key":["id integer"],"after":["3"]}`; after != want {
		t.Errorf("cursor %s, want %s", after, want)
	}
	if first, _ := read("loads", after); first != `"4"` {
		t.Errorf("behind %s comes %s", after, first)
	}
	for _, stranger := range []string{"17", "null", `{"key":["id text"],"after":["3"]}`, `{"key":["id integer"],"after":[]}`, `{"file":"5","tid":"(0,3)","leaf":"1"}`} {
		if first, _ := read("loads", stranger); first != `"1"` {
			t.Errorf("behind the stranger %s comes %s", stranger, first)
		}
	}
	p.Exec(t, `ALTER TABLE loads DROP CONSTRAINT loads_pkey; ALTER TABLE loads ADD PRIMARY KEY (code)`)
	if first, next := read("loads", after); first != `"c1"` || !strings.Contains(next, `"code text"`) {
		t.Errorf("with another key %s comes first, then %s", first, next)
	}
	_, after = read("keyless", "")
	if first, _ := read("keyless", after); first != `"4"` {
		t.Errorf("behind %s comes %s", after, first)
	}
	p.Exec(t, `VACUUM FULL keyless`)
	if first, _ := read("keyless", after); first != `"1"` {
		t.Errorf("after a rewrite %s comes first", first)
	}
}

// TestChunkAfterDDL changes the table between two chunks: each has the shape of its own time.
func TestChunkAfterDDL(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TYPE state AS ENUM ('new'); CREATE DOMAIN mood AS state; CREATE TABLE loads (id int PRIMARY KEY, n int, s state, m mood, note text); INSERT INTO loads VALUES (1, 1, 'new', 'new', 'a')`)
	f := reading(t, p, "ddl", selection("loads", "n", "s", "m", "note", "more"))
	shape := func() (out string) {
		t.Helper()
		f.chunks("loads", "", 0)
		row := f.take()[0]
		for i, c := range row.schema.Columns {
			out += fmt.Sprintf("%s %s%v=%s ", c.Name, c.Type, c.Labels, row.new[i])
		}
		return strings.TrimSpace(out)
	}
	for _, c := range []struct{ sql, want string }{
		{`SELECT 1`, `id integer[]="1" n integer[]="1" s state[new]="new" m state[new]="new" note text[]="a"`},
		{`ALTER TABLE loads ALTER n TYPE numeric(6,2)`, `id integer[]="1" n numeric(6,2)[]="1.00" s state[new]="new" m state[new]="new" note text[]="a"`},
		{`ALTER TYPE state ADD VALUE 'old'`, `id integer[]="1" n numeric(6,2)[]="1.00" s state[new old]="new" m state[new old]="new" note text[]="a"`},
		{`ALTER TABLE loads RENAME note TO more`, `id integer[]="1" n numeric(6,2)[]="1.00" s state[new old]="new" m state[new old]="new" more text[]="a"`},
		{`ALTER TABLE loads DROP m, ADD note text DEFAULT 'b'`, `id integer[]="1" n numeric(6,2)[]="1.00" s state[new old]="new" more text[]="a" note text[]="b"`},
		{`DROP TABLE loads; CREATE TABLE loads (id int, n int); INSERT INTO loads VALUES (5, 5)`, `n integer[]="5"`},
		{`ALTER TABLE loads ADD PRIMARY KEY (id)`, `id integer[]="5" n integer[]="5"`},
	} {
		p.Exec(t, c.sql)
		if got := shape(); got != c.want {
			t.Errorf("after %s:\n got %s\nwant %s", c.sql, got, c.want)
		}
	}
}

// TestChunkRefusals has a fault of one table told from a fault of the server.
func TestChunkRefusals(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE ROLE reader LOGIN REPLICATION PASSWORD 'k7Qz-canary-9xWv'; CREATE TABLE mine (id int PRIMARY KEY, n int); CREATE TABLE theirs (id int PRIMARY KEY);
		CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; CREATE VIEW seen AS SELECT * FROM mine; INSERT INTO mine VALUES (1, 1);
		GRANT SELECT ON mine, hidden, seen TO reader`)
	cfg := config(p, "refusals")
	cfg.User = "reader"
	tables := []string{"mine", "theirs", "hidden", "seen", "nowhere"}
	var sel []cdc.Selection
	for _, name := range tables {
		sel = append(sel, selection(name, "n"))
	}
	s := postgres.New(cfg, sel, logger(t))
	defer s.Close()
	read := func(ctx context.Context, name string) error {
		_, err := s.ReadChunk(ctx, cdc.ChunkRequest{Table: cdc.Table{Name: name}})
		return err
	}
	for name, want := range map[string]string{
		"theirs":  `reading table public.theirs of source refusals: ERROR: permission denied for table theirs (SQLSTATE 42501). Run: GRANT SELECT ON "public"."theirs" TO "reader";`,
		"hidden":  `reading table public.hidden of source refusals: ERROR: query would be affected by row-level security policy for table "hidden" (SQLSTATE 42501). Run: GRANT SELECT ON "public"."hidden" TO "reader";`,
		"seen":    `reading table public.seen of source refusals: it is not a table with rows in the log. waybill check says what it is.`,
		"nowhere": `reading table public.nowhere of source refusals: ERROR: relation "public.nowhere" does not exist (SQLSTATE 42P01). Correct the name in the mapping, or create the table.`,
		"other":   `reading table public.other of source refusals: it is not selected. Only tables that the mapping reads are captured.`,
	} {
		err := read(t.Context(), name)
		var table *cdc.TableError
		if !errors.As(err, &table) || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		}
	}
	if err := read(t.Context(), "mine"); err != nil {
		t.Errorf("the other tables: %v", err)
	}

	// A table that somebody alters is left alone soon, and read when that is done.
	tx, err := p.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`ALTER TABLE mine ADD note text`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := read(t.Context(), "mine"); !errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "lock timeout") || time.Since(began) > 4*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := read(t.Context(), "mine"); err != nil {
		t.Errorf("behind the ALTER: %v", err)
	}
	p.Exec(t, `DROP VIEW seen; DROP TABLE mine`)
	var table *cdc.TableError
	if err := read(t.Context(), "mine"); !errors.As(err, &table) {
		t.Errorf("a dropped table: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := read(ctx, "mine"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	p.Kill()
	if err := read(t.Context(), "mine"); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("without a server: %v", err)
	}
}

// TestChunkLeavesNothing looks at the server between two chunks and after Close.
func TestChunkLeavesNothing(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, ssn text, n int); INSERT INTO loads SELECT i, '078-05-' || i, i FROM generate_series(1, 100) i;
		CREATE TABLE people (ssn text PRIMARY KEY, n int); INSERT INTO people SELECT '078-05-' || i, i FROM generate_series(1, 100) i`)
	cfg := config(p, "leaves")
	cfg.Masked = []string{"loads.ssn", "people.ssn"}
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n"), selection("people", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	for _, table := range []string{"loads", "people"} {
		for _, r := range f.chunks(table, "", 40) {
			if raw, err := r.Batch.AppendBinary(nil); err != nil || strings.Contains(string(raw), "078-05") {
				t.Fatalf("a chunk holds a masked column: %v", err)
			}
		}
	}
	if len(f.rows) != 200 {
		t.Errorf("%d rows", len(f.rows))
	}
	count := func(condition string) (n int) {
		t.Helper()
		if err := p.DB.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waybill' AND ` + condition).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	none := func(what, condition string) {
		t.Helper()
		for until := time.Now().Add(5 * time.Second); count(condition) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal(what)
			}
		}
	}
	none("a transaction is open between two chunks", "(state <> 'idle' OR backend_xmin IS NOT NULL)")
	if all := count("true"); all != 1 {
		t.Errorf("%d connections", all)
	}
	s.Close()
	none("a connection is left", "true")
}

func TestEstimate(t *testing.T) {
	p := cdctest.StartPostgres(t, "autovacuum=off")
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY); INSERT INTO loads SELECT generate_series(1, 1000); CREATE TABLE none (id int PRIMARY KEY);
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (40);
		CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (40) TO (2000); INSERT INTO parts SELECT generate_series(0, 1499)`)
	f := reading(t, p, "estimate", selection("loads"))
	estimates := func() string {
		var list []string
		for _, name := range []string{"loads", "none", "parts"} {
			n, err := f.s.Estimate(f.ctx, cdc.Table{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, fmt.Sprintf("%s %d", name, n))
		}
		return strings.Join(list, ", ")
	}
	if got := estimates(); got != "loads -1, none 0, parts -1" {
		t.Errorf("before ANALYZE: %s", got)
	}
	p.Exec(t, `ANALYZE`)
	if got := estimates(); got != "loads 1000, none 0, parts 1500" {
		t.Errorf("after ANALYZE: %s", got)
	}
	var table *cdc.TableError
	if _, err := f.s.Estimate(f.ctx, cdc.Table{Name: "nowhere"}); !errors.As(err, &table) {
		t.Errorf("a table that does not exist: %v", err)
	}
}

// TestChunkAsStream reads every type once as a chunk and once from the stream, and expects the same bytes and schema.
func TestChunkAsStream(t *testing.T) {
	p := cdctest.StartPostgres(t)
	script(t, p, "types.sql")
	s := postgres.New(config(p, "same"), everything(t, p, "types"), logger(t))
	defer s.Close()
	f := follow(t, s)
	f.start()
	f.next()
	script(t, p, "types_rows.sql")
	var raw [2][][]byte
	keep := func(i int, b cdc.Batch) {
		f.read(b)
		for f.reader.Reset(&b); f.reader.Next(); {
			for col := range f.reader.Change().Schema.Columns {
				_, value := f.reader.Change().RawNew(col)
				raw[i] = append(raw[i], slices.Clone(value))
			}
		}
	}
	for len(f.rows) < 8 {
		b, err := s.Next(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		keep(0, b)
	}
	r, err := s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: cdc.Table{Name: "types"}})
	if err != nil {
		t.Fatal(err)
	}
	keep(1, r.Batch)
	if len(raw[0]) == 0 || !slices.EqualFunc(raw[0], raw[1], slices.Equal) {
		t.Errorf("the stream has %q\nthe chunk has %q", raw[0], raw[1])
	}
	if len(f.schemas) != 1 {
		t.Errorf("%d schemas of one table", len(f.schemas))
	}
}
