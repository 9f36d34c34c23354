package cdctest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the handle that tests write through; never the code under test
)

// Postgres is a real server in a directory of its own, ready for logical decoding. It listens on a free port of 127.0.0.1
// and on a socket in the directory, and runs as the user postgres.
type Postgres struct {
	Host     string
	Port     int
	Database string
	User     string // superuser
	Password string
	Dir      string
	DB       *sql.DB // on Database; session time zone UTC

	bin  string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// PostgresOptions changes what NewPostgres starts.
type PostgresOptions struct {
	Version string   // major version; empty: the one in PATH, or Debian's newest
	Port    int      // 0: a free one
	Args    []string // settings, such as "max_slot_wal_keep_size=64MB"; a later one wins
	// Safe leaves fsync on. Tests and benchmarks do without: a killed server loses nothing that the kernel has.
	Safe bool
}

// StartPostgres starts a server for a test and stops it afterwards. When the test fails the end of the server's log is printed.
// $WAYBILL_POSTGRES chooses its version, by the first that it names.
func StartPostgres(tb testing.TB, args ...string) *Postgres {
	tb.Helper()
	opts := PostgresOptions{Args: args}
	if wanted := wantedPostgres(); len(wanted) > 0 {
		opts.Version = wanted[0]
	}
	return startPostgres(tb, opts)
}

func startPostgres(tb testing.TB, opts PostgresOptions) *Postgres {
	tb.Helper()
	// Not tb.TempDir: the user postgres may not enter the directories that it makes.
	dir, err := os.MkdirTemp("", "waybill-postgres-")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := NewPostgres(dir, opts)
	if err != nil {
		os.RemoveAll(dir)
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of PostgreSQL:\n%s", p.Log())
		}
		p.DB.Close()
		p.Kill()
		os.RemoveAll(dir)
	})
	return p
}

// NewPostgres makes a data directory under dir, which it opens for the user postgres, and starts a server on it; if dir
// holds one already, that is started. The caller ends it with Stop or Kill and removes dir.
func NewPostgres(dir string, opts PostgresOptions) (*Postgres, error) {
	bin, err := postgresBin(opts.Version)
	if err != nil {
		return nil, err
	}
	port := opts.Port
	if port == 0 {
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	p := &Postgres{Host: "127.0.0.1", Port: port, Database: "postgres", User: "postgres", Password: "k7Qz-canary-9xWv", Dir: dir, bin: bin}
	if err := p.install(); err != nil {
		return nil, err
	}
	settings := []string{"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=" + dir,
		"wal_level=logical", "dynamic_shared_memory_type=mmap", "max_wal_senders=20", "max_replication_slots=20", "max_connections=60", "shared_buffers=64MB",
		"log_min_messages=warning", "TimeZone=UTC"}
	if !opts.Safe {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	p.args = []string{"-D", p.data()}
	p.configure(append(settings, opts.Args...))
	p.DB, err = sql.Open("pgx", p.DSN())
	if err != nil {
		return nil, err
	}
	if err := p.start(); err != nil {
		p.DB.Close()
		return nil, err
	}
	return p, nil
}

// DSN is a connection string for the superuser.
func (p *Postgres) DSN() string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=disable timezone=UTC",
		p.Host, p.Port, p.Database, p.User, p.Password)
}

func (p *Postgres) data() string { return filepath.Join(p.Dir, "data") }

func (p *Postgres) configure(settings []string) {
	for _, s := range settings {
		p.args = append(p.args, "-c", s)
	}
}

// install copies a data directory from a template that the first caller on this machine makes.
func (p *Postgres) install() error {
	if _, err := os.Stat(filepath.Join(p.data(), "PG_VERSION")); err == nil {
		return nil
	}
	cred, err := serverUser("postgres")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(p.Dir, 0o755); err != nil {
		return err
	}
	uid := os.Geteuid()
	if cred != nil {
		uid = int(cred.Uid)
		if err := os.Chown(p.Dir, uid, int(cred.Gid)); err != nil {
			return err
		}
	}
	version := filepath.Base(filepath.Dir(p.bin))
	template := filepath.Join(os.TempDir(), fmt.Sprintf("waybill-postgres-canary-%s-%d", version, uid))
	if _, err := os.Stat(filepath.Join(template, "PG_VERSION")); err != nil {
		if err := p.makeTemplate(template, cred); err != nil {
			return err
		}
	}
	if out, err := exec.Command("cp", "-a", template, p.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("copying the data directory: %w\n%s", err, out)
	}
	return nil
}

func (p *Postgres) makeTemplate(template string, cred *syscall.Credential) error {
	password := filepath.Join(p.Dir, "password")
	if err := os.WriteFile(password, []byte(p.Password), 0o644); err != nil {
		return err
	}
	made := filepath.Join(p.Dir, "template")
	cmd := exec.Command(filepath.Join(p.bin, "initdb"), "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--username="+p.User,
		"--auth=scram-sha-256", "--pwfile="+password, "--pgdata="+made)
	cmd.Dir = p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	if err := os.Rename(made, template); err != nil && !os.IsExist(err) && !strings.Contains(err.Error(), "not empty") {
		return fmt.Errorf("keeping the template: %w", err)
	}
	return nil
}

func (p *Postgres) start() error {
	cred, err := serverUser("postgres")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.Dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(filepath.Join(p.bin, "postgres"), p.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.Dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}(p.cmd, p.done)
	return p.wait()
}

// wait polls until the server answers, for 60 s at most.
func (p *Postgres) wait() error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := p.DB.PingContext(context.Background())
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("postgres ended while starting:\n%s", p.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.Kill()
			return fmt.Errorf("waiting for postgres: %w\n%s", err, p.Log())
		}
	}
}

// Exec runs statements (several may be given in one text, if there are no arguments) and fails the test on an error.
func (p *Postgres) Exec(tb testing.TB, statements string, args ...any) {
	tb.Helper()
	if _, err := p.DB.Exec(statements, args...); err != nil {
		tb.Fatalf("%v\nin: %.400s", err, statements)
	}
}

// Kill ends the server as a crash would (SIGKILL for all its processes at once) and waits for it. The server's children
// live in sessions of their own and would outlast their parent for a moment, in which no new server can start.
func (p *Postgres) Kill() {
	if p.cmd == nil {
		return
	}
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it starts no more; fails only if it has ended already
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	children := strings.Fields(string(raw))
	for _, child := range children {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	<-p.done
	p.cmd = nil
	for _, child := range children {
		for until := time.Now().Add(5 * time.Second); alive(child) && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
}

// alive reports whether a process runs; one that has ended and was not collected yet does not.
func alive(pid string) bool {
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(raw), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// Stop shuts the server down as an administrator would (fast), and gives up after 30 s with SIGKILL.
func (p *Postgres) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGINT) // fails only if it has ended already
	select {
	case <-p.done:
		p.cmd = nil
	case <-time.After(30 * time.Second):
		p.Kill()
	}
}

// Restart starts the server again on its data, with more settings if given; a running one is shut down first.
func (p *Postgres) Restart(settings ...string) error {
	p.Stop()
	p.configure(settings)
	return p.start()
}

// Log returns the last 16 KiB of the server's log.
func (p *Postgres) Log() string {
	raw, err := os.ReadFile(filepath.Join(p.Dir, "postgres.log"))
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-16<<10):])
}
