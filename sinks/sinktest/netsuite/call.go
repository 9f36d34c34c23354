package netsuite

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

// call is one request, or one part of a batch.
type call struct {
	server *Server
	sim    *sinktest.Sim
	r      *http.Request
	body   []byte
	base   string
}

const (
	recordPath = "/services/rest/record/v1/"
	jobPath    = "/services/rest/async/v1/job/"
	tokenPath  = "/services/rest/auth/oauth2/v1/token"
	limitsPath = "/services/rest/system/v1/governanceLimits"
)

// target is what the path of a record request names.
type target struct {
	kind      *kind
	name      string   // of the type, known or not
	id        string   // internal id
	external  string   // external id
	rest      []string // a sublist, or a transformation
	collected bool     // the body is a batch
}

// targetOf reads a path below record/v1.
func targetOf(r *http.Request) (t target, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), recordPath)
	if !ok {
		return t, false
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		clear, err := url.PathUnescape(part)
		if err != nil {
			return t, false
		}
		parts[i] = clear
	}
	t.name, t.kind = parts[0], kinds[parts[0]]
	if len(parts) > 1 {
		var external bool
		if t.external, external = strings.CutPrefix(parts[1], "eid:"); !external {
			t.id, t.external = parts[1], ""
		} else if t.external == "" {
			return t, false
		}
		t.rest = parts[2:]
	}
	form, more, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	t.collected = err == nil && form == "application/vnd.oracle.resource+json" && more["type"] == "collection"
	return t, true
}

// Names implements sinktest.SimProduct: an entity of the ledger and create, update, delete, batch or read; "login" for a token; "job" and "read" for
// what became of a job.
func (p product) Names(r *http.Request, _ []byte) (entity, step string) {
	switch {
	case r.URL.Path == tokenPath:
		return "", "login"
	case strings.HasPrefix(r.URL.Path, jobPath):
		return "job", "read"
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return (&call{server: p.s, r: r}).names()
}

// handle answers a request.
func (s *Server) handle(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.r.URL.Path == tokenPath {
		return s.token(c)
	}
	entity, step := c.names()
	if _, hit := c.sim.Struck(sinktest.ExpireTokens, entity, step); hit {
		clear(s.logins.tokens)
	}
	if !s.admitted(c) {
		return invalidLogin.answer()
	}
	switch {
	case c.r.URL.Path == limitsPath:
		return s.limits(c)
	case strings.HasPrefix(c.r.URL.Path, jobPath):
		return s.readJob(c)
	}
	t, ok := targetOf(c.r)
	if !ok || t.kind == nil {
		return notFound(c.r.URL.Path).answer()
	}
	if strings.Contains(c.r.Header.Get("Prefer"), "respond-async") {
		return s.enqueue(c, t)
	}
	if t.collected {
		return badHeader("Prefer", "A collection is taken only with Prefer: respond-async.").answer()
	}
	return s.perform(c, t)
}

// names are those of faults; the lock is held.
func (c *call) names() (entity, step string) {
	t, ok := targetOf(c.r)
	if !ok {
		return "", "read"
	}
	entity = t.name
	if t.kind != nil && t.kind.entity != "" {
		entity = t.kind.entity
	}
	switch {
	case len(t.rest) == 2 && t.rest[0] == "!transform" && kinds[t.rest[1]] != nil:
		return kinds[t.rest[1]].entity, "create"
	case c.r.Method == http.MethodGet:
		return entity, "read"
	case c.r.Method == http.MethodDelete:
		return entity, "delete"
	case t.collected:
		return entity, "batch"
	case c.r.Method == http.MethodPost, c.r.Method == http.MethodPut && c.server.byExternal(t.name, t.external) == nil:
		return entity, "create"
	}
	return entity, "update"
}

// perform does what a request asks, now.
func (s *Server) perform(c *call, t target) answer {
	entity, step := c.names()
	if c.r.Method == http.MethodGet {
		return s.read(c, t)
	}
	if t.id == "" && t.external == "" && c.r.Method != http.MethodPost {
		return badURL(c.r.URL.Path, "A record is named by its id or by eid: and its external ID.").answer()
	}
	if t.external != "" && !externalIDs.MatchString(t.external) {
		return badURL("eid:"+t.external, "The external ID has other characters than letters, digits, _ and -.").answer()
	}
	if _, hit := c.sim.Struck(sinktest.Locked, entity, step); hit {
		return locked().answer()
	}
	w, p := c.write(t)
	if p != nil {
		return p.answer()
	}
	r := s.find(t)
	switch c.r.Method {
	case http.MethodDelete:
		return s.delete(w, r, t)
	case http.MethodPost:
		return s.post(c, w, r, t)
	case http.MethodPut:
		if t.external == "" {
			return badURL(t.id, "PUT takes an external ID: eid: and the ID.").answer()
		}
		return s.upsert(c, w, r, t)
	case http.MethodPatch:
		if r == nil {
			return notFound(named(t)).answer()
		}
		return s.change(c, w, r)
	}
	return refusal(http.StatusMethodNotAllowed, detail{Detail: "The method is not allowed here.", Code: "METHOD_NOT_ALLOWED"}).answer()
}

func (s *Server) find(t target) *record {
	if t.external != "" {
		return s.byExternal(t.name, t.external)
	}
	return s.byID(t.name, t.id)
}

func named(t target) string {
	if t.external != "" {
		return "eid:" + t.external
	}
	return t.id
}

// write reads what the headers and the query say of a change.
func (c *call) write(t target) (*write, *problem) {
	w := &write{server: c.server, sim: c.sim, kind: t.kind, strict: strictness{Warning, Error}, replace: map[string]bool{}}
	for name, into := range map[string]*level{"X-NetSuite-PropertyNameValidation": &w.strict.names, "X-NetSuite-PropertyValueValidation": &w.strict.values} {
		if given := c.r.Header.Get(name); given != "" {
			if *into = level(given); *into != Error && *into != Warning && *into != Ignore {
				return nil, badHeader(name, "The value is Error, Warning or Ignore, not "+given+".")
			}
		}
	}
	for name := range strings.SplitSeq(c.r.URL.Query().Get("replace"), ",") {
		if name == "" {
			continue
		}
		if f, ok := t.kind.fields[name]; !ok || f.form != sublist {
			return nil, badQuery("replace", "There is no sublist "+name+".")
		}
		w.replace[name] = true
	}
	if c.r.Method == http.MethodDelete || t.collected {
		return w, nil
	}
	form, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || form != "application/json" && form != "application/vnd.oracle.resource+json" {
		return nil, refusal(http.StatusUnsupportedMediaType, detail{Detail: "The content type is application/json.", Code: "INVALID_HEADER", Header: "Content-Type"})
	}
	return w, nil
}

func (c *call) object() (map[string]any, *problem) {
	var body map[string]any
	if err := decode(c.body, &body); err != nil || body == nil {
		return nil, refusal(http.StatusBadRequest, detail{Detail: "Invalid content in the request body: not a JSON object.", Code: invalidContent})
	}
	return body, nil
}

func (c *call) done(w *write, r *record) answer {
	a := answer{status: http.StatusNoContent, header: map[string]string{"Location": fmt.Sprintf("%s%s%s/%s", c.base, recordPath, r.kind.name, r.id)}}
	if len(w.warned) > 0 {
		a.header["Warning"] = fmt.Sprintf("199 - %q", "ignored: "+strings.Join(w.warned, ", "))
	}
	return a
}

func (s *Server) post(c *call, w *write, r *record, t target) answer {
	body, p := c.object()
	if p != nil {
		return p.answer()
	}
	switch {
	case len(t.rest) == 2 && t.rest[0] == "!transform" && t.name == "invoice" && t.rest[1] == "creditMemo":
		if r == nil {
			return notFound(named(t)).answer()
		}
		w.kind = kinds["creditMemo"]
		body = credited(r, body)
	case t.id != "" || t.external != "":
		return refusal(http.StatusMethodNotAllowed, detail{Detail: "POST makes a record of a type.", Code: "METHOD_NOT_ALLOWED"}).answer()
	}
	made, p := w.create(body)
	if p != nil {
		return p.answer()
	}
	return c.done(w, made)
}

// credited is a credit memo as a transformation of an invoice makes it; what the body says wins.
func credited(invoice *record, body map[string]any) map[string]any {
	from := invoice.last().values
	out := map[string]any{"entity": clone(from["entity"]), "subsidiary": clone(from["subsidiary"]), "currency": clone(from["currency"]), "createdFrom": map[string]any{"id": invoice.id}}
	if _, own := body["item"]; !own {
		items := []any{}
		for _, line := range rows(from, "item") {
			copied := clone(line).(map[string]any)
			delete(copied, "grossAmt")
			items = append(items, copied)
		}
		out["item"] = map[string]any{"items": items}
	}
	if _, own := body["apply"]; !own {
		out["apply"] = map[string]any{"items": []any{map[string]any{"apply": true, "doc": map[string]any{"id": invoice.id}}}}
	}
	for name, value := range body {
		out[name] = value
	}
	return out
}

// upsert is PUT: it makes a record, or changes the one that is there.
func (s *Server) upsert(c *call, w *write, r *record, t target) answer {
	body, p := c.object()
	if p != nil {
		return p.answer()
	}
	if other, said := body["externalId"]; said && other != t.external {
		return content("externalId", "The external ID of the body is not that of the address.").answer()
	}
	body["externalId"] = t.external
	if r != nil {
		if p := w.update(r, body); p != nil {
			return p.answer()
		}
		return c.done(w, r)
	}
	made, p := w.create(body)
	if p != nil {
		return p.answer()
	}
	return c.done(w, made)
}

func (s *Server) change(c *call, w *write, r *record) answer {
	body, p := c.object()
	if p == nil {
		p = w.update(r, body)
	}
	if p != nil {
		return p.answer()
	}
	return c.done(w, r)
}

func (s *Server) delete(w *write, r *record, t target) answer {
	if r == nil {
		return notFound(named(t)).answer()
	}
	if p := w.remove(r); p != nil {
		return p.answer()
	}
	return answer{status: http.StatusNoContent}
}

// limits are asked by administrators.
func (s *Server) limits(c *call) answer {
	if !s.options.Administrator {
		return refusal(http.StatusForbidden, detail{Detail: "Your current role does not have permission to perform this action.", Code: "INSUFFICIENT_PERMISSION"}).answer()
	}
	said := map[string]any{"accountConcurrencyLimit": s.options.Concurrent, "accountUnallocatedConcurrencyLimit": s.options.Concurrent - s.options.Integration, "integrationLimitType": "accountLimit"}
	if s.options.Integration > 0 {
		said["integrationConcurrencyLimit"], said["integrationLimitType"] = s.options.Integration, "integrationSpecific"
	}
	return answer{status: http.StatusOK, body: said}
}

// then is the moment whose state a read sees.
func (c *call) then(entity string) time.Time {
	if o, stale := c.sim.Struck(sinktest.StaleReads, entity, "read"); stale {
		return time.Now().Add(-o.Delay)
	}
	return time.Now()
}
