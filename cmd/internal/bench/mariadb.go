package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"waybill/cdc/cdctest"
)

// myBench is the MariaDB server with the backlog.
type myBench struct {
	*cdctest.MariaDB
	s     settings
	dir   string
	base  job
	begin string // file:position where the backlog begins
}

func measureMariaDB(s settings, dir string, r *report) error {
	m, err := cdctest.NewMariaDB(filepath.Join(dir, "maria"), cdctest.MariaDBOptions{Args: []string{"--max-binlog-size=1G", "--sync-binlog=0",
		"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=1G", "--innodb-flush-log-at-trx-commit=2"}})
	if err != nil {
		return err
	}
	defer m.Stop()
	defer m.DB.Close()
	b := &myBench{MariaDB: m, s: s, dir: dir}
	b.base = job{Kind: "stream", Driver: "mariadb", Host: m.Host, Port: m.Port, User: m.User, Password: m.Password, Database: "bench",
		Tables: []string{"bench_changes"}, Changes: s.Rows}
	if err := b.load(); err != nil {
		return fmt.Errorf("loading the backlog of MariaDB: %w", err)
	}
	if s.wants("mariadb") {
		if err := b.stream(r); err != nil {
			return fmt.Errorf("measuring mariadb-stream: %w", err)
		}
	}
	if s.wants("snapshot") {
		if err := b.snapshot(r); err != nil {
			return fmt.Errorf("measuring mariadb-snapshot: %w", err)
		}
	}
	if s.wants("latency") {
		return b.latency(r)
	}
	return nil
}

func (b *myBench) load() error {
	ctx := context.Background()
	conn, err := b.DB.Conn(ctx) // one session: USE holds
	if err != nil {
		return err
	}
	defer conn.Close()
	exec := func(statements ...string) error {
		for _, text := range statements {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("%w in %.60s", err, text)
			}
		}
		return nil
	}
	if err := exec("CREATE DATABASE bench", "USE bench", fmt.Sprintf(myTable, "bench_changes"),
		"CREATE TABLE bench_numbers (n INT PRIMARY KEY)", "INSERT INTO bench_numbers SELECT seq FROM seq_0_to_999", myProcedure); err != nil {
		return err
	}
	if b.s.wants("snapshot") {
		tables := rowTables()
		for _, name := range tables {
			if err := exec("SET SESSION sql_log_bin = 0", fmt.Sprintf(myTable, name), "INSERT INTO "+name+" SELECT "+strings.ReplaceAll(myRow, "%%", "%")+
				" FROM (SELECT seq FROM seq_1_to_"+strconv.Itoa(b.s.Rows/2/len(tables))+") s", "SET SESSION sql_log_bin = 1", "ANALYZE TABLE "+name); err != nil {
				return err
			}
		}
	}
	if err := exec("FLUSH BINARY LOGS"); err != nil {
		return err
	}
	prepare := b.base
	prepare.Kind = "position"
	at, err := prepare.do()
	if err != nil {
		return err
	}
	b.base.Position = at.Pos
	if b.begin, err = b.masterStatus(conn); err != nil {
		return err
	}
	if !b.s.wants("mariadb") {
		return nil
	}
	began := time.Now()
	if err := exec(fmt.Sprintf("CALL bench_load(%d)", b.s.Rows)); err != nil {
		return err
	}
	progress("MariaDB: %d changes written in %.0f s", b.s.Rows, time.Since(began).Seconds())
	return nil
}

func (b *myBench) masterStatus(conn *sql.Conn) (string, error) {
	var file, pos, do, ignore string
	err := conn.QueryRowContext(context.Background(), "SHOW MASTER STATUS").Scan(&file, &pos, &do, &ignore)
	return file + ":" + pos, err
}

func (b *myBench) stream(r *report) error {
	var ours, tools, bare []sample
	for range b.s.Runs {
		s, err := b.binlog()
		if err != nil {
			return err
		}
		tools = append(tools, s)
		j := b.base
		j.Kind, j.Position = "raw", b.begin
		if s, err = j.do(); err != nil {
			return err
		}
		bare = append(bare, s)
		if s, err = b.base.inStore(b.dir); err != nil {
			return err
		}
		ours = append(ours, s)
		progress("mariadb-stream: mariadb-binlog %.0f k, raw %.0f k, waybill %.0f k changes/s", last(tools).rate()/1e3, last(bare).rate()/1e3, last(ours).rate()/1e3)
	}
	r.compared("mariadb-stream", "changes/s", "≥ 0.5 of the best, anon < 150 MB", ours,
		map[string][]sample{"mariadb-binlog --raw": tools, "raw framing drain": bare}, []string{"mariadb-binlog --raw", "raw framing drain"})
	return nil
}

// binlog has mariadb-binlog copy the log, into memory where there is a folder for it.
func (b *myBench) binlog() (sample, error) {
	into, err := os.MkdirTemp("/dev/shm", "waybill-bench-")
	if err != nil {
		if into, err = os.MkdirTemp(b.dir, "binlog-"); err != nil {
			return sample{}, err
		}
	}
	defer os.RemoveAll(into)
	file, pos, _ := strings.Cut(b.begin, ":")
	return tool(b.s.Rows, "mariadb-binlog", "--no-defaults", "--read-from-remote-server", "--raw", "--host="+b.Host, "--port="+strconv.Itoa(b.Port),
		"--user="+b.User, "--password="+b.Password, "--result-file="+into+"/", "--start-position="+pos, "--to-last-log", file)
}

// snapshot reads tables beside the stream, and has as many clients select from them.
func (b *myBench) snapshot(r *report) error {
	tables := rowTables()
	each := b.s.Rows / 2 / len(tables)
	rows := each * len(tables)
	var ours, tools []sample
	for range b.s.Runs {
		s, err := together(rows, func(table string) (sample, error) {
			return tool(each, "mariadb", "--no-defaults", "--host="+b.Host, "--port="+strconv.Itoa(b.Port), "--user="+b.User, "--password="+b.Password,
				"--quick", "--skip-column-names", "--execute=SELECT * FROM bench."+table)
		})
		if err != nil {
			return err
		}
		tools = append(tools, s)
		j := b.base
		j.Kind, j.Tables, j.Position, j.Changes = "snapshot", tables, "", rows
		if s, err = j.inStore(b.dir); err != nil {
			return err
		}
		ours = append(ours, s)
		progress("mariadb-snapshot: mariadb -q %.0f k, waybill %.0f k rows/s", last(tools).rate()/1e3, s.rate()/1e3)
	}
	r.compared("mariadb-snapshot", "rows/s", snapshotTarget, ours, map[string][]sample{"mariadb -q": tools}, []string{"mariadb -q"})
	return nil
}
