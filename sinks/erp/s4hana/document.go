package s4hana

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

const codeTotal = "TOTAL_MISMATCH"

// document is an invoice or a credit whose numbers have been read and add up.
type document struct {
	invoice
	net, tax, total decimal.Decimal
	lines           []documentLine
}

type documentLine struct {
	invoiceLine
	net       decimal.Decimal
	tax       TaxCode         // Code is "" for none
	taxAmount decimal.Decimal // when hasAmount
	hasAmount bool
}

func (d document) credit() bool { return d.total.IsNegative() }

// readDocument reads a body and proves that it agrees with itself.
func (x *exchange) readDocument(op sinks.Operation) (document, *sinks.Outcome) {
	var d document
	if out := strict(op.Body, &d.invoice); out != nil {
		return d, out
	}
	n := &numbers{}
	n.need("reference", d.Reference)
	n.need("party", d.Party)
	d.net, d.tax, d.total = n.read("net", d.Net), n.read("tax", d.Tax), n.read("total", d.Total)
	d.PostingDate = x.readDates(n, d.Date, d.PostingDate, d.Currency)
	if len(d.Lines) == 0 || len(d.Lines) > maxLines {
		n.bad(rejected("LINES", "lines", fmt.Sprintf("The document has %d lines; 1 to %d are possible.", len(d.Lines), maxLines), "Split the document in billing."))
	}
	for i, l := range d.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		n.need(at+"account", l.Account)
		line := documentLine{invoiceLine: l, net: n.read(at+"net", l.Net)}
		if n.out == nil {
			x.lineTax(n, &line, d.tax, at)
		}
		d.lines = append(d.lines, line)
	}
	if n.out != nil {
		return d, n.out
	}
	return d, d.check(op.Entity)
}

// readDates looks at dates and currency of a document and gives its posting date.
func (x *exchange) readDates(n *numbers, date, posting, currency string) string {
	if len(currency) != 3 || strings.ToUpper(currency) != currency {
		n.bad(rejected("CURRENCY", "currency", fmt.Sprintf("currency is %q, not a code of ISO 4217.", currency), "Map it to a code such as USD."))
	}
	if _, err := time.Parse(dateForm, date); err != nil {
		n.bad(rejected("DATE", "date", fmt.Sprintf("date is %q, not YYYY-MM-DD.", date), "Map it to a date without a time."))
	}
	if posting == "" {
		return date
	}
	if _, err := time.Parse(dateForm, posting); err != nil {
		n.bad(rejected("DATE", "posting_date", fmt.Sprintf("posting_date is %q, not YYYY-MM-DD.", posting), "Map it to a date without a time."))
	}
	return posting
}

// lineTax finds the tax code of a line: by name, or by whether its amount is zero; without either, by whether the document has any tax.
func (x *exchange) lineTax(n *numbers, line *documentLine, tax decimal.Decimal, at string) {
	name := line.Tax.Value
	amount, err := decimal.NewFromString(name)
	switch {
	case name != "" && err != nil:
		code, known := x.cfg.TaxCodes[name]
		if !known {
			n.bad(rejected("UNKNOWN_TAX", at+"tax", fmt.Sprintf("The tax %q is not in tax_codes.", name), "Add it to tax_codes in the sink's configuration."))
		}
		line.tax = code
		return
	case name != "":
		line.taxAmount, line.hasAmount = amount, true
	default:
		amount = tax
	}
	if name = x.cfg.Tax; amount.IsZero() {
		name = x.cfg.ExemptTax
	}
	if name == "" && !amount.IsZero() {
		n.bad(rejected("UNKNOWN_TAX", at+"tax", "The line bears tax, and no tax is configured.", "Set tax in the sink's configuration, or map the line's tax to a name in tax_codes."))
	}
	line.tax = x.cfg.TaxCodes[name]
}

// check proves that the document agrees with itself, to the last digit.
func (d document) check(entity string) *sinks.Outcome {
	const hint = "Correct the document in billing; it does not add up."
	sum, tax, amounts := decimal.Zero, decimal.Zero, false
	for _, l := range d.lines {
		sum, tax, amounts = sum.Add(l.net), tax.Add(l.taxAmount), amounts || l.hasAmount
	}
	switch {
	case !sum.Equal(d.net):
		return rejected(codeTotal, "net", fmt.Sprintf("The lines add up to %s, net says %s.", sum, d.net), hint)
	case !d.net.Add(d.tax).Equal(d.total):
		return rejected(codeTotal, "total", fmt.Sprintf("Net %s and tax %s make %s, total says %s.", d.net, d.tax, d.net.Add(d.tax), d.total), hint)
	case amounts && !tax.Equal(d.tax):
		return rejected(codeTotal, "tax", fmt.Sprintf("The lines' taxes add up to %s, tax says %s.", tax, d.tax), hint)
	case d.total.IsZero():
		return rejected(codeTotal, "total", "The total is zero: finance posts no item without an amount to a customer.", "Leave the document out by a rule of the mapping.")
	case d.Type != "" && d.Type != "invoice" && d.Type != "credit":
		return rejected("TYPE", "type", fmt.Sprintf("type is %q.", d.Type), "It is invoice or credit.")
	case d.Type == "invoice" && d.credit():
		return rejected("TYPE", "type", fmt.Sprintf("An invoice over %s.", d.total), "A negative document is of type credit.")
	case (d.Type == "credit" || entity == creditEntity) && !d.credit():
		return rejected("TYPE", "type", fmt.Sprintf("A credit over %s.", d.total), "The amounts of a credit are negative.")
	}
	return nil
}

// taxItem is the tax of one code.
type taxItem struct {
	code         TaxCode
	base, amount decimal.Decimal
}

// taxes shares the document's tax among its codes. Where one code bears it all, its amount is the document's; where several do, each is what its
// rate makes of its base, and what they miss by rounding, at most a unit a code, goes to the largest.
func (d document) taxes() ([]taxItem, *sinks.Outcome) {
	by := map[string]*taxItem{}
	exact := true
	for _, l := range d.lines {
		if l.tax.Code == "" {
			continue
		}
		t := by[l.tax.Code]
		if t == nil {
			t = &taxItem{code: l.tax}
			by[l.tax.Code] = t
		}
		t.base, t.amount = t.base.Add(l.net), t.amount.Add(l.taxAmount)
		exact = exact && l.hasAmount
	}
	var all []taxItem
	for _, code := range slices.Sorted(maps.Keys(by)) {
		all = append(all, *by[code])
	}
	var bearing []int // those that are not known to be free of tax
	for i := range all {
		if rate, err := decimal.NewFromString(all[i].code.Rate); err != nil || !rate.IsZero() {
			bearing = append(bearing, i)
		}
	}
	switch {
	case exact && len(all) > 0:
		return all, nil
	case d.tax.IsZero() && len(bearing) <= 1:
		return all, nil
	case len(bearing) == 0:
		return nil, rejected("UNKNOWN_TAX", "tax", fmt.Sprintf("The document has %s of tax, and none of its lines bears any.", d.tax), "Map the lines' tax to names in tax_codes.")
	case len(bearing) == 1:
		all[bearing[0]].amount = d.tax
		return all, nil
	}
	return all, d.share(all, bearing)
}

// share computes taxes by their rates.
func (d document) share(all []taxItem, bearing []int) *sinks.Outcome {
	digits := places(d.Currency)
	left, largest := d.tax, bearing[0]
	for _, i := range bearing {
		rate, err := decimal.NewFromString(all[i].code.Rate)
		if err != nil {
			return rejected("UNKNOWN_TAX", "tax", fmt.Sprintf("The document has several taxes, and the rate of %s is not configured.", all[i].code.Code), "Set rate of each in tax_codes, or give each line the amount of its tax.")
		}
		all[i].amount = all[i].base.Mul(rate).Div(decimal.NewFromInt(100)).Round(digits)
		left = left.Sub(all[i].amount)
		if all[i].base.Abs().GreaterThan(all[largest].base.Abs()) {
			largest = i
		}
	}
	if left.Abs().GreaterThan(decimal.New(int64(len(bearing)), -digits)) {
		return rejected(codeTotal, "tax", fmt.Sprintf("The rates make %s of tax, the document says %s.", d.tax.Sub(left), d.tax), "Compare the rates in tax_codes with billing's, or give each line the amount of its tax.")
	}
	all[largest].amount = all[largest].amount.Add(left)
	return nil
}
