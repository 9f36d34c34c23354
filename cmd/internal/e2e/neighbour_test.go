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
)

// No row of the benchmark's makes an event: what is measured is capture.
const neighbourMapping = `
events:
  customer.changed:
    from: db.pgbench_accounts
    lane: master
    when: aid < 0
    key: aid
    set: { code: aid, name: abalance }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name }
`

// TestNeighbour runs pgbench for PGBENCH_SECONDS with and without the daemon beside it, five times each by turns, on a server that
// syncs its commits. Without PGBENCH_SECONDS it does nothing.
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
	n.bench("-i", "-q", "-s", "10")
	e.configure(neighbourMapping, "")
	e.start()
	e.settled(5 * time.Minute)
	e.stop()
	var without, with []float64
	for i := range neighbourRuns {
		for _, beside := range []bool{i%2 == 1, i%2 == 0} {
			p99 := n.p99(beside)
			if beside {
				with = append(with, p99)
			} else {
				without = append(without, p99)
			}
		}
		t.Logf("run %d: p99 %.2f ms without, %.2f ms with the daemon", i+1, without[i], with[i])
	}
	ratio := median(with) / median(without)
	t.Logf("p99 with against without, medians of %d paired runs of %d s: %.2f ms / %.2f ms = %.3f", neighbourRuns, seconds, median(with), median(without), ratio)
	if ratio > neighbourBound {
		t.Errorf("the database's p99 is %.3f of what it is without the daemon, the bound is %.2f", ratio, neighbourBound)
	}
}

type neighbour struct {
	*engine
	server  *cdctest.Postgres
	seconds int
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

// p99 is the 99th percentile of the transactions' times, in ms.
func (n *neighbour) p99(beside bool) float64 {
	n.t.Helper()
	n.sql(n.db, "CHECKPOINT")
	if beside {
		n.start()
		n.settled(5 * time.Minute) // what was written meanwhile is captured before
		defer n.stop()
	}
	prefix := filepath.Join(n.dir, "times")
	n.bench("-n", "-c", "4", "-j", "1", "-T", strconv.Itoa(n.seconds), "-l", "--log-prefix", prefix)
	files, err := filepath.Glob(prefix + "*")
	if err != nil {
		n.t.Fatal(err)
	}
	var times []float64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			us, err := strconv.ParseFloat(strings.Fields(line)[2], 64) // client, number, microseconds, …
			if err != nil {
				n.t.Fatal(fmt.Errorf("%s: %w", line, err))
			}
			times = append(times, us/1000)
		}
		if err := os.Remove(file); err != nil {
			n.t.Fatal(err)
		}
	}
	if len(times) < 100 {
		n.t.Fatalf("pgbench logged %d transactions", len(times))
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
