package s4hana

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// client talks to the tenant as any client of the real one would.
type client struct {
	t    *testing.T
	base string
	http *http.Client
	csrf string
	bare bool // sends no credentials of its own
}

func newClient(t *testing.T, s *sinktest.Sim) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, base: s.URL, http: &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
	return c
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (c *client) do(method, path, body string, header map[string]string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if !c.bare {
		req.SetBasicAuth("WAYBILL", "Welcome1")
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.csrf != "" {
		req.Header.Set("X-CSRF-Token", c.csrf)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// login fetches a CSRF token; the cookie stays in the jar.
func (c *client) login() {
	c.t.Helper()
	a := c.do("GET", partnerSrv, "", map[string]string{"X-CSRF-Token": "Fetch"})
	if c.csrf = a.header.Get("X-CSRF-Token"); a.status != 200 || c.csrf == "" {
		c.t.Fatalf("fetching a token: %+v", a)
	}
}

func (c *client) must(status int, method, path, body string, header map[string]string) answer {
	c.t.Helper()
	a := c.do(method, path, body, header)
	if a.status != status {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

const (
	partnerSrv  = odataRoot + "API_BUSINESS_PARTNER/"
	partners    = partnerSrv + "A_BusinessPartner"
	billingSrv  = odataRoot + "API_BILLING_DOCUMENT_SRV/"
	cube        = odataRoot + "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"
	journalPath = soapRoot + "scs_ext/sap/journalentrycreaterequestconfi"
	billingPath = soapRoot + "scs_ext/sap/billingdocumentrequest_in"
)

const acme = `{"BusinessPartnerCategory":"2","BusinessPartnerGrouping":"BP02","OrganizationBPName1":"Acme","SearchTerm1":"ACM01","to_BusinessPartnerRole":{"results":[{"BusinessPartnerRole":"FLCU00"}]},
	"to_BusinessPartnerAddress":[{"Country":"US","CityName":"Dallas","Region":"TX"}]}`

// customer makes Acme and returns its number.
func (c *client) customer() string {
	c.t.Helper()
	a := c.must(201, "POST", partners, acme, nil)
	var made struct {
		D struct{ BusinessPartner, Customer string }
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.D.BusinessPartner == "" || made.D.Customer != made.D.BusinessPartner {
		c.t.Fatalf("%v: %s", err, a.body)
	}
	return made.D.BusinessPartner
}

func get(t *testing.T, a answer, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	for _, name := range path {
		if list, ok := v.([]any); ok {
			if len(list) == 0 {
				return ""
			}
			v = list[0]
		}
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return fmt.Sprint(v)
}

func TestLetsIn(t *testing.T) {
	s, p := Start(t, Options{ClientID: "app", ClientSecret: "s3cret", Certificate: "CN=waybill"})
	c := newClient(t, s)
	c.must(401, "GET", partners, "", map[string]string{"Authorization": "Basic eDp5"})
	c.bare = true
	c.must(401, "GET", partners, "", nil)
	c.must(401, "GET", partners, "", map[string]string{"Authorization": "Bearer stolen"})
	c.must(200, "GET", partners, "", map[string]string{"SSL_CLIENT_CERT": "CN=waybill"})
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	c.must(401, "POST", tokenPath, "grant_type=client_credentials&client_id=app&client_secret=no", form)
	c.must(400, "POST", tokenPath, "grant_type=password", form)
	a := c.must(200, "POST", tokenPath, "grant_type=client_credentials&client_id=app&client_secret=s3cret", form)
	bearer := map[string]string{"Authorization": "Bearer " + get(t, a, "access_token")}
	c.must(200, "GET", partners, "", bearer)
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.ExpireTokens, Count: 1})
	c.must(401, "GET", partners, "", bearer)
	if len(p.tokens) != 0 {
		t.Error("the token lives")
	}
}

func TestWritesNeedATokenAndItsCookie(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	a := c.must(403, "POST", partners, acme, nil)
	if a.header.Get("X-CSRF-Token") != "Required" {
		t.Errorf("%v", a.header)
	}
	c.login()
	c.customer()
	other := newClient(t, s) // the token without the cookie of its session
	other.csrf = c.csrf
	other.must(403, "POST", partners, acme, nil)
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.ExpireTokens, Count: 1})
	if a := c.must(403, "POST", partners, acme, nil); a.header.Get("X-CSRF-Token") != "Required" {
		t.Errorf("%v", a.header)
	}
	if n := len(s.Ledger()); n != 1 {
		t.Errorf("%d lines in the ledger", n)
	}
}

func TestBusinessPartners(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	for body, status := range map[string]int{
		`{"BusinessPartnerCategory":"2"}`: 400, `{"BusinessPartnerCategory":"2","OrganizationBPName1":"X","Nonsense":"1"}`: 400,
		`{"BusinessPartnerCategory":"2","OrganizationBPName1":"X","SearchTerm1":5}`: 400, `{"BusinessPartnerCategory":"2","OrganizationBPName1":"X","SearchTerm1":"` + strings.Repeat("x", 21) + `"}`: 400, `{`: 400} {
		a := c.must(status, "POST", partners, body, nil)
		if get(t, a, "error", "innererror", "transactionid") == "" || get(t, a, "error", "message", "value") == "" || get(t, a, "error", "innererror", "errordetails", "severity") != "error" {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	c.must(415, "POST", partners, acme, map[string]string{"Content-Type": "text/plain"})
	filter := func(text string) string { return partners + "?$filter=" + url.QueryEscape(text) }
	a := c.must(200, "GET", filter("SearchTerm1 eq 'ACM01' and BusinessPartnerCategory eq '2'")+"&$expand=to_BusinessPartnerAddress,to_Customer", "", nil)
	if get(t, a, "d", "results", "BusinessPartner") != number || get(t, a, "d", "results", "to_BusinessPartnerAddress", "results", "CityName") != "Dallas" || get(t, a, "d", "results", "to_Customer", "Customer") != number {
		t.Error(a.body)
	}
	if a := c.must(200, "GET", filter("SearchTerm1 eq 'ACM02'"), "", nil); !strings.Contains(a.body, `"results":[]`) {
		t.Error(a.body)
	}
	for _, bad := range []string{"Nonsense eq '1'", "SearchTerm1 eq", "SearchTerm1 like 'x'", "SearchTerm1 eq 1", "(SearchTerm1 eq 'x'"} {
		c.must(400, "GET", filter(bad), "", nil)
	}
	one := partners + "('" + number + "')"
	etag := c.must(200, "GET", one, "", nil).header.Get("ETag")
	c.must(428, "PATCH", one, `{"SearchTerm2":"A"}`, nil)
	c.must(204, "PATCH", one, `{"SearchTerm2":"A"}`, map[string]string{"If-Match": etag})
	c.must(412, "PATCH", one, `{"SearchTerm2":"B"}`, map[string]string{"If-Match": etag})
	c.must(204, "POST", one, `{"SearchTerm2":"C"}`, map[string]string{"If-Match": "*", "X-HTTP-Method": "MERGE"})
	c.must(404, "PATCH", partners+"('99')", `{"SearchTerm2":"B"}`, map[string]string{"If-Match": "*"})
	c.must(404, "POST", one+"/to_CustomerTax", `{}`, nil)
	c.must(201, "POST", one+"/to_BusinessPartnerTax", `{"BPTaxType":"US1","BPTaxNumber":"12-3456789"}`, nil)
}

func TestLedgerOfPartners(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	c.must(204, "PATCH", partners+"('"+number+"')", `{"OrganizationBPName1":"Acme Inc"}`, map[string]string{"If-Match": "*"})
	l := s.Ledger()
	if len(l) != 2 || l[0].Entity != "customer" || l[0].Step != "create" || l[0].Key != "ACM01" || l[0].ID != number || l[1].Step != "update" {
		t.Errorf("%+v", l)
	}
}

func TestDelayLocksAndLimits(t *testing.T) {
	s, _ := Start(t, Options{Busy: 503, SimOptions: sinktest.SimOptions{Takes: 50 * time.Millisecond}})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	one := partners + "('" + number + "')"
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.StaleReads, Delay: time.Hour, Count: 1})
	c.must(404, "GET", one, "", nil)
	c.must(200, "GET", one, "", nil)
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.Locked, Entity: "customer", Count: 1})
	if a := c.must(400, "PATCH", one, `{"SearchTerm2":"A"}`, map[string]string{"If-Match": "*"}); !strings.Contains(a.body, "is being processed by user") {
		t.Error(a.body)
	}
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.Throttle, Delay: 3 * time.Second, Count: 1})
	if a := c.must(503, "GET", one, "", nil); a.header.Get("Retry-After") != "3" {
		t.Errorf("%v", a.header)
	}
	s.SetConcurrent(1)
	status := make(chan int, 2)
	for range 2 {
		go func() { status <- newClient(t, s).do("GET", one, "", nil).status }()
	}
	if a, b := <-status, <-status; a+b != 200+503 {
		t.Errorf("%d and %d", a, b)
	}
	behind, _ := Start(t, Options{CommitDelay: time.Hour})
	c = newClient(t, behind)
	c.login()
	c.must(404, "GET", partners+"('"+c.customer()+"')", "", nil)
}

func TestWhatIsNotThere(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	c.must(404, "GET", "/else", "", nil)
	c.must(403, "GET", odataRoot+"API_NOTHING/A_X", "", nil)
	for _, path := range []string{partnerSrv + "A_Nothing", partnerSrv + "A_BillingDocument", partners + "('1')/to_Nothing", partners + "('1"} {
		if a := c.do("GET", path, "", nil); a.status != 404 && a.status != 400 {
			t.Errorf("%s: %+v", path, a)
		}
	}
	c.must(400, "GET", partners+"?$nonsense=1", "", nil)
	c.must(406, "GET", partners, "", map[string]string{"Accept": "application/xml"})
	c.must(200, "GET", odataRoot+"API_COMPANYCODE_SRV/A_CompanyCode('1710')", "", nil)
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Count: 1})
	if a := c.do("POST", partners, acme, nil); a.status != 0 || len(s.Ledger()) != 1 {
		t.Errorf("%+v, %d lines", a, len(s.Ledger()))
	}
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.ErrorAfter, Count: 1})
	c.must(500, "POST", partners, acme, nil)
	if len(s.Ledger()) != 2 {
		t.Error("nothing was committed")
	}
}
