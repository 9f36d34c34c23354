package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cdc/cdctest"
)

const (
	neighbourRuns  = 5
	neighbourBound = 1.10 // p99 with the daemon beside the database, against without
	// neighbourLimits are what the README gives a daemon on the database's own machine.
	neighbourLimits = "limits: { cpus: 1, nice: 10 }\n"
)

// TestNeighbour runs pgbench for PGBENCH_SECONDS alone, with the daemon beside it, and with PostgreSQL's own client of the same stream
// (pg_recvlogical, into /dev/null), five times each by turns, on a server that syncs its commits and works at a quarter of what it
// could do alone: a server that is saturated shares its processors with whatever comes, and its times say nothing but that. To
// decode its log costs a server something, whoever reads it; the daemon may cost no more than a tenth above that. Without
// PGBENCH_SECONDS it does nothing.
func TestNeighbour(t *testing.T) {
	seconds := soak(t, "PGBENCH_SECONDS")
	plainBinary(t)
	e := newEngine(t, "postgres")
	n := &neighbour{engine: e, seconds: seconds, server: safePostgres(t)}
	n.server.Exec(t, "CREATE DATABASE "+e.pgName)
	db, err := sql.Open("pgx", strings.Replace(n.server.DSN(), "dbname="+n.server.Database, "dbname="+e.pgName, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	e.db, e.port = db, n.server.Port
	n.bench("-i", "-q", "-s", "4") // as many branches as clients, or these wait for one another
	alone := len(n.times(0)) / seconds
	n.rate = max(1, alone/4)
	t.Logf("the server alone does %d transactions a second; measured at %d", alone, n.rate)
	e.configure(customersOf("pgbench_accounts", "aid < 0", "aid", "abalance"), neighbourLimits) // no row makes an event: what is measured is capture
	e.start()
	e.settled(15 * time.Minute)
	e.stop()
	n.sql(n.db, "CREATE PUBLICATION own FOR TABLE pgbench_accounts")
	var alike, above []float64
	for i := range neighbourRuns {
		var p99 [3]float64
		for k := range p99 {
			beside := (i + k) % len(p99)
			p99[beside] = n.p99([]func() (stop func()){nobody, n.ownClient, n.ours}[beside])
		}
		alike, above = append(alike, p99[2]/p99[0]), append(above, p99[2]/p99[1])
		t.Logf("run %d: p99 %.2f ms alone, %.2f ms with pg_recvlogical, %.2f ms with the daemon", i+1, p99[0], p99[1], p99[2])
	}
	t.Logf("p99 with the daemon, median of %d runs of %d s at %d transactions a second: %.3f of alone, %.3f of what it is with pg_recvlogical",
		neighbourRuns, seconds, n.rate, median(alike), median(above))
	if median(alike) > neighbourBound && median(above) > neighbourBound {
		t.Errorf("the database's p99 is %.3f of what it is alone and %.3f of what it is with pg_recvlogical, the bound is %.2f", median(alike), median(above), neighbourBound)
	}
}

func nobody() func() { return func() {} }

// ours starts the daemon, which captures before what was written meanwhile.
func (n *neighbour) ours() (stop func()) {
	n.start()
	n.settled(15 * time.Minute)
	return n.stop
}

// ownClient starts PostgreSQL's own client of logical replication.
func (n *neighbour) ownClient() (stop func()) {
	n.t.Helper()
	n.sql(n.db, "SELECT pg_create_logical_replication_slot('own', 'pgoutput')")
	cmd := exec.Command("pg_recvlogical", "-h", n.server.Host, "-p", strconv.Itoa(n.server.Port), "-U", n.server.User, "-d", n.pgName, "--slot=own", "--start",
		"-o", "proto_version=1", "-o", "publication_names=own", "-f", "/dev/null", "-F", "0", "-n")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+n.server.Password)
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		n.until(10*time.Second, "the slot is free", func() bool {
			_, err := n.db.Exec("SELECT pg_drop_replication_slot('own')")
			return err == nil
		})
	}
}

type neighbour struct {
	*engine
	server  *cdctest.Postgres
	seconds int
	rate    int // transactions a second
}

// safePostgres starts a server that syncs its commits, as a real one does.
func safePostgres(t *testing.T) *cdctest.Postgres {
	t.Helper()
	dir, err := os.MkdirTemp("", "waybill-neighbour-") // not t.TempDir: the server's user may not enter that
	if err != nil {
		t.Fatal(err)
	}
	p, err := cdctest.NewPostgres(dir, cdctest.PostgresOptions{Safe: true})
	if err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	t.Cleanup(func() { p.DB.Close(); p.Kill(); os.RemoveAll(dir) })
	return p
}

func (n *neighbour) bench(args ...string) {
	n.t.Helper()
	cmd := exec.Command("pgbench", append(args, "-h", n.server.Host, "-p", strconv.Itoa(n.server.Port), "-U", n.server.User, n.pgName)...)
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "PGPASSWORD="+n.server.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("pgbench: %v\n%s", err, out)
	}
}

// p99 is the 99th percentile of the transactions' times in the database, in ms, with somebody beside it.
func (n *neighbour) p99(beside func() (stop func())) float64 {
	n.t.Helper()
	n.sql(n.db, "CHECKPOINT")
	defer beside()()
	times := n.times(n.rate)
	if len(times) < 100 {
		n.t.Fatalf("pgbench logged %d transactions", len(times))
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

// times runs pgbench, at a rate or as fast as it goes, and returns each transaction's time in the database in ms: from its
// beginning to the answer to its COMMIT. How late pgbench itself began it, by its schedule, is no part of it.
func (n *neighbour) times(rate int) (times []float64) {
	n.t.Helper()
	prefix := filepath.Join(n.dir, "times")
	args := []string{"-n", "-c", "4", "-j", "1", "-T", strconv.Itoa(n.seconds), "-l", "--log-prefix", prefix}
	if rate > 0 {
		args = append(args, "-R", strconv.Itoa(rate))
	}
	n.bench(args...)
	files, err := filepath.Glob(prefix + "*")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// Client, number, µs since its schedule, script, time (two fields), and with a rate µs of which it began late.
			fields := strings.Fields(line)
			us, err := strconv.ParseFloat(fields[2], 64)
			if err == nil && rate > 0 {
				var late float64
				late, err = strconv.ParseFloat(fields[6], 64)
				us -= late
			}
			if err != nil {
				n.t.Fatal(fmt.Errorf("%s: %w", line, err))
			}
			times = append(times, us/1000)
		}
		if err := os.Remove(file); err != nil {
			n.t.Fatal(err)
		}
	}
	return times
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
