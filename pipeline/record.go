package pipeline

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	StateWaiting    DeliveryState = "waiting"    // behind a gate, or behind an earlier delivery of its order key
	StateReady      DeliveryState = "ready"      // may be sent
	StateSent       DeliveryState = "sent"       // an intent is in the journal, its outcome is not (or is unknown)
	StateRetry      DeliveryState = "retry"      // certainly not done; again at RetryAt
	StateParked     DeliveryState = "parked"     // an exception holds it
	StateDone       DeliveryState = "done"       // the target holds it
	StateDiscarded  DeliveryState = "discarded"  // a named person gave it up
	StateSuperseded DeliveryState = "superseded" // a later version of the same record took its place
	StateShadow     DeliveryState = "shadow"     // kept, not sent: its mapping is in shadow
)

// delivery is one posting on its way to its target: an outbox row and its history in short.
type delivery struct {
	Post       transform.Post           `json:"post"`
	Seq        uint64                   `json:"seq"`            // place in its queue
	Head       uint64                   `json:"head,omitempty"` // place among the heads; 0 while it is none
	State      DeliveryState            `json:"state"`
	Step       string                   `json:"step,omitempty"` // step of the last intent or outcome
	Done       map[string]sinks.Outcome `json:"done,omitempty"` // applied steps, without excerpts
	Intent     *sinks.Intent            `json:"intent,omitempty"`
	Attempts   int                      `json:"attempts,omitempty"` // sends of the present step, for back-off
	Sends      int                      `json:"sends,omitempty"`    // all sends ever
	RetryAt    time.Time                `json:"retry_at,omitempty"`
	RetryFrom  time.Time                `json:"retry_from,omitempty"` // when RetryAt was chosen
	Last       *sinks.Outcome           `json:"last,omitempty"`
	Exception  string                   `json:"exception,omitempty"`
	Unmet      []transform.Gate         `json:"unmet,omitempty"`
	Verify     bool                     `json:"verify,omitempty"` // look before each send: adopted, replayed, or retried by a person
	Recorded   time.Time                `json:"recorded"`         // commit time of the cause
	Queued     time.Time                `json:"queued"`           // journal time at which it was queued
	FirstRetry time.Time                `json:"first_retry,omitempty"`
	Replays    int                      `json:"replays,omitempty"`
	Withdrawn  string                   `json:"withdrawn,omitempty"` // why it was taken back before it was ever sent
	Urgent     *urgent                  `json:"urgent,omitempty"`    // a person let it go before its batch
	Take       string                   `json:"take,omitempty"`      // whose value a person chose, where somebody changed the record in the target
	Original   json.RawMessage          `json:"original,omitempty"`  // body as the mapping built it, when a person edited it
	Edited     uint64                   `json:"edited,omitempty"`    // line of the audit that says who edited it
}

// over reports whether nothing more happens to the delivery.
func (d *delivery) over() bool {
	return d.State == StateDone || d.State == StateDiscarded || d.State == StateSuperseded
}

// ledgerRow is what we know to be in a target. Its key is (sink, company, entity, external id, step) (Invariant 6).
type ledgerRow struct {
	Delivery string            `json:"delivery"`
	Ref      string            `json:"ref,omitempty"`
	Number   string            `json:"number,omitempty"`
	Facts    map[string]string `json:"facts,omitempty"`
	Index    uint64            `json:"index"`
	At       time.Time         `json:"at"`
	Adopted  bool              `json:"adopted,omitempty"`
}

// exception is one cause that a person, or later data, must settle.
type exception struct {
	ID          string            `json:"id"`
	State       string            `json:"state"`
	Origin      string            `json:"origin"`
	Delivery    string            `json:"delivery,omitempty"`
	Problem     transform.Problem `json:"problem"`
	OpenedAt    time.Time         `json:"opened_at"`
	Index       uint64            `json:"index"` // journal entry that opened it
	ClosedAt    *time.Time        `json:"closed_at,omitempty"`
	ClosedIndex uint64            `json:"closed_index,omitempty"`
	ClosedBy    string            `json:"closed_by,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	Waiting     int               `json:"waiting"`
	Retries     int               `json:"retries,omitempty"`
	Person      string            `json:"person,omitempty"`      // who has taken it
	Due         *time.Time        `json:"due,omitempty"`         // by the watermark
	Until       *time.Time        `json:"until,omitempty"`       // it waits until then
	Escalated   *time.Time        `json:"escalated,omitempty"`   // its due time passed
	Version     string            `json:"map_version,omitempty"` // of the mapping that opened it
	Notes       int               `json:"notes,omitempty"`       // of its history
	Lost        int               `json:"lost,omitempty"`        // notes beyond the bound
	ClosedLine  uint64            `json:"closed_line,omitempty"` // line of the audit that says by whom and why
	Blast       *blast            `json:"blast,omitempty"`
	Feed        *feedRef          `json:"feed,omitempty"` // what a publisher refused
}

// The origins of an exception.
const (
	originMapping  = "mapping"
	originDelivery = "delivery"
	originTarget   = "target" // a whole target is blocked: credentials, closed period
	originGate     = "gate"
	originTable    = "table"   // a table is held because its shape is not understood
	originService  = "service" // a service that rules ask does not answer
	originReading  = "reading" // a table's rows cannot be read
	originBlast    = "blast"   // a rule made more than its bound
	originFeed     = "feed"    // a publisher refuses an event
)

// sourceState is what the state knows of a source.
type sourceState struct {
	Identity string    `json:"identity,omitempty"`
	Position string    `json:"position,omitempty"`
	CommitAt time.Time `json:"commit_at,omitempty"` // watermark
	Open     string    `json:"open,omitempty"`      // large transaction whose end has not come
	Parts    []span    `json:"parts,omitempty"`     // journal entries of its parts
	Seeded   bool      `json:"seeded,omitempty"`    // a first snapshot is complete
}

// span is a run of consecutive journal entries that are parts of one transaction.
type span struct {
	From uint64 `json:"f"`
	To   uint64 `json:"t"`
}

// work is a bounded, resumable task that an entry left behind. Work is done in order before the next entry is applied.
type work struct {
	Kind   string          `json:"kind"`
	Key    string          `json:"key,omitempty"`
	Cursor string          `json:"cursor,omitempty"`
	Detail json.RawMessage `json:"detail,omitempty"`
}

// outcomeEntry is the payload of a checkpoint.Outcome entry.
type outcomeEntry struct {
	Delivery string        `json:"delivery"`
	Step     string        `json:"step"`
	Final    bool          `json:"final,omitempty"`  // the step is the entity's last
	Verify   bool          `json:"verify,omitempty"` // the answer of a verification, not of a send
	Attempt  int           `json:"attempt,omitempty"`
	RetryAt  time.Time     `json:"retry_at,omitempty"` // chosen by the lane, with jitter, so that the state needs no clock
	Outcome  sinks.Outcome `json:"outcome"`
	Feed     *feedEntry    `json:"feed,omitempty"` // of a publisher's feed, and of no delivery
}

// decisionEntry is the payload of a checkpoint.Decision entry: what a named person decided.
type decisionEntry struct {
	Action    string          `json:"action"` // retry, discard, assign, comment, wait, fix, waive, release, edit, redact, replay, reset, read, pause, resume, xref, link case, shadow, release now, pause sink, resume sink, reload
	IDs       []string        `json:"ids,omitempty"`
	Exception *exceptionWords `json:"exception,omitempty"`
	Edit      *bodyEdit       `json:"edit,omitempty"`
	Redact    *RedactRequest  `json:"redact,omitempty"`
	Replay    *ReplayRequest  `json:"replay,omitempty"`
	Reset     *ResetRequest   `json:"reset,omitempty"`
	Read      *ReadRequest    `json:"read,omitempty"`
	Xref      *XrefRequest    `json:"xref,omitempty"`
	Case      *CaseLink       `json:"case,omitempty"`
	Shadow    *ShadowRequest  `json:"shadow,omitempty"`
	Hurry     *HeldRelease    `json:"hurry,omitempty"`
	Master    *MasterRequest  `json:"master,omitempty"`
	Flow      *FlowRequest    `json:"flow,omitempty"`
	Reload    *Reload         `json:"reload,omitempty"`
	By        string          `json:"by"`
	Why       string          `json:"why,omitempty"`
	Salt      string          `json:"salt,omitempty"` // random, of the audit's seals
}

// mappingEntry is the payload of a checkpoint.Mapping entry: the whole text, so that the journal explains itself.
type mappingEntry struct {
	Version string `json:"version"`
	File    string `json:"file"`
	Text    string `json:"text"`
}

// noteEntry is the payload of a checkpoint.Note entry: a fact that the daemon established itself.
type noteEntry struct {
	Action   string `json:"action"` // bind, reading failed
	Target   string `json:"target,omitempty"`
	Identity string `json:"identity,omitempty"`
	Why      string `json:"why,omitempty"`
	// Targets is what targets demand of governed entities.
	Targets map[string]*transform.TargetTable `json:"targets,omitempty"`
}

// traceNote is what trace keeps of an intent or outcome, so that a story outlives the trimming of the journal.
type traceNote struct {
	At      time.Time     `json:"at"`
	Kind    string        `json:"kind"` // intent, outcome, verify
	Step    string        `json:"step"`
	Attempt int           `json:"attempt,omitempty"`
	Class   sinks.Class   `json:"class,omitempty"`
	Code    string        `json:"code,omitempty"`
	Message string        `json:"message,omitempty"`
	Number  string        `json:"number,omitempty"`
	Took    time.Duration `json:"took,omitempty"`
	Request string        `json:"request,omitempty"`
	Answer  string        `json:"answer,omitempty"`
	Edited  uint64        `json:"edited,omitempty"` // line of the audit of the edit that was sent
}

// rowNote is what trace keeps of a row change. There is one for each change and reference, so its form is short: the
// operation's letter, commit time in µs as varint, journal time after it as varint, length of the table's name as uvarint, the
// name, the commit.
type rowNote struct {
	Op       cdc.Op
	CommitAt time.Time
	At       time.Time
	Table    string
	Commit   string
}

func (n *rowNote) append(b []byte) []byte {
	b = append(b, byte(n.Op))
	b = binary.AppendVarint(b, n.CommitAt.UnixMicro())
	b = binary.AppendVarint(b, n.At.Sub(n.CommitAt).Microseconds())
	b = binary.AppendUvarint(b, uint64(len(n.Table)))
	b = append(b, n.Table...)
	return append(b, n.Commit...)
}

var errRowNote = errors.New("a note of a row change does not follow its form")

func decodeRowNote(b []byte) (n rowNote, err error) {
	if len(b) == 0 {
		return n, errRowNote
	}
	n.Op, b = cdc.Op(b[0]), b[1:]
	at, k := binary.Varint(b)
	after, l := binary.Varint(b[max(k, 0):])
	if k <= 0 || l <= 0 {
		return n, errRowNote
	}
	n.CommitAt = time.UnixMicro(at).UTC()
	n.At = n.CommitAt.Add(time.Duration(after) * time.Microsecond)
	b = b[k+l:]
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return n, errRowNote
	}
	n.Table, n.Commit = string(b[k:k+int(size)]), string(b[k+int(size):])
	return n, nil
}
