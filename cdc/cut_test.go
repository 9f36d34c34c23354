package cdc

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestCut cuts a run of transactions at every commit, and reads back both parts with what was written after the cut.
func TestCut(t *testing.T) {
	a := &Schema{Source: "s", Table: Table{"public", "a"}, Codec: "test/1", Columns: []Column{{Name: "id"}}}
	b := &Schema{Source: "s", Table: Table{"public", "b"}, Codec: "test/1", Columns: []Column{{Name: "id"}, {Name: "n"}}}
	schemas := map[uint64]*Schema{a.ID(): a, b.ID(): b}
	find := func(id uint64) (*Schema, error) { return schemas[id], nil }
	write := func(e *Encoder, i int) {
		e.Begin(Tx{Commit: fmt.Sprint(i)})
		if i%3 != 0 {
			e.Change(Insert, a)
			e.Value([]byte(fmt.Sprint(i)))
		}
		if i > 1 {
			e.Change(Update, b)
			e.Value([]byte(fmt.Sprint(i)))
			e.Null()
		}
	}
	read := func(data []byte) (out []string) {
		r := NewReader(nil, find)
		r.Reset(&Batch{Data: data})
		for r.Next() {
			c := r.Change()
			_, raw := c.RawNew(0)
			out = append(out, fmt.Sprintf("%s %s %s %d %s", c.Tx.Commit, c.Op, c.Schema.Table, c.Ordinal, raw))
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	const total = 8
	var whole Encoder
	for i := range total {
		write(&whole, i)
	}
	data, _ := whole.Take()
	want := fmt.Sprint(read(data))
	for at := range total + 1 {
		var e Encoder
		var m Mark
		for i := range total {
			if i == at {
				m = e.Mark()
			}
			write(&e, i)
		}
		if at == total {
			m = e.Mark()
		}
		first, n := e.Cut(m)
		head := read(first)
		if n != len(head) {
			t.Errorf("cut at %d: %d changes, reported %d", at, len(head), n)
		}
		write(&e, total)
		rest, n := e.Cut(e.Mark())
		tail := read(rest)
		if n != len(tail) {
			t.Errorf("rest of a cut at %d: %d changes, reported %d", at, len(tail), n)
		}
		if got := fmt.Sprint(append(head, tail[:len(tail)-2]...)); got != want {
			t.Errorf("cut at %d:\n got %s\nwant %s", at, got, want)
		}
	}
}

// TestCutHoldsNoMemory sees to it that a small batch does not hold a large buffer.
func TestCutHoldsNoMemory(t *testing.T) {
	s := &Schema{Table: Table{"public", "a"}, Columns: []Column{{Name: "id"}}}
	var e Encoder
	for _, size := range []int{8 << 20, 10, 1 << 20, 10} {
		e.Begin(Tx{Commit: "1"})
		e.Change(Insert, s)
		e.Value(make([]byte, size))
		data, _ := e.Cut(e.Mark())
		if cap(data) > 2*len(data)+64 {
			t.Errorf("a batch of %d bytes holds %d", len(data), cap(data))
		}
		if cap(e.buf) > bufferMax {
			t.Errorf("after %d bytes the encoder keeps %d", size, cap(e.buf))
		}
	}
}

// TestFree frees every other batch while more are written: the ones that are kept stay as they were, and a cut in the middle too
// writes nothing into them.
func TestFree(t *testing.T) {
	s := &Schema{Source: "s", Table: Table{"public", "a"}, Codec: "test/1", Columns: []Column{{Name: "id"}}}
	var e Encoder
	type pair struct{ is, was []byte }
	var kept []pair
	for i := range 400 {
		for n := range 50 {
			e.Begin(Tx{Commit: fmt.Sprint(i, n)})
			e.Change(Insert, s)
			e.Value(fmt.Appendf(nil, "%d of %d", n, i))
		}
		m := e.Mark()
		if i%3 == 0 { // the next one has begun
			e.Begin(Tx{Commit: "more"})
		}
		data, changes := e.Cut(m)
		b := Batch{Data: data, Changes: changes}
		if _, err := b.Stored(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			b.Free()
			continue
		}
		kept = append(kept, pair{data, slices.Clone(data)})
	}
	for i, p := range kept {
		if !bytes.Equal(p.is, p.was) {
			t.Fatalf("batch %d was written over", i)
		}
	}
}
