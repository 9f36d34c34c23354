package netsuite

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// Options make an account.
type Options struct {
	sinktest.SimOptions               // Concurrent 0 means 5, the base of a standard account
	Account             string        // the realm; "" means 1234567_SB1
	Administrator       bool          // the role of who logs in: nobody else may ask for governanceLimits
	Integration         int           // of the account's concurrency, allocated to the integration; 0: nothing is
	TokenLife           time.Duration // 0 means an hour
	JobTakes            time.Duration // how long after its answer a job runs; 0: it is done before the answer
	Parallel            bool          // the parts of a batch run in a random order; false: in their own
	CustomFields        map[string][]string
	TBA                 Credentials // zero: Default
}

// Credentials are those of token-based authentication.
type Credentials struct{ ConsumerKey, ConsumerSecret, TokenID, TokenSecret string }

// ClientID is the integration's, for OAuth 2.0.
const ClientID = "5e0f6b8c2a1d4973b6f0c8e2d7a4915b"

// Default are the credentials of token-based authentication, when Options name none.
var Default = Credentials{"ck-7f3a", "cs-91d2", "ti-4b6e", "ts-c05a"}

// Server is a simulated account.
type Server struct {
	*sinktest.Sim
	options Options

	mu      sync.Mutex // guards all below
	records map[string][]*record
	lastID  int
	numbers map[string]int // of documents, by type
	logins  logins
	jobs    []*job
	keys    map[string]*job // by idempotency key
	stopped bool
	running sync.WaitGroup
}

// Start starts an account until the test ends. It has the periods of last, this and the next year, all open, the subsidiary 1, the currencies USD (1),
// EUR (2), JPY (3), CAD (4) and MXN (5), three terms and a few accounts.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.Account == "" {
		o.Account = "1234567_SB1"
	}
	if o.Concurrent == 0 {
		o.Concurrent = 5
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	if o.TBA == (Credentials{}) {
		o.TBA = Default
	}
	s := &Server{options: o, records: map[string][]*record{}, numbers: map[string]int{}, keys: map[string]*job{}, logins: newLogins()}
	s.seed(tb)
	s.Sim = sinktest.StartSim(tb, product{s}, o.SimOptions)
	tb.Cleanup(s.stop)
	return s
}

// stop ends the jobs that have not begun, and waits for those that have.
func (s *Server) stop() {
	s.mu.Lock()
	s.stopped = true
	for _, j := range s.jobs {
		if j.timer != nil && j.timer.Stop() {
			s.running.Done()
		}
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Add makes a record, as a person would: it is not in the ledger. body is what a POST of the type would be.
func (s *Server) Add(tb testing.TB, kind, body string) (id string) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var values map[string]any
	if err := decode([]byte(body), &values); err != nil {
		tb.Fatalf("the body of a %s: %v", kind, err)
	}
	w := write{server: s, kind: kinds[kind], strict: strictness{Error, Error}, system: true}
	if w.kind == nil {
		tb.Fatalf("no record type %q", kind)
	}
	r, p := w.create(values)
	if p != nil {
		tb.Fatalf("adding a %s: %s", kind, p.text())
	}
	return r.id
}

// Change sets values of a record, as a person would; it is not in the ledger.
func (s *Server) Change(tb testing.TB, kind, id, body string) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var values map[string]any
	if err := decode([]byte(body), &values); err != nil {
		tb.Fatalf("the body of a %s: %v", kind, err)
	}
	r := s.byID(kind, id)
	if r == nil {
		tb.Fatalf("no %s %s", kind, id)
	}
	w := write{server: s, kind: kinds[kind], strict: strictness{Error, Error}, system: true}
	if p := w.update(r, values); p != nil {
		tb.Fatalf("changing %s %s: %s", kind, id, p.text())
	}
}

// ClosePeriod closes or opens the accounting period of a date (YYYY-MM-DD).
func (s *Server) ClosePeriod(tb testing.TB, date string, closed bool) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.period(date)
	if p == nil {
		tb.Fatalf("no accounting period of %s", date)
	}
	now := p.copy()
	now["closed"] = closed
	p.put(now, false)
}

func (s *Server) seed(tb testing.TB) {
	for _, r := range []struct{ kind, body string }{
		{"currency", `{"name":"US Dollar","symbol":"USD","currencyPrecision":2}`},
		{"currency", `{"name":"Euro","symbol":"EUR","currencyPrecision":2}`},
		{"currency", `{"name":"Yen","symbol":"JPY","currencyPrecision":0}`},
		{"currency", `{"name":"Canadian Dollar","symbol":"CAD","currencyPrecision":2}`},
		{"currency", `{"name":"Peso","symbol":"MXN","currencyPrecision":2}`},
		{"subsidiary", `{"name":"Parent Company","currency":{"id":"1"}}`},
		{"term", `{"name":"NET 30","daysUntilNetDue":30}`},
		{"term", `{"name":"NET 15","daysUntilNetDue":15}`},
		{"term", `{"name":"DUE ON RECEIPT","daysUntilNetDue":0}`},
		{"account", `{"acctNumber":"1100","acctName":"Accounts Receivable","acctType":"AcctRec"}`},
		{"account", `{"acctNumber":"2200","acctName":"Sales Taxes Payable","acctType":"OthCurrLiab"}`},
		{"account", `{"acctNumber":"4000","acctName":"Freight Revenue","acctType":"Income"}`},
		{"account", `{"acctNumber":"4010","acctName":"Fuel Surcharge","acctType":"Income"}`},
		{"account", `{"acctNumber":"4020","acctName":"Accessorials","acctType":"Income"}`},
		{"account", `{"acctNumber":"6000","acctName":"Carrier Cost","acctType":"COGS"}`},
	} {
		s.lastID = len(s.records[r.kind]) // each type counts for itself at first: currency 1 to 5, subsidiary 1
		s.Add(tb, r.kind, r.body)
	}
	this := time.Now().UTC().Year()
	for month := time.Date(this-1, 1, 1, 0, 0, 0, 0, time.UTC); month.Year() <= this+1; month = month.AddDate(0, 1, 0) {
		s.lastID = len(s.records["accountingPeriod"])
		s.Add(tb, "accountingPeriod", fmt.Sprintf(`{"periodName":%q,"startDate":%q,"endDate":%q,"closed":false,"isYear":false,"isQuarter":false}`,
			month.Format("Jan 2006"), month.Format(dateForm), month.AddDate(0, 1, -1).Format(dateForm)))
	}
	s.lastID = 100
}

// product is the account as a Sim sees it.
type product struct{ s *Server }

var _ sinktest.SimProduct = product{}

func (p product) Fail(w http.ResponseWriter, status int, _ time.Duration) {
	failures(status).write(w) // the product gives no Retry-After [erp.md 2.1, Limits]
}

func (p product) Handle(sim *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	p.s.handle(&call{server: p.s, sim: sim, r: r, body: body, base: "http://" + r.Host}).write(w)
}

// order is the order in which the parts of a batch run.
func (s *Server) order(n int) []int {
	if s.options.Parallel {
		return rand.Perm(n)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// answer is what is said to a request.
type answer struct {
	status int
	header map[string]string
	body   any // nil for none
	fault  bool
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	form := "singular"
	if a.fault {
		form = "error"
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/vnd.oracle.resource+json; type="+form+"; charset=UTF-8")
	}
	raw, err := json.Marshal(a.body)
	if err != nil {
		panic(fmt.Sprintf("answering: %v", err))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(raw) // into the recorder of the Sim
}
