package netsuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

// fake is as much of NetSuite as the unit tests of this package need; the simulator of the product is sinktest/netsuite, of another author.
type fake struct {
	*sinktest.Sim
	mu      sync.Mutex
	records map[string]map[string]record // type → id → record
	jobs    []fakeJob
	keys    map[string]string // idempotency key → job
	slow    int               // how often a job is asked for before it is over
	fail    *fakeError        // what saving answers
	token   string
}

type fakeJob struct {
	left   int
	do     func() *fakeError
	result *fakeError
	over   bool
}

type fakeError struct {
	status             int
	code, detail, path string
}

func startFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{records: map[string]map[string]record{}, keys: map[string]string{}, token: "good"}
	f.Sim = sinktest.StartSim(t, f, sinktest.SimOptions{})
	f.add("subsidiary", record{"name": "Northstar Inc"})
	f.add("currency", record{"symbol": "USD"})
	f.add("term", record{"name": "NET 15"})
	f.add("term", record{"name": "NET 30"})
	f.add("account", record{"acctNumber": "1200"})
	f.add("account", record{"acctNumber": "4000"})
	f.add("serviceSaleItem", record{"itemId": "LH", "incomeAccount": record{"id": "6", "refName": "4000 Freight Revenue"}})
	f.add("salesTaxItem", record{"name": "TX"})
	f.add("taxType", record{"name": "US Sales Tax"})
	f.add("accountingPeriod", record{"startDate": "2026-11-01"})
	return f
}

// add saves a record past the API and returns its id.
func (f *fake) add(kind string, r record) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.insert(kind, r)
}

func (f *fake) insert(kind string, r record) string {
	n := 1
	for _, rows := range f.records {
		n += len(rows)
	}
	id := fmt.Sprint(n)
	if f.records[kind] == nil {
		f.records[kind] = map[string]record{}
	}
	r = maps.Clone(r)
	r["id"] = id
	f.records[kind][id] = r
	return id
}

// edit changes a record as a person would.
func (f *fake) edit(kind, key string, change record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(f.records[kind][f.id(kind, "eid:"+key)], change)
}

func (f *fake) id(kind, at string) string {
	eid, external := strings.CutPrefix(at, "eid:")
	for id, r := range f.records[kind] {
		if external && r.text("externalId") == eid || !external && id == at {
			return id
		}
	}
	return ""
}

var entityOf = map[string]string{"invoice": invoiceEntity, "creditMemo": creditEntity, "journalEntry": journalEntity, "customer": "customer", "location": "location", "serviceSaleItem": "item", "salesTaxItem": "tax_code"}

// Names implements sinktest.SimProduct.
func (f *fake) Names(r *http.Request, _ []byte) (entity, step string) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, recordPath), "/")
	if r.Method == http.MethodGet {
		return entityOf[kind], "read"
	}
	return entityOf[kind], "create"
}

// Fail implements sinktest.SimProduct.
func (f *fake) Fail(w http.ResponseWriter, status int, _ time.Duration) {
	f.refuse(w, fakeError{status, "UNEXPECTED_ERROR", "An unexpected error occurred.", ""})
}

func (f *fake) refuse(w http.ResponseWriter, e fakeError) {
	f.reply(w, e.status, record{"type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html", "title": http.StatusText(e.status), "status": e.status,
		"o:errorDetails": []record{{"detail": e.detail, "o:errorCode": e.code, "o:errorPath": e.path}}})
}

func (f *fake) reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a recorder
}

// Handle implements sinktest.SimProduct.
func (f *fake) Handle(_ *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sinktest.Bearer(r) != f.token {
		f.refuse(w, fakeError{401, "INVALID_LOGIN", "Invalid login attempt.", ""})
		return
	}
	if strings.HasPrefix(r.URL.Path, "/services/rest/async/v1/job/") {
		f.job(w, r)
		return
	}
	if !strings.HasPrefix(r.URL.Path, recordPath) && r.URL.Path != limitsPath {
		http.NotFound(w, r)
		return
	}
	if r.URL.Path == limitsPath {
		f.reply(w, 200, record{"accountConcurrencyLimit": 15, "accountUnallocatedConcurrencyLimit": 5, "limitType": "accountLimit"})
		return
	}
	kind, at, one := strings.Cut(strings.TrimPrefix(r.URL.Path, recordPath), "/")
	switch {
	case !one:
		f.query(w, kind, r.URL.Query().Get("q"))
	case r.Method == http.MethodGet:
		if id := f.id(kind, at); id != "" {
			f.reply(w, 200, f.records[kind][id])
			return
		}
		f.refuse(w, fakeError{404, absent, "The record instance does not exist. Provide a valid record instance ID.", ""})
	case r.Method == http.MethodPut:
		f.save(w, r, kind, at, body)
	default:
		f.refuse(w, fakeError{405, "METHOD_NOT_ALLOWED", "Method not allowed.", ""})
	}
}

var isForm = regexp.MustCompile(`^(\w+) IS "(.*)"$`)

func (f *fake) query(w http.ResponseWriter, kind, q string) {
	items := []record{}
	m := isForm.FindStringSubmatch(q)
	for id, r := range f.records[kind] {
		if m != nil && r.text(m[1]) == m[2] || kind == "accountingPeriod" {
			items = append(items, record{"id": id})
		}
	}
	f.reply(w, 200, record{"items": items, "totalResults": len(items)})
}

func (f *fake) save(w http.ResponseWriter, r *http.Request, kind, at string, body []byte) {
	if r.Header.Get("X-NetSuite-PropertyNameValidation") != "Error" || r.Header.Get("Content-Type") != "application/json" {
		f.refuse(w, fakeError{400, "INVALID_HEADER", "A header is missing.", ""})
		return
	}
	do := func() *fakeError {
		return f.put(kind, strings.TrimPrefix(at, "eid:"), r.URL.Query().Get("replace"), body)
	}
	if r.Header.Get("Prefer") == "respond-async" {
		key := r.Header.Get("X-NetSuite-Idempotency-Key")
		if at, again := f.keys[key]; again {
			w.Header().Set("Location", at)
			f.refuse(w, fakeError{400, submitted, "The request was already submitted.", ""})
			return
		}
		f.jobs = append(f.jobs, fakeJob{left: f.slow, do: do})
		f.keys[key] = fmt.Sprintf("/services/rest/async/v1/job/%d", len(f.jobs))
		w.Header().Set("Location", f.keys[key])
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if e := do(); e != nil {
		f.refuse(w, *e)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *fake) job(w http.ResponseWriter, r *http.Request) {
	var n int
	rest := strings.TrimPrefix(r.URL.Path, "/services/rest/async/v1/job/")
	if _, err := fmt.Sscan(strings.SplitN(rest, "/", 2)[0], &n); err != nil || n > len(f.jobs) {
		f.refuse(w, fakeError{404, absent, "The job does not exist.", ""})
		return
	}
	j := &f.jobs[n-1]
	switch {
	case strings.HasSuffix(rest, "/task"):
		f.reply(w, 200, record{"items": []record{{"id": "1"}}})
	case strings.HasSuffix(rest, "/result"):
		f.refuse(w, *j.result)
	case strings.HasSuffix(rest, "/task/1"):
		f.reply(w, 200, record{"completed": j.over, "progress": map[bool]string{true: "failed", false: "succeeded"}[j.result != nil]})
	default:
		if j.left--; j.left < 0 && !j.over {
			j.over, j.result = true, j.do()
		}
		f.reply(w, 200, record{"completed": j.over, "progress": map[bool]string{true: "completed", false: "processing"}[j.over]})
	}
}

// put saves a record by its external id; sublists are added to, or exchanged.
func (f *fake) put(kind, eid, replace string, body []byte) *fakeError {
	if f.fail != nil {
		return f.fail
	}
	var r record
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&r); err != nil {
		return &fakeError{400, "INVALID_CONTENT", err.Error(), ""}
	}
	r["externalId"] = eid
	id := f.id(kind, "eid:"+eid)
	if id == "" {
		id = f.insert(kind, r)
	} else {
		was := f.records[kind][id]
		if lines := was.items("addressBook"); len(lines) > 0 && r["addressBook"] != nil && replace != "addressBook" {
			r["addressBook"] = map[string]any{"items": append(was.sub("addressBook")["items"].([]any), r.sub("addressBook")["items"].([]any)...)}
		}
		maps.Copy(was, r)
	}
	saved := f.records[kind][id]
	if kind != "customer" {
		saved["tranId"] = strings.ToUpper(kind[:3]) + id
	}
	sum := func(list, of, name string) decimal.Decimal {
		total := decimal.Zero
		for _, l := range saved.items(list) {
			if a, ok := l.amount(name); ok {
				total = total.Add(a)
			}
		}
		return total
	}
	total := ""
	if kind == "invoice" || kind == "creditMemo" {
		net, tax := sum("item", "items", "amount"), sum("taxDetails", "items", "taxAmount")
		saved["subtotal"], saved["taxTotal"], saved["total"] = number(net), number(tax), number(net.Add(tax))
		saved["amountRemaining"] = number(net.Add(tax))
		total = net.Add(tax).String()
	}
	f.Commit(sinktest.Committed{Entity: entityOf[kind], Step: "create", Key: eid, ID: id, Total: total})
	return nil
}
