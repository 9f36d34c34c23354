package sinks

import (
	"context"
	"encoding/json"
	"time"

	"waybill/cdc"
	"waybill/transform"
)

// Sink delivers operations to one outside system. All methods may be called from several goroutines. No method retries a
// write by itself, and none waits longer than ctx and the target's configured deadline.
type Sink interface {
	// Entity describes how the target handles an entity of the mapping ("customer", "sales_invoice"). The error names the
	// entities that the adapter knows.
	Entity(name string) (Entity, error)
	// Prepare freezes what the step will send: ids resolved, posting date chosen. prior holds the applied outcomes of
	// the earlier steps by name. It may read from the target but writes nothing there. On failure outcome is not nil
	// and says what to do (setup, rejected, retry later); a lookup that fails in transport is RetryLater.
	Prepare(ctx context.Context, op Operation, step string, prior map[string]Outcome, now time.Time) (intent Intent, outcome *Outcome)
	// Deliver sends a frozen intent once. Whatever is not certainly known is Unknown.
	Deliver(ctx context.Context, intent Intent) Outcome
	// Verify asks the target's primary what became of the intent: AlreadyApplied (found, equal in the compared fields, with
	// Ref and Facts), Absent (certainly not there), Conflict (found and different, or more than one), or RetryLater
	// and Setup when it could not ask. It writes nothing.
	Verify(ctx context.Context, intent Intent) Outcome
	// Check looks at credentials, company, periods, limits and configured names, without writing. Findings include good
	// ones, in a fixed order. An error means that the target could not be asked at all.
	Check(ctx context.Context) ([]cdc.Finding, error)
	// Identity names the database and the company behind the address, so that a test copy that points at the
	// production target is noticed.
	Identity(ctx context.Context) (string, error)
	Close() error
}

// Binder is a Sink whose target can hold the mark of the store that feeds it. Bound returns the mark (nil when there is
// none); Bind writes it. The pipeline refuses to run when the mark names other sources than its own (DESIGN §5).
type Binder interface {
	Bound(ctx context.Context) (*Binding, error)
	Bind(ctx context.Context, b Binding) error
}

// Binding ties sources to a target.
type Binding struct {
	Store   string            `json:"store"`   // identity of the Waybill store
	Sources map[string]string `json:"sources"` // source name → server identity (without timeline)
	At      time.Time         `json:"at"`
}

// Entity is what a target does with one kind of thing.
type Entity struct {
	Name      string
	Steps     []string      // in order, each with its own intent: ["upsert"], ["create", "post"]
	CanVerify bool          // false: at least once, said by check
	Horizon   time.Duration // after a write of unknown outcome, absence is certain only this long after the send ended
	Compared  []string      // fields compared by Verify, for people
	// Takes is what the target demands of a body, as far as that is known without asking it; nil when nothing is.
	Takes *transform.TargetTable
	// Edits says that the sink tells when somebody else changed the record since it was written last: the operation must carry Last.
	Edits bool
}

// Operation is what a posting asks of the target.
type Operation struct {
	ID         string          `json:"id"` // delivery id
	Sink       string          `json:"sink"`
	Entity     string          `json:"entity"`
	Company    string          `json:"company,omitempty"`
	ExternalID string          `json:"external_id"`
	OrderKey   string          `json:"order_key"`
	Sort       string          `json:"sort,omitempty"`
	Body       json.RawMessage `json:"body"` // as the mapping built it
	// Last is what was written for the same external id last, nil when it is not known or the sink does not ask for it (Entity.Edits).
	Last *Last `json:"last,omitempty"`
	// Take is whose value a person chose where somebody else changed the record: TakeOurs, TakeTheirs, or empty while nobody has.
	Take string `json:"take,omitempty"`
}

// Last is what a target took for an external id, and what it said of it.
type Last struct {
	Body  json.RawMessage   `json:"body"`
	Facts map[string]string `json:"facts,omitempty"`
}

// Whose value stays where two changed the same. The code of the conflict is CodeChanged.
const (
	TakeOurs    = "ours"
	TakeTheirs  = "theirs"
	CodeChanged = "CHANGED_IN_TARGET"
	// KeptFact begins the facts that say in which fields a person left the target's value, and which it was.
	KeptFact = "kept."
)

// OperationOf makes the operation of a post.
func OperationOf(p transform.Post) Operation {
	return Operation{ID: p.ID, Sink: p.Sink, Entity: p.Entity, Company: p.Company, ExternalID: p.ExternalID, OrderKey: p.OrderKey, Sort: p.Sort, Body: p.Body}
}

// Intent is a frozen request. It is journalled and synced before it is sent, and sent or verified exactly as it is.
type Intent struct {
	Operation
	Step     string          `json:"step"`
	Attempt  int             `json:"attempt"`            // from 1, over the whole life of the delivery's step
	Ref      string          `json:"ref,omitempty"`      // the target's id from an earlier step
	Request  json.RawMessage `json:"request"`            // what will be sent, without secrets; the adapter reads it back
	Sequence string          `json:"sequence,omitempty"` // intents with the same non-empty sequence are delivered one at a time, in Sort order
	At       time.Time       `json:"at"`                 // when it was frozen
	// Writes is the row that it makes in a table which a source of ours captures, so that its change is known for an echo; nil for everything else.
	Writes *transform.Written `json:"writes,omitempty"`
}
