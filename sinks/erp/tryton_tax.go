package erp

import (
	"fmt"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// taxBook groups the lines of a document as Tryton does, by tax and by the sign of the base, and makes the tax lines.
// Tryton keeps a tax line whose base is what it would compute itself, whatever its amount: so the source's tax reaches
// the books to the cent, and the tax reports keep their bases. (A tax line marked manual would lose them.)
type taxBook struct {
	digits int32
	groups []*taxGroup
}

type taxGroup struct {
	tax     record
	refund  bool
	base    decimal.Decimal
	natural decimal.Decimal // what Tryton would compute
	members int
}

// add puts a line's net amount under its tax.
func (b *taxBook) add(tax record, net decimal.Decimal) *sinks.Outcome {
	if tax.text("type") != "percentage" || len(toIDs(tax["childs"])) > 0 {
		return rejected("UNSUPPORTED_TAX", "lines.tax", fmt.Sprintf("The tax %q is not a plain percentage.", tax.text("name")),
			"Use a tax of type Percentage without children, one for each rate.")
	}
	for _, g := range b.groups {
		if g.tax.id("id") == tax.id("id") && g.refund == net.IsNegative() {
			g.base, g.members = g.base.Add(net), g.members+1
			return nil
		}
	}
	b.groups = append(b.groups, &taxGroup{tax: tax, refund: net.IsNegative(), base: net, members: 1})
	return nil
}

// lines spreads the document's tax over the groups: each gets what Tryton would compute, the largest the difference,
// which may be no more than the rounding of its lines can explain.
func (b *taxBook) lines(want decimal.Decimal) ([]record, *sinks.Outcome) {
	sum, taxed := decimal.Zero, 0
	var largest *taxGroup
	for _, g := range b.groups {
		rate, err := decimal.NewFromString(g.tax.amount("rate"))
		if err != nil {
			return nil, rejected("UNSUPPORTED_TAX", "lines.tax", fmt.Sprintf("The tax %q has no rate.", g.tax.text("name")), "Set its rate in Tryton.")
		}
		g.natural = g.base.Mul(rate).RoundBank(b.digits)
		sum = sum.Add(g.natural)
		if !rate.IsZero() {
			taxed += g.members
			if largest == nil || g.base.Abs().GreaterThan(largest.base.Abs()) {
				largest = g
			}
		}
	}
	diff := want.Sub(sum)
	if tolerance := decimal.New(int64(taxed), -b.digits); diff.Abs().GreaterThan(tolerance) {
		return nil, rejected("TAX_MISMATCH", "tax", fmt.Sprintf("The document's tax is %s; its lines make %s in Tryton, and rounding explains at most %s.", want, sum, tolerance),
			"Wrong tax code or rate: correct the document, the tax table of the mapping, or the tax in Tryton.")
	}
	if largest != nil {
		largest.natural = largest.natural.Add(diff)
	}
	var out []record
	for _, g := range b.groups {
		account := g.tax.id("invoice_account")
		if g.refund {
			account = g.tax.id("credit_note_account")
		}
		out = append(out, record{"tax": g.tax.id("id"), "account": account, "base": wireDecimal(g.base), "amount": wireDecimal(g.natural),
			"manual": false, "description": g.tax.text("description")})
	}
	return out, nil
}
