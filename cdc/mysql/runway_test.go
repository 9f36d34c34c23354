package mysql

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

func (f *follower) readRunway() measured {
	f.t.Helper()
	f.src.gauge.mu.Lock()
	defer f.src.gauge.mu.Unlock()
	r, err := f.src.readRunway(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// TestRunway reads the gauges of a source that falls behind, and whose file is purged.
func TestRunway(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--binlog-expire-logs-seconds=7200", "--sync-binlog=1", "--gtid-strict-mode=1")
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY, b LONGBLOB); INSERT INTO d.t VALUES (1, 'x')")
	f := follow(t, config(m, "d"), pick("t"))
	if r := f.readRunway(); r.Status != "unknown" || r.Retained != -1 || r.Left != -1 {
		t.Errorf("before there is a position: %+v", r)
	}
	f.open()
	f.until(1)
	f.settled()
	first := f.readRunway()
	if first.Status != "current" || first.Retained != 0 || first.Left != -1 || len(first.Warnings) != 0 || first.Oldest != 0 {
		t.Errorf("at rest: %+v", first)
	}
	f.src.Close()
	hold, err := m.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback()
	if _, err := hold.Exec("UPDATE d.t SET b = 'y' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-2 * time.Second)
	m.Exec(t, "INSERT INTO d.t VALUES (2, REPEAT('x', 1000000)); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (3, REPEAT('x', 1000000))")
	waitOn(t, m)
	second := f.readRunway()
	if second.Status != "kept" || second.Retained < 2000000 || second.Growth <= 0 || second.Written <= 0 || second.since.Before(began) ||
		second.Left > 2*time.Hour || second.Left < 2*time.Hour-time.Minute || second.Bound != "binlog retention" || second.Oldest < time.Second || second.OldestPID == "" {
		t.Errorf("behind: %+v after %+v", second, first)
	}
	if list := second.Warnings; len(list) != 1 || list[0].Check != string(aboutRunway) || !strings.HasPrefix(list[0].Fix, "SET GLOBAL binlog_expire_logs_seconds = 604800;") {
		t.Errorf("%+v", list)
	}
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	m.Exec(t, "SET GLOBAL binlog_expire_logs_seconds = 604800") // and with a week there is nothing to warn of
	if r := f.readRunway(); len(r.Warnings) != 0 {
		t.Errorf("%+v", r.Warnings)
	}
	f.open()
	f.until(3)
	f.settled()
	if r := f.readRunway(); r.Status != "current" || r.Retained != 0 || r.Growth >= 0 {
		t.Errorf("caught up: %+v", r)
	}
	f.src.Close()
	m.Exec(t, "INSERT INTO d.t VALUES (4, 'x'); FLUSH BINARY LOGS")
	for until := time.Now().Add(20 * time.Second); ; {
		m.Exec(t, "PURGE BINARY LOGS TO 'binlog.000003'")
		r := f.readRunway()
		if r.Status == "purged" && r.Left == 0 && len(r.Warnings) == 1 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("after a purge: %+v", r)
		}
	}
	once, err := f.src.Runway(t.Context())
	again, errAgain := f.src.Runway(t.Context())
	if err != nil || errAgain != nil || !once.At.Equal(again.At) {
		t.Errorf("asked twice within a minute: %+v, %v and %+v, %v", once, err, again, errAgain)
	}
}

// waitOn waits for the server's clock to show the next second but one: ages are in seconds.
func waitOn(t *testing.T, m *cdctest.MariaDB) {
	var first, now int64
	for now < first+2 || first == 0 {
		if err := m.DB.QueryRow("SELECT UNIX_TIMESTAMP()").Scan(&now); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = now
		}
	}
}

// TestUser runs the script that makes a user as it is written, and captures with that user.
func TestUser(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--sync-binlog=1", "--gtid-strict-mode=1")
	script, err := os.ReadFile("testdata/user.sql")
	if err != nil {
		t.Fatal(err)
	}
	// The tests' own user has the name that the script makes.
	m.Exec(t, "CREATE USER admin@'%' IDENTIFIED BY 'k7Qz-canary-9xWv'; GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
	db, err := sql.Open("mysql", fmt.Sprintf("admin:k7Qz-canary-9xWv@tcp(%s:%d)/?multiStatements=true", m.Host, m.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(statements string) {
		t.Helper()
		if _, err := db.Exec(statements); err != nil {
			t.Fatal(err)
		}
	}
	do("DROP USER waybill@'%'")
	do("CREATE DATABASE billing; USE billing; CREATE TABLE loads(id INT PRIMARY KEY, n INT); CREATE TABLE stops(id INT PRIMARY KEY, load_id INT); " +
		"CREATE TABLE payroll(id INT PRIMARY KEY); INSERT INTO loads VALUES (1, 1)")
	do(string(script))
	cfg := config(m, "billing")
	cfg.User, cfg.Password = "waybill", "change-me"
	f := follow(t, cfg, pick("loads", "n"), pick("stops", "load_id"))
	findings, err := f.src.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range findings {
		if x.Level != cdc.LevelOK {
			t.Errorf("%+v", x)
		}
	}
	f.open()
	f.until(1)
	do("USE billing; INSERT INTO stops VALUES (7, 1); UPDATE stops SET load_id = 2; DELETE FROM stops")
	f.until(4)
	f.settled()
	f.reopen()
	f.settled()
	cfg = cfg.withDefaults()
	conn, err := cfg.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	for _, denied := range []string{"SELECT * FROM billing.payroll", "UPDATE billing.loads SET n = 2", "CREATE TABLE billing.x(id INT)"} {
		if _, err := conn.query(t.Context(), denied); err == nil || !strings.Contains(err.Error(), "denied") {
			t.Errorf("%s: %v", denied, err)
		}
	}
}
