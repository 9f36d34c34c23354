package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/cdc"
	postgresql "waybill/cdc/postgres" // postgres is the server that the tests start
	"waybill/sinks/sinktest"
)

// retainedBound is what the slot may keep of WAL while the ERP is down, in MB.
const retainedBound = 64

var logMapping = customersOf("log", "k <= 20 or k >= 900000000", "k", "note")

// TestRetained writes RETAINED_MB (default 200) of WAL while the ERP answers nothing: PostgreSQL need not keep it. A control reads
// the same log from a slot of its own and confirms what the ERP has done, no more: it makes the server keep all of it.
func TestRetained(t *testing.T) {
	plainBinary(t)
	l := newLog(t, "postgres", "")
	beside := l.control()
	l.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.BlackHole})
	l.write(20, 1)  // to be delivered
	const batch = 4 // MB at a time, 16 a second
	var most, unconfirmed, tied int64
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	begun := l.wal()
	for l.wal()-begun < int64(setting("RETAINED_MB", 200))<<20 {
		l.sql(l.db, fmt.Sprintf("INSERT INTO log SELECT %d + n, 'x', repeat('x', 8000) FROM %s", l.rows, l.series(batch*125)))
		l.rows += batch * 125
		l.sql(l.db, "CHECKPOINT") // as a server does by time or size: only then may the slot let go of WAL
		held, confirmed := l.retained(l.pgName)
		most, unconfirmed = max(most, held), max(unconfirmed, confirmed)
		held, _ = l.retained(beside.slot)
		tied = max(tied, held)
		beside.applied.Store(l.delivered() >= 20)
		<-tick.C
	}
	t.Logf("%d MB of WAL written with the ERP down: the slot kept at most %d MB, at most %d MB were not confirmed; with Confirm tied to delivery a slot kept %d MB",
		(l.wal()-begun)>>20, most>>20, unconfirmed>>20, tied>>20)
	if most > retainedBound<<20 {
		t.Errorf("the slot kept %d MB, the bound is %d MB", most>>20, retainedBound)
	}
	if tied <= retainedBound<<20 {
		t.Errorf("with Confirm tied to delivery the slot kept %d MB, which is within the bound of %d MB: the load proves nothing", tied>>20, retainedBound)
	}
	if n := l.delivered(); n != 0 {
		t.Errorf("the ERP that is down did %d things", n)
	}
	l.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	l.arrived()
	beside.applied.Store(true)
	l.until(time.Minute, "the control's slot lets go after the deliveries", func() bool {
		l.sql(l.db, "CHECKPOINT")
		held, _ := l.retained(beside.slot)
		return held <= retainedBound<<20
	})
	l.stop()
}

// tiedReader confirms what it has read only while everything is delivered.
type tiedReader struct {
	slot    string
	applied atomic.Bool
}

// control starts a reader of the log that lives until the test ends.
func (l *changeLog) control() *tiedReader {
	l.t.Helper()
	c := &tiedReader{slot: l.pgName + "_control"}
	src := postgresql.New(postgresql.Config{Name: "control", Host: pg.Host, Port: pg.Port, Database: l.pgName, User: pg.User, Password: pg.Password,
		SSLMode: "disable", Slot: c.slot, Publication: c.slot, Heartbeat: time.Second},
		[]cdc.Selection{{Table: cdc.Table{Schema: "public", Name: "log"}, Columns: []string{"k", "note"}}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	if err := src.Open(ctx, ""); err != nil {
		l.t.Fatal(errors.Join(err, src.Close()))
	}
	ended := make(chan error, 1)
	go func() { ended <- c.read(ctx, src) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			l.t.Errorf("the control ended: %v", err)
		}
		if err := src.Close(); err != nil {
			l.t.Errorf("closing the control: %v", err)
		}
	})
	return c
}

func (c *tiedReader) read(ctx context.Context, src cdc.Source) error {
	for {
		b, err := src.Next(ctx)
		if err != nil {
			return err
		}
		if b.Position != "" && c.applied.Load() {
			src.Confirm(b.Position)
		}
	}
}

// TestJournalFull fills the journal: the first reading of the table is paused, and what changes meanwhile waits in the journal for
// it, while the ERP answers nothing. Capture pauses and says so for as long as that lasts; it goes on by itself when the
// reading does, and nothing is lost.
func TestJournalFull(t *testing.T) {
	plainBinary(t)
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := &changeLog{engine: newEngine(t, kind), rows: 1000}
			l.more = "    snapshot: { workers: 1, chunk_rows: 100, rows_per_second: 100 }\n" // the reading takes 20 s: time to pause it
			l.table()
			l.write(2000, 1)
			l.configure(logMapping, "journal: { max_bytes: 192MiB }\n")
			l.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.BlackHole})
			l.start()
			l.until(30*time.Second, "the table is being read", func() bool { src, _ := l.source(); return len(src.Readings) == 1 })
			l.must("snapshot", "pause", "db", "log", "--why", "the journal shall fill")
			l.seed(20) // to be delivered
			full := func() bool {
				src, problems := l.source()
				return src.State == "paused" && strings.Contains(problems, "source db is paused: journal is full")
			}
			for written := 0; !full(); written++ {
				if written == 40 {
					t.Fatal("640 MB did not fill a journal of 192 MiB")
				}
				l.bulk()
				mark := time.Now()
				l.until(2*time.Minute, "it is captured, or the journal is full", func() bool { src, _ := l.source(); return full() || src.Watermark.After(mark) })
			}
			l.bulk()
			l.until(30*time.Second, "capture is paused, and stays so", full)
			_, problems := l.source()
			l.erp.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
			l.must("snapshot", "resume", "db", "log")
			begun := time.Now()
			l.until(5*time.Minute, "capture goes on", func() bool { src, _ := l.source(); return src.State == "streaming" && src.Watermark.After(begun) })
			t.Logf("%s: %s; captured to the present %s after the reading went on", kind, problems, time.Since(begun).Round(100*time.Millisecond))
			l.arrived()
			l.stop()
		})
	}
}

// changeLog is an engine with a table that makes its log grow.
type changeLog struct {
	*engine
	rows int
}

func newLog(t *testing.T, kind, more string) *changeLog {
	l := &changeLog{engine: newEngine(t, kind)}
	l.table()
	l.configure(logMapping, more)
	l.start()
	l.settled(time.Minute)
	return l
}

// table makes the table, empty.
func (l *changeLog) table() {
	l.t.Helper()
	l.sql(l.db, "CREATE TABLE log (k bigint PRIMARY KEY, note text NOT NULL, pad text)")
	if l.kind == "postgres" {
		l.sql(l.db, "ALTER TABLE log ALTER pad SET STORAGE EXTERNAL") // not compressed: WAL as large as what is written
	}
}

// seed commits the rows that the rules send.
func (l *changeLog) seed(rows int) {
	l.t.Helper()
	l.sql(l.db, fmt.Sprintf("INSERT INTO log SELECT n, 'sent', NULL FROM %s", l.series(rows)))
}

// bulk commits 16 MB in few rows: the reading that goes on reads them, too, at its rate.
func (l *changeLog) bulk() {
	l.t.Helper()
	l.sql(l.db, fmt.Sprintf("INSERT INTO log SELECT %d + n, repeat(md5(concat(n, '')), 1024), NULL FROM %s", l.rows, l.series(500)))
	l.rows += 500
}

// write commits rows, each with so many hashes of 32 letters that rules read.
func (l *changeLog) write(rows, hashes int) {
	l.t.Helper()
	part := make([]string, 0, hashes)
	for j := range hashes {
		part = append(part, fmt.Sprintf("md5(concat(n, '-%d-%d'))", l.rows, j))
	}
	text := "concat(" + strings.Join(part[:min(64, hashes)], ", ") + ")"
	for i := 64; i < hashes; i += 64 { // a function has at most 100 arguments
		text = "concat(" + text + ", " + strings.Join(part[i:min(i+64, hashes)], ", ") + ")"
	}
	l.sql(l.db, fmt.Sprintf("INSERT INTO log SELECT %d + n, %s, NULL FROM %s", l.rows, text, l.series(rows)))
	l.rows += rows
}

// wal is how much WAL the server has written.
func (l *changeLog) wal() (bytes int64) {
	l.t.Helper()
	if err := l.db.QueryRow("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").Scan(&bytes); err != nil {
		l.t.Fatal(err)
	}
	return bytes
}

// retained is how much WAL the server keeps for a slot, and how much of it the slot has not confirmed.
func (l *changeLog) retained(slot string) (held, unconfirmed int64) {
	l.t.Helper()
	err := l.db.QueryRow(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
		FROM pg_replication_slots WHERE slot_name=$1`, slot).Scan(&held, &unconfirmed)
	if err != nil {
		l.t.Fatal(err)
	}
	return held, unconfirmed
}

// arrived proves that what rules send was delivered, each row once, and a last row behind all.
func (l *changeLog) arrived() {
	l.t.Helper()
	l.sql(l.db, "INSERT INTO log VALUES (900000000, 'behind', NULL)")
	l.settled(5 * time.Minute)
	got := l.effects()
	for _, k := range append([]int{900000000}, numbers(20)...) {
		if n := got[fmt.Sprint(k)]; n != 1 {
			l.t.Errorf("row %d was delivered %d times", k, n)
		}
	}
	if len(got) != 21 {
		l.t.Errorf("%d rows were delivered, not 21", len(got))
	}
}

func numbers(last int) (all []int) {
	for n := 1; n <= last; n++ {
		all = append(all, n)
	}
	return all
}
