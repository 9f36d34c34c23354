package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"waybill/cdc"
	"waybill/cdc/mysql"
	"waybill/cdc/postgres"
	"waybill/checkpoint"
)

const (
	latencyRate    = 1000 // one-row transactions a second
	latencySeconds = 10
	latencyWriters = 8
)

// latency captures rows that carry the time, in µs, at which their writer sent them, and takes the time when the journal
// has synced them: the writer's commit is inside.
func latency(ctx context.Context, j job) (sample, error) {
	store, err := checkpoint.Open(j.Dir, checkpoint.Options{})
	if err != nil {
		return sample{}, err
	}
	src := j.source()
	m := begin()
	if err := src.Open(ctx, cdc.Position(j.Position)); err != nil {
		return sample{}, errors.Join(err, store.Close())
	}
	fmt.Fprintln(os.Stderr, latencyReady)
	var took []float64
	schemas := map[uint64]*cdc.Schema{}
	codecs := mysql.Codecs()
	codecs["pgtext/1"] = postgres.Codec()
	reader := cdc.NewReader(codecs, func(id uint64) (*cdc.Schema, error) {
		if s := schemas[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("schema %x was not announced", id)
	})
	_, err = drain(ctx, src, store, j.Changes, func(b cdc.Batch) error {
		now := time.Now().UnixMicro()
		for _, s := range b.Schemas {
			schemas[s.ID()] = s
		}
		for reader.Reset(&b); reader.Next(); {
			c := reader.Change()
			v, err := c.New(c.Schema.Column("id"))
			if err != nil {
				return err
			}
			sent, err := strconv.ParseInt(v.Text, 10, 64)
			if err != nil {
				return err
			}
			took = append(took, float64(now-sent/latencyWriters)/1000)
		}
		return reader.Err()
	})
	if err != nil {
		return sample{}, errors.Join(err, src.Close(), store.Close())
	}
	s, err := m.end(len(took))
	slices.Sort(took)
	s.P50, s.P99, s.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return s, errors.Join(err, src.Close(), store.Close())
}

const latencyReady = "bench: capturing"

// measureLatency writes at the rate while a child captures.
func measureLatency(j job, dir string, db *sql.DB, insert string) (sample, error) {
	j.Kind, j.Changes = "latency", latencyRate*latencySeconds
	type result struct {
		s   sample
		err error
	}
	ended := make(chan result, 1)
	go func() {
		s, err := j.inStore(dir)
		ended <- result{s, err}
	}()
	time.Sleep(2 * time.Second) // the child is connected by then; what it missed it would read late, and the figure would be worse
	commit, err := write(db, insert, latencySeconds)
	if err != nil {
		return sample{}, err
	}
	select {
	case r := <-ended:
		r.s.Commit = commit
		return r.s, r.err
	case <-time.After(2 * time.Minute):
		return sample{}, errors.New("the child did not see all rows within two minutes")
	}
}

// write commits one-row transactions on a schedule that does not wait for slow ones, and returns the 99th percentile of what
// the database itself took for one, in ms.
func write(db *sql.DB, insert string, seconds int) (p99 float64, err error) {
	db.SetMaxIdleConns(latencyWriters)
	begun := time.Now().Add(100 * time.Millisecond)
	errs := make([]error, latencyWriters)
	took := make([][]float64, latencyWriters)
	var group sync.WaitGroup
	for w := range latencyWriters {
		group.Go(func() {
			for i := w; i < latencyRate*seconds; i += latencyWriters {
				time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / latencyRate)))
				// The id is the time, made unique by the writer's number.
				sent := time.Now()
				id := sent.UnixMicro()*latencyWriters + int64(w)
				if _, err := db.Exec(insert, id); err != nil {
					errs[w] = err
					return
				}
				took[w] = append(took[w], float64(time.Since(sent).Microseconds())/1000)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return all[len(all)*99/100], nil
}

func (r *report) latency(what string, s sample) {
	r.add(what+": commit to journal at 1,000 tx/s", fmt.Sprintf("p50 %.1f, p99 %.1f, max %.1f ms; the commit alone p99 %.1f", s.P50, s.P99, s.Max, s.Commit), "p99 < 50 ms", s)
}

func (b *pgBench) latency(r *report) error {
	j := b.base
	j.Slot = "waybill_latency"
	prepare := j
	prepare.Kind, prepare.Position = "position", ""
	at, err := prepare.do()
	if err != nil {
		return err
	}
	j.Position = at.Pos
	s, err := measureLatency(j, b.dir, b.DB, "INSERT INTO bench_changes (id, load_no) VALUES ($1, 1)")
	if err != nil {
		return err
	}
	r.latency("PostgreSQL", s)
	return b.drop(j.Slot)
}

func (b *myBench) latency(r *report) error {
	j := b.base
	j.Kind, j.Position = "position", ""
	at, err := j.do()
	if err != nil {
		return err
	}
	j.Position = at.Pos
	s, err := measureLatency(j, b.dir, b.DB, "INSERT INTO bench.bench_changes (id, load_no) VALUES (?, 1)")
	if err != nil {
		return err
	}
	r.latency("MariaDB", s)
	return nil
}
