package webhook

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/web"
)

// Publisher posts events to an address. It implements sinks.Publisher.
type Publisher struct {
	cfg    Config
	client *web.Client
	signer *signer
}

var _ sinks.Publisher = (*Publisher)(nil)

const (
	parallelMost = 1000    // calls at the same time; the sink's policy says fewer
	bytesMost    = 1 << 20 // of the events of one request
	idleMost     = 256     // connections kept open
)

// New makes a publisher; nothing is asked. The configuration must be valid. The error is of certificates that cannot be read.
func New(c Config) (*Publisher, error) {
	c = c.withDefaults()
	client, err := c.Auth.Client(web.Options{Headers: c.Headers, Timeout: c.Timeout, Idle: idleMost}, c.URL)
	if err != nil {
		return nil, err
	}
	return &Publisher{c, client, newSigner(c.Secret, c.OtherSecret)}, nil
}

// Terms implements sinks.Publisher.
func (p *Publisher) Terms() sinks.Terms {
	t := sinks.Terms{Batch: 1, Parallel: parallelMost}
	if p.cfg.Mode == Batched {
		t.Batch, t.Bytes = p.cfg.Batch, bytesMost
	}
	return t
}

// Publish implements sinks.Publisher. The events of one topic are one request each, or one batch. When a batch is refused its events are sent one
// by one: then it shows which of them is meant.
func (p *Publisher) Publish(ctx context.Context, events []sinks.Publication) []sinks.Outcome {
	outcomes := make([]sinks.Outcome, len(events))
	stopped := map[string]bool{} // order keys
	for from := 0; from < len(events); {
		to := from + 1
		for p.cfg.Mode == Batched && to < len(events) && events[to].Topic == events[from].Topic {
			to++
		}
		p.publish(ctx, events[from:to], outcomes[from:to], stopped)
		from = to
	}
	return outcomes
}

// publish sends events of one topic. What stands behind one of its order key that was not taken is not sent.
func (p *Publisher) publish(ctx context.Context, events []sinks.Publication, outcomes []sinks.Outcome, stopped map[string]bool) {
	var send []sinks.Publication
	var at []int
	for i, e := range events {
		if stopped[e.Event.OrderKey] {
			outcomes[i] = sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeBehind, Message: "An event before it was not taken."}
			continue
		}
		send, at = append(send, e), append(at, i)
	}
	if len(send) == 0 {
		return
	}
	o := p.send(ctx, send)
	if o.Class == sinks.Rejected && len(send) > 1 {
		for n, i := range at {
			p.publish(ctx, send[n:n+1], outcomes[i:i+1], stopped)
		}
		return
	}
	for n, i := range at {
		outcomes[i] = o
		stopped[send[n].Event.OrderKey] = stopped[send[n].Event.OrderKey] || !o.Done()
	}
}

// send makes one request.
func (p *Publisher) send(ctx context.Context, list []sinks.Publication) sinks.Outcome {
	m, err := write(p.cfg.Mode, list)
	if err != nil {
		return sinks.Outcome{Class: sinks.Rejected, Code: "NOT_WRITTEN", Message: web.Clip(err.Error(), 500)}
	}
	if len(m.body) > web.MaxRequest {
		return sinks.Outcome{Class: sinks.Rejected, Code: "TOO_LARGE", Message: fmt.Sprintf("A request of %d bytes; at most %d are sent.", len(m.body), web.MaxRequest)}
	}
	header, err := p.signer.header(m.id, time.Now(), m.body)
	if err != nil {
		return sinks.Outcome{Class: sinks.Setup, Code: "AUTH", Message: web.Clip(err.Error(), 500), Hint: "Correct the secret in the sink's configuration. Nothing is sent unsigned."}
	}
	maps.Copy(m.header, header)
	a := p.client.Do(ctx, web.Request{Method: http.MethodPost, URL: strings.ReplaceAll(p.cfg.URL, "{topic}", url.PathEscape(list[0].Topic)), Header: m.header, Body: m.body})
	a.Body = []byte(p.signer.hide(string(a.Body)))
	if o := web.Unanswered(a, true); o != nil { // a receiver tells repeats by the id
		return *o
	}
	o := web.Classify(table, web.Said{Status: a.Status, Message: said(a)})
	o.Wait, o.Took = a.Wait, a.Took
	if !o.Done() {
		o.Request, o.Answer = web.Clip(string(m.body), 4000), web.Clip(string(a.Body), 4000)
	}
	return o
}

// said is an answer in words.
func said(a web.Answer) string {
	text := fmt.Sprintf("The receiver answered %d %s", a.Status, http.StatusText(a.Status))
	if body := strings.Join(strings.Fields(string(a.Body[:min(len(a.Body), 1000)])), " "); body != "" {
		text += ": " + body
	}
	return text
}

// Seen implements sinks.Publisher: a receiver cannot be asked.
func (p *Publisher) Seen(context.Context, []sinks.Publication) ([]bool, error) { return nil, nil }

// Check implements sinks.Publisher. The receiver is asked by HEAD, which changes nothing; what it answers is shown.
func (p *Publisher) Check(ctx context.Context) ([]cdc.Finding, error) {
	signing := cdc.Finding{Check: "signature", Level: cdc.LevelOK, Found: "Standard Webhooks v1"}
	switch keys, err := p.signer.read(); {
	case err != nil:
		signing = cdc.Finding{Check: "signature", Level: cdc.LevelFail, Found: err.Error(), Want: "a secret that can be read", Why: "Nothing is sent unsigned."}
	case len(keys) == 0:
		signing = cdc.Finding{Check: "signature", Level: cdc.LevelWarn, Found: "none", Want: "a secret", Why: "The receiver cannot tell whose events these are.", Fix: "secret_file: webhook.secret"}
	case len(keys) > 1:
		signing.Found += fmt.Sprintf(", %d secrets", len(keys))
	}
	a := p.client.Do(ctx, web.Request{Method: http.MethodHead, URL: strings.ReplaceAll(p.cfg.URL, "{topic}", "topic")})
	if a.Err != nil {
		return nil, fmt.Errorf("asking %s: %w", p.cfg.shown(), a.Err)
	}
	return []cdc.Finding{signing, {Check: "address", Level: cdc.LevelOK, Found: fmt.Sprintf("answers HEAD with %d", a.Status)},
		{Check: "delivery", Level: cdc.LevelOK, Found: "at least once, with the same webhook-id",
			Why: "the receiver must recognise repeats by webhook-id, or in batches by each event's id"}}, nil
}

// Identity implements sinks.Publisher: the address, for a receiver has no other name.
func (p *Publisher) Identity(context.Context) (string, error) {
	u, err := url.Parse(p.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("the address of the receiver: %w", err)
	}
	return "webhook/" + u.Host + u.Path, nil
}

// Close implements sinks.Publisher.
func (p *Publisher) Close() error {
	p.client.Close()
	return nil
}
