package netsuite

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// lineTax is what a line bears; without a code it bears nothing.
type lineTax struct {
	code, kind   string // internal ids of tax code and tax type
	rate, amount decimal.Decimal
}

// spread finds the tax of each line. Where lines say their amounts, those; else the document's tax belongs to the one tax that its lines
// name, and is divided among them by their net amounts, to the cent and with nothing left. Two taxes without amounts are not guessed apart.
func (x *exchange) spread(d document) ([]lineTax, *sinks.Outcome) {
	taxes := make([]lineTax, len(d.lines))
	if x.cfg.Taxation == taxNone {
		if !d.tax.IsZero() {
			return nil, rejected("TAXATION", "tax", fmt.Sprintf("The document's tax is %s, and taxation of the sink is none.", d.tax), "Set taxation of the sink.")
		}
		return taxes, nil
	}
	amounts := slices.ContainsFunc(d.lines, func(l documentLine) bool { return l.hasAmount })
	var bearing []int
	name := ""
	for i, l := range d.lines {
		of := l.taxName
		if of == "" && (l.hasAmount && !l.taxAmount.IsZero() || !amounts && !d.tax.IsZero()) {
			if of = x.cfg.Tax; of == "" {
				return nil, rejected("UNKNOWN_TAX", fmt.Sprintf("lines[%d].tax", i), "The line bears tax and names none.", "Map the line's tax to the name of a tax code, or set tax of the sink.")
			}
		}
		known := x.cfg.Taxes[of]
		if of == "" || known.Exempt && known.Code == "" {
			continue
		}
		var out *sinks.Outcome
		if taxes[i], out = x.taxOf(of, i); out != nil {
			return nil, out
		}
		switch {
		case l.hasAmount:
			taxes[i].amount = l.taxAmount
		case amounts || known.Exempt || d.tax.IsZero(): // it bears none
		case name != "" && name != of:
			return nil, rejected("TAX_AMOUNTS", fmt.Sprintf("lines[%d].tax", i), fmt.Sprintf("The document has the taxes %s and %s and one amount for both.", name, of), "Map each line's tax to its amount.")
		default:
			name, bearing = of, append(bearing, i)
		}
	}
	if !amounts && !d.tax.IsZero() {
		if out := divide(d, bearing, taxes); out != nil {
			return nil, out
		}
	}
	for i, l := range d.lines {
		if !l.net.IsZero() {
			taxes[i].rate = taxes[i].amount.Mul(decimal.NewFromInt(100)).DivRound(l.net, 4)
		}
	}
	return taxes, nil
}

// divide gives each line its share of the document's tax: what has been earned up to it, rounded, less what was given before it.
func divide(d document, bearing []int, taxes []lineTax) *sinks.Outcome {
	base := decimal.Zero
	for _, i := range bearing {
		base = base.Add(d.lines[i].net)
	}
	if base.IsZero() {
		return rejected("TAX_MISMATCH", "tax", fmt.Sprintf("The document's tax is %s, and what its lines bear it on is 0.", d.tax), "Correct the document, or the taxes of the sink that are exempt.")
	}
	places := -d.tax.Exponent()
	sofar, given := decimal.Zero, decimal.Zero
	for _, i := range bearing {
		sofar = sofar.Add(d.lines[i].net)
		until := d.tax.Mul(sofar).DivRound(base, max(places, 0))
		taxes[i].amount = until.Sub(given)
		given = until
	}
	return nil
}

func (x *exchange) taxOf(name string, line int) (lineTax, *sinks.Outcome) {
	t := x.cfg.Taxes[name]
	at := fmt.Sprintf("lines[%d].tax", line)
	code, out := x.resolve(x.lookTax(), first(t.Code, name))
	if out != nil {
		out.Field = at
		return lineTax{}, out
	}
	if x.cfg.Taxation == taxLines {
		return lineTax{code: code}, nil
	}
	kind := first(t.Type, x.cfg.TaxType)
	if kind == "" {
		return lineTax{}, rejected("UNKNOWN_TAX", at, fmt.Sprintf("No tax type is configured for the tax %q.", name), "Set tax_type of the sink, or type of the tax: SuiteTax wants both.")
	}
	id, out := x.resolve(lookTaxType, kind)
	if out != nil {
		out.Field = at
		return lineTax{}, out
	}
	return lineTax{code: code, kind: id}, nil
}
