package postgres_test

import (
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestStrain holds a physical standby back, and reads its lag on the server while a stream of ours is open.
func TestStrain(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int)`)
	s := postgres.New(config(p, "strain"), []cdc.Selection{selection("loads", "n")}, logger(t))
	defer s.Close()
	ask := func() cdc.Strain {
		t.Helper()
		got, err := s.Strain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var now time.Time
		if err := p.DB.QueryRow(`SELECT clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		if behind := now.Sub(got.Clock); behind < 0 || behind > time.Minute {
			t.Errorf("the server's clock is %s, and was told as %s", now, got.Clock)
		}
		return got
	}
	if err := s.Open(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for lag, deadline := 0.0, time.Now().Add(time.Minute); lag < 2; { // our own stream is behind, since nothing is confirmed
		p.Exec(t, `INSERT INTO loads VALUES (-1, 0) ON CONFLICT (id) DO UPDATE SET n = loads.n + 1`)
		if err := p.DB.QueryRow(`SELECT coalesce(extract(epoch FROM max(replay_lag)), 0) FROM pg_stat_replication`).Scan(&lag); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute without a confirmation, and the server says %v s", lag)
		}
	}
	if got := ask(); got.Replica != "" || got.Behind != 0 {
		t.Errorf("without a standby: %+v", got)
	}
	s.Close()
	standby := p.Standby(t, "second")
	f := follow(t, s)
	f.open("")
	standby.Exec(t, `SELECT pg_wal_replay_pause()`)
	var got cdc.Strain
	for n, deadline := 0, time.Now().Add(time.Minute); got.Replica != "second" || got.Behind < 2*time.Second; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("a minute after its replay was paused: %+v", got)
		}
		p.Exec(t, `INSERT INTO loads VALUES ($1, 0)`, n)
		f.until(n + 1) // the stream, also one of pg_stat_replication, is at the end
		got = ask()
	}
	standby.Exec(t, `SELECT pg_wal_replay_resume()`)
	for deadline := time.Now().Add(time.Minute); got.Behind >= 2*time.Second; got = ask() {
		if time.Now().After(deadline) {
			t.Fatalf("a minute after its replay went on: %+v", got)
		}
		p.Exec(t, `UPDATE loads SET n = n + 1 WHERE id = 0`)
	}
}
