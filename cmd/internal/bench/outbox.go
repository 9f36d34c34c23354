package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"waybill/checkpoint"
	"waybill/pipeline"
)

// outboxSeconds is how long the outbox part writes, at latencyRate rows a second; BENCH_SECONDS shortens it.
const outboxSeconds = 30

// outboxMapping makes an event of every row.
const outboxMapping = `mapping: outbox
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
`

// outboxLook is the pause between two looks at the outbox: by so much a figure may be too large.
const outboxLook = 2 * time.Millisecond

// outbox runs the whole pipeline and takes, for each row, the time from its commit, as the server tells it, to the moment that its event can be
// read from the outbox: captured, journalled, mapped, committed to the state.
func outbox(ctx context.Context, j job) (sample, error) {
	store, err := checkpoint.Open(j.Dir, checkpoint.Options{})
	if err != nil {
		return sample{}, err
	}
	p, err := j.program(store)
	if err != nil {
		return sample{}, errors.Join(err, store.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	m := begin()
	took, err := seen(ctx, p, j.Changes)
	cancel()
	if err := errors.Join(err, <-ended, store.Close()); err != nil {
		return sample{}, err
	}
	s, err := m.end(len(took))
	slices.Sort(took)
	s.P50, s.P99, s.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return s, err
}

// seen looks at the outbox until it has so many events, and returns the age of each, in ms, when it was seen.
func seen(ctx context.Context, p *pipeline.Pipeline, events int) (took []float64, err error) {
	tick := time.NewTicker(outboxLook)
	defer tick.Stop()
	for after := uint64(0); len(took) < events; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("of %d rows %d are in the outbox: %w", events, len(took), ctx.Err())
		}
		list, err := p.Events(ctx, pipeline.EventQuery{After: after, Limit: 10_000})
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for _, e := range list {
			took = append(took, float64(now.Sub(e.Recorded).Microseconds())/1000)
			after = e.Seq
		}
	}
	return took, nil
}

// outbox measures on PostgreSQL: what the two engines differ in is before the journal, and in the part latency.
func (b *pgBench) outbox(r *report) error {
	seconds := number("BENCH_SECONDS", outboxSeconds)
	j := b.base
	j.Kind, j.Slot, j.Dir, j.Mapping, j.Changes = "seed", "waybill_outbox", filepath.Join(b.dir, "outbox"), outboxMapping, latencyRate*seconds
	if _, err := j.do(); err != nil {
		return err
	}
	j.Kind = "outbox"
	type result struct {
		s   sample
		err error
	}
	ended := make(chan result, 1)
	go func() {
		s, err := j.do()
		ended <- result{s, err}
	}()
	time.Sleep(3 * time.Second) // the child streams by then; what it missed it would read late, and the figure would be worse
	commit, err := write(b.DB, "INSERT INTO bench_changes (id, load_no) VALUES ($1, 1)", seconds)
	var got result
	select {
	case got = <-ended:
	case <-time.After(2 * time.Minute):
		got.err = errors.New("the child did not see all rows within two minutes")
	}
	if err := errors.Join(err, got.err, os.RemoveAll(j.Dir)); err != nil {
		return err
	}
	r.add(fmt.Sprintf("row to outbox at 1,000 changes/s for %d s", seconds),
		fmt.Sprintf("p50 %.1f, p99 %.1f, max %.1f ms; the commit alone p99 %.1f", got.s.P50, got.s.P99, got.s.Max, commit), "p99 < 100 ms", got.s)
	return b.drop(j.Slot)
}
