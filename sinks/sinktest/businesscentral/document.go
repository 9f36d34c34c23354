package businesscentral

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/shopspring/decimal"
)

// Rate is a tax in percent.
type Rate = decimal.Decimal

// dateOf is the property that is a document's own date.
func dateOf(r *resource) string {
	if r.set == "salesCreditMemos" {
		return "creditMemoDate"
	}
	return "invoiceDate"
}

func (s *Simulator) makeDocument(t *transaction, r *resource, v values) (*row, *refusal) {
	if out := s.bill(t, r, v); out != nil {
		return nil, out
	}
	if v.text("currencyCode") == "" {
		v["currencyCode"] = s.options.LocalCurrency
	}
	today := time.Now().UTC().Format(dateForm)
	for _, name := range []string{dateOf(r), "postingDate", "dueDate"} {
		if v.text(name) == "" {
			v[name] = orElse(v.text(dateOf(r)), today)
		}
	}
	if r.set == "salesCreditMemos" {
		if out := s.original(t, r, v); out != nil {
			return nil, out
		}
	}
	v["number"] = t.number("draft "+r.set, map[string]string{"salesInvoices": "S-INV%06d", "salesCreditMemos": "S-CR%06d"}[r.set], 1001)
	v["status"] = "Draft"
	row := t.insert(r.set, v)
	return row, s.total(t, r, row)
}

// bill finds the customer of a document and takes from it what the document does not say.
func (s *Simulator) bill(t *transaction, r *resource, v values) *refusal {
	id, number := v.text("customerId"), v.text("customerNumber")
	var customer *row
	switch {
	case id != "" && id != noID:
		if customer = t.find("customers", id); customer == nil {
			return missing(r, "customerId", id, "Customer")
		}
		if number != "" && number != customer.now().text("number") {
			return bad("Application_DialogException", "The \"customerNumber\" does not match to a Customer with the \"customerId\".")
		}
	case number != "":
		if customer = t.by("customers", "number", number); customer == nil {
			return missing(r, "customerNumber", number, "Customer")
		}
	default:
		return bad("Application_DialogException", "A customerNumber or a customerID must be provided.")
	}
	c := customer.now()
	if blocked := c.text("blocked"); blocked == "All" {
		return bad("Application_FieldValidationException", "You cannot create this type of document when Customer %s is blocked with type %s.", c.text("number"), blocked)
	}
	v["customerId"], v["customerNumber"], v["customerName"] = customer.id, c["number"], c["displayName"]
	v["billToCustomerId"], v["billToCustomerNumber"], v["billToName"] = customer.id, c["number"], c["displayName"]
	for own, from := range map[string]string{"sellToAddressLine1": "addressLine1", "sellToCity": "city", "sellToState": "state", "sellToCountry": "country", "sellToPostCode": "postalCode",
		"currencyCode": "currencyCode", "paymentTermsId": "paymentTermsId"} {
		if v.text(own) == "" {
			v[own] = c.text(from)
		}
	}
	return nil
}

// original finds the invoice of a credit memo that names one; it must be posted.
func (s *Simulator) original(t *transaction, r *resource, v values) *refusal {
	id, number := v.text("invoiceId"), v.text("invoiceNumber")
	if (id == "" || id == noID) && number == "" {
		return nil
	}
	invoice := t.by("salesInvoices", "number", number)
	if id != "" && id != noID {
		invoice = t.find("salesInvoices", id)
	}
	if invoice == nil || invoice.now().text("status") == "Draft" {
		return missing(r, "invoiceId", orElse(id, number), "Sales Invoice Header")
	}
	v["invoiceId"], v["invoiceNumber"] = invoice.id, invoice.now()["number"]
	return nil
}

func (s *Simulator) makeLine(t *transaction, r *resource, v values) (*row, *refusal) {
	header := headerOf(r)
	doc := t.find(header.set, v.text(r.parent))
	switch {
	case v.text(r.parent) == "" || v.text(r.parent) == noID:
		return nil, bad("Application_DialogException", "You must specify a document id.")
	case doc == nil:
		return nil, notFound(header, v.text(r.parent))
	case doc.now().text("status") != "Draft":
		return nil, bad("BadRequest_InvalidOperation", "The %s %s is posted and cannot be changed.", header.table, doc.now().text("number"))
	}
	if v["sequence"] == nil {
		v["sequence"] = decimal.NewFromInt(int64(10000 * (1 + len(t.children(r.set, r.parent, doc.id)))))
	}
	if v["quantity"] == nil {
		v["quantity"] = decimal.NewFromInt(1)
	}
	if out := s.completeLine(t, r, v); out != nil {
		return nil, out
	}
	row := t.insert(r.set, v)
	return row, s.total(t, header, doc)
}

// completeLine finds what a line sells, and its tax.
func (s *Simulator) completeLine(t *transaction, r *resource, v values) *refusal {
	if v.text("lineType") == "" {
		switch {
		case v.text("itemId") != "":
			v["lineType"] = "Item"
		case v.text("accountId") != "":
			v["lineType"] = "Account"
		default:
			v["lineType"] = "Comment"
		}
	}
	set, id := "", ""
	switch v.text("lineType") {
	case "Item":
		set, id = "items", "itemId"
	case "Account":
		set, id = "accounts", "accountId"
	case "Comment":
		return nil
	default:
		return bad("Application_DialogException", "The line type %s is not set up in this simulator.", v.text("lineType"))
	}
	var sold *row
	if v.text(id) != "" && v.text(id) != noID {
		sold = t.find(set, v.text(id))
	} else {
		sold = t.by(set, "number", v.text("lineObjectNumber"))
	}
	if sold == nil {
		return missing(r, id, orElse(v.text(id), v.text("lineObjectNumber")), resources[set].table)
	}
	what := sold.now()
	if what["blocked"] == true {
		return bad("Application_FieldValidationException", "Blocked must be equal to 'No' in %s: No.=%s. Current value is 'Yes'.", resources[set].table, what.text("number"))
	}
	v[id], v["lineObjectNumber"] = sold.id, what["number"]
	if v.text("description") == "" {
		v["description"] = what["displayName"]
	}
	if v["unitPrice"] == nil {
		v["unitPrice"] = what.amount("unitPrice")
	}
	if v.text("taxCode") == "" {
		v["taxCode"] = what.text("taxGroupCode")
	}
	if code := v.text("taxCode"); code != "" && t.by("taxGroups", "code", code) == nil {
		return missing(r, "taxCode", code, "Tax Group")
	}
	return nil
}

// total computes a document again: each line's amount is rounded, and the tax of each tax code is rounded once, on the sum of its lines, half away
// from zero; the last line of the code bears the difference [K].
func (s *Simulator) total(t *transaction, r *resource, doc *row) *refusal {
	places := s.places(t, doc.now().text("currencyCode"))
	type group struct{ base, given Rate }
	groups := map[string]*group{}
	net, tax := decimal.Zero, decimal.Zero
	rows := t.children(r.lines, "documentId", doc.id)
	for _, row := range rows {
		l := maps.Clone(row.now())
		if l.text("lineType") == "Comment" {
			continue
		}
		amount := l.amount("unitPrice").Mul(l.amount("quantity"))
		discount := l.amount("discountAmount")
		if p := l.amount("discountPercent"); !p.IsZero() {
			discount = amount.Mul(p).Div(decimal.NewFromInt(100)).Round(places)
		}
		amount = amount.Round(places).Sub(discount)
		code := l.text("taxCode")
		if groups[code] == nil {
			groups[code] = &group{}
		}
		g := groups[code]
		rate := s.rates[code]
		g.base = g.base.Add(amount)
		own := g.base.Mul(rate).Div(decimal.NewFromInt(100)).Round(places).Sub(g.given)
		g.given = g.given.Add(own)
		net, tax = net.Add(amount), tax.Add(own)
		l["discountAmount"], l["amountExcludingTax"], l["netAmount"], l["taxPercent"] = discount, amount, amount, rate
		l["totalTaxAmount"], l["netTaxAmount"] = own, own
		l["amountIncludingTax"], l["netAmountIncludingTax"] = amount.Add(own), amount.Add(own)
		t.set(row, l)
	}
	v := maps.Clone(doc.now())
	net = net.Sub(v.amount("discountAmount"))
	v["totalAmountExcludingTax"], v["totalTaxAmount"], v["totalAmountIncludingTax"] = net, tax, net.Add(tax)
	t.set(doc, v)
	return nil
}

// places are the decimals of a currency.
func (s *Simulator) places(t *transaction, code string) int32 {
	if row := t.by("currencies", "code", code); row != nil && code != "" {
		return -row.now().amount("amountRoundingPrecision").Exponent()
	}
	return 2
}

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
