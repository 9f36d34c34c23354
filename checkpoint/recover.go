package checkpoint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// recoverState opens the state that belongs to the journal. One that can't be opened, lacks updates after a crash of the
// machine, or ends before the journal begins is put aside (state.damaged) and made again from the newest snapshot that the
// journal continues, or from nothing if the journal is whole; the projector then applies the rest. A state that knows more
// than the journal is never used: the journal lost synced entries, and then only a person can say what is true.
func recoverState(dir, store string, j *journal, verify bool, log *slog.Logger) (*state, error) {
	if err := removeLeftovers(dir); err != nil {
		return nil, err
	}
	s, err := openState(stateDir(dir), verify, log)
	if err == nil {
		if err = fits(*s.applied.Load(), j); err == nil {
			return s, nil
		}
		if cerr := s.close(); cerr != nil {
			return nil, errors.Join(err, cerr)
		}
		if !errors.Is(err, errStateDamaged) {
			return nil, err
		}
	}
	log.Error("the state can't be used and is made again from the journal", "err", err)
	if aerr := putAside(dir); aerr != nil {
		return nil, errors.Join(err, aerr)
	}
	return rebuildState(dir, store, j, err, log)
}

// fits checks the state's place against the journal.
func fits(a Applied, j *journal) error {
	first, last := j.first.Load(), j.last.Load()
	if a.Index > last || a.Index == last && a.Ordinal > 0 {
		return fmt.Errorf("the state has applied entry %d/%d, but the journal ends at %d: synced entries are gone, by a disk that did not "+
			"keep what it confirmed, or by hand; restore the journal, or the whole store from a backup and adopt it", a.Index, a.Ordinal, last)
	}
	if a.Index+1 < first {
		return fmt.Errorf("%w: it ends at entry %d and the journal begins at %d", errStateDamaged, a.Index, first)
	}
	return nil
}

func putAside(dir string) error {
	aside := filepath.Join(dir, "state.damaged")
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(stateDir(dir), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

func rebuildState(dir, store string, j *journal, cause error, log *slog.Logger) (*state, error) {
	list, err := candidates(dir)
	if err != nil {
		return nil, err
	}
	for _, snap := range list {
		if snap.applied+1 < j.first.Load() || snap.applied > j.last.Load() {
			continue
		}
		if err := swapIn(dir, snap.path, store, log); err != nil {
			log.Error("a state snapshot can't be used", "path", snap.path, "err", err)
			cause = errors.Join(cause, err)
			continue
		}
		log.Info("the state was restored", "snapshot", snap.path, "applied", snap.applied, "last", j.last.Load())
		return openState(stateDir(dir), false, log)
	}
	if j.first.Load() == 1 {
		return openState(stateDir(dir), false, log)
	}
	return nil, fmt.Errorf("%w; the journal begins at entry %d and no state snapshot reaches up to it: restore the whole store "+
		"from a backup and adopt it, or start with an empty one", cause, j.first.Load())
}

// removeLeftovers removes what a crash left half written.
func removeLeftovers(dir string) error {
	err := errors.Join(os.RemoveAll(filepath.Join(dir, "state.new")), removeSides(dir))
	for _, pattern := range []string{"snapshots/*.tmp", "backups/*.tmp", "backups/*/*.tmp", "*.tmp"} {
		names, gerr := filepath.Glob(filepath.Join(dir, pattern))
		err = errors.Join(err, gerr)
		for _, name := range names {
			err = errors.Join(err, removeIfThere(name))
		}
	}
	return err
}

// candidates lists the snapshots and backups of the state, newest first.
func candidates(dir string) ([]snapshot, error) {
	daily, err := listSnapshots(snapshotsDir(dir), "state")
	backups, berr := listBackups(dir)
	list := slices.Concat(daily, backups)
	newestFirst(list)
	return list, errors.Join(err, berr)
}

// swapIn replaces the state by what a snapshot holds.
func swapIn(dir, path, store string, log *slog.Logger) error {
	fresh := filepath.Join(dir, "state.new")
	if err := loadSnapshot(path, fresh, store, log); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.RemoveAll(stateDir(dir)); err != nil {
		return err
	}
	if err := os.Rename(fresh, stateDir(dir)); err != nil {
		return err
	}
	return syncDir(dir)
}

// Restore replaces the state of the closed store in dir by the one that Backup wrote to path. The journal stays, so the
// projector applies again what came after. The replaced state is kept as state.damaged.
func Restore(dir, path string, o Options) (err error) {
	o = o.withDefaults()
	l, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release(false)) }()
	id, err := loadIdentity(dir, l, false)
	if err != nil {
		return err
	}
	fresh := filepath.Join(dir, "state.new")
	if err := loadSnapshot(path, fresh, id.ID, o.Log); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := putAside(dir); err != nil {
		return err
	}
	if err := os.Rename(fresh, stateDir(dir)); err != nil {
		return err
	}
	return syncDir(dir)
}
