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
	f.start()
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
	reads := make([][]part, 2)
	for i := range reads {
		readers.Go(func() { reads[i] = readAgain(ctx, t, s) })
	}
	history := map[string][]change{}
	collect := func() {
		f.next()
		for _, r := range f.take() {
			if r.schema.Table.Name == "counters" && r.op == cdc.Update {
				history[r.new[0]] = append(history[r.new[0]], change{r.tx, number(t, r.new[1]), r.new[2] == `"true"`})
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
	var n tally
	all := append(reads[0], reads[1]...)
	for i := 0; i < len(all); i += 1 + len(all)/500 { // 500 of them, from the whole time
		n.compare(t, f, all[i], history)
	}
	t.Logf("%d chunks read; %d changes compared, %d of them behind the oldest running transaction, %d in the log but not seen, %d rows not there",
		len(all), n.compared, n.close, n.ahead, n.absent)
	if n.compared < 1000 || n.close < 100 || n.absent < 20 {
		t.Errorf("too little was compared: %+v", n)
	}
}

// part is a chunk with the key that it begins behind.
type part struct {
	from int
	cdc.ChunkRead
}

// tally counts comparisons, and those that are worth the name.
type tally struct{ compared, close, ahead, absent int }

// readAgain reads the table over and over.
func readAgain(ctx context.Context, t *testing.T, s *postgres.Source) (list []part) {
	after := ""
	for ctx.Err() == nil {
		r, err := s.ReadChunk(context.Background(), cdc.ChunkRequest{Table: cdc.Table{Name: "loads"}, After: after, Rows: 20})
		if err != nil {
			t.Error(err)
			return list
		}
		list = append(list, part{keyOf(t, after), r})
		if after = r.Batch.Chunk.After; r.Batch.Chunk.End {
			after = ""
		}
	}
	return list
}

func keyOf(t *testing.T, cursor string) int {
	if cursor == "" {
		return 0
	}
	_, text, _ := strings.Cut(cursor, `"after":["`)
	text, _, _ = strings.Cut(text, `"`)
	return number(t, text)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Trim(text, `"`))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// compare takes every key that the chunk speaks of, and every change of it.
func (n *tally) compare(t *testing.T, f *follower, p part, history map[string][]change) {
	t.Helper()
	f.read(p.Batch)
	shown := map[string]string{}
	for _, row := range f.take() {
		shown[row.new[0]] = row.new[1]
	}
	to := 60
	if !p.Batch.Chunk.End {
		to = keyOf(t, p.Batch.Chunk.After)
	}
	for id := p.from + 1; id <= to; id++ {
		key := fmt.Sprintf("%q", strconv.Itoa(id))
		last, there := 0, true // as the table began
		for _, c := range history[key] {
			if n.sees(t, p.ChunkRead, c) {
				if c.v != last+1 {
					t.Fatalf("row %d: %s sees version %d, but not that before it", id, p.Batch.Chunk.View, c.v)
				}
				last, there = c.v, c.there
			}
		}
		version, is := shown[key]
		if is != there || is && number(t, version) != last {
			t.Fatalf("row %d: the chunk shows %s (there: %t); with what %s sees, it is at version %d (there: %t)",
				id, version, is, p.Batch.Chunk.View, last, there)
		}
		if !is {
			n.absent++
		}
	}
}

func (n *tally) sees(t *testing.T, r cdc.ChunkRead, c change) bool {
	t.Helper()
	sees, err := postgres.Codec().(cdc.Viewer).Sees(r.Batch.Chunk.View, c.tx)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := pglogrepl.ParseLSN(c.tx.Commit)
	if err != nil {
		t.Fatal(err)
	}
	high, err := pglogrepl.ParseLSN(strings.TrimPrefix(string(r.High), r.Batch.Identity+"/"))
	if err != nil {
		t.Fatal(err)
	}
	oldest, _, _ := strings.Cut(strings.TrimPrefix(r.Batch.Chunk.View, "pgtext/1 "), ":")
	n.compared++
	switch {
	case sees && commit >= high:
		t.Fatalf("%s sees the transaction that committed at %s, behind High, which is %s", r.Batch.Chunk.View, commit, high)
	case number(t, c.tx.XID) >= number(t, oldest) && number(t, c.tx.XID) < number(t, oldest)+50:
		n.close++
	case !sees && commit < high:
		n.ahead++
	}
	return sees
}
