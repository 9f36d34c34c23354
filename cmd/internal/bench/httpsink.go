package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"waybill/pipeline"
	"waybill/sinks"
	"waybill/sinks/webhook"
)

const (
	hookEvents = 100_000 // at most; BENCH_ROWS shrinks it
	hookKeys   = 5_000   // order keys, each with a shipment's events
	hookCalls  = 128     // at the same time: twice what 5,000 a second need when an answer takes 10 ms
	hookAnswer = 10 * time.Millisecond
)

// hookMapping publishes an event for every row; those of a shipment keep their order.
const hookMapping = `mapping: hooks
version: 1
cutover: "2020-01-01T00:00:00Z"
sources:
  bench: { schema: public, zone: America/Chicago, currency: USD }
events:
  load.dispatched:
    from: bench.bench_changes
    when: inserted()
    key: id
    correlate: { shipment: load_no }
    set: { load: load_no }
publish:
  load.dispatched -> hook.loads:
bounds: { events: none }
`

// publishers of the jobs that publish.
func (j job) publishers() (map[string]sinks.Publisher, error) {
	if j.Hook == "" {
		return nil, nil
	}
	hook, err := webhook.New(webhook.Config{URL: j.Hook, Mode: webhook.Binary})
	return map[string]sinks.Publisher{"hook": hook}, err
}

// httpSink drains the backlog through the whole program into POSTs of one event each.
func httpSink(ctx context.Context, j job) (s sample, err error) {
	m := begin()
	err = j.work(ctx, func(st pipeline.Status) bool {
		return len(st.Feeds) == 1 && st.Feeds[0].Behind == 0 && st.Feeds[0].Published >= uint64(j.Changes)
	}, func() (err error) {
		s, err = m.end(j.Changes)
		return err
	})
	return s, err
}

// hooks is the receiver. It answers late, and checks that the events of each order key come in their order, once.
type hooks struct {
	mu          sync.Mutex
	last        map[string]uint64
	got         int
	now, most   int
	first, then time.Time
	faults      []string
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.Header.Get("Ce-Sequence"), 10, 64)
	key := r.Header.Get("Ce-Partitionkey")
	h.mu.Lock()
	if h.got == 0 {
		h.first = time.Now()
	}
	if (err != nil || n != h.last[key]+1) && len(h.faults) < 5 {
		h.faults = append(h.faults, fmt.Sprintf("event %d of %s came behind event %d (%v)", n, key, h.last[key], err))
	}
	h.last[key] = n
	h.got++
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	time.Sleep(hookAnswer) // the receiver's own time
	h.mu.Lock()
	h.now--
	h.then = time.Now()
	h.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// httpSink measures on PostgreSQL: rows are written while nobody reads, then the program carries them to the receiver, which runs in this process.
func (b *pgBench) httpSink(r *report) (err error) {
	events := min(b.s.Rows, hookEvents)
	j := b.base
	j.Kind, j.Slot, j.Dir, j.Mapping, j.Changes = "seed", "waybill_hooks", filepath.Join(b.dir, "hooks"), hookMapping, events
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := &hooks{last: map[string]uint64{}}
	server := &http.Server{Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		closing := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			closing = errors.Join(closing, served)
		}
		err = errors.Join(err, closing)
	}()
	j.Hook = "http://" + listener.Addr().String() + "/{topic}"
	if _, err := j.do(); err != nil {
		return err
	}
	if err := b.exec(fmt.Sprintf("INSERT INTO bench_changes (id, load_no) SELECT -g, g %% %d FROM generate_series(1, %d) g", hookKeys, events)); err != nil {
		return err
	}
	j.Kind = "http-sink"
	s, err := j.do()
	if err := errors.Join(err, os.RemoveAll(j.Dir), b.drop(j.Slot)); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) > 0 || h.got != events {
		return fmt.Errorf("the receiver got %d events of %d: %v", h.got, events, h.faults)
	}
	took := h.then.Sub(h.first).Seconds()
	r.add(fmt.Sprintf("http-sink: %d POSTs of one event, answered after %s, in order of %d keys", events, hookAnswer, hookKeys),
		fmt.Sprintf("%.0f events/s, %d at the same time", float64(events)/took, h.most), "≥ 5000 events/s", s)
	r.figures = append(r.figures, figure{Name: "http-sink", Ours: round(float64(events) / took), Limit: 5000, Ratio: float64(events) / took / 5000, Unit: "events/s", CPU: s.CPU, RSS: s.RSS})
	return nil
}
