package cdctest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cdc"
)

// testReading writes while the stream begins and the table is read, in transactions that keep the sum of n.
func testReading(t *testing.T, h Harness) {
	const rows, sum = 2000, 2000 * 1000
	r := start(t, h, "handover")
	r.fill(rows)
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { transfers(ctx, r, w, rows) })
	}
	pause(ctx, 200*time.Millisecond)
	r.open()
	r.until(func() bool { return len(r.changes) > 100 })
	r.readTable("", 300)
	read := len(r.changes)
	r.until(func() bool { return len(r.changes) > read+500 })
	stop()
	writers.Wait()
	r.exec("INSERT INTO {t} VALUES (999999, 0, 'end')")
	r.until(r.last("999999"))
	got, want := r.rows(), r.current()
	if !maps.Equal(got, want) {
		t.Fatalf("replayed to %d rows which differ from the table's %d", len(got), len(want))
	}
	r.whole(got, sum)
}

// fill writes so many rows of 1.5 kB with an n of 1000.
func (r *run) fill(rows int) {
	r.t.Helper()
	values := make([]string, rows)
	for i := range values {
		values[i] = fmt.Sprintf("(%d, 1000, '%s')", i, strings.Repeat("x", 1500))
	}
	r.exec("INSERT INTO {t} VALUES " + strings.Join(values, ", "))
}

// whole expects a sum that every transaction keeps.
func (r *run) whole(rows map[string]string, sum int) {
	r.t.Helper()
	total := 0
	for _, n := range rows {
		total += number(r, n)
	}
	if total != sum {
		r.t.Errorf("the sum is %d, want %d: a transaction was torn apart", total, sum)
	}
}

// transfers moves amounts between rows, and sometimes gives a row another key, until ctx ends.
func transfers(ctx context.Context, r *run, writer, rows int) {
	random := rand.New(rand.NewPCG(1, uint64(writer)))
	for i := 0; ctx.Err() == nil; i++ {
		from, to, v := random.IntN(rows), random.IntN(rows), random.IntN(10)
		if from == to {
			continue
		}
		if from > to {
			from, to, v = to, from, -v // one order of locks
		}
		fresh := 1_000_000*(writer+1) + i
		err := r.try(
			fmt.Sprintf("UPDATE {t} SET n = n - %d WHERE id = %d", v, from),
			fmt.Sprintf("UPDATE {t} SET n = n + %d WHERE id = %d", v, to),
			fmt.Sprintf("INSERT INTO {t} VALUES (%d, 0, 'new')", fresh),
			fmt.Sprintf("UPDATE {t} SET id = %d WHERE id = %d", fresh+500_000, fresh),
			fmt.Sprintf("DELETE FROM {t} WHERE id = %d", fresh+500_000-2))
		if err != nil {
			r.t.Error(err)
			return
		}
	}
}

// testCursor reads a part of a table, and the rest in another session.
func testCursor(t *testing.T, h Harness) {
	r := start(t, h, "cursor", "INSERT INTO {t} VALUES (9, 9, 'x'), (1, 1, 'x'), (5, 5, 'x'), (3, 3, 'x'), (7, 7, 'x')")
	r.open()
	after := r.readChunk("", 2).After
	if err := r.src.Close(); err != nil {
		t.Fatal(err)
	}
	r.exec("DELETE FROM {t} WHERE id = 3") // the row that the cursor names
	r.exec("UPDATE {t} SET n = 50 WHERE id = 5")
	r.open()
	r.readTable(after, 2)
	r.until(func() bool { return len(r.changes) == 2 })
	if got, want := r.rows(), r.current(); !maps.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if _, err := r.src.ReadChunk(r.ctx, cdc.ChunkRequest{Table: cdc.Table{Schema: h.Schema, Name: "unheard_of"}}); !errors.As(err, new(*cdc.TableError)) {
		t.Errorf("a table that is not selected: %v", err)
	}
	r.exec("DELETE FROM {t}")
	r.chunks = nil
	if c := r.readChunk("", 2); !c.End || len(r.chunks[0].rows) > 0 {
		t.Errorf("an empty table gives %+v", c)
	}
}

// testPeek reads two tables as one moment saw them, beside transactions that write a row into both, without a session.
func testPeek(t *testing.T, h Harness) {
	r := start(t, h, "peek")
	r.fill(2000)
	r.exec("DROP TABLE IF EXISTS {t}_other")
	r.exec("CREATE TABLE {t}_other (id integer NOT NULL PRIMARY KEY)")
	r.exec("INSERT INTO {t}_other SELECT id FROM {t}")
	other := cdc.Table{Schema: r.table.Schema, Name: r.table.Name + "_other"}
	r.src = h.New(t, r.name, []cdc.Selection{{Table: r.table, Columns: []string{"note"}}, {Table: other}})
	inspector, ok := r.src.(cdc.Inspector)
	if !ok {
		t.Fatal("the source is no Inspector")
	}
	ctx, stop := context.WithCancel(r.ctx)
	var written atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 5000; ctx.Err() == nil; i++ {
			if err := r.try(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 0, 'new')", i), fmt.Sprintf("INSERT INTO {t}_other VALUES (%d)", i)); err != nil {
				t.Error(err)
				return
			}
			written.Add(1)
		}
	})
	eventually(t, deadline, func() bool { return written.Load() > 0 }, func() string { return "nothing is written" })
	var parts []cdc.Batch
	err := inspector.Peek(r.ctx, func(b cdc.Batch) error {
		parts = append(parts, b)
		for from := written.Load(); b.Part == 0 && written.Load() < from+2; pause(r.ctx, time.Millisecond) { // between the tables
			if r.ctx.Err() != nil || t.Failed() {
				return errors.New("nothing is written any more")
			}
		}
		return nil
	})
	stop()
	writer.Wait()
	if err != nil || len(parts) < 2 {
		t.Fatalf("%d parts of 3 MB, %v", len(parts), err)
	}
	count := map[cdc.Table]int{}
	for i, b := range parts {
		if !b.Snapshot || b.Source != r.name || b.Identity == "" || b.Tx == "" || b.Tx != parts[0].Tx || b.Part != i || b.More == (i == len(parts)-1) ||
			b.Position != "" || b.CommitAt.IsZero() {
			t.Fatalf("part %d of %d is %+v", i, len(parts), b)
		}
		for _, s := range b.Schemas {
			r.schemas[s.ID()] = s
		}
		for r.reader.Reset(&b); r.reader.Next(); {
			count[r.reader.Change().Schema.Table]++
		}
		if err := r.reader.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if count[r.table] <= 2000 || count[r.table] != count[other] {
		t.Errorf("%v: the rows of one transaction are in one table and not in the other", count)
	}
	enough := errors.New("enough")
	if err := inspector.Peek(r.ctx, func(cdc.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Peek returned %v, want the error of yield", err)
	}
}
