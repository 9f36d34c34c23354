package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

func snapshotsDir(dir string) string { return filepath.Join(dir, "snapshots") }

// Trim makes room: it unlinks the journal's oldest files as long as all their entries are applied, lie below keepFrom (the
// first part of an open transaction, the oldest undelivered entry; 0 keeps all), are in a state snapshot, and are older
// than MaxAge, or the journal is near MaxBytes, or the disk near its floor. Before, it takes the day's state snapshot; one
// a day is kept for as long as the journal goes back to it. Call it every minute or so, and on ErrJournalFull.
func (s *Store) Trim(keepFrom uint64) (removed uint64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	now := time.Now()
	cut, err := s.cutFor(keepFrom, now)
	if err != nil {
		return 0, err
	}
	covered, err := s.cover(cut, now)
	if covered < cut {
		// The snapshot failed: what an older one covers may still go.
		cut, err = s.boundary(covered, err)
	}
	if cut > s.First() {
		n, cerr := s.journal.cut(cut)
		removed, err = n, errors.Join(err, cerr)
	}
	return removed, errors.Join(err, s.dropSnapshots())
}

// cutFor returns the base of the first segment file that has to stay.
func (s *Store) cutFor(keepFrom uint64, now time.Time) (uint64, error) {
	spans, err := s.journal.set.spans()
	if err != nil {
		return 0, err
	}
	free, err := s.disk.available()
	if err != nil {
		return 0, err
	}
	// The last entry stays: raft-wal takes an index from the entries it has.
	limit := min(keepFrom, s.Applied().Index+1, s.Last())
	bytes := s.journal.set.bytes()
	room := min(2*int64(s.options.Segment), s.options.MaxBytes/2)
	cut := s.First()
	for i := 0; i+1 < len(spans); i++ {
		next := spans[i+1].base
		if next > limit {
			break
		}
		if next > cut {
			if bytes+room <= s.options.MaxBytes && free >= 2*s.options.Floor {
				last, err := s.journal.read(next - 1)
				if err != nil {
					return 0, err
				}
				if now.Sub(last.At) <= s.options.MaxAge {
					break
				}
			}
			cut = next
		}
		bytes -= spans[i].bytes
		free += spans[i].bytes
	}
	return cut, nil
}

// boundary returns the base of the last segment file that begins at or below index.
func (s *Store) boundary(index uint64, err error) (uint64, error) {
	spans, serr := s.journal.set.spans()
	cut := s.First()
	for _, span := range spans {
		if span.base <= index {
			cut = max(cut, span.base)
		}
	}
	return cut, errors.Join(err, serr)
}

// cover sees to it that a state snapshot lets the journal begin at cut, and that there is one of the day. It returns the
// first entry that would have to stay in the journal.
func (s *Store) cover(cut uint64, now time.Time) (uint64, error) {
	list, err := listSnapshots(snapshotsDir(s.dir), "state")
	if err != nil {
		return 0, err
	}
	if len(list) > 0 && list[0].applied+1 >= cut && sameDay(list[0].taken, now) {
		return list[0].applied + 1, nil
	}
	snap, err := s.writeSnapshot(snapshotsDir(s.dir), "state", now)
	if err != nil {
		if len(list) == 0 {
			return 0, fmt.Errorf("trimming the journal needs a state snapshot: %w", err)
		}
		return list[0].applied + 1, err
	}
	return snap.applied + 1, nil
}

// dropSnapshots removes snapshots that the journal no longer continues, and all but the newest of each day.
func (s *Store) dropSnapshots() error {
	list, err := listSnapshots(snapshotsDir(s.dir), "state")
	if err != nil {
		return err
	}
	for i, snap := range list {
		if i > 0 && (snap.applied+1 < s.First() || sameDay(snap.taken, list[i-1].taken)) {
			err = errors.Join(err, removeIfThere(snap.path))
		}
	}
	return err
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Format(time.DateOnly) == b.UTC().Format(time.DateOnly)
}
