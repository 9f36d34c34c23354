package checkpoint

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/klauspost/compress/zstd"
)

// A snapshot is a consistent copy of the state in one file: a line of JSON (snapshotHead), then Badger's backup stream,
// compressed with zstd, whose checksum tells a whole file from a part of one.
type snapshotHead struct {
	Format  string    `json:"format"` // "waybill-state"
	Schema  int       `json:"schema"`
	Store   string    `json:"store"`
	Epoch   uint64    `json:"epoch"`
	Applied uint64    `json:"applied"` // the copy holds at least what this entry and the ones before it made
	First   uint64    `json:"first"`   // of the journal
	Last    uint64    `json:"last"`
	Taken   time.Time `json:"taken"`
}

const (
	snapshotFormat = "waybill-state"
	snapshotTime   = "20060102T150405.000Z"
	keptBackups    = 10
)

// snapshot is a snapshot's file.
type snapshot struct {
	path    string
	applied uint64
	taken   time.Time
}

// writeSnapshot copies the state into dir as <prefix>-<applied>-<time>.snap.
func (s *Store) writeSnapshot(dir, prefix string, now time.Time) (snapshot, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return snapshot{}, err
	}
	if err := s.disk.allow(shareState); err != nil {
		return snapshot{}, err
	}
	id, now := s.Identity(), now.UTC()
	head := snapshotHead{Format: snapshotFormat, Schema: schemaVersion, Store: id.ID, Epoch: id.Epoch, Applied: s.Applied().Index,
		First: s.First(), Last: s.Last(), Taken: now}
	path := filepath.Join(dir, fmt.Sprintf("%s-%020d-%s.snap", prefix, head.Applied, now.Format(snapshotTime)))
	err := replaceFile(path, func(w io.Writer) (int64, error) { return 0, s.state.dump(w, head) })
	if err != nil {
		return snapshot{}, fmt.Errorf("writing state snapshot %s: %w", path, err)
	}
	return snapshot{path, head.Applied, now}, nil
}

func (s *state) dump(w io.Writer, head snapshotHead) error {
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10))
	if err != nil {
		return err
	}
	stream := s.db.NewStream()
	stream.NumGo = 1 // each takes 16 MB
	if _, err := stream.Backup(z, 0); err != nil {
		return errors.Join(err, z.Close())
	}
	return z.Close()
}

// listSnapshots returns the snapshots in dir, newest first.
func listSnapshots(dir, prefix string) ([]snapshot, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []snapshot
	for _, e := range entries {
		parts := strings.Split(strings.TrimSuffix(e.Name(), ".snap"), "-")
		if len(parts) != 3 || parts[0] != prefix || !strings.HasSuffix(e.Name(), ".snap") {
			continue
		}
		snap := snapshot{path: filepath.Join(dir, e.Name())}
		if _, err := fmt.Sscanf(parts[1], "%d", &snap.applied); err != nil {
			continue
		}
		if snap.taken, err = time.Parse(snapshotTime, parts[2]); err != nil {
			continue
		}
		list = append(list, snap)
	}
	newestFirst(list)
	return list, nil
}

// loadSnapshot makes a new state in dir from a snapshot of the store.
func loadSnapshot(path, dir, store string, log *slog.Logger) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := bufio.NewReaderSize(f, 64<<10)
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading state snapshot %s: %w", path, err)
	}
	var head snapshotHead
	if err := json.Unmarshal(line, &head); err != nil || head.Format != snapshotFormat {
		return fmt.Errorf("reading state snapshot %s: not a state snapshot", path)
	}
	if head.Schema > schemaVersion {
		return &VersionError{Dir: path, Found: head.Schema, Supported: schemaVersion}
	}
	if head.Store != store {
		return fmt.Errorf("reading state snapshot %s: it belongs to store %s, this is %s", path, head.Store, store)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	db, err := openBadger(dir, log)
	if err != nil {
		return err
	}
	if err := loadInto(db, r); err != nil {
		return errors.Join(fmt.Errorf("loading state snapshot %s: %w", path, err), db.Close())
	}
	return db.Close()
}

func loadInto(db *badger.DB, r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	return db.Load(z, 16)
}

// Backup writes a consistent copy of the state, with the journal's place, and returns its path; Restore reads it. The
// folder is one of the store's backups folder ("reset", "replay"; "" is that folder itself) unless it is absolute. Of the
// files that Backup wrote to a folder the newest ten are kept.
func (s *Store) Backup(folder string) (path string, err error) {
	if err := s.enter(); err != nil {
		return "", err
	}
	defer s.leave()
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(backupsDir(s.dir), folder)
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	snap, err := s.writeSnapshot(folder, "backup", time.Now())
	if err != nil {
		return "", err
	}
	list, err := listSnapshots(folder, "backup")
	if err != nil {
		return snap.path, err
	}
	for _, old := range list[min(len(list), keptBackups):] {
		err = errors.Join(err, removeIfThere(old.path))
	}
	return snap.path, err
}

// Backups lists the backups in the store's own folder, newest first.
func (s *Store) Backups() ([]string, error) {
	list, err := listBackups(s.dir)
	paths := make([]string, len(list))
	for i, snap := range list {
		paths[i] = snap.path
	}
	return paths, err
}

func backupsDir(dir string) string { return filepath.Join(dir, "backups") }

func listBackups(dir string) ([]snapshot, error) {
	folders, err := filepath.Glob(filepath.Join(backupsDir(dir), "*"))
	if err != nil {
		return nil, err
	}
	list, err := listSnapshots(backupsDir(dir), "backup")
	for _, folder := range folders {
		if info, serr := os.Stat(folder); serr != nil || !info.IsDir() {
			continue
		}
		more, lerr := listSnapshots(folder, "backup")
		list, err = append(list, more...), errors.Join(err, lerr)
	}
	newestFirst(list)
	return list, err
}

func newestFirst(list []snapshot) {
	slices.SortFunc(list, func(a, b snapshot) int { return b.taken.Compare(a.taken) })
}
