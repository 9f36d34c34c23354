package s4hana

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// The entities.
const (
	customerEntity = "customer"
	locationEntity = "location"
	itemEntity     = "item"
	invoiceEntity  = "sales_invoice"
	creditEntity   = "credit_note"
	journalEntity  = "journal_entry"

	stepUpsert = "upsert"
	stepPost   = "post"
)

// Sink posts into one company code. A document is in the books with its one step: there are no drafts.
type Sink struct {
	cfg      Config
	client   *web.Client
	refusals refusals
}

var _ sinks.Sink = (*Sink)(nil)

// handler is what an entity does.
type handler struct {
	step     string
	edits    bool // it tells what somebody else changed
	compared []string
	prepare  func(*exchange, sinks.Operation, time.Time) (any, *sinks.Outcome)
	deliver  func(*exchange, sinks.Intent) sinks.Outcome
	verify   func(*exchange, sinks.Intent) sinks.Outcome
}

var everyField, everyTotal = []string{"every field of the body"}, []string{"reference", "party", "currency", "date", "total"}

// handlers are the entities.
var handlers = map[string]handler{
	customerEntity: {stepUpsert, true, everyField, (*exchange).prepareCustomer, (*exchange).upsertPartner, (*exchange).verifyPartner},
	locationEntity: {stepUpsert, true, everyField, (*exchange).prepareLocation, (*exchange).upsertPartner, (*exchange).verifyPartner},
	itemEntity:     {stepUpsert, false, everyField, (*exchange).prepareItem, (*exchange).upsertItem, (*exchange).verifyItem},
	invoiceEntity:  {stepPost, false, everyTotal, (*exchange).prepareInvoice, (*exchange).post, (*exchange).verifyPost},
	creditEntity:   {stepPost, false, everyTotal, (*exchange).prepareCredit, (*exchange).post, (*exchange).verifyPost},
	journalEntity:  {stepPost, false, []string{"reference", "currency", "date", "total"}, (*exchange).prepareJournal, (*exchange).post, (*exchange).verifyPost},
}

// known are the entities in the order in which people read them.
var known = []string{customerEntity, locationEntity, itemEntity, invoiceEntity, creditEntity, journalEntity}

// New makes the adapter; nothing is asked.
func New(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the S/4HANA sink: %w", err)
	}
	cfg = cfg.withDefaults()
	// Messages and numbers are in English, whatever the user's language is.
	client, err := cfg.Auth.Client(web.Options{Headers: map[string]string{"Accept-Language": "en"}, Timeout: cfg.Timeout}, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("configuring the S/4HANA sink: %w", err)
	}
	return &Sink{cfg: cfg, client: client}, nil
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	h, ok := handlers[name]
	if !ok {
		why := ""
		if name == "tax_code" {
			why = " (tax codes are customizing in S/4HANA: name them in tax_codes)"
		}
		return sinks.Entity{}, fmt.Errorf("the S/4HANA sink knows the entities %s, not %q%s", strings.Join(known, ", "), name, why)
	}
	return sinks.Entity{Name: name, Steps: []string{h.step}, CanVerify: true, Horizon: s.cfg.Horizon, Compared: h.compared, Takes: takes(name), Edits: h.edits}, nil
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	intent := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	h, ok := handlers[op.Entity]
	if !ok || h.step != step {
		return intent, rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", step, op.Entity), "Correct the mapping; the entities are "+strings.Join(known, ", ")+".")
	}
	if op.Company != "" && op.Company != s.cfg.Company {
		return intent, rejected("COMPANY", "company", fmt.Sprintf("The posting is for company %q, the sink posts into %q.", op.Company, s.cfg.Company), "Give the company a sink of its own.")
	}
	request, out := h.prepare(&exchange{Sink: s, ctx: ctx}, op, now)
	if out != nil {
		return intent, out
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return intent, rejected("BODY", "", err.Error(), "")
	}
	intent.Request = raw
	return intent, nil
}

// messageID is that of an operation: the same until the target has refused it.
func (x *exchange) messageID(op sinks.Operation, step string) string {
	return messageID(x.cfg.Company, op.Entity, op.ExternalID, step, string(op.Body), x.refusals.of(op, step)).String()
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	o := s.step(ctx, in, func(h handler) func(*exchange, sinks.Intent) sinks.Outcome { return h.deliver })
	s.refusals.note(in, o)
	return o
}

// Verify implements sinks.Sink.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return s.step(ctx, in, func(h handler) func(*exchange, sinks.Intent) sinks.Outcome { return h.verify })
}

func (s *Sink) step(ctx context.Context, in sinks.Intent, which func(handler) func(*exchange, sinks.Intent) sinks.Outcome) sinks.Outcome {
	h, ok := handlers[in.Entity]
	if !ok || h.step != in.Step {
		return *rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", in.Step, in.Entity), "Correct the mapping.")
	}
	x := &exchange{Sink: s, ctx: ctx}
	begun := time.Now()
	o := which(h)(x, in)
	o.Took, o.Message = time.Since(begun), web.Clip(o.Message, 500)
	if o.Request == "" {
		o.Request, o.Answer = x.request, x.answer
	}
	return o
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	s.client.Close()
	return nil
}

// frozen reads a request back.
func frozen(in sinks.Intent, into any) *sinks.Outcome {
	if err := json.Unmarshal(in.Request, into); err != nil {
		return rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	return nil
}

// keys of a map in order, for messages.
func keysOf(changes []change) string {
	var all []string
	for _, c := range changes {
		for name := range c.Body {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
