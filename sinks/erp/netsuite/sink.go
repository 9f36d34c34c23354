package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Sink posts into one NetSuite account.
type Sink struct {
	cfg    Config
	client *web.Client
	names  *names
	jobs   *jobs
	log    *slog.Logger
}

var _ sinks.Sink = (*Sink)(nil)

// The entities that are documents, and the steps.
const (
	invoiceEntity = "sales_invoice"
	creditEntity  = "credit_note"
	journalEntity = "journal_entry"

	stepUpsert = "upsert"
	stepCreate = "create"
)

// documents are the entities that are created once and never changed, with the fields that are compared.
var documents = map[string][]string{
	invoiceEntity: {"party", "currency", "date", "subsidiary", "net", "tax", "total"},
	creditEntity:  {"party", "currency", "date", "subsidiary", "net", "tax", "total"},
	journalEntity: {"currency", "date", "subsidiary", "total"},
}

// New makes the adapter. It asks NetSuite nothing.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the NetSuite sink: %w", err)
	}
	cfg = cfg.withDefaults()
	client, err := cfg.Auth.Client(web.Options{Timeout: cfg.Timeout, Headers: map[string]string{"Accept": "application/json", "Accept-Language": "en",
		// Mapping drift fails loudly: NetSuite refuses what it does not know.
		"X-NetSuite-PropertyNameValidation": "Error", "X-NetSuite-PropertyValueValidation": "Error"}}, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("configuring the NetSuite sink: %w", err)
	}
	return &Sink{cfg: cfg, client: client, names: newNames(), jobs: newJobs(cfg.Memory), log: log}, nil
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	e := sinks.Entity{Name: name, CanVerify: true, Horizon: s.cfg.Horizon}
	if compared, ok := documents[name]; ok {
		e.Steps, e.Compared = []string{stepCreate}, compared
		return e, nil
	}
	if m, ok := masters[name]; ok {
		e.Steps, e.Compared, e.Takes, e.Edits = []string{stepUpsert}, []string{"every field of the body"}, m.table(), true
		return e, nil
	}
	return e, fmt.Errorf("the NetSuite sink knows the entities %s, not %q", strings.Join(entities(), ", "), name)
}

func entities() []string {
	return slices.Sorted(slices.Values(append(sortedKeys(documents), sortedKeys(masters)...)))
}

// request is the frozen intent of a step.
type request struct {
	Type     string          `json:"type"`               // record type of NetSuite
	Key      string          `json:"key"`                // external id
	Body     json.RawMessage `json:"body,omitempty"`     // of a document, as it is sent
	Lists    string          `json:"lists,omitempty"`    // of a document, the sublists that its body has
	Expect   *expect         `json:"expect,omitempty"`   // of a document, what must come back
	Master   *wanted         `json:"master,omitempty"`   // of a master, what is wanted of it
	Original string          `json:"original,omitempty"` // of a credit, the id of what it corrects
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	intent := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	e, err := s.Entity(op.Entity)
	if err != nil || !slices.Contains(e.Steps, step) {
		return intent, rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", step, op.Entity), "Correct the mapping; the entities are "+strings.Join(entities(), ", ")+".")
	}
	x, cancel := s.begin(ctx)
	defer cancel()
	var req request
	key, err := encodeKey(s.cfg.Prefix, op.Company, op.ExternalID)
	if err != nil {
		return intent, rejected("KEY", "external_id", err.Error(), "Shorten the external id in the mapping.")
	}
	var out *sinks.Outcome
	switch {
	case step == stepUpsert:
		req, out = x.prepareMaster(op, key)
	case op.Entity == journalEntity:
		req, out = x.prepareJournal(op)
	default:
		req, out = x.prepareInvoice(op)
	}
	if out != nil {
		return intent, out
	}
	req.Key, req.Lists = key, sublists(req.Body)
	if intent.Request, err = json.Marshal(req); err != nil {
		return intent, rejected("BODY", "", err.Error(), "")
	}
	return intent, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.timed(ctx, in, (*exchange).createDocument, (*exchange).upsertMaster)
}

// Verify implements sinks.Sink.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.timed(ctx, in, (*exchange).verifyDocument, (*exchange).verifyMaster)
}

type action func(*exchange, sinks.Intent, request) sinks.Outcome

func (s *Sink) timed(ctx context.Context, in sinks.Intent, document, master action) sinks.Outcome {
	var req request
	if err := decode(in.Request, &req); err != nil || req.Expect == nil && req.Master == nil {
		return *rejected("BODY", "", fmt.Sprintf("reading the frozen request: %v", err), "Replay the event.")
	}
	x, cancel := s.begin(ctx)
	defer cancel()
	start := time.Now()
	do := document
	if req.Master != nil {
		do = master
	}
	o := do(x, in, req)
	o.Took, o.Message = time.Since(start), web.Clip(o.Message, 500)
	if o.Request == "" {
		o.Request = x.request
	}
	if o.Answer == "" {
		o.Answer = x.answer
	}
	return o
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	s.client.Close()
	return nil
}

func rejected(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Field: field, Message: web.Clip(message, 500), Hint: hint}
}

func setup(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Setup, Code: code, Field: field, Message: web.Clip(message, 500), Hint: hint}
}

func conflict(code, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Conflict, Code: code, Message: web.Clip(message, 500), Hint: hint}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
