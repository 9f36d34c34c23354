package checkpoint

import (
	"context"
	"errors"
	"time"
)

// Store is the journal and the state that the projector makes of it, in one directory.
type Store struct{}

// Identity is who this store is.
type Identity struct {
	ID      string    // uuid, for ever
	Epoch   uint64    // rises with each adoption of a copy or a restored backup
	Created time.Time // UTC
	// VerifyFirst asks the deliverer to search by the external key before it creates anything: the target may know
	// more than this store does. Set for a fresh and an adopted store until ClearVerifyFirst.
	VerifyFirst bool
}

// Stats is the store at a glance.
type Stats struct {
	First, Last, Applied uint64
	Entries              uint64        // in the journal
	JournalBytes         int64         // written
	MaxBytes             int64         //
	StateBytes           int64         //
	DiskFree             int64         // at the last sample
	DiskFloor            int64         //
	NearFloor            bool          // less than twice the floor is free
	Full                 bool          // the last entry of kind Rows was refused
	Syncs                uint64        // since Open
	SyncP50, SyncP99     time.Duration // of the last 1,024 syncs
}

var errSkeleton = errors.New("store is being built")

// Open opens the store in dir, or creates it.
func Open(dir string, o Options) (*Store, error) { return nil, errSkeleton }

// Close ends the store.
func (s *Store) Close() error { return nil }

// Identity returns who this store is.
func (s *Store) Identity() Identity { return Identity{} }

// ClearVerifyFirst ends verify-first.
func (s *Store) ClearVerifyFirst() error { return errSkeleton }

// Append appends entries and returns after the sync that covers them.
func (s *Store) Append(ctx context.Context, entries ...Entry) (last uint64, err error) {
	return 0, errSkeleton
}

// Submit queues an entry.
func (s *Store) Submit(e Entry, done func(index uint64, err error)) error { return errSkeleton }

// Writer returns a new ordered stream of submissions that latches at its first refusal.
func (s *Store) Writer() *Writer { return &Writer{} }

// Writer submits entries of which none may be missing before a later one: after a refusal it refuses all that follow.
type Writer struct{}

// Submit queues an entry.
func (w *Writer) Submit(e Entry, done func(index uint64, err error)) error { return errSkeleton }

// First returns the first index of the journal.
func (s *Store) First() uint64 { return 0 }

// Last returns the last synced index.
func (s *Store) Last() uint64 { return 0 }

// Read returns an entry.
func (s *Store) Read(index uint64) (Entry, error) { return Entry{}, errSkeleton }

// Wait returns when Last is above after.
func (s *Store) Wait(ctx context.Context, after uint64) error { return errSkeleton }

// View reads the state.
func (s *Store) View(fn func(*Txn) error) error { return errSkeleton }

// Update changes the state.
func (s *Store) Update(a Applied, fn func(*Txn) error) error { return errSkeleton }

// Applied returns the projector's place.
func (s *Store) Applied() Applied { return Applied{} }

// Trim removes old entries.
func (s *Store) Trim(keepFrom uint64) (removed uint64, err error) { return 0, errSkeleton }

// Backup copies the state.
func (s *Store) Backup(dir string) (path string, err error) { return "", errSkeleton }

// Stats returns the store at a glance.
func (s *Store) Stats() Stats { return Stats{} }
