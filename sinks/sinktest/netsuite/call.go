package netsuite

import (
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
