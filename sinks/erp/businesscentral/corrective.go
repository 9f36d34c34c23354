package businesscentral

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// whole reports whether a credit takes all of an invoice back, to its customer, in its currency and with its tax.
func (e expect) whole(invoice record) bool {
	for name, ours := range map[string]string{"totalAmountExcludingTax": e.Net, "totalTaxAmount": e.Tax, "totalAmountIncludingTax": e.Total} {
		theirs, ok := invoice.amount(name)
		want, err := decimal.NewFromString(ours)
		if err != nil || !ok || !theirs.Equal(want) {
			return false
		}
	}
	return strings.EqualFold(invoice.text("customerNumber"), e.Customer)
}

// createCorrective lets Business Central make the credit memo of a whole invoice, and gives the draft our number and date. These are two
// writes: a draft of the invoice that has no number of somebody's yet, as is left when the first was done and the second was not, is taken up.
func (x *exchange) createCorrective(req createRequest) sinks.Outcome {
	if o := x.look(req); o.Class != sinks.Absent {
		return o
	}
	invoice, out := x.byID("salesInvoices", req.Corrects)
	switch {
	case out != nil:
		return *out
	case invoice == nil:
		return *rejected("UNKNOWN_ORIGINAL", "applies_to", "The invoice that this credit takes back is gone from Business Central.", "Find out who deleted it.")
	}
	draft, out := x.correctiveOf(invoice)
	if out != nil {
		return *out
	}
	if draft == nil {
		if out := x.write(nil, http.MethodPost, "salesInvoices("+req.Corrects+")/Microsoft.NAV.makeCorrectiveCreditMemo", invoice.etag(), nil); out != nil {
			return *out
		}
		if draft, out = x.correctiveOf(invoice); out != nil || draft == nil {
			return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: out != nil && out.Outage, Message: "The corrective credit memo was made and could not be read back.", Hint: hintAgain}
		}
	}
	if out := x.write(nil, http.MethodPatch, req.Set+"("+draft.id()+")", draft.etag(), req.Values); out != nil {
		return *out
	}
	return x.readBack(req, draft.id())
}

// correctiveOf finds the draft of an invoice's corrective credit memo that is nobody's yet; nil without an outcome: there is none.
func (x *exchange) correctiveOf(invoice record) (record, *sinks.Outcome) {
	rows, out := x.find("salesCreditMemos", "invoiceNumber eq "+quoted(invoice.text("number")), 10)
	if out != nil {
		return nil, out
	}
	var drafts []record
	for _, r := range rows {
		number := r.text("externalDocumentNumber")
		if !r.posted() && (number == "" || number == invoice.text("number") || number == invoice.text("externalDocumentNumber")) {
			drafts = append(drafts, r)
		}
	}
	if len(drafts) > 1 {
		return nil, conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("Business Central has %d drafts that take invoice %s back.", len(drafts), invoice.text("number")), "Delete all but one there, then retry.")
	}
	if len(drafts) == 0 {
		return nil, nil
	}
	return drafts[0], nil
}
