package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cdc"
)

// tail opens the source at the log's end, and takes the first batch alone.
func (f *follower) tail() *follower {
	f.t.Helper()
	f.pos, f.bare = "", true
	return f.open()
}

// chunk reads one chunk and returns its rows as text.
func (f *follower) chunk(r cdc.ChunkRequest) (cdc.ChunkRead, []string, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out cdc.ChunkRead
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err = f.src.ReadChunk(ctx, r)
	}()
	for waiting := !f.followed; waiting; { // the stream is read meanwhile, as always
		select {
		case <-done:
			waiting = false
		case <-time.After(100 * time.Millisecond):
			if _, err := f.next(); err != nil {
				waiting = false
			}
		}
	}
	<-done
	if err != nil {
		return out, nil, err
	}
	schemas := map[uint64]*cdc.Schema{}
	for _, s := range out.Batch.Schemas {
		schemas[s.ID()] = s
	}
	reader := cdc.NewReader(Codecs(), func(id uint64) (*cdc.Schema, error) { return schemas[id], nil })
	reader.Reset(&out.Batch)
	var rows []string
	for reader.Next() {
		row := show(reader.Change())
		if strings.Contains(row, "=!") { // a value that cannot be carried: the bytes tell the row
			_, raw := reader.Change().RawNew(0)
			row += fmt.Sprintf(" %q", raw)
		}
		rows = append(rows, row)
	}
	if reader.Err() != nil || len(rows) != out.Batch.Changes || out.Batch.Position != "" || !out.Batch.Snapshot || out.High == "" {
		f.t.Fatalf("%v in %+v", reader.Err(), out)
	}
	return out, rows, nil
}

// background has another goroutine read the stream until stop.
func (f *follower) background() (stop func()) {
	f.followed = true
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := f.src.Next(ctx); err != nil && ctx.Err() == nil {
				f.t.Error(err)
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// table reads a whole table in chunks and returns its rows in order.
func (f *follower) table(r cdc.ChunkRequest) (rows []string, chunks []cdc.ChunkRead) {
	f.t.Helper()
	for n := 0; ; n++ {
		c, some, err := f.chunk(r)
		if err != nil {
			f.t.Fatal(err)
		}
		rows, chunks = append(rows, some...), append(chunks, c)
		if c.Batch.Chunk.End {
			return rows, chunks
		}
		if n > 10_000 || c.Batch.Chunk.After == "" || r.Rows > 0 && len(some) > r.Rows {
			f.t.Fatalf("chunk %d of %d rows ends at %q", n, len(some), c.Batch.Chunk.After)
		}
		r.After = c.Batch.Chunk.After
	}
}

// TestChunkKeys reads tables with keys of every form in pieces of one, two and all rows: the pieces are the table, in the order
// of the key.
func TestChunkKeys(t *testing.T) {
	db := database(t, server)
	cases := []struct{ name, columns, rows, options, where string }{
		{"int_", "id INT PRIMARY KEY", "(-5),(0),(7),(2147483647)", "", ""},
		{"unsigned_", "id BIGINT UNSIGNED PRIMARY KEY", "(0),(9223372036854775808),(18446744073709551615)", "", ""},
		{"zerofill_", "id INT(8) ZEROFILL PRIMARY KEY", "(5),(50),(500)", "", ""},
		{"decimal_", "id DECIMAL(65,30) PRIMARY KEY", "(-1.5),(0.000000000000000000000000000001),(12345678901234567890123456789012345.123456789012345678901234567891)", "", ""},
		{"double_", "id DOUBLE PRIMARY KEY", "(-1e300),(0.1),(0.30000000000000004),(1e22)", "", ""},
		{"float_", "id FLOAT PRIMARY KEY", "(-1.5),(0.1),(0.3),(16777216)", "", ""},
		{"year_", "id YEAR PRIMARY KEY", "(0),(1901),(1999),(2155)", "", ""},
		{"date_", "id DATE PRIMARY KEY", "('0000-00-00'),('2026-00-00'),('2026-03-08'),('9999-12-31')", "", ""},
		{"time_", "id TIME(3) PRIMARY KEY", "('-838:59:59'),('-00:00:00.5'),('10:00'),('10:00:00.001'),('838:59:59')", "", ""},
		{"datetime_", "id DATETIME(6) PRIMARY KEY", "('0000-00-00'),('2026-03-08 02:30:00'),('2026-03-08 02:30:00.000001')", "", ""},
		{"timestamp_", "id TIMESTAMP(2) PRIMARY KEY", "('1970-01-01 00:00:01'),('2026-03-08 02:30:00'),('2026-03-08 02:30:00.01')", "", ""},
		{"latin", "id VARCHAR(20) CHARSET latin1 PRIMARY KEY", "(''),('A\\'\\\\'),('Müller'),('müllerin'),('Z€')", "", ""},
		{"folded", "id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY", "('abc'),('ABD'),('abe '),('Ä'),('b\\n'),('日本'),('🚚')", "", ""},
		{"binary_", "id BINARY(4) PRIMARY KEY", "(X''),(X'0001'),(X'FF'),(X'FF5C27')", "", ""},
		{"blob_", "id VARBINARY(9) PRIMARY KEY", "(X''),(X'00'),(X'0000'),(X'FF5C27')", "", ""},
		{"char_", "id CHAR(9) COLLATE utf8mb4_nopad_bin PRIMARY KEY", "(''),('a'),('b'),('c')", "", ""},
		{"uuid_", "id UUID PRIMARY KEY", "('00000000-0000-0000-0000-000000000001'),('123e4567-e89b-12d3-a456-426655440000'),('f23e4567-e89b-12d3-a456-426655440000')", "", ""},
		{"enum_", "id ENUM('z','y','x','A') PRIMARY KEY", "('z'),('y'),('x'),('A')", "", ""},
		{"composite", "a INT, `b``c` VARCHAR(9), d DATE, PRIMARY KEY(d,a,`b``c`)", "(1,'x','2026-01-01'),(1,'y','2026-01-01'),(2,'a','2026-01-01'),(0,'q','2026-01-02'),(1,'','2026-01-02')", "", ""},
		{"kinds", "k ENUM('c','b','a'), id INT, PRIMARY KEY(k,id)", "('c',1),('c',2),('b',1),('a',0),('a',9)", "", ""},
		{"falling", "a INT, b INT, PRIMARY KEY(a DESC, b)", "(3,1),(3,2),(2,0),(1,5),(1,6)", "", ""},
		{"unique_", "a INT NOT NULL, b INT NULL UNIQUE, c INT NOT NULL UNIQUE", "(3,1,1),(1,NULL,2),(1,NULL,3)", "", ""},
		{"parts", "id INT PRIMARY KEY", "(1),(2),(3),(4),(5),(6)", "PARTITION BY HASH(id) PARTITIONS 3", ""},
		{"filtered", "id INT PRIMARY KEY, n INT", "(1,1),(2,0),(3,1),(4,0),(5,1),(6,NULL)", "", "n = 1 -- only ones"},
		{"isam", "id INT PRIMARY KEY", "(1),(2),(3),(4)", "ENGINE=MyISAM", ""},
		{"memory_", "id INT, PRIMARY KEY USING BTREE (id)", "(1),(2),(3),(4)", "ENGINE=MEMORY", ""},
		{"keyless", "a INT, b TEXT", "(1,'one'),(2,NULL),(2,NULL),(3,'x')", "", ""},
	}
	var selection []cdc.Selection
	for _, c := range cases {
		server.Exec(t, fmt.Sprintf("SET SESSION sql_mode=''; USE %s; CREATE TABLE %s(%s) %s; INSERT INTO %[2]s VALUES %[5]s", db, c.name, c.columns, c.options, c.rows))
		columns := map[string][]string{"keyless": {"a", "b"}, "filtered": {"n"}}
		selection = append(selection, pick(c.name, columns[c.name]...))
	}
	f := follow(t, config(server, db), selection...).tail()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			all, _ := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: c.name}, Where: c.where})
			want := strings.Count(c.rows, "),") + 1
			if c.where != "" {
				want = 3
			}
			if len(all) != want || want != len(slices.Compact(slices.Sorted(slices.Values(all)))) && c.name != "keyless" {
				t.Errorf("%d rows, want %d:\n%s", len(all), want, strings.Join(all, "\n"))
			}
			for _, n := range []int{1, 2} {
				pieces, chunks := f.table(cdc.ChunkRequest{Table: cdc.Table{Schema: db, Name: c.name}, Rows: n, Where: c.where})
				if !slices.Equal(pieces, all) {
					t.Errorf("in pieces of %d:\n%s\nat once:\n%s", n, strings.Join(pieces, "\n"), strings.Join(all, "\n"))
				}
				if len(chunks) < want/n {
					t.Errorf("%d chunks of %d rows for %d", len(chunks), n, want)
				}
			}
		})
	}
}

func (f *follower) tableError(r cdc.ChunkRequest, parts ...string) {
	f.t.Helper()
	_, _, err := f.chunk(r)
	var table *cdc.TableError
	if !errors.As(err, &table) {
		f.t.Fatalf("%v is no TableError", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			f.t.Errorf("%q does not say %q", err, p)
		}
	}
}

func TestChunkRefused(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(id INT PRIMARY KEY, n INT); CREATE TABLE gone(id INT PRIMARY KEY); CREATE TABLE bare(id INT) ENGINE=MyISAM;
		INSERT INTO t VALUES (1,1),(2,2); INSERT INTO bare VALUES (1)`)
	f := follow(t, config(server, db), pick("t", "n"), pick("gone"), pick("bare"))
	if _, err := f.src.ReadChunk(t.Context(), cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("before Open: %v", err)
	}
	f.tail()
	named := func(name string) cdc.Table { return cdc.Table{Name: name} }
	f.tableError(cdc.ChunkRequest{Table: named("t"), Where: "nowhere = 1"}, "nowhere", "Correct the filter \"nowhere = 1\"")
	f.tableError(cdc.ChunkRequest{Table: named("t"), Where: "n ="}, "Correct the filter")
	f.tableError(cdc.ChunkRequest{Table: named("other")}, "not among the selected tables", "Map it first")
	f.tableError(cdc.ChunkRequest{Table: named("bare")}, "engine MyISAM and no primary key", "ENGINE=InnoDB")
	server.Exec(t, "DROP TABLE "+db+".gone")
	f.tableError(cdc.ChunkRequest{Table: named("gone")}, "doesn't exist", "Make the table again")
	if n, err := f.src.Estimate(t.Context(), named("gone")); n != -1 || err != nil {
		t.Errorf("estimate of a table that is gone: %d, %v", n, err)
	}
	if n, err := f.src.Estimate(t.Context(), named("t")); n < 0 || err != nil {
		t.Errorf("estimate: %d, %v", n, err)
	}
	rows, _ := f.table(cdc.ChunkRequest{Table: named("t"), After: `{"key":["id bigint(20)"],"values":["1"]}`})
	equalRows(t, rows, "snapshot t new id=1 n=1", "snapshot t new id=2 n=2")
	rows, _ = f.table(cdc.ChunkRequest{Table: named("t"), After: `{"key":["id int(11)"],"values":["1 OR 1=1"]}`})
	equalRows(t, rows, "snapshot t new id=1 n=1", "snapshot t new id=2 n=2")
	rows, _ = f.table(cdc.ChunkRequest{Table: named("t"), After: `{"key":["id int(11)"],"values":["1"]}`})
	equalRows(t, rows, "snapshot t new id=2 n=2")
}

// TestChunkLocked has an ALTER wait for a transaction: a chunk gives up within its second, and an ALTER waits for a chunk
// no longer than that.
func TestChunkLocked(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY); INSERT INTO "+db+".t VALUES (1)")
	f := follow(t, config(server, db), pick("t")).tail()
	writer, err := server.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for _, s := range []string{"BEGIN", "INSERT INTO " + db + ".t VALUES (2)"} {
		if _, err := writer.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	altered := make(chan error, 1)
	go func() {
		_, err := server.DB.Exec("ALTER TABLE " + db + ".t ADD COLUMN n INT")
		altered <- err
	}()
	waitFor(t, func() bool {
		var n int
		err := server.DB.QueryRow("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'").Scan(&n)
		return err == nil && n == 1
	})
	began := time.Now()
	if _, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("while an ALTER waits: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("gave up after %v", took)
	}
	if _, err := writer.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-altered; err != nil {
		t.Error(err)
	}
	rows, _ := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	equalRows(t, rows, "snapshot t new id=1", "snapshot t new id=2")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

// TestChunkScan reads a table without a key: one view for all chunks, from the beginning again for a stranger's cursor, nothing
// left open.
func TestChunkScan(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE "+db+".t(a INT, b TEXT); INSERT INTO "+db+".t SELECT seq, REPEAT('x', 5000) FROM seq_1_to_2000")
	f := follow(t, config(server, db), pick("t", "a", "b")).tail()
	stop := f.background()
	first, rows, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	if err != nil || len(rows) < 300 || len(rows) > 500 || first.Batch.Chunk.End {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	server.Exec(t, "UPDATE "+db+".t SET a = -a; FLUSH BINARY LOGS")
	rest, chunks := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, After: first.Batch.Chunk.After})
	if len(rows)+len(rest) != 2000 || strings.Contains(strings.Join(rest, ""), "a=-") || chunks[0].Batch.Chunk.View != first.Batch.Chunk.View {
		t.Errorf("%d and %d rows, views %s and %s", len(rows), len(rest), first.Batch.Chunk.View, chunks[0].Batch.Chunk.View)
	}
	if again, _ := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, After: first.Batch.Chunk.After}); len(again) != 2000 || !strings.Contains(again[0], "a=-") {
		t.Errorf("%d rows after a stranger's cursor", len(again))
	}
	if _, _, err = f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); err != nil {
		t.Fatal(err)
	}
	stop()
	f.src.Close()
	waitFor(t, func() bool {
		time.Sleep(150 * time.Millisecond) // the server fills this table anew only after nobody has read it for 0.1 s
		var n int
		err := server.DB.QueryRow("SELECT COUNT(*) FROM information_schema.INNODB_TRX").Scan(&n)
		return err == nil && n == 0
	})
}

// TestChunkClosed closes the source while chunks are read.
func TestChunkClosed(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE "+db+".t(id INT PRIMARY KEY, b TEXT); INSERT INTO "+db+".t SELECT seq, REPEAT('x', 500) FROM seq_1_to_20000")
	f := follow(t, config(server, db), pick("t", "b")).tail()
	read, ended := make(chan bool), make(chan error, 3)
	for range cap(ended) {
		go func() {
			for {
				if _, err := f.src.ReadChunk(context.Background(), cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); err != nil {
					ended <- err
					return
				}
				select {
				case read <- true:
				default:
				}
			}
		}()
	}
	for range cap(ended) { // all are at it by then
		<-read
	}
	f.src.Close()
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, cdc.ErrDisconnected) {
			t.Error(err)
		}
	}
	f.tail()
	if _, rows, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}}); err != nil || len(rows) == 0 {
		t.Errorf("after another Open: %d rows, %v", len(rows), err)
	}
}

// TestChunkRenamed swaps the table for another again and again, as gh-ost does: a chunk holds the rows of the table that had the
// name at the view's place.
func TestChunkRenamed(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1,0); CREATE TABLE next0(id INT PRIMARY KEY, n INT)")
	f := follow(t, config(server, db), pick("t", "n")).tail()
	defer f.background()()
	swapped := []place{{}} // where the log stood behind each renaming
	var chunks, renamings atomic.Int64
	end := time.Now().Add(time.Minute)
	enough := func() bool { return chunks.Load() >= 100 && renamings.Load() >= 20 || time.Now().After(end) }
	views := make(chan []string, 1)
	go func() {
		var seen []string // view and row
		defer func() { views <- seen }()
		for !enough() {
			c, rows, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
			if errors.Is(err, cdc.ErrDisconnected) {
				continue
			}
			if err != nil || len(rows) != 1 {
				t.Error(rows, err)
				return
			}
			seen = append(seen, c.Batch.Chunk.View+" "+rows[0])
			chunks.Add(1)
		}
	}()
	for i := 1; !enough(); i++ {
		server.Exec(t, fmt.Sprintf("USE %s; INSERT INTO next%d VALUES (1,%d); CREATE TABLE next%[3]d(id INT PRIMARY KEY, n INT); RENAME TABLE t TO old%[3]d, next%[2]d TO t", db, i-1, i))
		var file, other string
		var pos uint64
		if err := server.DB.QueryRow("SHOW MASTER STATUS").Scan(&file, &pos, &other, &other); err != nil {
			t.Fatal(err)
		}
		swapped = append(swapped, place{file: fileNumber(file), pos: pos})
		server.Exec(t, fmt.Sprintf("DROP TABLE %s.old%d", db, i))
		renamings.Add(1)
		time.Sleep(3 * time.Millisecond) // a chunk's snapshot needs a moment without a renaming
	}
	seen := <-views
	for _, s := range seen {
		parts := strings.Split(s, " ")
		view, err := parsePlace(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, at := range swapped {
			if at.file < view.file || at.file == view.file && at.pos <= view.pos {
				n = i
			}
		}
		if parts[len(parts)-1] != fmt.Sprintf("n=%d", n) {
			t.Fatalf("%s, want n=%d", s, n)
		}
	}
	t.Logf("%d chunks, %d renamings", len(seen), len(swapped)-1)
	if len(seen) < 100 || len(swapped) <= 20 {
		t.Error("too little within a minute for the test to mean anything")
	}
}

// TestChunkWide reads rows of very different sizes: a chunk ends at about 2 MiB all the same.
func TestChunkWide(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(id INT PRIMARY KEY, b LONGTEXT);
		INSERT INTO t SELECT seq, 'x' FROM seq_1_to_5000; INSERT INTO t SELECT 5000 + seq, REPEAT('y', 300000) FROM seq_1_to_50`)
	f := follow(t, config(server, db), pick("t", "b")).tail()
	rows, chunks := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	if len(rows) != 5050 {
		t.Errorf("%d rows", len(rows))
	}
	for _, c := range chunks {
		if n := len(c.Batch.Data); n > chunkBytes+400_000 {
			t.Errorf("a chunk of %d bytes", n)
		}
	}
	if len(chunks) < 9 {
		t.Errorf("%d chunks", len(chunks))
	}
}

// TestChunkFilter looks for one row in many: no statement walks through all of them.
func TestChunkFilter(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+"; CREATE TABLE t(id INT PRIMARY KEY, b VARCHAR(300)); INSERT INTO t SELECT seq, seq FROM seq_1_to_60000")
	f := follow(t, config(server, db), pick("t", "b")).tail()
	rows, chunks := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}, Where: "b = '59999'", Rows: 1000})
	equalRows(t, rows, "snapshot t new id=59999 b=59999")
	if len(chunks) != 7 {
		t.Errorf("%d chunks, want 6 windows of 10000 rows and the end", len(chunks))
	}
}

// TestChunkGrants reads as a user with no more rights than the stream needs.
func TestChunkGrants(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(id INT PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE isam(id INT PRIMARY KEY) ENGINE=MyISAM;
		INSERT INTO isam VALUES (2); CREATE OR REPLACE USER reader IDENTIFIED BY 'x'; GRANT BINLOG MONITOR, REPLICATION SLAVE ON *.* TO reader;
		GRANT SELECT ON t TO reader; GRANT SELECT ON isam TO reader`)
	defer server.Exec(t, "DROP USER reader")
	cfg := config(server, db)
	cfg.User, cfg.Password = "reader", "x"
	f := follow(t, cfg, pick("t"), pick("isam")).tail()
	rows, _ := f.table(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
	equalRows(t, rows, "snapshot t new id=1")
	isam := cdc.ChunkRequest{Table: cdc.Table{Name: "isam"}}
	f.tableError(isam, "GRANT LOCK TABLES ON `"+db+"`.* TO 'reader';")
	server.Exec(t, "GRANT LOCK TABLES ON `"+db+"`.* TO 'reader';")
	rows, _ = f.table(isam)
	equalRows(t, rows, "snapshot isam new id=2")
}

// TestChunkByIndex asks the server how it goes on in the middle of a table: by the index, neither from its beginning nor by
// sorting.
func TestChunkByIndex(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE t(k ENUM('c','b','a'), s VARCHAR(20) COLLATE utf8mb4_general_ci, d DATE, id BIGINT UNSIGNED, PRIMARY KEY(k, s, d, id));
		INSERT INTO t SELECT 1 + seq % 3, CONCAT('K', seq % 100), '2026-01-01', seq FROM seq_1_to_20000; ANALYZE TABLE t`)
	src := New(config(server, db), []cdc.Selection{pick("t")}, quiet())
	r, err := src.cfg.newReader(t.Context(), &src.readers.turn)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	d, err := r.hold(t.Context(), src.tables[0])
	if err != nil {
		t.Fatal(err)
	}
	behind, err := d.ask.key.behind([]string{"2", "4B3530", "2026-01-01", "17"})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{d.ask.rows(100, behind), d.ask.edge(1000, behind)} {
		plan, err := r.guard.query(t.Context(), "EXPLAIN "+q)
		if err != nil || plan[0][3] != "range" || strings.Contains(strings.Join(plan[0], " "), "sort") {
			t.Errorf("%v, %v: %s", plan, err, q)
		}
	}
}

// TestTail sees nothing of what was before, everything after, and goes on at a stored position under the same opening.
func TestTail(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY); INSERT INTO "+db+".t VALUES (1)")
	f := follow(t, config(server, db), pick("t")).tail()
	server.Exec(t, "INSERT INTO "+db+".t VALUES (2)")
	equalRows(t, f.until(1), "insert t new id=2")
	first, err := parsePosition(f.pos)
	if err != nil || first.opening == "" {
		t.Fatalf("position %s, %v", f.pos, err)
	}
	server.Exec(t, "INSERT INTO "+db+".t VALUES (3)")
	f.reopen()
	equalRows(t, f.until(2)[1:], "insert t new id=3")
	if again, err := parsePosition(f.pos); err != nil || again.opening != first.opening {
		t.Errorf("position %s after %s, %v", f.pos, first.text(), err)
	}
	server.Exec(t, "DROP TABLE "+db+".t")
	f.src.Close()
	var refused *cdc.RefusedError
	if err := f.src.Open(t.Context(), ""); !errors.As(err, &refused) {
		t.Errorf("opening at the tail without the table: %v", err)
	}
}

// TestNudge measures how soon an idle stream answers.
func TestNudge(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY); CREATE TABLE "+db+".unread(id INT PRIMARY KEY)")
	cfg := config(server, db)
	cfg.Heartbeat = time.Minute
	f := follow(t, cfg, pick("t")).tail()
	type answer struct {
		batch cdc.Batch
		at    time.Time
	}
	answers := make(chan answer, 100)
	f.followed = true
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			b, err := f.src.Next(ctx)
			if err != nil {
				return
			}
			answers <- answer{b, time.Now()}
		}
	}()
	var times []time.Duration
	for i := range 60 {
		switch i % 3 {
		case 1:
			server.Exec(t, fmt.Sprintf("INSERT INTO %s.unread VALUES (%d)", db, i))
		case 2:
			if i == 50 {
				server.Exec(t, "FLUSH BINARY LOGS")
			}
		}
		c, _, err := f.chunk(cdc.ChunkRequest{Table: cdc.Table{Name: "t"}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		f.src.Nudge()
		select {
		case a := <-answers:
			times = append(times, a.at.Sub(began))
			if !a.batch.Watermark() || !f.src.Covers(a.batch.Position, c.High) {
				t.Errorf("%d: %+v does not cover %s", i, a.batch, c.High)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d: no answer", i)
		}
	}
	slices.Sort(times)
	t.Logf("answers after %v (median), %v (longest)", times[30], times[59])
	if times[30] > 20*time.Millisecond {
		t.Errorf("a median of %v", times[30])
	}
	stop()
	<-ended
}
