package businesscentral

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"waybill/sinks"
)

// Sink posts into one company of Business Central.
type Sink struct {
	cfg   Config
	pool  *pool
	names *names
	log   *slog.Logger
	ids   atomic.Int32 // whether the server takes our ids: one of the states below
}

var _ sinks.Sink = (*Sink)(nil)

// What is known of the server and our ids.
const (
	idsUnknown int32 = iota
	idsTaken
	idsRefused
)

// The entities of the mapping and their steps.
const (
	entityCustomer = "customer"
	entityLocation = "location"
	entityItem     = "item"
	entityTaxCode  = "tax_code"
	entityInvoice  = "sales_invoice"
	entityCredit   = "credit_note"
	entityJournal  = "journal_entry"

	stepUpsert = "upsert"
	stepCreate = "create"
	stepPost   = "post"
)

var entities = []string{entityCustomer, entityLocation, entityItem, entityTaxCode, entityInvoice, entityCredit, entityJournal}

// New makes the adapter. It asks the server nothing.
func New(cfg Config, log *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the Business Central sink: %w", err)
	}
	cfg = cfg.withDefaults()
	pool, err := newPool(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuring the Business Central sink: %w", err)
	}
	s := &Sink{cfg: cfg, pool: pool, names: newNames(), log: log}
	switch cfg.ClientIDs {
	case IDsYes:
		s.ids.Store(idsTaken)
	case IDsNo:
		s.ids.Store(idsRefused)
	}
	return s, nil
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	e := sinks.Entity{Name: name, CanVerify: true, Horizon: s.cfg.Horizon}
	switch {
	case masters[name] != nil:
		e.Steps, e.Compared, e.Takes, e.Edits = []string{stepUpsert}, []string{"every field of the body"}, masters[name].takes(), true
	case name == entityInvoice || name == entityCredit:
		e.Steps, e.Compared = []string{stepCreate, stepPost}, []string{"external document number", "customer", "currency", "date", "net", "tax", "total"}
	case name == entityJournal:
		e.Steps, e.Compared = []string{stepCreate, stepPost}, []string{"document number", "date", "lines", "total"}
	default:
		return sinks.Entity{}, fmt.Errorf("the Business Central sink knows the entities %s, not %q", strings.Join(entities, ", "), name)
	}
	return e, nil
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, op sinks.Operation, step string, prior map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	in := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	if out := s.known(op.Entity, step); out != nil {
		return in, out
	}
	x, cancel := s.begin(ctx)
	defer cancel()
	if out := x.open(); out != nil {
		return in, out
	}
	var request any
	var out *sinks.Outcome
	switch {
	case step == stepUpsert:
		request, out = x.prepareMaster(op)
	case step == stepPost:
		in.Ref = prior[stepCreate].Ref
		request, out = x.preparePost(op, in.Ref)
	case op.Entity == entityJournal:
		var journal journalRequest
		if journal, out = x.prepareJournal(op); out == nil {
			out = x.books.period("posting_date", journal.Date)
		}
		request = journal
	default:
		request, out = x.prepareDocument(op)
	}
	if out != nil {
		return in, out
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return in, rejected("BODY", "", err.Error(), "")
	}
	in.Request = raw
	return in, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.timed(ctx, in, func(x *exchange) sinks.Outcome {
		switch {
		case in.Step == stepUpsert:
			return x.upsert(in)
		case in.Entity == entityJournal && in.Step == stepCreate:
			return x.createJournal(in)
		case in.Entity == entityJournal:
			return x.postJournal(in)
		case in.Step == stepCreate:
			return x.createDocument(in)
		}
		return x.postDocument(in)
	})
}

// Verify implements sinks.Sink.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.timed(ctx, in, func(x *exchange) sinks.Outcome {
		switch {
		case in.Step == stepUpsert:
			return x.verifyMaster(in)
		case in.Entity == entityJournal && in.Step == stepCreate:
			return x.verifyJournal(in)
		case in.Entity == entityJournal:
			return x.verifyJournalPost(in)
		case in.Step == stepCreate:
			return x.verifyDocument(in)
		}
		return x.verifyPost(in)
	})
}

func (s *Sink) known(entity, step string) *sinks.Outcome {
	if e, err := s.Entity(entity); err != nil || !slices.Contains(e.Steps, step) {
		return rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", step, entity), "Correct the mapping: "+strings.Join(entities, ", ")+" are known.")
	}
	return nil
}

func (s *Sink) timed(ctx context.Context, in sinks.Intent, do func(*exchange) sinks.Outcome) sinks.Outcome {
	if out := s.known(in.Entity, in.Step); out != nil {
		return *out
	}
	begun := time.Now()
	x, cancel := s.begin(ctx)
	defer cancel()
	var o sinks.Outcome
	if out := x.open(); out != nil {
		o = *out
	} else {
		o = do(x)
	}
	o.Took, o.Request, o.Answer = time.Since(begun), x.request, x.answer
	return o
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	s.pool.close()
	return nil
}

func rejected(code, field, message, hint string) *sinks.Outcome {
	return refusal(sinks.Rejected, code, field, message, hint)
}

func conflict(code, message, hint string) *sinks.Outcome {
	return refusal(sinks.Conflict, code, "", message, hint)
}

func refusal(class sinks.Class, code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: class, Code: code, Field: field, Message: clip(message, 500), Hint: hint}
}

// clip bounds a text to n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}
