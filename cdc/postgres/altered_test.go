package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestUnreserved has a slot whose log the server may remove at any moment. Nothing is lost yet, and with the SQL of the
// refusal nothing will be.
func TestUnreserved(t *testing.T) {
	p := cdctest.StartPostgres(t, "min_wal_size=32MB", "max_wal_size=512MB", "checkpoint_timeout=1h")
	limitSlots(t, p, "32MB")
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	s := postgres.New(config(p, "unreserved"), []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	s.Close()
	p.Exec(t, `INSERT INTO loads VALUES (2, 2)`)
	switchLog(t, p, 5)
	var l *cdc.LostError
	if err := s.Open(t.Context(), f.pos); !errors.As(err, &l) || !strings.Contains(l.Reason, "unreserved") {
		t.Fatalf("Open returned %v", err)
	}
	heal(t, p, l)
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the server reads its settings anew soon
		err := s.Open(t.Context(), f.pos)
		if err == nil {
			break
		}
		if !errors.As(err, &l) || time.Now().After(until) {
			t.Fatal(err)
		}
	}
	f.until(2)
	expect(t, f.rows[1:], `insert loads id="2" n="2"`)
}

// switchLog makes the server's log n segments longer.
func switchLog(t *testing.T, p *cdctest.Postgres, n int) {
	t.Helper()
	for range n {
		p.Exec(t, `SELECT pg_logical_emit_message(false, 'fill', 'x')`)
		p.Exec(t, `SELECT pg_switch_wal()`)
	}
}

// TestPublicationAltered alters the publication while Waybill is stopped, in every way that makes changes miss in the
// stream, also with the alteration taken back; and once while it runs.
func TestPublicationAltered(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	for _, c := range []struct{ name, sql, reason string }{
		{"dropped", `DROP PUBLICATION waybill_pub`, "was dropped"},
		{"made_anew", `DROP PUBLICATION waybill_pub; CREATE PUBLICATION waybill_pub FOR TABLE loads, other`, "was dropped and made anew"},
		{"table_left", `ALTER PUBLICATION waybill_pub DROP TABLE other`, "public.other left it"},
		{"table_returned", `ALTER PUBLICATION waybill_pub DROP TABLE other; ALTER PUBLICATION waybill_pub ADD TABLE other`, "left it for a time"},
		{"table_anew", `DROP TABLE other; CREATE TABLE other (id int PRIMARY KEY, n int)`, "public.other left it"},
		{"actions", `ALTER PUBLICATION waybill_pub SET (publish = 'insert')`, "(its options)"},
		{"actions_returned", `ALTER PUBLICATION waybill_pub SET (publish = 'insert');
			ALTER PUBLICATION waybill_pub SET (publish = 'insert, update, delete, truncate')`, "(its options)"},
		{"row_filter", `ALTER PUBLICATION waybill_pub SET TABLE loads WHERE (id > 5), other`, "public.loads left it for a time"},
		{"running", `ALTER PUBLICATION waybill_pub DROP TABLE other`, "public.other left it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(p, "pub")
			cfg.Memory = &memory{}
			sel := []cdc.Selection{selection("loads", "n"), selection("other", "n")}
			s := postgres.New(cfg, sel, logger(t))
			defer s.Close()
			f := follow(t, s)
			f.open("")
			f.until(1)
			s.Close()
			f.open(f.pos)
			f.next()
			if c.name != "running" {
				s.Close()
				s = postgres.New(cfg, sel, logger(t)) // a new process
				defer s.Close()
				p.Exec(t, c.sql)
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				p.Exec(t, c.sql)
				var err error
				for err == nil {
					_, err = s.Next(ctx)
				}
				if !errors.Is(err, cdc.ErrDisconnected) {
					t.Fatalf("Next returned %v", err)
				}
			}
			var l *cdc.LostError
			if err := s.Open(t.Context(), f.pos); !errors.As(err, &l) || !strings.Contains(l.Reason, c.reason) || !strings.Contains(l.Hint, "checkpoint reset pub --to snapshot") {
				t.Fatalf("Open returned %v; want a LostError with %q", err, c.reason)
			}
			heal(t, p, l)
			f = follow(t, s)
			f.open("")
			f.until(1)
			s.Close()
			f.open(f.pos)
			p.Exec(t, `INSERT INTO other VALUES (7, 7); UPDATE other SET n = 8; DELETE FROM other`)
			f.until(4)
			expect(t, f.rows[1:], `insert other id="7" n="7"`, `update other id="7" n="8"`, `delete other old.id="7"`)
			s.Close()
			if err := s.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Exec(t, `DROP PUBLICATION IF EXISTS waybill_pub`)
		})
	}
}

// TestPublicationHarmless alters what does not matter to the stream.
func TestPublicationHarmless(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE ROLE other_owner SUPERUSER; CREATE TABLE loads (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY);
		CREATE TABLE going (id int PRIMARY KEY); INSERT INTO loads VALUES (1, 1)`)
	s := postgres.New(config(p, "pub"), []cdc.Selection{selection("loads", "n"), selection("going")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	s.Close()
	p.Exec(t, `ALTER PUBLICATION waybill_pub OWNER TO other_owner; ALTER PUBLICATION waybill_pub ADD TABLE other; DROP TABLE going`)
	f.open(f.pos)
	p.Exec(t, `INSERT INTO loads VALUES (2, 2)`)
	f.until(2)
}

// TestMaxRetained does not confirm, as a full journal does not, until the slot keeps more than the owner allows.
func TestMaxRetained(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	cfg := config(p, "shed")
	cfg.MaxRetained = 128 << 20
	cfg.Memory = &memory{}
	sel := []cdc.Selection{selection("loads", "n")}
	s := postgres.New(cfg, sel, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	f.next()
	pos := f.pos
	switchLog(t, p, 4) // 64 MiB: allowed
	for range 3 {
		f.next()
	}
	s.Confirm(pos)
	if n := kept(t, p, "waybill_shed"); n != 1 {
		t.Fatalf("%d slots", n)
	}
	switchLog(t, p, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	for err == nil {
		_, err = s.Next(ctx)
	}
	if !errors.Is(err, cdc.ErrDisconnected) {
		t.Fatalf("Next returned %v", err)
	}
	s.Close() // at once, as a pipeline does
	if n := kept(t, p, "waybill_shed"); n != 0 {
		t.Fatal("the slot is still there")
	}
	s.Close()
	s = postgres.New(cfg, sel, logger(t)) // and a new process knows why
	defer s.Close()
	var l *cdc.LostError
	if err := s.Open(ctx, pos); !errors.As(err, &l) || !strings.Contains(l.Reason, "Waybill dropped replication slot") || !strings.Contains(l.Reason, "max_retained is 128MiB") {
		t.Fatalf("Open returned %v", err)
	}
	if !l.Agreed {
		t.Error("the owner has agreed to this loss, and is asked")
	}
	cfg.MaxRetained = 0 // not any more
	unasked := postgres.New(cfg, sel, logger(t))
	defer unasked.Close()
	if err := unasked.Open(ctx, pos); !errors.As(err, &l) || l.Agreed {
		t.Errorf("without max_retained Open returned %v", err)
	}
	heal(t, p, l)
	f = follow(t, s)
	f.open("")
	f.until(1)
	s.Close()
	f.open(f.pos)
	f.next()
	if note, err := cfg.Memory.Recall("waybill_shed.dropped"); note != "" || err != nil {
		t.Errorf("the note of the drop is still there: %q, %v", note, err)
	}
}

// TestMaxRetainedWithoutMemory cannot note why it drops the slot, as when our own disk is full: the database's disk comes first. A
// note without the drop, as after a crash in between, is as good as both.
func TestMaxRetainedWithoutMemory(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	full := &memory{}
	cfg := config(p, "shed")
	cfg.MaxRetained, cfg.Memory = 128<<20, forgetful{full}
	sel := []cdc.Selection{selection("loads", "n")}
	s := postgres.New(cfg, sel, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	pos := f.pos
	switchLog(t, p, 9)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var err error
	for err == nil {
		_, err = s.Next(ctx)
	}
	s.Close()
	if n := kept(t, p, "waybill_shed"); !errors.Is(err, cdc.ErrDisconnected) || n != 0 {
		t.Fatalf("Next returned %v, there are %d slots", err, n)
	}
	var l *cdc.LostError
	if err := s.Open(ctx, pos); !errors.As(err, &l) || !l.Agreed {
		t.Errorf("Open returned %v", err)
	}
	cfg.Memory = full
	again := postgres.New(cfg, sel, logger(t))
	defer again.Close()
	f = follow(t, again)
	f.open("")
	f.until(1)
	again.Close()
	if err := full.Remember("waybill_shed.dropped", "Waybill dropped replication slot itself"); err != nil {
		t.Fatal(err)
	}
	crashed := postgres.New(cfg, sel, logger(t))
	defer crashed.Close()
	if err := crashed.Open(ctx, f.pos); !errors.As(err, &l) || !l.Agreed {
		t.Errorf("Open returned %v", err)
	}
	if err := crashed.Release(ctx); err != nil {
		t.Fatal(err)
	}
	f = follow(t, crashed)
	f.open("")
	f.until(1)
	if note, err := full.Recall("waybill_shed.dropped"); note != "" || err != nil {
		t.Errorf("the note of the drop is still there: %q, %v", note, err)
	}
}

// forgetful is a memory on a full disk, which takes no word of a drop.
type forgetful struct{ *memory }

func (m forgetful) Remember(name, text string) error {
	if strings.HasSuffix(name, ".dropped") && text != "" {
		return errors.New("no space left on device")
	}
	return m.memory.Remember(name, text)
}

func kept(t *testing.T, p *cdctest.Postgres, slot string) (n int) {
	t.Helper()
	if err := p.DB.QueryRow(`SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1`, slot).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
