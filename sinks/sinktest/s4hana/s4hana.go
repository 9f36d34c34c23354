package s4hana

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// Options are one tenant.
type Options struct {
	sinktest.SimOptions

	User, Password         string // of the communication user; default WAYBILL and Welcome1
	ClientID, ClientSecret string // of OAuth2; "" without
	Certificate            string // what SSL_CLIENT_CERT must say to be let in; "" without
	TokenLife              time.Duration

	Companies   map[string]string // company code → currency; default 1710 USD
	Accounts    []string          // G/L accounts; nil: any of up to ten digits
	Taxes       map[string]string // tax code → percent; default O0 0, O1 8.25; only these are taken
	OpenFrom    string            // first date that may be posted on, YYYY-MM-DD; "" without bound
	OpenTo      string
	Repeatable  bool          // RequestID and RepeatabilityCreation are honoured
	Window      time.Duration // in which a UUID or RequestID is known; default 1h
	CommitDelay time.Duration // reads see what was written so much later
	Busy        int           // status of requests beyond the limit: 429 (default) or 503
	Certain     bool          // a journal entry without a UUID is refused
}

// Product is the tenant.
type Product struct {
	options Options

	mu       sync.Mutex
	data     *store
	sessions map[string]string // cookie → CSRF token
	tokens   map[string]time.Time
	answered map[string]repeat // UUID or RequestID → what was answered
	entries  map[string]posted // UUID of a journal entry → what was answered
	rejected []string          // errors of billing document requests, which nobody is told
}

// repeat is an answer that is given again.
type repeat struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
}

var _ sinktest.SimProduct = (*Product)(nil)

// Start starts a tenant until the test ends.
func Start(tb testing.TB, o Options) (*sinktest.Sim, *Product) {
	tb.Helper()
	p := New(o)
	return sinktest.StartSim(tb, p, o.SimOptions), p
}

// New makes a tenant without a server.
func New(o Options) *Product {
	if o.User == "" {
		o.User, o.Password = "WAYBILL", "Welcome1"
	}
	if o.Companies == nil {
		o.Companies = map[string]string{"1710": "USD"}
	}
	if o.Taxes == nil {
		o.Taxes = map[string]string{"O0": "0", "O1": "8.25"}
	}
	if o.Window == 0 {
		o.Window = time.Hour
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.Busy == 0 {
		o.Busy = http.StatusTooManyRequests
	}
	p := &Product{options: o, data: newStore(), sessions: map[string]string{}, tokens: map[string]time.Time{}, answered: map[string]repeat{}, entries: map[string]posted{}}
	for code, currency := range o.Companies {
		p.data.put("A_CompanyCode", row{values: map[string]any{"CompanyCode": code, "CompanyCodeName": "Company " + code, "Currency": currency, "Country": "US"}})
	}
	return p
}

// Rejected are the errors of billing document requests, as the monitor of the tenant shows them: the sender was told nothing.
func (p *Product) Rejected() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.rejected...)
}

// Close bounds the posting period from now on, both dates included; "" without bound.
func (p *Product) Close(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.options.OpenFrom, p.options.OpenTo = from, to
}

const (
	odataRoot = "/sap/opu/odata/sap/"
	soapRoot  = "/sap/bc/srt/"
	tokenPath = "/sap/bc/sec/oauth2/token"
)

// Handle implements sinktest.SimProduct.
func (p *Product) Handle(s *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == tokenPath {
		p.token(w, r, body)
		return
	}
	if _, hit := s.Struck(sinktest.ExpireTokens, "", ""); hit {
		clear(p.tokens)
		clear(p.sessions)
	}
	if !p.letIn(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="SAP NetWeaver Application Server"`)
		p.page(w, http.StatusUnauthorized, "Logon Error Message", "Anmeldung fehlgeschlagen: Logon failed.")
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, soapRoot):
		p.soap(s, w, r, body)
	case strings.HasPrefix(r.URL.Path, odataRoot):
		p.odata(s, w, r, body)
	default:
		p.page(w, http.StatusNotFound, "Not found", "Service cannot be reached")
	}
}

// Fail implements sinktest.SimProduct.
func (p *Product) Fail(w http.ResponseWriter, status int, wait time.Duration) {
	if status == http.StatusTooManyRequests {
		status = p.options.Busy
	}
	if wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int((wait+time.Second-1)/time.Second)))
	}
	p.page(w, status, "Application Server Error", http.StatusText(status))
}

// page is what the web server in front of the services says: HTML, and no error of a service.
func (p *Product) page(w http.ResponseWriter, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<html><head><title>%s</title></head><body><h1>%d %s</h1><p>%s</p></body></html>", title, status, http.StatusText(status), text)
}

// Names implements sinktest.SimProduct. What lands in the books has the step post.
func (p *Product) Names(r *http.Request, body []byte) (entity, step string) {
	path := r.URL.Path
	switch {
	case path == tokenPath:
		return "", "login"
	case strings.HasPrefix(path, soapRoot):
		return soapNames(path, body)
	case strings.HasSuffix(path, "/$batch"):
		return batchNames(path, body)
	}
	return pathNames(r.Method, path)
}

// pathNames is what a request of OData is about.
func pathNames(method, path string) (entity, step string) {
	switch {
	case strings.Contains(path, "API_BUSINESS_PARTNER"):
		entity = "customer"
	case strings.Contains(path, "API_PRODUCT_SRV"):
		entity = "item"
	case strings.Contains(path, "API_BILLING_DOCUMENT_SRV"):
		entity = "sales_invoice"
	case strings.Contains(path, "ACCTGDOC"), strings.Contains(path, "JOURNALENTRY"):
		entity = "journal_entry"
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		return entity, "read"
	case http.MethodPost:
		if strings.HasSuffix(path, "/Cancel") {
			return "credit_note", "post"
		}
		return entity, "create"
	}
	return entity, "update"
}
