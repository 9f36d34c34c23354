package businesscentral

import (
	"maps"
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
