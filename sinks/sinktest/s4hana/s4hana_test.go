package s4hana

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
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

var documentNumber = regexp.MustCompile(`<AccountingDocument>(\d*)</AccountingDocument>`)

func journal(uuid, reference, customer, amount, more string) string {
	negated, code, other := "-"+amount, "S", "H"
	if strings.HasPrefix(amount, "-") {
		negated, code, other = amount[1:], "H", "S"
	}
	debtor := fmt.Sprintf(`<DebtorItem><ReferenceDocumentItem>1</ReferenceDocumentItem><Debtor>%s</Debtor><AmountInTransactionCurrency currencyCode="USD">%s</AmountInTransactionCurrency><DebitCreditCode>%s</DebitCreditCode></DebtorItem>`, customer, amount, code)
	if customer == "" {
		debtor = fmt.Sprintf(`<Item><GLAccount>11000000</GLAccount><AmountInTransactionCurrency currencyCode="USD">%s</AmountInTransactionCurrency><DebitCreditCode>%s</DebitCreditCode></Item>`, amount, code)
	}
	return fmt.Sprintf(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sfin="http://sap.com/xi/SAPSCORE/SFIN"><e:Header/><e:Body><sfin:JournalEntryBulkCreateRequest>
<MessageHeader><ID>M1</ID>%s<CreationDateTime>2026-10-01T00:00:00Z</CreationDateTime></MessageHeader><JournalEntryCreateRequest><MessageHeader><CreationDateTime>2026-10-01T00:00:00Z</CreationDateTime></MessageHeader>
<JournalEntry><OriginalReferenceDocumentType>BKPFF</OriginalReferenceDocumentType><BusinessTransactionType>RFBU</BusinessTransactionType><AccountingDocumentType>DR</AccountingDocumentType><DocumentReferenceID>%s</DocumentReferenceID>
<CreatedByUser>WAYBILL</CreatedByUser><CompanyCode>1710</CompanyCode><DocumentDate>2026-10-01</DocumentDate><PostingDate>2026-10-01</PostingDate>%s%s
<Item><GLAccount>41000000</GLAccount><AmountInTransactionCurrency currencyCode="USD">%s</AmountInTransactionCurrency><DebitCreditCode>%s</DebitCreditCode></Item></JournalEntry></JournalEntryCreateRequest>
</sfin:JournalEntryBulkCreateRequest></e:Body></e:Envelope>`, uuid, reference, more, debtor, negated, other)
}

var xmlHeader = map[string]string{"Content-Type": "text/xml; charset=utf-8"}

func TestJournalEntries(t *testing.T) {
	s, p := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	const uuid = "<UUID>0a1b2c3d-0000-1111-2222-333344445555</UUID>"
	first := c.must(200, "POST", journalPath, journal(uuid, "A1", number, "108.25", ""), xmlHeader)
	doc := documentNumber.FindStringSubmatch(first.body)
	if doc == nil || doc[1] != "1800000000" || !strings.Contains(first.body, "<MaximumLogItemSeverityCode>1<") {
		t.Fatal(first.body)
	}
	if again := c.must(200, "POST", journalPath, journal(uuid, "A1", number, "108.25", ""), xmlHeader); again.body != first.body {
		t.Errorf("the same UUID, another answer: %s", again.body)
	}
	if other := c.must(200, "POST", journalPath, journal("", "A1", number, "108.25", ""), xmlHeader); other.body == first.body {
		t.Error("without a UUID it is not done again")
	}
	l := s.Ledger()
	if len(l) != 3 || l[1].Entity != "sales_invoice" || l[1].Step != "post" || l[1].Key != "A1" || l[1].Total != "108.25" || l[2].Number == l[1].Number {
		t.Errorf("%+v", l)
	}
	a := c.must(200, "GET", cube+"?$filter="+url.QueryEscape("DocumentReferenceID eq 'A1' and CompanyCode eq '1710' and PostingDate eq datetime'2026-10-01T00:00:00' and Customer eq '"+number+"'")+"&$orderby=AccountingDocument", "", nil)
	if get(t, a, "d", "results", "AmountInTransactionCurrency") != "108.25" || get(t, a, "d", "results", "PostingDate") != "/Date(1790812800000)/" || get(t, a, "d", "results", "AccountingDocument") != doc[1] {
		t.Error(a.body)
	}
	p.Close("2026-10-02", "")
	for want, body := range map[string]string{
		"is not open": journal("", "A2", number, "1.00", ""),
	} {
		refused(t, c, body, want)
	}
	p.Close("", "")
	for want, body := range map[string]string{
		"Balance in transaction currency": strings.Replace(journal("", "A2", number, "1.00", ""), ">-1.00<", ">-1.01<", 1),
		"is not defined in company code":  journal("", "A2", "77", "1.00", ""),
		"too many decimals":               journal("", "A2", number, "1.001", ""),
		"does not exist":                  strings.Replace(journal("", "A2", number, "1.00", ""), "1710", "9999", 1),
		"longer than 16":                  journal("", strings.Repeat("x", 17), number, "1.00", ""),
		"does not fit the sign":           strings.Replace(journal("", "A2", number, "1.00", ""), ">S<", ">H<", 1),
	} {
		refused(t, c, body, want)
	}
	for _, body := range []string{"{}", strings.Replace(journal("", "A2", number, "1.00", ""), "CompanyCode>", "Company>", 2), journal("<UUID>x</UUID>", "A2", number, "1.00", ""), "<a/>"} {
		c.must(500, "POST", journalPath, body, xmlHeader)
	}
	c.must(500, "POST", journalPath, journal("", "A2", number, "1.00", ""), map[string]string{"Content-Type": "application/json"})
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.Locked, Count: 1})
	refused(t, c, journal("", "A2", number, "1.00", ""), "is being processed by user")
	if n := len(s.Ledger()); n != 3 {
		t.Errorf("%d lines in the ledger: something refused was done", n)
	}
}

func refused(t *testing.T, c *client, body, want string) {
	t.Helper()
	a := c.must(200, "POST", journalPath, body, xmlHeader)
	if !strings.Contains(a.body, want) || !strings.Contains(a.body, "<AccountingDocument>0000000000<") || !strings.Contains(a.body, "<MaximumLogItemSeverityCode>3<") {
		t.Errorf("want %q: %s", want, a.body)
	}
}

func TestReversalsAndCredits(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	c.must(200, "POST", journalPath, journal("", "A1", number, "10.00", ""), xmlHeader)
	c.must(200, "POST", journalPath, journal("", "C1", number, "-4.00", ""), xmlHeader)
	c.must(200, "POST", journalPath, journal("", "J1", "", "5.00", ""), xmlHeader)
	reverse := `<ReversalReason>01</ReversalReason><ReversalReferenceDocument>180000000017102026</ReversalReferenceDocument>`
	items := regexp.MustCompile(`(?s)<DebtorItem>.*</Item>`)
	body := items.ReplaceAllString(journal("", "C2", number, "10.00", reverse), "")
	c.must(200, "POST", journalPath, body, xmlHeader)
	refused(t, c, body, "already reversed")
	got := ""
	for _, l := range s.Ledger()[1:] {
		got += l.Entity + " " + l.Key + " " + l.Total + ";"
	}
	if got != "sales_invoice A1 10;credit_note C1 -4;journal_entry J1 5;credit_note C2 -10;" {
		t.Error(got)
	}
	a := c.must(200, "GET", cube+"?$filter="+url.QueryEscape("AccountingDocument eq '1800000000' and FiscalYear eq '2026'"), "", nil)
	if get(t, a, "d", "results", "IsReversed") != "true" {
		t.Error(a.body)
	}
}

func TestBillingDocuments(t *testing.T) {
	s, p := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	number := c.customer()
	request := func(reference, customer string) string {
		return `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sd="http://sap.com/xi/SD-BIL"><e:Header/><e:Body><sd:BillingDocumentRequest><MessageHeader><CreationDateTime>2026-10-01T00:00:00Z</CreationDateTime></MessageHeader>
<GlobalParameters><ReferenceDocumentLogicalSystem>NSTAR</ReferenceDocumentLogicalSystem></GlobalParameters><BillableDocument><ReferenceDocument>` + reference + `</ReferenceDocument><BillableDocumentItem><BillingDocumentDate>2026-10-01</BillingDocumentDate>
<SalesOrganization>1710</SalesOrganization><SoldToParty>` + customer + `</SoldToParty><TransactionCurrency>USD</TransactionCurrency><NetAmount>100.00</NetAmount><TaxAmount>8.25</TaxAmount></BillableDocumentItem></BillableDocument></sd:BillingDocumentRequest></e:Body></e:Envelope>`
	}
	c.must(202, "POST", billingPath, request("B1", number), xmlHeader)
	c.must(202, "POST", billingPath, request("B2", "77"), xmlHeader) // refused, and nobody is told
	if r := p.Rejected(); len(r) != 1 || !strings.Contains(r[0], "does not exist") {
		t.Errorf("%v", r)
	}
	a := c.must(200, "GET", billingSrv+"A_BillingDocument?$filter="+url.QueryEscape("DocumentReferenceID eq 'B1'"), "", nil)
	bill := get(t, a, "d", "results", "BillingDocument")
	if get(t, a, "d", "results", "TotalGrossAmount") != "108.25" || bill == "" {
		t.Fatal(a.body)
	}
	c.must(405, "POST", billingSrv+"A_BillingDocument", `{}`, nil)
	a = c.must(200, "POST", billingSrv+"Cancel?BillingDocument='"+bill+"'", "", nil)
	if get(t, a, "d", "results", "CancelledBillingDocument") != bill || get(t, a, "d", "results", "TotalGrossAmount") != "-108.25" {
		t.Error(a.body)
	}
	c.must(400, "POST", billingSrv+"Cancel?BillingDocument='"+bill+"'", "", nil)
	if l := s.Ledger(); len(l) != 3 || l[2].Entity != "credit_note" || l[2].Total != "-108.25" {
		t.Errorf("%+v", l)
	}
}

func batchOf(boundary string, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		kind := "application/http\r\nContent-Transfer-Encoding: binary"
		if inner, ok := strings.CutPrefix(p, "changeset "); ok {
			p = inner
			kind = "multipart/mixed; boundary=" + boundary + "in"
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\n\r\n%s\r\n", boundary, kind, p)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func write(method, path, body string, more ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n%s\r\n%s", method, path, strings.Join(more, ""), body)
}

func TestBatch(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	header := map[string]string{"Content-Type": "multipart/mixed; boundary=out"}
	number := c.customer()
	address := write("POST", "A_BusinessPartner('"+number+"')/to_BusinessPartnerAddress", `{"Country":"US","CityName":"Waco"}`)
	good := "changeset " + batchOf("outin", write("POST", "A_BusinessPartner", acme, "Content-ID: 1\r\n"), write("POST", "$1/to_BusinessPartnerTax", `{"BPTaxType":"US1","BPTaxNumber":"12"}`), address)
	bad := "changeset " + batchOf("outin", write("POST", "A_BusinessPartner", acme), write("POST", "A_BusinessPartner", `{"BusinessPartnerCategory":"2"}`))
	a := c.must(202, "POST", partnerSrv+"$batch", batchOf("out", good, bad, "GET A_BusinessPartner?$format=json HTTP/1.1\r\n\r\n"), header)
	if n := strings.Count(a.body, "HTTP/1.1 201"); n != 3 {
		t.Errorf("%d parts were created: %s", n, a.body)
	}
	if n := strings.Count(a.body, "HTTP/1.1 400"); n != 1 {
		t.Errorf("%d parts failed: %s", n, a.body)
	}
	if strings.Index(a.body, "HTTP/1.1 201") > strings.Index(a.body, "HTTP/1.1 400") || !strings.Contains(a.body, "HTTP/1.1 200") {
		t.Errorf("out of order: %s", a.body)
	}
	created := 0
	for _, l := range s.Ledger() {
		if l.Step == "create" {
			created++
		}
	}
	if created != 2 {
		t.Errorf("%d partners; the failed changeset left something: %+v", created, s.Ledger())
	}
	if a := c.must(200, "GET", partners+"?$top=0&$inlinecount=allpages", "", nil); get(t, a, "d", "__count") != "2" {
		t.Errorf("the failed changeset left something: %s", a.body)
	}
	for _, wrong := range []string{
		batchOf("out", "changeset "+batchOf("outin", "GET A_BusinessPartner HTTP/1.1\r\n\r\n")),
		batchOf("out", "changeset "+batchOf("outin", "changeset "+batchOf("outinin", address))), "nothing"} {
		c.must(400, "POST", partnerSrv+"$batch", wrong, header)
	}
	a = c.must(202, "POST", partnerSrv+"$batch", batchOf("out", address), header)
	if !strings.Contains(a.body, "HTTP/1.1 400") {
		t.Errorf("a write outside of a changeset: %s", a.body)
	}
	before := len(s.Ledger())
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Count: 1})
	a = c.must(202, "POST", partnerSrv+"$batch", batchOf("out", "changeset "+batchOf("outin", address), "changeset "+batchOf("outin", address)), header)
	if strings.Count(a.body, "HTTP/1.1 201") != 1 || strings.Count(a.body, "HTTP/1.1 400") != 1 || len(s.Ledger()) != before+1 {
		t.Errorf("%d lines: %s", len(s.Ledger())-before, a.body)
	}
}

func TestRepeatability(t *testing.T) {
	header := map[string]string{"RequestID": strings.Repeat("aB", 16), "RepeatabilityCreation": "Thu, 01 Oct 2026 00:00:00 GMT"}
	for _, honoured := range []bool{true, false} {
		s, _ := Start(t, Options{Repeatable: honoured})
		c := newClient(t, s)
		c.login()
		one, two := c.must(201, "POST", partners, acme, header), c.must(201, "POST", partners, acme, header)
		want := 2
		if honoured {
			want = 1
		}
		if (one.body == two.body) != honoured || len(s.Ledger()) != want || (two.header.Get("RepeatabilityResult") == "accepted") != honoured {
			t.Errorf("honoured %v: %d lines, %v", honoured, len(s.Ledger()), two.header)
		}
		if honoured {
			c.must(400, "POST", partners, acme, map[string]string{"RequestID": "short", "RepeatabilityCreation": "now"})
		}
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
