package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"

	"golang.org/x/sync/errgroup"

	"waybill/cdc"
	"waybill/cdc/mysql"
	"waybill/cdc/postgres"
	"waybill/checkpoint"
)

// job is what a child process does. It travels as its argument, the sample comes back on standard output.
type job struct {
	Kind     string // position, stream, snapshot, raw, latency, seed, engine, outbox, http-sink
	Driver   string // postgres or mariadb
	Host     string
	Port     int
	User     string
	Password string
	Database string
	Slot     string
	Tables   []string
	Position string
	EndPos   string // file:position where a raw drain of MariaDB ends; LSN of PostgreSQL
	Dir      string // of the store
	Changes  int
	Adopt    bool
	Hook     string // address to which events are published; none when empty
	Mapping  string // of the jobs that run the whole pipeline; default benchMapping
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	work := map[string]func(context.Context, job) (sample, error){"position": position, "stream": stream, "snapshot": snapshot,
		"raw": raw, "latency": latency, "seed": seedEngine, "engine": engine, "outbox": outbox, "http-sink": httpSink}[j.Kind]
	if work == nil {
		return fmt.Errorf("no job %q", j.Kind)
	}
	if dir := os.Getenv("BENCH_PROFILE"); dir != "" { // a folder for CPU profiles of each job
		f, err := os.Create(filepath.Join(dir, j.Kind+"-"+j.Driver+".prof"))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	s, err := work(context.Background(), j)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", j.Kind, j.Driver, err)
	}
	if dir := os.Getenv("BENCH_PROFILE"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, j.Kind+"-"+j.Driver+".heap"), heap(), 0o600); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

func heap() []byte {
	var b bytes.Buffer
	_ = pprof.WriteHeapProfile(&b) // a buffer takes everything
	return b.Bytes()
}

// do runs the job in a child process.
func (j job) do() (s sample, err error) {
	text, err := json.Marshal(j)
	if err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	cmd := exec.Command(self, "child", string(text))
	cmd.Env = append(os.Environ(), "GOGC=50", "GOMEMLIMIT=128MiB") // as the daemon sets itself up
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("measuring %s %s: %w", j.Driver, j.Kind, err)
	}
	return s, json.Unmarshal(out, &s)
}

func (j job) selection() []cdc.Selection {
	schema, columns := j.Database, myColumns
	if j.Driver == "postgres" {
		schema, columns = "public", pgColumns
	}
	list := make([]cdc.Selection, len(j.Tables))
	for i, name := range j.Tables {
		list[i] = cdc.Selection{Table: cdc.Table{Schema: schema, Name: name}, Columns: columns}
	}
	return list
}

type database interface {
	cdc.Source
	cdc.Inspector
}

func (j job) source() database {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if j.Driver == "postgres" {
		return postgres.New(j.postgres(), j.selection(), log)
	}
	return mysql.New(mysql.Config{Name: "bench", Flavor: mysql.MariaDB, Host: j.Host, Port: j.Port, User: j.User, Password: j.Password,
		Database: j.Database}, j.selection(), log)
}

func (j job) postgres() postgres.Config {
	return postgres.Config{Name: "bench", Host: j.Host, Port: j.Port, User: j.User, Password: j.Password, Database: j.Database,
		SSLMode: "disable", Slot: j.Slot, Publication: "waybill_bench"}
}

// position opens the source anew and returns where its stream begins, which its first batch says.
func position(ctx context.Context, j job) (sample, error) {
	src := j.source()
	if err := src.Open(ctx, ""); err != nil {
		return sample{}, err
	}
	b, err := src.Next(ctx)
	if err != nil {
		return sample{}, errors.Join(err, src.Close())
	}
	src.Confirm(b.Position)
	return sample{Pos: string(b.Position)}, src.Close()
}

// stream drains the source into a synced journal with the calls of the pipeline's capture: batches that queue up share a sync,
// and only after it the source is confirmed.
func stream(ctx context.Context, j job) (sample, error) {
	store, err := checkpoint.Open(j.Dir, checkpoint.Options{Adopt: j.Adopt})
	if err != nil {
		return sample{}, err
	}
	src := j.source()
	m := begin()
	if err := src.Open(ctx, cdc.Position(j.Position)); err != nil {
		return sample{}, errors.Join(err, store.Close())
	}
	done, err := drain(ctx, src, store, j.Changes, func(cdc.Batch) error { return nil })
	if err != nil {
		return sample{}, errors.Join(err, src.Close(), store.Close())
	}
	s, err := m.end(done)
	return s, errors.Join(err, src.Close(), store.Close())
}

// drain carries batches from the source into the journal until so many changes, whole transactions, are synced.
func drain(ctx context.Context, src cdc.Source, store *checkpoint.Store, changes int, journalled func(cdc.Batch) error) (done int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan cdc.Batch, 4)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		for read := 0; ; {
			b, err := src.Next(gctx)
			if err != nil {
				return err
			}
			read += b.Changes
			select {
			case batches <- b:
			case <-gctx.Done():
				return gctx.Err()
			}
			if read >= changes && !b.More {
				return nil
			}
		}
	})
	group.Go(func() (err error) {
		done, err = synced(gctx, src, store, batches, journalled)
		return err
	})
	if err := group.Wait(); err != nil && !(errors.Is(err, context.Canceled) && done >= changes) {
		return done, err
	}
	return done, nil
}

// synced journals batches until there are no more, those that have queued up with one sync, and returns the number of their changes.
func synced(ctx context.Context, src cdc.Source, store *checkpoint.Store, batches <-chan cdc.Batch, journalled func(cdc.Batch) error) (done int, err error) {
	for {
		var waiting []cdc.Batch
		select {
		case b, ok := <-batches:
			if !ok {
				return done, ctx.Err()
			}
			waiting = append(waiting, b)
		case <-ctx.Done():
			return done, ctx.Err()
		}
		for more, bytes := true, len(waiting[0].Data); more && bytes < 4<<20; {
			select {
			case next, ok := <-batches:
				if more = ok; ok {
					waiting, bytes = append(waiting, next), bytes+len(next.Data)
				}
			default:
				more = false
			}
		}
		n, err := journal(ctx, store, waiting)
		if err != nil {
			return done, err
		}
		done += n
		if last := waiting[len(waiting)-1]; last.Position != "" {
			src.Confirm(last.Position)
		}
		for i := range waiting {
			if err := journalled(waiting[i]); err != nil {
				return done, err
			}
			waiting[i].Free()
		}
	}
}

func journal(ctx context.Context, store *checkpoint.Store, group []cdc.Batch) (changes int, err error) {
	entries := make([]checkpoint.Entry, len(group))
	for i := range group {
		payload, err := group[i].Stored()
		if err != nil {
			return 0, err
		}
		entries[i] = checkpoint.Entry{Kind: checkpoint.Rows, Payload: payload}
		changes += group[i].Changes
	}
	_, err = store.Append(ctx, entries...)
	return changes, err
}

// raw reads the stream with a bare reader that looks at nothing but the frames: the best that the server can send.
func raw(ctx context.Context, j job) (sample, error) {
	m := begin()
	read := rawPostgres
	if j.Driver != "postgres" {
		read = rawMariaDB
	}
	if err := read(ctx, j); err != nil && !errors.Is(err, io.EOF) {
		return sample{}, err
	}
	return m.end(j.Changes)
}
