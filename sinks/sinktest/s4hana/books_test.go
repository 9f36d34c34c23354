package s4hana

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"waybill/sinks/sinktest"
)

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
