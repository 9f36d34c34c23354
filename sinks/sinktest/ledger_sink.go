package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

var ledgerSteps = map[string][]string{"customer": {"upsert"}, "sales_invoice": {"create", "post"}}

// LedgerSink is the sink of the simulated ERP, written as an adapter should be.
type LedgerSink struct {
	// Horizon is how long a write of unknown outcome may still appear; longer than any Delay of a test. Default: the
	// timeout and a second.
	Horizon time.Duration
	// Sequenced gives all posts of invoices one number sequence.
	Sequenced bool

	url    string
	client *http.Client
}

var (
	_ sinks.Sink   = (*LedgerSink)(nil)
	_ sinks.Binder = (*LedgerSink)(nil)
)

// NewLedgerSink makes a sink of the simulator at a URL.
func NewLedgerSink(url string, timeout time.Duration) *LedgerSink {
	return &LedgerSink{Horizon: timeout + time.Second, url: url,
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// Entity implements sinks.Sink.
func (s *LedgerSink) Entity(name string) (sinks.Entity, error) {
	steps := ledgerSteps[name]
	if steps == nil {
		return sinks.Entity{}, fmt.Errorf("the simulated ERP knows the entities customer and sales_invoice, not %q", name)
	}
	e := sinks.Entity{Name: name, Steps: steps, CanVerify: true, Horizon: s.Horizon, Compared: []string{"digest of the body"}}
	if name == "customer" {
		e.Takes = &transform.TargetTable{Fields: []transform.TargetField{{Name: "code", Required: true}, {Name: "name", Required: true, Most: 60}}}
	}
	return e, nil
}

// Prepare implements sinks.Sink.
func (s *LedgerSink) Prepare(_ context.Context, op sinks.Operation, step string, prior map[string]sinks.Outcome,
	now time.Time) (sinks.Intent, *sinks.Outcome) {
	in := sinks.Intent{Operation: op, Step: step, At: now.UTC()}
	var body bytes.Buffer
	if err := json.Compact(&body, op.Body); err != nil {
		return in, &sinks.Outcome{Class: sinks.Rejected, Code: "BODY", Message: err.Error(), Hint: "The body must be JSON."}
	}
	e := Effect{Entity: op.Entity, Step: step, ExternalID: op.ExternalID, OrderKey: op.OrderKey, Sort: op.Sort,
		Digest: hash(body.String()), Body: body.Bytes()}
	if step == "post" {
		in.Ref = prior["create"].Ref
		e.Ref = in.Ref
		if s.Sequenced {
			in.Sequence = "ledger/" + op.Entity
		}
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return in, &sinks.Outcome{Class: sinks.Rejected, Code: "BODY", Message: err.Error()}
	}
	in.Request = raw
	return in, nil
}

// Deliver implements sinks.Sink.
func (s *LedgerSink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	var e Effect
	if o := s.call(ctx, http.MethodPost, "/do", in.Request, &e); o != nil {
		o.Request = string(in.Request)
		return *o
	}
	return sinks.Outcome{Class: sinks.Applied, Ref: e.Ref, Number: e.Number, Facts: e.facts(), Request: string(in.Request)}
}

// Verify implements sinks.Sink.
func (s *LedgerSink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	var want Effect
	if err := json.Unmarshal(in.Request, &want); err != nil {
		return sinks.Outcome{Class: sinks.Rejected, Code: "BODY", Message: err.Error()}
	}
	var found []Effect
	q := url.Values{"entity": {in.Entity}, "external_id": {in.ExternalID}}
	if o := s.call(ctx, http.MethodGet, "/find?"+q.Encode(), nil, &found); o != nil {
		if o.Class == sinks.Unknown {
			o.Class = sinks.RetryLater // a read may always be repeated
		}
		return *o
	}
	var last Effect
	n := 0
	for _, e := range found {
		if e.Step == in.Step {
			last, n = e, n+1
		}
	}
	switch {
	case n == 0:
		return sinks.Outcome{Class: sinks.Absent}
	case in.Step == "upsert" && last.Digest != want.Digest:
		return sinks.Outcome{Class: sinks.Absent, Message: "The record has other values."}
	case in.Step != "upsert" && n > 1:
		return sinks.Outcome{Class: sinks.Conflict, Code: "DUPLICATE_IN_TARGET", Message: fmt.Sprintf("Found %d times.", n)}
	case last.Digest != want.Digest:
		return sinks.Outcome{Class: sinks.Conflict, Code: "POST_CONFLICT", Ref: last.Ref, Message: "Found with another body."}
	}
	return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: last.Ref, Number: last.Number, Facts: last.facts()}
}

// facts are what an ERP reads back of a document.
func (e *Effect) facts() map[string]string {
	facts := map[string]string{"digest": e.Digest}
	var body map[string]any
	if json.Unmarshal(e.Body, &body) != nil {
		return facts // of a body that is no object nothing is read back
	}
	for _, name := range []string{"date", "currency", "net", "tax", "total"} {
		if text, ok := body[name].(string); ok {
			facts[name] = text
		}
	}
	if facts["date"] != "" {
		facts["posting_date"] = e.posted()
	}
	return facts
}

// Check implements sinks.Sink.
func (s *LedgerSink) Check(ctx context.Context) ([]cdc.Finding, error) {
	id, err := s.Identity(ctx)
	if err != nil {
		return nil, err
	}
	return []cdc.Finding{{Check: "simulated ERP", Level: cdc.LevelOK, Found: id}}, nil
}

// Identity implements sinks.Sink.
func (s *LedgerSink) Identity(ctx context.Context) (string, error) {
	var head ledgerHead
	if o := s.call(ctx, http.MethodGet, "/identity", nil, &head); o != nil {
		return "", errors.New("asking the simulated ERP: " + o.Code + ": " + o.Message)
	}
	return head.Identity, nil
}

// Bound implements sinks.Binder.
func (s *LedgerSink) Bound(ctx context.Context) (*sinks.Binding, error) {
	var head ledgerHead
	if o := s.call(ctx, http.MethodGet, "/binding", nil, &head); o != nil {
		return nil, errors.New("reading the binding: " + o.Code + ": " + o.Message)
	}
	if head.Binding == nil {
		return nil, nil
	}
	var b sinks.Binding
	if err := json.Unmarshal(head.Binding, &b); err != nil {
		return nil, fmt.Errorf("reading the binding: %w", err)
	}
	return &b, nil
}

// Bind implements sinks.Binder.
func (s *LedgerSink) Bind(ctx context.Context, b sinks.Binding) error {
	raw, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing the binding: %w", err)
	}
	if o := s.call(ctx, http.MethodPut, "/binding", raw, nil); o != nil {
		return errors.New("writing the binding: " + o.Code + ": " + o.Message)
	}
	return nil
}

// Close implements sinks.Sink.
func (s *LedgerSink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// call sends one request, once. The outcome is nil when into holds the answer.
func (s *LedgerSink) call(ctx context.Context, method, path string, body []byte, into any) *sinks.Outcome {
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return &sinks.Outcome{Class: sinks.Setup, Code: "ADDRESS", Message: err.Error()}
	}
	req.GetBody = nil
	resp, err := s.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	}
	if err != nil {
		o := &sinks.Outcome{Class: sinks.RetryLater, Code: "OUTAGE", Outage: true, Message: err.Error()}
		if sent {
			o.Class = sinks.Unknown
		}
		return o
	}
	o := &sinks.Outcome{Answer: string(body[:min(len(body), 4096)]), Message: http.StatusText(resp.StatusCode)}
	switch resp.StatusCode {
	case http.StatusOK:
		if into != nil {
			if err := json.Unmarshal(body, into); err != nil {
				o.Class, o.Code, o.Message = sinks.Unknown, "ANSWER", err.Error()
				return o
			}
		}
		return nil
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		o.Class, o.Code, o.Wait = sinks.RetryLater, "RATE", time.Duration(seconds)*time.Second
	case http.StatusServiceUnavailable:
		o.Class, o.Code, o.Outage = sinks.RetryLater, "OUTAGE", true // the simulator has certainly done nothing
	case http.StatusUnauthorized:
		o.Class, o.Code, o.Hint = sinks.Setup, "AUTH", "Correct the credentials."
	case http.StatusUnprocessableEntity:
		o.Class, o.Code, o.Message = sinks.Rejected, "REFUSED", o.Answer
		if code, _, said := strings.Cut(o.Answer, ":"); said && code == "PERIOD_CLOSED" {
			o.Code = code
		}
	default:
		o.Class, o.Code, o.Outage = sinks.Unknown, "OUTAGE", true
	}
	return o
}
