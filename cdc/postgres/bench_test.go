package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

var benchColumns = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}

// BenchmarkDrain drains a backlog of changes (a third each inserts, updates and deletes, ten rows a transaction) through
// the source, and through pg_recvlogical. WAYBILL_BACKLOG is the number of changes, 300000 by default.
func BenchmarkDrain(b *testing.B) {
	changes := 300_000
	if text := os.Getenv("WAYBILL_BACKLOG"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		changes = n
	}
	p := cdctest.StartPostgres(b, "shared_buffers=512MB", "max_wal_size=16GB", "autovacuum=off", "synchronous_commit=off")
	end := backlog(b, p, changes)
	b.Run("source", func(b *testing.B) { bench(b, p, changes, func(slot string) { drainSource(b, p, slot, changes, end) }) })
	b.Run("pg_recvlogical", func(b *testing.B) {
		bench(b, p, changes, func(slot string) {
			cmd := exec.Command("pg_recvlogical", "-h", p.Host, "-p", strconv.Itoa(p.Port), "-U", p.User, "-d", p.Database,
				"--slot", slot, "--start", "--endpos", end, "-o", "proto_version=1", "-o", "publication_names=bench",
				"-f", filepath.Join(b.TempDir(), "out"), "--no-loop")
			cmd.Env = append(os.Environ(), "PGPASSWORD="+p.Password)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		})
	})
}

func bench(b *testing.B, p *cdctest.Postgres, changes int, drain func(slot string)) {
	var spent time.Duration
	var cpu time.Duration
	for i := 0; b.Loop(); i++ {
		slot := fmt.Sprintf("waybill_run%d", i)
		if _, err := p.DB.Exec("SELECT pg_copy_logical_replication_slot('base', $1::name)", slot); err != nil {
			b.Fatal(err)
		}
		began, used := time.Now(), cpuTime()
		drain(slot)
		spent += time.Since(began)
		cpu += cpuTime() - used
		if _, err := p.DB.Exec("SELECT pg_drop_replication_slot($1)", slot); err != nil {
			b.Fatal(err)
		}
	}
	total := float64(changes * b.N)
	b.ReportMetric(total/spent.Seconds(), "changes/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/total/1000, "cpu-us/change")
	b.ReportMetric(0, "ns/op")
}

// backlog makes the publication bench, the slot base and the changes behind it, and returns the end of the log.
func backlog(b *testing.B, p *cdctest.Postgres, changes int) (end string) {
	b.Helper()
	p.Exec(b, `CREATE TABLE bench (id bigint PRIMARY KEY, a integer, b text, c numeric(12,2), d float8, e boolean,
		f timestamptz, g timestamp, h date, i jsonb, j uuid, k varchar(40));
	CREATE PUBLICATION bench FOR TABLE bench;
	CREATE PROCEDURE load(n int) LANGUAGE plpgsql AS $$
	BEGIN
	  FOR t IN 0 .. n / 30 - 1 LOOP
	    INSERT INTO bench SELECT x, x, 'load ' || x, x * 1.25, x / 3.0, true, now(), now(), now(),
	      '{"stop": 1, "city": "Joliet"}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'carrier ' || x
	      FROM generate_series(t * 10, t * 10 + 9) x;
	    COMMIT;
	    UPDATE bench SET a = a + 1, b = 'changed' WHERE id BETWEEN t * 10 AND t * 10 + 9;
	    COMMIT;
	    DELETE FROM bench WHERE id BETWEEN t * 10 AND t * 10 + 9;
	    COMMIT;
	  END LOOP;
	END $$`)
	p.Exec(b, "SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
	p.Exec(b, "CALL load("+strconv.Itoa(changes)+")")
	p.Exec(b, "CHECKPOINT")
	if err := p.DB.QueryRow("SELECT pg_current_wal_flush_lsn()").Scan(&end); err != nil {
		b.Fatal(err)
	}
	// Something behind the end, so that every reader gets there.
	p.Exec(b, "SELECT pg_logical_emit_message(true, 'bench', 'end'); SELECT pg_switch_wal()")
	return end
}

func drainSource(b *testing.B, p *cdctest.Postgres, slot string, changes int, end string) {
	cfg := config(p, "bench")
	cfg.Slot, cfg.Publication = slot, "bench"
	s := postgres.New(cfg, []cdc.Selection{{Table: cdc.Table{Name: "bench"}, Columns: benchColumns}}, logger(b))
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	if err := s.Open(ctx, confirmed(b, p, slot[len("waybill_"):])); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	got, batches := 0, 0
	for got < changes/30*30 {
		batch, err := s.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		got += batch.Changes
		batches++
	}
	b.ReportMetric(float64(got)/float64(batches), "changes/batch")
}

func cpuTime() time.Duration {
	var self, children syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &self) // cannot fail with these arguments
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children)
	sum := time.Duration(0)
	for _, t := range []syscall.Timeval{self.Utime, self.Stime, children.Utime, children.Stime} {
		sum += time.Duration(t.Nano())
	}
	return sum
}
