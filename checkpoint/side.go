package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// Base is where a state can begin that is made again: a snapshot of the state, or, without a path, the empty state before
// the first entry of a journal that is whole.
type Base struct {
	Path    string
	Applied uint64    // it holds what this entry and those before it made, or more
	Taken   time.Time // UTC; zero of the empty state
}

// Bases lists the places from which the journal leads to the present state, the earliest first. There is none when the journal
// was trimmed and no snapshot reaches its beginning.
func (s *Store) Bases() ([]Base, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	list, err := candidates(s.dir)
	if err != nil {
		return nil, err
	}
	var bases []Base
	if s.First() == 1 {
		bases = append(bases, Base{})
	}
	for _, snap := range slices.Backward(list) {
		if snap.applied+1 >= s.First() && snap.applied <= s.Last() {
			bases = append(bases, Base{snap.path, snap.applied, snap.taken})
		}
	}
	return bases, nil
}

// Side is a second state of a store's journal, in a folder of its own that Close removes. The journal, the live state and who
// reads them do not notice it. One goroutine uses it. While it is open it takes about as much disk as the live state, and it
// stops with *FloorError where capture would; a journal that is trimmed meanwhile ends it with ErrTrimmed.
type Side struct {
	store *Store
	dir   string
	state *state
	until atomic.Uint64 // last entry of the journal that it sees
	extra []Entry       // what follows behind it in this state alone
}

// Side opens a side state that begins at the base.
func (s *Store) Side(from Base) (*Side, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.disk.allow(shareRows); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "side-")
	if err != nil {
		return nil, fmt.Errorf("making a side state: %w", err)
	}
	d := &Side{store: s, dir: dir}
	d.until.Store(math.MaxUint64)
	if d.state, err = s.sideState(filepath.Join(dir, "state"), from); err != nil {
		return nil, errors.Join(fmt.Errorf("making a side state: %w", err), os.RemoveAll(dir))
	}
	return d, nil
}

func (s *Store) sideState(dir string, from Base) (*state, error) {
	if from.Path != "" {
		s.keeping.Lock() // so that Trim does not remove the snapshot meanwhile
		err := loadSnapshot(from.Path, dir, s.Identity().ID, s.options.Log)
		s.keeping.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return openState(dir, false, s.options.Log)
}

// Until lets the side state see the journal up to the entry, and no further.
func (d *Side) Until(index uint64) { d.until.Store(index) }

// Extend puts an entry behind the last one that the side state sees: only it will ever know of it.
func (d *Side) Extend(e Entry) {
	e.Index = d.Last() + 1
	if len(d.extra) == 0 {
		d.Until(d.Last())
	}
	d.extra = append(d.extra, e)
}

// Last returns the last entry that the side state may apply.
func (d *Side) Last() uint64 { return d.seen() + uint64(len(d.extra)) }

func (d *Side) seen() uint64 { return min(d.until.Load(), d.store.Last()) }

// Read returns an entry of the journal, or one of Extend.
func (d *Side) Read(index uint64) (Entry, error) {
	if n := d.seen(); index > n && index <= d.Last() {
		return d.extra[index-n-1], nil
	}
	return d.store.Read(index)
}

// Wait returns when there is an entry after the given one.
func (d *Side) Wait(ctx context.Context, after uint64) error { return d.store.Wait(ctx, after) }

// View is Store.View of the side state.
func (d *Side) View(fn func(*Txn) error) error { return d.state.view(fn) }

// Project is Store.Project of the side state.
func (d *Side) Project(fn func(*Txn) (Applied, error)) error {
	if err := d.store.disk.allow(shareRows); err != nil {
		return err
	}
	return d.state.project(d.Last, fn)
}

// Applied returns the place of the last Project.
func (d *Side) Applied() Applied { return *d.state.applied.Load() }

// Close ends the side state and removes it from the disk.
func (d *Side) Close() error { return errors.Join(d.state.close(), os.RemoveAll(d.dir)) }

// removeSides removes the side states of a process that was killed.
func removeSides(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "side-*"))
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}
