package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// segments is the file system that raft-wal writes its segment files to. It keeps their sizes, times their syncs, and
// repairs the last file before raft-wal recovers it.
type segments struct {
	*fs.FS
	synced func(time.Duration) // after each sync
	clean  bool                // the journal was closed in order: nothing in it can be torn

	mu      sync.Mutex
	sizes   map[string]int64 // by file name; of the last file what is written
	rotated error            // why the last segment could not be made; raft-wal only logs it
	failed  error            // a sync failed: what the page cache holds can't be trusted any more
}

func newSegments(clean bool, synced func(time.Duration)) *segments {
	return &segments{FS: fs.New(), clean: clean, synced: synced, sizes: map[string]int64{}}
}

// ListDir forgets the sizes of before and takes those of the directory; raft-wal calls it once, when it opens.
func (s *segments) ListDir(dir string) ([]string, error) {
	names, err := s.FS.ListDir(dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sizes)
	for _, name := range names {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		s.sizes[name] = info.Size()
	}
	return names, nil
}

// Create allocates a new segment file. A file that could not be allocated is removed again.
func (s *segments) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := s.FS.Create(dir, name, size)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotated = err
	if err != nil {
		if !errors.Is(err, os.ErrExist) {
			err = errors.Join(err, removeIfThere(filepath.Join(dir, name)))
		}
		return nil, err
	}
	s.sizes[name] = 0
	return &segmentFile{WritableFile: f, set: s, dir: dir, name: name}, nil
}

// OpenWriter repairs the last segment file and opens it.
func (s *segments) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := s.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	end, err := repairTail(path, s.clean)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("recovering %s: %w", path, err), f.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[name] = end
	return &segmentFile{WritableFile: f, set: s, dir: dir, name: name}, nil
}

// Delete unlinks a segment file.
func (s *segments) Delete(dir, name string) error {
	err := s.FS.Delete(dir, name)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		s.mu.Lock()
		delete(s.sizes, name)
		s.mu.Unlock()
	}
	return err
}

// bytes returns how much the segments hold: whole files, and what is written of the last.
func (s *segments) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum int64
	for _, n := range s.sizes {
		sum += n
	}
	return sum
}

// segmentSpan is one segment file: its first index and its bytes.
type segmentSpan struct {
	base  uint64
	bytes int64
}

// spans returns the segment files in order. The last is the one being written.
func (s *segments) spans() ([]segmentSpan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spans := make([]segmentSpan, 0, len(s.sizes))
	for name, n := range s.sizes {
		var base, id uint64
		if _, err := fmt.Sscanf(name, "%020d-%016x.wal", &base, &id); err != nil {
			return nil, fmt.Errorf("%w: segment file name %q", ErrCorrupt, name)
		}
		spans = append(spans, segmentSpan{base, n})
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].base < spans[j].base })
	return spans, nil
}

// errs returns why the last segment could not be made, and which sync failed.
func (s *segments) errs() (rotated, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rotated, s.failed
}

// segmentFile is one segment file that is being written.
type segmentFile struct {
	types.WritableFile
	set       *segments
	dir, name string
	written   int64 // offset of the last write
}

// WriteAt writes one group.
func (f *segmentFile) WriteAt(p []byte, off int64) (int, error) {
	f.written = off
	n, err := f.WritableFile.WriteAt(p, off)
	f.set.mu.Lock()
	if end := off + int64(n); end > f.set.sizes[f.name] {
		f.set.sizes[f.name] = end
	}
	f.set.mu.Unlock()
	return n, err
}

// Sync syncs the file. After a failed sync the kernel may show pages that never reached the disk, so the group is cut
// off again: what was not acknowledged shall not be there after a restart, and the journal stays shut until then.
func (f *segmentFile) Sync() error {
	start := time.Now()
	err := f.WritableFile.Sync()
	if err != nil {
		err = errors.Join(err, os.Truncate(filepath.Join(f.dir, f.name), f.written))
		f.set.mu.Lock()
		f.set.failed = err
		f.set.mu.Unlock()
		return err
	}
	f.set.synced(time.Since(start))
	return nil
}

// metaStore is raft-wal's list of segments, in a bbolt file.
type metaStore struct {
	metadb.BoltMetaDB
	set *segments
}

// CommitState saves the list.
func (m *metaStore) CommitState(state types.PersistentState) error {
	err := m.BoltMetaDB.CommitState(state)
	m.set.mu.Lock()
	m.set.rotated = err
	m.set.mu.Unlock()
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
