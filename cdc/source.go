package cdc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Source reads the committed changes of one database, in commit order, and beside them the rows of its tables. One goroutine
// calls Open, Next and Close; Confirm, Lag, Check and Catalog may be called from any goroutine at any time.
type Source interface {
	// Open connects and starts after pos. With an empty pos it makes what the stream needs (slot, publication) and starts at
	// the present end of the log: the first batch is a watermark with the position at which the stream began, and what the
	// tables hold by then is read with ReadChunk. If the server can no longer start exactly after pos, it fails with a
	// *LostError and starts nowhere else (Invariant 11). ErrDenied ends the start of a daemon, but not one
	// that runs. ctx bounds the call, not the session.
	Open(ctx context.Context, pos Position) error
	// Next blocks until a batch is ready, the session ends or ctx ends. The batch and its bytes belong to the caller. An
	// idle source returns a watermark at least once per heartbeat interval. After ErrDisconnected, and ErrDenied, the
	// caller closes, backs off and opens again at its last stored position; any other error stops the source.
	Next(ctx context.Context) (Batch, error)
	// Confirm lets the server discard its log up to pos. The caller calls it only when pos is synced in the journal
	// (Invariant 1). It returns at once; the session sends it with its next status message.
	Confirm(pos Position)
	// Close ends the session and waits for its goroutines. It may be called twice, and Open may follow it.
	Close() error
	// Lag says how far the session is behind its server.
	Lag() Lag

	TableReader
}

// Inspector looks at a database without changing it, for check, map check and plan. It opens connections of its own.
type Inspector interface {
	// Check runs every preflight check and returns all findings, good ones too, in a fixed order. An error means that
	// the server could not be asked at all.
	Check(ctx context.Context) ([]Finding, error)
	// Catalog returns the shape of every table of the source that the role may see and that is named in want (all
	// its columns, whatever their type), in order of want. A table that does not exist is left out.
	Catalog(ctx context.Context, want []Table) ([]*Schema, error)
	// Peek delivers the rows of the selected tables as one moment saw them, as one large transaction, and leaves no trace on
	// the server: no slot, no publication, no position. plan uses it. It stops at the first error of yield.
	Peek(ctx context.Context, yield func(Batch) error) error
	// Release drops what the source keeps for us on the server (the replication slot and publication), so that the
	// next Open with an empty position begins afresh. It refuses while somebody else uses it.
	Release(ctx context.Context) error
}

// Lag is a source's distance from the end of its server's log.
type Lag struct {
	Connected bool      // a session is open
	Position  Position  // last position returned by Next
	Server    string    // the end of the server's log, as last heard
	Bytes     int64     // bytes of log between the two; -1 when unknown
	HeardAt   time.Time // when the server was last heard
	Confirmed Position  // last position confirmed to the server
}

// Finding is the result of one preflight check.
type Finding struct {
	Check string `json:"check"` // stable name: "wal_level", "replica identity of dispatch.loads"
	Level Level  `json:"level"`
	Found string `json:"found"`          // what was found
	Want  string `json:"want,omitempty"` // what is needed
	Why   string `json:"why,omitempty"`  // what goes wrong without it
	Fix   string `json:"fix,omitempty"`  // SQL or setting to paste
}

// Level is how bad a finding is.
type Level string

// The levels. Fail means that run would refuse to start.
const (
	LevelOK   Level = "ok"
	LevelWarn Level = "warn"
	LevelFail Level = "fail"
)

// ErrDisconnected says that the session ended and may be opened again at the last stored position.
var ErrDisconnected = errors.New("session with the database ended")

// ErrDenied says that the server refuses our login, or that the secret for it cannot be read. A password is changed on the
// server and in its file at different moments, so a source that has run before is opened again with back-off.
var ErrDenied = errors.New("login refused")

// LostError says that a source cannot start exactly where it must. Waybill stops the source and shows Hint.
type LostError struct {
	Source string
	Reason string   // what was found: slot "waybill" does not exist
	Hint   string   // what to do, with the command or SQL
	SQL    []string // the statements in Hint, in their order: to heal the database, or to look at it
	// Agreed: the owner has agreed to this loss beforehand, with max_retained. The caller does not wait for a person: it
	// forgets the position and begins again with a compared snapshot.
	Agreed bool
}

func (e *LostError) Error() string {
	return fmt.Sprintf("source %s cannot continue: %s. %s", e.Source, e.Reason, e.Hint)
}

// RefusedError says that Waybill will not touch the database as it is set up, because that would hurt it or lose
// changes. Findings lists every failed check with its fix.
type RefusedError struct {
	Source   string
	Findings []Finding
}

func (e *RefusedError) Error() string {
	s := fmt.Sprintf("source %s is not ready:", e.Source)
	for _, f := range e.Findings {
		if f.Level == LevelFail {
			s += fmt.Sprintf("\n  %s: found %s, needs %s. %s", f.Check, f.Found, f.Want, f.Why)
			if f.Fix != "" {
				s += "\n    run: " + f.Fix
			}
		}
	}
	return s
}
