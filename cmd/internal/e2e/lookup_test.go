package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// billingService is a simulator of a small billing service: which customers have a contract, and at which rate. It answers GET
// /contract?customer=…&as_of=… with JSON, and can be down.
type billingService struct {
	*httptest.Server
	mu        sync.Mutex
	down      bool
	contracts map[string]string // customer → rate
	asked     map[string]int
}

func newBillingService(t *testing.T) *billingService {
	b := &billingService{contracts: map[string]string{}, asked: map[string]int{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *billingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	customer := r.URL.Query().Get("customer")
	b.asked[customer]++
	w.Header().Set("Content-Type", "application/json")
	rate, known := b.contracts[customer]
	switch {
	case r.Header.Get("Authorization") != "Bearer e2e":
		w.WriteHeader(http.StatusUnauthorized)
	case b.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path != "/contract":
		http.NotFound(w, r)
	case !known:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"no contract"}`)
	default:
		w.Header().Set("ETag", `"7"`)
		fmt.Fprintf(w, `{"contract":{"no":"K-%s"},"rate":%s}`, customer, rate)
	}
}

// set makes the service know these contracts, or be down.
func (b *billingService) set(down bool, contracts map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down, b.contracts = down, contracts
}

// contract makes one contract, or ends it when there is no rate.
func (b *billingService) contract(customer, rate string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.contracts[customer] = rate; rate == "" {
		delete(b.contracts, customer)
	}
}

func (b *billingService) times(customer string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[customer]
}

const lookupMapping = `
lookups:
  contract:
    ask: pricing.contract
    key: customer
    dated: true
    answer: { rate: decimal, number: text of contract.no }
    again: 200ms
    on_miss: NO_CONTRACT
    owner: pricing
  period: { ask: erp.period, dated: true, max_age: 1h, again: 200ms, answer: { open: bool, next_open: date or null, name: text or null } }
events:
  customer.changed: { from: db.cust, lane: master, key: cust_cd, set: { code: cust_cd, name: cust_nm } }
documents:
  invoice:
    root: db.doc as h
    lines: db.doc_line as l on l.inv_no = h.inv_no order by l.line_no
    key: h.inv_no
    released_at: h.rel_ts
    emit: { invoice.released: 'became(h.stat, "R")' }
    total: source
    amount: h.amt
    set:
      number: h.inv_no
      date: h.inv_dt
      currency: "USD"
      bill_to.id: h.cust_cd
      customer: h.cust_cd
      contract: AGREEMENT
      total: money(h.amt)
      lines[]: { net: money(l.amt) }
posts:
  customer.changed -> erp.customer: { external_id: "c:{code}", body: { code: code, name: name, payment_term: "NET 30", country: "US", city: "Dallas" } }
  invoice.released -> erp.sales_invoice:
    external_id: "e2e:{number}"
    posting_date: { policy: next_open, most: 62d }
    body:
      reference: "e2e:{number}"
      party: customer
      date: date
      currency: currency
      net: total
      tax: dec("0.00")
      total: total
      lines[]: { account: "4000", net: net }
`

// lookedUp makes the tables of the mapping in an engine.
func lookedUp(t *testing.T, kind string) *engine {
	e := newEngine(t, kind)
	for _, table := range []string{`cust (cust_cd varchar(8) PRIMARY KEY, cust_nm varchar(60))`,
		`doc (inv_no varchar(12) PRIMARY KEY, cust_cd varchar(8) NOT NULL, stat char(1) NOT NULL, inv_dt date NOT NULL, amt numeric(12,2) NOT NULL, rel_ts timestamp NOT NULL)`,
		`doc_line (inv_no varchar(12), line_no int, amt numeric(12,2) NOT NULL, PRIMARY KEY (inv_no, line_no))`} {
		e.sql(e.db, "CREATE TABLE "+table)
	}
	return e
}

// invoice writes a released invoice of one line.
func (e *engine) invoice(number, customer, date string) {
	e.t.Helper()
	e.sql(e.db, e.text(`INSERT INTO doc_line VALUES ($1, 1, 100)`), number)
	e.sql(e.db, e.text(`INSERT INTO doc VALUES ($1, $2, 'R', $3, 100, $4)`), number, customer, date, time.Now().UTC().Format("2006-01-02 15:04:05"))
}

// codes are the open exceptions, each with how many wait.
func (e *engine) codes() string {
	var open []pipeline.ExceptionView
	out, _, code := e.waybill("exceptions", "list", "--json")
	if code != 0 || json.Unmarshal([]byte(out), &open) != nil {
		return out
	}
	var all []string
	for _, x := range open {
		all = append(all, fmt.Sprintf("%s %d", x.Code, x.Waiting))
	}
	return strings.Join(all, ", ")
}

// bodies are what the simulated ERP has posted, by external id.
func (e *engine) bodies() map[string]string {
	report, err := sinktest.Ledger(e.erp.File, nil, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	all := map[string]string{}
	for _, x := range report.Effects {
		if x.Step == "post" || x.Step == "upsert" {
			if all[x.ExternalID] != "" && x.Step == "post" {
				e.t.Errorf("%s was posted twice", x.ExternalID)
			}
			all[x.ExternalID] = string(x.Body)
		}
	}
	return all
}

// TestDocumentsWaitForAService has a billing service that is down, answers, knows no contract, and then does; and an ERP whose periods
// are closed. Documents wait and go on by themselves, what asks nothing flows, and a daemon that is killed meanwhile loses no question.
func TestDocumentsWaitForAService(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			e, service := lookedUp(t, kind), newBillingService(t)
			service.set(true, nil)
			e.erp.ClosePeriods(sinktest.Closed{From: "2026-08-01", To: "2026-08-31", Name: "2026-08"})
			e.configure(strings.Replace(lookupMapping, "AGREEMENT", "lookup.contract(h.cust_cd, as_of=h.inv_dt)", 1),
				fmt.Sprintf("services:\n  pricing: { type: http, url: %s, secret: Bearer e2e, patience: 1s, policy: { backoff_base: 50ms, backoff_cap: 200ms, breaker_cooldown: 200ms } }\n", service.URL))
			e.start()
			for i := range 20 {
				e.invoice(fmt.Sprintf("A%d", i), "ACME", "2026-09-15")
			}
			e.invoice("B1", "BETA", "2026-08-30")
			e.sql(e.db, `INSERT INTO cust VALUES ('X1', 'Flows')`)
			e.until(20*time.Second, "the customer flows, and one exception tells of the service", func() bool {
				return e.bodies()["c:X1"] != "" && e.codes() == "LOOKUP_FAILED 1"
			})
			if n := e.delivered(); n != 1 {
				t.Fatalf("%d records were delivered while the service was down", n)
			}
			e.kill()
			e.start()
			before := service.times("ACME")
			service.set(false, map[string]string{"ACME": "2.10"})
			e.until(20*time.Second, "what has a contract is posted, the other is an exception", func() bool {
				return len(e.bodies()) == 21 && e.codes() == "NO_CONTRACT 1"
			})
			if n := service.times("ACME") - before; n > 3 {
				t.Errorf("20 documents of one customer asked %d times", n)
			}
			var open []pipeline.ExceptionView
			e.json(&open, "exceptions", "list")
			if x := open[0]; x.Title != "pricing has no contract for customer BETA, on 2026-08-30." || x.Owner != "pricing" {
				t.Errorf("exception %+v", x)
			}
			var st pipeline.Status
			if e.json(&st, "status"); len(st.Services) != 1 || st.Services[0].Name != "pricing" || st.Services[0].Questions != 1 || st.Services[0].Unanswered != 1 {
				t.Errorf("status: %+v", st.Services)
			}
			service.set(false, map[string]string{"ACME": "2.10", "BETA": "3"})
			e.until(20*time.Second, "the other follows by itself", func() bool { return len(e.bodies()) == 22 && e.codes() == "" })
			if body := e.bodies()["e2e:B1"]; !strings.Contains(body, `"date":"2026-08-30"`) || !strings.Contains(body, `"posting_date":"2026-09-01"`) {
				t.Errorf("a document of a closed period: %s", body)
			}
			if out := e.must("events", "list", "--json", "--type", "invoice.released"); !strings.Contains(out, `"number": "K-ACME"`) || !strings.Contains(out, `"rate": "2.10"`) {
				t.Errorf("events: %.600s", out)
			}
			var plan pipeline.PlanView
			if e.json(&plan, "plan"); plan.Events["invoice.released"] != 21 || len(plan.Exceptions)+len(plan.Notes) != 0 {
				t.Errorf("a plan, which asks, too: %+v", plan)
			}
			if out, _, _ := e.waybill("check"); !strings.Contains(out, "answers with HTTP 404") {
				t.Errorf("check:\n%s", out)
			}
			e.stop()
		})
	}
}

// TestTheTargetHasTheLastWordOnPeriods closes a period that was answered as open: the target refuses, and from then on it is asked again.
func TestTheTargetHasTheLastWordOnPeriods(t *testing.T) {
	e := lookedUp(t, "postgres")
	e.configure(strings.Replace(lookupMapping[:strings.Index(lookupMapping, "  contract:")]+lookupMapping[strings.Index(lookupMapping, "  period:"):], "AGREEMENT", "\"none\"", 1), "")
	e.start()
	e.invoice("A1", "ACME", "2026-10-05")
	e.until(20*time.Second, "the first is posted in its own period", func() bool { return strings.Contains(e.bodies()["e2e:A1"], `"posting_date":"2026-10-05"`) })
	e.erp.ClosePeriods(sinktest.Closed{From: "2026-10-01", To: "2026-10-31", Name: "2026-10"})
	e.invoice("A2", "ACME", "2026-10-05")
	e.until(20*time.Second, "the second is refused", func() bool { return e.codes() == "PERIOD_CLOSED 1" })
	e.invoice("A3", "ACME", "2026-10-05")
	e.until(20*time.Second, "the third is posted in the next period", func() bool {
		return strings.Contains(e.bodies()["e2e:A3"], `"posting_date":"2026-11-01"`)
	})
	if body := e.bodies()["e2e:A3"]; !strings.Contains(body, `"date":"2026-10-05"`) {
		t.Errorf("the document's date is gone: %s", body)
	}
	e.erp.ClosePeriods()
	e.must("exceptions", "retry", "all", "--why", "reopened")
	e.until(20*time.Second, "the second follows", func() bool { return e.bodies()["e2e:A2"] != "" && e.codes() == "" })
	e.stop()
}

// TestAClosedPeriodOfTryton posts a document of a closed period into the next one; the document keeps its date in the ERP's books.
func TestAClosedPeriodOfTryton(t *testing.T) {
	e := lookedUp(t, "mariadb")
	erp := e.trytonServer()
	rpc := erp.RPC(t, "admin")
	at := time.Now().UTC().AddDate(0, 0, -45)
	day := sinktest.WireDate(at.Year(), int(at.Month()), at.Day())
	period := rpc.Rows("account.period", []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day}}, "id")[0]["id"]
	rpc.Must(nil, "account.period.close", []any{period})
	mapping := strings.Replace(lookupMapping[:strings.Index(lookupMapping, "  contract:")]+lookupMapping[strings.Index(lookupMapping, "  period:"):], "AGREEMENT", "\"none\"", 1)
	mapping = strings.Replace(mapping, "    posting_date:", "    require: [ { erp.customer: \"c:{customer}\" } ]\n    posting_date:", 1)
	e.configure(mapping, "")
	e.start()
	e.sql(e.db, `INSERT INTO cust VALUES ('ACME', 'Acme Foods')`)
	e.invoice("A1", "ACME", at.Format("2006-01-02"))
	e.settled(60 * time.Second)
	if codes := e.codes(); codes != "" {
		t.Fatalf("exceptions: %s\n%s", codes, e.must("exceptions", "list"))
	}
	rows := rpc.Rows("account.invoice", []any{[]any{"reference", "=", "e2e:A1"}}, "state", "invoice_date", "accounting_date")
	next := time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC).Format("2006-01-02")
	if len(rows) != 1 || rows[0]["state"] != "posted" || wired(rows[0]["invoice_date"]) != at.Format("2006-01-02") || wired(rows[0]["accounting_date"]) != next {
		t.Errorf("the ERP holds %v; want it posted on %s", rows, next)
	}
	if out := e.must("events", "list", "--json", "--type", "erp.posted"); !strings.Contains(out, `"posting_date": "`+next+`"`) || !strings.Contains(out, `"date": "`+at.Format("2006-01-02")+`"`) {
		t.Errorf("erp.posted: %s", out)
	}
	e.stop()
}

// wired is a date on Tryton's wire.
func wired(v any) string {
	m, _ := v.(map[string]any)
	return fmt.Sprintf("%04v-%02v-%02v", m["year"], m["month"], m["day"])
}
