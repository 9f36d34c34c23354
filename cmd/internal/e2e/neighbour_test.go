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

// TestNeighbour runs pgbench for PGBENCH_SECONDS with and without the daemon beside it, five times each by turns, on a server that
// syncs its commits and works at half of what it could do alone: a server that is saturated shares its processors with whatever
// comes, and its times say nothing but that. Without PGBENCH_SECONDS it does nothing.
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
	n.rate = max(1, alone/2)
	t.Logf("the server alone does %d transactions a second; measured at %d", alone, n.rate)
	e.configure(customersOf("pgbench_accounts", "aid < 0", "aid", "abalance"), neighbourLimits) // no row makes an event: what is measured is capture
	e.start()
	e.settled(15 * time.Minute)
	e.stop()
	var ratios []float64
	for i := range neighbourRuns {
		var without, with float64
		for _, beside := range []bool{i%2 == 1, i%2 == 0} {
			if p99 := n.p99(beside); beside {
				with = p99
			} else {
				without = p99
			}
		}
		ratios = append(ratios, with/without)
		t.Logf("run %d: p99 %.2f ms without, %.2f ms with the daemon: %.3f", i+1, without, with, ratios[i])
	}
	ratio := median(ratios)
	t.Logf("p99 with against without, median of %d paired runs of %d s at %d transactions a second: %.3f", neighbourRuns, seconds, n.rate, ratio)
	if ratio > neighbourBound {
		t.Errorf("the database's p99 is %.3f of what it is without the daemon, the bound is %.2f", ratio, neighbourBound)
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

// p99 is the 99th percentile of the transactions' times in the database, in ms.
func (n *neighbour) p99(beside bool) float64 {
	n.t.Helper()
	n.sql(n.db, "CHECKPOINT")
	if beside {
		n.start()
		n.settled(15 * time.Minute) // what was written meanwhile is captured before
		defer n.stop()
	}
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
