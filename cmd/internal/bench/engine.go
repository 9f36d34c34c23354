package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/pipeline"
	"waybill/sinks"
	"waybill/transform"

	"waybill/cdc/postgres"
)

// benchMapping makes an event of every update, and a posting of every thousandth insert: a dispatch database writes many rows
// for each document.
const benchMapping = `mapping: bench
version: 1
cutover: "2020-01-01T00:00:00Z"
sources:
  bench: { schema: public, zone: America/Chicago, currency: USD }
codes:
  charge: { Kansas City: LUMPER, _unknown: hold }
events:
  accessorial.approved:
    from: bench.bench_changes
    when: changed(amt)
    key: id
    at: planned
    correlate: { shipment: load_no }
    set:
      charge: code.charge(city)
      load: load_no
      quantity: load_no
      amount: money(amt)
      description: descr?
  customer.changed:
    from: bench.bench_changes
    when: inserted() and load_no < 90
    lane: master
    key: id
    at: planned
    set:
      code: "{id}"
      name: trim(city)
posts:
  customer.changed -> null.customer:
    external_id: code
    body:
      code: code
      name: name
`

// nullSink takes everything at once.
type nullSink struct{}

var _ sinks.Sink = nullSink{}

func (nullSink) Entity(name string) (sinks.Entity, error) {
	return sinks.Entity{Name: name, Steps: []string{"upsert"}, CanVerify: true, Horizon: time.Second}, nil
}

func (nullSink) Prepare(_ context.Context, op sinks.Operation, _ string, _ map[string]sinks.Outcome, _ time.Time) (sinks.Intent, *sinks.Outcome) {
	return sinks.Intent{Operation: op, Request: op.Body}, nil
}

func (nullSink) Deliver(_ context.Context, in sinks.Intent) sinks.Outcome {
	return sinks.Outcome{Class: sinks.Applied, Ref: in.ExternalID}
}

func (nullSink) Verify(context.Context, sinks.Intent) sinks.Outcome {
	return sinks.Outcome{Class: sinks.Absent}
}
func (nullSink) Check(context.Context) ([]cdc.Finding, error) { return nil, nil }
func (nullSink) Identity(context.Context) (string, error)     { return "null", nil }
func (nullSink) Close() error                                 { return nil }

// program makes the whole pipeline on the job's store.
func (j job) program(store *checkpoint.Store) (*pipeline.Pipeline, error) {
	m, err := transform.Parse("bench.yaml", []byte(cmp.Or(j.Mapping, benchMapping)))
	if err != nil {
		return nil, err
	}
	carriers, err := transform.NewCarriers(m)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	publishers, err := j.publishers()
	if err != nil {
		return nil, err
	}
	return pipeline.New(pipeline.Options{Store: store, Carriers: carriers,
		Sources: map[string]cdc.Source{"bench": postgres.New(j.postgres(), m.Selections("bench"), log)},
		Codecs:  cdc.Codecs{"pgtext/1": postgres.Codec()}, Sinks: map[string]sinks.Sink{"null": nullSink{}}, Log: log,
		Publishers: publishers, Workers: map[string]int{"hook": hookCalls}})
}

// work runs the pipeline until done says so.
func (j job) work(ctx context.Context, done func(pipeline.Status) bool, after func() error) error {
	store, err := checkpoint.Open(j.Dir, checkpoint.Options{Adopt: j.Adopt})
	if err != nil {
		return err
	}
	if err := store.ClearVerifyFirst(); err != nil {
		return errors.Join(err, store.Close())
	}
	p, err := j.program(store)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return errors.Join(fmt.Errorf("the pipeline ended: %w", err), store.Close())
		case <-tick.C:
		}
		st, err := p.Status(ctx)
		if err != nil {
			cancel()
			return errors.Join(err, <-ended, store.Close())
		}
		if len(st.Exceptions) > 0 {
			cancel()
			return errors.Join(fmt.Errorf("exceptions: %+v, problems: %v", st.Exceptions, st.Problems), <-ended, store.Close())
		}
		if done(st) {
			break
		}
	}
	err = after()
	cancel()
	return errors.Join(err, <-ended, store.Close())
}

// seedEngine makes a store that has read the empty table and streams from the job's slot.
func seedEngine(ctx context.Context, j job) (sample, error) {
	return sample{}, j.work(ctx, func(st pipeline.Status) bool {
		src := st.Sources[0] // one that is still being read holds the changes of the backlog until it is: another way through the program
		return src.Position != "" && src.Confirmed != "" && len(src.Readings) == 0 && st.Journal.Applied == st.Journal.Last
	}, func() error { return nil })
}

// engine drains the backlog through the journal, the projection and the lanes.
func engine(ctx context.Context, j job) (s sample, err error) {
	m := begin()
	err = j.work(ctx, func(st pipeline.Status) bool {
		if st.Sources[0].Changes < uint64(j.Changes) || st.Journal.Applied != st.Journal.Last {
			return false
		}
		for _, l := range st.Lanes {
			if l.Waiting+l.Ready+l.InFlight+l.Unknown > 0 {
				return false
			}
		}
		return true
	}, func() (err error) {
		s, err = m.end(j.Changes)
		return err
	})
	return s, err
}

func (b *pgBench) seed() error {
	j := b.base
	j.Kind, j.Slot, j.Dir = "seed", "waybill_engine", filepath.Join(b.dir, "engine")
	_, err := j.do()
	return err
}

func (b *pgBench) engine(r *report) error {
	var ours, bare, streams []sample
	for i := range b.s.Runs {
		s, err := b.on(b.raw)
		if err != nil {
			return err
		}
		bare = append(bare, s)
		if s, err = b.on(b.ours); err != nil {
			return err
		}
		streams = append(streams, s)
		j := b.base
		j.Kind, j.Adopt, j.Dir = "engine", true, filepath.Join(b.dir, fmt.Sprint("engine-", i))
		if j.Slot, err = b.slot("waybill_engine"); err != nil {
			return err
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(b.dir, "engine"), j.Dir).CombinedOutput(); err != nil {
			return fmt.Errorf("copying the store: %w\n%s", err, out)
		}
		if s, err = j.do(); err != nil {
			return err
		}
		ours = append(ours, s)
		progress("engine: raw %.0f k, waybill %.0f k changes/s", last(bare).rate()/1e3, s.rate()/1e3)
		if err := errors.Join(b.drop(j.Slot), os.RemoveAll(j.Dir)); err != nil {
			return err
		}
	}
	r.compared("engine", "changes/s", "anon < 200 MB", ours, map[string][]sample{"raw coalescing drain": bare}, []string{"raw coalescing drain"})
	r.add("engine: of pg-stream in this run", fmt.Sprintf("%.2f of %s", median(ours).rate()/median(streams).rate(), rate(median(streams).rate(), "changes/s")), "≥ 0.2", sample{})
	return nil
}
