package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
)

// TestFullSegments fills many segments while they are read: every entry stays readable, across a restart too, and what was full
// holds no memory.
func TestFullSegments(t *testing.T) {
	const (
		entries = 30
		size    = 3 << 20 // two or three of them fill a segment
		bound   = 24 << 20
	)
	dir := t.TempDir()
	larger := func(o *Options) { o.Segment = 8 << 20 }
	s := open(t, dir, larger)
	payload := make([]byte, size)
	check := func(s *Store, index uint64) {
		e, err := s.Read(index)
		if err != nil {
			t.Errorf("entry %d: %v", index, err)
			return
		}
		if len(e.Payload) != size || binary.LittleEndian.Uint64(e.Payload) != index {
			t.Errorf("entry %d reads as %d, %d bytes", index, binary.LittleEndian.Uint64(e.Payload), len(e.Payload))
		}
	}
	before := heapNow()
	var readers sync.WaitGroup
	for n := range uint64(entries) {
		binary.LittleEndian.PutUint64(payload, n+1)
		if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: bytes.Clone(payload)}); err != nil {
			t.Fatal(err)
		}
		readers.Go(func() { check(s, n+1); check(s, n/2+1) })
	}
	readers.Wait()
	if grown := int64(heapNow()) - int64(before); grown > bound {
		t.Errorf("%d MiB in the journal hold %d MiB of memory, the bound is %d MiB", entries*size>>20, grown>>20, bound>>20)
	}
	for n := range uint64(entries) {
		check(s, n+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, larger)
	for n := range uint64(entries) {
		check(again, n+1)
	}
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC() // the second empties the pools that the first has put aside
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
