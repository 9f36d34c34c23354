package transform

import "time"

// State is the keyed state that a Mapper reads and writes: row state, documents, cross-references, held rows. The
// projector gives a view of its current transaction; nothing else is remembered between calls.
type State interface {
	// Get returns the value, or nil when there is none. The bytes are the caller's.
	Get(bucket, key string) ([]byte, error)
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error
	// Scan calls fn for each key with the prefix, from the key from on (inclusive; "" starts at the first), in byte
	// order, until fn returns false. fn must not write.
	Scan(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error
}

// Output takes what a Mapper makes of an entry, in order. The projector implements it in the same transaction as State.
type Output interface {
	Event(Event) error
	Post(Post) error
	Problem(Problem) error
	// Resolve says that subject no longer waits on the problem. When none waits any more, the exception closes.
	Resolve(fingerprint, subject string) error
	SetTimer(Timer) error
	ClearTimer(id string) error
	// Withdraw takes back what an event asked of its targets, all of it or nothing, and reports whether it did: only what was certainly
	// never sent is taken back.
	Withdraw(event, why string) (bool, error)
	// Note keeps that an event was ignored by a named rule, counted, for trace.
	Note(Note) error
	// Row notes that the change being mapped is about these references ("invoice/A1"), for trace.
	Row(refs []string) error
}

// Entry is the journal entry being projected: all that a Mapper may know beside the change and the state.
type Entry struct {
	Index    uint64    // journal index
	Observed time.Time // when the journal took it
	Reading  *Reading  // set for the rows of a chunk that was read beside the stream
	Included bool      // the table's open reading includes the change, which was held since before it began
	Echo     string    // which posting of ours made the change: it is no news, and updates row state alone
	Now      time.Time // the watermark: everything committed up to then, in every source, is captured; zero when unknown
	// Marks are the watermarks of all sources, of which Now is the earliest; nil when unknown.
	Marks map[string]time.Time
}
