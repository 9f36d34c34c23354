package checkpoint

import (
	"context"
	"fmt"
	"testing"
)

// open opens a store with small files in dir and closes it with the test.
func open(t testing.TB, dir string, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{Segment: 1 << 20, Floor: 16 << 20}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func appendN(t testing.TB, s *Store, n, size int) {
	t.Helper()
	for i := range n {
		payload := make([]byte, size)
		copy(payload, fmt.Sprintf("entry %d", i))
		if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 300, 50<<10)
	if s.First() != 1 || s.Last() != 300 {
		t.Fatalf("journal is %d…%d, want 1…300", s.First(), s.Last())
	}
	for round := range 2 {
		for i := uint64(1); i <= 300; i++ {
			e, err := s.Read(i)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("entry %d", i-1); e.Index != i || e.Kind != Rows || e.At.IsZero() || string(e.Payload[:len(want)]) != want {
				t.Fatalf("entry %d: %v %v %q", i, e.Index, e.At, e.Payload[:20])
			}
		}
		if round == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
		}
	}
	if err := s.Update(Applied{Index: 5}, func(txn *Txn) error { return txn.Put("case", "A1", []byte("x")) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s.Stats())
}
