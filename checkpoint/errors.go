package checkpoint

import (
	"errors"
	"fmt"
)

var (
	// ErrJournalFull refuses an entry because the journal is at its bound. The caller calls Trim and, if that removed
	// nothing, pauses capture until the journal may shrink.
	ErrJournalFull = errors.New("journal is full: its oldest entries are not applied yet, or a table whose changes are held needs them; raise journal.max_bytes if that lasts")
	// ErrTrimmed is returned by Read below First.
	ErrTrimmed = errors.New("journal entry has been trimmed")
	// ErrCorrupt is returned by Read for an entry whose checksum does not fit, and by Open for a damaged journal.
	ErrCorrupt = errors.New("journal is damaged")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")
	// ErrTooBig refuses an entry, a key or a value above its bound, and an Update that went on after Txn.Full.
	ErrTooBig = errors.New("too big for the store")
	// ErrLatched is returned by a Writer after one of its entries was refused.
	ErrLatched = errors.New("an earlier entry of this writer was refused")
)

// LockedError says that another process has the store open.
type LockedError struct {
	Dir     string
	PID     int
	Command string // command line of the holder, if it could be read
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
		if e.Command != "" {
			holder += " (" + e.Command + ")"
		}
	}
	return fmt.Sprintf("store %s is in use by %s: stop it, or talk to it with the waybill commands instead of opening its store", e.Dir, holder)
}

// CopyError says that the directory is not the one that the store was created in, but a copy or a restored backup.
type CopyError struct {
	Dir    string
	Origin string // where the store lived when it was last opened
	Reason string // what differs
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("store %s is a copy or a restored backup (%s); the original was %s. Two stores must not feed one ERP: "+
		"stop the original for good, then run `waybill checkpoint adopt` to make this one the store", e.Dir, e.Reason, e.Origin)
}

// VersionError says that a newer release wrote the store.
type VersionError struct {
	Dir       string
	Found     int
	Supported int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("store %s has schema version %d, this release reads up to %d: run the newer release again, "+
		"or restore a backup made before the upgrade", e.Dir, e.Found, e.Supported)
}

// FloorError refuses a write because the disk is nearly full. The store stays usable; the write succeeds when there is
// space again.
type FloorError struct {
	Dir   string
	Free  int64 // bytes
	Floor int64 // bytes that this kind of write must leave free
	Err   error // ENOSPC, when the disk itself refused
}

func (e *FloorError) Error() string {
	s := fmt.Sprintf("disk of %s is nearly full: %d MiB free, %d MiB must stay free: free disk space", e.Dir, e.Free>>20, e.Floor>>20)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *FloorError) Unwrap() error { return e.Err }
