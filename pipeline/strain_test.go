package pipeline

import (
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// chunks tells how many chunks were read to their end.
func (s *shelf) chunks() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.reads {
		n += times
	}
	return n
}

func (s *shelf) set(strain cdc.Strain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strain = strain
}

// TestReadingsGiveWay has the stream, and then a replica, further behind than a reading may have it. The shelf's watermark is one
// second of 1970.
func TestReadingsGiveWay(t *testing.T) {
	begun := time.Unix(1, 0)
	for _, c := range []struct {
		name   string
		strain cdc.Strain
		want   string
	}{
		{"the stream", cdc.Strain{Clock: begun.Add(3 * time.Minute)}, "the stream is 3m"},
		{"a replica", cdc.Strain{Clock: begun, Replica: "dr1", Behind: 61 * time.Minute}, "replica dr1 is 1h1m0s behind, and max_lag is 1m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(30, 30)
			s.set(c.strain)
			s.run(t, t.TempDir(), ReadingOptions{MaxLag: time.Minute}, func(p *Pipeline, st func() map[string]ReadingStatus) {
				poll(t, "the readings say what they wait for", func() bool {
					all := st()
					return strings.Contains(all["public.customers"].Waits, c.want) && strings.Contains(all["public.bills"].Waits, c.want)
				})
				if n := s.chunks(); n != 0 {
					t.Errorf("%d chunks were read", n)
				}
				s.set(cdc.Strain{Clock: begun, Replica: "dr1", Behind: 59 * time.Second})
				poll(t, "everything is read", func() bool { return seen(t, p, "customers") == 30 && seen(t, p, "bills") == 30 && len(st()) == 0 })
			})
		})
	}
}

// TestReadingsWithoutALimit are not held, however far anything is behind.
func TestReadingsWithoutALimit(t *testing.T) {
	s := newShelf(30, 30)
	s.set(cdc.Strain{Clock: time.Unix(1, 0).Add(time.Hour), Replica: "dr1", Behind: time.Hour})
	s.run(t, t.TempDir(), ReadingOptions{}, func(p *Pipeline, st func() map[string]ReadingStatus) {
		poll(t, "everything is read", func() bool { return seen(t, p, "customers") == 30 && seen(t, p, "bills") == 30 && len(st()) == 0 })
	})
}
