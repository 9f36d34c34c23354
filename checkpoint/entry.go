package checkpoint

import "time"

// Kind says what a journal entry is.
type Kind byte

// The kinds of entries. Their payloads are the pipeline's; the store does not read them.
const (
	Rows     Kind = 'R' // a cdc.Batch: changes, a part of a large transaction, or a watermark
	Intent   Kind = 'I' // a frozen delivery, about to be sent
	Outcome  Kind = 'O' // what became of an intent, or of a verification
	Decision Kind = 'D' // of a person: retry, discard, replay, reset
	Mapping  Kind = 'M' // activation of a mapping version
	Answer   Kind = 'A' // of a service to a question of the rules, or that it does not answer
	Note     Kind = 'N' // an audited fact of the daemon itself: binding, epoch
)

// Entry is one journal entry. Whatever can change what Waybill does is one.
type Entry struct {
	Index   uint64    // set by Append: 1, 2, 3, … without gap
	Kind    Kind      //
	At      time.Time // when it was handed to the journal, µs; set by Append when zero
	Payload []byte
	// Continues says, to Append alone, that rows go on with something of which nothing can be trimmed before its end is in:
	// a large transaction, or the first reading of a table. They, and what is appended with them, are taken beyond
	// Options.MaxBytes.
	Continues bool
}

// Applied is the projector's place: entry Index is applied up to Ordinal (0: wholly applied, nothing of the next one).
type Applied struct {
	Index   uint64 // last entry applied wholly
	Ordinal uint64 // units (changes, work items) of entry Index+1 applied so far
}
