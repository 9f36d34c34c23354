// Package http is the sink of services that take JSON over HTTP: a billing system that is asked for an invoice. Each posting is one
// request, with a key by which the service does nothing twice, and a GET that finds out what became of it.
package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	nethttp "net/http"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
)

// Sink sends postings to one service.
type Sink struct {
	cfg    Config
	client *nethttp.Client
	now    func() time.Time
}

var _ sinks.Sink = (*Sink)(nil)

const stepSend = "send"

// New makes the sink. It asks the service nothing.
func New(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the HTTP sink: %w", err)
	}
	return &Sink{cfg: cfg.withDefaults(), client: newClient(), now: time.Now}, nil
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	e, ok := s.cfg.Entities[name]
	if !ok {
		return sinks.Entity{}, fmt.Errorf("the sink's configuration has the entities %s, not %q", strings.Join(slices.Sorted(maps.Keys(s.cfg.Entities)), ", "), name)
	}
	return sinks.Entity{Name: name, Steps: []string{stepSend}, CanVerify: e.Verify.Path != "", Horizon: s.cfg.Horizon,
		Compared: slices.Sorted(maps.Keys(e.Verify.Compare))}, nil
}

// request is what an intent freezes. The secret is not in it.
type request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // behind the sink's url
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body"`
}

// Prepare implements sinks.Sink. It asks the service nothing.
func (s *Sink) Prepare(_ context.Context, op sinks.Operation, step string, _ map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	in := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	e, ok := s.cfg.Entities[op.Entity]
	if !ok || step != stepSend {
		return in, rejected("ENTITY", fmt.Sprintf("no step %q of entity %q", step, op.Entity), "Correct the mapping's posts, or the sink's entities.")
	}
	body, err := decode(op.Body)
	if err != nil {
		return in, rejected("BODY", err.Error(), "")
	}
	r := request{Method: e.Method, Headers: maps.Clone(e.Headers), Body: op.Body}
	if r.Path, err = expand(e.Path, op, body); err != nil {
		return in, rejected("PATH", err.Error(), "Name in path what each posting has, or give it in the mapping's body.")
	}
	if e.Verify.Path != "" {
		if _, err = expand(e.Verify.Path, op, body); err != nil {
			return in, rejected("PATH", err.Error(), "Name in verify.path what each posting has, or give it in the mapping's body.")
		}
	}
	if strings.ContainsAny(op.ExternalID, "\r\n\x00") || op.ExternalID == "" {
		return in, rejected("KEY", fmt.Sprintf("the external id %q cannot stand in a header", op.ExternalID), "Correct external_id in the mapping.")
	}
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	r.Headers[e.KeyHeader] = op.ExternalID
	raw, err := json.Marshal(r)
	if err != nil {
		return in, rejected("BODY", err.Error(), "")
	}
	if len(raw) > maxRequest {
		return in, rejected("TOO_LONG", fmt.Sprintf("a request of %d bytes; at most %d are sent", len(raw), maxRequest), "Send less in the mapping's body.")
	}
	in.Request = raw
	return in, nil
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	e, ok := s.cfg.Entities[in.Entity]
	var r request
	if err := json.Unmarshal(in.Request, &r); err != nil || !ok {
		return *rejected("ENTITY", fmt.Sprintf("no entity %q, or an intent of another form", in.Entity), "Correct the sink's entities, then retry.")
	}
	begun := time.Now()
	x := s.do(ctx, r.Method, s.cfg.URL+r.Path, r.Headers, r.Body)
	o := s.delivered(e, x)
	o.Took, o.Request, o.Answer = time.Since(begun), clip(r.Method+" "+r.Path+" "+string(r.Body), 4096), clip(string(x.body), 4096)
	return o
}

// delivered classifies the answer to a write.
func (s *Sink) delivered(e Entity, x exchange) sinks.Outcome {
	if o := unanswered(x); o != nil {
		if !x.sent && o.Class == sinks.Unknown {
			o.Class, o.Hint = sinks.RetryLater, "" // nothing left us
		}
		return *o
	}
	o := classify(x.status, e.Status, sendWords, sent)
	o.Wait = x.wait
	s.explain(&o, x)
	if o.Class != sinks.Applied {
		return o
	}
	if e.Ref == "" && e.Number == "" && len(e.Facts) == 0 {
		return o
	}
	v, err := decode(x.body)
	if err == nil {
		err = e.read(v, &o)
	}
	if err != nil { // it is done, but by what name is not known: that is looked for
		return sinks.Outcome{Class: sinks.Unknown, Code: codeAnswer, Message: clip(err.Error(), 500), Hint: hintUnknown}
	}
	return o
}

// explain adds what the service said about a refusal.
func (s *Sink) explain(o *sinks.Outcome, x exchange) {
	if o.Class == sinks.Applied || o.Class == sinks.AlreadyApplied || o.Class == sinks.Absent {
		return
	}
	if x.moved != "" {
		o.Message += ": it points to " + x.moved + ", which is not followed"
	}
	v, err := decode(x.body)
	if err != nil {
		return
	}
	for _, name := range []string{"message", "detail", "title", "error", "error.message"} {
		if text, ok := member(v, name); ok && text != "" {
			o.Message += ": " + text
			break
		}
	}
	if field, ok := member(v, "field"); ok {
		o.Field = clip(field, 100)
	}
	o.Message = clip(o.Message, 500)
}

// unanswered is the outcome of a request without a whole answer; nil when there is one.
func unanswered(x exchange) *sinks.Outcome {
	if x.err == nil {
		return nil
	}
	var secret *secretError
	if errors.As(x.err, &secret) {
		return &sinks.Outcome{Class: sinks.Setup, Code: codeSecret, Message: clip(x.err.Error(), 500), Hint: "Make secret_file readable again."}
	}
	return &sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: true, Message: clip(x.err.Error(), 500), Hint: hintUnknown}
}

// read takes the service's id, number and facts of a document.
func (e Entity) read(v any, o *sinks.Outcome) error {
	var ok bool
	if e.Ref != "" {
		if o.Ref, ok = member(v, e.Ref); !ok || o.Ref == "" {
			return fmt.Errorf("an answer without %s", e.Ref)
		}
	}
	if e.Number != "" {
		o.Number, _ = member(v, e.Number)
	}
	for _, name := range e.Facts {
		if text, ok := member(v, name); ok {
			if o.Facts == nil {
				o.Facts = map[string]string{}
			}
			o.Facts[name] = clip(text, 200)
		}
	}
	return nil
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

func rejected(code, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Message: clip(message, 500), Hint: hint}
}
