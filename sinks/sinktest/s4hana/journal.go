package s4hana

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

// logItem is a line of the log of a message: severity 1 is good, 3 an error.
type logItem struct {
	id, note string
	severity int
}

// posted is what became of one journal entry; the document is "" when it was refused.
type posted struct {
	reference               string // ID of its message header
	document, company, year string
	log                     []logItem
	at                      time.Time
}

var uuidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}$`)

// journalEntries posts the entries of a message, each by itself. A message, and an entry in it, whose UUID is known is not processed again.
func (p *Product) journalEntries(s *sinktest.Sim, w http.ResponseWriter, message *node) {
	id := strings.ToLower(message.value("MessageHeader", "UUID"))
	requests := message.all("JournalEntryCreateRequest")
	ids := []string{id}
	for _, r := range requests {
		ids = append(ids, strings.ToLower(r.value("MessageHeader", "UUID")))
	}
	for _, id := range ids {
		if id != "" && !uuidForm.MatchString(id) {
			p.soapFault(w, "XML Deserialization Error. UUID "+id+" is not of type UUID")
			return
		}
	}
	if message.value("MessageHeader", "CreationDateTime") == "" || len(requests) == 0 {
		p.soapFault(w, "XML Deserialization Error. MessageHeader/CreationDateTime and an entry are needed")
		return
	}
	if p.options.Certain && strings.Join(ids, "") == "" {
		p.soapFault(w, "Exactly-once cannot be guaranteed due to missing message header UUID")
		return
	}
	body, again := p.known(id)
	if !again {
		var results []posted
		for i, r := range requests {
			results = append(results, p.journalEntry(s, r, ids[i+1]))
		}
		body = confirmation(id, message.value("MessageHeader", "ID"), results)
		if id != "" {
			p.answered[id] = repeat{at: time.Now(), body: body}
		}
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // into memory
}

// journalEntry posts one entry, unless its own UUID is known.
func (p *Product) journalEntry(s *sinktest.Sim, request *node, id string) posted {
	if known, ok := p.entries[id]; ok && time.Since(known.at) < p.options.Window {
		return known
	}
	t := p.begin(s)
	out := t.entry(request.at("JournalEntry"))
	out.reference = request.value("MessageHeader", "ID")
	if out.document == "" {
		return out
	}
	t.commit()
	if id != "" {
		out.at = time.Now()
		p.entries[id] = out
	}
	return out
}

// digits are how many decimals a currency has.
func digits(currency string) int32 {
	if slices.Contains([]string{"JPY", "KRW", "CLP", "VND", "ISK"}, currency) {
		return 0
	}
	return 2
}

// accountLine is an item of an entry.
type accountLine struct {
	kind, account, customer, text, tax, assignment string // kind: S of the ledger, D of a debtor
	amount                                         decimal.Decimal
}

// books is an entry as it is read.
type books struct {
	company, currency, kind, reference, header string
	date, posting, origin                      string
	lines                                      []accountLine
}

// entry checks an entry and puts it into the books.
func (t *tx) entry(e *node) posted {
	company := e.value("CompanyCode")
	refuse := func(id, note string) posted {
		return posted{company: company, log: []logItem{{"609(RW)", "Error in document: BKPFF $ S4HCLNT100", 3}, {id, note, 3}}}
	}
	entity := entityOf(e)
	if _, hit := t.sim.Struck(sinktest.Locked, entity, "post"); hit {
		return refuse("042(F5)", "Company code "+company+" is being processed by user CC0000000042")
	}
	b, id, note := t.readEntry(e)
	if note == "" && e.value("ReversalReferenceDocument") != "" {
		return t.reverse(b, e, refuse)
	}
	if note == "" {
		id, note = t.balanced(b)
	}
	if note != "" {
		return refuse(id, note)
	}
	number := t.book(b, "", "")
	t.note(entity, b, number)
	return posted{document: number, company: b.company, year: b.posting[:4], log: []logItem{{"605(RW)", "Document posted successfully: BKPFF " + number + b.company + b.posting[:4] + " S4HCLNT100", 1}}}
}

// readEntry reads the head and the items; note says what is wrong.
func (t *tx) readEntry(e *node) (b books, id, note string) {
	b = books{company: e.value("CompanyCode"), kind: e.value("AccountingDocumentType"), reference: e.value("DocumentReferenceID"), header: e.value("DocumentHeaderText"),
		date: e.value("DocumentDate"), posting: e.value("PostingDate"), origin: e.value("OriginalReferenceDocument")}
	if b.currency = t.options.Companies[b.company]; b.currency == "" {
		return b, "506(F5)", "Company code " + b.company + " does not exist"
	}
	for name, date := range map[string]string{"document date": b.date, "posting date": b.posting} {
		if _, err := time.Parse(dateForm, date); err != nil {
			return b, "061(00)", "Enter a valid " + name + " instead of " + date
		}
	}
	for name, f := range map[string]struct {
		value string
		most  int
	}{"DocumentReferenceID": {b.reference, 16}, "DocumentHeaderText": {b.header, 25}, "AccountingDocumentType": {b.kind, 2}} {
		if len([]rune(f.value)) > f.most {
			return b, "002(SY)", fmt.Sprintf("Value of %s is longer than %d characters", name, f.most)
		}
	}
	switch {
	case b.kind == "":
		return b, "814(F5)", "Document type is not specified"
	case e.value("OriginalReferenceDocumentType") == "":
		return b, "607(RW)", "Reference transaction is not specified"
	case e.value("CreatedByUser") == "":
		return b, "038(F5)", "Enter the user that creates the document"
	}
	if t.options.OpenFrom > b.posting || t.options.OpenTo != "" && b.posting > t.options.OpenTo {
		return b, "201(F5)", "Posting period 0" + b.posting[5:7] + " " + b.posting[:4] + " is not open"
	}
	for _, part := range []struct{ element, kind string }{{"DebtorItem", "D"}, {"Item", "S"}, {"ProductTaxItem", "T"}} {
		for _, n := range e.all(part.element) {
			l, id, note := t.readItem(n, part.kind, &b)
			if note != "" {
				return b, id, note
			}
			b.lines = append(b.lines, l)
		}
	}
	return b, "", ""
}

func (t *tx) readItem(n *node, kind string, b *books) (l accountLine, id, note string) {
	l = accountLine{kind: kind, account: n.value("GLAccount"), customer: n.value("Debtor"), text: n.value("DocumentItemText"), tax: n.value("Tax", "TaxCode") + n.value("TaxCode"), assignment: n.value("AssignmentReference")}
	amount := n.at("AmountInTransactionCurrency")
	currency := amount.attrs["currencyCode"]
	var err error
	if l.amount, err = decimal.NewFromString(strings.TrimSpace(amount.text)); err != nil || currency == "" {
		return l, "061(00)", "AmountInTransactionCurrency and its currencyCode are needed"
	}
	if len(b.lines) > 0 && currency != b.currency {
		return l, "702(F5)", "The items of a document have one transaction currency"
	}
	if b.currency = currency; !l.amount.Equal(l.amount.Round(digits(currency))) {
		return l, "186(SG)", "Amount " + l.amount.String() + " has too many decimals for currency " + currency
	}
	if code := n.value("DebitCreditCode"); code != "S" && code != "H" || code == "S" && l.amount.IsNegative() || code == "H" && l.amount.IsPositive() {
		return l, "002(F5)", "Debit/credit code " + code + " does not fit the sign of amount " + l.amount.String()
	}
	if len([]rune(l.text)) > 50 {
		return l, "002(SY)", "Value of DocumentItemText is longer than 50 characters"
	}
	if l.tax != "" && kind != "D" {
		if _, known := t.options.Taxes[l.tax]; !known {
			return l, "704(FF)", "Tax code " + l.tax + " does not exist in procedure TAXUS"
		}
	}
	switch kind {
	case "D":
		if _, there := t.data.get("A_Customer", map[string]string{"Customer": strings.TrimLeft(l.customer, "0")}); !there {
			return l, "102(F5)", "Customer " + l.customer + " is not defined in company code " + b.company
		}
		l.customer, l.account = strings.TrimLeft(l.customer, "0"), "12100000"
	case "T":
		l.account = "22000000"
	default:
		if short := strings.TrimLeft(l.account, "0"); short == "" || t.options.Accounts != nil && !slices.ContainsFunc(t.options.Accounts, func(a string) bool { return strings.TrimLeft(a, "0") == short }) {
			return l, "506(F5)", "G/L account " + l.account + " is not defined in chart of accounts YCOA"
		}
	}
	return l, "", ""
}

// balanced says whether an entry adds up to nothing.
func (t *tx) balanced(b books) (id, note string) {
	sum := decimal.Zero
	for _, l := range b.lines {
		sum = sum.Add(l.amount)
	}
	switch {
	case len(b.lines) < 2:
		return "730(F5)", "A document has at least two items"
	case !sum.IsZero():
		return "702(F5)", "Balance in transaction currency " + b.currency + ": " + sum.StringFixed(digits(b.currency))
	}
	return "", ""
}

// ranges are where the numbers of a document type begin.
var ranges = map[string]int{"DR": 1800000000, "DG": 1600000000, "RV": 9400000000, "SA": 100000000}

// book writes the items of a document, in both services that read them, and returns its number. reversed and year name the document that it reverses.
func (t *tx) book(b books, reversed, year string) string {
	first := ranges[b.kind]
	if first == 0 {
		first = 100000000
	}
	number := t.data.next("document/"+b.company+"/"+b.posting[:4]+"/"+b.kind, first)
	for i, l := range b.lines {
		code := "S"
		if l.amount.IsNegative() {
			code = "H"
		}
		values := map[string]any{"CompanyCode": b.company, "FiscalYear": b.posting[:4], "AccountingDocument": number, "AccountingDocumentItem": fmt.Sprintf("%03d", i+1),
			"FiscalPeriod": "0" + b.posting[5:7], "AccountingDocumentType": b.kind, "DocumentReferenceID": b.reference, "AccountingDocumentHeaderText": b.header, "DocumentDate": b.date, "PostingDate": b.posting,
			"GLAccount": l.account, "Customer": l.customer, "FinancialAccountType": strings.ReplaceAll(l.kind, "T", "S"), "DebitCreditCode": code, "AmountInTransactionCurrency": l.amount.StringFixed(digits(b.currency)),
			"TransactionCurrency": b.currency, "AmountInCompanyCodeCurrency": l.amount.StringFixed(digits(b.currency)), "CompanyCodeCurrency": t.options.Companies[b.company], "TaxCode": l.tax, "DocumentItemText": l.text,
			"AssignmentReference": l.assignment, "IsReversal": reversed != "", "IsReversed": false, "ReverseDocument": reversed, "ReverseDocumentFiscalYear": year,
			"OriginalReferenceDocument": number + b.company + b.posting[:4], "ReferenceDocumentType": "BKPFF", "CreationDate": time.Now().UTC().Format(dateForm)}
		for _, set := range []string{"A_OperationalAcctgDocItemCube", "A_JournalEntryItemBasic"} {
			t.data.put(set, row{values: values})
		}
	}
	return number
}

// note writes the ledger: the key is the reference, the total what the debtors owe, or the debits of an entry without any.
func (t *tx) note(entity string, b books, number string) {
	debtors, debits := decimal.Zero, decimal.Zero
	for _, l := range b.lines {
		if l.kind == "D" {
			debtors = debtors.Add(l.amount)
		}
		if l.amount.IsPositive() {
			debits = debits.Add(l.amount)
		}
	}
	total := debits
	if entity != "journal_entry" {
		total = debtors
	}
	body, err := json.Marshal(map[string]any{"company": b.company, "type": b.kind, "header": b.header, "date": b.date, "posting_date": b.posting, "currency": b.currency, "items": len(b.lines)})
	if err != nil {
		panic("writing the ledger: " + err.Error()) // of the simulator's own values
	}
	t.lines = append(t.lines, sinktest.Committed{Entity: entity, Step: "post", Key: b.reference, ID: number + b.company + b.posting[:4], Number: number, Company: b.company, Total: total.String(), Body: body})
}

// confirmation is the answer to a message.
func confirmation(id, reference string, results []posted) []byte {
	var out strings.Builder
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	fmt.Fprintf(&out, `<soap-env:Envelope xmlns:soap-env=%q><soap-env:Header/><soap-env:Body><n0:JournalEntryBulkCreateConfirmation xmlns:n0="http://sap.com/xi/SAPSCORE/SFIN">`, envelopeSpace)
	fmt.Fprintf(&out, "<MessageHeader><ReferenceID>%s</ReferenceID><ReferenceUUID>%s</ReferenceUUID><CreationDateTime>%s</CreationDateTime></MessageHeader>", escape(reference), escape(id), now)
	for _, r := range results {
		year, document, most := r.year, r.document, 1
		if document == "" {
			year, document, most = "0000", "0000000000", 3
		}
		fmt.Fprintf(&out, "<JournalEntryCreateConfirmation><MessageHeader><ReferenceID>%s</ReferenceID><CreationDateTime>%s</CreationDateTime></MessageHeader>", escape(r.reference), now)
		fmt.Fprintf(&out, "<JournalEntryCreateConfirmation><AccountingDocument>%s</AccountingDocument><CompanyCode>%s</CompanyCode><FiscalYear>%s</FiscalYear></JournalEntryCreateConfirmation>", document, escape(r.company), year)
		fmt.Fprintf(&out, "<Log><MaximumLogItemSeverityCode>%d</MaximumLogItemSeverityCode>", most)
		for _, l := range r.log {
			fmt.Fprintf(&out, "<Item><TypeID>%s</TypeID><SeverityCode>%d</SeverityCode><Note>%s</Note></Item>", escape(l.id), l.severity, escape(l.note))
		}
		out.WriteString("</Log></JournalEntryCreateConfirmation>")
	}
	out.WriteString("<Log/></n0:JournalEntryBulkCreateConfirmation></soap-env:Body></soap-env:Envelope>")
	return []byte(out.String())
}
