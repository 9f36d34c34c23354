package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"waybill/cmd/internal/books"
	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// carrier is the folder of the sample carrier.
const carrier = "../../../testdata/carriers/northstar"

// narrowPassword is that of roles which tests make.
const narrowPassword = "n4-canary-narrow"

var siteNumber atomic.Int32

// site is one carrier with its own two databases, its own target and its own Waybill.
type site struct {
	t        *testing.T
	folder   string // of the carrier: its schemas and its mapping
	dir      string
	dispatch *sql.DB
	billing  *sql.DB
	pgName   string
	myName   string
	sink     string // the sinks section of waybill.yaml
	cutover  time.Time
	extra    string // more of waybill.yaml
	daemon   *exec.Cmd
	exited   chan struct{}
	log      *lockedBuffer
	args     []string // more arguments of run
	env      []string // more of its environment
	dsnUser  string   // role in the databases; default the servers' own
}

// newSite makes the databases with the carrier's schema. The target comes by ledger or tryton.
func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOf(t, carrier)
}

func newSiteOf(t *testing.T, folder string) *site {
	t.Helper()
	p, m := postgres(t), mariadb(t)
	n := siteNumber.Add(1)
	s := &site{t: t, folder: folder, dir: t.TempDir(), pgName: fmt.Sprintf("tms_%d", n), myName: fmt.Sprintf("billing_%d", n),
		cutover: time.Now().Add(-time.Hour).Truncate(time.Second)}
	p.Exec(t, "CREATE DATABASE "+s.pgName)
	m.Exec(t, "CREATE DATABASE "+s.myName+" CHARACTER SET latin1")
	var err error
	if s.dispatch, err = sql.Open("pgx", strings.Replace(p.DSN(), "dbname="+p.Database, "dbname="+s.pgName, 1)); err != nil {
		t.Fatal(err)
	}
	dsn := fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?multiStatements=true&loc=America%%2FChicago&charset=utf8mb4", m.User, m.Password, m.Host, m.Port, s.myName)
	if s.billing, err = sql.Open("mysql", dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.sql(s.dispatch, s.read("dispatch.sql"))
	s.sql(s.billing, s.read("billing.sql"))
	return s
}

func (s *site) close() {
	if s.daemon != nil {
		s.kill()
	}
	for _, leak := range s.sing() {
		s.t.Error(leak)
	}
	if s.t.Failed() && s.log != nil {
		text := s.log.String()
		s.t.Logf("end of the daemon's log:\n%s", text[max(0, len(text)-6000):])
	}
	s.dispatch.Close()
	s.billing.Close()
	// The slot would keep WAL for every later test.
	_, _ = pg.DB.Exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database=$1 AND NOT active", s.pgName)
}

func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) sql(db *sql.DB, text string, args ...any) {
	s.t.Helper()
	if _, err := db.Exec(text, args...); err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
}

// ledger makes the simulated ERP the target.
func (s *site) ledger() *sinktest.LedgerProcess {
	s.t.Helper()
	erp := sinktest.StartLedgerERP(s.t, filepath.Join(s.dir, "ledger.jsonl"))
	s.sink = fmt.Sprintf("  erp:\n    type: ledger\n    url: %s\n    timeout: 2s\n    policy: { concurrency: 8, backoff_cap: 1s, breaker_cooldown: 1s }\n", erp.URL)
	return erp
}

// tryton makes a Tryton of its own the target, and returns its books.
func (s *site) tryton() *books.Tryton {
	s.t.Helper()
	erp := s.trytonServer()
	return &books.Tryton{URL: erp.URL(), Database: erp.Database(), User: erp.User(), Password: erp.Password()}
}

// trytonServer makes a Tryton of its own the target.
func (s *site) trytonServer() *sinktest.Tryton {
	s.t.Helper()
	erp := sinktest.StartTryton(s.t, sinktest.TrytonOptions{})
	s.into(erp)
	return erp
}

// into makes a Tryton the target.
func (s *site) into(erp *sinktest.Tryton) {
	s.sink = fmt.Sprintf("  erp:\n    type: tryton\n    url: %s\n    database: %s\n    user: %s\n    password: %s\n    company: %s\n"+
		"    time_zone: America/Chicago\n    timeout: 15s\n    horizon: 1s\n    policy: { backoff_cap: 1s, breaker_cooldown: 1s }\n",
		erp.URL(), erp.Database(), erp.User(), erp.Password(), erp.Company())
}

// books compares billing's documents with Tryton's.
func (s *site) books(erp *books.Tryton) books.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	names, err := books.ReadNames(ctx, s.dispatch)
	if err != nil {
		s.t.Fatal(err)
	}
	report, err := books.Check(ctx, s.billing, erp, books.Terms{Cutover: s.cutover, Zone: terminal, Names: names,
		Key: func(number string, revision int) string { return fmt.Sprintf("nstar:%s:%d", number, revision) }})
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

var cutoverLine = regexp.MustCompile(`(?m)^cutover:.*$`)

// write writes waybill.yaml and the mapping.
func (s *site) write() {
	s.t.Helper()
	mapping := cutoverLine.ReplaceAllString(s.read("mapping.yaml"), "cutover: "+s.cutover.Format(time.RFC3339))
	s.file("mapping.yaml", mapping)
	user, password := pg.User, pg.Password
	myUser, myPassword := maria.User, maria.Password
	if s.dsnUser != "" {
		user, password, myUser, myPassword = s.dsnUser, narrowPassword, s.dsnUser, narrowPassword
	}
	s.file("waybill.yaml", fmt.Sprintf(`data: data
mapping: mapping.yaml
sources:
  dispatch:
    type: postgres
    host: 127.0.0.1
    port: %d
    database: %s
    user: %s
    password: %s
    ssl_mode: disable
    slot: %s
    publication: %s
    heartbeat: 1s
  billing:
    type: mariadb
    host: 127.0.0.1
    port: %d
    database: %s
    user: %s
    password: %s
    heartbeat: 1s
sinks:
%sdisk: { free_floor: 64MiB }
%s`, pg.Port, s.pgName, user, password, s.pgName, s.pgName, maria.Port, s.myName, myUser, myPassword, s.sink, s.extra))
}

func (s *site) file(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command prepares the program in the site's folder.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "TZ=America/Chicago", "GORACE=halt_on_error=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// waybill runs a command and returns what it printed and its exit code.
func (s *site) waybill(args ...string) (out, errs string, code int) {
	s.t.Helper()
	cmd := s.command(args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	for _, leak := range leaks("waybill "+strings.Join(args, " "), append(o.Bytes(), e.Bytes()...), s.canaries()) {
		s.t.Error(leak)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed.
func (s *site) must(args ...string) string {
	s.t.Helper()
	out, errs, code := s.waybill(args...)
	if code != 0 {
		s.t.Fatalf("waybill %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// start starts the daemon and waits until it streams or ends.
func (s *site) start() {
	s.t.Helper()
	s.launch()
	s.until(90*time.Second, "the daemon streams", func() bool {
		select {
		case <-s.exited:
			s.t.Fatalf("the daemon ended: %v\n%s", s.daemon.ProcessState, s.log.String())
		default:
		}
		return strings.Contains(s.log.String(), "msg=streaming")
	})
}

func (s *site) launch() {
	s.t.Helper()
	s.log = &lockedBuffer{}
	s.daemon = s.command(append([]string{"run"}, s.args...)...)
	s.daemon.Env = append(s.daemon.Env, s.env...)
	s.daemon.Stdout, s.daemon.Stderr = s.log, s.log
	s.exited = make(chan struct{})
	if err := s.daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	daemon, exited := s.daemon, s.exited
	go func() {
		_ = daemon.Wait() // its state says how it ended
		close(exited)
	}()
}

// refused starts the daemon, which must end by itself, and returns what it said and its exit code.
func (s *site) refused() (text string, code int) {
	s.t.Helper()
	s.launch()
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		s.kill()
		s.t.Fatalf("the daemon did not refuse to run:\n%s", s.log.String())
	}
	code = s.daemon.ProcessState.ExitCode()
	s.daemon = nil
	return s.log.String(), code
}

// stop ends the daemon in peace.
func (s *site) stop() {
	s.t.Helper()
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(60 * time.Second):
		s.t.Fatal("the daemon did not stop within 60 s")
	}
	if code := s.daemon.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("the daemon ended with code %d\n%s", code, s.log.String())
	}
	s.daemon = nil
}

// kill ends the daemon with SIGKILL.
func (s *site) kill() {
	_ = s.daemon.Process.Kill()
	<-s.exited
	s.daemon = nil
}

// fate says how a daemon ends.
type fate struct {
	lives time.Duration
	asked bool          // SIGTERM first, and SIGKILL during the shutdown
	grace time.Duration // between the two
}

// fated ends the daemon as its fate says. A life is counted from the moment that begin is closed, unless that is nil; after 15 s it
// is counted all the same.
func (s *site) fated(end fate, begin <-chan struct{}) (ended <-chan struct{}) {
	daemon, exited := s.daemon, s.exited
	done := make(chan struct{})
	go func() {
		defer close(done)
		if begin != nil {
			select {
			case <-begin:
			case <-time.After(15 * time.Second):
			case <-exited:
				return
			}
		}
		select {
		case <-time.After(end.lives):
		case <-exited:
			return
		}
		if end.asked {
			_ = daemon.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which died sees
			select {
			case <-time.After(end.grace):
			case <-exited:
				return
			}
		}
		_ = daemon.Process.Kill()
	}()
	return done
}

// died waits until the daemon has ended, and fails the test when that was not as its fate says.
func (s *site) died(seed uint64, end fate) {
	s.t.Helper()
	<-s.exited
	state := s.daemon.ProcessState.Sys().(syscall.WaitStatus)
	s.daemon = nil
	interrupted := end.asked && strings.Contains(s.log.String(), "interrupted") // while it was still starting
	if !state.Signaled() && state.ExitStatus() != 0 && !interrupted {
		s.t.Fatalf("seed %d: the daemon ended by itself with code %d\n%s", seed, state.ExitStatus(), s.log.String())
	}
}

func (s *site) status() (st pipeline.Status) {
	s.t.Helper()
	out, errs, code := s.waybill("status", "--json")
	if code == 0 {
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
	} else if !strings.Contains(errs, "daemon") {
		s.t.Fatal(errs)
	}
	return st
}

// settled waits until the sources are captured to their present end and nothing is on its way.
func (s *site) settled(within time.Duration) pipeline.Status {
	s.t.Helper()
	mark := time.Now()
	var st pipeline.Status
	s.until(within, "everything is delivered", func() bool {
		st = s.status()
		if st.Store == "" || st.Journal.Applied != st.Journal.Last {
			return false
		}
		for _, src := range st.Sources {
			if src.Watermark.Before(mark) {
				return false
			}
			for _, r := range src.Readings {
				if r.State != pipeline.ReadingDone && r.State != pipeline.ReadingFailed {
					return false
				}
			}
		}
		for _, l := range st.Lanes {
			if l.Waiting+l.Ready+l.InFlight+l.Unknown > 0 {
				return false
			}
		}
		return true
	})
	return st
}

func (s *site) until(within time.Duration, what string, cond func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			out, errs, _ := s.waybill("status")
			s.t.Fatalf("waited %s until %s\n%s%s", within, what, out, errs)
		case <-time.After(50 * time.Millisecond): // polling, with the deadline above
		}
	}
}

// lockedBuffer lets the daemon write while the test reads.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
