package checkpoint

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const childEnv = "WAYBILL_STORE_CHILD"

// TestMain runs the tests, or is the child that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runChild appends numbered entries and applies them until it is killed. It prints the index of each acknowledged entry,
// and the place of each acknowledged update.
func runChild(dir string) error {
	s, err := Open(dir, Options{Segment: 256 << 10, Floor: 16 << 20})
	if err != nil {
		return err
	}
	fmt.Println("open")
	errs := make(chan error, 3)
	for range 2 {
		go func() {
			for {
				n := rand.IntN(40 << 10)
				last, err := s.Append(context.Background(), numbered(n), numbered(n/3))
				if err != nil {
					errs <- err
					return
				}
				fmt.Println("a", last)
			}
		}()
	}
	go func() { errs <- applyAll(s, func(a Applied) { fmt.Println("u", a.Index) }) }()
	return <-errs
}

func numbered(size int) Entry {
	return Entry{Kind: Rows, Payload: make([]byte, size)}
}

// applyAll counts entries: each update moves the counter by one, writes the entry's own key, and overwrites a ballast key.
func applyAll(s *Store, applied func(Applied)) error {
	for {
		a := s.Applied()
		if err := s.Wait(context.Background(), a.Index); err != nil {
			return err
		}
		a = Applied{Index: a.Index + 1}
		err := s.Update(a, func(txn *Txn) error {
			if err := addOne(txn); err != nil {
				return err
			}
			return txn.Put("ballast", fmt.Sprint(a.Index%50), make([]byte, 60<<10))
		})
		if err != nil {
			return err
		}
		applied(a)
	}
}

func addOne(txn *Txn) error {
	n, err := counter(txn)
	if err != nil {
		return err
	}
	if err := txn.Put("seen", fmt.Sprintf("%012d", n+1), nil); err != nil {
		return err
	}
	return txn.Put("count", "", binary.BigEndian.AppendUint64(nil, n+1))
}

func counter(txn *Txn) (uint64, error) {
	raw, err := txn.Get("count", "")
	if err != nil || raw == nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(raw), nil
}

// consistent proves that the state holds what its place says.
func consistent(t testing.TB, s *Store) {
	t.Helper()
	a := s.Applied()
	err := s.View(func(txn *Txn) error {
		n, err := counter(txn)
		if err != nil {
			return err
		}
		seen := uint64(0)
		err = txn.Scan("seen", "", "", func(key string, _ []byte) (bool, error) { seen++; return true, nil })
		if n != a.Index || seen != n {
			t.Errorf("state at %d counts %d and has seen %d", a.Index, n, seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKill kills the process that writes, at random moments: what was acknowledged is there, in order and without gap,
// and the state is as far as it says.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acked, applied uint64
	for round := range 20 {
		a, u := killOnce(t, dir, time.Duration(rand.IntN(250))*time.Millisecond)
		acked, applied = max(acked, a), max(applied, u)
		s, err := Open(dir, Options{Segment: 256 << 10, Floor: 16 << 20})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if s.Last() < acked {
			t.Fatalf("round %d: journal ends at %d, acknowledged up to %d", round, s.Last(), acked)
		}
		if s.Applied().Index < applied {
			t.Fatalf("round %d: applied %d, acknowledged up to %d", round, s.Applied().Index, applied)
		}
		for i := s.First(); i <= s.Last(); i++ {
			if _, err := s.Read(i); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		consistent(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d entries acknowledged, %d applied", acked, applied)
	if acked == 0 || applied == 0 {
		t.Fatal("the child did nothing")
	}
}

// killOnce runs the child and kills it after a while. It returns what the child acknowledged.
func killOnce(t *testing.T, dir string, after time.Duration) (acked, applied uint64) {
	t.Helper()
	cmd, out := startChild(t, dir)
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for out.Scan() {
		var n uint64
		if _, err := fmt.Sscanf(out.Text(), "a %d", &n); err == nil {
			acked = max(acked, n)
		} else if _, err := fmt.Sscanf(out.Text(), "u %d", &n); err == nil {
			applied = max(applied, n)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("child ended by itself: %v: %s", err, cmd.Stderr)
	}
	return acked, applied
}

// startChild starts the child and waits until it has the store open.
func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = &strings.Builder{}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(pipe)
	if !out.Scan() || out.Text() != "open" {
		_ = cmd.Wait()
		t.Fatalf("child did not open the store: %q %s", out.Text(), cmd.Stderr)
	}
	return cmd, out
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startChild(t, dir)
	go func() {
		for out.Scan() {
		}
	}()
	_, err := Open(dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || !strings.Contains(locked.Command, os.Args[0]) {
		t.Errorf("got %v, want a LockedError of process %d", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	s := open(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
