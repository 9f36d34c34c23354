package postgres_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestTail begins at the end of the log: what was there comes from chunks, what is written later from the stream.
func TestTail(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	sel := []cdc.Selection{selection("loads", "n")}
	source := func(t *testing.T, name string, memory *memory) *postgres.Source {
		cfg := config(p, name)
		if memory != nil {
			cfg.Memory = memory
		}
		s := postgres.New(cfg, sel, logger(t))
		t.Cleanup(func() { s.Close() })
		return s
	}

	t.Run("the first batch says where the stream begins", func(t *testing.T) {
		f := follow(t, source(t, "tail", nil))
		f.start()
		began := time.Now()
		f.next()
		if took := time.Since(began); !f.batch.Watermark() || took > 500*time.Millisecond {
			t.Fatalf("first batch %+v after %s", f.batch, took)
		}
		p.Exec(t, `INSERT INTO loads VALUES (2, 2)`)
		f.until(1)
		expect(t, f.take(), `insert loads id="2" n="2"`)
		f.chunks("loads", "", 0)
		expect(t, f.take(), `snapshot loads id="1" n="1"`, `snapshot loads id="2" n="2"`)
		f.s.Close()
		p.Exec(t, `INSERT INTO loads VALUES (3, 3)`)
		f.open(f.pos)
		f.until(1)
		expect(t, f.rows, `insert loads id="3" n="3"`)
	})

	t.Run("a crash before the position is stored", func(t *testing.T) {
		memory := &memory{}
		first := follow(t, source(t, "tailcrash", memory))
		first.start()
		first.s.Close() // as the kernel closes the sockets of a process that was killed
		second := source(t, "tailcrash", memory)
		f := follow(t, second)
		f.start()
		if _, err := second.Next(f.ctx); err != nil {
			t.Fatal(err)
		}
		second.Close()
		f.start() // the same process knows, too
		f.next()
		p.Exec(t, `UPDATE loads SET n = n + 1`)
		f.until(1)
		for confirmed(t, p, "tailcrash") < f.pos {
			f.next()
		}
		second.Close()
		var lost *cdc.LostError
		if err := source(t, "tailcrash", memory).Open(f.ctx, ""); !errors.As(err, &lost) || !strings.Contains(lost.Reason, "this store has no position for it") {
			t.Errorf("Open beside a slot that has moved on: %v", err)
		}
	})

	t.Run("a slot that is not ours", func(t *testing.T) {
		p.Exec(t, `SELECT pg_create_logical_replication_slot('waybill_tailforeign', 'pgoutput')`)
		var lost *cdc.LostError
		if err := source(t, "tailforeign", nil).Open(t.Context(), ""); !errors.As(err, &lost) {
			t.Errorf("Open: %v", err)
		}
	})
}

// TestTableAddedLater has a table join the mapping while transactions have written to it already: the stream cannot carry
// what those did before, so the reading waits for them.
func TestTableAddedLater(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); CREATE TABLE later (id int PRIMARY KEY, n int); INSERT INTO later VALUES (1, 1);
		CREATE TABLE bare (id int)`)
	cfg := config(p, "added")
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
	f := follow(t, s)
	f.start()
	f.next()
	s.Close()
	early, err := p.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer early.Rollback()
	if _, err := early.Exec(`INSERT INTO later VALUES (2, 2)`); err != nil {
		t.Fatal(err)
	}

	s = postgres.New(cfg, []cdc.Selection{selection("loads", "n"), selection("later", "n")}, logger(t))
	t.Cleanup(func() { s.Close() })
	f.s = s
	f.open(f.pos)
	reads, waits := make(chan cdc.ChunkRead), make(chan bool, 100)
	go func() {
		defer close(reads)
		for {
			r, err := s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: cdc.Table{Name: "later"}})
			if err == nil {
				reads <- r
				return
			}
			if !errors.Is(err, cdc.ErrDisconnected) || !strings.Contains(err.Error(), "older than the table's publication") {
				t.Error(err)
				return
			}
			waits <- true
		}
	}()
	select {
	case r := <-reads:
		t.Fatalf("the chunk of %d rows was read before the older transaction ended", r.Batch.Changes)
	case <-waits: // and said why
	}
	if _, err := early.Exec(`INSERT INTO later VALUES (3, 3)`); err != nil {
		t.Fatal(err)
	}
	if err := early.Commit(); err != nil {
		t.Fatal(err)
	}
	r, ok := <-reads
	if !ok {
		t.Fatal("no chunk")
	}
	f.take()
	f.read(r.Batch)
	expect(t, f.take(), `snapshot later id="1" n="1"`, `snapshot later id="2" n="2"`, `snapshot later id="3" n="3"`)
	p.Exec(t, `INSERT INTO later VALUES (4, 4)`)
	for !slices.ContainsFunc(f.rows, func(r row) bool { return show(r) == `insert later id="4" n="4"` }) {
		f.next()
	}
	s.Close()

	refused := func(want string, sel ...cdc.Selection) {
		t.Helper()
		var r *cdc.RefusedError
		if err := postgres.New(cfg, sel, logger(t)).Open(t.Context(), f.pos); !errors.As(err, &r) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v; want %q", err, want)
		}
	}
	refused(`ALTER TABLE "public"."bare" REPLICA IDENTITY FULL`, selection("loads", "n"), selection("bare"))
	p.Exec(t, `ALTER TABLE later DROP CONSTRAINT later_pkey`)
	refused(`DEFAULT without a primary key, and the table is published`, selection("loads", "n"), selection("later", "n"))
}

// TestNudge measures how long an idle server takes to let us move on.
func TestNudge(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY); CREATE TABLE other (id int)`)
	cfg := config(p, "nudge")
	cfg.Heartbeat = time.Minute
	s := postgres.New(cfg, []cdc.Selection{selection("loads")}, logger(t))
	t.Cleanup(func() { s.Close() })
	f := follow(t, s)
	f.start()
	f.next()
	var took []time.Duration
	for i := range 30 {
		if i%2 == 1 { // on an idle server, and behind changes that are not ours
			p.Exec(t, `INSERT INTO other VALUES (1)`)
		}
		r, err := s.ReadChunk(f.ctx, cdc.ChunkRequest{Table: cdc.Table{Name: "loads"}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.Nudge()
		for f.next(); !s.Covers(f.pos, r.High); f.next() {
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("median %s, worst %s", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 20*time.Millisecond {
		t.Errorf("the median nudge took %s", took[len(took)/2])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if b, err := s.Next(ctx); err == nil {
		t.Errorf("an unasked batch %+v", b)
	}
}

func TestCovers(t *testing.T) {
	s := postgres.New(postgres.Config{Name: "covers"}, nil, logger(t))
	for _, c := range []struct {
		at, high cdc.Position
		want     bool
	}{
		{"pg/1/1/0/10", "pg/1/1/0/10", true}, {"pg/1/1/0/10", "pg/1/1/0/F", true}, {"pg/1/1/0/10", "pg/1/1/0/11", false},
		{"pg/1/1/10/0", "pg/1/1/2/0", true}, {"pg/1/2/0/10", "pg/1/1/0/10", false}, {"pg/2/1/0/10", "pg/1/1/0/10", false},
		{"", "pg/1/1/0/10", false}, {"pg/1/1/0/10", "", false},
	} {
		if got := s.Covers(c.at, c.high); got != c.want {
			t.Errorf("Covers(%q, %q) = %t", c.at, c.high, got)
		}
	}
}
