package s4hana

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

// billingRequest makes a billing document for each billable document of a message. What is wrong with it nobody is told: the sender was
// answered already, and finds it in the monitor. The same reference twice makes two documents.
func (p *Product) billingRequest(s *sinktest.Sim, message *node) {
	id := strings.ToLower(message.value("MessageHeader", "UUID"))
	if _, again := p.known(id); again {
		return
	}
	if id != "" {
		p.answered[id] = repeat{at: time.Now()}
	}
	for _, d := range message.all("BillableDocument") {
		t := p.begin(s)
		if wrong := t.bill(d); wrong != "" {
			p.rejected = append(p.rejected, d.value("ReferenceDocument")+": "+wrong)
			continue
		}
		t.commit()
	}
}

// bill makes a billing document, and the journal entry that follows it.
func (t *tx) bill(d *node) (wrong string) {
	reference, found := d.value("ReferenceDocument"), d.all("BillableDocumentItem")
	if reference == "" || len(reference) > 16 || len(found) == 0 {
		return "a reference of at most 16 characters and an item are needed"
	}
	head := found[0]
	company := head.value("CompanyCode")
	if company == "" {
		company = head.value("SalesOrganization")
	}
	date, customer, currency := head.value("BillingDocumentDate"), strings.TrimLeft(head.value("SoldToParty"), "0"), head.value("TransactionCurrency")
	if _, err := time.Parse(dateForm, date); err != nil || t.options.Companies[company] == "" || currency == "" {
		return "a date, a currency and a company code are needed"
	}
	if _, there := t.data.get("A_Customer", map[string]string{"Customer": customer}); !there {
		return "customer " + customer + " does not exist"
	}
	if t.options.OpenFrom > date || t.options.OpenTo != "" && date > t.options.OpenTo {
		return "posting period 0" + date[5:7] + " " + date[:4] + " is not open"
	}
	number := strings.TrimLeft(t.data.next("billing", 90000000), "0")
	b := books{company: company, currency: currency, kind: "RV", reference: reference, date: date, posting: date}
	net, tax := decimal.Zero, decimal.Zero
	for i, item := range found {
		n, errNet := decimal.NewFromString(item.value("NetAmount"))
		x, errTax := decimal.NewFromString("0" + item.value("TaxAmount"))
		if strings.HasPrefix(item.value("TaxAmount"), "-") {
			x, errTax = decimal.NewFromString(item.value("TaxAmount"))
		}
		if errNet != nil || errTax != nil {
			return fmt.Sprintf("item %d has no amount", i+1)
		}
		net, tax = net.Add(n), tax.Add(x)
		t.data.put("A_BillingDocumentItem", row{values: map[string]any{"BillingDocument": number, "BillingDocumentItem": fmt.Sprint((i + 1) * 10), "Material": item.value("Material"), "BillingDocumentItemText": item.value("BillingDocumentItemText"),
			"BillingQuantity": item.value("BillingQuantity"), "NetAmount": n.StringFixed(digits(currency)), "TaxAmount": x.StringFixed(digits(currency)), "GrossAmount": n.Add(x).StringFixed(digits(currency)), "TransactionCurrency": currency}})
	}
	b.lines = []accountLine{{kind: "D", account: "12100000", customer: customer, amount: net.Add(tax)}, {kind: "S", account: "41000000", amount: net.Neg()}}
	if !tax.IsZero() {
		b.lines = append(b.lines, accountLine{kind: "S", account: "22000000", amount: tax.Neg()})
	}
	kind := "F2"
	if net.IsNegative() {
		kind = "G2"
	}
	t.putBilling(number, kind, b, net, tax, t.book(b, "", ""), "")
	return ""
}

// putBilling writes the head of a billing document and the ledger.
func (t *tx) putBilling(number, kind string, b books, net, tax decimal.Decimal, entry, cancels string) row {
	fixed := func(d decimal.Decimal) string { return d.StringFixed(digits(b.currency)) }
	customer := b.lines[0].customer
	made := t.data.put("A_BillingDocument", row{values: map[string]any{"BillingDocument": number, "BillingDocumentType": kind, "BillingDocumentDate": b.date, "CreationDate": time.Now().UTC().Format(dateForm), "SalesOrganization": b.company,
		"CompanyCode": b.company, "SoldToParty": customer, "PayerParty": customer, "TransactionCurrency": b.currency, "TotalNetAmount": fixed(net), "TotalTaxAmount": fixed(tax), "TotalGrossAmount": fixed(net.Add(tax)),
		"DocumentReferenceID": b.reference, "AccountingDocument": entry, "FiscalYear": b.posting[:4], "FiscalPeriod": "0" + b.posting[5:7], "BillingDocumentIsCancelled": false, "CancelledBillingDocument": cancels, "OverallBillingStatus": "C",
		"AccountingPostingStatus": "C", "AccountingTransferStatus": "C"}})
	entity := "sales_invoice"
	if cancels != "" || net.IsNegative() {
		entity = "credit_note"
	}
	body, err := json.Marshal(made.values)
	if err != nil {
		panic("writing the ledger: " + err.Error()) // of the simulator's own values
	}
	t.lines = append(t.lines, sinktest.Committed{Entity: entity, Step: "post", Key: b.reference, ID: number, Number: number, Company: b.company, Total: net.Add(tax).String(), Body: body})
	return made
}

// cancel makes the cancellation of a billing document: a document of its own with the contrary amounts. A document is cancelled once.
func (t *tx) cancel(c call) reply {
	name, ok := unquote(c.query.Get("BillingDocument"))
	if c.method != http.MethodPost || !ok {
		return fault(c.service, http.StatusBadRequest, "/IWBEP/CM_MGW_RT/021", "Cancel is called by POST with BillingDocument='...'")
	}
	found, there := t.data.get("A_BillingDocument", map[string]string{"BillingDocument": name})
	if _, hit := t.sim.Struck(sinktest.Locked, "credit_note", "post"); hit && there {
		return fault(c.service, http.StatusBadRequest, "VF/042", "Billing document "+name+" is being processed by user CC0000000042")
	}
	switch {
	case !there:
		return fault(c.service, http.StatusNotFound, "/IWBEP/CM_MGW_RT/020", "Billing document "+name+" does not exist")
	case found.values["BillingDocumentIsCancelled"] == true, text(found.values["CancelledBillingDocument"]) != "":
		return fault(c.service, http.StatusBadRequest, "VF/044", "Billing document "+name+" has already been cancelled")
	}
	values := maps.Clone(found.values)
	values["BillingDocumentIsCancelled"] = true
	t.data.put("A_BillingDocument", row{values: values})
	amounts := map[string]decimal.Decimal{}
	for _, n := range []string{"TotalNetAmount", "TotalTaxAmount"} {
		d, err := decimal.NewFromString(text(found.values[n]))
		if err != nil {
			panic("reading an amount of the simulator's own: " + err.Error())
		}
		amounts[n] = d.Neg()
	}
	net, tax := amounts["TotalNetAmount"], amounts["TotalTaxAmount"]
	b := books{company: text(found.values["CompanyCode"]), currency: text(found.values["TransactionCurrency"]), kind: "RV", reference: text(found.values["DocumentReferenceID"]), date: text(found.values["BillingDocumentDate"]),
		posting: text(found.values["BillingDocumentDate"]), lines: []accountLine{{kind: "D", account: "12100000", customer: text(found.values["SoldToParty"]), amount: net.Add(tax)},
			{kind: "S", account: "41000000", amount: net.Neg()}, {kind: "S", account: "22000000", amount: tax.Neg()}}}
	if t.options.OpenFrom > b.posting || t.options.OpenTo != "" && b.posting > t.options.OpenTo {
		return fault(c.service, http.StatusBadRequest, "F5/201", "Posting period 0"+b.posting[5:7]+" "+b.posting[:4]+" is not open")
	}
	number := strings.TrimLeft(t.data.next("billing", 90000000), "0")
	made := t.putBilling(number, "S1", b, net, tax, t.book(b, "", ""), name)
	return jsonReply(http.StatusOK, map[string]any{"d": map[string]any{"results": []any{t.fresh().encodeRow("A_BillingDocument", made, nil, nil)}}})
}
