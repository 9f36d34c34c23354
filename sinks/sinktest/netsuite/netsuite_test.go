package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// client is a client of the account, with a token of its own.
type client struct {
	t      *testing.T
	s      *Server
	token  string
	header map[string]string
}

// said is an answer.
type said struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func start(t *testing.T, o Options) *client {
	t.Helper()
	s := Start(t, o)
	return &client{t: t, s: s, token: login(t, s)}
}

func (c *client) do(method, path, body string, header map[string]string) said {
	c.t.Helper()
	a, err := c.try(method, path, body, header)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path, body string, header map[string]string) (a said, err error) {
	if !strings.HasPrefix(path, "/services") {
		path = recordPath + path
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, h := range []map[string]string{c.header, header} {
		for name, value := range h {
			r.Header.Set(name, value)
		}
	}
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	a = said{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if len(raw) > 0 {
		err = decode(raw, &a.body)
	}
	return a, err
}

// code is the first error code of a refusal, with its place.
func (a said) code() string {
	list, _ := a.body["o:errorDetails"].([]any)
	if len(list) == 0 {
		return ""
	}
	d := list[0].(map[string]any)
	for _, place := range []string{"o:errorPath", "o:urlPath", "o:errorHeader", "o:errorQueryParam"} {
		if at := str(d, place); at != "" {
			return str(d, "o:errorCode") + " " + at
		}
	}
	return str(d, "o:errorCode")
}

func (c *client) want(a said, status int, code string) said {
	c.t.Helper()
	if a.status != status || a.code() != code {
		c.t.Fatalf("got %d %q, want %d %q: %s", a.status, a.code(), status, code, a.raw)
	}
	return a
}

// customer adds a customer, an item and a tax code, and gives the customer's id.
func (c *client) customer() string {
	c.s.Add(c.t, "serviceSaleItem", `{"itemId":"FRT","incomeAccount":{"id":"3"},"externalId":"FRT"}`)
	c.s.Add(c.t, "salesTaxItem", `{"itemId":"TX","rate":8.25,"externalId":"TX"}`)
	return c.s.Add(c.t, "customer", `{"companyName":"Lone Star Foods","entityId":"104377","externalId":"104377","subsidiary":{"id":"1"}}`)
}

const oneLine = `{"entity":{"externalId":"104377"},"tranDate":%q,"item":{"items":[{"item":{"externalId":"FRT"},"quantity":2,"rate":500,"taxCode":{"externalId":"TX"}},
	{"item":{"externalId":"FRT"},"amount":150}]}}`

func today() string { return time.Now().UTC().Format(dateForm) }

func TestInvoiceByExternalID(t *testing.T) {
	c := start(t, Options{})
	c.customer()
	body := fmt.Sprintf(oneLine, today())
	c.want(c.do("GET", "invoice/eid:wb-A1-0", "", nil), 404, "NONEXISTENT_ID eid:wb-A1-0")
	made := c.want(c.do("PUT", "invoice/eid:wb-A1-0", body, nil), 204, "")
	if !strings.Contains(made.header.Get("Location"), recordPath+"invoice/") {
		t.Errorf("location %q", made.header.Get("Location"))
	}
	got := c.want(c.do("GET", "invoice/eid:wb-A1-0?expandSubResources=true", "", nil), 200, "")
	for name, want := range map[string]string{"total": "1232.5", "subtotal": "1150", "taxTotal": "82.5", "tranId": "INV1", "tranDate": today(), "externalId": "wb-A1-0", "amountRemaining": "1232.5"} {
		if have := str(got.body, name); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	if period, _ := got.body["postingPeriod"].(map[string]any); str(period, "refName") != time.Now().UTC().Format("Jan 2006") {
		t.Errorf("the period is %v", got.body["postingPeriod"])
	}
	// A second PUT changes it: its lines are added, unless they are replaced.
	c.want(c.do("PUT", "invoice/eid:wb-A1-0", body, nil), 204, "")
	if got = c.do("GET", "invoice/eid:wb-A1-0", "", nil); str(got.body, "total") != "2465" {
		t.Errorf("after a second PUT the total is %s: its lines are added", str(got.body, "total"))
	}
	c.want(c.do("PATCH", "invoice/eid:wb-A1-0?replace=item", `{"item":{"items":[{"item":{"externalId":"FRT"},"amount":10}]}}`, nil), 204, "")
	if got = c.do("GET", "invoice/eid:wb-A1-0", "", nil); str(got.body, "total") != "10" {
		t.Errorf("after a replacement the total is %s", str(got.body, "total"))
	}
	c.want(c.do("POST", "invoice", strings.Replace(body, "{", `{"externalId":"wb-A1-0",`, 1), nil), 400, "USER_ERROR externalId")
	ledger := c.s.Ledger()
	if len(ledger) != 3 || ledger[0].Step != "create" || ledger[0].Key != "wb-A1-0" || ledger[0].Total != "1232.5" || ledger[0].Company != "Parent Company" || ledger[2].Step != "update" {
		t.Errorf("%+v", ledger)
	}
	c.want(c.do("DELETE", "invoice/eid:wb-A1-0", "", nil), 204, "")
	c.want(c.do("GET", "invoice/eid:wb-A1-0", "", nil), 404, "NONEXISTENT_ID eid:wb-A1-0")
}

func TestRefusals(t *testing.T) {
	c := start(t, Options{CustomFields: map[string][]string{"invoice": {"custbody_digest"}}})
	c.customer()
	body := fmt.Sprintf(oneLine, today())
	strict := map[string]string{"X-NetSuite-PropertyNameValidation": "Error"}
	c.s.ClosePeriod(t, time.Now().UTC().AddDate(0, -2, 0).Format(dateForm), true)
	for _, x := range []struct {
		method, path, body string
		header             map[string]string
		status             int
		code               string
	}{
		{"PUT", "invoice/eid:a%7Cb", body, nil, 400, "INVALID_ID eid:a|b"},
		{"PUT", "invoice/eid:a:b", body, nil, 400, "INVALID_ID eid:a:b"},
		{"PUT", "invoice/7", body, nil, 400, "INVALID_ID 7"},
		{"POST", "invoice", `{"entity":{"id":"9999"}}`, nil, 400, "INVALID_CONTENT entity"},
		{"POST", "invoice", strings.Replace(body, `"externalId":"FRT"`, `"id":9999`, 1), nil, 400, "INVALID_CONTENT item.items[0].item"},
		{"POST", "invoice", strings.Replace(body, `"quantity"`, `"qty"`, 1), strict, 400, "INVALID_CONTENT item.items[0].qty"},
		{"POST", "invoice", strings.Replace(body, `{`, `{"custbody_other":"x",`, 1), strict, 400, "INVALID_CONTENT custbody_other"},
		{"POST", "invoice", strings.Replace(body, `{`, `{"total":1,`, 1), nil, 400, "INVALID_CONTENT total"},
		{"POST", "invoice", strings.Replace(body, today(), "2026-31-12", 1), nil, 400, "INVALID_CONTENT tranDate"},
		{"POST", "invoice", strings.Replace(body, today(), time.Now().UTC().AddDate(0, -2, 0).Format(dateForm), 1), nil, 400, "CLOSED_TRAN_PRD postingPeriod"},
		{"POST", "invoice", strings.Replace(body, today(), "1999-01-01", 1), nil, 400, "USER_ERROR tranDate"},
		{"POST", "invoice", strings.Replace(body, "150", "-5000", 1), nil, 400, "USER_ERROR"},
		{"POST", "invoice", body, map[string]string{"X-NetSuite-PropertyValueValidation": "Strict"}, 400, "INVALID_HEADER X-NetSuite-PropertyValueValidation"},
		{"POST", "invoice", body, map[string]string{"Content-Type": "text/plain"}, 415, "INVALID_HEADER Content-Type"},
		{"POST", "invoice", `[]`, nil, 400, "INVALID_CONTENT"},
		{"PATCH", "invoice/eid:none?replace=lines", `{}`, nil, 400, "INVALID_PARAMETER replace"},
		{"PATCH", "invoice/eid:none", `{}`, nil, 404, "NONEXISTENT_ID eid:none"},
		{"POST", "customer", `{"companyName":"X"}`, nil, 400, "USER_ERROR subsidiary"},
		{"POST", "customer", `{"companyName":"X","entityId":"104377","subsidiary":{"id":"1"}}`, nil, 400, "USER_ERROR"},
		{"POST", "serviceSaleItem", `{"itemId":"FRT"}`, nil, 400, "DUP_ITEM itemId"},
		{"POST", "journalEntry", `{"subsidiary":{"id":"1"},"line":{"items":[{"account":{"id":"3"},"debit":5},{"account":{"id":"4"},"credit":4}]}}`, nil, 400, "USER_ERROR line"},
		{"POST", "accountingPeriod", `{"startDate":"2030-01-01","endDate":"2030-01-31"}`, nil, 400, "INSUFFICIENT_PERMISSION"},
		{"GET", "invoice?q=nothing%20IS%201", "", nil, 400, "INVALID_PARAMETER q"},
		{"GET", "salesOrder/1", "", nil, 404, "NONEXISTENT_ID /services/rest/record/v1/salesOrder/1"},
		{"GET", limitsPath, "", nil, 403, "INSUFFICIENT_PERMISSION"},
	} {
		if a := c.do(x.method, x.path, x.body, x.header); a.status != x.status || a.code() != x.code {
			t.Errorf("%s %s %s: %d %q, want %d %q: %s", x.method, x.path, x.body, a.status, a.code(), x.status, x.code, a.raw)
		}
	}
	if n := len(c.s.Ledger()); n != 0 {
		t.Errorf("%d lines of the ledger after refusals", n)
	}
	a := c.want(c.do("POST", "invoice", strings.Replace(body, `{`, `{"nonsense":1,"custbody_digest":"x",`, 1), nil), 204, "")
	if !strings.Contains(a.header.Get("Warning"), "nonsense") {
		t.Errorf("no warning: %v", a.header)
	}
}

func TestCreditMemo(t *testing.T) {
	c := start(t, Options{})
	c.customer()
	c.want(c.do("PUT", "invoice/eid:inv", fmt.Sprintf(oneLine, today()), nil), 204, "")
	c.want(c.do("POST", "invoice/eid:inv/!transform/creditMemo", `{"externalId":"cm","item":{"items":[{"item":{"externalId":"FRT"},"amount":232.50}]}}`, nil), 204, "")
	if a := c.do("GET", "invoice/eid:inv", "", nil); str(a.body, "amountRemaining") != "1000" {
		t.Errorf("remaining %s", str(a.body, "amountRemaining"))
	}
	id := str(c.do("GET", "invoice/eid:inv", "", nil).body, "id")
	c.want(c.do("PUT", "creditMemo/eid:cm2", `{"entity":{"externalId":"104377"},"item":{"items":[{"item":{"externalId":"FRT"},"amount":1500}]},"apply":{"items":[{"apply":true,"doc":{"id":"`+id+`"},"amount":1001}]}}`, nil),
		400, "USER_ERROR apply.items[0].amount")
	c.want(c.do("PUT", "creditMemo/eid:cm2", `{"entity":{"externalId":"104377"},"item":{"items":[{"item":{"externalId":"FRT"},"amount":1500}]},"apply":{"items":[{"apply":true,"doc":{"id":"`+id+`"}}]}}`, nil), 204, "")
	a := c.do("GET", "creditMemo/eid:cm2", "", nil)
	if str(a.body, "unapplied") != "500" {
		t.Errorf("unapplied %s", a.raw)
	}
	if a := c.do("GET", "invoice/eid:inv", "", nil); str(a.body, "amountRemaining") != "0" {
		t.Errorf("remaining %s", a.raw)
	}
	c.want(c.do("DELETE", "invoice/eid:inv", "", nil), 400, "USER_ERROR")
	c.want(c.do("DELETE", "creditMemo/eid:cm2", "", nil), 204, "")
	if a := c.do("GET", "invoice/eid:inv", "", nil); str(a.body, "amountRemaining") != "1000" {
		t.Errorf("remaining after the credit memo went: %s", a.raw)
	}
}

func TestQueries(t *testing.T) {
	c := start(t, Options{Administrator: true, Integration: 2})
	c.customer()
	for _, x := range []struct {
		path string
		want int
	}{{"account?q=acctNumber%20IS%20%224000%22", 1}, {"accountingPeriod?q=startDate%20ON_OR_BEFORE%20" + today() + "%20AND%20endDate%20ON_OR_AFTER%20" + today(), 1}, {"currency", 5}, {"currency?limit=2&offset=2", 2},
		{"customer?q=isInactive%20IS%20true", 0}} {
		a := c.want(c.do("GET", x.path, "", nil), 200, "")
		if items, _ := a.body["items"].([]any); len(items) != x.want {
			t.Errorf("%s: %s", x.path, a.raw)
		}
	}
	a := c.want(c.do("GET", limitsPath, "", nil), 200, "")
	if str(a.body, "accountConcurrencyLimit") != "5" || str(a.body, "integrationLimitType") != "integrationSpecific" || str(a.body, "integrationConcurrencyLimit") != "2" {
		t.Error(a.raw)
	}
}

const (
	async = "respond-async"
	key   = "0b6b0b6e-5f0e-4a53-9d57-0f3a2f6f8e11"
)

// follow waits until a job is done and gives the results of its tasks.
func (c *client) follow(location string) (all []said) {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		a := c.want(c.do("GET", location, "", nil), 200, "")
		if a.body["completed"] == true {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the job does not end: %s", a.raw)
		}
	}
	tasks := c.do("GET", location+"/task", "", nil).body["items"].([]any)
	for i := range tasks {
		all = append(all, c.do("GET", fmt.Sprintf("%s/task/%d/result", location, i+1), "", nil))
	}
	return all
}

func TestJobs(t *testing.T) {
	c := start(t, Options{JobTakes: 30 * time.Millisecond, Parallel: true})
	c.customer()
	body := fmt.Sprintf(oneLine, today())
	header := map[string]string{"Prefer": async, "X-NetSuite-Idempotency-Key": key}
	first := c.want(c.do("PUT", "invoice/eid:j1", body, header), 202, "")
	location := first.header.Get("Location")
	if first.header.Get("Preference-Applied") != async || !strings.HasPrefix(location, jobPath) {
		t.Errorf("%v", first.header)
	}
	second := c.want(c.do("PUT", "invoice/eid:j1", body, header), 400, "IDEMPOTENCY_ERROR X-NetSuite-Idempotency-Key")
	if second.header.Get("Location") != location {
		t.Errorf("the second is led to %q, not %q", second.header.Get("Location"), location)
	}
	c.want(c.do("PUT", "invoice/eid:j1", body, map[string]string{"Prefer": async, "X-NetSuite-Idempotency-Key": "no"}), 400, "INVALID_HEADER X-NetSuite-Idempotency-Key")
	if r := c.follow(location); len(r) != 1 || r[0].status != 204 {
		t.Errorf("%+v", r)
	}
	if n := len(c.s.Ledger()); n != 1 {
		t.Errorf("%d lines of the ledger", n)
	}
	// The key counts for nothing when the request is synchronous.
	for range 2 {
		c.want(c.do("POST", "journalEntry", `{"subsidiary":{"id":"1"},"line":{"items":[{"account":{"id":"3"},"debit":5},{"account":{"id":"4"},"credit":5}]}}`, map[string]string{"X-NetSuite-Idempotency-Key": key}), 204, "")
	}
	if n := len(c.s.Ledger()); n != 3 {
		t.Errorf("%d lines of the ledger", n)
	}
}

func TestBatch(t *testing.T) {
	c := start(t, Options{})
	c.customer()
	header := map[string]string{"Prefer": async, "Content-Type": "application/vnd.oracle.resource+json; type=collection"}
	many := func(n int) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"externalId":"L%d","name":"Dock %d"}`, i, i))
		}
		return `{"items":[` + strings.Join(items, ",") + `]}`
	}
	c.want(c.do("PUT", "location", many(101), header), 400, "INVALID_CONTENT items")
	c.want(c.do("PUT", "location", many(2), map[string]string{"Content-Type": header["Content-Type"]}), 400, "INVALID_HEADER Prefer")
	c.s.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Count: 1})
	r := c.follow(c.want(c.do("PUT", "location", many(100), header), 202, "").header.Get("Location"))
	failed := 0
	for _, a := range r {
		if a.status != 204 {
			failed++
		}
	}
	if len(r) != 100 || failed != 1 || len(c.s.Ledger()) != 99 {
		t.Errorf("%d results, %d failed, %d in the ledger", len(r), failed, len(c.s.Ledger()))
	}
	c.want(c.do("GET", "location/eid:L99", "", nil), 200, "")
}

func TestFaults(t *testing.T) {
	c := start(t, Options{})
	c.customer()
	body := func(n int) string { return fmt.Sprintf(`{"name":"Dock %d"}`, n) }
	fault := func(o sinktest.FaultOrder) { o.Count = 1; c.s.SetFault(o) }
	fault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: "location", Step: "create"})
	if _, err := c.try("PUT", "location/eid:a", body(1), nil); err == nil {
		t.Error("an answer")
	}
	c.want(c.do("GET", "location/eid:a", "", nil), 200, "") // it was done
	fault(sinktest.FaultOrder{Fault: sinktest.ErrorAfter, Step: "create"})
	c.want(c.do("PUT", "location/eid:b", body(2), nil), 500, "UNEXPECTED_ERROR")
	c.want(c.do("GET", "location/eid:b", "", nil), 200, "")
	fault(sinktest.FaultOrder{Fault: sinktest.Throttle, Delay: time.Second})
	if a := c.want(c.do("PUT", "location/eid:c", body(3), nil), 429, "CONCURRENCY_LIMIT_EXCEEDED"); a.header.Get("Retry-After") != "" {
		t.Error("it says when to come again")
	}
	c.want(c.do("GET", "location/eid:c", "", nil), 404, "NONEXISTENT_ID eid:c")
	fault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Entity: "location", Delay: time.Hour})
	c.want(c.do("GET", "location/eid:a", "", nil), 404, "NONEXISTENT_ID eid:a")
	c.want(c.do("GET", "location/eid:a", "", nil), 200, "")
	fault(sinktest.FaultOrder{Fault: sinktest.Locked, Step: "update"})
	c.want(c.do("PATCH", "location/eid:a", `{"name":"Dock 9"}`, nil), 400, "RCRD_HAS_BEEN_CHANGED")
	fault(sinktest.FaultOrder{Fault: sinktest.ExpireTokens})
	c.want(c.do("GET", "location/eid:a", "", nil), 401, "INVALID_LOGIN")
	c.want(c.do("GET", "location/eid:a", "", nil), 401, "INVALID_LOGIN")
	c.token = login(t, c.s)
	c.want(c.do("GET", "location/eid:a", "", nil), 200, "")
	if n := len(c.s.Ledger()); n != 2 {
		t.Errorf("%d lines of the ledger", n)
	}
}

// The limit is of the account: while five requests are there, a sixth is sent away.
func TestConcurrency(t *testing.T) {
	c := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c.s.SetFault(sinktest.FaultOrder{Fault: sinktest.BlackHole, Count: 5})
	var held sync.WaitGroup
	for range 5 {
		held.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.s.URL+recordPath+"currency/1", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r); err == nil {
				resp.Body.Close()
				t.Errorf("a held request was answered with %d", resp.StatusCode)
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); c.s.Peak() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 5 requests came", c.s.Peak())
		}
	}
	c.want(c.do("GET", "currency/1", "", nil), 429, "CONCURRENCY_LIMIT_EXCEEDED")
	cancel()
	held.Wait()
	for deadline := time.Now().Add(20 * time.Second); c.do("GET", "currency/1", "", nil).status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("it takes nothing after the others are gone")
		}
	}
}

// What the ledger says of a document is what its body says.
func TestLedgerHoldsTheBody(t *testing.T) {
	c := start(t, Options{})
	c.customer()
	c.want(c.do("PUT", "invoice/eid:x", fmt.Sprintf(oneLine, today()), nil), 204, "")
	l := c.s.Ledger()[0]
	var body map[string]any
	if err := json.Unmarshal(l.Body, &body); err != nil || body["externalId"] != l.Key || body["tranId"] != l.Number || fmt.Sprint(body["total"]) != l.Total || l.Entity != "sales_invoice" {
		t.Errorf("%+v %v", l, err)
	}
}
