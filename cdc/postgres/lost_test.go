package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestRefusals covers Invariants 11 and 13: where the source cannot begin exactly where it must, or would hurt the
// database, it says what it found and what to do, and leaves the server as it was.
func TestRefusals(t *testing.T) {
	p := cdctest.StartPostgres(t, "min_wal_size=32MB", "max_wal_size=48MB")
	limitSlots(t, p, "32MB")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	source := func(t *testing.T, name string, sel ...cdc.Selection) *postgres.Source {
		if sel == nil {
			sel = []cdc.Selection{selection("loads", "n")}
		}
		s := postgres.New(config(p, name), sel, logger(t))
		t.Cleanup(func() { s.Close() })
		return s
	}
	// snapshot opens a source afresh, reads its table and closes it.
	snapshot := func(t *testing.T, name string) cdc.Position {
		t.Helper()
		s := source(t, name)
		f := follow(t, s)
		f.open("")
		f.until(1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return f.pos
	}
	lost := func(t *testing.T, s *postgres.Source, pos cdc.Position, reason, hint string) *cdc.LostError {
		t.Helper()
		err := s.Open(ctx, pos)
		var l *cdc.LostError
		if !errors.As(err, &l) || !strings.Contains(l.Reason, reason) || !strings.Contains(l.Hint, hint) {
			t.Fatalf("Open(%q) returned %v; want a LostError with %q and %q", pos, err, reason, hint)
		}
		return l
	}
	// again does what the refusal says: it runs its SQL, and begins with a snapshot.
	again := func(t *testing.T, s *postgres.Source, l *cdc.LostError) {
		t.Helper()
		heal(t, p, l)
		f := follow(t, s)
		f.open("")
		f.until(1)
		s.Close()
		f.open(f.pos)
		f.next()
		s.Close()
	}
	const reset = "waybill checkpoint reset %s --to snapshot"

	t.Run("slot does not exist", func(t *testing.T) {
		pos := snapshot(t, "missing")
		p.Exec(t, `SELECT pg_drop_replication_slot('waybill_missing')`)
		l := lost(t, source(t, "missing"), pos, `slot "waybill_missing" does not exist`, fmt.Sprintf(reset, "missing"))
		again(t, source(t, "missing"), l)
	})

	t.Run("slot is ahead of the store", func(t *testing.T) {
		pos := snapshot(t, "ahead")
		p.Exec(t, `INSERT INTO loads VALUES (2, 2); SELECT pg_switch_wal()`)
		p.Exec(t, `SELECT pg_replication_slot_advance('waybill_ahead', pg_current_wal_lsn())`)
		l := lost(t, source(t, "ahead"), pos, "ahead of the stored position", fmt.Sprintf(reset, "ahead"))
		again(t, source(t, "ahead"), l)
	})

	t.Run("another server, timeline or an earlier time", func(t *testing.T) {
		pos := string(snapshot(t, "history"))
		parts := strings.SplitN(pos, "/", 4)
		s := source(t, "history")
		lost(t, s, cdc.Position("pg/1234567890/"+parts[2]+"/"+parts[3]), "another server", "reset")
		lost(t, s, cdc.Position("pg/"+parts[1]+"/2/"+parts[3]), "is on timeline 1, the stored position", "reset")
		lost(t, s, cdc.Position("pg/"+parts[1]+"/1/7F/0"), "restored to an earlier time", "reset")
		if err := s.Open(ctx, "nonsense"); err == nil || !strings.Contains(err.Error(), `reading position "nonsense"`) {
			t.Errorf("Open returned %v", err)
		}
		f := follow(t, s) // and the true one still works
		f.open(cdc.Position(pos))
		f.next()
		s.Close()
		for _, foreign := range []string{"pg/1234567890/1/" + parts[3], "pg/" + parts[1] + "/2/" + parts[3], "pg/" + parts[1] + "/1/7F/0"} {
			l := lost(t, s, cdc.Position(foreign), "", "reset")
			again(t, s, l)
		}
	})

	t.Run("slot of somebody else", func(t *testing.T) {
		pos := snapshot(t, "foreign")
		p.Exec(t, `SELECT pg_drop_replication_slot('waybill_foreign')`)
		p.Exec(t, `SELECT pg_create_logical_replication_slot('waybill_foreign', 'test_decoding')`)
		l := lost(t, source(t, "foreign"), pos, `with plugin "test_decoding"`, "reset")
		heal(t, p, l)
		cfg := config(p, "foreign")
		cfg.Slot = regexp.MustCompile(`slot: (\w+)`).FindStringSubmatch(l.Hint)[1]
		other := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
		defer other.Close()
		f := follow(t, other)
		f.open("")
		f.until(1)
		if err := source(t, "foreign").Release(ctx); err == nil || !strings.Contains(err.Error(), "not ours") {
			t.Errorf("Release returned %v", err)
		}
		p.Exec(t, `SELECT pg_drop_replication_slot('waybill_foreign')`)
	})

	t.Run("empty store beside a slot", func(t *testing.T) {
		pos := snapshot(t, "empty")
		lost(t, source(t, "empty"), "", "this store has no position for it", fmt.Sprintf(reset, "empty"))
		running := source(t, "empty")
		f := follow(t, running)
		f.open(pos)
		lost(t, source(t, "empty"), "", "in use by process", "another slot name")
		if err := source(t, "empty").Release(ctx); err == nil || !strings.Contains(err.Error(), "uses it") {
			t.Errorf("Release of a slot in use returned %v", err)
		}
		running.Close()
		for range 2 { // Release may be repeated
			if err := source(t, "empty").Release(ctx); err != nil {
				t.Fatal(err)
			}
		}
		var left int
		if err := p.DB.QueryRow(`SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'waybill_empty') +
			(SELECT count(*) FROM pg_publication WHERE pubname = 'waybill_empty')`).Scan(&left); err != nil || left != 0 {
			t.Errorf("Release left %d things, %v", left, err)
		}
		snapshot(t, "empty")
	})

	t.Run("a start that is given up leaves nothing", func(t *testing.T) {
		tx, err := p.DB.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec(`INSERT INTO loads VALUES (99, 99)`); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s := source(t, "crash")
		if err := s.Open(short, ""); err == nil || !strings.Contains(err.Error(), "waits until every transaction that runs has ended") {
			t.Fatalf("Open returned %v", err)
		}
		if n := slots(t, p, "waybill_crash%"); n != 0 { // gone with its connection, while the server still waits
			t.Errorf("%d slots are left", n)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		f := follow(t, s)
		f.open("")
		f.until(1)
	})

	t.Run("a table without identity is not published", func(t *testing.T) {
		p.Exec(t, `CREATE TABLE bare (id int, n int)`)
		err := source(t, "bare", selection("loads", "n"), selection("bare", "n")).Open(ctx, "")
		var refused *cdc.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), `ALTER TABLE "public"."bare" REPLICA IDENTITY`) {
			t.Fatalf("Open returned %v", err)
		}
		p.Exec(t, `INSERT INTO bare VALUES (1, 1); UPDATE bare SET n = 2`) // the database's own UPDATE still works
		if n := slots(t, p, "waybill_bare%"); n != 0 {
			t.Errorf("%d slots are left", n)
		}
	})

	t.Run("a selected table joins the publication later", func(t *testing.T) {
		pos := snapshot(t, "later")
		p.Exec(t, `CREATE TABLE later (id int PRIMARY KEY)`)
		s := source(t, "later", selection("loads", "n"), selection("later"))
		f := follow(t, s)
		f.open(pos)
		p.Exec(t, `INSERT INTO later VALUES (7)`)
		f.until(1)
		expect(t, f.rows, `insert later id="7"`)
		s.Close()
		p.Exec(t, `CREATE TABLE bare2 (id int)`)
		if err := source(t, "later", selection("bare2")).Open(ctx, f.pos); err == nil || !strings.Contains(err.Error(), "REPLICA IDENTITY") {
			t.Errorf("Open returned %v", err)
		}
	})

	t.Run("slot in use by a dead session", func(t *testing.T) {
		pos := snapshot(t, "held")
		holder := source(t, "held")
		f := follow(t, holder)
		f.open(pos)
		s := source(t, "held")
		if err := s.Open(ctx, pos); !errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "pg_terminate_backend") {
			t.Fatalf("Open returned %v", err)
		}
	})

	t.Run("log was removed", func(t *testing.T) {
		pos := snapshot(t, "removed")
		for range 8 {
			p.Exec(t, `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 9000000)); SELECT pg_switch_wal()`)
		}
		p.Exec(t, `CHECKPOINT`)
		l := lost(t, source(t, "removed"), pos, "was invalidated", fmt.Sprintf(reset, "removed"))
		again(t, source(t, "removed"), l)
		limitSlots(t, p, "1GB")
	})
}

// heal runs the SQL that a message prints, statement by statement.
func heal(t *testing.T, p *cdctest.Postgres, l *cdc.LostError) {
	t.Helper()
	if len(l.SQL) == 0 {
		t.Fatalf("the refusal has no SQL: %v", l)
	}
	for _, statement := range l.SQL {
		if !strings.Contains(l.Hint, statement) {
			t.Errorf("the hint does not print %s: %s", statement, l.Hint)
		}
		p.Exec(t, statement)
	}
}

// limitSlots bounds the log kept for slots as an administrator does.
func limitSlots(t *testing.T, p *cdctest.Postgres, size string) {
	t.Helper()
	p.Exec(t, `ALTER SYSTEM SET max_slot_wal_keep_size = '`+size+`'`)
	p.Exec(t, `SELECT pg_reload_conf()`)
	var now string
	for until := time.Now().Add(10 * time.Second); now != size; time.Sleep(10 * time.Millisecond) {
		if err := p.DB.QueryRow(`SHOW max_slot_wal_keep_size`).Scan(&now); err != nil || time.Now().After(until) {
			t.Fatalf("max_slot_wal_keep_size is %s, %v", now, err)
		}
	}
}

// memory is a store's memory beside its journal.
type memory struct{ notes sync.Map }

func (m *memory) Remember(name, text string) error { m.notes.Store(name, text); return nil }

func (m *memory) Recall(name string) (string, error) {
	text, _ := m.notes.LoadOrStore(name, "")
	return text.(string), nil
}

func slots(t *testing.T, p *cdctest.Postgres, like string) int {
	t.Helper()
	var n int
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := p.DB.QueryRow(`SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE $1`, like).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 || time.Now().After(until) {
			return n
		}
	}
}
