package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Many appenders share few syncs, each is told its own index, and none before the sync that covers it.
func TestGroupCommit(t *testing.T) {
	var synced atomic.Uint64
	var s *Store
	s = open(t, t.TempDir(), func(o *Options) {
		o.OnSync = func(last uint64) {
			if s.Last() >= last {
				t.Errorf("%d was visible before it was synced", last)
			}
			synced.Store(last)
		}
	})
	const senders, each = 64, 50
	var wg sync.WaitGroup
	for g := range senders {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprint(g, "/", i)
				last, err := s.Append(context.Background(), Entry{Kind: Note, Payload: []byte(text)})
				if err != nil {
					t.Error(err)
					return
				}
				if covered := synced.Load(); covered < last {
					t.Errorf("told of %d while only %d was synced", last, covered)
				}
				if e, err := s.Read(last); err != nil || string(e.Payload) != text {
					t.Errorf("entry %d is %q, want %q: %v", last, e.Payload, text, err)
				}
			}
		})
	}
	wg.Wait()
	st := s.Stats()
	t.Logf("%d entries, %d syncs, p50 %v, p99 %v", st.Last, st.Syncs, st.SyncP50, st.SyncP99)
	if st.Last != senders*each || st.Syncs*4 > st.Last {
		t.Errorf("%d entries took %d syncs", st.Last, st.Syncs)
	}
}

func TestSubmitKeepsOrder(t *testing.T) {
	s := open(t, t.TempDir())
	var got []uint64
	last := make(chan struct{})
	const n = 2000
	for i := range n {
		err := s.Submit(Entry{Kind: Rows, Payload: fmt.Append(nil, i)}, func(index uint64, err error) {
			if err != nil {
				t.Error(err)
			}
			if got = append(got, index); len(got) == n {
				close(last)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	<-last
	for i := range uint64(n) {
		e, err := s.Read(i + 1)
		if err != nil || got[i] != i+1 || string(e.Payload) != fmt.Sprint(i) {
			t.Fatalf("submission %d got index %d and reads %q: %v", i, got[i], e.Payload, err)
		}
	}
}

// After a refusal a Writer lets nothing through, even when there is room again.
func TestWriterLatches(t *testing.T) {
	s := open(t, t.TempDir(), func(o *Options) { o.MaxBytes = 64 << 10 })
	w := s.Writer()
	results := make(chan error, 3)
	for _, size := range []int{10, 100 << 10, 10} {
		err := w.Submit(Entry{Kind: Rows, Payload: make([]byte, size)}, func(_ uint64, err error) { results <- err })
		if err != nil && !errors.Is(err, ErrLatched) {
			t.Fatal(err)
		}
		if err != nil {
			results <- err
		}
	}
	if err := <-results; err != nil {
		t.Errorf("first entry: %v", err)
	}
	if err := <-results; !errors.Is(err, ErrJournalFull) {
		t.Errorf("second entry: %v, want ErrJournalFull", err)
	}
	if err := <-results; !errors.Is(err, ErrLatched) {
		t.Errorf("third entry: %v, want ErrLatched", err)
	}
	if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: []byte("x")}); err != nil {
		t.Errorf("another sender: %v", err)
	}
}

func TestTooBig(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: make([]byte, maxPayload+1)}); !errors.Is(err, ErrTooBig) {
		t.Errorf("got %v, want ErrTooBig", err)
	}
	if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: make([]byte, maxPayload)}); err != nil {
		t.Error(err)
	}
	if e, err := s.Read(1); err != nil || len(e.Payload) != maxPayload {
		t.Errorf("read %d bytes: %v", len(e.Payload), err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	waited := make(chan error)
	go func() { waited <- s.Wait(context.Background(), 7) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, aerr := s.Append(context.Background(), Entry{Kind: Note})
	_, rerr := s.Read(1)
	for i, err := range []error{<-waited, aerr, rerr, s.View(func(*Txn) error { return nil })} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v, want ErrClosed", i, err)
		}
	}
}

// Close waits for what is under way, which may still call the store and is then told.
func TestCloseWaits(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 1, 1)
	inside, closing := make(chan struct{}), make(chan error)
	updated := make(chan error)
	go func() {
		updated <- s.Update(Applied{Index: 1}, func(txn *Txn) error {
			close(inside)
			<-s.closed
			if _, err := s.Read(1); !errors.Is(err, ErrClosed) {
				t.Errorf("reading while it closes: %v", err)
			}
			return txn.Put("b", "k", nil)
		})
	}()
	<-inside
	go func() { closing <- s.Close() }()
	if err := <-updated; err != nil {
		t.Error(err)
	}
	if err := <-closing; err != nil {
		t.Error(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 50 << 10, 500 << 10, 1 << 20, 2 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			s := open(b, b.TempDir(), func(o *Options) { o.Segment = 64 << 20 })
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var wg sync.WaitGroup
			for b.Loop() {
				wg.Add(1)
				err := s.Submit(Entry{Kind: Rows, Payload: payload}, func(_ uint64, err error) {
					if err != nil {
						b.Error(err)
					}
					wg.Done()
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			wg.Wait()
			st := s.Stats()
			b.ReportMetric(float64(st.Last)/float64(st.Syncs), "entries/sync")
			b.ReportMetric(st.SyncP99.Seconds()*1e3, "sync-p99-ms")
		})
	}
}
