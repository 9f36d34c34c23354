package businesscentral

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"waybill/sinks/sinktest"
)

// Options say how the environment is set up.
type Options struct {
	Sim          sinktest.SimOptions // Concurrent 0 means 5 and Queue 0 means 95, the product's limits of one user
	Tenant       string              // default "waybill.example"
	Environment  string              // default "production"
	ClientID     string              // default "waybill"
	ClientSecret string              // default "s3cret-of-entra"
	TokenLife    time.Duration       // default 1h
	Companies    []string            // names; default Northstar Freight Lines
	// ClientIDs lets a POST bring its id (SystemId). The page of salesInvoice says that the id is not editable, that of the transition to v2.0
	// that it may be given: both are tested.
	ClientIDs bool
	// ReplicaLag is how much reads are behind that do not ask for the primary by Data-Access-Intent: ReadWrite.
	ReplicaLag time.Duration
	// LocalCurrency is the companies' own. Default USD.
	LocalCurrency string
	// IgnoreIntent is that an administrator overrides the header (page 9880): all reads are of the replica.
	IgnoreIntent bool
}

// Simulator is one environment of Business Central.
type Simulator struct {
	*sinktest.Sim
	options Options

	mu        sync.Mutex
	tokens    map[string]time.Time
	logins    int
	companies []*company
	tags      int
	from, to  string          // allowed posting dates
	rates     map[string]Rate // percent of the tax codes
}

// Start starts an environment until the test ends.
func Start(tb testing.TB, o Options) *Simulator {
	tb.Helper()
	for _, d := range []struct {
		at    *string
		value string
	}{{&o.Tenant, "waybill.example"}, {&o.Environment, "production"}, {&o.ClientID, "waybill"}, {&o.ClientSecret, "s3cret-of-entra"}, {&o.LocalCurrency, "USD"}} {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.Sim.Concurrent == 0 {
		o.Sim.Concurrent = 5
	}
	if o.Sim.Queue == 0 {
		o.Sim.Queue = 95
	}
	if len(o.Companies) == 0 {
		o.Companies = []string{"Northstar Freight Lines"}
	}
	s := &Simulator{options: o, tokens: map[string]time.Time{}, rates: map[string]Rate{}}
	for _, name := range o.Companies {
		s.companies = append(s.companies, newCompany(uuid.NewSHA1(uuid.NameSpaceDNS, []byte(o.Tenant+"/"+name)).String(), name))
	}
	s.Sim = sinktest.StartSim(tb, s, o.Sim)
	return s
}

// TokenURL is where tokens are given out, and API the address before "companies".
func (s *Simulator) TokenURL() string { return s.URL + "/" + s.options.Tenant + "/oauth2/v2.0/token" }

// API is the address before "companies".
func (s *Simulator) API() string {
	return s.URL + "/v2.0/" + s.options.Tenant + "/" + s.options.Environment + "/api/v2.0"
}

// request is one request, alone or as a part of a batch.
type request struct {
	method string
	path   []segment // behind api/v2.0
	query  url.Values
	header http.Header
	body   []byte
}

// segment is a step of a path: a set, or one of its records.
type segment struct{ name, id string }

func (s *Simulator) route(r *http.Request) ([]segment, bool) {
	_, rest, api := strings.Cut(r.URL.Path, "/api/v2.0/")
	base := strings.TrimSuffix(r.URL.Path, "/api/v2.0/"+rest)
	if !api || base != "/v2.0/"+s.options.Tenant+"/"+s.options.Environment && base != "/v2.0/"+s.options.Environment {
		return nil, false
	}
	return segments(rest), true
}

func segments(path string) []segment {
	var all []segment
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		name, id, _ := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		all = append(all, segment{name, strings.ToLower(strings.Trim(id, "'"))})
	}
	return all
}

// Names implements sinktest.SimProduct.
func (s *Simulator) Names(r *http.Request, _ []byte) (entity, step string) {
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		return "", "login"
	}
	path, ok := s.route(r)
	if !ok {
		return "", ""
	}
	return about(r.Method, path)
}

func about(method string, path []segment) (entity, step string) {
	for _, p := range path {
		if r := resources[p.name]; r != nil && r.entity != "" {
			entity = r.entity
		}
	}
	last := path[len(path)-1]
	action, isAction := strings.CutPrefix(last.name, "Microsoft.NAV.")
	switch {
	case method == http.MethodGet:
		return entity, "read"
	case last.name == "$batch":
		return "", "batch"
	case isAction:
		return entity, action
	case method == http.MethodPatch:
		return entity, "update"
	case method == http.MethodDelete:
		return entity, "delete"
	}
	return entity, "create"
}

// Handle implements sinktest.SimProduct.
func (s *Simulator) Handle(_ *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	entity, step := s.Names(r, body)
	if step == "login" {
		s.login(w, r, body)
		return
	}
	path, ok := s.route(r)
	if !ok {
		s.answer(w, http.StatusNotFound, bad("BadRequest_NotFound", "No HTTP resource was found that matches the request.").body())
		return
	}
	if !s.admitted(r, entity, step) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.answer(w, http.StatusUnauthorized, refuse(http.StatusUnauthorized, "Authentication_InvalidCredentials", "The server has rejected the client credentials.").body())
		return
	}
	for fault, status := range map[sinktest.Fault]int{OperationTimeout: http.StatusRequestTimeout, QueueTimeout: http.StatusServiceUnavailable} {
		if o, hit := s.Sim.Struck(fault, entity, step); hit {
			s.Fail(w, status, o.Delay)
			return
		}
	}
	_, late := s.Sim.Struck(GatewayTimeout, entity, step)
	req := request{r.Method, path, r.URL.Query(), r.Header, body}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, answer, tag := 0, any(nil), ""
	if path[len(path)-1].name == "$batch" {
		status, answer = s.batch(req)
	} else {
		status, answer, tag = s.one(&transaction{s: s}, req)
	}
	if late {
		s.Fail(w, http.StatusGatewayTimeout, 0)
		return
	}
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	s.answer(w, status, answer)
}

// one answers one request, in a transaction of its own.
func (s *Simulator) one(t *transaction, req request) (status int, body any, tag string) {
	status, body, tag, out := s.do(t, req)
	if out != nil {
		t.rollback()
		return out.status, out.body(), ""
	}
	t.commit()
	return status, body, tag
}

// do finds what a request is about and does it; what it changes is undone by the caller when it is refused.
func (s *Simulator) do(t *transaction, req request) (status int, body any, tag string, out *refusal) {
	path := req.path
	if path[0].name != "companies" {
		return 0, nil, "", refuse(http.StatusNotFound, "BadRequest_ResourceNotFound", "Resource not found for the segment '%s'.", path[0].name)
	}
	if len(path) == 1 {
		return s.readCompanies(req)
	}
	for _, co := range s.companies {
		if co.id == path[0].id || co.name == path[0].id {
			t.co = co
		}
	}
	if t.co == nil {
		return 0, nil, "", refuse(http.StatusNotFound, "Internal_CompanyNotFound", "Cannot find the company '%s'.", path[0].id)
	}
	entity, step := about(req.method, path)
	if _, hit := s.Sim.Struck(sinktest.Locked, entity, step); hit {
		return 0, nil, "", refuse(http.StatusInternalServerError, "Internal_ServerError", "We can't save your changes right now, because a record is being updated in a transaction done by another session.")
	}
	r := resources[path[1].name]
	if r == nil || r.set == "companies" {
		return 0, nil, "", refuse(http.StatusNotFound, "BadRequest_ResourceNotFound", "Resource not found for the segment '%s'.", path[1].name)
	}
	return s.dispatch(t, req, r, path[1:])
}

func (s *Simulator) dispatch(t *transaction, req request, r *resource, path []segment) (int, any, string, *refusal) {
	parent, id := "", path[0].id
	if len(path) > 1 {
		if action, isAction := strings.CutPrefix(path[1].name, "Microsoft.NAV."); isAction && req.method == http.MethodPost {
			return s.act(t, r, id, action)
		}
		row := t.find(r.set, id)
		if path[1].name != r.lines || r.lines == "" || len(path) > 2 {
			return 0, nil, "", refuse(http.StatusNotFound, "BadRequest_ResourceNotFound", "Resource not found for the segment '%s'.", path[1].name)
		}
		if row == nil {
			return 0, nil, "", notFound(r, id)
		}
		parent, r, id = id, resources[r.lines], path[1].id
	}
	switch {
	case req.method == http.MethodGet:
		return s.read(t, req, r, parent, id)
	case r.closed:
		return 0, nil, "", refuse(http.StatusMethodNotAllowed, "BadRequest_MethodNotAllowed", "'%s' requests for '%s' of EdmType 'Entity' are not allowed.", req.method, r.set)
	case req.method == http.MethodPost && id == "":
		return s.create(t, req, r, parent)
	case req.method == http.MethodPatch && id != "":
		return s.update(t, req, r, id)
	case req.method == http.MethodDelete && id != "":
		return s.remove(t, req, r, id)
	}
	return 0, nil, "", refuse(http.StatusMethodNotAllowed, "BadRequest_MethodNotAllowed", "'%s' requests for '%s' of EdmType 'Entity' are not allowed.", req.method, r.set)
}

func notFound(r *resource, id string) *refusal {
	return refuse(http.StatusNotFound, "Internal_RecordNotFound", "The %s does not exist. Identification fields and values: SystemId='%s'", r.table, id)
}
