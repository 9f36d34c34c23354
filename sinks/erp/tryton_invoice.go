package erp

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// invoice is the body of a sales_invoice. Amounts are signed: a credit memo has a negative total.
type invoice struct {
	Reference   string        `json:"reference"`
	Type        string        `json:"type"`  // invoice or credit; empty: by the sign of the total
	Party       string        `json:"party"` // code of the customer
	Date        string        `json:"date"`
	PostingDate string        `json:"posting_date"` // of the move, by the mapping's policy; empty: the date
	Currency    string        `json:"currency"`
	PaymentTerm string        `json:"payment_term"`
	Description string        `json:"description"`
	AppliesTo   string        `json:"applies_to"` // reference of the document that this one corrects; people read it in the description
	Net         field         `json:"net"`
	Tax         field         `json:"tax"`
	Total       field         `json:"total"`
	Lines       []invoiceLine `json:"lines"`
}

type invoiceLine struct {
	Product     string `json:"product"`
	Account     string `json:"account"`
	Description string `json:"description"`
	Shipment    string `json:"shipment"`   // people read it in the description
	Quantity    field  `json:"quantity"`   // empty: 1
	UnitPrice   field  `json:"unit_price"` // empty: the net amount
	Net         field  `json:"net"`
	Tax         field  `json:"tax"` // the name of a tax in Tryton, or its amount: then the configured tax, or none for zero
}

// maxLines bounds a document.
const maxLines = 2000

// document is an invoice whose numbers have been read and add up.
type document struct {
	invoice
	net, tax, total decimal.Decimal
	lines           []documentLine
}

type documentLine struct {
	invoiceLine
	quantity, price, net decimal.Decimal
	taxName              string          // "" for none
	taxAmount            decimal.Decimal // when hasAmount
	hasAmount            bool
}

// credit reports whether Tryton will number the document as a credit note: negative, and no line of a product positive.
func (d document) credit() bool {
	for _, l := range d.lines {
		if l.Product != "" && l.net.IsPositive() {
			return false
		}
	}
	return d.total.IsNegative()
}

func (x *exchange) readInvoice(raw json.RawMessage) (document, *sinks.Outcome) {
	var d document
	if out := strictBody(raw, &d.invoice); out != nil {
		return d, out
	}
	var bad *sinks.Outcome
	need := func(field, value string) {
		if value == "" && bad == nil {
			bad = rejected("REQUIRED", field, field+" is empty.", "Fill it in the mapping of the invoice.")
		}
	}
	number := func(field string, f field) decimal.Decimal {
		n, err := decimal.NewFromString(f.Value)
		if err != nil && bad == nil {
			bad = rejected("NUMBER", field, fmt.Sprintf("%s is %q, not a decimal.", field, f.Value), "Map it to an amount such as -1150.00.")
		}
		return n
	}
	need("reference", d.Reference)
	need("party", d.Party)
	need("currency", d.Currency)
	d.net, d.tax, d.total = number("net", d.Net), number("tax", d.Tax), number("total", d.Total)
	if _, err := time.Parse(dateForm, d.Date); err != nil && bad == nil {
		bad = rejected("DATE", "date", fmt.Sprintf("date is %q, not YYYY-MM-DD.", d.Date), "Map it to a date without a time.")
	}
	if d.PostingDate == "" {
		d.PostingDate = d.Date
	} else if _, err := time.Parse(dateForm, d.PostingDate); (err != nil || d.PostingDate < d.Date) && bad == nil {
		bad = rejected("DATE", "posting_date", fmt.Sprintf("posting_date is %q, and the document is dated %s.", d.PostingDate, d.Date),
			"Map it to a date without a time, not before the document's.")
	}
	if n := len(d.Lines); (n == 0 || n > maxLines) && bad == nil {
		bad = rejected("LINES", "lines", fmt.Sprintf("The document has %d lines; 1 to %d are possible.", n, maxLines), "")
	}
	for i, l := range d.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		need(at+"account", l.Account)
		p := documentLine{invoiceLine: l, quantity: decimal.NewFromInt(1), net: number(at+"net", l.Net)}
		p.price = p.net
		if l.Quantity.Value != "" {
			p.quantity = number(at+"quantity", l.Quantity)
		}
		if l.UnitPrice.Value != "" {
			p.price = number(at+"unit_price", l.UnitPrice)
		}
		x.lineTax(&p, d.tax)
		d.lines = append(d.lines, p)
	}
	if bad != nil {
		return d, bad
	}
	return d, d.check()
}

// lineTax finds out which tax a line bears: by name, or by whether its amount is zero; without either, by whether the
// document has any.
func (x *exchange) lineTax(p *documentLine, documentTax decimal.Decimal) {
	amount, err := decimal.NewFromString(p.Tax.Value)
	switch {
	case p.Tax.Value != "" && err != nil:
		p.taxName = p.Tax.Value
		return
	case p.Tax.Value != "":
		p.taxAmount, p.hasAmount = amount, true
	default:
		amount = documentTax
	}
	if p.taxName = x.cfg.Tax; amount.IsZero() {
		p.taxName = x.cfg.ExemptTax
	}
}

// check proves that the document agrees with itself, to the cent.
func (d document) check() *sinks.Outcome {
	sum, tax, amounts := decimal.Zero, decimal.Zero, false
	for i, l := range d.lines {
		sum = sum.Add(l.net)
		tax, amounts = tax.Add(l.taxAmount), amounts || l.hasAmount
		if l.hasAmount && !l.taxAmount.IsZero() && l.taxName == "" {
			return rejected("UNKNOWN_TAX", fmt.Sprintf("lines[%d].tax", i), "The line bears tax, and no tax is configured.",
				"Set tax in the sink's configuration, or map the line's tax to the name of a tax in Tryton.")
		}
	}
	const hint = "Correct the document in billing; it does not add up."
	switch {
	case !sum.Equal(d.net):
		return rejected(codeTotal, "net", fmt.Sprintf("The lines add up to %s, net says %s.", sum, d.net), hint)
	case !d.net.Add(d.tax).Equal(d.total):
		return rejected(codeTotal, "total", fmt.Sprintf("Net %s and tax %s make %s, total says %s.", d.net, d.tax, d.net.Add(d.tax), d.total), hint)
	case amounts && !tax.Equal(d.tax):
		return rejected(codeTotal, "tax", fmt.Sprintf("The lines' taxes add up to %s, tax says %s.", tax, d.tax), hint)
	}
	switch credit := d.total.IsNegative(); d.Type {
	case "":
	case "invoice":
		if credit {
			return rejected("TYPE", "type", fmt.Sprintf("An invoice over %s.", d.total), "A negative document is of type credit.")
		}
	case "credit":
		if d.total.IsPositive() {
			return rejected("TYPE", "type", fmt.Sprintf("A credit memo over %s.", d.total), "The amounts of a credit memo are negative.")
		}
	default:
		return rejected("TYPE", "type", fmt.Sprintf("type is %q.", d.Type), "It is invoice or credit.")
	}
	return nil
}

// createRequest is the frozen intent of create: what Tryton will be sent, and what must come back.
type createRequest struct {
	Values record `json:"values"`
	Expect expect `json:"expect"`
}

// expect is what makes a document in Tryton the same as ours.
type expect struct {
	Reference string `json:"reference"`
	Party     string `json:"party"`
	Currency  string `json:"currency"`
	Date      string `json:"date"`
	Net       string `json:"net"`
	Tax       string `json:"tax"`
	Total     string `json:"total"`
}

func (d document) expect() expect {
	return expect{d.Reference, d.Party, d.Currency, d.Date, d.net.String(), d.tax.String(), d.total.String()}
}

func (x *exchange) prepareInvoice(op sinks.Operation, now time.Time) (createRequest, *sinks.Outcome) {
	var req createRequest
	d, out := x.readInvoice(op.Body)
	if out != nil {
		return req, out
	}
	co, out := x.companyOf()
	if out != nil {
		return req, out
	}
	if today := now.In(co.zone).Format(dateForm); d.Date > today {
		return req, rejected("FUTURE_DATE", "date", fmt.Sprintf("The document is dated %s, today is %s.", d.Date, today),
			"Correct the date in billing, or retry on that day: a future number would block all earlier ones.")
	}
	if today := now.In(co.zone).Format(dateForm); d.PostingDate > today {
		return req, rejected("FUTURE_DATE", "posting_date", fmt.Sprintf("The document would be posted on %s, today is %s.", d.PostingDate, today),
			"Open an earlier period in Tryton, or retry on that day: a future number would block all earlier ones.")
	}
	p, out := x.party(d.Party)
	if out != nil {
		return req, out
	}
	v, out := x.header(d, co, p)
	if out != nil {
		return req, out
	}
	// A closed period would leave a draft that cannot be posted: ask before it is made.
	if _, out := x.openPeriod(d.PostingDate, co); out != nil {
		return req, out
	}
	lines, taxes, out := x.bookLines(d)
	if out != nil {
		return req, out
	}
	v["lines"] = []any{[]any{"create", lines}}
	if len(taxes) > 0 { // Tryton does not take a list that is null
		v["taxes"] = []any{[]any{"create", taxes}}
	}
	return createRequest{Values: v, Expect: d.expect()}, nil
}

func (x *exchange) header(d document, co company, p record) (record, *sinks.Outcome) {
	if p == nil || !p.truth("active") {
		state := "has no party"
		if p != nil {
			state = "has archived the party"
		}
		return nil, rejected("UNKNOWN_CUSTOMER", "party", fmt.Sprintf("Tryton %s %q.", state, d.Party),
			"Deliver the customer first, or unarchive it in Tryton.")
	}
	var address int64
	for _, a := range p.list("addresses") {
		if a.truth("active") && (address == 0 || a.truth("invoice")) {
			address = a.id("id")
			if a.truth("invoice") {
				break
			}
		}
	}
	if address == 0 {
		return nil, rejected("NO_ADDRESS", "party", fmt.Sprintf("Party %q has no active address in Tryton.", d.Party), "Give it an invoice address.")
	}
	currency, out := x.resolve(lookCurrency, d.Currency)
	if out != nil {
		return nil, out
	}
	journal, out := x.journal()
	if out != nil {
		return nil, out
	}
	account, out := x.receivable(p)
	if out != nil {
		return nil, out
	}
	date, err := wireDate(d.Date)
	if err != nil {
		return nil, rejected("DATE", "date", err.Error(), "")
	}
	v := record{"type": "out", "company": co.id, "party": p.id("id"), "invoice_address": address, "currency": currency.id("id"),
		"journal": journal, "account": account, "reference": d.Reference, "description": described(d.Description, "corrects", d.AppliesTo), "invoice_date": date}
	switch term, fallback := d.PaymentTerm, p.id("customer_payment_term"); {
	case term == "" && fallback != 0:
		v["payment_term"] = fallback
	case term == "" && x.cfg.PaymentTerm == "":
		return nil, rejected("UNKNOWN_TERM", "payment_term", fmt.Sprintf("Neither the document, nor party %q, nor the configuration names a payment term.", d.Party),
			"Set payment_term of the customer in Tryton, of the document in the mapping, or of the sink.")
	default:
		if term == "" {
			term = x.cfg.PaymentTerm
		}
		row, out := x.resolve(lookTerm, term)
		if out != nil {
			return nil, out
		}
		v["payment_term"] = row.id("id")
	}
	return v, nil
}

// described adds to a description what Tryton has no field for.
func described(text, what, name string) string {
	if name == "" {
		return text
	}
	return strings.TrimPrefix(text+", "+what+" "+name, ", ")
}

// measure is what a line charged for: the quantity, and its price where the document says one.
func (l documentLine) measure() string {
	if l.UnitPrice.Value == "" {
		return l.quantity.String()
	}
	return fmt.Sprintf("%s x %s", l.quantity, l.price)
}

// bookLines makes Tryton's lines and tax lines. The source's amounts win: where Tryton would round a line differently
// (it rounds half to even), or has no digits for the quantity, the line is one unit at its net amount and says in its
// description what it was.
func (x *exchange) bookLines(d document) (lines, taxes []record, out *sinks.Outcome) {
	currency, out := x.resolve(lookCurrency, d.Currency)
	if out != nil {
		return nil, nil, out
	}
	digits := int32(currency.id("digits"))
	book := taxBook{digits: digits}
	for i, l := range d.lines {
		account, out := x.resolve(lookAccount, l.Account)
		if out != nil {
			return nil, nil, out
		}
		if !l.net.Equal(l.net.Round(digits)) {
			return nil, nil, rejected("DIGITS", fmt.Sprintf("lines[%d].net", i), fmt.Sprintf("%s has more digits than %s.", l.net, d.Currency), "Round it in billing.")
		}
		text := described(l.Description, "shipment", l.Shipment)
		v := record{"type": "line", "currency": currency.id("id"), "account": account.id("id"), "description": text}
		var unitDigits int32
		if l.Product != "" {
			product, out := x.resolve(lookProduct, l.Product)
			if out != nil {
				return nil, nil, out
			}
			uom := product.sub("default_uom")
			v["product"], v["unit"], unitDigits = product.id("id"), uom.id("id"), int32(uom.id("digits"))
		}
		q, price := l.quantity, l.price
		if !q.Equal(q.Round(unitDigits)) || !price.Equal(price.Round(4)) || !q.Mul(price).RoundBank(digits).Equal(l.net) {
			v["description"] = strings.TrimSpace(fmt.Sprintf("%s (%s)", text, l.measure()))
			q, price = decimal.NewFromInt(1), l.net
		}
		v["quantity"], v["unit_price"] = json.Number(q.String()), wireDecimal(price)
		if l.taxName != "" {
			tax, out := x.resolve(lookTax, l.taxName)
			if out != nil {
				return nil, nil, out
			}
			if out := book.add(tax, l.net); out != nil {
				return nil, nil, out
			}
			v["taxes"] = []any{[]any{"add", []int64{tax.id("id")}}}
		}
		lines = append(lines, v)
	}
	taxes, out = book.lines(d.tax)
	return lines, taxes, out
}
