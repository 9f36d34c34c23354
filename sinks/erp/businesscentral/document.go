package businesscentral

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// sale is the body of a sales_invoice or a credit_note, as every ERP adapter takes it. Amounts are signed: a credit note has a negative total.
type sale struct {
	Reference   string     `json:"reference"`
	Type        string     `json:"type"`         // invoice or credit; empty: by the sign of the total
	Party       string     `json:"party"`        // code of the customer
	Date        string     `json:"date"`         // YYYY-MM-DD, without a zone
	PostingDate string     `json:"posting_date"` // empty: the date
	Currency    string     `json:"currency"`     // ISO 4217
	PaymentTerm string     `json:"payment_term"`
	Description string     `json:"description"`
	AppliesTo   string     `json:"applies_to"` // external id of the invoice that this one corrects
	Net         field      `json:"net"`
	Tax         field      `json:"tax"`
	Total       field      `json:"total"`
	Lines       []saleLine `json:"lines"`
}

type saleLine struct {
	Product     string `json:"product"`
	Account     string `json:"account"`
	Description string `json:"description"`
	Shipment    string `json:"shipment"`   // people read it in the description
	Quantity    field  `json:"quantity"`   // empty: 1
	UnitPrice   field  `json:"unit_price"` // empty: the net amount
	Net         field  `json:"net"`
	Tax         field  `json:"tax"` // a name of tax_codes, a tax code of Business Central, or an amount: then the configured code
}

const (
	dateForm  = "2006-01-02"
	lineMost  = 1000 // lines of a document
	digitMost = 5    // digits behind the point of quantities and unit prices
)

// document is a sale whose numbers have been read and add up.
type document struct {
	sale
	net, tax, total decimal.Decimal
	lines           []documentLine
}

type documentLine struct {
	saleLine
	quantity, price, net decimal.Decimal
	code                 string          // of the tax
	taxed                decimal.Decimal // its amount, when the line says one
	says                 bool
}

// credit reports whether it becomes a credit memo.
func (d document) credit() bool { return d.total.IsNegative() || d.Type == "credit" }

// reader collects the first fault of a body.
type reader struct{ bad *sinks.Outcome }

func (r *reader) need(field, value string) {
	if value == "" && r.bad == nil {
		r.bad = rejected("REQUIRED", field, field+" is empty.", "Fill it in the mapping.")
	}
}

func (r *reader) number(field, text string) decimal.Decimal {
	n, err := decimal.NewFromString(text)
	if err != nil && r.bad == nil {
		r.bad = rejected("NUMBER", field, fmt.Sprintf("%s is %q, not a decimal.", field, text), "Map it to an amount such as -1150.00.")
	}
	return n
}

func (r *reader) date(field, text string) {
	if _, err := time.Parse(dateForm, text); err != nil && r.bad == nil {
		r.bad = rejected("DATE", field, fmt.Sprintf("%s is %q, not YYYY-MM-DD.", field, text), "Map it to a date without a time.")
	}
}

func (x *exchange) readSale(op sinks.Operation) (document, *sinks.Outcome) {
	var d document
	if out := strict(op.Body, &d.sale); out != nil {
		return d, out
	}
	var r reader
	r.need("reference", d.Reference)
	r.need("party", d.Party)
	r.need("currency", d.Currency)
	d.net, d.tax, d.total = r.number("net", d.Net.Value), r.number("tax", d.Tax.Value), r.number("total", d.Total.Value)
	r.date("date", d.Date)
	if d.PostingDate == "" {
		d.PostingDate = d.Date
	}
	r.date("posting_date", d.PostingDate)
	if n := len(d.Lines); (n == 0 || n > lineMost) && r.bad == nil {
		r.bad = rejected("LINES", "lines", fmt.Sprintf("The document has %d lines; 1 to %d are possible.", n, lineMost), "")
	}
	for i, l := range d.Lines {
		d.lines = append(d.lines, x.readLine(&r, fmt.Sprintf("lines[%d].", i), l, d.tax))
	}
	if op.Entity == entityCredit {
		r.need("applies_to", d.AppliesTo)
	}
	if r.bad != nil {
		return d, r.bad
	}
	return d, d.check(op.Entity)
}

func (x *exchange) readLine(r *reader, at string, l saleLine, documentTax decimal.Decimal) documentLine {
	if x.cfg.Lines == LinesItem {
		r.need(at+"product", l.Product)
	} else {
		r.need(at+"account", l.Account)
	}
	p := documentLine{saleLine: l, quantity: decimal.NewFromInt(1), net: r.number(at+"net", l.Net.Value)}
	p.price = p.net
	if l.Quantity.Value != "" {
		p.quantity = r.number(at+"quantity", l.Quantity.Value)
	}
	if l.UnitPrice.Value != "" {
		p.price = r.number(at+"unit_price", l.UnitPrice.Value)
	}
	amount, err := decimal.NewFromString(l.Tax.Value)
	switch {
	case l.Tax.Value != "" && err != nil:
		if p.code = l.Tax.Value; x.cfg.TaxCodes[p.code] != "" {
			p.code = x.cfg.TaxCodes[p.code]
		}
		return p
	case l.Tax.Value != "":
		p.taxed, p.says = amount, true
	default:
		amount = documentTax
	}
	if p.code = x.cfg.Tax; amount.IsZero() {
		p.code = x.cfg.ExemptTax
	} else if p.code == "" && r.bad == nil {
		r.bad = rejected("UNKNOWN_TAX", at+"tax", "The line bears tax, and no tax code is configured.", "Set tax in the sink's configuration, or map the line's tax to a tax code of Business Central.")
	}
	return p
}

// check proves that the document agrees with itself, to the cent.
func (d document) check(entity string) *sinks.Outcome {
	sum, tax, amounts := decimal.Zero, decimal.Zero, false
	for _, l := range d.lines {
		sum, tax, amounts = sum.Add(l.net), tax.Add(l.taxed), amounts || l.says
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
	case d.Type == "invoice" && d.total.IsNegative():
		return rejected("TYPE", "type", fmt.Sprintf("An invoice over %s.", d.total), "A negative document is of type credit.")
	case d.credit() && d.total.IsPositive():
		return rejected("TYPE", "type", fmt.Sprintf("A credit over %s.", d.total), "The amounts of a credit are negative.")
	case entity == entityCredit && !d.credit():
		return rejected("TYPE", "total", fmt.Sprintf("A credit note over %s.", d.total), "The amounts of a credit note are negative.")
	}
	return nil
}

// line is what is sent of a line. The source's amount wins: where quantity times price is not exactly the net amount, or has more digits than
// Business Central keeps, the line is one unit at its net amount and says in its description what it was. Nothing is left to rounding.
func (l documentLine) line(cfg Config, sign decimal.Decimal) record {
	text := described(l.Description, "shipment", l.Shipment)
	q, price := l.quantity, l.price
	if !q.Equal(q.Round(digitMost)) || !price.Equal(price.Round(digitMost)) || !q.Mul(price).Equal(l.net) || price.IsNegative() {
		measure := q.String()
		if l.UnitPrice.Value != "" {
			measure += " x " + price.String()
		}
		if !q.Equal(decimal.NewFromInt(1)) || !price.Equal(l.net) {
			text = strings.TrimSpace(fmt.Sprintf("%s (%s)", text, measure))
		}
		q, price = decimal.NewFromInt(1), l.net
		if price.IsNegative() { // a price is not negative there, a quantity may be
			q, price = q.Neg(), price.Neg()
		}
	}
	r := record{"lineType": "Account", "lineObjectNumber": l.Account, "description": clip(text, textMost), "quantity": number(q.Mul(sign)), "unitPrice": number(price)}
	if cfg.Lines == LinesItem {
		r["lineType"], r["lineObjectNumber"] = "Item", l.Product
	}
	if l.code != "" {
		r["taxCode"] = l.code
	}
	return r
}

// textMost is how long the description of a line may be.
const textMost = 100

// comments are a text as lines of a document that carry nothing else: Business Central has no field for it.
func comments(text string) (lines []record) {
	for words := strings.Fields(text); len(words) > 0; {
		line := clip(words[0], textMost)
		words = words[1:]
		for len(words) > 0 && len(line)+1+len(words[0]) <= textMost {
			line, words = line+" "+words[0], words[1:]
		}
		lines = append(lines, record{"lineType": "Comment", "description": line})
	}
	return lines
}

// described adds to a description what Business Central has no field for.
func described(text, what, name string) string {
	if name == "" {
		return text
	}
	return strings.TrimPrefix(text+", "+what+" "+name, ", ")
}
