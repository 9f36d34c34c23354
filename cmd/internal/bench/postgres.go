package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"waybill/cdc/cdctest"
)

const (
	pgTarget       = "≥ 0.6 of the best, anon < 200 MB"
	snapshotTarget = "≥ 0.5 of the best, anon < 150 MB"
)

// pgBench is the PostgreSQL server with the backlog. Every drain reads its own copy of the base slot.
type pgBench struct {
	*cdctest.Postgres
	s     settings
	dir   string
	base  job    // a stream from the base slot's position
	end   string // LSN behind the backlog
	slots int
}

func measurePostgres(s settings, dir string, r *report) error {
	p, err := cdctest.NewPostgres(filepath.Join(dir, "pg"), cdctest.PostgresOptions{Args: []string{"shared_buffers=1GB", "max_wal_size=30GB",
		"checkpoint_timeout=1h", "autovacuum=off", "log_min_messages=error"}, Safe: true})
	if err != nil {
		return err
	}
	defer p.Stop()
	defer p.DB.Close()
	b := &pgBench{Postgres: p, s: s, dir: dir}
	b.base = job{Kind: "stream", Driver: "postgres", Host: p.Host, Port: p.Port, User: p.User, Password: p.Password, Database: p.Database,
		Slot: "waybill_bench", Tables: []string{"bench_changes"}, Changes: s.Rows}
	if err := b.load(); err != nil {
		return fmt.Errorf("loading the backlog of PostgreSQL: %w", err)
	}
	for _, part := range []struct {
		name    string
		measure func(*report) error
	}{{"pg", b.stream}, {"snapshot", b.snapshot}, {"engine", b.engine}, {"latency", b.latency}, {"outbox", b.outbox}, {"http-sink", b.httpSink}, {"daemon", b.daemon}} {
		if !s.wants(part.name) {
			continue
		}
		if err := part.measure(r); err != nil {
			return fmt.Errorf("measuring %s on PostgreSQL: %w", part.name, err)
		}
	}
	return nil
}

// load makes the tables, lets our source make its slot and publication, and writes the backlog behind them.
func (b *pgBench) load() error {
	if err := b.exec(fmt.Sprintf(pgTable, "bench_changes"), pgProcedure); err != nil {
		return err
	}
	prepare := b.base
	prepare.Kind = "position"
	at, err := prepare.do()
	if err != nil {
		return err
	}
	b.base.Position = at.Pos
	if b.s.wants("engine") {
		if err := b.seed(); err != nil {
			return err
		}
	}
	if !b.s.wants("pg") && !b.s.wants("engine") {
		return nil
	}
	began := time.Now()
	if err := b.exec("ALTER ROLE postgres SET synchronous_commit = off"); err != nil { // for the sessions that begin now
		return err
	}
	conn, err := sql.Open("pgx", b.DSN())
	if err != nil {
		return err
	}
	_, err = conn.Exec(fmt.Sprintf("CALL bench_load(%d)", b.s.Rows))
	if err := errors.Join(err, conn.Close(), b.exec("ALTER ROLE postgres RESET synchronous_commit")); err != nil {
		return err
	}
	if err := b.DB.QueryRow("SELECT pg_current_wal_lsn()::text").Scan(&b.end); err != nil {
		return err
	}
	// pg_recvlogical ends at the first message at or behind the end.
	err = b.exec("CREATE TABLE bench_mark (id int PRIMARY KEY)", "ALTER PUBLICATION waybill_bench ADD TABLE bench_mark",
		"INSERT INTO bench_mark VALUES (1)", "SELECT pg_switch_wal()", "CHECKPOINT")
	progress("PostgreSQL: %d changes written in %.0f s", b.s.Rows, time.Since(began).Seconds())
	return err
}

func (b *pgBench) exec(statements ...string) error {
	for _, text := range statements {
		if _, err := b.DB.Exec(text); err != nil {
			return fmt.Errorf("%w in %.60s", err, text)
		}
	}
	return nil
}

// slot copies a slot, with its place in the log, and returns the copy's name.
func (b *pgBench) slot(from string) (string, error) {
	b.slots++
	name := fmt.Sprintf("%s_%d", from, b.slots)
	_, err := b.DB.Exec("SELECT pg_copy_logical_replication_slot($1, $2)", from, name)
	return name, err
}

func (b *pgBench) drop(slot string) error {
	_, err := b.DB.Exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active", slot)
	return err
}

// on runs a drain on a slot of its own.
func (b *pgBench) on(drain func(slot string) (sample, error)) (sample, error) {
	slot, err := b.slot("waybill_bench")
	if err != nil {
		return sample{}, err
	}
	s, err := drain(slot)
	if err != nil {
		return s, err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var active bool
		if err := b.DB.QueryRow("SELECT active FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&active); err != nil {
			return s, err
		}
		if !active || time.Now().After(deadline) {
			return s, b.drop(slot)
		}
	}
}

func (b *pgBench) stream(r *report) error {
	var ours, tool, bare []sample
	for range b.s.Runs {
		for _, d := range []struct {
			into  *[]sample
			drain func(string) (sample, error)
		}{{&tool, b.recvlogical}, {&bare, b.raw}, {&ours, b.ours}} {
			s, err := b.on(d.drain)
			if err != nil {
				return err
			}
			*d.into = append(*d.into, s)
		}
		progress("pg-stream: pg_recvlogical %.0f k, raw %.0f k, waybill %.0f k changes/s", last(tool).rate()/1e3, last(bare).rate()/1e3, last(ours).rate()/1e3)
	}
	r.compared("pg-stream", "changes/s", pgTarget, ours, map[string][]sample{"pg_recvlogical": tool, "raw coalescing drain": bare},
		[]string{"pg_recvlogical", "raw coalescing drain"})
	return nil
}

func (b *pgBench) recvlogical(slot string) (sample, error) {
	return b.tool(b.s.Rows, "pg_recvlogical", "--dbname", b.dsn(), "--slot", slot, "--start", "--file", "/dev/null", "--endpos", b.end,
		"--option", "proto_version=1", "--option", "publication_names=waybill_bench", "--fsync-interval", "0")
}

func (b *pgBench) dsn() string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=disable", b.Host, b.Port, b.Database, b.User, b.Password)
}

func (b *pgBench) raw(slot string) (sample, error) {
	j := b.base
	j.Kind, j.Slot = "raw", slot
	return j.do()
}

func (b *pgBench) ours(slot string) (sample, error) {
	j := b.base
	j.Slot = slot
	return j.inStore(b.dir)
}

// inStore runs the job with a new store, which is removed afterwards.
func (j job) inStore(dir string) (s sample, err error) {
	if j.Dir, err = os.MkdirTemp(dir, "store-"); err != nil {
		return s, err
	}
	if s, err = j.do(); err != nil {
		return s, err
	}
	return s, os.RemoveAll(j.Dir)
}

// tool measures one of the database's own programs.
func (b *pgBench) tool(changes int, name string, args ...string) (sample, error) {
	return tool(changes, name, args...)
}

func tool(changes int, name string, args ...string) (sample, error) {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	s := sample{Changes: changes, Seconds: time.Since(began).Seconds()}
	if cmd.ProcessState != nil {
		s.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	if err != nil {
		return s, fmt.Errorf("running %s: %w", name, err)
	}
	return s, nil
}

// snapshot reads tables beside the stream, and has as many clients copy them out.
func (b *pgBench) snapshot(r *report) error {
	tables := rowTables()
	each := b.s.Rows / 2 / len(tables)
	rows := each * len(tables)
	for _, name := range tables {
		if err := b.exec(fmt.Sprintf(pgTable, name), "INSERT INTO "+name+" SELECT "+strings.ReplaceAll(pgRow, "%%", "%")+
			" FROM generate_series(1, "+strconv.Itoa(each)+") g", "VACUUM ANALYZE "+name); err != nil {
			return err
		}
	}
	var ours, tools []sample
	for i := range b.s.Runs {
		s, err := together(rows, func(table string) (sample, error) {
			return b.tool(each, "psql", "-q", "-d", b.dsn(), "-o", "/dev/null", "-c", "COPY (SELECT * FROM "+table+") TO STDOUT")
		})
		if err != nil {
			return err
		}
		tools = append(tools, s)
		j := b.base
		j.Kind, j.Tables, j.Position, j.Changes, j.Slot = "snapshot", tables, "", rows, "waybill_snapshot_"+strconv.Itoa(i)
		if s, err = j.inStore(b.dir); err != nil {
			return err
		}
		ours = append(ours, s)
		progress("pg-snapshot: COPY %.0f k, waybill %.0f k rows/s", last(tools).rate()/1e3, s.rate()/1e3)
		if err := b.drop(j.Slot); err != nil {
			return err
		}
	}
	r.compared("pg-snapshot", "rows/s", snapshotTarget, ours, map[string][]sample{"psql COPY text": tools}, []string{"psql COPY text"})
	return nil
}

func last(s []sample) sample { return s[len(s)-1] }

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
