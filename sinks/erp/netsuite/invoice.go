package netsuite

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// document is an invoice whose numbers have been read and add up. A credit's are turned: NetSuite's credit memos are positive.
type document struct {
	invoice
	credit          bool
	net, tax, total decimal.Decimal
	lines           []documentLine
}

type documentLine struct {
	invoiceLine
	quantity, price, net decimal.Decimal
	taxName              string // "" for none
	taxAmount            decimal.Decimal
	hasAmount            bool
}

func readInvoice(raw json.RawMessage, entity string) (document, *sinks.Outcome) {
	var d document
	if out := strictBody(raw, &d.invoice); out != nil {
		return d, out
	}
	var r reader
	r.need("reference", d.Reference)
	r.need("party", d.Party)
	r.need("currency", d.Currency)
	d.net, d.tax, d.total = r.number("net", d.Net), r.number("tax", d.Tax), r.number("total", d.Total)
	r.dates(d.Date, &d.PostingDate)
	r.lines(len(d.Lines), 1)
	for i, l := range d.Lines {
		d.lines = append(d.lines, readLine(&r, fmt.Sprintf("lines[%d].", i), l))
	}
	if r.bad != nil {
		return d, r.bad
	}
	d.credit = entity == creditEntity || d.Type == "credit" || d.Type == "" && d.total.IsNegative()
	if out := d.check(); out != nil {
		return d, out
	}
	if d.credit {
		d.turn()
	}
	return d, nil
}

func readLine(r *reader, at string, l invoiceLine) documentLine {
	p := documentLine{invoiceLine: l, quantity: decimal.NewFromInt(1), net: r.number(at+"net", l.Net)}
	p.price = p.net
	if l.Quantity.Value != "" {
		p.quantity = r.number(at+"quantity", l.Quantity)
	}
	if l.UnitPrice.Value != "" {
		p.price = r.number(at+"unit_price", l.UnitPrice)
	}
	if amount, err := decimal.NewFromString(l.Tax.Value); err == nil {
		p.taxAmount, p.hasAmount = amount, true
	} else {
		p.taxName = l.Tax.Value
	}
	return p
}

// check proves that the document agrees with itself, to the cent.
func (d *document) check() *sinks.Outcome {
	sum, tax, amounts := decimal.Zero, decimal.Zero, false
	for _, l := range d.lines {
		sum, tax, amounts = sum.Add(l.net), tax.Add(l.taxAmount), amounts || l.hasAmount
	}
	const hint = "Correct the document in billing; it does not add up."
	switch {
	case !sum.Equal(d.net):
		return rejected(codeTotal, "net", fmt.Sprintf("The lines add up to %s, net says %s.", sum, d.net), hint)
	case !d.net.Add(d.tax).Equal(d.total):
		return rejected(codeTotal, "total", fmt.Sprintf("Net %s and tax %s make %s, total says %s.", d.net, d.tax, d.net.Add(d.tax), d.total), hint)
	case amounts && !tax.Equal(d.tax):
		return rejected(codeTotal, "tax", fmt.Sprintf("The lines' taxes add up to %s, tax says %s.", tax, d.tax), hint)
	case d.Type != "" && d.Type != "invoice" && d.Type != "credit":
		return rejected("TYPE", "type", fmt.Sprintf("type is %q.", d.Type), "It is invoice or credit.")
	case d.credit && (d.total.IsPositive() || d.Type == "invoice"):
		return rejected("TYPE", "type", fmt.Sprintf("A credit over %s of type %q.", d.total, d.Type), "The amounts of a credit are negative.")
	case !d.credit && d.total.IsNegative():
		return rejected("TYPE", "type", fmt.Sprintf("An invoice over %s.", d.total), "A negative document is of type credit.")
	}
	return nil
}

// turn makes the amounts of a credit positive. A quantity is turned where it has the sign, else the price.
func (d *document) turn() {
	d.net, d.tax, d.total = d.net.Neg(), d.tax.Neg(), d.total.Neg()
	for i := range d.lines {
		l := &d.lines[i]
		l.net, l.taxAmount = l.net.Neg(), l.taxAmount.Neg()
		if l.UnitPrice.Value == "" || !l.quantity.IsNegative() {
			l.price = l.price.Neg()
		} else {
			l.quantity = l.quantity.Neg()
		}
	}
}

func (x *exchange) prepareInvoice(op sinks.Operation) (request, *sinks.Outcome) {
	req := request{Type: "invoice"}
	d, out := readInvoice(op.Body, op.Entity)
	if out != nil {
		return req, out
	}
	if d.credit {
		req.Type = "creditMemo"
	}
	e := expect{Code: d.Party, Money: d.Currency, Date: d.Date, Net: d.net.String(), Tax: d.tax.String(), Total: d.total.String()}
	if e.Subsidiary, out = x.subsidiary(op.Company); out != nil {
		return req, out
	}
	if e.Party, out = x.party(op.Company, d.Party); out != nil {
		return req, out
	}
	if e.Currency, out = x.resolve(lookCurrency, d.Currency); out != nil {
		return req, out
	}
	body, out := x.header(d, e)
	if out != nil {
		return req, out
	}
	if out := x.bookLines(d, body); out != nil {
		return req, out
	}
	if d.credit && d.AppliesTo != "" {
		if req.Original, out = x.apply(op.Company, d, body); out != nil {
			return req, out
		}
	}
	req.Expect = &e
	var err error
	if req.Body, err = json.Marshal(body); err != nil {
		return req, rejected("BODY", "", err.Error(), "")
	}
	return req, nil
}

func (x *exchange) header(d document, e expect) (record, *sinks.Outcome) {
	body := record{"entity": refer(e.Party), "tranDate": d.Date, "currency": refer(e.Currency)}
	if memo := described(d.Description, "corrects", d.AppliesTo); memo != "" {
		body["memo"] = memo
	}
	if e.Subsidiary != "" {
		body["subsidiary"] = refer(e.Subsidiary)
	}
	if x.cfg.Location != "" {
		id, out := x.resolve(lookLocation, x.cfg.Location)
		if out != nil {
			return nil, out
		}
		body["location"] = refer(id)
	}
	if d.PostingDate != d.Date {
		period, out := x.period(d.PostingDate)
		if out != nil {
			return nil, out
		}
		body["postingPeriod"] = refer(period)
	}
	if term := first(d.PaymentTerm, x.cfg.PaymentTerm); term != "" && !d.credit {
		id, out := x.resolve(lookTerm, term)
		if out != nil {
			return nil, out
		}
		body["terms"] = refer(id)
	}
	return body, nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// period finds the accounting period of a day other than the document's own.
func (x *exchange) period(day string) (string, *sinks.Outcome) {
	rows, out := x.query("accountingPeriod", periodQuery(day))
	if out != nil {
		return "", out
	}
	if len(rows) != 1 {
		return "", rejected(codePeriod, "posting_date", fmt.Sprintf("NetSuite has %d accounting periods for %s.", len(rows), day), hintPeriod)
	}
	return rows[0].text("id"), nil
}

// bookLines makes the lines, with their taxes as the source has them.
func (x *exchange) bookLines(d document, body record) *sinks.Outcome {
	taxes, out := x.spread(d)
	if out != nil {
		return out
	}
	var lines, details []record
	for i, l := range d.lines {
		item, out := x.item(fmt.Sprintf("lines[%d].", i), l.Product, l.Account)
		if out != nil {
			return out
		}
		text := described(l.Description, "shipment", l.Shipment)
		q, price := l.quantity, l.price
		if !q.Mul(price).Equal(l.net) { // the source's amount wins: one unit of it, and the description says what it was
			text = strings.TrimSpace(fmt.Sprintf("%s (%s x %s)", text, q, price))
			q, price = decimal.NewFromInt(1), l.net
		}
		line := record{"item": refer(item), "quantity": number(q), "rate": number(price), "amount": number(l.net)}
		if text != "" {
			line["description"] = text
		}
		switch t := taxes[i]; {
		case t.code == "":
		case x.cfg.Taxation == taxLines:
			line["taxCode"], line["tax1Amt"] = refer(t.code), number(t.amount)
		default:
			ref := fmt.Sprintf("L%d", i+1)
			line["taxDetailsReference"] = ref
			details = append(details, record{"taxDetailsReference": ref, "taxType": refer(t.kind), "taxCode": refer(t.code), "taxBasis": number(l.net),
				"taxRate": number(t.rate), "taxAmount": number(t.amount)})
		}
		lines = append(lines, line)
	}
	body["item"] = record{"items": lines}
	if x.cfg.Taxation == taxDetails { // without the override NetSuite would compute the taxes itself, also of a document that has none
		body["taxDetailsOverride"] = true
	}
	if len(details) > 0 {
		body["taxDetails"] = record{"items": details}
	}
	return nil
}

// apply finds the original of a credit, which must be there, and applies to it what it still owes.
func (x *exchange) apply(company string, d document, body record) (string, *sinks.Outcome) {
	key, err := encodeKey(x.cfg.Prefix, company, d.AppliesTo)
	if err != nil {
		return "", rejected("KEY", "applies_to", err.Error(), "Correct applies_to in the mapping: the external id of the original.")
	}
	r, out := x.get(recordPath+"invoice/eid:"+url.PathEscape(key), nil)
	if out != nil {
		return "", out
	}
	if r == nil || r.text("id") == "" {
		return "", rejected("UNKNOWN_ORIGINAL", "applies_to", fmt.Sprintf("NetSuite has no invoice %s, which this credit corrects.", d.AppliesTo),
			"Deliver the original first, then retry; or give the one in NetSuite our external id "+key+".")
	}
	amount := d.total
	if owed, ok := r.amount("amountRemaining"); ok && owed.LessThan(amount) {
		amount = owed
	}
	if amount.IsPositive() {
		body["apply"] = record{"items": []record{{"doc": refer(r.text("id")), "apply": true, "amount": number(amount)}}}
	}
	return r.text("id"), nil
}
