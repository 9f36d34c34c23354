package cdc

import (
	"context"
	"time"
)

// TableReader reads the rows of tables beside the stream, chunk by chunk in the order of their key. It writes nothing to the
// source, takes no lock that anybody waits for, and leaves no transaction open between two chunks (Invariant 13); a table
// without a primary key, for which that cannot be, is the exception that its documentation names.
//
// Every chunk is read in a snapshot of its own, which includes whatever Next had returned when ReadChunk was called: if the server
// does not show a transaction yet that it has streamed already, ReadChunk waits for it. How a chunk joins the stream: the caller appends a chunk to the journal
// only when the stream has passed the chunk's High, so every transaction that the chunk's rows include lies before it. Of
// the transactions that lie before it and are not included, the projector knows by Viewer.Sees.
//
// ReadChunk, Estimate, Covers and Strain may be called from any goroutine, also several at once; Nudge while the session is open.
type TableReader interface {
	// Estimate returns the number of rows that the server's statistics say the table has; -1 when it does not know.
	Estimate(ctx context.Context, t Table) (rows int64, err error)
	// ReadChunk reads the next rows of a selected table. When the source holds the table because its log lacks a change (Schema.Fault
	// on every change from there on), the first chunk ends that, and includes whatever was held. It fails with ErrDisconnected when another try may help, with a
	// *TableError when this table cannot be read and others may.
	ReadChunk(ctx context.Context, r ChunkRequest) (ChunkRead, error)
	// Strain tells what a reading may have to give way to. It costs one small query. It fails with ErrDisconnected when another
	// try may help.
	Strain(ctx context.Context) (Strain, error)
	// Covers reports whether a stream whose last returned position is at has returned every transaction up to high.
	Covers(at, high Position) bool
	// Nudge asks the open session for a watermark as soon as it has received what the server has committed by now,
	// instead of at the next heartbeat.
	Nudge()
}

// Strain is what the server says of its clock and of its physical replicas.
type Strain struct {
	Clock time.Time // of the server; with a watermark it tells how far the stream is behind, whatever our own clock says
	// Replica is the one that is furthest behind in applying the log, Behind how far; empty when there is none, or the server
	// does not tell (MariaDB and MySQL know their replicas, SHOW REPLICA HOSTS, but not how far these are).
	Replica string
	Behind  time.Duration
}

// ChunkRequest asks for a chunk of a table.
type ChunkRequest struct {
	Table Table
	After string // cursor of the chunk before, from Chunk.After; empty for the first one. A stranger's cursor begins again
	Where string // condition in the database's SQL that filters the rows; empty for all of them
	Rows  int    // at most so many rows; a chunk also ends at about 2 MiB
}

// ChunkRead is a chunk with what the caller needs to join it to the stream.
type ChunkRead struct {
	// Batch has Snapshot and Chunk set, its rows as Op Snapshot, and the schema of the rows among its Schemas. It has no
	// Position. It may be empty.
	Batch Batch
	// High is a position not before any transaction that the rows include.
	High Position
}

// Chunk says which part of which table a batch brings.
type Chunk struct {
	Table Table  `json:"t"`
	After string `json:"a,omitempty"` // cursor behind its last row
	End   bool   `json:"e,omitempty"` // the table has no row behind it
	View  string `json:"v"`           // what the rows include: see Viewer; begins with the name of the codec that reads it and a space
	// Reading and Number are set by whoever asked: the reading that the chunk belongs to, and its place in it from 1.
	Reading uint64 `json:"r,omitempty"`
	Number  int    `json:"n,omitempty"`
}

// Viewer is implemented by codecs of table readings. Views are kept in the journal for ever, as the codec's rows are.
type Viewer interface {
	// Sees reports whether rows read under the view include what the transaction did.
	Sees(view string, tx Tx) (bool, error)
}

// TableError says that one table cannot be read; the others can.
type TableError struct {
	Source string
	Table  Table
	Err    error
	Hint   string // what to do
}

func (e *TableError) Error() string {
	return "reading table " + e.Table.String() + " of source " + e.Source + ": " + e.Err.Error() + ". " + e.Hint
}

func (e *TableError) Unwrap() error { return e.Err }
