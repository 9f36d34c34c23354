package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"golang.org/x/sys/unix"
)

// journal is the append-only log of entries: a raft-wal without the raft. One goroutine, the committer, writes to it; any
// may read.
type journal struct {
	dir    string
	size   int // of a segment file
	log    *slog.Logger
	disk   *disk
	set    *segments
	onSync func(last uint64)
	meta   *metaStore // which raft-wal opens and does not close
	wal    atomic.Pointer[wal.WAL]
	first  atomic.Uint64
	last   atomic.Uint64 // synced
	stuck  error         // the committer's: why the WAL must be opened again before it takes anything
	retry  time.Time     // the committer's: not before then
	pause  time.Duration // the committer's: between attempts

	swap sync.Mutex // held while the WAL is opened again, and while it is cut
	mu   sync.Mutex
	more chan struct{} // closed when last rises
}

func openJournal(dir string, clean bool, o Options, d *disk, synced func(time.Duration)) (*journal, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	j := &journal{dir: dir, size: o.Segment, log: o.Log, disk: d, set: newSegments(clean, synced), onSync: o.OnSync, more: make(chan struct{})}
	if err := j.open(); err != nil {
		return nil, err
	}
	return j, nil
}

// open opens the WAL, the first time or again.
func (j *journal) open() error {
	meta := &metaStore{set: j.set}
	w, err := wal.Open(j.dir, wal.WithMetaStore(meta), wal.WithSegmentSize(j.size), wal.WithLogger(hclog.NewNullLogger()),
		wal.WithSegmentFiler(&filer{segment.NewFiler(j.dir, j.set), j.log}))
	if err != nil {
		err = errors.Join(err, meta.Close())
	}
	switch {
	case errors.Is(err, unix.ENOSPC):
		return j.disk.full(err)
	case errors.Is(err, wal.ErrCorrupt) && !errors.Is(err, ErrCorrupt):
		return fmt.Errorf("opening journal %s: %w: %w", j.dir, ErrCorrupt, err)
	case err != nil:
		return fmt.Errorf("opening journal %s: %w", j.dir, err)
	}
	first, ferr := w.FirstIndex()
	last, lerr := w.LastIndex()
	err = errors.Join(ferr, lerr)
	if acked := j.last.Load(); err == nil && acked != 0 && last != acked {
		err = fmt.Errorf("%w: it ends at entry %d after an error, but %d was acknowledged", ErrCorrupt, last, acked)
	}
	if err != nil {
		return errors.Join(err, w.Close(), meta.Close())
	}
	j.meta = meta
	j.wal.Store(w)
	j.first.Store(max(first, 1))
	j.last.Store(last)
	return nil
}

func (j *journal) close() error { return errors.Join(j.wal.Load().Close(), j.meta.Close()) }

// store writes a group and syncs it. It is called by the committer alone. After an error nothing of the group is in the
// journal.
func (j *journal) store(group []*raft.Log) error {
	if err := j.unstick(); err != nil {
		return err
	}
	err := j.wal.Load().StoreLogs(group)
	if err == nil {
		last := group[len(group)-1].Index
		if j.onSync != nil {
			j.onSync(last)
		}
		j.advance(last)
		return nil
	}
	j.stuck = j.explain(err)
	j.log.Error("writing to the journal failed", "err", j.stuck)
	return j.stuck
}

// explain finds the cause of a failed append: raft-wal calls the segment sealed when it could not make the next one.
func (j *journal) explain(err error) error {
	rotated, failed := j.set.errs()
	if failed != nil {
		return fmt.Errorf("syncing the journal: %w: stop, check the disk, and start again", failed)
	}
	if errors.Is(err, wal.ErrSealed) && rotated != nil {
		err = rotated
	}
	if errors.Is(err, unix.ENOSPC) {
		return j.disk.full(err)
	}
	return fmt.Errorf("appending to the journal: %w", err)
}

// unstick opens the WAL again after an error, when there is space for a file, and ever less often while that fails. Until
// it succeeds the old one serves the readers. After a failed sync it never does: only a restart may trust the file again.
func (j *journal) unstick() error {
	if j.stuck == nil {
		return nil
	}
	if _, failed := j.set.errs(); failed != nil || time.Now().Before(j.retry) {
		return j.stuck
	}
	free, err := j.disk.available()
	if err != nil || free < int64(j.size) {
		return errors.Join(j.stuck, err)
	}
	j.pause = min(max(2*j.pause, sampleEvery), time.Minute)
	j.retry = time.Now().Add(j.pause)
	j.set.clean = false
	j.swap.Lock()
	defer j.swap.Unlock()
	old := j.wal.Load()
	if err := j.meta.Close(); err != nil { // it holds a lock; the old WAL needs it for writing alone
		return err
	}
	if err := j.open(); err != nil {
		j.stuck = err
		return err
	}
	j.stuck, j.pause = nil, 0
	j.log.Info("the journal is writable again", "last", j.last.Load())
	return old.Close()
}

func (j *journal) advance(last uint64) {
	j.last.Store(last)
	j.mu.Lock()
	close(j.more)
	j.more = make(chan struct{})
	j.mu.Unlock()
}

// wait returns when last is above after.
func (j *journal) wait(ctx context.Context, after uint64, closed <-chan struct{}) error {
	for {
		j.mu.Lock()
		more := j.more
		j.mu.Unlock()
		if j.last.Load() > after {
			return nil
		}
		select {
		case <-more:
		case <-closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *journal) read(index uint64) (Entry, error) {
	if index < j.first.Load() {
		return Entry{}, fmt.Errorf("reading entry %d: %w: the journal begins at %d", index, ErrTrimmed, j.first.Load())
	}
	if last := j.last.Load(); index > last {
		return Entry{}, fmt.Errorf("reading entry %d: the journal ends at %d", index, last)
	}
	var l raft.Log
	for {
		w := j.wal.Load()
		err := w.GetLog(index, &l)
		switch {
		case err == nil:
			e, err := unseal(&l, index)
			if err != nil {
				return Entry{}, fmt.Errorf("reading entry %d: %w", index, err)
			}
			return e, nil
		case errors.Is(err, wal.ErrClosed) && j.wal.Load() != w:
			continue // opened again meanwhile
		case errors.Is(err, wal.ErrNotFound) && index < j.first.Load():
			return Entry{}, fmt.Errorf("reading entry %d: %w", index, ErrTrimmed)
		case errors.Is(err, wal.ErrClosed):
			return Entry{}, ErrClosed
		case errors.Is(err, wal.ErrCorrupt) && !errors.Is(err, ErrCorrupt):
			return Entry{}, fmt.Errorf("reading entry %d: %w: %w", index, ErrCorrupt, err)
		default:
			return Entry{}, fmt.Errorf("reading entry %d: %w", index, err)
		}
	}
}

// cut removes the entries below first, which must be the base of a segment.
func (j *journal) cut(first uint64) (uint64, error) {
	j.swap.Lock()
	defer j.swap.Unlock()
	old := j.first.Load()
	if first <= old {
		return 0, nil
	}
	j.first.Store(first) // before the files go, so that a reader learns why
	if err := j.wal.Load().DeleteRange(old, first-1); err != nil {
		j.first.Store(old)
		return 0, fmt.Errorf("trimming the journal: %w", err)
	}
	return first - old, nil
}

func journalDir(dir string) string { return filepath.Join(dir, "journal") }
