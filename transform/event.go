package transform

import (
	"encoding/json"
	"time"
)

// Event is one thing that happened to one business entity, in the owner's words rather than a table's. Its ID comes from
// the place of its cause in the source's history, so the same change has the same id in every run, replay and reset
// (Invariant 6).
type Event struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`              // short name, "<entity>.<past tense>": invoice.released
	Rule        string          `json:"rule"`              // the rule that made it, as the mapping names it
	Source      string          `json:"source"`            // /<mapping>/<source>/<schema>.<table>
	Entity      string          `json:"entity"`            // "invoice"
	Key         string          `json:"key"`               // the entity's id: "A10023"
	Company     string          `json:"company,omitempty"` // legal entity
	Lane        Lane            `json:"lane"`
	OrderKey    string          `json:"order_key"` // events and postings of one order key keep their order
	Occurred    time.Time       `json:"occurred_at"`
	Recorded    time.Time       `json:"recorded_at"` // commit time in the source
	Observed    time.Time       `json:"observed_at"` // when the journal took it
	Correlation string          `json:"correlation_id,omitempty"`
	Causation   []string        `json:"causation_ids,omitempty"` // ids of the events that this one derives from
	MapVersion  string          `json:"map_version"`             // "northstar/7"
	Position    string          `json:"position"`                // commit position of the change, for people
	Index       uint64          `json:"index"`                   // journal entry of the cause
	Data        json.RawMessage `json:"data"`                    // JSON object, keys sorted, decimals as strings
	Amount      *Money          `json:"amount,omitempty"`        // the money that the event is about
	Refs        []string        `json:"refs,omitempty"`          // "shipment/88121", "invoice/A1": what trace finds it by
	Edited      uint64          `json:"edited,omitempty"`        // line of the audit that says who wrote fields of it by hand
	Historic    bool            `json:"historic,omitempty"`      // from before the cut-over or from a snapshot: kept, not news, no postings
}

// Lane separates what must not wait for each other.
type Lane string

// The lanes.
const (
	LaneMaster        Lane = "master"
	LaneTransactional Lane = "transactional"
)

// Money is an exact amount. Amount is a plain decimal: -1150.00.
type Money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"` // ISO 4217
}

// Post is one operation that an event asks of a target: upsert this customer, create and post that invoice.
type Post struct {
	ID         string          `json:"id"`          // hash of event id and target: the delivery's id
	Event      string          `json:"event"`       // event id
	Sink       string          `json:"sink"`        // name of the sink in the configuration: "erp"
	Entity     string          `json:"entity"`      // what it is there: "customer", "sales_invoice"
	ExternalID string          `json:"external_id"` // natural key in the target; the ledger's key with sink, company and step
	Company    string          `json:"company,omitempty"`
	Lane       Lane            `json:"lane"`
	OrderKey   string          `json:"order_key"`
	Sort       string          `json:"sort,omitempty"` // order among different keys where the target wants one (document date)
	Gates      []Gate          `json:"gates,omitempty"`
	Sources    []string        `json:"sources,omitempty"` // whose watermarks the deadlines of its gates go by; empty means all
	Window     *Window         `json:"window,omitempty"`  // when the target may be given it; nil for always
	Body       json.RawMessage `json:"body"`              // JSON object as the mapping built it
	Amount     *Money          `json:"amount,omitempty"`
	Refs       []string        `json:"refs,omitempty"`
	Adopt      bool            `json:"adopt,omitempty"` // may already be in the target: look before creating
	// Shadow names the mapping that marks the posting so: it is kept, and not sent before a person switches that on.
	Shadow string `json:"shadow,omitempty"`
	// Version is that of a governed entity, from 1.
	Version int `json:"version,omitempty"`
}

// Gate holds a post until something else is so. A gate that is not met by Deadline becomes one exception of what blocks.
type Gate struct {
	Kind     GateKind  `json:"kind"`
	Name     string    `json:"name"`               // event type, or "<sink>.<entity>"
	Key      string    `json:"key"`                // order-independent key: entity key of the event, or external id of the posting
	Deadline time.Time `json:"deadline,omitempty"` // by the watermark; zero waits for ever, shown as waiting
	// At and Sources are of a gate of time: it opens when each of the sources has been captured past At.
	At      time.Time `json:"at,omitzero"`
	Sources []string  `json:"sources,omitempty"`
}

// GateKind says where a gate looks.
type GateKind string

// The gate kinds.
const (
	GateEvent  GateKind = "event"  // an event of type Name with key Key has happened
	GateLedger GateKind = "ledger" // the posting Name with external id Key is applied, or adopted, in the target
	GateTime   GateKind = "time"   // the batch, or the opening of the window, whose local time is Key has come
)

// Problem is something that a person, or later data, must settle before a document or an event can go on. Problems with
// the same fingerprint are one exception, however many subjects wait on it.
type Problem struct {
	Fingerprint string          `json:"fingerprint"` // stable: class, code and the cause: "MASTER/UNKNOWN_CUSTOMER/billing/ACM9"
	Class       string          `json:"class"`       // DATA MASTER POLICY MAPPING WAITING BUG (domain.md §4)
	Code        string          `json:"code"`        // UNKNOWN_CUSTOMER
	Title       string          `json:"title"`       // one sentence for a person, with the values
	Hint        string          `json:"hint"`        // what to do
	Owner       string          `json:"owner"`       // team: billing, dispatch, master data, integration
	Subject     string          `json:"subject"`     // what waits: "invoice/A1"
	OrderKey    string          `json:"order_key,omitempty"`
	Rule        string          `json:"rule,omitempty"` // rule with file:line
	Amount      *Money          `json:"amount,omitempty"`
	Evidence    json.RawMessage `json:"evidence,omitempty"` // rows, sums, codes: JSON object
}

// Note says that a rule would have made an event, and why a named policy ignored it.
type Note struct {
	Rule string   `json:"rule"` // with file:line
	Refs []string `json:"refs"` // what it was about: "customer/104377"
	Why  string   `json:"why"`  // one clause
}

// Timer asks to be fired when every source it concerns has been captured past At.
type Timer struct {
	ID      string    `json:"id"` // setting the same id again moves it
	At      time.Time `json:"at"`
	Sources []string  `json:"sources"` // source names; empty means all
	Payload string    `json:"payload,omitempty"`
}

// Ref is how an entity is named in references, order keys and gates: "invoice/A1"; of a company "invoice/NSTAR:A1".
func Ref(company, entity, key string) string {
	return entity + "/" + CompanyKey(company, key)
}
