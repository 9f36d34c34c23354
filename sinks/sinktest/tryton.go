package sinktest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed setup_tryton.py
var setupScript []byte

// TrytonOptions says what the ERP is like. The zero value is the sample carrier's, in a sqlite file.
type TrytonOptions struct {
	Company     string // default Northstar Freight Lines
	CompanyCode string // default NSTR
	Database    string // default erp
	Password    string // of the users sync, nobody and admin; default sync-demo
	Port        int    // default a free one
	// Postgres is a server for Tryton's database, as a URL without a database, with a role that may create some:
	// postgresql://postgres@127.0.0.1:5433. Empty: a sqlite file, where a locked row never shows.
	Postgres string
	// PostgresBin is the directory of psql, pg_dump and pg_restore; default the newest under /usr/lib/postgresql.
	PostgresBin string
	// SessionTimeout is how long an idle session may still post; default 300 s.
	SessionTimeout time.Duration
}

func (o TrytonOptions) withDefaults() TrytonOptions {
	for _, d := range []struct {
		at    *string
		value string
	}{{&o.Company, "Northstar Freight Lines"}, {&o.CompanyCode, "NSTR"}, {&o.Database, "erp"}, {&o.Password, "sync-demo"}} {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 300 * time.Second
	}
	return o
}

// Tryton is a real Tryton 6.0 server with one freight company: accounts 4000, 4010 and 4020, products FRT FSC DET LMP
// ACC, taxes "Sales tax 8.25%" and "Exempt", terms NET 30, NET 15 and DUE ON RECEIPT, fiscal years last, this and next.
// It runs as an unprivileged user on 127.0.0.1 and ends with the process that started it.
type Tryton struct {
	opts   TrytonOptions
	dir    string
	prefix prefix
	golden string // file: a sqlite database, or a dump
	port   int
	cmd    *exec.Cmd
	exited chan struct{}
}

// StartTryton starts a fresh Tryton for a test, and stops it when the test ends. If the test has failed, the server's log
// is printed. Where it cannot run, the test fails and says what to install.
func StartTryton(tb testing.TB, opts TrytonOptions) *Tryton {
	tb.Helper()
	dir, err := os.MkdirTemp("", "tryton-") // not tb.TempDir: another user cannot enter it
	if err != nil {
		tb.Fatalf("starting Tryton: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatalf("starting Tryton: %v", err)
	}
	t, err := NewTryton(dir, opts)
	if err != nil {
		tb.Fatalf("starting Tryton: %v", err)
	}
	tb.Cleanup(func() {
		t.Stop()
		if tb.Failed() {
			tb.Logf("Tryton's log:\n%s", t.Log())
		}
	})
	if err := t.Start(); err != nil {
		tb.Fatalf("starting Tryton: %v", err)
	}
	return t
}

// NewTryton prepares a Tryton in dir, with a fresh database; Start starts it. For root, dir must be one that another user
// can enter, for the server runs as nobody. The first one on a machine unpacks the
// packages (some seconds) and builds the golden database (15 s, with PostgreSQL a minute); later ones copy it.
func NewTryton(dir string, opts TrytonOptions) (*Tryton, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	p, err := installTryton(ctx)
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	t := &Tryton{opts: opts.withDefaults(), dir: dir, prefix: p, port: opts.Port}
	if t.port == 0 {
		if t.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := t.layOut(); err != nil {
		return nil, fmt.Errorf("laying out Tryton's directory: %w", err)
	}
	if err := t.makeGolden(ctx); err != nil {
		return nil, err
	}
	return t, t.Reset()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// URL is the server's address, Database, User and Password what a client needs beside it.
func (t *Tryton) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", t.port) }

// Addr is host:port, for a proxy.
func (t *Tryton) Addr() string { return fmt.Sprintf("127.0.0.1:%d", t.port) }

// Database is the database's name.
func (t *Tryton) Database() string { return t.opts.Database }

// User is the integration user.
func (t *Tryton) User() string { return "sync" }

// Password is the password of every user.
func (t *Tryton) Password() string { return t.opts.Password }

// Company is the company's name.
func (t *Tryton) Company() string { return t.opts.Company }

// WebURL is the web client: log in as admin.
func (t *Tryton) WebURL() string { return t.URL() + "/#" + t.opts.Database }

// layOut makes the files of a server, owned by the user that it runs as.
func (t *Tryton) layOut() error {
	if err := os.MkdirAll(filepath.Join(t.dir, "db"), 0o755); err != nil {
		return err
	}
	for _, dir := range []string{t.dir, t.prefix.dir} {
		if err := enterable(dir); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"trytond.conf":    t.config(t.opts.Database),
		"password":        t.opts.Password + "\n",
		"setup_tryton.py": string(setupScript),
	} {
		if err := os.WriteFile(filepath.Join(t.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return t.own()
}

// enterable says whether the user that the server runs as can enter a directory.
func enterable(dir string) error {
	for at := dir; unprivileged() != nil && at != "/"; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("the server runs as nobody, who cannot enter %s; use a directory with mode 0755 all the way (%v)", at, err)
		}
	}
	return nil
}

// own gives the directory to the user that the server runs as.
func (t *Tryton) own() error {
	who := unprivileged()
	if who == nil {
		return nil
	}
	return filepath.WalkDir(t.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(who.Uid), int(who.Gid))
	})
}

// unprivileged is whom root runs servers as; nil for everyone else.
func unprivileged() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	who := &syscall.Credential{Uid: 65534, Gid: 65534}
	if u, err := user.Lookup("nobody"); err == nil {
		if n, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			who.Uid = uint32(n)
		}
		if n, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
			who.Gid = uint32(n)
		}
	}
	return who
}

func (t *Tryton) config(database string) string {
	uri := "sqlite://"
	if t.opts.Postgres != "" {
		uri = strings.TrimRight(t.opts.Postgres, "/") + "/"
	}
	return fmt.Sprintf(`[web]
listen = 127.0.0.1:%d
root = %s
[database]
uri = %s
path = %s
list = True
[session]
timeout = %d
[password]
length = 4
`, t.port, filepath.Join(t.prefix.dir, "usr/share/tryton-sao/www"), uri, filepath.Join(t.dir, "db"), int(t.opts.SessionTimeout.Seconds()))
}

// Start starts the server and waits until it answers.
func (t *Tryton) Start() error {
	if t.cmd != nil {
		return errors.New("Tryton is already running")
	}
	log, err := os.OpenFile(filepath.Join(t.dir, "trytond.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening Tryton's log: %w", err)
	}
	defer log.Close()
	cmd := t.command("trytond", "-d", t.opts.Database)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting trytond: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	t.cmd, t.exited = cmd, exited
	return t.await(time.Minute)
}

// command runs one of Tryton's programs with this configuration, as the unprivileged user.
func (t *Tryton) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/python3", append([]string{t.prefix.bin(program), "-c", filepath.Join(t.dir, "trytond.conf")}, args...)...)
	return t.dress(cmd)
}

func (t *Tryton) dress(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), t.prefix.python()...)
	cmd.Env = append(cmd.Env, "HOME="+t.dir, "TRYTOND_DATABASE_NAMES="+t.opts.Database, "TRYTONPASSFILE="+filepath.Join(t.dir, "password"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(), Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (t *Tryton) await(most time.Duration) error {
	deadline := time.Now().Add(most)
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		resp, err := client.Post(t.URL()+"/", "application/json", strings.NewReader(`{"id":1,"method":"common.server.version","params":[]}`))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-t.exited:
			t.cmd = nil
			return fmt.Errorf("trytond ended while starting; its log:\n%s", t.Log())
		case <-time.After(25 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("trytond did not answer within %s; its log:\n%s", most, t.Log())
		}
	}
}

// Kill ends the server as a crash does, with kill -9.
func (t *Tryton) Kill() { t.end(syscall.SIGKILL) }

// Stop ends the server in order. Both may be called when it does not run.
func (t *Tryton) Stop() { t.end(syscall.SIGTERM) }

func (t *Tryton) end(sig syscall.Signal) {
	if t.cmd == nil {
		return
	}
	_ = t.cmd.Process.Signal(sig) // an error means that it has ended
	select {
	case <-t.exited:
	case <-time.After(10 * time.Second):
		_ = t.cmd.Process.Kill()
		<-t.exited
	}
	t.cmd = nil
}

// Log is the end of the server's log.
func (t *Tryton) Log() string {
	raw, err := os.ReadFile(filepath.Join(t.dir, "trytond.log"))
	if err != nil {
		return err.Error()
	}
	if len(raw) > 20_000 {
		raw = raw[len(raw)-20_000:]
	}
	return string(bytes.TrimSpace(raw))
}

// postgres is the URL of a database on the configured server.
func (t *Tryton) postgres(database string) string {
	u, err := url.Parse(t.opts.Postgres)
	if err != nil {
		return t.opts.Postgres
	}
	u.Path = "/" + database
	return u.String()
}
