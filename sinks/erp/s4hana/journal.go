package s4hana

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// postRequest is the frozen intent of a document.
type postRequest struct {
	ID     string `json:"message_id"`
	XML    string `json:"xml"`
	Posted string `json:"posting_date"`
	Expect expect `json:"expect"`
}

// expect is what makes a document in S/4HANA the same as ours.
type expect struct {
	Reference string `json:"reference"`       // as S/4HANA holds it
	Type      string `json:"type"`            // of document
	Party     string `json:"party,omitempty"` // the customer's number there; "" for a journal entry
	Code      string `json:"code,omitempty"`  // and here
	Currency  string `json:"currency"`
	Date      string `json:"date"`
	Total     string `json:"total"` // what the customer owes; of a journal entry the sum of its debits
	Net       string `json:"net,omitempty"`
	Tax       string `json:"tax,omitempty"`
	AppliesTo string `json:"applies_to,omitempty"` // reference of the document there that this one corrects
}

func (x *exchange) prepareInvoice(op sinks.Operation, now time.Time) (any, *sinks.Outcome) {
	return x.prepareDocument(op, now, false)
}

// prepareCredit is of a credit note, which names what it corrects.
func (x *exchange) prepareCredit(op sinks.Operation, now time.Time) (any, *sinks.Outcome) {
	return x.prepareDocument(op, now, true)
}

func (x *exchange) prepareDocument(op sinks.Operation, now time.Time, corrects bool) (any, *sinks.Outcome) {
	d, out := x.readDocument(op)
	if out != nil {
		return nil, out
	}
	if corrects && d.AppliesTo == "" {
		return nil, rejected("REQUIRED", "applies_to", "applies_to is empty.", "Map it to the external id of the invoice that the credit note corrects.")
	}
	p, out := x.partner(x.cfg.Partner.Key, d.Party)
	if out != nil {
		return nil, out
	}
	if p == nil || p.truth("BusinessPartnerIsBlocked") {
		state := "has no business partner"
		if p != nil {
			state = "has blocked the business partner"
		}
		return nil, rejected("UNKNOWN_CUSTOMER", "party", fmt.Sprintf("S/4HANA %s with %s %s.", state, x.cfg.Partner.Key, d.Party), "Deliver the customer first, or unblock it in S/4HANA.")
	}
	e := entry{OriginalType: "BKPFF", Transaction: "RFBU", Type: x.cfg.DocumentTypes.Invoice, Reference: reference(op.ExternalID), CreatedBy: x.cfg.CreatedBy, Company: x.cfg.Company,
		Date: d.Date, PostingDate: d.PostingDate, Text: short(d.Reference, 25), Reference1: short(d.Reference, 20)}
	if d.credit() {
		e.Type = x.cfg.DocumentTypes.Credit
	}
	req := postRequest{ID: x.messageID(op, stepPost), Expect: expect{Reference: e.Reference, Type: e.Type, Party: customerOf(p), Code: d.Party, Currency: d.Currency, Date: d.Date,
		Total: d.total.String(), Net: d.net.String(), Tax: d.tax.String()}}
	debtor := debtorItem{Debtor: req.Expect.Party, Text: short(d.Description, 50), Assignment: short(d.Reference, 18)}
	if d.PaymentTerm != "" {
		key, out := x.term(d.PaymentTerm)
		if out != nil {
			return nil, out
		}
		debtor.Terms = &terms{key}
	}
	if d.AppliesTo != "" {
		original, out := x.original(d, req.Expect.Party)
		if out != nil {
			return nil, out
		}
		debtor.Reference1, debtor.Reference2, req.Expect.AppliesTo = original.number, original.year, original.ref()
	}
	if out := d.items(&e, debtor); out != nil {
		return nil, out
	}
	return x.freeze(req, e, now)
}

func (x *exchange) freeze(req postRequest, e entry, now time.Time) (any, *sinks.Outcome) {
	text, err := message(e, req.ID, now.UTC().Format("2006-01-02T15:04:05Z"))
	if err != nil {
		return nil, rejected("BODY", "", err.Error(), "")
	}
	req.XML, req.Posted = text, e.PostingDate
	return req, nil
}

// original finds what a credit corrects: exactly one document of the customer, in the books.
func (x *exchange) original(d document, party string) (posted, *sinks.Outcome) {
	all, out := x.documents(reference(d.AppliesTo), x.cfg.DocumentTypes.Invoice)
	switch {
	case out != nil:
		return posted{}, out
	case len(all) == 0:
		return posted{}, rejected("UNKNOWN_ORIGINAL", "applies_to", fmt.Sprintf("S/4HANA has no document %s, which %s corrects.", d.AppliesTo, d.Reference), "Deliver the original first; a credit for a document that is not there is not posted.")
	case len(all) > 1:
		return posted{}, duplicated(all, d.AppliesTo)
	case all[0].party != party:
		return posted{}, rejected("UNKNOWN_ORIGINAL", "applies_to", fmt.Sprintf("The document %s in S/4HANA is of customer %s, not %s.", d.AppliesTo, all[0].party, party), "Find out which of the two is right.")
	}
	return all[0].posted, nil
}

// items writes the items of a document: what the customer owes, revenue, taxes. They make zero.
func (d document) items(e *entry, debtor debtorItem) *sinks.Outcome {
	var failed *sinks.Outcome
	value := func(at string, n decimal.Decimal) money {
		text, err := amount(n, d.Currency)
		if err != nil && failed == nil {
			failed = rejected("DIGITS", at, err.Error()+".", "Round it in billing.")
		}
		return money{d.Currency, text}
	}
	debtor.Number, debtor.Amount, debtor.Side = 1, value("total", d.total), side(d.total)
	e.Debtors = []debtorItem{debtor}
	for i, l := range d.lines {
		item := glItem{Number: i + 2, Account: l.Account, Amount: value(fmt.Sprintf("lines[%d].net", i), l.net.Neg()), Side: side(l.net.Neg()), Text: short(l.words(), 50), Assignment: assigned(l.CostCenter, l.ProfitCenter)}
		if l.tax.Code != "" {
			item.Tax = &itemTax{l.tax.Code, l.tax.Jurisdiction}
		}
		e.Items = append(e.Items, item)
	}
	taxes, out := d.taxes()
	if out != nil {
		return out
	}
	for _, t := range taxes {
		e.Taxes = append(e.Taxes, productTax{Code: t.code.Code, Jurisdiction: t.code.Jurisdiction, Classification: t.code.Classification, Condition: t.code.Condition,
			Amount: value("tax", t.amount.Neg()), Base: value("net", t.base.Neg()), Side: side(t.base.Neg())})
	}
	return failed
}

// words are what people read of a line, whose product and quantity finance does not keep.
func (l documentLine) words() string {
	text := l.Description
	if l.Shipment != "" {
		text = strings.TrimPrefix(text+", shipment "+l.Shipment, ", ")
	}
	if l.Product != "" {
		text = strings.TrimSpace(l.Product + " " + text)
	}
	if q, err := decimal.NewFromString(l.Quantity.Value); err == nil && !q.Equal(decimal.NewFromInt(1)) {
		text += " x" + q.String()
	}
	return text
}

func assigned(cost, profit string) *assignment {
	if cost == "" && profit == "" {
		return nil
	}
	return &assignment{cost, profit}
}

func side(n decimal.Decimal) string {
	if n.IsNegative() {
		return "H"
	}
	return "S"
}

// short cuts a text for people to the characters that a field has.
func short(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}

// prepareJournal freezes a journal entry between accounts.
func (x *exchange) prepareJournal(op sinks.Operation, now time.Time) (any, *sinks.Outcome) {
	var b journal
	if out := strict(op.Body, &b); out != nil {
		return nil, out
	}
	n := &numbers{}
	n.need("reference", b.Reference)
	b.PostingDate = x.readDates(n, b.Date, b.PostingDate, b.Currency)
	if len(b.Lines) < 2 || len(b.Lines) > maxLines {
		n.bad(rejected("LINES", "lines", fmt.Sprintf("The journal entry has %d lines; 2 to %d are possible.", len(b.Lines), maxLines), ""))
	}
	e := entry{OriginalType: "BKPFF", Transaction: "RFBU", Type: x.cfg.DocumentTypes.Journal, Reference: reference(op.ExternalID), CreatedBy: x.cfg.CreatedBy, Company: x.cfg.Company,
		Date: b.Date, PostingDate: b.PostingDate, Text: short(b.Reference, 25), Reference1: short(b.Reference, 20)}
	sum, debits := decimal.Zero, decimal.Zero
	for i, l := range b.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		n.need(at+"account", l.Account)
		item, signed := l.item(n, at, i+1, b.Currency)
		sum = sum.Add(signed)
		if signed.IsPositive() {
			debits = debits.Add(signed)
		}
		e.Items = append(e.Items, item)
	}
	switch {
	case n.out != nil:
		return nil, n.out
	case !sum.IsZero():
		return nil, rejected(codeTotal, "lines", fmt.Sprintf("Debits and credits differ by %s.", sum), "Correct the entry in the source; it does not balance.")
	}
	// Nothing else here asks S/4HANA: what stops every document is found before one is frozen.
	if _, out := x.documents(e.Reference, e.Type); out != nil {
		return nil, out
	}
	req := postRequest{ID: x.messageID(op, stepPost), Expect: expect{Reference: e.Reference, Type: e.Type, Currency: b.Currency, Date: b.Date, Total: debits.String()}}
	return x.freeze(req, e, now)
}

// item is a line with its sign: debits are positive.
func (l journalLine) item(n *numbers, at string, number int, currency string) (glItem, decimal.Decimal) {
	debit, credit := decimal.Zero, decimal.Zero
	if l.Debit.Value != "" {
		debit = n.read(at+"debit", l.Debit)
	}
	if l.Credit.Value != "" {
		credit = n.read(at+"credit", l.Credit)
	}
	if debit.IsZero() == credit.IsZero() || debit.IsNegative() || credit.IsNegative() {
		n.bad(rejected("SIDE", at+"debit", "A line has either a debit or a credit, above zero.", "Correct the line in the mapping."))
	}
	signed := debit.Sub(credit)
	text, err := amount(signed, currency)
	if err != nil {
		n.bad(rejected("DIGITS", at+"debit", err.Error()+".", "Round it in the source."))
	}
	words := documentLine{invoiceLine: invoiceLine{Description: l.Description, Shipment: l.Shipment}}.words()
	return glItem{Number: number, Account: l.Account, Amount: money{currency, text}, Side: side(signed), Text: short(words, 50), Assignment: assigned(l.CostCenter, l.ProfitCenter)}, signed
}
