package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// shelf is a source without a server: two tables of numbered rows and a stream that only says how far it is. A nudge moves it to
// the log's end.
type shelf struct {
	mu     sync.Mutex
	rows   map[string]int // by table
	end    int            // of the log
	at     int            // of the stream
	reads  map[string]int // chunks read to their end, by table and cursor
	busy   int            // chunks being read
	most   int
	broken string // a table that cannot be read
	nudge  chan struct{}
	slow   chan struct{} // chunks wait for it; nil: they do not
	strain cdc.Strain
}

func newShelf(customers, bills int) *shelf {
	return &shelf{rows: map[string]int{"customers": customers, "bills": bills}, end: 5, reads: map[string]int{}, nudge: make(chan struct{}, 1)}
}

func (s *shelf) Open(_ context.Context, pos cdc.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pos != "" {
		n, err := strconv.Atoi(string(pos))
		s.at = n
		return err
	}
	s.at = s.end
	s.Nudge()
	return nil
}

func (s *shelf) Next(ctx context.Context) (cdc.Batch, error) {
	select {
	case <-s.nudge:
	case <-ctx.Done():
		return cdc.Batch{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.end
	return cdc.Batch{Source: "dispatch", Identity: "shelf/1/1", Position: cdc.Position(strconv.Itoa(s.at)), CommitAt: time.Unix(1, 0).UTC()}, nil
}

func (s *shelf) Confirm(cdc.Position) {}
func (s *shelf) Close() error         { return nil }
func (s *shelf) Lag() cdc.Lag         { return cdc.Lag{Connected: true} }

func (s *shelf) Nudge() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

func (s *shelf) Estimate(_ context.Context, t cdc.Table) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.rows[t.Name]), nil
}

func (s *shelf) Strain(context.Context) (cdc.Strain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strain, nil
}

func (s *shelf) Covers(at, high cdc.Position) bool {
	a, _ := strconv.Atoi(string(at))
	h, _ := strconv.Atoi(string(high))
	return a >= h
}

// ReadChunk reads ten rows; every chunk sees the log three transactions longer than the one before.
func (s *shelf) ReadChunk(ctx context.Context, r cdc.ChunkRequest) (cdc.ChunkRead, error) {
	s.mu.Lock()
	s.busy++
	s.most = max(s.most, s.busy)
	slow, broken := s.slow, s.broken == r.Table.Name && r.After != ""
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.busy--; s.mu.Unlock() }()
	if broken {
		return cdc.ChunkRead{}, &cdc.TableError{Source: "dispatch", Table: r.Table, Err: errors.New("permission denied"), Hint: "Grant it."}
	}
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return cdc.ChunkRead{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end += 3
	s.reads[r.Table.Name+" "+r.After]++
	from, _ := strconv.Atoi(r.After)
	to := min(from+10, s.rows[r.Table.Name])
	schema := *partsSchema
	schema.Table = cdc.Table{Schema: "public", Name: r.Table.Name}
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: "snapshot/" + strconv.Itoa(s.end)})
	for i := from; i < to; i++ {
		e.Change(cdc.Snapshot, &schema)
		e.Value(fmt.Appendf(nil, "%s%04d", r.Table.Name[:1], i))
		e.Value([]byte("name"))
	}
	b := cdc.Batch{Source: "dispatch", Identity: "shelf/1/1", Snapshot: true, Schemas: []*cdc.Schema{&schema},
		Chunk: &cdc.Chunk{Table: schema.Table, After: strconv.Itoa(to), End: to == s.rows[r.Table.Name], View: "plain/1 " + strconv.Itoa(s.end)}}
	b.Data, b.Changes = e.Take()
	return cdc.ChunkRead{Batch: b, High: cdc.Position(strconv.Itoa(s.end))}, nil
}

const shelfMapping = `mapping: shelf
version: 1
cutover: "2020-01-01T00:00:00Z"
sources:
  dispatch: { schema: public, zone: America/Chicago }
events:
  customer.changed:
    from: dispatch.customers
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name }
  accessorial.approved:
    from: dispatch.bills
    when: changed(name)
    key: cust_cd
    at: name
    set: { charge: name, load: cust_cd, quantity: name, amount: money(name) }
`

// run runs a pipeline over the shelf until done says so or until is closed, and ends it at once.
func (s *shelf) run(t *testing.T, dir string, o ReadingOptions, act func(p *Pipeline, st func() map[string]ReadingStatus)) {
	t.Helper()
	runShelf(t, s, dir, o, act)
}

func runShelf(t *testing.T, s cdc.Source, dir string, o ReadingOptions, act func(p *Pipeline, st func() map[string]ReadingStatus)) {
	t.Helper()
	p, closeStore := newShelfPipeline(t, s, dir, o)
	defer closeStore()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	act(p, func() map[string]ReadingStatus {
		st, err := p.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]ReadingStatus{}
		for _, r := range st.Sources[0].Readings {
			all[r.Table] = r
		}
		return all
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func newShelfPipeline(t *testing.T, s cdc.Source, dir string, o ReadingOptions) (p *Pipeline, closeStore func()) {
	t.Helper()
	store, err := checkpoint.Open(dir, checkpoint.Options{Floor: 1 << 20, Segment: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p, err = New(Options{Store: store, Carriers: parsed(t), Sources: map[string]cdc.Source{"dispatch": s},
		Codecs: cdc.Codecs{"plain/1": modelCodec{}}, Sinks: map[string]sinks.Sink{}, Readings: map[string]ReadingOptions{"dispatch": o},
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func parsed(t *testing.T) *transform.Carriers { return carriers(t, shelfMapping) }

// carriers are the mappings of the texts.
func carriers(t *testing.T, texts ...string) *transform.Carriers {
	t.Helper()
	var all []*transform.Mapping
	for i, text := range texts {
		m, err := transform.Parse(fmt.Sprintf("%d.yaml", i+1), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	c, err := transform.NewCarriers(all...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func poll(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatal("waited 15 s until " + what)
		}
		time.Sleep(time.Millisecond) // polling, with the deadline above
	}
}

// seen returns the rows of a table that the state holds.
func seen(t *testing.T, p *Pipeline, table string) (n int) {
	t.Helper()
	err := p.store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan("row/dispatch.public."+table, "", "", func(string, []byte) (bool, error) { n++; return true, nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAReadingThatIsKilledReadsOneChunkAWorkerAgain(t *testing.T) {
	s, dir := newShelf(400, 300), t.TempDir()
	const kills = 8
	for kill := range kills {
		s.slow = make(chan struct{})
		s.run(t, dir, ReadingOptions{}, func(p *Pipeline, _ func() map[string]ReadingStatus) {
			poll(t, "two tables are read at once", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.busy == 2
			})
			for range 4 + kill {
				select {
				case s.slow <- struct{}{}:
				case <-time.After(10 * time.Second):
					t.Fatal("no chunk is read")
				}
			}
		})
	}
	s.slow = nil
	s.run(t, dir, ReadingOptions{}, func(p *Pipeline, st func() map[string]ReadingStatus) {
		poll(t, "everything is read", func() bool { return seen(t, p, "customers") == 400 && seen(t, p, "bills") == 300 && len(st()) == 0 })
	})
	reads := 0
	for _, n := range s.reads {
		reads += n
	}
	if again := reads - 70; again > 2*kills {
		t.Errorf("%d chunks were read again after %d kills of 2 workers: %v", again, kills, s.reads)
	}
	if s.most > 2 {
		t.Errorf("%d chunks were read at once", s.most)
	}
}

func TestATableThatCannotBeReadDoesNotKeepTheOthers(t *testing.T) {
	s := newShelf(50, 50)
	s.broken = "customers"
	s.run(t, t.TempDir(), ReadingOptions{}, func(p *Pipeline, st func() map[string]ReadingStatus) {
		poll(t, "the other table is read", func() bool { return seen(t, p, "bills") == 50 })
		var open []ExceptionView
		poll(t, "an exception is open", func() (ok bool) {
			var err error
			if open, err = p.Exceptions(context.Background(), ExceptionQuery{Limit: 10}); err != nil {
				t.Fatal(err)
			}
			return len(open) == 1
		})
		poll(t, "the status says so", func() bool { return st()["public.customers"].State == ReadingFailed })
		failed := st()["public.customers"]
		if failed.Rows != 10 || !strings.Contains(failed.Error, "permission denied") || !strings.Contains(open[0].Title, "customers") {
			t.Errorf("reading %+v, exception %+v", failed, open[0])
		}
		s.mu.Lock()
		s.broken = ""
		s.mu.Unlock()
		if _, err := p.Retry(context.Background(), []string{open[0].ID}, "test", "granted"); err != nil {
			t.Fatal(err)
		}
		poll(t, "the table is read from where it stopped", func() bool { return seen(t, p, "customers") == 50 && len(st()) == 0 })
		if s.reads["customers "] != 1 {
			t.Errorf("the first chunk was read %d times", s.reads["customers "])
		}
	})
}

func TestAReadingPausesAndKeepsToItsRate(t *testing.T) {
	s := newShelf(200, 10)
	s.slow = make(chan struct{})
	s.run(t, t.TempDir(), ReadingOptions{ChunkRows: 10, RowsPerSecond: 100000}, func(p *Pipeline, st func() map[string]ReadingStatus) {
		s.slow <- struct{}{}
		s.slow <- struct{}{}
		s.slow <- struct{}{}
		decide := func(action string) {
			d := decisionEntry{Action: action, Read: &ReadRequest{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: "customers"}}, By: "test"}
			if err := p.decide(context.Background(), d); err != nil {
				t.Fatal(err)
			}
		}
		decide("pause")
		close(s.slow)
		poll(t, "the reading is paused", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.busy == 0
		})
		if r := st()["public.customers"]; r.State != ReadingPaused || r.Rows >= 200 || r.Estimate != 200 {
			t.Errorf("%+v", r)
		}
		decide("resume")
		poll(t, "everything is read", func() bool { return seen(t, p, "customers") == 200 && len(st()) == 0 })
	})
}
