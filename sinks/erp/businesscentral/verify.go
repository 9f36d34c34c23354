package businesscentral

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// documents finds a document by the id that we choose, and all that carry its external document number.
func (x *exchange) documents(set, id, number string) ([]record, *sinks.Outcome) {
	rows, out := x.find(set, "externalDocumentNumber eq "+quoted(number), 10)
	if out != nil || len(rows) > 0 || x.ids.Load() == idsRefused {
		return rows, out
	}
	r, out := x.byID(set, id) // somebody changed its number
	if r == nil {
		return nil, out
	}
	return []record{r}, out
}

// look says what there is of a document.
func (x *exchange) look(req createRequest) sinks.Outcome {
	rows, out := x.documents(req.Set, req.ID, req.Expect.Number)
	switch {
	case out != nil:
		return *out
	case len(rows) == 0:
		return sinks.Outcome{Class: sinks.Absent, Message: "Business Central has no document with the external number " + req.Expect.Number + "."}
	case len(rows) > 1:
		return *severalFound(rows)
	}
	if diff := x.differences(req.Expect, req.Set, rows[0]); diff != "" {
		o := conflict("POST_CONFLICT", "The external number is already used: "+diff, "Find out which document is right.")
		o.Ref, o.Number = rows[0].id(), rows[0].text("number")
		return *o
	}
	return x.documentOutcome(sinks.AlreadyApplied, req.Set, rows[0])
}

func severalFound(rows []record) *sinks.Outcome {
	var all []string
	for _, r := range rows {
		all = append(all, strings.TrimSpace(r.option("status")+" "+r.text("number")))
	}
	return conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("Business Central has %d documents with the external number %s: %s.", len(rows), rows[0].text("externalDocumentNumber"), strings.Join(all, ", ")),
		"Delete the drafts that are too many, or credit what is posted twice, then retry.")
}

// verifyDocument looks for the draft, or for what became of it.
func (x *exchange) verifyDocument(in sinks.Intent) sinks.Outcome {
	req, out := readCreate(in)
	if out != nil {
		return *out
	}
	return x.look(req)
}

// differences names the compared fields in which a document differs, with both values.
func (x *exchange) differences(e expect, set string, r record) string {
	var diffs []string
	differ := func(field, ours, theirs string) {
		diffs = append(diffs, fmt.Sprintf("%s is %s in Business Central, %s here", field, orNone(theirs), orNone(ours)))
	}
	for _, f := range []struct{ name, ours, theirs string }{
		{"external document number", e.Number, r.text("externalDocumentNumber")}, {"customer", e.Customer, r.text("customerNumber")},
		{"currency", e.Currency, x.books.iso(r.text("currencyCode"))}, {"date", e.Date, r.date(dateOf(set))}} {
		if !strings.EqualFold(f.ours, f.theirs) {
			differ(f.name, f.ours, f.theirs)
		}
	}
	for _, f := range []struct{ name, ours, theirs string }{{"net", e.Net, "totalAmountExcludingTax"}, {"tax", e.Tax, "totalTaxAmount"}, {"total", e.Total, "totalAmountIncludingTax"}} {
		want, err := decimal.NewFromString(f.ours)
		if got, ok := r.amount(f.theirs); err != nil || !ok || !got.Equal(want) {
			differ(f.name, f.ours, r.text(f.theirs))
		}
	}
	return strings.Join(diffs, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// documentOutcome carries what was read back, in the signs of the body: the amounts of a credit memo are negative.
func (x *exchange) documentOutcome(class sinks.Class, set string, r record) sinks.Outcome {
	facts := map[string]string{"state": r.option("status"), "date": r.date(dateOf(set)), "posting_date": r.date("postingDate"), "party": r.text("customerNumber"), "currency": x.books.iso(r.text("currencyCode"))}
	for name, theirs := range map[string]string{"net": "totalAmountExcludingTax", "tax": "totalTaxAmount", "total": "totalAmountIncludingTax", "remaining": "remainingAmount"} {
		if a, ok := r.amount(theirs); ok {
			if set == "salesCreditMemos" {
				a = a.Neg()
			}
			facts[name] = a.String()
		}
	}
	for name, theirs := range map[string]string{"due_date": "dueDate", "invoice": "invoiceNumber"} {
		if text := r.date(theirs); text != "" {
			facts[name] = text
		}
	}
	return sinks.Outcome{Class: class, Ref: r.id(), Number: r.text("number"), Facts: facts}
}
