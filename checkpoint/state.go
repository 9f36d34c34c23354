package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/ristretto/v2/z"
)

// Keys of the store's own begin with a zero byte, which no bucket name may hold.
const (
	keyApplied = "\x00applied" // index, ordinal, number of the update: 8 bytes each, little endian
	keyRing    = "\x00ring"    // + number of the update modulo ringSize, 4 bytes → its number
)

const (
	ringSize  = 8192
	syncEvery = 1024 // updates between syncs of Badger

	memTable = 8 << 20
	maxValue = 512 << 10
	maxKey   = 4 << 10
	valueLog = 8 << 20
	indexMem = 32 << 20 // indexes and filters of the tables: 2 % of the state's size

	// A table is built in memory of twice its size, which doubles when that is too small and goes back to a pool that all builders
	// share; while files are synced a dozen are at work. A memory table on its way to level 0 always makes one grow: from 4 MiB
	// to 12, from 8 to 24. A value that is longer than a block takes three times its room.
	tableSize = 2 << 20
	blockSize = 64 << 10
	openTries = 3
)

// state is the keyed state in Badger, a view of the journal. Badger does not sync each commit: the journal is the truth,
// and what a crash of the machine takes away is applied again.
type state struct {
	db       *badger.DB
	maxBytes int64
	maxCount int64

	mu      sync.Mutex // one Update at a time
	number  uint64     // of the last update
	recent  recent     // of the updates before
	applied atomic.Pointer[Applied]
}

func stateDir(dir string) string { return filepath.Join(dir, "state") }

// openBadger opens the database in dir. A process killed between creating and sizing a memtable's file leaves an empty file
// over which Badger v4.9.6 fails ("Create a new file") and leaks its goroutines; the next time it succeeds.
func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	o := badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithSyncWrites(false).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false).
		WithCompression(options.None).
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBaseTableSize(tableSize).
		WithBlockSize(blockSize).
		WithBlockCacheSize(0). // tables are mapped, the page cache does it
		WithIndexCacheSize(indexMem).
		WithValueThreshold(maxValue + 1).
		WithValueLogFileSize(valueLog).
		WithMetricsEnabled(false)
	o.NumGoroutines, o.TableSizeMultiplier = 2, 1
	err := removeEmptyTables(dir)
	if err != nil {
		return nil, err
	}
	for range openTries {
		var db *badger.DB
		if db, err = badger.Open(o); err == nil {
			return db, nil
		}
		if !strings.Contains(err.Error(), z.NewFile.Error()) {
			break
		}
	}
	return nil, fmt.Errorf("opening the state in %s: %w", dir, err)
}

func removeEmptyTables(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	for _, name := range names {
		if info, serr := os.Stat(name); serr != nil {
			err = errors.Join(err, serr)
		} else if info.Size() == 0 {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// openState opens the state in dir. With verify it also proves that no update is missing below the last one.
func openState(dir string, verify bool, log *slog.Logger) (*state, error) {
	db, err := openBadger(dir, log)
	if err != nil {
		return nil, err
	}
	s := &state{db: db, recent: newRecent(), maxBytes: db.MaxBatchSize(), maxCount: db.MaxBatchCount()}
	err = db.View(func(txn *badger.Txn) error {
		raw, err := getCopy(txn, keyApplied)
		if err != nil {
			return err
		}
		if raw == nil {
			s.applied.Store(&Applied{})
			return nil
		}
		if len(raw) != 24 {
			return fmt.Errorf("%w: the state's place has %d bytes", errStateDamaged, len(raw))
		}
		s.applied.Store(&Applied{binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:])})
		s.number = binary.LittleEndian.Uint64(raw[16:])
		if verify {
			return s.verify(txn)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// errStateDamaged says that the state has to be made again from a snapshot and the journal.
var errStateDamaged = errors.New("the state is damaged")

// verify proves that the last ringSize updates are all there. After a crash of the machine Badger may have lost pages of
// an older memory table and kept a newer one; each update writes its number into a ring of keys in its own transaction,
// so a lost update is a gap. Older updates were synced: see syncEvery.
func (s *state) verify(txn *badger.Txn) error {
	for n := s.number; n > 0 && n+ringSize > s.number; n-- {
		raw, err := getCopy(txn, ringKey(n))
		if err != nil {
			return err
		}
		if len(raw) != 8 || binary.LittleEndian.Uint64(raw) != n {
			return fmt.Errorf("%w: update %d of %d is missing", errStateDamaged, n, s.number)
		}
	}
	return nil
}

func ringKey(number uint64) string {
	return string(binary.BigEndian.AppendUint32([]byte(keyRing), uint32(number%ringSize)))
}

func getCopy(txn *badger.Txn, key string) ([]byte, error) {
	item, err := txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// view runs fn on the present state.
func (s *state) view(fn func(*Txn) error) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return fn(&Txn{read: txn, state: s})
}

// project runs fn and commits what it wrote together with the place that it returns, or nothing. No place is above last.
func (s *state) project(last func() uint64, fn func(*Txn) (Applied, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	read := s.db.NewTransaction(false)
	defer read.Discard()
	t := &Txn{read: read, state: s, writes: map[string]map[string]write{}}
	defer func() { t.done = true }()
	a, err := fn(t)
	if err != nil {
		return err
	}
	if err := follows(*s.applied.Load(), a, last()); err != nil {
		return err
	}
	if err := s.commit(a, t); err != nil {
		s.recent = newRecent() // nobody knows what is there now
		return fmt.Errorf("updating the state to entry %d: %w", a.Index, err)
	}
	s.recent.committed(t.writes)
	s.number++
	s.applied.Store(&a)
	if s.number%syncEvery == 0 {
		if err := s.db.Sync(); err != nil {
			return fmt.Errorf("syncing the state: %w", err)
		}
	}
	return nil
}

// follows refuses a place before the present one, or behind the journal's end.
func follows(old, a Applied, last uint64) error {
	if a.Index < old.Index || a.Index == old.Index && a.Ordinal < old.Ordinal {
		return fmt.Errorf("updating the state to entry %d/%d: %d/%d is applied already", a.Index, a.Ordinal, old.Index, old.Ordinal)
	}
	if a.Index > last || a.Index == last && a.Ordinal > 0 {
		return fmt.Errorf("updating the state to entry %d/%d: the journal ends at %d", a.Index, a.Ordinal, last)
	}
	return nil
}

func (s *state) commit(a Applied, t *Txn) error {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for bucket, keys := range t.writes {
		for key, w := range keys {
			k := joinKey(bucket, key)
			var err error
			if w.deleted {
				err = txn.Delete(k)
			} else {
				err = txn.Set(k, w.value)
			}
			if err != nil {
				return err
			}
		}
	}
	number := s.number + 1
	place := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), a.Index)
	place = binary.LittleEndian.AppendUint64(place, a.Ordinal)
	place = binary.LittleEndian.AppendUint64(place, number)
	if err := txn.Set([]byte(keyApplied), place); err != nil {
		return err
	}
	if err := txn.Set([]byte(ringKey(number)), place[16:24:24]); err != nil {
		return err
	}
	return txn.Commit()
}

func (s *state) close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the state: %w", err)
	}
	return nil
}

// badgerLog passes on what Badger has to say; its routine chatter is debug.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any)   { l.log.Error(line(format, args)) }
func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(line(format, args)) }
func (l badgerLog) Infof(string, ...any)                {}
func (l badgerLog) Debugf(string, ...any)               {}

func line(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}
