package postgres

import (
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace walks through catching up: a reader that always finds more is behind, and one that finds little is not.
func TestPace(t *testing.T) {
	w := &wire{}
	now := time.Unix(1000, 0)
	read := func(n int, after time.Duration) {
		now = now.Add(after)
		w.pace(n, now)
	}
	for range 100 {
		read(200, 5*time.Millisecond)
	}
	if w.behind {
		t.Error("a transaction now and then is taken for a backlog")
	}
	for range burst {
		read(200, 10*time.Microsecond)
	}
	if !w.behind || w.rest != cadence {
		t.Fatalf("a burst of small reads: behind %t, pause %s", w.behind, w.rest)
	}
	read(bigRead, time.Millisecond)
	read(bigRead, time.Millisecond)
	read(bigRead, time.Millisecond)
	if w.rest != longest {
		t.Errorf("the pause is %s while the window does not fill", w.rest)
	}
	read(48<<10, time.Millisecond)
	if w.rest != cadence {
		t.Errorf("the pause is %s while the window fills", w.rest)
	}
	for range smallReads - 1 {
		read(100, time.Millisecond)
	}
	read(bigRead, time.Millisecond)
	if !w.behind {
		t.Error("a few small reads end it")
	}
	for range smallReads {
		read(100, time.Millisecond)
	}
	if w.behind {
		t.Error("it does not end")
	}
	read(2*bigRead, time.Second)
	if !w.behind {
		t.Error("a large read does not begin it")
	}
}

// TestFrames sends frames of all sizes, cut into pieces of all sizes.
func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		sizes := []int{0, 1, 5, 100, bufferSize - 5, bufferSize, 3 * bufferSize, 7, 0}
		go func() {
			defer there.Close()
			var all []byte
			for i, n := range sizes {
				all = binary.BigEndian.AppendUint32(append(all, byte('a'+i)), uint32(n+4))
				for j := range n {
					all = append(all, byte(i+j))
				}
			}
			for piece := 1; len(all) > 0; piece = piece*3%40000 + 1 {
				n := min(piece, len(all))
				if _, err := there.Write(all[:n]); err != nil {
					t.Error(err)
					return
				}
				all = all[n:]
			}
		}()
		w := newWire(here)
		for i, n := range sizes {
			kind, body, ok, err := w.frame()
			for ; !ok && err == nil; kind, body, ok, err = w.frame() {
				if err := w.fill(); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil || kind != byte('a'+i) || len(body) != n {
				t.Fatalf("frame %d: kind %q, %d bytes, %v", i, kind, len(body), err)
			}
			for j, c := range body {
				if c != byte(i+j) {
					t.Fatalf("frame %d differs at byte %d", i, j)
				}
			}
		}
		if w.r = w.w; len(w.buf) == bufferSize {
			t.Error("the buffer did not grow for the large frame")
		}
		w.makeRoom()
		if len(w.buf) != bufferSize {
			t.Errorf("the buffer stays at %d bytes", len(w.buf))
		}
	})
	for _, bad := range []string{"d\x00\x00\x00\x03", "d\xff\xff\xff\xff"} {
		w := &wire{buf: []byte(bad), w: len(bad)}
		if _, _, _, err := w.frame(); err == nil {
			t.Errorf("frame %q is taken", bad)
		}
	}
}
