// Package erp holds the adapters of ERP systems. An adapter freezes what it will send, sends it once, reads back what
// happened, and classifies every answer by a table; see sinks.Sink for what that means.
package erp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"waybill/sinks"
)

// Tryton posts into one company of a Tryton 6.0 database. It knows two entities: customer (a party, found by its code)
// and sales_invoice (a customer invoice or credit memo, found by its reference).
//
// Tryton has no idempotency for invoices, so a draft may be created twice; a draft has no accounting effect, and the
// create step keeps the oldest and deletes the others. Posting a posted invoice does nothing there.
type Tryton struct {
	cfg   TrytonConfig
	rpc   *rpc
	names *names
	log   *slog.Logger
}

var (
	_ sinks.Sink   = (*Tryton)(nil)
	_ sinks.Binder = (*Tryton)(nil)
)

// The entities.
const (
	customerEntity = "customer"
	invoiceEntity  = "sales_invoice"

	stepUpsert = "upsert"
	stepCreate = "create"
	stepPost   = "post"
)

// NewTryton makes the adapter. It asks the server nothing; the first use logs in.
func NewTryton(cfg TrytonConfig, log *slog.Logger) (*Tryton, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the Tryton sink: %w", err)
	}
	cfg = cfg.withDefaults()
	c := newRPC(cfg, log)
	return &Tryton{cfg: cfg, rpc: c, names: newNames(), log: log}, nil
}

// Entity implements sinks.Sink.
func (t *Tryton) Entity(name string) (sinks.Entity, error) {
	switch name {
	case customerEntity:
		return sinks.Entity{Name: name, Steps: []string{stepUpsert}, CanVerify: true, Horizon: t.cfg.Horizon,
			Compared: []string{"every field of the body"}, Takes: t.customerTable(), Edits: true}, nil
	case invoiceEntity:
		return sinks.Entity{Name: name, Steps: []string{stepCreate, stepPost}, CanVerify: true, Horizon: t.cfg.Horizon,
			Compared: []string{"reference", "party", "currency", "date", "net", "tax", "total"}}, nil
	}
	return sinks.Entity{}, fmt.Errorf("the Tryton sink knows the entities %s and %s, not %q", customerEntity, invoiceEntity, name)
}

// Prepare implements sinks.Sink.
func (t *Tryton) Prepare(ctx context.Context, op sinks.Operation, step string, prior map[string]sinks.Outcome,
	now time.Time) (sinks.Intent, *sinks.Outcome) {
	x, cancel := t.begin(ctx)
	defer cancel()
	intent := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	var request any
	var out *sinks.Outcome
	switch op.Entity + "/" + step {
	case customerEntity + "/" + stepUpsert:
		request, out = x.prepareCustomer(op)
	case invoiceEntity + "/" + stepCreate:
		request, out = x.prepareInvoice(op, now)
	case invoiceEntity + "/" + stepPost:
		intent.Ref = prior[stepCreate].Ref
		var post postRequest
		post, out = x.preparePost(op, intent.Ref, now)
		request, intent.Sequence = post, post.Sequence
	default:
		return intent, rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", step, op.Entity),
			"Correct the mapping: customer (upsert) and sales_invoice (create, post) are known.")
	}
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

// Deliver implements sinks.Sink.
func (t *Tryton) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return t.timed(ctx, in, map[string]func(*exchange, sinks.Intent) sinks.Outcome{
		stepUpsert: (*exchange).upsertCustomer, stepCreate: (*exchange).createInvoice, stepPost: (*exchange).postInvoice})
}

// Verify implements sinks.Sink.
func (t *Tryton) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	return t.timed(ctx, in, map[string]func(*exchange, sinks.Intent) sinks.Outcome{
		stepUpsert: (*exchange).verifyCustomer, stepCreate: (*exchange).verifyInvoice, stepPost: (*exchange).verifyPost})
}

func (t *Tryton) timed(ctx context.Context, in sinks.Intent, by map[string]func(*exchange, sinks.Intent) sinks.Outcome) sinks.Outcome {
	do := by[in.Step]
	if e, err := t.Entity(in.Entity); err != nil || !slices.Contains(e.Steps, in.Step) || do == nil {
		return *rejected("ENTITY", "", fmt.Sprintf("no step %q of entity %q", in.Step, in.Entity), "Correct the mapping.")
	}
	x, cancel := t.begin(ctx)
	defer cancel()
	start := time.Now()
	_, out := x.companyOf()
	if out == nil {
		o := do(x, in)
		out = &o
	}
	o := *out
	o.Took = time.Since(start)
	o.Message = clip(o.Message, 500)
	if o.Request == "" {
		o.Request, o.Answer = x.request, x.answer
	}
	return o
}

// Close implements sinks.Sink.
func (t *Tryton) Close() error {
	t.rpc.close()
	return nil
}

// exchange is the calls of one step, together under the sink's timeout.
type exchange struct {
	*Tryton
	ctx             context.Context
	request, answer string // of the last write
}

func (t *Tryton) begin(ctx context.Context) (*exchange, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	return &exchange{Tryton: t, ctx: ctx}, cancel
}

// read calls a method that changes nothing. The outcome is nil when into holds the result.
func (x *exchange) read(into any, model, method string, more record, params ...any) *sinks.Outcome {
	a := x.rpc.call(x.ctx, "model."+model+"."+method, x.context(more), params...)
	if a.fault == nil && a.refused == nil {
		if err := decodeAnswer(a.result, into); err != nil {
			a.fault = &fault{Kind: kindCut, Text: "an answer of another shape: " + err.Error()}
		}
	}
	return x.outcome(a, classifyRead)
}

// write calls a method that changes something.
func (x *exchange) write(into any, model, method string, more record, params ...any) (*fault, *sinks.Outcome) {
	a := x.rpc.call(x.ctx, "model."+model+"."+method, x.context(more), params...)
	x.request, x.answer = a.request, a.raw
	if a.fault == nil && a.refused == nil && into != nil {
		if err := decodeAnswer(a.result, into); err != nil {
			a.fault = &fault{Kind: kindCut, Text: "an answer of another shape: " + err.Error()}
		}
	}
	return a.fault, x.outcome(a, classify)
}

func (x *exchange) outcome(a answer, by func(fault) sinks.Outcome) *sinks.Outcome {
	if a.refused != nil {
		return a.refused
	}
	if a.fault == nil {
		return nil
	}
	o := by(*a.fault)
	if o.Code == codeStaleName {
		x.names.forget()
	}
	o.Request, o.Answer = a.request, a.raw
	return &o
}

// context is Tryton's own: the language is pinned, for errors have texts and no codes.
func (x *exchange) context(more record) record {
	c := record{"language": "en"}
	if id := x.names.company(); id != 0 {
		c["company"] = id
	}
	for k, v := range more {
		c[k] = v
	}
	return c
}

// find reads the rows of a model that match, at most limit, in the order of their ids.
func (x *exchange) find(model string, domain []any, limit int, fields []string, more record) ([]record, *sinks.Outcome) {
	var rows []record
	out := x.read(&rows, model, "search_read", more, domain, 0, limit, [][]string{{"id", "ASC"}}, fields)
	return rows, out
}

func rejected(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Field: field, Message: clip(message, 500), Hint: hint}
}

func setup(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Setup, Code: code, Field: field, Message: clip(message, 500), Hint: hint}
}

func conflict(code, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Conflict, Code: code, Message: clip(message, 500), Hint: hint}
}
