package postgres_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestRunway reads the gauges of a slot that falls behind, catches up, and is gone.
func TestRunway(t *testing.T) {
	p := cdctest.StartPostgres(t, "max_wal_size=4GB")
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int); INSERT INTO loads VALUES (1, 1)`)
	limitSlots(t, p, "1GB")
	s := postgres.New(config(p, "runway"), []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	read := func() cdc.Runway {
		t.Helper()
		r, err := s.ReadRunway(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := read(); r.Status != "missing" || r.Retained != -1 || r.Left != -1 || len(r.Warnings) != 0 {
		t.Errorf("before there is a slot: %+v", r)
	}
	f := follow(t, s)
	f.open("")
	f.until(1)
	f.next()
	first := read()
	if first.Status != "reserved" || first.Safe < 900<<20 || first.Retained > 32<<20 || first.Left != -1 || first.Oldest != 0 {
		t.Errorf("at rest: %+v", first)
	}
	s.Close()
	hold, err := p.DB.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback()
	var pid string
	if err := hold.QueryRow(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	switchLog(t, p, 8)
	second := read()
	grown := second.Retained - first.Retained
	if grown < 7*16<<20 || first.Safe-second.Safe != grown || second.Growth <= 0 || second.Written <= 0 || second.Left <= 0 || second.Left > time.Hour ||
		second.Bound != "max_slot_wal_keep_size" || second.Oldest <= 0 || second.OldestPID != pid {
		t.Errorf("behind: %+v after %+v", second, first)
	}
	if list := second.Warnings; len(list) != 1 || list[0].Check != "log runway" || !strings.Contains(list[0].Fix, "ALTER SYSTEM SET max_slot_wal_keep_size = '3072MB'") {
		t.Errorf("%+v", list)
	}
	f.open(f.pos)
	for until := time.Now().Add(20 * time.Second); ; {
		f.next()
		p.Exec(t, `CHECKPOINT`) // writes what lets the slot's restart point move
		r := read()
		if r.Growth < 0 && r.Left == -1 && len(r.Warnings) == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("not caught up: %+v", r)
		}
	}
	once, err := s.Runway(t.Context())
	again, errAgain := s.Runway(t.Context())
	if err != nil || errAgain != nil || !once.At.Equal(again.At) || once.At.IsZero() {
		t.Errorf("asked twice within a minute: %+v, %v and %+v, %v", once, err, again, errAgain)
	}
}

// TestRole runs the script that makes a role as it is written, and captures with that role.
func TestRole(t *testing.T) {
	p := cdctest.StartPostgres(t)
	limitSlots(t, p, "10GB")
	p.Exec(t, `CREATE DATABASE dispatch`)
	db, err := sql.Open("pgx", strings.Replace(p.DSN(), "dbname=postgres", "dbname=dispatch", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	script, err := os.ReadFile("testdata/role.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`CREATE TABLE loads (id int PRIMARY KEY, n int); CREATE TABLE stops (id int PRIMARY KEY, load int);
		CREATE TABLE payroll (id int PRIMARY KEY); INSERT INTO loads VALUES (1, 1)`, string(script)} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config(p, "dispatch")
	cfg.Database, cfg.User, cfg.Password = "dispatch", "waybill", "change-me"
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n"), selection("stops", "load")}, logger(t))
	defer s.Close()
	findings, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Level != cdc.LevelOK {
			t.Errorf("%+v", f)
		}
	}
	f := follow(t, s)
	f.open("")
	f.until(1)
	if _, err := db.Exec(`INSERT INTO stops VALUES (7, 1); UPDATE stops SET load = 2; DELETE FROM stops`); err != nil {
		t.Fatal(err)
	}
	f.until(4)
	if r, err := s.Runway(t.Context()); err != nil || r.Oldest < 0 || r.Status != "reserved" {
		t.Errorf("%+v, %v", r, err)
	}
	s.Close()
	f.open(f.pos)
	f.next()
	s.Close()
	if err := s.Release(context.Background()); err != nil { // it may drop its slot; the publication stays, it is the owner's
		t.Fatal(err)
	}
	mine, err := sql.Open("pgx", strings.NewReplacer("dbname=postgres", "dbname=dispatch", "user=postgres", "user=waybill",
		"password=k7Qz-canary-9xWv", "password=change-me").Replace(p.DSN()))
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	for _, denied := range []string{`SELECT * FROM payroll`, `UPDATE loads SET n = 2`, `CREATE TABLE x (id int)`, `DROP PUBLICATION waybill_dispatch`} {
		if _, err := mine.Exec(denied); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", denied, err)
		}
	}
}
