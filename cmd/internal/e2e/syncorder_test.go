package e2e

import (
	"bufio"
	encoding "encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSyncOrder watches the system calls of the daemon. A killed process leaves the page cache, so no kill -9 can show that
// a database was told to forget what only the cache held (Invariant 1): what counts is that each standby status, and each
// place from which a binlog stream is resumed, was in a write to the journal whose sync had returned before.
func TestSyncOrder(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("strace is missing: %v (apt-get install strace)", err)
	}
	s := newSite(t)
	s.ledger()
	s.write()
	s.history(20)
	trace := filepath.Join(s.dir, "strace.txt")
	stop := s.traced(trace)
	s.workday(3, 6)
	s.settled(60 * time.Second)
	// The stream breaks, and is asked for again at a stored place.
	s.sql(s.billing, `BEGIN NOT ATOMIC FOR p IN (SELECT id FROM information_schema.processlist WHERE command='Binlog Dump' AND db IS NULL)
		DO EXECUTE IMMEDIATE CONCAT('KILL ', p.id); END FOR; END`)
	// Without a pause, so that a batch is on its way to the journal whenever a status is sent.
	for i, end := 0, time.Now().Add(4*time.Second); time.Now().Before(end); i++ {
		s.sql(s.dispatch, "UPDATE loads SET wt_lbs=$1 WHERE load_no=88000", 30000+i)
		if i%100 == 0 {
			s.sql(s.billing, "UPDATE inv_hdr SET memo=? WHERE inv_no='A1002'", fmt.Sprint("memo ", i))
		}
	}
	s.settled(60 * time.Second)
	stop()
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, err := readTrace(f, filepath.Join(s.dir, "data", "journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range seen.violations[:min(len(seen.violations), 10)] {
		t.Error(v)
	}
	if seen.syncs < 20 || seen.statuses < 20 || seen.resumed < 1 {
		t.Errorf("saw %d syncs of the journal, %d standby statuses and %d binlog streams resumed: too few to prove anything",
			seen.syncs, seen.statuses, seen.resumed)
	}
	t.Logf("%d syncs of the journal, %d standby statuses, %d binlog streams resumed, %d out of order", seen.syncs, seen.statuses,
		seen.resumed, len(seen.violations))
}

// traced starts the daemon under strace and returns what stops it in peace.
func (s *site) traced(file string) (stop func()) {
	s.t.Helper()
	run := s.command("run")
	args := append([]string{"-f", "-qq", "-xx", "-yy", "-s", "8388608", "-e", "trace=write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync",
		"-o", file, run.Path}, run.Args[1:]...)
	cmd := exec.Command("strace", args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = run.Dir, run.Env, run.SysProcAttr
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.daemon, s.exited, s.log = cmd, make(chan struct{}), log
	exited := s.exited
	go func() {
		_ = cmd.Wait() // its state says how it ended
		close(exited)
	}()
	s.until(60*time.Second, "the daemon streams under strace", func() bool { return strings.Contains(log.String(), "msg=streaming") })
	return func() {
		s.t.Helper()
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if err != nil {
			s.t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
		if err != nil {
			s.t.Fatalf("the child of strace: %v", err)
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			s.t.Fatal(err)
		}
		select {
		case <-exited:
			s.daemon = nil
		case <-time.After(60 * time.Second):
			s.t.Fatal("the daemon did not stop within 60 s")
		}
	}
}

// traceReport is what a trace shows.
type traceReport struct {
	syncs, statuses, resumed int
	violations               []string
}

// traceReader follows which positions are written to the journal and which are synced.
type traceReader struct {
	report  traceReport
	journal string
	begun   map[string]call   // by thread: a call that has not returned yet
	written map[string]stored // by file: written, not synced
	synced  stored
	streams int // of binlogs, asked for
}

type call struct {
	name, target string
	data         []byte
	covers       stored // for a sync: what had been written when it began
}

// stored is what positions say of a journal.
type stored struct {
	lsn    uint64
	places map[string]bool // of binlogs: file:position, and GTID sets
}

func (s stored) with(o stored) stored {
	sum := stored{lsn: max(s.lsn, o.lsn), places: map[string]bool{}}
	for _, g := range []map[string]bool{s.places, o.places} {
		for k := range g {
			sum.places[k] = true
		}
	}
	return sum
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<([^>]*(?:->[^>]*)?)>(.*)$`)
	traceEnd   = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>.* = (-?\d+)`)
	traceValue = regexp.MustCompile(` = (-?\d+)(?: .*)?$`)
	traceText  = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
	lsnText    = regexp.MustCompile(`"o":"pg/[0-9]+/[0-9]+/([0-9A-F]+)/([0-9A-F]+)"`)
	placeText  = regexp.MustCompile(`"o":"mariadb/[^/"]*/([^/"]*)/([^/"]*)`)
	resumeText = regexp.MustCompile(`@slave_connect_state = '([^']*)'`)
)

func readTrace(r io.Reader, journal string) (traceReport, error) {
	t := &traceReader{journal: journal, begun: map[string]call{}, written: map[string]stored{}}
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			t.line(strings.TrimSuffix(text, "\n"))
		}
		if err == io.EOF {
			return t.report, nil
		}
		if err != nil {
			return t.report, err
		}
	}
}

func (t *traceReader) line(text string) {
	if m := traceEnd.FindStringSubmatch(text); m != nil {
		if c, ok := t.begun[m[1]]; ok {
			delete(t.begun, m[1])
			t.ended(c, m[2])
		}
		return
	}
	m := traceLine.FindStringSubmatch(text)
	if m == nil {
		return
	}
	c := call{name: m[2], target: unhex(m[3])}
	for _, part := range traceText.FindAllStringSubmatch(m[4], -1) {
		c.data = append(c.data, unhex(part[1])...)
	}
	t.began(&c)
	if strings.HasSuffix(text, "<unfinished ...>") {
		t.begun[m[1]] = c
	} else if v := traceValue.FindStringSubmatch(m[4]); v != nil {
		t.ended(c, v[1])
	}
}

// began looks at what may be on its way from now on, before the call has returned.
func (t *traceReader) began(c *call) {
	switch {
	case strings.Contains(c.name, "sync"):
		c.covers = t.written[c.target].with(stored{})
	case strings.HasPrefix(c.target, "TCP"):
		t.sent(c.data)
	}
}

func (t *traceReader) ended(c call, result string) {
	if !strings.HasPrefix(c.target, t.journal) || strings.HasPrefix(result, "-") {
		return
	}
	if strings.Contains(c.name, "sync") {
		t.report.syncs++
		t.synced = t.synced.with(c.covers)
		return
	}
	t.written[c.target] = t.written[c.target].with(positionsIn(c.data))
}

// sent checks what tells a database how far it may forget, or where to go on.
func (t *traceReader) sent(data []byte) {
	for len(data) >= 39 && string(data[:6]) == "d\x00\x00\x00\x26r" {
		if flushed := encoding.BigEndian.Uint64(data[14:]); flushed != 0 {
			t.report.statuses++
			if flushed > t.synced.lsn {
				t.report.violations = append(t.report.violations, fmt.Sprintf("a standby status confirms %X while %X is synced", flushed, t.synced.lsn))
			}
		}
		data = data[39:]
	}
	place := ""
	if m := resumeText.FindSubmatch(data); m != nil {
		place = string(m[1])
	} else if len(data) > 15 && len(data) == 4+int(data[0]) && data[4] == comBinlogDump {
		place = fmt.Sprintf("%s:%d", data[15:], encoding.LittleEndian.Uint32(data[5:]))
	}
	if place == "" || place == ":4" {
		return
	}
	// The first stream begins where the snapshot was read, which frees nothing; only what was streamed may be skipped later.
	if t.streams++; t.streams == 1 {
		return
	}
	t.report.resumed++
	if !t.synced.places[place] {
		t.report.violations = append(t.report.violations, fmt.Sprintf("a binlog stream is resumed at %s, which no synced entry holds", place))
	}
}

const comBinlogDump = 0x12

func positionsIn(data []byte) stored {
	found := stored{places: map[string]bool{}}
	for _, m := range lsnText.FindAllSubmatch(data, -1) {
		high, errHigh := strconv.ParseUint(string(m[1]), 16, 32)
		low, errLow := strconv.ParseUint(string(m[2]), 16, 32)
		if errHigh == nil && errLow == nil {
			found.lsn = max(found.lsn, high<<32|low)
		}
	}
	for _, m := range placeText.FindAllSubmatch(data, -1) {
		found.places[string(m[1])], found.places[string(m[2])] = true, true
	}
	return found
}

func unhex(text string) string {
	if !strings.Contains(text, `\x`) {
		return text
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(text, `\x`, ""))
	if err != nil {
		return text
	}
	return string(raw)
}

// TestTraceReader shows that the reader sees a confirmation that comes too early: before the sync, between its beginning
// and its end, or after the sync of another write.
func TestTraceReader(t *testing.T) {
	const journal = "/d/journal"
	write := func(thread, lsn string) string {
		return fmt.Sprintf(`%s pwrite64(7<%s>, "%s", 1, 0) = 1`, thread, hexed(journal+"/1.wal"), hexed(`{"o":"pg/77/1/0/`+lsn+`"}`))
	}
	status := func(lsn uint64) string {
		msg := append([]byte("d\x00\x00\x00\x26r"), make([]byte, 33)...)
		encoding.BigEndian.PutUint64(msg[14:], lsn)
		return fmt.Sprintf(`3 write(9<TCP:[127.0.0.1:41000->127.0.0.1:5432]>, "%s", 39) = 39`, hexed(string(msg)))
	}
	sync := "2 fsync(7<" + hexed(journal+"/1.wal") + ">"
	for name, c := range map[string]struct {
		lines []string
		wrong int
	}{
		"in order":          {[]string{write("2", "AA"), sync + ") = 0", status(0xAA)}, 0},
		"no sync":           {[]string{write("2", "AA"), status(0xAA)}, 1},
		"during the sync":   {[]string{write("2", "AA"), sync + " <unfinished ...>", status(0xAA), "2 <... fsync resumed>) = 0"}, 1},
		"written meanwhile": {[]string{write("2", "AA"), sync + " <unfinished ...>", write("4", "BB"), "2 <... fsync resumed>) = 0", status(0xBB)}, 1},
		"failed sync":       {[]string{write("2", "AA"), sync + ") = -1 EIO (Input/output error)", status(0xAA)}, 1},
		"older":             {[]string{write("2", "AA"), sync + ") = 0", write("2", "BB"), status(0xAA)}, 0},
	} {
		got, err := readTrace(strings.NewReader(strings.Join(c.lines, "\n")), journal)
		if err != nil || len(got.violations) != c.wrong || got.statuses != 1 {
			t.Errorf("%s: %+v (%v), expected %d violations", name, got, err, c.wrong)
		}
	}
}

func hexed(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, `\x%02x`, text[i])
	}
	return b.String()
}
