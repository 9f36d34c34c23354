package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"waybill/checkpoint"
	"waybill/transform"
)

// TestEventBlocks writes events in transactions of many sizes, one of them larger than a block, and reads each back alone, forwards and
// backwards, from every number, also in the transaction that wrote it.
func TestEventBlocks(t *testing.T) {
	r := newRig(t)
	total := uint64(0)
	tell := func(n int, size int) {
		r.do(func(s *state, _ *output) error {
			for range n {
				total++
				if _, err := s.next("event"); err != nil {
					return err
				}
				if err := s.tell(total, &transform.Event{ID: fmt.Sprint("e", total), Data: []byte(`"` + strings.Repeat("x", size) + `"`)}); err != nil {
					return err
				}
				if n == 200 { // one block
					continue
				}
				if e, err := s.event(hexKey(total)); err != nil || e == nil || e.ID != fmt.Sprint("e", total) {
					return fmt.Errorf("event %d as it was written: %+v, %v", total, e, err)
				}
			}
			return nil
		})
	}
	for _, n := range []int{1, 3, 200, 1, 40} {
		tell(n, 10)
	}
	tell(5, 50_000)
	err := r.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		for n := uint64(1); n <= total; n++ {
			if e, err := s.event(hexKey(n)); err != nil || e == nil || e.ID != fmt.Sprint("e", n) {
				t.Fatalf("event %d: %+v, %v", n, e, err)
			}
			want := n
			if err := s.eachEvent(n, func(seq uint64, raw []byte) (bool, error) {
				if seq != want || !strings.Contains(string(raw), fmt.Sprintf(`"e%d"`, seq)) {
					t.Fatalf("from %d: event %d, want %d", n, seq, want)
				}
				want++
				return want < n+60, nil
			}); err != nil {
				return err
			}
			if want != min(n+60, total+1) {
				t.Fatalf("from %d: ended before %d", n, want)
			}
		}
		want := total
		err := s.eachEventBack(func(seq uint64, _ []byte) (bool, error) {
			if seq != want {
				t.Fatalf("backwards: event %d, want %d", seq, want)
			}
			want--
			return true, nil
		})
		if want != 0 {
			t.Errorf("backwards: ended at %d", want)
		}
		for _, none := range []uint64{0, total + 1} {
			if e, err := s.event(hexKey(none)); err != nil || e != nil {
				t.Errorf("event %d: %+v, %v", none, e, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzEventBlock reads damaged blocks: they are refused, and never more than their bound is made of them.
func FuzzEventBlock(f *testing.F) {
	f.Add([]byte{blockForm, 3, 8, 1, '{', '}'})
	f.Add([]byte{blockForm, 0})
	f.Fuzz(func(t *testing.T, v []byte) {
		if b, err := readBlock(hexKey(100), v); err == nil && b.last != 100 {
			t.Error(b.last)
		}
	})
}
