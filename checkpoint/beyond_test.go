package checkpoint

import (
	"context"
	"errors"
	"testing"
)

// A transaction that has begun is taken beyond the bound, and the small kinds have their share above it, also after a
// restart; other rows wait until the journal is within its bound again.
func TestBeyondBound(t *testing.T) {
	dir := t.TempDir()
	small := func(o *Options) { o.MaxBytes = 4 << 20 }
	s := open(t, dir, small)
	add := func(k Kind, size int, continues bool) error {
		_, err := s.Append(context.Background(), Entry{Kind: k, Payload: make([]byte, size), Continues: continues})
		return err
	}
	for range 19 {
		if err := add(Rows, 200<<10, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(Rows, 400<<10, false); !errors.Is(err, ErrJournalFull) {
		t.Fatalf("rows beyond the bound: %v, want ErrJournalFull", err)
	}
	if s.Stats().Beyond {
		t.Error("Stats says that the full journal is beyond its bound")
	}
	for range 20 {
		if err := add(Rows, 200<<10, true); err != nil {
			t.Fatalf("the transaction that has begun: %v", err)
		}
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, small)
		}
		st := s.Stats()
		if !st.Beyond || st.JournalBytes < 7<<20 {
			t.Errorf("restarted %t: Stats: %+v", restarted, st)
		}
		if err := add(Rows, 10, false); !errors.Is(err, ErrJournalFull) {
			t.Errorf("restarted %t: other rows: %v, want ErrJournalFull", restarted, err)
		}
		if err := add(Outcome, 100<<10, false); err != nil {
			t.Errorf("restarted %t: an outcome: %v", restarted, err)
		}
		if err := add(Note, 300<<10, false); !errors.Is(err, ErrJournalFull) {
			t.Errorf("restarted %t: a note beyond the share of the small kinds: %v, want ErrJournalFull", restarted, err)
		}
	}
	fill(t, s, 0, 0)
	if n, err := s.Trim(s.Last()); n == 0 || err != nil {
		t.Fatalf("removed %d: %v", n, err)
	}
	if err := add(Rows, 10, false); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	if s.Stats().Beyond {
		t.Error("Stats says that the trimmed journal is beyond its bound")
	}
}
