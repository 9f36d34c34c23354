package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Store is the journal and the state that the projector makes of it, in one directory:
//
//	lock           who has it open
//	identity.json  who it is
//	journal/       segment files and raft-wal's metadata
//	state/         Badger
//	snapshots/     copies of the state, one a day
//	backups/       copies made by Backup
//
// All methods may be called by any goroutine until Close.
type Store struct {
	dir       string
	options   Options
	lock      *lock
	disk      *disk
	journal   *journal
	state     *state
	committer *committer
	metrics   *metrics
	syncs     syncTimes
	full      atomic.Bool  // rows are refused for the journal's bound
	beyond    atomic.Int64 // bytes of a journal that is beyond its bound (Entry.Continues); 0 within it

	idMu sync.Mutex
	id   identity

	keeping sync.Mutex // Trim and Backup, one at a time

	useMu  sync.Mutex
	users  int           // calls under way that need the files
	idle   *sync.Cond    // users fell to 0
	closed chan struct{} // closed under useMu: later calls are refused
	once   sync.Once
	err    error // of Close
}

// Identity is who this store is.
type Identity struct {
	ID      string    // uuid, for ever
	Epoch   uint64    // 1, and one more with each adoption of a copied, moved or restored directory
	Created time.Time // UTC
	// VerifyFirst asks the deliverer to search by the external key before it creates anything: the target may know more
	// than this store does. Set for a fresh and for an adopted store, until ClearVerifyFirst.
	VerifyFirst bool
}

// Open opens the store in dir, or creates it there. It returns *LockedError while another process has it open, *CopyError
// for a copied or restored directory that was not adopted, *VersionError for one that a newer release wrote, *FloorError
// when the disk is too full to run at all, and ErrCorrupt when the journal is damaged. It repairs what a crash left, and
// makes the state again from a snapshot and the journal when that is lost; the projector goes on from Applied.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("creating store %s: %w", dir, err)
	}
	l, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, options: o, lock: l, disk: &disk{dir: dir, floor: o.Floor}, closed: make(chan struct{})}
	s.idle = sync.NewCond(&s.useMu)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.shut(false))
	}
	s.committer = newCommitter(s)
	go s.committer.run()
	return s, nil
}

func (s *Store) open() (err error) {
	if s.id, err = loadIdentity(s.dir, s.lock, s.options.Adopt); err != nil {
		return err
	}
	if err := s.disk.allow(shareSmall); err != nil {
		return err
	}
	if err := s.lock.mark(false); err != nil {
		return err
	}
	if s.journal, err = openJournal(journalDir(s.dir), !s.lock.crashed, s.options, s.disk, s.synced); err != nil {
		return err
	}
	if s.state, err = recoverState(s.dir, s.id.ID, s.journal, s.lock.machineCrashed(), s.options.Log); err != nil {
		return err
	}
	if err := s.lock.mark(true); err != nil {
		return err
	}
	if size := s.journal.set.bytes(); size > s.options.MaxBytes+s.options.MaxBytes/16 {
		s.beyond.Store(size) // a crash within a large transaction, or a bound that was lowered
	}
	s.metrics, err = newMetrics(s.options.Metrics, s)
	return err
}

// Close writes what is queued, closes journal and state, and gives the lock back. Later calls return the same.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.committer.close()
		s.quiesce()
		s.metrics.unregister()
		s.err = s.shut(true)
	})
	return s.err
}

func (s *Store) shut(clean bool) error {
	var err error
	if s.state != nil {
		err = errors.Join(err, s.state.close())
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.close())
		clean = clean && s.journal.stuck == nil
	}
	return errors.Join(err, s.lock.release(clean && err == nil))
}

// enter keeps the store open until leave. A call that is under way may enter again, so this is no lock for readers, which
// a waiting Close would make them wait for.
func (s *Store) enter() error {
	s.useMu.Lock()
	defer s.useMu.Unlock()
	select {
	case <-s.closed:
		return ErrClosed
	default:
		s.users++
		return nil
	}
}

func (s *Store) leave() {
	s.useMu.Lock()
	defer s.useMu.Unlock()
	if s.users--; s.users == 0 {
		s.idle.Broadcast()
	}
}

// quiesce refuses new calls and waits for those under way.
func (s *Store) quiesce() {
	s.useMu.Lock()
	defer s.useMu.Unlock()
	close(s.closed)
	for s.users > 0 {
		s.idle.Wait()
	}
}

// Identity returns who this store is.
func (s *Store) Identity() Identity {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	return Identity{s.id.ID, s.id.Epoch, s.id.Created, s.id.VerifyFirst}
}

// ClearVerifyFirst ends verify-first, on the disk. The deliverer calls it when the targets have been compared.
func (s *Store) ClearVerifyFirst() error {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	id := s.id
	id.VerifyFirst = false
	if err := id.save(s.dir); err != nil {
		return fmt.Errorf("saving the store's identity: %w", err)
	}
	s.id = id
	return nil
}

// First returns the first index that Read finds; 1 while the journal is whole or empty.
func (s *Store) First() uint64 { return s.journal.first.Load() }

// Last returns the last synced index; 0 while the journal is empty.
func (s *Store) Last() uint64 { return s.journal.last.Load() }

// Read returns a synced entry. The payload is the caller's. Below First it returns ErrTrimmed.
func (s *Store) Read(index uint64) (Entry, error) {
	if err := s.enter(); err != nil {
		return Entry{}, err
	}
	defer s.leave()
	return s.journal.read(index)
}

// Wait returns when Last is above after, with ctx's error when that ends first, and with ErrClosed after Close.
func (s *Store) Wait(ctx context.Context, after uint64) error {
	return s.journal.wait(ctx, after, s.closed)
}

// View runs fn on the state as of now. Views do not wait for updates, nor updates for views.
func (s *Store) View(fn func(*Txn) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.state.view(fn)
}

// Update runs fn and commits what it wrote together with a, in one transaction: both are there after a crash, or neither.
// When fn fails, nothing is. One update runs at a time; fn must not call Update. What is applied must be in the journal,
// and never goes back. It returns *FloorError while the disk is too full.
func (s *Store) Update(a Applied, fn func(*Txn) error) error {
	return s.Project(func(t *Txn) (Applied, error) { return a, fn(t) })
}

// Project is Update for the projector, which finds out only in fn how far it comes before the transaction is Full: fn
// returns the place.
func (s *Store) Project(fn func(*Txn) (Applied, error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.disk.allow(shareState); err != nil {
		return err
	}
	return s.state.project(s.Last, fn)
}

// Applied returns the place of the last Update.
func (s *Store) Applied() Applied { return *s.state.applied.Load() }

// Stats is the store at a glance.
type Stats struct {
	First, Last, Applied uint64
	Entries              uint64        // in the journal
	JournalBytes         int64         // written to it
	MaxBytes             int64         // its bound
	StateBytes           int64         // of Badger's files, measured each minute
	DiskFree             int64         // as of at most 250 ms ago; -1 when it can't be measured
	DiskFloor            int64         //
	NearFloor            bool          // less than twice the floor is free
	Full                 bool          // rows are refused: the journal is at its bound
	Beyond               bool          // the journal is beyond its bound: see Entry.Continues
	Syncs                uint64        // of the journal, since Open
	SyncP50, SyncP99     time.Duration // of the last 1,024 syncs
}

// Stats returns the store at a glance.
func (s *Store) Stats() Stats {
	st := Stats{First: s.First(), Last: s.Last(), Applied: s.Applied().Index, JournalBytes: s.journal.set.bytes(),
		MaxBytes: s.options.MaxBytes, DiskFloor: s.options.Floor, DiskFree: -1, Full: s.full.Load()}
	st.Beyond = s.beyond.Load() != 0 && st.JournalBytes > st.MaxBytes
	st.Entries = st.Last + 1 - st.First
	if s.enter() == nil {
		lsm, vlog := s.state.db.Size()
		st.StateBytes = lsm + vlog
		s.leave()
	}
	if free, err := s.disk.available(); err == nil {
		st.DiskFree, st.NearFloor = free, free < 2*s.options.Floor
	}
	st.Syncs, st.SyncP50, st.SyncP99 = s.syncs.summary()
	return st
}

func (s *Store) synced(d time.Duration) {
	s.syncs.add(d)
	if s.metrics != nil {
		s.metrics.sync.Observe(d.Seconds())
	}
}

func (s *Store) committed(entries int, bytes int64) {
	s.metrics.entries.Add(float64(entries))
	s.metrics.bytes.Add(float64(bytes))
}

// syncTimes remembers how long the last syncs took.
type syncTimes struct {
	mu   sync.Mutex
	n    uint64
	last [1024]time.Duration
}

func (t *syncTimes) add(d time.Duration) {
	t.mu.Lock()
	t.last[t.n%uint64(len(t.last))] = d
	t.n++
	t.mu.Unlock()
}

func (t *syncTimes) summary() (n uint64, p50, p99 time.Duration) {
	t.mu.Lock()
	n = t.n
	sorted := slices.Clone(t.last[:min(n, uint64(len(t.last)))])
	t.mu.Unlock()
	if len(sorted) == 0 {
		return 0, 0, 0
	}
	slices.Sort(sorted)
	return n, sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}
