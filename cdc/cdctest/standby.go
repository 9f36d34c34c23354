package cdctest

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Standby starts a physical standby of the server, named in pg_stat_replication, on a copy of its data; the server is restarted
// for that. Both are stopped with the test. The standby answers queries.
func (p *Postgres) Standby(tb testing.TB, name string) *Postgres {
	tb.Helper()
	dir, err := os.MkdirTemp("", "waybill-standby-")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Postgres{Host: p.Host, Database: p.Database, User: p.User, Password: p.Password, Dir: dir, bin: p.bin}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of the standby:\n%s", s.Log())
		}
		if s.DB != nil {
			s.DB.Close()
		}
		s.Kill()
		os.RemoveAll(dir)
	})
	p.Stop()
	if err := s.copyOf(p, name); err != nil {
		tb.Fatal(err)
	}
	if err := p.Restart(); err != nil {
		tb.Fatal(err)
	}
	if s.DB, err = sql.Open("pgx", s.DSN()); err != nil {
		tb.Fatal(err)
	}
	if err := s.start(); err != nil {
		tb.Fatalf("starting the standby: %v", err)
	}
	return s
}

// copyOf makes the standby's folder of a server that was shut down.
func (s *Postgres) copyOf(p *Postgres, name string) (err error) {
	if s.Port, err = freePort(); err != nil {
		return err
	}
	info, err := os.Stat(p.data())
	if err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", p.data(), s.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("copying the data directory: %w\n%s", err, out)
	}
	signal := filepath.Join(s.data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		for _, path := range []string{s.Dir, signal} {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	s.args = append([]string{"-D", s.data()}, p.args[2:]...)
	s.configure([]string{"port=" + strconv.Itoa(s.Port), "unix_socket_directories=" + s.Dir, "wal_receiver_status_interval=1",
		fmt.Sprintf("primary_conninfo=host=%s port=%d user=%s password=%s application_name=%s sslmode=disable", p.Host, p.Port, p.User, p.Password, name)})
	return nil
}
