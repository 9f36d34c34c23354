package s4hana

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

// call is a request of OData, alone or in a batch.
type call struct {
	method, service string
	path            string // behind the service
	query           url.Values
	header          http.Header
	body            []byte
}

// reply is its answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// tx is what is done as a whole: on a copy of the data, which takes the data's place when all went well.
type tx struct {
	*Product
	sim    *sinktest.Sim
	data   *store
	behind time.Duration
	lines  []sinktest.Committed
}

func (p *Product) begin(s *sinktest.Sim) *tx {
	return &tx{Product: p, sim: s, data: p.data.copy(), behind: p.options.CommitDelay}
}

func (t *tx) commit() {
	t.Product.data = t.data
	for _, line := range t.lines {
		t.sim.Commit(line)
	}
}

func (p *Product) odata(s *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	service, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), odataRoot), "/")
	switch {
	case !serviceKnown(service):
		send(w, fault(service, http.StatusForbidden, "/IWFND/MED/170", "No service found for namespace '', name '"+service+"', version '0001'"))
		return
	case !p.session(w, r):
		return
	case path == "" || path == "$metadata":
		w.WriteHeader(http.StatusOK) // a service that is there; its description is not simulated
		return
	case path == "$batch":
		p.batch(s, w, r, service, body)
		return
	}
	c := call{method: r.Method, service: service, path: path, query: r.URL.Query(), header: r.Header, body: body}
	send(w, p.repeatable(c, func() reply {
		t := p.begin(s)
		answer := t.do(c)
		if answer.status < 300 {
			t.commit()
		}
		return answer
	}))
}

func send(w http.ResponseWriter, r reply) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // into memory
}

var requestID = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

// repeatable gives the answer of a RequestID again, where the services honour it.
func (p *Product) repeatable(c call, do func() reply) reply {
	id, created := c.header.Get("RequestID"), c.header.Get("RepeatabilityCreation")
	if !p.options.Repeatable || id == "" || c.method == http.MethodGet {
		return do()
	}
	if _, err := http.ParseTime(created); err != nil || !requestID.MatchString(id) {
		return fault(c.service, http.StatusBadRequest, "/IWBEP/CM_MGW_RT/097", "RequestID needs 32 hexadecimal digits, and RepeatabilityCreation a date")
	}
	if known, ok := p.answered[id]; ok && time.Since(known.at) < p.options.Window {
		return reply{known.status, known.header, known.body}
	}
	answer := do()
	if answer.header == nil {
		answer.header = http.Header{}
	}
	answer.header.Set("RepeatabilityResult", "accepted")
	if answer.status < 500 {
		p.answered[id] = repeat{time.Now(), answer.status, answer.header, answer.body}
	}
	return answer
}

var segment = regexp.MustCompile(`^([A-Za-z_]+)(?:\((.*)\))?$`)

// do performs one request.
func (t *tx) do(c call) reply {
	path, err := url.PathUnescape(c.path)
	if err != nil {
		return t.notFound(c, c.path)
	}
	first, rest, deep := cutSegment(path)
	m := segment.FindStringSubmatch(first)
	if m == nil {
		return t.notFound(c, first)
	}
	if m[1] == "Cancel" && c.service == "API_BILLING_DOCUMENT_SRV" {
		return t.cancel(c)
	}
	s := sets[m[1]]
	if s == nil || s.service != c.service {
		return t.notFound(c, m[1])
	}
	if t.struck(c) {
		return fault(c.service, http.StatusBadRequest, "R1/140", strings.TrimPrefix(m[1], "A_")+" is being processed by user CC0000000042")
	}
	method := c.method
	if over := c.header.Get("X-HTTP-Method"); method == http.MethodPost && over != "" {
		method = over
	}
	if !strings.HasSuffix(first, ")") {
		if deep {
			return t.notFound(c, rest)
		}
		return t.collection(c, method, m[1])
	}
	keys, ok := s.readKeys(m[2])
	if !ok {
		return fault(c.service, http.StatusBadRequest, "/IWBEP/CM_MGW_RT/021", "Invalid key predicate of "+m[1])
	}
	found, ok := t.data.get(m[1], keys)
	if ok && method == http.MethodGet {
		found, ok = found.seen(t.behind)
	}
	if !ok {
		return fault(c.service, http.StatusNotFound, "/IWBEP/CM_MGW_RT/020", "Resource not found for segment '"+m[1]+"'")
	}
	if deep {
		return t.navigate(c, method, m[1], found, rest)
	}
	return t.entity(c, method, m[1], found)
}

// struck says whether a lock holds up a write, and how far behind a read is.
func (t *tx) struck(c call) (locked bool) {
	entity, step := pathNames(c.method, "/"+c.service+"/"+c.path)
	if c.method == http.MethodGet {
		if o, hit := t.sim.Struck(sinktest.StaleReads, entity, "read"); hit {
			t.behind = max(t.behind, o.Delay)
		}
		return false
	}
	_, locked = t.sim.Struck(sinktest.Locked, entity, step)
	return locked
}

// collection answers a request for an entity set.
func (t *tx) collection(c call, method, name string) reply {
	switch method {
	case http.MethodGet:
		return t.list(c, name, func(row) bool { return true })
	case http.MethodPost:
		return t.post(c, name, nil)
	}
	return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method '"+method+"' not supported for entity set "+name)
}

// entity answers a request for one entity that is there.
func (t *tx) entity(c call, method, name string, found row) reply {
	s := sets[name]
	switch method {
	case http.MethodGet:
		return t.one(c, name, found)
	case http.MethodPatch, "MERGE", http.MethodPut, http.MethodDelete:
		if !s.writes {
			return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method '"+method+"' not supported for entity set "+name)
		}
		match := c.header.Get("If-Match")
		switch {
		case s.etag && match == "":
			return fault(c.service, http.StatusPreconditionRequired, "/IWBEP/CM_MGW_RT/105", "The Data Services Request is required to be conditional. Try using the \"If-Match\" header.")
		case s.etag && match != "*" && match != found.etag():
			return fault(c.service, http.StatusPreconditionFailed, "/IWBEP/CM_MGW_RT/104", "Precondition failed: the entity was changed")
		case method == http.MethodPut:
			return fault(c.service, http.StatusNotImplemented, "/IWBEP/CM_MGW_RT/021", "PUT is not simulated; use PATCH or MERGE")
		case method == http.MethodDelete:
			return t.drop(c, name, found)
		}
		return t.patch(c, name, found)
	}
	return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method '"+method+"' not supported")
}

// navigate follows a navigation property: it reads what is there, or creates a further entity.
func (t *tx) navigate(c call, method, name string, from row, rest string) reply {
	to := sets[name].navs[rest]
	if to == "" {
		return t.notFound(c, rest)
	}
	related := relation(to, from)
	switch {
	case method == http.MethodPost:
		return t.post(c, to, related)
	case method != http.MethodGet:
		return fault(c.service, http.StatusMethodNotAllowed, "/IWFND/CM_BEC/027", "Method '"+method+"' not supported")
	case single(rest):
		i := slices.IndexFunc(t.data.rows[to], func(r row) bool { return r.has(related) })
		if i < 0 {
			return fault(c.service, http.StatusNotFound, "/IWBEP/CM_MGW_RT/020", "Resource not found for segment '"+rest+"'")
		}
		return t.one(c, to, t.data.rows[to][i])
	}
	return t.list(c, to, func(r row) bool { return r.has(related) })
}

// relation are the keys of a set that a row of another has too.
func relation(to string, from row) map[string]string {
	keys := map[string]string{}
	for _, k := range sets[to].keys {
		if v := text(from.values[k]); v != "" {
			keys[k] = v
		}
	}
	return keys
}

func single(nav string) bool { return nav == "to_Customer" }

// cutSegment cuts a path behind its first segment, whose keys may hold slashes in quotes.
func cutSegment(path string) (first, rest string, deep bool) {
	quote := false
	for i, r := range path {
		switch {
		case r == '\'':
			quote = !quote
		case r == '/' && !quote:
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// readKeys reads ('x') or (A='x',B='y').
func (s *set) readKeys(predicate string) (map[string]string, bool) {
	keys := map[string]string{}
	if text, ok := unquote(predicate); ok && len(s.keys) == 1 {
		return map[string]string{s.keys[0]: text}, true
	}
	for predicate != "" {
		name, rest, ok := strings.Cut(predicate, "=")
		end := 1 // behind the quote that opens
		for ; ok && end < len(rest); end++ {
			if rest[end] == '\'' {
				if end+1 < len(rest) && rest[end+1] == '\'' {
					end++
					continue
				}
				break
			}
		}
		if !ok || end >= len(rest) {
			return nil, false
		}
		v, quoted := unquote(rest[:end+1])
		if !quoted || !slices.Contains(s.keys, name) {
			return nil, false
		}
		keys[name] = v
		predicate = strings.TrimPrefix(rest[end+1:], ",")
	}
	return keys, len(keys) == len(s.keys)
}

func unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return "", false
	}
	inner := strings.ReplaceAll(text[1:len(text)-1], "''", "\x00")
	return strings.ReplaceAll(inner, "\x00", "'"), !strings.Contains(inner, "'")
}

func (t *tx) notFound(c call, name string) reply {
	return fault(c.service, http.StatusNotFound, "/IWBEP/CM_MGW_RT/020", "Resource not found for the segment '"+name+"'")
}

// fault is an error in the words of the V2 services.
func fault(service string, status int, code, message string) reply {
	id := hex.EncodeToString([]byte(random()))[:32]
	body := map[string]any{"error": map[string]any{"code": code, "message": map[string]string{"lang": "en", "value": message},
		"innererror": map[string]any{
			"application":      map[string]string{"component_id": "", "service_namespace": "/SAP/", "service_id": service, "service_version": "0001"},
			"transactionid":    strings.ToUpper(id),
			"timestamp":        time.Now().UTC().Format("20060102150405.0000000"),
			"Error_Resolution": map[string]string{"SAP_Transaction": "Run transaction /IWFND/ERROR_LOG on SAP Gateway hub system and search for entries with the timestamp above for more details"},
			"errordetails":     []any{map[string]string{"code": code, "message": message, "propertyref": "", "severity": "error", "target": ""}}}}}
	return jsonReply(status, body)
}
