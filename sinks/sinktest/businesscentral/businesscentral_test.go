package businesscentral

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"waybill/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client talks to the simulator as a program does that believes the vendor's pages.
type client struct {
	t     *testing.T
	s     *Simulator
	token string
	base  string // of the company
	http  *http.Client
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) text(path ...string) string {
	var v any = a.body
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func (a answer) list(name string) []map[string]any {
	var all []map[string]any
	list, _ := a.body[name].([]any)
	for _, v := range list {
		all = append(all, v.(map[string]any))
	}
	return all
}

func start(t *testing.T, o Options) *client {
	t.Helper()
	s := Start(t, o)
	c := &client{t: t, s: s, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	c.login(s.options.ClientSecret, http.StatusOK)
	name := s.companies[0].name
	c.base = s.API() + "/companies(" + s.Company(name) + ")/"
	s.AddAccount("1200", "Receivables")
	s.AddAccount("4000", "Freight")
	s.AddTax("TX", "Texas", "8.25")
	s.AddTax("EX", "Exempt", "0")
	s.AddItem("LH", "Line haul", "TX")
	s.AddJournal("WAYBILL", "Waybill")
	s.AddCurrency("JPY", "1")
	return c
}

func (c *client) login(secret string, want int) {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.s.options.ClientID}, "client_secret": {secret}, "scope": {Scope}}
	resp, err := c.http.PostForm(c.s.TokenURL(), form)
	if err != nil {
		c.t.Fatal(err)
	}
	a := read(c.t, resp)
	if a.status != want {
		c.t.Fatalf("login: %d %v", a.status, a.body)
	}
	if want == http.StatusOK {
		c.token = a.text("access_token")
	}
}

func read(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if len(raw) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := d.Decode(&a.body); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (c *client) try(method, path, body string, header ...string) (answer, error) {
	c.t.Helper()
	at := path
	if !strings.HasPrefix(path, "http") {
		at = c.base + path
	}
	req, err := http.NewRequest(method, strings.ReplaceAll(at, " ", "%20"), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	return read(c.t, resp), nil
}

// do expects a status and, of a refusal, its code.
func (c *client) do(status int, code, method, path, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	if a.status != status || a.text("error", "code") != code {
		c.t.Fatalf("%s %s %s: %d %v, want %d %s", method, path, body, a.status, a.body, status, code)
	}
	if code != "" && !strings.Contains(a.text("error", "message"), "CorrelationId:") {
		c.t.Errorf("an error without its correlation: %v", a.body)
	}
	return a
}

func (c *client) customer(number string) string {
	c.t.Helper()
	return c.do(201, "", "POST", "customers", fmt.Sprintf(`{"number":%q,"displayName":"Lone Star Foods"}`, number)).text("id")
}

const invoiceBody = `{"externalDocumentNumber":"A1","invoiceDate":"2026-10-01","postingDate":"2026-10-01","customerNumber":"C1",
	"salesInvoiceLines":[{"lineType":"Item","lineObjectNumber":"LH","unitPrice":1000.00,"quantity":1},{"lineType":"Item","lineObjectNumber":"LH","unitPrice":0.07,"quantity":1},
	{"lineType":"Account","lineObjectNumber":"4000","unitPrice":75.005,"quantity":2,"taxCode":"EX"}]}`

func (c *client) invoice() string {
	c.t.Helper()
	c.customer("C1")
	return c.do(201, "", "POST", "salesInvoices", invoiceBody).text("id")
}

func TestInvoiceFromDraftToCredit(t *testing.T) {
	c := start(t, Options{})
	id := c.invoice()
	a := c.do(200, "", "GET", "salesInvoices("+id+")?$expand=salesInvoiceLines", "", "Data-Access-Intent", "ReadWrite")
	// 1000.07 at 8.25 % is 82.505775: rounded once for the tax code, and the lines add up to it.
	for name, want := range map[string]string{"status": "Draft", "totalAmountExcludingTax": "1150.08", "totalTaxAmount": "82.51", "totalAmountIncludingTax": "1232.59", "remainingAmount": "0", "customerName": "Lone Star Foods", "currencyCode": "USD"} {
		if a.text(name) != want {
			t.Errorf("%s is %q, want %q", name, a.text(name), want)
		}
	}
	lines := a.list("salesInvoiceLines")
	if len(lines) != 3 || fmt.Sprintf("%v %v %v", lines[0]["totalTaxAmount"], lines[1]["totalTaxAmount"], lines[2]["amountExcludingTax"]) != "82.5 0.01 150.01" {
		t.Errorf("lines: %v", lines)
	}
	draft := a.text("number")
	c.do(204, "", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	c.do(400, "Application_DialogException", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	a = c.do(200, "", "GET", "salesInvoices("+id+")", "")
	if a.text("number") != "PS-INV103001" || a.text("number") == draft || a.text("status") != "Open" || a.text("remainingAmount") != "1232.59" {
		t.Errorf("posted: %v", a.body)
	}
	c.do(400, "BadRequest_InvalidOperation", "PATCH", "salesInvoices("+id+")", `{"externalDocumentNumber":"B"}`, "If-Match", "*")
	c.do(400, "BadRequest_InvalidOperation", "DELETE", "salesInvoices("+id+")", "", "If-Match", "*")
	c.do(400, "BadRequest_InvalidOperation", "POST", "salesInvoices("+id+")/salesInvoiceLines", `{"lineType":"Item","lineObjectNumber":"LH"}`)

	c.do(204, "", "POST", "salesInvoices("+id+")/Microsoft.NAV.makeCorrectiveCreditMemo", "")
	memo := c.do(200, "", "GET", "salesCreditMemos?$filter=invoiceNumber eq 'PS-INV103001'", "").list("value")
	if len(memo) != 1 || memo[0]["status"] != "Draft" || fmt.Sprint(memo[0]["totalAmountIncludingTax"]) != "1232.59" {
		t.Fatalf("the corrective credit memo: %v", memo)
	}
	c.do(204, "", "POST", fmt.Sprintf("salesCreditMemos(%s)/Microsoft.NAV.post", memo[0]["id"]), "")
	if a = c.do(200, "", "GET", "salesInvoices("+id+")", ""); a.text("status") != "Paid" || a.text("remainingAmount") != "0" {
		t.Errorf("after the credit: %v", a.body)
	}
	var steps []string
	for _, line := range c.s.Ledger() {
		if line.Entity != "customer" {
			steps = append(steps, strings.Join([]string{line.Entity, line.Step, line.Key, line.Number, line.Total}, " "))
		}
	}
	want := "sales_invoice create A1  1232.59\nsales_invoice post A1 PS-INV103001 1232.59\ncredit_note create A1  1232.59\ncredit_note post A1 PS-CR103001 1232.59"
	if got := strings.Join(steps, "\n"); got != want {
		t.Errorf("the ledger:\n%s\nwant:\n%s", got, want)
	}
	entries := c.do(200, "", "GET", "generalLedgerEntries?$filter=documentNumber eq 'PS-INV103001'", "").list("value")
	if len(entries) != 3 {
		t.Errorf("entries: %v", entries)
	}
}

func TestCancelIsOneStep(t *testing.T) {
	c := start(t, Options{})
	id := c.invoice()
	c.do(400, "Application_DialogException", "POST", "salesInvoices("+id+")/Microsoft.NAV.cancel", "")
	c.do(204, "", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	c.do(204, "", "POST", "salesInvoices("+id+")/Microsoft.NAV.cancel", "")
	c.do(400, "Application_DialogException", "POST", "salesInvoices("+id+")/Microsoft.NAV.cancel", "")
	if a := c.do(200, "", "GET", "salesInvoices("+id+")", ""); a.text("status") != "Canceled" {
		t.Errorf("%v", a.body)
	}
	if memo := c.do(200, "", "GET", "salesCreditMemos", "").list("value"); len(memo) != 1 || memo[0]["status"] != "Corrective" {
		t.Errorf("%v", memo)
	}
}

func TestItIsStrict(t *testing.T) {
	c := start(t, Options{})
	id := c.customer("C1")
	for _, x := range []struct {
		status             int
		code, method, path string
		body               string
		header             []string
	}{
		{400, "BadRequest", "POST", "customers", `{"displayName":"X","nickname":"Y"}`, nil},
		{400, "BadRequest_InvalidOperation", "POST", "customers", `{"id":"` + uuid.NewString() + `","displayName":"X"}`, nil},
		{400, "BadRequest_InvalidOperation", "POST", "customers", `{"displayName":"X","balanceDue":1}`, nil},
		{400, "Internal_EntityWithSameKeyExists", "POST", "customers", `{"number":"C1","displayName":"X"}`, nil},
		{400, "Application_StringExceededLength", "POST", "customers", `{"number":"C123456789012345678901"}`, nil},
		{400, "Unknown", "POST", "customers", `{"number":"C2","type":"Robot"}`, nil},
		{400, "Application_InvalidGUID", "POST", "customers", `{"number":"C2","taxAreaId":"nonsense"}`, nil},
		{400, "Internal_InvalidTableRelation", "POST", "customers", `{"number":"C2","taxAreaId":"` + uuid.NewString() + `"}`, nil},
		{400, "BadRequest", "POST", "customers", `{"number":"C2","creditLimit":"100.00"}`, nil},
		{400, "BadRequest", "POST", "customers", `[]`, nil},
		{415, "BadRequest", "POST", "customers", `{"number":"C2"}`, []string{"Content-Type", "text/plain"}},
		{400, "BadRequest", "POST", "salesInvoices", `{"customerNumber":"C1","postingDate":"10/01/2026"}`, nil},
		{400, "Application_DialogException", "POST", "salesInvoices", `{"externalDocumentNumber":"A1"}`, nil},
		{400, "Internal_InvalidTableRelation", "POST", "salesInvoices", `{"customerNumber":"C9"}`, nil},
		{400, "Internal_InvalidTableRelation", "POST", "salesInvoices", `{"customerNumber":"C1","salesInvoiceLines":[{"lineType":"Item","lineObjectNumber":"NO"}]}`, nil},
		{400, "BadRequest_InvalidToken", "PATCH", "customers(" + id + ")", `{"city":"Dallas"}`, nil},
		{409, "Request_EntityChanged", "PATCH", "customers(" + id + ")", `{"city":"Dallas"}`, []string{"If-Match", `W/"stale"`}},
		{400, "BadRequest_InvalidToken", "DELETE", "customers(" + id + ")", ``, nil},
		{404, "Internal_RecordNotFound", "GET", "customers(" + uuid.NewString() + ")", ``, nil},
		{404, "BadRequest_ResourceNotFound", "GET", "vendorsOfMine", ``, nil},
		{405, "BadRequest_MethodNotAllowed", "POST", "accounts", `{"number":"9"}`, nil},
		{400, "BadRequest", "GET", "salesInvoices?$filter=externalDocumentNumber%20eq%20A1", ``, nil},
		{400, "BadRequest", "GET", "salesInvoices?$filter=nickname%20eq%20'A1'", ``, nil},
		{400, "BadRequest", "GET", "salesInvoices?$filter=number%20eq%20'A1'%20or%20status%20eq%20'Open'", ``, nil},
		{400, "Application_FilterErrorException", "GET", "items?$filter=number%20eq%20'123456789012345678901'", ``, nil},
		{400, "BadRequest_MethodNotImplemented", "POST", "customers(" + id + ")/Microsoft.NAV.post", ``, nil},
	} {
		c.do(x.status, x.code, x.method, x.path, x.body, x.header...)
	}
	c.do(404, "Internal_CompanyNotFound", "GET", c.s.API()+"/companies("+uuid.NewString()+")/customers", "")
	if got := c.do(200, "", "GET", "salesInvoices", "").list("value"); len(got) != 0 {
		t.Errorf("a refused deep insert left %v", got)
	}
	// A lambda is silently ignored: it takes everything.
	c.do(201, "", "POST", "salesInvoices", `{"customerNumber":"C1","externalDocumentNumber":"A'1"}`)
	if got := c.do(200, "", "GET", "salesInvoices?$filter="+url.QueryEscape("salesInvoiceLines/any(l:l/quantity eq 99)"), "").list("value"); len(got) != 1 {
		t.Errorf("a lambda: %v", got)
	}
	if got := c.do(200, "", "GET", "salesInvoices?$filter="+url.QueryEscape("externalDocumentNumber eq 'a''1' and status eq 'Draft'"), "").list("value"); len(got) != 1 {
		t.Errorf("a filter: %v", got)
	}
	a := c.do(200, "", "GET", "customers("+id+")", "")
	c.do(200, "", "PATCH", "customers("+id+")", `{"city":"Dallas"}`, "If-Match", a.text("@odata.etag"))
	c.do(409, "Request_EntityChanged", "PATCH", "customers("+id+")", `{"city":"Houston"}`, "If-Match", a.text("@odata.etag"))
}

func TestClientIDs(t *testing.T) {
	c := start(t, Options{ClientIDs: true})
	c.customer("C1")
	id := uuid.NewString()
	body := `{"id":"` + strings.ToUpper(id) + `","customerNumber":"C1","externalDocumentNumber":"A1"}`
	if a := c.do(201, "", "POST", "salesInvoices", body); a.text("id") != id {
		t.Errorf("%v", a.body)
	}
	c.do(400, "Internal_EntityWithSameKeyExists", "POST", "salesInvoices", body)
}

func TestReadsOfTheReplica(t *testing.T) {
	c := start(t, Options{ReplicaLag: time.Hour})
	id := c.customer("C1")
	c.do(404, "Internal_RecordNotFound", "GET", "customers("+id+")", "")
	c.do(200, "", "GET", "customers("+id+")", "", "Data-Access-Intent", "ReadWrite")
	if got := c.do(200, "", "GET", "customers", "").list("value"); len(got) != 0 {
		t.Errorf("the replica shows %v", got)
	}
	c = start(t, Options{ReplicaLag: time.Hour, IgnoreIntent: true})
	id = c.customer("C1")
	c.do(404, "Internal_RecordNotFound", "GET", "customers("+id+")", "", "Data-Access-Intent", "ReadWrite")
}

func TestTokens(t *testing.T) {
	c := start(t, Options{})
	for _, x := range []struct {
		status int
		code   string
		form   url.Values
	}{
		{401, "invalid_client", url.Values{"grant_type": {"client_credentials"}, "client_id": {"waybill"}, "client_secret": {"wrong"}, "scope": {Scope}}},
		{400, "unauthorized_client", url.Values{"grant_type": {"client_credentials"}, "client_id": {"me"}, "client_secret": {"s3cret-of-entra"}, "scope": {Scope}}},
		{400, "invalid_scope", url.Values{"grant_type": {"client_credentials"}, "client_id": {"waybill"}, "client_secret": {"s3cret-of-entra"}}},
		{400, "unsupported_grant_type", url.Values{"grant_type": {"password"}}},
	} {
		resp, err := c.http.PostForm(c.s.TokenURL(), x.form)
		if err != nil {
			t.Fatal(err)
		}
		if a := read(t, resp); a.status != x.status || a.text("error") != x.code {
			t.Errorf("%v: %d %v", x.form, a.status, a.body)
		}
	}
	c.s.SetFault(sinktest.FaultOrder{Fault: sinktest.ExpireTokens, Count: 1})
	c.do(401, "Authentication_InvalidCredentials", "GET", "customers", "")
	c.login("s3cret-of-entra", 200)
	c.do(200, "", "GET", "customers", "")
	c.s.Rotate("another")
	c.login("s3cret-of-entra", 401)
	c.login("another", 200)
	if c.s.Logins() != 3 {
		t.Errorf("%d tokens were given out", c.s.Logins())
	}
	c.token = "nonsense"
	c.do(401, "Authentication_InvalidCredentials", "GET", "customers", "")
}

func TestClosedPeriodAndBlockedCustomer(t *testing.T) {
	c := start(t, Options{})
	id := c.invoice()
	c.s.AllowPosting("2026-11-01", "")
	a := c.do(400, "Application_DialogException", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	if !strings.Contains(a.text("error", "message"), "not within your range of allowed posting dates") {
		t.Errorf("%v", a.body)
	}
	c.do(200, "", "PATCH", "salesInvoices("+id+")", `{"postingDate":"2026-11-02"}`, "If-Match", "*")
	customer := c.do(200, "", "GET", "customers?$filter=number eq 'C1'", "").list("value")[0]["id"]
	c.do(200, "", "PATCH", fmt.Sprintf("customers(%s)", customer), `{"blocked":"Invoice"}`, "If-Match", "*")
	c.do(400, "Application_FieldValidationException", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	c.do(200, "", "PATCH", fmt.Sprintf("customers(%s)", customer), `{"blocked":" "}`, "If-Match", "*")
	c.do(204, "", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
}

func TestJournals(t *testing.T) {
	c := start(t, Options{})
	journal := fmt.Sprint(c.do(200, "", "GET", "journals?$filter=code eq 'WAYBILL'", "").list("value")[0]["id"])
	at := "journals(" + journal + ")/"
	c.do(400, "Application_DialogException", "POST", at+"Microsoft.NAV.post", "")
	c.do(400, "Internal_InvalidTableRelation", "POST", at+"journalLines", `{"accountNumber":"9999","amount":1}`)
	c.do(201, "", "POST", at+"journalLines", `{"accountNumber":"1200","postingDate":"2026-10-01","documentNumber":"J1","externalDocumentNumber":"X1","amount":100.10}`)
	c.do(400, "Application_DialogException", "POST", at+"Microsoft.NAV.post", "")
	c.do(201, "", "POST", at+"journalLines", `{"accountNumber":"4000","postingDate":"2026-10-01","documentNumber":"J1","externalDocumentNumber":"X1","amount":-100.10}`)
	c.do(204, "", "POST", at+"Microsoft.NAV.post", "")
	if left := c.do(200, "", "GET", at+"journalLines", "").list("value"); len(left) != 0 {
		t.Errorf("lines that were posted are still there: %v", left)
	}
	if entries := c.do(200, "", "GET", "generalLedgerEntries?$filter=documentNumber eq 'J1'", "").list("value"); len(entries) != 2 {
		t.Errorf("%v", entries)
	}
	last := c.s.Ledger()[len(c.s.Ledger())-1]
	if last.Step != "post" || last.Entity != "journal_entry" || last.Key != "X1" || last.Total != "100.1" {
		t.Errorf("%+v", last)
	}
}

func TestBatches(t *testing.T) {
	c := start(t, Options{})
	id := c.invoice()
	part := func(n, method, path, body string) string {
		text := fmt.Sprintf(`{"id":%q,"method":%q,"url":%q,"headers":{"Content-Type":"application/json","If-Match":"*"}`, n, method, strings.TrimPrefix(c.base, c.s.API()+"/")+path)
		if body != "" {
			text += `,"body":` + body
		}
		return text + "}"
	}
	send := func(parts []string, header ...string) []map[string]any {
		return c.do(200, "", "POST", c.s.API()+"/$batch", `{"requests":[`+strings.Join(parts, ",")+`]}`, header...).list("responses")
	}
	count := func(set string) int { return len(c.do(200, "", "GET", set, "").list("value")) }
	bad := part("2", "POST", "locations", `{"displayName":"no code"}`)
	good := func(code string) string { return part("1", "POST", "locations", `{"code":"`+code+`"}`) }
	if r := send([]string{good("L1"), bad, good("L2")}, "Prefer", "odata.continue-on-error"); len(r) != 3 || fmt.Sprintf("%v %v %v", r[0]["status"], r[1]["status"], r[2]["status"]) != "201 400 201" || count("locations") != 2 {
		t.Errorf("independent: %v", r)
	}
	if r := send([]string{good("L3"), bad, good("L4")}, "Isolation", "snapshot"); len(r) != 2 || count("locations") != 2 {
		t.Errorf("in isolation: %v", r)
	}
	// Posting code commits: what came before it stays, although the batch fails.
	post := part("p", "POST", "salesInvoices("+id+")/Microsoft.NAV.post", "")
	if r := send([]string{good("L5"), post, bad}, "Isolation", "snapshot"); len(r) != 3 || count("locations") != 3 {
		t.Errorf("with a post: %v, %d locations", r, count("locations"))
	}
	c.s.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Entity: "location", Count: 1})
	if r := send([]string{good("L6"), good("L7")}, "Prefer", "odata.continue-on-error"); fmt.Sprintf("%v %v", r[0]["status"], r[1]["status"]) != "500 201" {
		t.Errorf("partial: %v", r)
	}
	many := make([]string, maxBatch+1)
	for i := range many {
		many[i] = good(fmt.Sprint("M", i))
	}
	c.do(400, "BadRequest", "POST", c.s.API()+"/$batch", `{"requests":[`+strings.Join(many, ",")+`]}`)
}

func TestFaults(t *testing.T) {
	c := start(t, Options{})
	count := func() int { return len(c.do(200, "", "GET", "locations", "").list("value")) }
	n := 0
	post := func() (answer, error) {
		n++
		return c.try("POST", "locations", fmt.Sprintf(`{"code":"F%d"}`, n))
	}
	for _, x := range []struct {
		fault  sinktest.Fault
		status int // 0: no answer
		done   int
	}{{sinktest.Throttle, 429, 0}, {sinktest.Down, 503, 0}, {OperationTimeout, 408, 0}, {QueueTimeout, 503, 0}, {GatewayTimeout, 504, 1}, {sinktest.ErrorAfter, 500, 1},
		{sinktest.DropAnswer, 0, 1}, {sinktest.Refuse, 0, 0}, {sinktest.Locked, 500, 0}} {
		before := count()
		c.s.SetFault(sinktest.FaultOrder{Fault: x.fault, Entity: "location", Step: "create", Count: 1, Delay: 7 * time.Second})
		a, err := post()
		if a.status != x.status || (err != nil) != (x.status == 0) || count()-before != x.done {
			t.Errorf("%s: %d (%v), %d done", x.fault, a.status, err, count()-before)
		}
		if after := a.header.Get("Retry-After"); (after == "7") != (x.status == 503) {
			t.Errorf("%s says Retry-After %q", x.fault, after)
		}
	}
	c.s.SetFault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Entity: "location", Delay: time.Hour})
	if count() != 0 {
		t.Error("stale reads show what is there")
	}
	if got := c.do(200, "", "GET", "locations", "", "Data-Access-Intent", "ReadWrite").list("value"); len(got) == 0 {
		t.Error("the primary is stale")
	}
}

// What comes while as many run and wait as may is refused, without a word of when to come again.
func TestItTakesSoManyAtOnce(t *testing.T) {
	c := start(t, Options{Sim: sinktest.SimOptions{Concurrent: 1, Queue: 2, Takes: 100 * time.Millisecond}})
	var wg sync.WaitGroup
	var refused, served atomic.Int32
	for range 8 {
		wg.Go(func() {
			a, err := c.try("GET", "customers", "")
			switch {
			case err != nil:
				t.Error(err)
			case a.status == 200:
				served.Add(1)
			case a.status == 429 && a.header.Get("Retry-After") == "":
				refused.Add(1)
			default:
				t.Errorf("%d %v", a.status, a.header)
			}
		})
	}
	wg.Wait()
	if served.Load() < 3 || refused.Load() == 0 {
		t.Errorf("%d served, %d refused", served.Load(), refused.Load())
	}
}

// The currency decides how an amount is rounded.
func TestTotalsOfACurrencyWithoutCents(t *testing.T) {
	c := start(t, Options{})
	c.customer("C1")
	a := c.do(201, "", "POST", "salesInvoices", `{"customerNumber":"C1","currencyCode":"JPY","salesInvoiceLines":[{"lineType":"Item","lineObjectNumber":"LH","unitPrice":100.5,"quantity":1},{"lineType":"Item","lineObjectNumber":"LH","unitPrice":5,"quantity":1}]}`)
	a = c.do(200, "", "GET", "salesInvoices("+a.text("id")+")", "", "Data-Access-Intent", "ReadWrite")
	if got := a.text("totalAmountExcludingTax") + " " + a.text("totalTaxAmount"); got != "106 9" {
		t.Errorf("net and tax are %s", got)
	}
}
