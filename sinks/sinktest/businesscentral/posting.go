package businesscentral

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/shopspring/decimal"
)

// act does a bound action.
func (s *Simulator) act(t *transaction, r *resource, id, action string) (int, any, string, *refusal) {
	row := t.find(r.set, id)
	if row == nil {
		return 0, nil, "", notFound(r, id)
	}
	var out *refusal
	switch {
	case r.set == "journals" && action == "post":
		out = s.postJournal(t, row)
	case r.lines != "" && r.set != "journals" && action == "post":
		out = s.post(t, r, row)
	case r.set == "salesInvoices" && action == "makeCorrectiveCreditMemo":
		_, out = s.correct(t, row)
	case r.set == "salesInvoices" && action == "cancel":
		out = s.cancel(t, row)
	default:
		out = bad("BadRequest_MethodNotImplemented", "Entity does not support the bound action '%s'.", action)
	}
	if out != nil {
		return 0, nil, "", out
	}
	return http.StatusNoContent, nil, "", nil
}

// allowed looks whether a posting date is within the range that is open.
func (s *Simulator) allowed(date string) *refusal {
	if s.from != "" && date < s.from || s.to != "" && date > s.to {
		return bad("Application_DialogException", "Posting Date is not within your range of allowed posting dates.")
	}
	return nil
}

// post posts a draft. Posting code commits: what a batch did before it cannot be undone any more.
func (s *Simulator) post(t *transaction, r *resource, row *row) *refusal {
	v := maps.Clone(row.now())
	if v.text("status") != "Draft" {
		return bad("Application_DialogException", "The %s %s is already posted.", r.table, v.text("number")) // [K] the code
	}
	if lines := t.children(r.lines, "documentId", row.id); len(lines) == 0 || v.amount("totalAmountIncludingTax").IsZero() && v.amount("totalAmountExcludingTax").IsZero() {
		return bad("Application_DialogException", "There is nothing to post.")
	}
	if out := s.allowed(v.text("postingDate")); out != nil {
		return out
	}
	if c := t.find("customers", v.text("customerId")); c == nil || c.now().text("blocked") == "All" || c.now().text("blocked") == "Invoice" {
		return bad("Application_FieldValidationException", "You cannot post this type of document when Customer %s is blocked.", v.text("customerNumber"))
	}
	v["number"] = t.number("posted "+r.set, map[string]string{"salesInvoices": "PS-INV%06d", "salesCreditMemos": "PS-CR%06d"}[r.set], 103001)
	v["status"] = "Open"
	sign := decimal.NewFromInt(1)
	if r.set == "salesInvoices" {
		v["remainingAmount"] = v["totalAmountIncludingTax"]
	} else {
		sign = sign.Neg()
		s.settle(t, v)
	}
	t.set(row, v)
	s.book(t, v, "1200", v.amount("totalAmountIncludingTax").Mul(sign))
	s.book(t, v, "4000", v.amount("totalAmountExcludingTax").Mul(sign).Neg())
	if tax := v.amount("totalTaxAmount"); !tax.IsZero() {
		s.book(t, v, "2300", tax.Mul(sign).Neg())
	}
	t.note(r, "post", v.text("externalDocumentNumber"), v, v.text("number"), v.amount("totalAmountIncludingTax").String())
	t.commit()
	return nil
}

// settle lowers what is owed on the invoice that a credit memo names.
func (s *Simulator) settle(t *transaction, credit values) {
	invoice := t.find("salesInvoices", credit.text("invoiceId"))
	if invoice == nil {
		return
	}
	v := maps.Clone(invoice.now())
	left := v.amount("remainingAmount").Sub(credit.amount("totalAmountIncludingTax"))
	if v["remainingAmount"] = left; !left.IsPositive() {
		v["remainingAmount"], v["status"], credit["status"] = decimal.Zero, "Paid", "Paid"
	}
	t.set(invoice, v)
}

// book writes a general ledger entry.
func (s *Simulator) book(t *transaction, v values, account string, amount Rate) {
	n := len(t.co.tables["generalLedgerEntries"]) + 1
	e := values{"id": newID(), "entryNumber": decimal.NewFromInt(int64(n)), "postingDate": v["postingDate"], "documentNumber": v["number"], "accountNumber": account, "description": fmt.Sprint(v["customerName"])}
	if amount.IsNegative() {
		e["creditAmount"] = amount.Neg()
	} else {
		e["debitAmount"] = amount
	}
	t.insert("generalLedgerEntries", e)
}

// correct makes a draft credit memo over all of a posted invoice.
func (s *Simulator) correct(t *transaction, invoice *row) (*row, *refusal) {
	v := invoice.now()
	if st := v.text("status"); st != "Open" && st != "Paid" {
		return nil, bad("Application_DialogException", "You cannot correct the Sales Invoice %s because its status is %s.", v.text("number"), st)
	}
	memo := resources["salesCreditMemos"]
	c := values{"id": newID(), "customerId": v["customerId"], "currencyCode": v["currencyCode"], "externalDocumentNumber": v["externalDocumentNumber"], "invoiceId": invoice.id, "postingDate": v["postingDate"], "creditMemoDate": v["postingDate"]}
	row, out := s.makeDocument(t, memo, c)
	if out != nil {
		return nil, out
	}
	for _, line := range t.children("salesInvoiceLines", "documentId", invoice.id) {
		l := values{"id": newID(), "documentId": row.id}
		for _, name := range []string{"lineType", "itemId", "accountId", "lineObjectNumber", "description", "unitPrice", "quantity", "taxCode", "discountAmount", "discountPercent"} {
			if value, set := line.now()[name]; set {
				l[name] = value
			}
		}
		if _, out := s.makeLine(t, resources["salesCreditMemoLines"], l); out != nil {
			return nil, out
		}
	}
	s.noteWrite(t, memo, "create", row)
	return row, nil
}

// cancel corrects a posted invoice and posts the credit memo at once.
func (s *Simulator) cancel(t *transaction, invoice *row) *refusal {
	memo, out := s.correct(t, invoice)
	if out != nil {
		return out
	}
	if out := s.post(t, resources["salesCreditMemos"], memo); out != nil {
		return out
	}
	for row, status := range map[*row]string{invoice: "Canceled", memo: "Corrective"} {
		v := maps.Clone(row.now())
		v["status"] = status
		t.set(row, v)
	}
	return nil
}
