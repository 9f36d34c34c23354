package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// Each row of loads has a version that every change of it counts up; counters keeps it while the row is deleted. So a chunk
// shows which of the changes it includes, and the view must say just that.
const oracleSQL = `CREATE TABLE counters (id int PRIMARY KEY, v int, there bool); CREATE TABLE loads (id int PRIMARY KEY, v int);
	INSERT INTO counters SELECT i, 0, true FROM generate_series(1, 60) i; INSERT INTO loads SELECT id, v FROM counters`

// change is one change of a row in a transaction of the stream.
type change struct {
	tx    cdc.Tx
	v     int
	there bool
}

// write runs transactions of all kinds until ctx ends: short and long ones, with savepoints that are kept and that are
// rolled back, with and without waiting for the disk, and whole ones that are rolled back.
func write(ctx context.Context, db *sql.DB, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		first, count := 1+rnd.IntN(50), 1+rnd.IntN(4)
		steps := []string{"SET LOCAL synchronous_commit = " + []string{"on", "off"}[rnd.IntN(2)], "SET LOCAL lock_timeout = '10s'"}
		for i := range count { // in ascending order, so that no two wait for each other
			id := first + 2*i
			step := fmt.Sprintf(`UPDATE counters SET v = v + 1, there = true WHERE id = %[1]d;
				INSERT INTO loads SELECT id, v FROM counters WHERE id = %[1]d ON CONFLICT (id) DO UPDATE SET v = excluded.v`, id)
			if rnd.IntN(4) == 0 {
				step = fmt.Sprintf(`UPDATE counters SET v = v + 1, there = false WHERE id = %[1]d; DELETE FROM loads WHERE id = %[1]d`, id)
			}
			switch rnd.IntN(4) {
			case 0:
				step = "SAVEPOINT a; " + step + "; RELEASE SAVEPOINT a"
			case 1:
				step = "SAVEPOINT a; " + step + "; ROLLBACK TO SAVEPOINT a; SAVEPOINT b; " + step
			}
			steps = append(steps, step)
			if rnd.IntN(10) == 0 {
				steps = append(steps, fmt.Sprintf("SELECT pg_sleep(%f)", rnd.Float64()/3)) // stays open across chunks
			}
		}
		for _, step := range steps {
			if _, err := tx.Exec(step); err != nil {
				return fmt.Errorf("%w in %s", err, step)
			}
		}
		if rnd.IntN(10) == 0 {
			err = tx.Rollback()
		} else {
			err = tx.Commit()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestSeesWhatTheRowsShow reads chunks under concurrent writers and compares, for each row of each chunk and each transaction
// of the stream that touched it, what Sees says with what the row shows.
func TestSeesWhatTheRowsShow(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, oracleSQL)
	s := postgres.New(config(p, "oracle"), []cdc.Selection{selection("counters", "v", "there"), selection("loads", "v")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open(cdc.Tail)
	f.next()
	ctx, stop := context.WithTimeout(t.Context(), 6*time.Second)
	defer stop()
	var writers, readers sync.WaitGroup
	p.DB.SetMaxOpenConns(20)
	for i := range 4 {
		writers.Go(func() {
			if err := write(ctx, p.DB, uint64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	reads := make([][]cdc.ChunkRead, 2)
	for i := range reads {
		readers.Go(func() { reads[i] = readAgain(ctx, t, s) })
	}
	history := map[string][]change{}
	collect := func() {
		f.next()
		for _, r := range f.take() {
			if r.schema.Table.Name == "counters" && r.op == cdc.Update {
				v, err := strconv.Atoi(strings.Trim(r.new[1], `"`))
				if err != nil {
					t.Fatal(err)
				}
				history[r.new[0]] = append(history[r.new[0]], change{r.tx, v, r.new[2] == `"true"`})
			}
		}
	}
	for ctx.Err() == nil {
		collect()
	}
	writers.Wait()
	readers.Wait()
	var high cdc.Position
	for _, list := range reads {
		if len(list) > 0 && !s.Covers(high, list[len(list)-1].High) {
			high = list[len(list)-1].High
		}
	}
	for !s.Covers(f.pos, high) {
		s.Nudge()
		collect()
	}
	compared, unseen := 0, 0
	for _, r := range append(reads[0], reads[1]...) {
		a, b := compareWithOracle(t, f, r, history)
		compared, unseen = compared+a, unseen+b
	}
	t.Logf("%d chunks, %d changes of rows compared, %d of them between running ones", len(reads[0])+len(reads[1]), compared, unseen)
	if compared < 1000 || unseen < 10 {
		t.Errorf("only %d comparisons, %d of them worth the name", compared, unseen)
	}
}

// readAgain reads the table over and over.
func readAgain(ctx context.Context, t *testing.T, s *postgres.Source) (list []cdc.ChunkRead) {
	after := ""
	for ctx.Err() == nil {
		r, err := s.ReadChunk(context.Background(), cdc.ChunkRequest{Table: cdc.Table{Name: "loads"}, After: after, Rows: 20})
		if err != nil {
			t.Error(err)
			return list
		}
		list = append(list, r)
		if after = r.Batch.Chunk.After; r.Batch.Chunk.End {
			after = ""
		}
	}
	return list
}

// compareWithOracle returns the number of changes compared, and of those that the log has before High but the view does not see.
func compareWithOracle(t *testing.T, f *follower, r cdc.ChunkRead, history map[string][]change) (compared, unseen int) {
	t.Helper()
	f.read(r.Batch)
	rows := f.take()
	viewer := postgres.Codec().(cdc.Viewer)
	_, text, _ := strings.Cut(strings.TrimPrefix(string(r.High), "pg/"), "/")
	_, text, _ = strings.Cut(text, "/")
	high, err := pglogrepl.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		shown, err := strconv.Atoi(strings.Trim(row.new[1], `"`))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range history[row.new[0]] {
			sees, err := viewer.Sees(r.Batch.Chunk.View, c.tx)
			if err != nil {
				t.Fatal(err)
			}
			compared++
			commit, err := pglogrepl.ParseLSN(c.tx.Commit)
			if err != nil {
				t.Fatal(err)
			}
			if sees != (c.v <= shown) {
				t.Fatalf("row %s shows version %d; of transaction %+v, version %d, the view %s says %t", row.new[0], shown, c.tx, c.v, r.Batch.Chunk.View, sees)
			}
			if sees && (commit >= high || c.v == shown && !c.there) {
				t.Fatalf("row %s, version %d: transaction %+v is seen, High is %s, and the row was there: %t", row.new[0], shown, c.tx, high, c.there)
			}
			if !sees && commit < high {
				unseen++
			}
		}
	}
	return compared, unseen
}
