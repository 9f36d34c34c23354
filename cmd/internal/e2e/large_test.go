package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// largeBound is what the daemon may take of anonymous memory, in bytes.
const largeBound = 256 << 20

// Rules read three rows of the large table, so that deliveries are not what is measured.
// TestLarge writes LARGE_ROWS rows (default 200,000) of LARGE_HASHES times 32 bytes (default 3) in one transaction: the daemon
// stays small, what is rolled back leaves no trace, and what is committed arrives.
func TestLarge(t *testing.T) {
	plainBinary(t)
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := newLarge(t, kind, "")
			l.hashes = setting("LARGE_HASHES", l.hashes)
			memory := watchMemory(t, l.daemon.Process.Pid)
			l.insert(false)
			l.captures(2 * time.Minute)
			if n := l.delivered(); n != 0 {
				t.Errorf("a transaction that was rolled back made %d deliveries", n)
			}
			l.insert(true)
			l.captures(largePatience())
			l.arrived()
			peak := memory.peak()
			t.Logf("%s: %d rows of %d hashes in one transaction, peak anonymous memory %d MB", kind, largeRows(), l.hashes, peak>>20)
			if peak > largeBound {
				t.Errorf("peak anonymous memory %d MB, the bound is %d MB", peak>>20, largeBound>>20)
			}
			l.stop()
		})
	}
}

// TestLargeBeyondJournal writes a transaction that is larger than the journal may be. Nothing of it can be trimmed before its end
// is in the journal, so it is captured to its end, with an alarm, and goes through by itself.
func TestLargeBeyondJournal(t *testing.T) {
	plainBinary(t)
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := newLarge(t, kind, "journal: { max_bytes: 192MiB }\n")
			memory := watchMemory(t, l.daemon.Process.Pid)
			l.hashes = max(1, 288<<20/32/largeRows()) // half as much again as the bound
			l.insert(true)
			alarm := ""
			l.until(largePatience(), "the journal is beyond its bound and the status says so", func() bool {
				_, problems := l.source()
				alarm = problems
				return strings.Contains(problems, "is captured to its end")
			})
			l.captures(largePatience())
			l.arrived()
			peak := memory.peak()
			t.Logf("%s: %d rows of %d hashes in one transaction with a journal of 192 MiB: %s; peak anonymous memory %d MB",
				kind, largeRows(), l.hashes, alarm, peak>>20)
			if peak > largeBound {
				t.Errorf("peak anonymous memory %d MB, the bound is %d MB", peak>>20, largeBound>>20)
			}
			l.stop()
		})
	}
}

func largeRows() int { return setting("LARGE_ROWS", 200_000) }

// largePatience is two minutes and what 2,000 rows a second need.
func largePatience() time.Duration {
	return 2*time.Minute + time.Duration(largeRows())*time.Second/2000
}

// large is an engine whose daemon waits for a large transaction.
type large struct {
	*engine
	hashes int // of 32 letters, which no compression makes much less, in each row's note
	marks  int
}

func newLarge(t *testing.T, kind, more string) *large {
	l := &large{engine: newEngine(t, kind), hashes: 3}
	l.sql(l.db, "CREATE TABLE large (k bigint PRIMARY KEY, note text NOT NULL)")
	l.configure(customersOf("large", "k <= 3 or k >= 999000000", "k", "note"), more)
	l.start()
	l.settled(time.Minute)
	return l
}

// insert writes the rows in one transaction.
func (l *large) insert(commit bool) {
	l.t.Helper()
	tx, err := l.db.Begin()
	if err != nil {
		l.t.Fatal(err)
	}
	defer tx.Rollback() // no effect after the commit
	if _, err := tx.Exec(fmt.Sprintf("INSERT INTO large SELECT n, %s FROM %s", l.note(), l.series(largeRows()))); err != nil {
		l.t.Fatal(err)
	}
	if commit {
		err = tx.Commit()
	} else {
		err = tx.Rollback()
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// note is the expression of a row's note.
func (l *large) note() string {
	text := "''"
	for i := 0; i < l.hashes; i += 40 { // a function has at most 100 arguments
		part := make([]string, 0, 41)
		for j := i; j < min(i+40, l.hashes); j++ {
			part = append(part, fmt.Sprintf("md5(concat(n, '-%d'))", j))
		}
		text = "concat(" + text + ", " + strings.Join(part, ", ") + ")"
	}
	return text
}

// captures waits until the stream has passed what is committed by now: a row behind it is in the journal and applied.
func (l *large) captures(within time.Duration) {
	l.t.Helper()
	mark := time.Now()
	l.until(within, "the stream has passed the transaction", func() bool {
		st, err := l.asked()
		return err == nil && len(st.Sources) == 1 && st.Sources[0].Watermark.After(mark) && st.Journal.Applied == st.Journal.Last
	})
}

// arrived proves that the three rows were delivered, each once, and the row behind the transaction after them.
func (l *large) arrived() {
	l.t.Helper()
	l.marks++
	l.sql(l.db, fmt.Sprintf("INSERT INTO large VALUES (%d, 'behind')", 999000000+l.marks))
	l.settled(2 * time.Minute)
	seen := l.effects()
	for _, id := range []string{"1", "2", "3", strconv.Itoa(999000000 + l.marks)} {
		if seen[id] != 1 {
			l.t.Errorf("row %s was delivered %d times", id, seen[id])
		}
	}
	if len(seen) != 3+l.marks {
		l.t.Errorf("%d rows were delivered: %v", len(seen), seen)
	}
}

// memory samples a process.
type memory struct {
	most   atomic.Int64
	cancel context.CancelFunc
	ended  chan struct{}
}

// watchMemory samples the anonymous memory of a process until peak is asked for, or the process ends.
func watchMemory(t *testing.T, pid int) *memory {
	ctx, cancel := context.WithCancel(context.Background())
	m := &memory{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for {
			m.most.Store(max(m.most.Load(), anonymous(pid)))
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond): // sampling
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-m.ended })
	return m
}

func (m *memory) peak() int64 {
	m.cancel()
	<-m.ended
	return m.most.Load()
}

// anonymous is RssAnon of a process, in bytes; 0 when it has ended.
func anonymous(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
