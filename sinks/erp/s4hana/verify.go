package s4hana

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// found is a document in the books, as its items say.
type found struct {
	posted
	party, currency, date, postingDate, period string
	total                                      decimal.Decimal // of the customer's items, or of the debits where there are none
	reversed                                   bool
}

// documents finds what carries a reference, oldest first. All their items are asked for and no property is chosen: one that the tenant's release
// does not have would make it refuse the question.
func (x *exchange) documents(reference, kind string) ([]found, *sinks.Outcome) {
	filter := "CompanyCode eq " + quoted(x.cfg.Company) + " and DocumentReferenceID eq " + quoted(reference) + " and AccountingDocumentType eq " + quoted(kind)
	items, out := x.query(journalService+"A_OperationalAcctgDocItemCube", filter, "", "")
	if out != nil {
		return nil, out
	}
	by := map[string][]object{}
	var order []string
	for _, i := range items {
		p := posted{i.text("AccountingDocument"), i.text("CompanyCode"), i.text("FiscalYear")}
		if p.company != x.cfg.Company || i.text("DocumentReferenceID") != reference {
			return nil, setup("ANSWER", "", fmt.Sprintf("S/4HANA answered the question for %s with document %s of reference %s.", reference, p.ref(), i.text("DocumentReferenceID")),
				"A filter is ignored; nothing can be verified until that is found out.")
		}
		if by[p.ref()] == nil {
			order = append(order, p.ref())
		}
		by[p.ref()] = append(by[p.ref()], i)
	}
	slices.Sort(order)
	var all []found
	for _, ref := range order {
		f, err := foundOf(by[ref])
		if err != nil {
			return nil, setup("ANSWER", "", fmt.Sprintf("reading document %s: %v", ref, err), "The release of S/4HANA gives its items in another form.")
		}
		all = append(all, f)
	}
	return all, nil
}

// foundOf reads a document from its items.
func foundOf(items []object) (f found, err error) {
	head := items[0]
	f = found{posted: posted{head.text("AccountingDocument"), head.text("CompanyCode"), head.text("FiscalYear")}, currency: head.text("TransactionCurrency"), period: head.text("FiscalPeriod"),
		reversed: head.truth("IsReversed") || strings.Trim(head.text("ReverseDocument"), "0") != ""}
	for name, into := range map[string]*string{"DocumentDate": &f.date, "PostingDate": &f.postingDate} {
		if *into, err = readDate(head.text(name)); err != nil {
			return f, err
		}
	}
	debtor, debits := decimal.Zero, decimal.Zero
	for _, i := range items {
		n, err := i.decimal("AmountInTransactionCurrency")
		if err != nil {
			return f, err
		}
		if n.IsPositive() {
			debits = debits.Add(n)
		}
		if kind := i.text("FinancialAccountType"); i.text("Customer") != "" && (kind == "D" || kind == "") {
			f.party, debtor = i.text("Customer"), debtor.Add(n)
		}
	}
	if f.total = debits; f.party != "" {
		f.total = debtor
	}
	return f, nil
}

// differences names the compared fields in which a document differs, with both values.
func (e expect) differences(f found) string {
	var diffs []string
	for _, c := range []struct{ name, ours, theirs string }{{"party", e.Party, f.party}, {"currency", e.Currency, f.currency}, {"date", e.Date, f.date}} {
		if c.ours != c.theirs {
			diffs = append(diffs, fmt.Sprintf("%s is %s in S/4HANA, %s here", c.name, orNone(c.theirs), orNone(c.ours)))
		}
	}
	if ours, err := decimal.NewFromString(e.Total); err != nil || !ours.Equal(f.total) {
		diffs = append(diffs, fmt.Sprintf("total is %s in S/4HANA, %s here", f.total, e.Total))
	}
	return strings.Join(diffs, "; ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func duplicated(all []found, reference string) *sinks.Outcome {
	var refs []string
	for _, f := range all {
		refs = append(refs, f.ref())
	}
	return conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("S/4HANA has %d documents with reference %s: %s.", len(all), reference, strings.Join(refs, ", ")), "Reverse all but the right one in S/4HANA and change their reference, then retry.")
}

// verifyPost looks for the reference.
func (x *exchange) verifyPost(in sinks.Intent) sinks.Outcome {
	var req postRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	all, out := x.documents(req.Expect.Reference, req.Expect.Type)
	switch {
	case out != nil:
		return *out
	case len(all) == 0:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("S/4HANA has no document of type %s with reference %s.", req.Expect.Type, req.Expect.Reference)}
	case len(all) > 1:
		return *duplicated(all, req.Expect.Reference)
	}
	f := all[0]
	if diff := req.Expect.differences(f); diff != "" {
		o := conflict("POST_CONFLICT", "The reference is already used: "+diff+".", "Find out which document is right.")
		o.Ref, o.Number = f.ref(), f.number
		return *o
	}
	if f.reversed {
		o := conflict("REVERSED", "The document was reversed in S/4HANA.", "Discard the delivery, or post it again with a new reference.")
		o.Ref, o.Number = f.ref(), f.number
		return *o
	}
	return documentOutcome(sinks.AlreadyApplied, req.Expect, f)
}

// documentOutcome carries what was read back.
func documentOutcome(class sinks.Class, e expect, f found) sinks.Outcome {
	facts := map[string]string{"state": "posted", "company": f.company, "fiscal_year": f.year, "period": f.period, "date": f.date, "posting_date": f.postingDate, "total": f.total.String(), "currency": f.currency}
	for name, value := range map[string]string{"party": e.Code, "net": e.Net, "tax": e.Tax, "applies_to": e.AppliesTo} {
		if value != "" {
			facts[name] = value
		}
	}
	return sinks.Outcome{Class: class, Ref: f.ref(), Number: f.number, Facts: facts}
}

// post sends a document that is not there yet, and reads back what became of it.
func (x *exchange) post(in sinks.Intent) sinks.Outcome {
	var req postRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	if before := x.verifyPost(in); before.Class != sinks.Absent {
		return before // already there, or different, or nothing can be asked: nothing was sent
	}
	p, out := x.send(req.XML)
	if out != nil {
		if out.Code == codePeriod && strings.HasPrefix(req.Posted, in.At.Format("2006-01")) {
			out.Class = sinks.Setup // nothing at all can be posted at present
		}
		return *out
	}
	o := x.verifyPost(in)
	switch {
	case o.Class == sinks.AlreadyApplied && o.Ref == p.ref():
		o.Class = sinks.Applied
	case o.Class == sinks.Conflict && o.Ref == p.ref():
		o.Code, o.Hint = "POST_AMOUNT_DRIFT", "S/4HANA made something else of the document; reverse it there, correct what differs, then retry."
	case o.Class == sinks.Conflict:
	default: // it was posted, and could not be read back: what the answer said is known
		o = documentOutcome(sinks.Applied, req.Expect, found{posted: p, currency: req.Expect.Currency, date: req.Expect.Date})
		delete(o.Facts, "period")
		delete(o.Facts, "posting_date")
		o.Facts["total"] = req.Expect.Total
	}
	return o
}
