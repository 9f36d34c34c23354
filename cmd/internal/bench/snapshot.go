package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/pipeline"
)

// rowTables names the tables that are read beside the stream: as many as the daemon reads at once when nothing is configured.
func rowTables() (list []string) {
	for i := range pipeline.DefaultReadings().Workers {
		list = append(list, fmt.Sprint("bench_rows_", i))
	}
	return list
}

// together runs the clients of a reference at once, one for each table: as many as the workers that it is compared with.
func together(changes int, client func(table string) (sample, error)) (sample, error) {
	began := time.Now()
	tables := rowTables()
	samples, errs := make([]sample, len(tables)), make([]error, len(tables))
	var group sync.WaitGroup
	for i, table := range tables {
		group.Go(func() { samples[i], errs[i] = client(table) })
	}
	group.Wait()
	s := sample{Changes: changes, Seconds: time.Since(began).Seconds()}
	for _, one := range samples {
		s.CPU += one.CPU
	}
	return s, errors.Join(errs...)
}

// tables reads tables beside the stream with the calls of the pipeline's reader.
type tables struct {
	src     cdc.Source
	batches chan cdc.Batch
	landed  map[cdc.Table]chan bool // a chunk of the table is in the journal

	mu    sync.Mutex
	at    cdc.Position  // of the stream
	moved chan struct{} // closed and replaced when it moves
}

// snapshot reads the job's tables into a synced journal, a worker for each, while the stream goes on. The time begins when the
// source is open and has read a row: behind a log that does not end with a commit, the first chunk of a session to MariaDB waits
// a second, whatever there is to read.
func snapshot(ctx context.Context, j job) (sample, error) {
	store, err := checkpoint.Open(j.Dir, checkpoint.Options{Adopt: j.Adopt})
	if err != nil {
		return sample{}, err
	}
	n := &tables{src: j.source(), batches: make(chan cdc.Batch, 4), landed: map[cdc.Table]chan bool{}, moved: make(chan struct{})}
	if err := n.src.Open(ctx, ""); err != nil {
		return sample{}, errors.Join(err, store.Close())
	}
	s, err := n.run(ctx, j.selection(), store)
	if err == nil && s.Changes != j.Changes {
		err = fmt.Errorf("%d rows are in the journal, want %d", s.Changes, j.Changes)
	}
	return s, errors.Join(err, n.src.Close(), store.Close())
}

func (n *tables) run(ctx context.Context, selection []cdc.Selection, store *checkpoint.Store) (s sample, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, sel := range selection {
		n.landed[sel.Table] = make(chan bool, 1)
	}
	done := 0
	session, sctx := errgroup.WithContext(ctx)
	session.Go(func() error { return n.stream(sctx) })
	session.Go(func() (err error) {
		done, err = synced(sctx, n.src, store, n.batches, func(b cdc.Batch) error {
			if b.Chunk != nil {
				n.landed[b.Chunk.Table] <- true
			}
			return nil
		})
		return err
	})
	_, err = n.src.ReadChunk(sctx, cdc.ChunkRequest{Table: selection[0].Table, Rows: 1})
	m := begin()
	workers, wctx := errgroup.WithContext(sctx)
	for _, sel := range selection {
		workers.Go(func() error { return n.read(wctx, sel.Table) })
	}
	err = errors.Join(err, workers.Wait())
	s, failed := m.end(0)
	cancel()
	if ended := session.Wait(); !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	s.Changes = done
	return s, errors.Join(err, failed)
}

func (n *tables) stream(ctx context.Context) error {
	for {
		b, err := n.src.Next(ctx)
		if err != nil {
			return err
		}
		if err := n.put(ctx, b); err != nil {
			return err
		}
		if b.Position == "" {
			continue
		}
		n.mu.Lock()
		n.at = b.Position
		close(n.moved)
		n.moved = make(chan struct{})
		n.mu.Unlock()
	}
}

func (n *tables) put(ctx context.Context, b cdc.Batch) error {
	select {
	case n.batches <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read reads a table, one chunk after the other: each is in the journal before the next one is read.
func (n *tables) read(ctx context.Context, table cdc.Table) error {
	for after, end := "", false; !end; {
		c, err := n.src.ReadChunk(ctx, cdc.ChunkRequest{Table: table, After: after, Rows: pipeline.DefaultReadings().ChunkRows})
		if err != nil {
			return err
		}
		if err := n.pass(ctx, c.High); err != nil {
			return err
		}
		if err := n.put(ctx, c.Batch); err != nil {
			return err
		}
		select {
		case <-n.landed[table]:
		case <-ctx.Done():
			return ctx.Err()
		}
		after, end = c.Batch.Chunk.After, c.Batch.Chunk.End
	}
	return nil
}

// pass waits until the stream has passed what a chunk's rows include.
func (n *tables) pass(ctx context.Context, high cdc.Position) error {
	for {
		n.mu.Lock()
		at, moved := n.at, n.moved
		n.mu.Unlock()
		if n.src.Covers(at, high) {
			return nil
		}
		n.src.Nudge()
		select {
		case <-moved:
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
