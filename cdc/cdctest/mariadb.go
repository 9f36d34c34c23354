package cdctest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the handle that tests write through; never the code under test
)

// MariaDB is a real server in a directory of its own, with a binary log as Waybill asks for it (ROW, FULL image, FULL
// metadata). It listens on a free port of 127.0.0.1 and on a socket in the directory, and runs as the user mysql.
type MariaDB struct {
	Host     string
	Port     int
	Socket   string
	User     string // may do everything
	Password string
	Dir      string
	DB       *sql.DB // no default database; session time zone UTC

	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// MariaDBOptions changes what NewMariaDB starts.
type MariaDBOptions struct {
	Port int      // 0: a free one
	Args []string // more options for mariadbd, such as "--gtid-domain-id=3"; a later one wins
}

// StartMariaDB starts a server for a test and stops it afterwards. When the test fails the end of the server's log is printed.
func StartMariaDB(tb testing.TB, args ...string) *MariaDB {
	tb.Helper()
	// Not tb.TempDir: the user mysql may not enter the directories that it makes.
	dir, err := os.MkdirTemp("", "waybill-mariadb-")
	if err != nil {
		tb.Fatal(err)
	}
	m, err := NewMariaDB(dir, MariaDBOptions{Args: args})
	if err != nil {
		os.RemoveAll(dir)
		tb.Fatalf("starting MariaDB: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of MariaDB:\n%s", m.Log())
		}
		m.Kill()
		m.DB.Close()
		os.RemoveAll(dir)
	})
	return m
}

// NewMariaDB makes a data directory under dir, which it opens for the user mysql, and starts a server on it. The caller
// ends it with Stop or Kill and removes dir.
func NewMariaDB(dir string, opts MariaDBOptions) (*MariaDB, error) {
	for _, name := range []string{"mariadb-install-db", "mariadbd"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("looking for %s: %w (apt-get install mariadb-server)", name, err)
		}
	}
	port := opts.Port
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	m := &MariaDB{Host: "127.0.0.1", Port: port, Socket: filepath.Join(dir, "mariadb.sock"), User: "waybill",
		Password: "k7Qz-canary-9xWv", Dir: dir}
	if err := m.install(); err != nil {
		return nil, err
	}
	// A starting server removes the temporary files of any other that has the same folder for them.
	m.args = append([]string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--tmpdir=" + dir, "--socket=" + m.Socket,
		"--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1", "--pid-file=" + filepath.Join(dir, "mariadb.pid"),
		"--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--character-set-server=utf8mb4", "--skip-name-resolve", "--performance-schema=OFF",
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M", "--innodb-flush-log-at-trx-commit=2"}, opts.Args...)
	if err := m.start(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *MariaDB) install() error {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(m.Dir, 0o755); err != nil {
		return err
	}
	cred, err := serverUser("mysql")
	if err != nil {
		return err
	}
	if cred != nil {
		if err := os.Chown(m.Dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+filepath.Join(m.Dir, "data"), "--tmpdir="+m.Dir,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	cmd.Dir = m.Dir
	cmd.Env = append(os.Environ(), "TMPDIR="+m.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running mariadb-install-db: %w\n%s", err, out)
	}
	// mariadbd reads the file, one statement a line, at its first start: it makes the user that tests connect with.
	return os.WriteFile(filepath.Join(m.Dir, "init.sql"), []byte(
		"CREATE OR REPLACE USER waybill@'%' IDENTIFIED BY 'k7Qz-canary-9xWv';\nGRANT ALL ON *.* TO waybill@'%' WITH GRANT OPTION;\n"), 0o644)
}

func (m *MariaDB) start() error {
	cred, err := serverUser("mysql")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(m.Dir, "mariadb.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := m.args
	if init := filepath.Join(m.Dir, "init.sql"); m.DB == nil {
		args = append(args[:len(args):len(args)], "--init-file="+init)
	}
	m.cmd = exec.Command("mariadbd", args...)
	m.cmd.Dir, m.cmd.Stdout, m.cmd.Stderr = m.Dir, log, log
	m.cmd.Env = append(os.Environ(), "TMPDIR="+m.Dir) // a server that starts deletes the files of others in a shared one
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("starting mariadbd: %w", err)
	}
	m.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}(m.cmd, m.done)
	if m.DB == nil {
		m.DB, err = sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s:%d)/?multiStatements=true&time_zone='%%2B00:00'",
			m.User, m.Password, m.Host, m.Port))
		if err != nil {
			return err
		}
	}
	return m.wait()
}

// wait polls until the server answers, for 60 s at most.
func (m *MariaDB) wait() error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := m.DB.PingContext(context.Background())
		if err == nil {
			return nil
		}
		select {
		case <-m.done:
			return fmt.Errorf("mariadbd ended while starting:\n%s", m.Log())
		case <-time.After(30 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			m.Kill()
			return fmt.Errorf("waiting for mariadbd: %w\n%s", err, m.Log())
		}
	}
}

// Exec runs statements (several may be given in one text) and fails the test on an error.
func (m *MariaDB) Exec(tb testing.TB, statements string, args ...any) {
	tb.Helper()
	if _, err := m.DB.Exec(statements, args...); err != nil {
		tb.Fatalf("%v\nin: %.400s", err, statements)
	}
}

// Kill ends the server as a crash would (SIGKILL) and waits for the process.
func (m *MariaDB) Kill() { m.end(syscall.SIGKILL) }

// Stop shuts the server down cleanly.
func (m *MariaDB) Stop() { m.end(syscall.SIGTERM) }

func (m *MariaDB) end(sig syscall.Signal) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(sig) // fails only if it has ended already
	<-m.done
	m.cmd = nil
}

// Restart starts the server again on its data, with more options if given; a running one is shut down first.
func (m *MariaDB) Restart(args ...string) error {
	m.Stop()
	m.args = append(m.args, args...)
	return m.start()
}

// Log returns the last 16 KiB of the server's log.
func (m *MariaDB) Log() string {
	raw, err := os.ReadFile(filepath.Join(m.Dir, "mariadb.log"))
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-16<<10):])
}

// serverUser returns the credential of the unprivileged user that a server runs as; nil when we are not root ourselves.
func serverUser(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("looking for the user that the server runs as: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
