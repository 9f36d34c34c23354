package pipeline

import (
	"context"
	"encoding/json"
	"time"

	"waybill/cdc"
	"waybill/transform"
)

// The views are what the admin API, the commands and the dashboard show. They are plain data, stable in JSON.

// Status is the daemon at a glance.
type Status struct {
	Version    string          `json:"version"`
	Store      string          `json:"store"` // identity of the store
	Epoch      uint64          `json:"epoch"`
	Mapping    string          `json:"mapping"` // active mappings and their versions: northstar/7, southern/2
	StartedAt  time.Time       `json:"started_at"`
	Ready      bool            `json:"ready"`
	Problems   []string        `json:"problems,omitempty"` // why it is not ready, or what needs a person, one sentence each
	Sources    []SourceStatus  `json:"sources"`
	Lanes      []LaneStatus    `json:"lanes"`
	Feeds      []FeedStatus    `json:"feeds,omitempty"`    // of the publishers
	Services   []ServiceStatus `json:"services,omitempty"` // those that are asked something now, or are silent
	Journal    JournalStatus   `json:"journal"`
	Exceptions []ExceptionStat `json:"exceptions,omitempty"`
	Money      []MoneyStatus   `json:"money,omitempty"`
}

// SourceStatus is one source's capture.
type SourceStatus struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`           // connecting, streaming, backing off, stopped, paused
	Error      string    `json:"error,omitempty"` // with its hint
	SQL        []string  `json:"sql,omitempty"`   // the statements that the error names, to heal the database or to look at it
	Position   string    `json:"position,omitempty"`
	Confirmed  string    `json:"confirmed,omitempty"`
	LagBytes   int64     `json:"lag_bytes"` // -1 unknown
	LagSeconds float64   `json:"lag_seconds"`
	Watermark  time.Time `json:"watermark,omitempty"` // everything committed up to then is captured
	Changes    uint64    `json:"changes"`             // captured since start
	Held       []string  `json:"held,omitempty"`      // tables held because their shape is not understood
	// Readings are the tables that are being read beside the stream, or cannot be; and the last ones that a person asked for.
	Readings []ReadingStatus `json:"readings,omitempty"`
	// Runway is how far the server is from removing log that we need; nil until it was asked, or when the source cannot say.
	Runway *RunwayStatus `json:"runway,omitempty"`
}

// ReadingStatus is the reading of one table's rows.
type ReadingStatus struct {
	Table    string       `json:"table"`
	State    ReadingState `json:"state"`
	First    bool         `json:"first,omitempty"` // it seeds: the table's changes wait for its end
	Where    string       `json:"where,omitempty"`
	Rows     int64        `json:"rows"`              // read so far
	Estimate int64        `json:"estimate"`          // rows of the table by the server's statistics; -1 unknown
	Percent  float64      `json:"percent"`           // of the estimate, at most 99 before the end; -1 unknown
	Rate     float64      `json:"rate,omitempty"`    // rows a second since this daemon took it up
	Seconds  float64      `json:"seconds,omitempty"` // until the end at that rate; 0 unknown
	Waits    string       `json:"waits,omitempty"`   // what a pending reading gives way to: the stream, or a replica, is behind
	Began    time.Time    `json:"began"`
	By       string       `json:"by,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// LaneStatus is one lane towards one sink.
type LaneStatus struct {
	Lane      string         `json:"lane"`
	Sink      string         `json:"sink"`
	State     string         `json:"state"` // running, paused, backing off, stopped
	Error     string         `json:"error,omitempty"`
	Waiting   int            `json:"waiting"` // behind a gate or behind an earlier posting of the same key
	Ready     int            `json:"ready"`
	InFlight  int            `json:"in_flight"`
	Unknown   int            `json:"unknown"` // sent, outcome not known yet
	Parked    int            `json:"parked"`
	Done      uint64         `json:"done"`
	Oldest    *time.Time     `json:"oldest,omitempty"` // commit time of the oldest undelivered event
	LastError string         `json:"last_error,omitempty"`
	ByEntity  map[string]int `json:"by_entity,omitempty"` // undelivered, by entity
	Held      []HeldBatch    `json:"held,omitempty"`      // of those that wait: for a batch or a window, the next first
	Hindered  []string       `json:"hindered,omitempty"`  // what keeps some or all of it back: a pause, a blackout, a budget
	DryRun    bool           `json:"dry_run,omitempty"`   // nothing is written
	Rehearsed []Rehearsal    `json:"rehearsed,omitempty"` // what would have been, the newest last
}

// ServiceStatus is one service that the mappings' lookups ask.
type ServiceStatus struct {
	Name       string     `json:"name"`
	Questions  int        `json:"questions"`        // that are open, at most 10,000 counted
	Unanswered int        `json:"unanswered"`       // of those, answered in a way that something cannot use, and asked again
	Oldest     *time.Time `json:"oldest,omitempty"` // when the oldest was put
	Silent     bool       `json:"silent,omitempty"` // an exception says that it does not answer
	Since      *time.Time `json:"since,omitempty"`  // when it began not to answer
	Error      string     `json:"error,omitempty"`  // what came of the last attempt
}

// JournalStatus is the store.
type JournalStatus struct {
	First     uint64 `json:"first"`
	Last      uint64 `json:"last"`
	Applied   uint64 `json:"applied"`
	Bytes     int64  `json:"bytes"`
	DiskFree  int64  `json:"disk_free"`
	DiskFloor int64  `json:"disk_floor"`
}

// ExceptionStat counts open exceptions of one code.
type ExceptionStat struct {
	Code    string            `json:"code"`
	Open    int               `json:"open"`
	Overdue int               `json:"overdue,omitempty"` // of these, past their due time
	Waiting int               `json:"waiting"`
	Money   map[string]string `json:"money,omitempty"` // currency → sum
}

// MoneyStatus is the reconciliation sentence for one currency: released = posted + in exception + in flight.
type MoneyStatus struct {
	Currency     string `json:"currency"`
	Released     int    `json:"released"`
	ReleasedSum  string `json:"released_sum"`
	Posted       int    `json:"posted"`
	PostedSum    string `json:"posted_sum"`
	Exception    int    `json:"exception"`
	ExceptionSum string `json:"exception_sum"`
	InFlight     int    `json:"in_flight"`
	InFlightSum  string `json:"in_flight_sum"`
}

// EventQuery selects stored events, oldest first.
type EventQuery struct {
	Type   string    `json:"type,omitempty"`
	Key    string    `json:"key,omitempty"` // entity key, or a reference such as shipment/88121
	Since  time.Time `json:"since,omitempty"`
	Until  time.Time `json:"until,omitempty"`
	After  uint64    `json:"after,omitempty"` // sequence: only events after it
	Limit  int       `json:"limit,omitempty"` // default 100, at most 10,000
	Newest bool      `json:"newest,omitempty"`
}

// StoredEvent is an event with its place in the outbox.
type StoredEvent struct {
	Seq uint64 `json:"seq"`
	transform.Event
	Deliveries []DeliveryView `json:"deliveries,omitempty"` // filled by Event, not by Events
}

// DeliveryView is one posting's way to its target.
type DeliveryView struct {
	ID         string           `json:"id"`
	Event      string           `json:"event"`
	Sink       string           `json:"sink"`
	Entity     string           `json:"entity"`
	ExternalID string           `json:"external_id"`
	OrderKey   string           `json:"order_key"`
	Lane       string           `json:"lane"`
	State      string           `json:"state"` // waiting, ready, sent, retry, parked, done, discarded
	Why        string           `json:"why"`   // one sentence: what it waits for
	Step       string           `json:"step,omitempty"`
	Attempts   int              `json:"attempts"`
	Number     string           `json:"number,omitempty"` // the target's document number
	Ref        string           `json:"ref,omitempty"`
	Amount     *transform.Money `json:"amount,omitempty"`
	Exception  string           `json:"exception,omitempty"`
}

// TraceItem is one line of the story of a shipment, an invoice or a customer.
type TraceItem struct {
	At     time.Time       `json:"at"`
	Kind   string          `json:"kind"`  // row, note, event, intent, outcome, exception, decision, correction
	Where  string          `json:"where"` // dispatch.loads, northstar/7, erp
	Text   string          `json:"text"`  // one line for people
	ID     string          `json:"id,omitempty"`
	Index  uint64          `json:"index"` // journal entry
	Detail json.RawMessage `json:"detail,omitempty"`
}

// ReplayRequest selects stored events to deliver again through the same protocol: what is applied is verified, not
// posted twice. Exactly one of the selections is set, or All.
type ReplayRequest struct {
	Event string    `json:"event,omitempty"`
	Key   string    `json:"key,omitempty"`
	Since time.Time `json:"since,omitempty"` // by commit time, with Until
	Until time.Time `json:"until,omitempty"`
	From  uint64    `json:"from,omitempty"` // by journal index, with To
	To    uint64    `json:"to,omitempty"`
	All   bool      `json:"all,omitempty"`
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
}

// ResetRequest moves a source's checkpoint.
type ResetRequest struct {
	Source string `json:"source"`
	To     string `json:"to"` // "snapshot": forget the position, read the tables again and compare
	By     string `json:"by"`
	Why    string `json:"why,omitempty"`
}

// Preview is what a replay or a reset would do.
type Preview struct {
	Action string            `json:"action"`
	Events int               `json:"events"`
	Keys   []string          `json:"keys,omitempty"` // at most 20
	More   int               `json:"more,omitempty"` // keys not listed
	Posts  int               `json:"posts"`
	Done   int               `json:"done"`            // of these already applied: will be verified, not posted again
	Money  map[string]string `json:"money,omitempty"` // currency → sum
	Notes  []string          `json:"notes,omitempty"`
	Backup string            `json:"backup,omitempty"` // set after the action: where the backup lies
}

// CheckpointView is the positions and cursors, for `checkpoint show`.
type CheckpointView struct {
	Store    string            `json:"store"`
	Epoch    uint64            `json:"epoch"`
	Applied  uint64            `json:"applied"`
	Last     uint64            `json:"last"`
	Sources  []SourcePosition  `json:"sources"`
	Bindings map[string]string `json:"bindings,omitempty"` // sink → identity of its target
	Mapping  string            `json:"mapping"`
	Backups  []string          `json:"backups,omitempty"`
}

// SourcePosition is a source's stored resume point.
type SourcePosition struct {
	Name     string    `json:"name"`
	Identity string    `json:"identity"`
	Position string    `json:"position"`
	CommitAt time.Time `json:"commit_at"`
}

// ErrNotFound is returned by the lookups for a key, event or exception that does not exist.
var ErrNotFound = notFound{}

type notFound struct{}

func (notFound) Error() string { return "not found" }

// The methods that the admin API calls; all are safe while Run runs.
//
//	Status(ctx) (Status, error)
//	Events(ctx, EventQuery) ([]StoredEvent, error)
//	Event(ctx, id string) (StoredEvent, error)
//	Trace(ctx, key string) ([]TraceItem, error)
//	Exceptions(ctx, ExceptionQuery) ([]ExceptionView, error)
//	Exception(ctx, id string) (ExceptionView, error)
//	Retry(ctx, ids []string, by, why string) ([]ExceptionView, error)      // ids or "all"; returns when the decision is applied
//	Discard(ctx, ids []string, by, why string) ([]ExceptionView, error)
//	PreviewReplay(ctx, ReplayRequest) (Preview, error)
//	Replay(ctx, ReplayRequest) (Preview, error)
//	PreviewReset(ctx, ResetRequest) (Preview, error)
//	Reset(ctx, ResetRequest) (Preview, error)
//	PreviewRead(ctx, ReadRequest) (ReadPlan, error)
//	Read(ctx, ReadRequest) (ReadingStatus, error)                          // PauseReading and ResumeReading likewise
//	Xrefs(ctx, XrefQuery) ([]transform.RegistryRow, error)
//	Xref(ctx, XrefQuery) (XrefView, error)                                 // a row by its id, or a key
//	PreviewXref(ctx, XrefRequest) (XrefPreview, error)
//	ChangeXref(ctx, XrefRequest) (XrefPreview, error)
//	Cases(ctx, CaseQuery) ([]transform.Case, error)
//	Case(ctx, key string) (CaseView, error)
//	Held(ctx, ref string, limit int) ([]DeliveryView, error)
//	ReleaseHeld(ctx, HeldRelease) ([]DeliveryView, error)                  // before its batch; returns when the decision is applied
//	LinkCase(ctx, CaseLink) (CaseView, error)                              // returns when what waited is filed
//	Masters(ctx, MasterQuery) ([]transform.MasterEntity, error)
//	Master(ctx, key string) (MasterView, error)
//	JudgeMaster(ctx, MasterRequest) (MasterView, error)                    // returns when it is applied
//	Checkpoint(ctx) (CheckpointView, error)
//	Change(ctx, ExceptionChange) ([]ExceptionView, error)                  // assign, comment, wait, fix, retry, waive, release
//	PreviewEdit(ctx, EditRequest) (EditView, error)
//	Edit(ctx, EditRequest) (EditView, error)
//	Audit(ctx, AuditQuery) ([]AuditLine, error)
//	VerifyAudit(ctx, expect string) (AuditProof, error)
//	Redact(ctx, RedactRequest) (AuditLine, error)
//	Reconcile(ctx, ReportQuery) (ReconcileReport, error)
//	Backlog(ctx, ReportQuery) (BacklogReport, error)
var _ context.Context

// ReadRequest asks for a reading of a table's rows beside the stream: they are compared with what is known, and only
// differences go through the rules.
type ReadRequest struct {
	Source string    `json:"source"`
	Table  cdc.Table `json:"table"`
	Where  string    `json:"where,omitempty"` // condition in the database's SQL; rows that it leaves out are not missed
	By     string    `json:"by,omitempty"`
	Why    string    `json:"why,omitempty"`
}
