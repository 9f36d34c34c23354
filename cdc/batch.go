package cdc

import "time"

// Position marks a place in one source's log after which reading resumes. It names the server it belongs to (system
// identifier and timeline, or server and GTID domain), so that another server behind the same address is noticed. Only
// the source that wrote a Position reads meaning into it; to everyone else it is a text that people may see.
type Position string

// Batch is a bounded run of whole transactions, or one part of a large one, in commit order.
//
// The parts of a large transaction have More set and stay invisible to the projector until the part without More is in the
// journal. Parts whose end never comes are dropped when a batch of the same source with another Tx arrives. What
// Inspector.Peek delivers is one large transaction, too.
type Batch struct {
	Source   string    // the source's name in the configuration
	Identity string    // the server and history the changes come from; part of every event id
	Snapshot bool      // rows as a snapshot saw them (Op Snapshot), not news
	Chunk    *Chunk    // set for a chunk of a table that is read beside the stream: complete in itself, without a Position
	Tx       string    // identifies the large transaction that this is a part of; empty for a run of whole transactions
	Part     int       // 0 for the first part, and for a run of whole transactions
	More     bool      // the transaction goes on in the next batch
	Schemas  []*Schema // schemas used for the first time since Open; the journal's reader remembers them by id
	Data     []byte    // framed transactions and changes: see Encoder and Reader
	Changes  int       // number of changes in Data
	Position Position  // resume point after this batch; empty while More is set (Invariant 2)
	// CommitAt is the source's clock at the last commit in the batch; for a watermark, a time up to which everything
	// committed is captured. Timers of rules go by it, never by our own clock.
	CommitAt time.Time
}

// Watermark reports whether the batch has no changes and only moves the position and the time.
func (b *Batch) Watermark() bool { return b.Changes == 0 && len(b.Data) == 0 && b.Position != "" }

// Tx is the transaction that a change belongs to.
type Tx struct {
	Commit   string    // commit position, unique in the history that Batch.Identity names: an LSN, a GTID, or snapshot point
	XID      string    // the database's own transaction id, for people; may be empty
	CommitAt time.Time // the source's clock at commit, microseconds, UTC
}

// Op is what happened to a row.
type Op byte

// The operations.
const (
	Insert   Op = 'I'
	Update   Op = 'U'
	Delete   Op = 'D'
	Truncate Op = 'T' // no row: the whole table was emptied
	Snapshot Op = 'S' // a snapshot saw the row
)

// String names the operation.
func (o Op) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Truncate:
		return "truncate"
	case Snapshot:
		return "snapshot"
	}
	return "op?" + string(rune(o))
}
