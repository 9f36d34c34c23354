package s4hana

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// The message of "Journal Entry - Post (Synchronous)", JournalEntryCreateRequestConfirmation_In [S6]. The order of the members is that of the
// public samples.
type envelope struct {
	XMLName xml.Name `xml:"soapenv:Envelope"`
	Soap    string   `xml:"xmlns:soapenv,attr"`
	Finance string   `xml:"xmlns:sfin,attr"`
	Header  struct{} `xml:"soapenv:Header"`
	Bulk    bulk     `xml:"soapenv:Body>sfin:JournalEntryBulkCreateRequest"`
}

type bulk struct {
	Header  messageHeader `xml:"MessageHeader"`
	Request struct {
		Header messageHeader `xml:"MessageHeader"`
		Entry  entry         `xml:"JournalEntry"`
	} `xml:"JournalEntryCreateRequest"`
}

type messageHeader struct {
	ID      string `xml:"ID"` // at most 35 characters
	UUID    string `xml:"UUID"`
	Created string `xml:"CreationDateTime"`
}

type entry struct {
	OriginalType string       `xml:"OriginalReferenceDocumentType"`
	Transaction  string       `xml:"BusinessTransactionType"`
	Type         string       `xml:"AccountingDocumentType"`
	Reference    string       `xml:"DocumentReferenceID"`                  // 16 characters
	Text         string       `xml:"DocumentHeaderText,omitempty"`         // 25
	CreatedBy    string       `xml:"CreatedByUser"`                        // 12
	Company      string       `xml:"CompanyCode"`                          // 4
	Date         string       `xml:"DocumentDate"`                         // YYYY-MM-DD
	PostingDate  string       `xml:"PostingDate"`                          // YYYY-MM-DD
	Reference1   string       `xml:"Reference1InDocumentHeader,omitempty"` // 20
	Items        []glItem     `xml:"Item"`
	Debtors      []debtorItem `xml:"DebtorItem"`
	Taxes        []productTax `xml:"ProductTaxItem"`
}

// money is an amount with its sign: debits are positive. One of a tax has no side of its own.
type money struct {
	Currency string `xml:"currencyCode,attr"`
	Amount   string `xml:",chardata"`
}

type glItem struct {
	Number     int         `xml:"ReferenceDocumentItem"`
	Account    string      `xml:"GLAccount"`
	Amount     money       `xml:"AmountInTransactionCurrency"`
	Side       string      `xml:"DebitCreditCode"`            // S debit, H credit
	Text       string      `xml:"DocumentItemText,omitempty"` // 50
	Tax        *itemTax    `xml:"Tax"`
	Assignment *assignment `xml:"AccountAssignment"`
}

type itemTax struct {
	Code         string `xml:"TaxCode"`
	Jurisdiction string `xml:"TaxJurisdiction,omitempty"`
}

type assignment struct {
	CostCenter   string `xml:"CostCenter,omitempty"`
	ProfitCenter string `xml:"ProfitCenter,omitempty"`
}

type debtorItem struct {
	Number     int    `xml:"ReferenceDocumentItem"`
	Debtor     string `xml:"Debtor"` // 10
	Amount     money  `xml:"AmountInTransactionCurrency"`
	Side       string `xml:"DebitCreditCode"`
	Text       string `xml:"DocumentItemText,omitempty"`
	Assignment string `xml:"AssignmentReference,omitempty"` // 18
	Terms      *terms `xml:"CashDiscountTerms"`
	Reference1 string `xml:"Reference1IDByBusinessPartner,omitempty"` // 12
	Reference2 string `xml:"Reference2IDByBusinessPartner,omitempty"` // 12
}

// terms are those of the document; without them those of the customer count.
type terms struct {
	Key string `xml:"PaymentTerms"` // [K]
}

type productTax struct {
	Code           string `xml:"TaxCode"`
	Jurisdiction   string `xml:"TaxJurisdiction,omitempty"`
	Classification string `xml:"TaxItemClassification,omitempty"`
	Amount         money  `xml:"AmountInTransactionCurrency"`
	Base           money  `xml:"TaxBaseAmountInTransCrcy"`
	Side           string `xml:"DebitCreditCode"`
	Condition      string `xml:"ConditionType,omitempty"`
}

// message writes an entry as a message.
func message(e entry, id, created string) (string, error) {
	m := envelope{Soap: "http://schemas.xmlsoap.org/soap/envelope/", Finance: "http://sap.com/xi/SAPSCORE/SFIN"}
	m.Bulk.Header = messageHeader{ID: strings.ReplaceAll(id, "-", ""), UUID: id, Created: created}
	m.Bulk.Request.Header = m.Bulk.Header
	m.Bulk.Request.Entry = e
	raw, err := xml.Marshal(m)
	return xml.Header + string(raw), err
}

// confirmation is the answer. What is not in it is not guessed.
type confirmation struct {
	XMLName xml.Name `xml:"Envelope"`
	Bulk    *struct {
		All []struct {
			Document struct {
				Number  string `xml:"AccountingDocument"`
				Company string `xml:"CompanyCode"`
				Year    string `xml:"FiscalYear"`
			} `xml:"JournalEntryCreateConfirmation"`
			Log soapLog `xml:"Log"`
		} `xml:"JournalEntryCreateConfirmation"`
		Log soapLog `xml:"Log"`
	} `xml:"Body>JournalEntryBulkCreateConfirmation"`
}

type soapLog struct {
	Items []struct {
		Type     string `xml:"TypeID"`
		Severity string `xml:"SeverityCode"` // 1 information, 2 warning, 3 error
		Note     string `xml:"Note"`
	} `xml:"Item"`
}

// failure is the first error of a log that says what is wrong, and all errors as one text. 609(RW) says only that there are others.
func (l soapLog) failure() (code, text string) {
	var notes []string
	general, said := "", ""
	for _, i := range l.Items {
		severity := strings.TrimSpace(i.Severity)
		if severity == "" || severity < "3" {
			continue
		}
		kind, note := strings.TrimSpace(i.Type), strings.TrimSpace(i.Note)
		switch {
		case strings.HasPrefix(kind, "609(RW)"):
			general, said = kind, note
			continue
		case code == "":
			code = kind
		}
		notes = append(notes, note)
	}
	if code == "" {
		return general, said
	}
	return code, strings.Join(notes, " ")
}

// documentNumbers are those that finance gives. A document that was not posted has none, or zeros.
var documentNumbers = regexp.MustCompile(`^[A-Z0-9]{10}$`)

// posted is a document in the books.
type posted struct{ number, company, year string }

func (p posted) ref() string { return p.company + "/" + p.year + "/" + p.number }

// send posts a message.
func (x *exchange) send(text string) (p posted, out *sinks.Outcome) {
	x.request = web.Clip(text, excerpt)
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodPost, URL: x.address(x.cfg.JournalPath, nil), Header: map[string]string{"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "", "Accept": "text/xml"}, Body: []byte(text)})
	x.answer = web.Clip(string(a.Body), excerpt)
	if out := web.Unanswered(a, false); out != nil {
		return p, out
	}
	if a.Status != http.StatusOK {
		o := x.classified(writes, a.Status, a.Header, a.Body, a.Wait)
		return p, &o
	}
	return x.confirmed(a.Body)
}

// confirmed reads an answer: the document, or why there is none. Anything else is unknown.
func (x *exchange) confirmed(body []byte) (p posted, out *sinks.Outcome) {
	unknown := func(why string) (posted, *sinks.Outcome) {
		return posted{}, &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: web.Clip(why, 500), Hint: web.HintUnknown}
	}
	var c confirmation
	if err := xml.Unmarshal(body, &c); err != nil {
		return unknown("an answer that is no SOAP: " + err.Error())
	}
	switch {
	case c.Bulk == nil:
		return unknown("an answer that confirms nothing")
	case len(c.Bulk.All) > 1:
		return unknown(fmt.Sprintf("%d confirmations of one message", len(c.Bulk.All)))
	}
	code, text := c.Bulk.Log.failure()
	if len(c.Bulk.All) == 1 {
		one := c.Bulk.All[0]
		p = posted{strings.TrimSpace(one.Document.Number), strings.TrimSpace(one.Document.Company), strings.TrimSpace(one.Document.Year)}
		if first, all := one.Log.failure(); first != "" {
			code, text = first, all
		}
	}
	made := documentNumbers.MatchString(p.number) && strings.Trim(p.number, "0") != ""
	switch {
	case made && code == "" && p.company == x.cfg.Company && len(p.year) == 4:
		return p, nil
	case made:
		return unknown(fmt.Sprintf("document %s of company %s and year %s, and the errors %q", p.number, p.company, p.year, text))
	case code == "":
		return unknown("neither a document nor an error")
	}
	s := web.Said{Status: http.StatusOK, Code: "soap:" + code, Message: text}
	if lockWords.MatchString(text) {
		s.Code = "lock:" + s.Code
	}
	if s.Message == "" {
		s.Message = "S/4HANA refused the document: " + code
	}
	o := web.Classify(writes, s)
	return posted{}, &o
}
