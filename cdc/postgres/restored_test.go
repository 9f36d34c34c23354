package postgres_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestRestored puts an older copy of the database's files in its place.
func TestRestored(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	s := postgres.New(config(p, "restored"), []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	f.next()
	s.Close()
	p.Stop()
	data, copied := filepath.Join(p.Dir, "data"), filepath.Join(p.Dir, "copy")
	run(t, "cp", "-a", data, copied)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	f.open(f.pos)
	p.Exec(t, `INSERT INTO loads SELECT i, i FROM generate_series(2, 5000) i`)
	f.until(5000)
	s.Close()
	p.Stop()
	run(t, "rm", "-r", data)
	run(t, "mv", copied, data)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	var l *cdc.LostError
	if err := s.Open(t.Context(), f.pos); !errors.As(err, &l) || !strings.Contains(l.Reason, "the database was restored to an earlier time") {
		t.Fatalf("Open returned %v", err)
	}
	heal(t, p, l)
	f = follow(t, s)
	f.open("")
	f.until(1)
}

// TestRestoredAndWritten restores an older copy, and then writes on until the log is longer than it was: it has the same
// identity and timeline, and everywhere something else in it.
func TestRestoredAndWritten(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	cfg := config(p, "restored")
	cfg.Memory = &memory{}
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	f.next()
	s.Close()
	p.Stop()
	data, copied := filepath.Join(p.Dir, "data"), filepath.Join(p.Dir, "copy")
	run(t, "cp", "-a", data, copied)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	f.open(f.pos)
	var was string
	if err := p.DB.QueryRow(`SELECT restart_lsn FROM pg_replication_slots`).Scan(&was); err != nil {
		t.Fatal(err)
	}
	for until, moved := time.Now().Add(30*time.Second), false; !moved; {
		note, err := cfg.Memory.Recall("waybill_restored.restart")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.DB.QueryRow(`SELECT coalesce(nullif($1, '')::pg_lsn > $2::pg_lsn, false)`, note, was).Scan(&moved); err != nil {
			t.Fatal(err)
		}
		p.Exec(t, `INSERT INTO loads SELECT max(id) + 1, 1 FROM loads`)
		p.Exec(t, `CHECKPOINT`) // writes what lets the slot's restart point move
		f.next()
		if time.Now().After(until) {
			t.Fatal("the restart point does not move")
		}
	}
	s.Close()
	p.Stop()
	run(t, "rm", "-r", data)
	run(t, "mv", copied, data)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.Exec(t, `INSERT INTO loads SELECT i, 2 FROM generate_series(2, 50000) i`)
	s = postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t)) // a new process
	defer s.Close()
	var l *cdc.LostError
	if err := s.Open(t.Context(), f.pos); !errors.As(err, &l) || !strings.Contains(l.Reason, "was restored to an earlier time, and what it has written since") {
		t.Fatalf("Open returned %v", err)
	}
	heal(t, p, l)
	f = follow(t, s)
	f.open("")
	f.until(50000)
	s.Close()
	f.open(f.pos)
	f.next()
}

// TestPromoted promotes the server, as a failover or a restore to a point in time does.
func TestPromoted(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	s := postgres.New(config(p, "promoted"), []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	f := follow(t, s)
	f.open("")
	f.until(1)
	s.Close()
	p.Stop()
	cdctest.Place(t, filepath.Join(p.Dir, "data"), "standby.signal", nil)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	findings, err := s.Check(t.Context()) // on the standby
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range findings {
		if x.Check == "primary" && (x.Level != cdc.LevelFail || x.Found != "a standby") {
			t.Errorf("%+v", x)
		}
	}
	p.Exec(t, `SELECT pg_promote()`)
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var recovering bool
		if err := p.DB.QueryRow(`SELECT pg_is_in_recovery()`).Scan(&recovering); err != nil || time.Now().After(until) {
			t.Fatal(err)
		}
		if !recovering {
			break
		}
	}
	p.Exec(t, `CHECKPOINT`)
	var l *cdc.LostError
	if err := s.Open(t.Context(), f.pos); !errors.As(err, &l) || !strings.Contains(l.Reason, "the server is on timeline 2, the stored position") {
		t.Fatalf("Open returned %v", err)
	}
	heal(t, p, l)
	f = follow(t, s)
	f.open("")
	f.until(1)
	if !strings.HasSuffix(f.batch.Identity, "/2") {
		t.Errorf("identity %s", f.batch.Identity)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestCheckFixes pastes the SQL of every finding about a badly kept server, as it is printed, until nothing is left to say.
func TestCheckFixes(t *testing.T) {
	p := cdctest.StartPostgres(t)
	for _, setting := range []string{"max_slot_wal_keep_size = '64MB'", "wal_sender_timeout = '2s'", "logical_decoding_work_mem = '64kB'",
		"idle_session_timeout = '60s'", "synchronous_standby_names = '*'", "synchronous_commit = 'local'", "max_prepared_transactions = 5"} {
		p.Exec(t, `ALTER SYSTEM SET `+setting)
	}
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.Exec(t, `CREATE ROLE reader LOGIN PASSWORD 'k7Qz-canary-9xWv'; CREATE SCHEMA s; CREATE TABLE s.loads (id int PRIMARY KEY, n int); CREATE TABLE s.bare (id int);
		CREATE TABLE s.hidden (id int PRIMARY KEY); ALTER TABLE s.hidden ENABLE ROW LEVEL SECURITY; CREATE UNLOGGED TABLE s.volatile (id int PRIMARY KEY)`)
	cfg := config(p, "fixes")
	cfg.User, cfg.Schema = "reader", "s"
	s := postgres.New(cfg, []cdc.Selection{{Table: cdc.Table{Name: "loads"}, Old: []string{"n"}}, selection("bare", "id"), selection("hidden"), selection("volatile")}, logger(t))
	var said []string
	for range 4 { // what one fix makes visible, the next round fixes
		findings, err := s.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clean := true
		for _, x := range findings {
			if x.Level == cdc.LevelOK {
				continue
			}
			clean = false
			said = append(said, x.Check)
			text := x.Fix
			if _, sql, ok := strings.Cut(text, "owner: "); ok {
				text = sql
			}
			for _, statement := range strings.SplitAfter(strings.Split(text, " -- ")[0], ";") {
				if strings.TrimSpace(statement) != "" {
					p.Exec(t, statement)
				}
			}
		}
		if clean {
			f := follow(t, s)
			defer s.Close()
			f.open("")
			f.until(0)
			break
		}
		waitReload(t, p)
	}
	findings, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range findings {
		if x.Level != cdc.LevelOK {
			t.Errorf("left after %s: %+v", strings.Join(said, ", "), x)
		}
	}
	const want = "max_slot_wal_keep_size,wal_sender_timeout,idle_session_timeout,logical_decoding_work_mem,synchronous_standby_names,role may replicate," +
		"role sees statistics,SELECT on s.loads,USAGE on schema s,"
	if got := strings.Join(said, ","); !strings.HasPrefix(got, want) {
		t.Errorf("said %s", got)
	}
}

// waitReload waits until the server has read its settings anew.
func waitReload(t *testing.T, p *cdctest.Postgres) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var names string
		if err := p.DB.QueryRow(`SHOW synchronous_standby_names`).Scan(&names); err != nil || time.Now().After(until) {
			t.Fatal(names, err)
		}
		if names != "*" {
			return
		}
	}
}
