package sinks

import "time"

// Class says what became of an intent and what the lane does next.
type Class string

// The classes.
const (
	Applied        Class = "applied"         // done now; Ref and Facts are read back
	AlreadyApplied Class = "already_applied" // found and equal: as good as applied
	RetryLater     Class = "retry_later"     // certainly not done; Wait says when, or the lane backs off
	Rejected       Class = "rejected"        // understood and refused: an exception, with Field and Hint
	Conflict       Class = "conflict"        // there, but different, or there twice: an exception
	Setup          Class = "setup"           // one cause stops everything: credentials, rights, company, the present period closed
	Unknown        Class = "unknown"         // may or may not be done: verify before anything else (Invariant 9)
	Absent         Class = "absent"          // Verify only: certainly not there
)

// Outcome is the classified answer of a target. Texts are bounded: 500 bytes a message, 4 KiB an excerpt.
type Outcome struct {
	Class   Class             `json:"class"`
	Code    string            `json:"code,omitempty"`    // stable: PERIOD_CLOSED, UNKNOWN_CUSTOMER, AUTH, OUTAGE, LOCKED …
	Message string            `json:"message,omitempty"` // what the target said
	Field   string            `json:"field,omitempty"`   // the field that it complained about
	Hint    string            `json:"hint,omitempty"`    // what a person should do
	Outage  bool              `json:"outage,omitempty"`  // the target is down, or not answering: counts for the breaker
	Wait    time.Duration     `json:"wait,omitempty"`    // asked for by the target (Retry-After); 0 when it did not say
	Ref     string            `json:"ref,omitempty"`     // the target's id
	Number  string            `json:"number,omitempty"`  // the document number that people know
	Facts   map[string]string `json:"facts,omitempty"`   // read back: state, date, net, tax, total, currency, party
	Request string            `json:"request,omitempty"` // excerpt for trace, secrets removed
	Answer  string            `json:"answer,omitempty"`  // excerpt for trace
	Took    time.Duration     `json:"took,omitempty"`
}

// Done reports whether the target holds what was asked.
func (o Outcome) Done() bool { return o.Class == Applied || o.Class == AlreadyApplied }
