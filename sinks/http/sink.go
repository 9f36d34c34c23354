// Package http is the sink of services that take requests over HTTP in JSON, XML or a form: an ERP without an adapter of its own, a billing
// system that is asked for an invoice. Each posting is one request, or several steps, with a key by which the service does nothing twice,
// and a request that finds out what became of it. What an answer means is a table of the configuration before one of the adapter.
package http

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	nethttp "net/http"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Sink sends postings to one service.
type Sink struct {
	cfg      Config
	client   *web.Client
	entities map[string][]step
}

var _ sinks.Sink = (*Sink)(nil)

const stepSend = "send"

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 20

// step is one request of an entity, made ready.
type step struct {
	Entity
	body    *bodyTemplate // nil: the posting's own, or none
	look    *bodyTemplate // of the verification; nil: none
	own     []web.Case    // the lines of the configuration
	sent    []web.Case    // they and those of the adapter
	looked  []web.Case
	removes bool // it is done when nothing is there
}

// New makes the sink. It asks the service nothing.
func New(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the HTTP sink: %w", err)
	}
	s := &Sink{cfg: cfg.withDefaults(), entities: map[string][]step{}}
	for name, e := range s.cfg.Entities {
		for _, request := range e.steps() {
			ready, err := request.ready()
			if err != nil {
				return nil, fmt.Errorf("configuring entity %s of the HTTP sink: %w", name, err)
			}
			s.entities[name] = append(s.entities[name], ready)
		}
	}
	o := web.Options{Timeout: s.cfg.Timeout}
	if s.cfg.Secret.Set() {
		o.Auth = web.Header(s.cfg.SecretHeader, s.cfg.Secret)
	}
	var err error
	if s.client, err = s.cfg.Auth.Client(o, s.cfg.URL); err != nil {
		return nil, fmt.Errorf("configuring the HTTP sink: %w", err)
	}
	return s, nil
}

func (e Entity) ready() (s step, err error) {
	s = step{Entity: e, removes: e.Method == nethttp.MethodDelete}
	s.sent = table(e.Outcomes, e.Status, sendWords, sent)
	s.own = s.sent[:len(s.sent)-len(sent)]
	s.looked = table(e.Verify.Outcomes, e.Verify.Status, verifyWords, looked)
	if e.Body != "" {
		if s.body, err = parseBody(e.Body, e.Format); err != nil {
			return s, fmt.Errorf("the body: expected %w", err)
		}
	}
	if e.Verify.Body != "" {
		if s.look, err = parseBody(e.Verify.Body, e.Format); err != nil {
			return s, fmt.Errorf("the body of verify: expected %w", err)
		}
	}
	return s, nil
}

func (s *Sink) step(entity, name string) (step, bool) {
	i := slices.IndexFunc(s.entities[entity], func(st step) bool { return st.Name == name })
	if i < 0 {
		return step{}, false
	}
	return s.entities[entity][i], true
}

// Entity implements sinks.Sink.
func (s *Sink) Entity(name string) (sinks.Entity, error) {
	all, ok := s.entities[name]
	if !ok {
		return sinks.Entity{}, fmt.Errorf("the sink's configuration has the entities %s, not %q", strings.Join(slices.Sorted(maps.Keys(s.cfg.Entities)), ", "), name)
	}
	e := sinks.Entity{Name: name, Horizon: s.cfg.Horizon, CanVerify: true}
	for _, st := range all {
		e.Steps = append(e.Steps, st.Name)
		e.CanVerify = e.CanVerify && st.Verify.Path != ""
		e.Compared = append(e.Compared, slices.Sorted(maps.Keys(st.Verify.Compare))...)
	}
	slices.Sort(e.Compared)
	e.Compared = slices.Compact(e.Compared)
	return e, nil
}

// request is what an intent freezes. The secret is not in it.
type request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // behind the sink's url
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`   // the posting's own
	Text    string            `json:"text,omitempty"`   // or one that was filled in
	Number  string            `json:"number,omitempty"` // that an earlier step got
}

// payload is what is sent.
func (r request) payload() []byte {
	if r.Text != "" {
		return []byte(r.Text)
	}
	return r.Body
}

// Prepare implements sinks.Sink. It asks the service nothing.
func (s *Sink) Prepare(_ context.Context, op sinks.Operation, name string, prior map[string]sinks.Outcome, now time.Time) (sinks.Intent, *sinks.Outcome) {
	in := sinks.Intent{Operation: op, Step: name, At: now.UTC()}
	st, ok := s.step(op.Entity, name)
	if !ok {
		return in, rejected("ENTITY", fmt.Sprintf("no step %q of entity %q", name, op.Entity), "Correct the mapping's posts, or the sink's entities.")
	}
	body, err := decode(op.Body)
	if err != nil {
		return in, rejected("BODY", err.Error(), "")
	}
	at := scope{op: op, body: body}
	for _, earlier := range s.entities[op.Entity] {
		if o := prior[earlier.Name]; o.Ref != "" {
			at.ref, at.number = o.Ref, o.Number
		}
	}
	in.Ref = at.ref
	r, out := st.freeze(at)
	if out != nil {
		return in, out
	}
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

// freeze makes the request of a step.
func (st step) freeze(at scope) (r request, out *sinks.Outcome) {
	r = request{Method: st.Method, Headers: maps.Clone(st.Headers), Number: at.number}
	var err error
	if r.Path, err = expand(st.Path, at); err != nil {
		return r, rejected("PATH", err.Error(), "Name in path what each posting has, or give it in the mapping's body.")
	}
	if _, _, err := st.question(at); err != nil {
		return r, rejected("PATH", err.Error(), "Name in verify what each posting has, or give it in the mapping's body.")
	}
	key := at.op.ExternalID
	if strings.ContainsAny(key, "\r\n\x00") || key == "" {
		return r, rejected("KEY", fmt.Sprintf("the external id %q cannot stand in a header", key), "Correct external_id in the mapping.")
	}
	if st.KeyHeader != "none" {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[st.KeyHeader] = key
	}
	switch {
	case st.body != nil:
		if r.Text, err = st.body.fill(at); err != nil {
			return r, rejected("BODY", err.Error(), "Name in body what each posting has, mark it with ?, or give it in the mapping.")
		}
	case st.Format != formatNone:
		r.Body = at.op.Body
	}
	return r, nil
}

// question is the path and body of a verification; both empty when there is none.
func (st step) question(at scope) (path, body string, err error) {
	if st.Verify.Path == "" {
		return "", "", nil
	}
	if path, err = expand(st.Verify.Path, at); err != nil || st.look == nil {
		return path, "", err
	}
	body, err = st.look.fill(at)
	return path, body, err
}

// headers are those of one request: what its format says, then those of the sink, then its own.
func (s *Sink) headers(st step, body []byte, own map[string]string) map[string]string {
	accept := "application/json"
	if st.Format == formatXML {
		accept = "application/xml"
	}
	all := map[string]string{"Accept": accept}
	if len(body) > 0 {
		all["Content-Type"] = mediaType(st.Format)
	}
	for _, headers := range []map[string]string{s.cfg.Headers, own} {
		for name, value := range headers {
			all[nethttp.CanonicalHeaderKey(name)] = value
		}
	}
	return all
}

// Deliver implements sinks.Sink.
func (s *Sink) Deliver(ctx context.Context, in sinks.Intent) sinks.Outcome {
	st, ok := s.step(in.Entity, in.Step)
	var r request
	if err := json.Unmarshal(in.Request, &r); err != nil || !ok {
		return *rejected("ENTITY", fmt.Sprintf("no step %q of entity %q, or an intent of another form", in.Step, in.Entity), "Correct the sink's entities, then retry.")
	}
	body := r.payload()
	a := s.client.Do(ctx, web.Request{Method: r.Method, URL: s.cfg.URL + r.Path, Header: s.headers(st, body, r.Headers), Body: body})
	o := st.delivered(a, in)
	o.Took, o.Request, o.Answer = a.Took, clip(r.Method+" "+r.Path+" "+string(body), 4096), clip(string(a.Body), 4096)
	return o
}

// delivered classifies the answer to a write.
func (st step) delivered(a web.Answer, in sinks.Intent) sinks.Outcome {
	if o := web.Unanswered(a, false); o != nil {
		return *o
	}
	d, broken := read(a) // an error of it matters only where the body is needed
	said := st.said(a, d)
	if o := st.unread(st.own, said); o != nil {
		return *o
	}
	o := web.Classify(st.sent, said)
	o.Wait = a.Wait
	if o.Class != sinks.Applied {
		return o
	}
	o = sinks.Outcome{Class: sinks.Applied, Ref: in.Ref}
	if broken != nil && !st.readable() {
		broken = nil
	}
	if broken == nil {
		broken = st.read(d.v, a, st.Ref, &o)
	}
	if broken != nil { // it is done, but by what name is not known: that is looked for
		return sinks.Outcome{Class: sinks.Unknown, Code: codeAnswer, Message: clip(broken.Error(), 500), Hint: web.HintUnknown}
	}
	return o
}

// readable says whether something must be read of an answer's body.
func (e Entity) readable() bool {
	return e.Ref != "" && !strings.HasPrefix(e.Ref, headerRef) || e.Number != "" || len(e.Facts) > 0
}

// headerRef begins a ref that a header carries.
const headerRef = "header:"

// read takes the service's id, number and facts of a document.
func (e Entity) read(v any, a web.Answer, ref string, o *sinks.Outcome) error {
	if name, ok := strings.CutPrefix(ref, headerRef); ok {
		text := strings.TrimRight(a.Header.Get(name), "/")
		if o.Ref = text[strings.LastIndexByte(text, '/')+1:]; o.Ref == "" {
			return fmt.Errorf("an answer without the header %s", name)
		}
	} else if ref != "" {
		if o.Ref, ok = member(v, ref); !ok || o.Ref == "" {
			return fmt.Errorf("an answer without %s", ref)
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
	s.client.Close()
	return nil
}

func rejected(code, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Message: clip(message, 500), Hint: hint}
}

func clip(text string, most int) string { return web.Clip(text, most) }
