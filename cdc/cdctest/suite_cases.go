package cdctest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

func testOperations(t *testing.T, h Harness) {
	r := start(t, h, "operations", "INSERT INTO {t} VALUES (1, 10, NULL)")
	r.open()
	r.readTable("", 0)
	r.tx("INSERT INTO {t} VALUES (2, 20, 'two')", "UPDATE {t} SET note = 'zwei' WHERE id = 2", "UPDATE {t} SET id = 3 WHERE id = 2",
		"UPDATE {t} SET note = NULL WHERE id = 3", "DELETE FROM {t} WHERE id = 3")
	r.exec("TRUNCATE TABLE {t}")
	r.until(func() bool { return len(r.changes) > 0 && r.changes[len(r.changes)-1].op == cdc.Truncate })
	var got []string
	for _, c := range append(r.chunks[0].rows, r.changes...) {
		line := fmt.Sprintf("%s %d new", c.op, c.ordinal)
		for _, name := range []string{"id", "n", "note"} {
			line += " " + show(c.new[name])
		}
		got = append(got, line+" old id "+show(c.old["id"]))
	}
	// An UPDATE that keeps the key may or may not carry the old one, as the log has it.
	want := []string{
		"snapshot 0 new 1 10 null old id absent",
		"insert 0 new 2 20 two old id absent",
		"update 1 new 2 20 zwei old id *",
		"update 2 new 3 20 zwei old id 2",
		"update 3 new 3 20 null old id *",
		"delete 4 new absent absent absent old id 3",
		"truncate 0 new absent absent absent old id absent",
	}
	if len(got) != len(want) {
		t.Fatalf("got %d changes, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if prefix, any := strings.CutSuffix(want[i], "*"); got[i] != want[i] && !(any && strings.HasPrefix(got[i], prefix)) {
			t.Errorf("change %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	for i := range 5 {
		if r.changes[i].tx != r.changes[0].tx {
			t.Errorf("change %d is of transaction %+v, want %+v", i, r.changes[i].tx, r.changes[0].tx)
		}
	}
}

func show(v cdc.Value) string {
	switch v.State {
	case cdc.Absent:
		return "absent"
	case cdc.Null:
		return "null"
	}
	return v.Text
}

// testResume closes after every few batches and opens again at the stored position, with and without having confirmed.
func testResume(t *testing.T, h Harness) {
	r := start(t, h, "resume")
	r.open()
	const transactions = 60
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range transactions {
			_, err := r.h.DB.ExecContext(r.ctx, r.sql(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 1, 'a'), (%d, 2, 'b')", 2*i, 2*i+1)))
			if err != nil {
				t.Error(err)
				return
			}
			pause(r.ctx, 5*time.Millisecond)
		}
	}()
	random := rand.New(rand.NewPCG(1, 2))
	for sessions := 0; len(r.changes) < 2*transactions; sessions++ {
		for range 1 + random.IntN(3) {
			b, err := r.next()
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			if random.IntN(2) == 0 && b.Position != "" {
				r.src.Confirm(b.Position)
			}
			if len(r.changes) >= 2*transactions {
				break
			}
		}
		if err := r.src.Close(); err != nil {
			t.Fatal(err)
		}
		r.open()
	}
	<-written
	if got, want := r.rows(), r.current(); !maps.Equal(got, want) {
		t.Errorf("replayed to %d rows, want %d", len(got), len(want))
	}
	for i, c := range r.changes {
		if want := fmt.Sprint(i); c.new["id"].Text != want {
			t.Fatalf("change %d is of row %s: order or changes were lost", i, c.new["id"].Text)
		}
	}
}

// largeRows is a transaction of about 12 MB.
const largeRows = 8000

func (r *run) large(first int) {
	r.t.Helper()
	note := strings.Repeat("y", 1500)
	var statements []string
	for at := 0; at < largeRows; at += 500 {
		values := make([]string, 500)
		for i := range values {
			values[i] = fmt.Sprintf("(%d, 1, '%s')", first+at+i, note)
		}
		statements = append(statements, "INSERT INTO {t} VALUES "+strings.Join(values, ", "))
	}
	r.tx(statements...)
}

func testLargeTransaction(t *testing.T, h Harness) {
	r := start(t, h, "large")
	r.open()
	r.exec("INSERT INTO {t} VALUES (-1, 0, 'before')")
	r.large(0)
	r.exec("INSERT INTO {t} VALUES (-2, 0, 'after')")
	parts := 0
	for len(r.changes) < largeRows+2 {
		if b := r.must(); b.More {
			parts++
		}
	}
	if parts < 2 {
		t.Errorf("a transaction of 12 MB came in %d parts before the last", parts)
	}
	for i, c := range r.changes[1 : largeRows+1] {
		if c.ordinal != i || c.new["id"].Text != fmt.Sprint(i) || c.tx.Commit != r.changes[1].tx.Commit {
			t.Fatalf("change %d: row %s, ordinal %d, commit %s", i, c.new["id"].Text, c.ordinal, c.tx.Commit)
		}
	}
	r.rows()
}

// testCloseInsideTransaction closes between the parts: the transaction must come again, whole.
func testCloseInsideTransaction(t *testing.T, h Harness) {
	r := start(t, h, "inside")
	r.open()
	r.large(0)
	for b := r.must(); !b.More; b = r.must() {
	}
	if err := r.src.Close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.until(func() bool { return len(r.changes) >= largeRows })
	if got := len(r.rows()); got != largeRows {
		t.Errorf("%d rows, want %d", got, largeRows)
	}
}

func testRollback(t *testing.T, h Harness) {
	r := start(t, h, "rollback")
	r.open()
	tx, err := h.DB.BeginTx(r.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(r.ctx, r.sql("INSERT INTO {t} VALUES (1, 1, 'no')")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	r.tx("INSERT INTO {t} VALUES (2, 1, 'yes')", "SAVEPOINT s", "INSERT INTO {t} VALUES (3, 1, 'no')",
		"ROLLBACK TO SAVEPOINT s", "INSERT INTO {t} VALUES (4, 1, 'yes')")
	r.until(r.last("4"))
	if got := len(r.changes); got != 2 || r.changes[0].new["id"].Text != "2" {
		t.Errorf("%d changes, want those of rows 2 and 4: %v", got, r.changes)
	}
}

// testSelection captures one column beside the key, and writes to a table that is not selected.
func testSelection(t *testing.T, h Harness) {
	r := start(t, h, "selection", "INSERT INTO {t} VALUES (1, 1, 'secret')")
	r.src = h.New(t, r.name, []cdc.Selection{{Table: r.table, Columns: []string{"n"}}})
	r.exec("DROP TABLE IF EXISTS {t}_other")
	r.exec("CREATE TABLE {t}_other (id integer NOT NULL PRIMARY KEY)")
	r.open()
	r.tx("INSERT INTO {t}_other VALUES (1)", "INSERT INTO {t} VALUES (2, 2, 'secret')", "DELETE FROM {t}_other")
	r.exec("INSERT INTO {t}_other VALUES (2)")
	r.exec("INSERT INTO {t} VALUES (3, 3, 'secret')")
	for len(r.changes) < 2 {
		if b := r.must(); strings.Contains(string(b.Data), "secret") {
			t.Fatal("a batch holds the bytes of a column that was not selected")
		}
	}
	r.readTable("", 0)
	if strings.Contains(string(r.chunks[0].data), "secret") {
		t.Fatal("a chunk holds the bytes of a column that was not selected")
	}
	for _, c := range append(r.changes, r.chunks[0].rows...) {
		if len(c.new) != 2 {
			t.Errorf("captured columns %v, want id and n", c.new)
		}
	}
}

// testConfirm watches what the server keeps: never a position that was not confirmed (Invariant 1).
func testConfirm(t *testing.T, h Harness) {
	if h.Confirmed == nil {
		t.Skip("servers of this kind keep no position for us")
	}
	r := start(t, h, "confirm")
	r.open()
	begin := r.pos
	for i := range 20 {
		r.exec(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 0, 'x')", i))
	}
	for len(r.changes) < 20 {
		if _, err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	for until := time.Now().Add(3 * h.Heartbeat); time.Now().Before(until); { // watermarks, too, wait for Confirm
		if _, err := r.next(); err != nil {
			t.Fatal(err)
		}
		if got := h.Confirmed(t, r.name); got != begin {
			t.Fatalf("the server keeps %s although only %s may be confirmed", got, begin)
		}
	}
	want := r.pos
	r.src.Confirm(want)
	eventually(t, 2*time.Second, func() bool { return h.Confirmed(t, r.name) == want },
		func() string { return fmt.Sprintf("the server keeps %s, want %s", h.Confirmed(t, r.name), want) })
	r.exec("INSERT INTO {t} VALUES (100, 0, 'x')")
	r.until(r.last("100"))
	want = r.pos
	if err := r.src.Close(); err != nil {
		t.Fatal(err)
	}
	if got := h.Confirmed(t, r.name); got != want {
		t.Errorf("after Close the server keeps %s, want the last confirmed position %s", got, want)
	}
}

// testCollect commits small transactions one behind the other while they are read: a batch is not handed on sooner than cdc.Pace
// after the one before it.
func testCollect(t *testing.T, h Harness) {
	const rows = 400
	r := start(t, h, "collect")
	r.open()
	wrote := make(chan error, 1)
	go func() {
		for i := range rows {
			if err := r.try(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 0, 'x')", i)); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	var first, last time.Time
	batches := 0
	for len(r.changes) < rows {
		if b := r.must(); b.Changes > 0 {
			last = time.Now()
			if batches++; batches == 1 {
				first = last
			}
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if most := 2 + int(last.Sub(first)/cdc.Pace); batches > most {
		t.Errorf("%d transactions came in %d batches within %s, want at most %d", rows, batches, last.Sub(first), most)
	}
}

func testWatermark(t *testing.T, h Harness) {
	r := start(t, h, "watermark", "INSERT INTO {t} VALUES (1, 1, 'x')")
	r.open()
	var times []time.Time
	began := time.Now()
	r.until(func() bool {
		b := r.must()
		if !b.Watermark() {
			return false
		}
		times = append(times, b.CommitAt)
		return len(times) == 4
	})
	if took := time.Since(began); took > 8*h.Heartbeat+2*time.Second {
		t.Errorf("four watermarks took %s with a heartbeat of %s", took, h.Heartbeat)
	}
	if !times[3].After(times[0]) {
		t.Errorf("the time of watermarks stands still: %v", times)
	}
	if lag := r.src.Lag(); !lag.Connected || lag.Position != r.pos || time.Since(lag.HeardAt) > 5*h.Heartbeat {
		t.Errorf("lag is %+v at %s", lag, r.pos)
	}
	if err := r.src.Close(); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO {t} VALUES (2, 2, 'x')")
	r.open() // at a watermark's position
	r.until(r.last("2"))
	r.rows()
}

// testKill crashes the server under the stream, twice, and goes on where the store was.
func testKill(t *testing.T, h Harness) {
	r := start(t, h, "kill")
	r.open()
	for round := range 2 {
		for i := range 10 {
			r.exec(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 0, 'x')", 100*round+i))
		}
		r.must()
		h.Kill(t)
		for {
			_, err := r.next()
			if errors.Is(err, cdc.ErrDisconnected) {
				break
			}
			if err != nil {
				t.Fatalf("after the server was killed Next returned %v, want ErrDisconnected", err)
			}
		}
		if err := r.src.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.src.Open(r.ctx, r.pos); !errors.Is(err, cdc.ErrDisconnected) {
			t.Fatalf("opening while the server is down returned %v, want ErrDisconnected", err)
		}
		h.Restart(t)
		r.open()
		r.until(func() bool { return len(r.changes) >= 10*(round+1) })
	}
	if got, want := r.rows(), r.current(); !maps.Equal(got, want) {
		t.Errorf("replayed to %v, want %v", got, want)
	}
}

// testContext ends Next by its context, after which the session goes on.
func testContext(t *testing.T, h Harness) {
	r := start(t, h, "context")
	r.open()
	ctx, cancel := context.WithTimeout(r.ctx, h.Heartbeat/4)
	defer cancel()
	began := time.Now()
	for {
		b, err := r.src.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil || !b.Watermark() {
			t.Fatalf("Next returned %+v, %v", b, err)
		}
	}
	if took := time.Since(began); took > h.Heartbeat/4+2*time.Second {
		t.Errorf("Next ended %s after its context was to end", took)
	}
	r.exec("INSERT INTO {t} VALUES (1, 1, 'x')")
	r.until(r.last("1"))
}

func testReopen(t *testing.T, h Harness) {
	r := start(t, h, "reopen")
	for range 2 {
		if err := r.src.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	for i := range 5 {
		r.exec(fmt.Sprintf("INSERT INTO {t} VALUES (%d, 1, 'x')", i))
		r.until(r.last(fmt.Sprint(i)))
		for range 2 {
			if err := r.src.Close(); err != nil {
				t.Fatal(err)
			}
		}
		r.open()
	}
	r.rows()
}

// eventually polls until cond holds.
func eventually(t *testing.T, within time.Duration, cond func() bool, explain func() string) {
	t.Helper()
	for until := time.Now().Add(within); !cond(); pause(context.Background(), 10*time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(explain())
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
