package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// createRequest is the frozen intent of create: what is sent, and what must be there afterwards.
type createRequest struct {
	Set    string          `json:"set"`
	ID     string          `json:"id"`               // by which it is known if the server takes ids; else only for the search
	Values json.RawMessage `json:"values,omitempty"` // of the document with its lines
	// Corrects is the id of an invoice of which this is the corrective credit memo; Values then change it into ours.
	Corrects string `json:"corrects,omitempty"`
	Expect   expect `json:"expect"`
}

// expect is what makes a document in Business Central the same as ours. Amounts are as there: positive in a credit memo.
type expect struct {
	Number      string `json:"number"` // external document number
	Customer    string `json:"customer"`
	Currency    string `json:"currency"` // ISO
	Date        string `json:"date"`
	PostingDate string `json:"posting_date"`
	Net         string `json:"net"`
	Tax         string `json:"tax"`
	Total       string `json:"total"`
}

func (d document) expect(external string) expect {
	sign := decimal.NewFromInt(1)
	if d.credit() {
		sign = sign.Neg()
	}
	return expect{codeFor(external, externalMost), strings.ToUpper(d.Party), strings.ToUpper(d.Currency), d.Date, d.PostingDate,
		d.net.Mul(sign).String(), d.tax.Mul(sign).String(), d.total.Mul(sign).String()}
}

func (x *exchange) prepareDocument(op sinks.Operation) (createRequest, *sinks.Outcome) {
	var req createRequest
	d, out := x.readSale(op)
	if out != nil {
		return req, out
	}
	req.Set, req.Expect = setOf(d), d.expect(op.ExternalID)
	req.ID = idFor(req.Set, op.Company, op.ExternalID)
	// A closed period would leave a draft that cannot be posted: ask before it is made.
	if out := x.books.period("posting_date", d.PostingDate); out != nil {
		return req, out
	}
	if out := x.customer(d.Party); out != nil {
		return req, out
	}
	values := record{"externalDocumentNumber": req.Expect.Number, "postingDate": d.PostingDate}
	values[dateOf(req.Set)] = d.Date
	var first record
	if d.AppliesTo != "" {
		if first, out = x.original(op, d.AppliesTo); out != nil {
			return req, out
		}
	}
	if first != nil && d.credit() && x.cfg.Corrective == CorrectiveWhole && req.Expect.whole(first) {
		req.Corrects = first.id()
	} else if out := x.fill(values, req, d, first); out != nil {
		return req, out
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return req, rejected("BODY", "", err.Error(), "")
	}
	req.Values = raw
	return req, nil
}

// fill writes what a new document says; first is the invoice that it corrects, nil for none.
func (x *exchange) fill(values record, req createRequest, d document, first record) *sinks.Outcome {
	values["customerNumber"], values["currencyCode"] = req.Expect.Customer, x.books.theirs(d.Currency)
	if d.PaymentTerm != "" {
		id, out := x.idOf("paymentTerms", "payment_term", "payment_term", d.PaymentTerm)
		if out != nil {
			return out
		}
		values["paymentTermsId"] = id
	}
	sign, lines := decimal.NewFromInt(1), comments(d.Description)
	switch {
	case d.credit():
		if sign = sign.Neg(); first != nil {
			values["invoiceNumber"] = first.text("number")
		}
	case first != nil:
		lines = append(comments("Replaces invoice "+first.text("number")), lines...)
	}
	for _, l := range d.lines {
		lines = append(lines, l.line(x.cfg, sign))
	}
	values[linesOf(req.Set)] = lines
	return nil
}

func setOf(d document) string {
	if d.credit() {
		return "salesCreditMemos"
	}
	return "salesInvoices"
}

// The names of a set's date and lines.
func dateOf(set string) string {
	if set == "salesCreditMemos" {
		return "creditMemoDate"
	}
	return "invoiceDate"
}

func linesOf(set string) string { return strings.TrimSuffix(set, "s") + "Lines" }

// customer looks whether the customer is there and may be billed.
func (x *exchange) customer(code string) *sinks.Outcome {
	rows, out := x.find("customers", "number eq "+quoted(strings.ToUpper(code)), 1)
	switch {
	case out != nil:
		return out
	case len(rows) == 0:
		return rejected("UNKNOWN_CUSTOMER", "party", fmt.Sprintf("Business Central has no customer %q.", code), "Deliver the customer first.")
	case rows[0].option("blocked") == "All" || rows[0].option("blocked") == "Invoice":
		return rejected("UNKNOWN_CUSTOMER", "party", fmt.Sprintf("Customer %q is blocked in Business Central (%s).", code, rows[0].option("blocked")), "Unblock it there, then retry.")
	}
	return nil
}

// createDocument makes the draft and reads it back: a draft with other totals must not stay where a person could post it.
func (x *exchange) createDocument(in sinks.Intent) sinks.Outcome {
	req, out := readCreate(in)
	if out != nil {
		return *out
	}
	if req.Corrects != "" {
		return x.createCorrective(req)
	}
	ids := x.ids.Load()
	if ids != idsTaken { // nothing in the server keeps us from doing it twice
		if o := x.look(req); o.Class != sinks.Absent {
			return o
		}
	}
	var values record
	if err := decode(req.Values, &values); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	if ids != idsRefused {
		values["id"] = req.ID
	}
	var made record
	out = x.write(&made, http.MethodPost, req.Set, "", values)
	switch {
	case out == nil:
	case out.Code == codeExists:
		return x.taken(req, *out)
	case out.Code == codeID:
		x.learn(false)
		return *out
	default:
		return *out
	}
	if made.id() == "" {
		return sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "Business Central answered no id of the draft.", Hint: hintAgain}
	}
	if ids != idsRefused {
		x.learn(strings.EqualFold(made.id(), req.ID))
	}
	return x.readBack(req, made.id())
}

// taken compares the document whose key was there already. Where there is none of ours, another key was taken, such as the number of a draft that
// somebody else made in the same moment: nothing was done.
func (x *exchange) taken(req createRequest, said sinks.Outcome) sinks.Outcome {
	o := x.look(req)
	if o.Class == sinks.Absent {
		return *refusal(sinks.RetryLater, "KEY_TAKEN", "", "Business Central says that a key is taken, and has no such document: "+said.Message, "If it stays so, look at the number series of the document there.")
	}
	return o
}

// learn keeps what the server does with our ids.
func (x *exchange) learn(taken bool) {
	state := idsRefused
	if taken {
		state = idsTaken
	}
	if before := x.ids.Swap(state); before != state {
		x.log.Info("what Business Central does with our ids of documents", "taken", taken)
	}
}

// readBack reads a draft that was just made, and deletes it when it is not what was asked.
func (x *exchange) readBack(req createRequest, id string) sinks.Outcome {
	request, answer := x.request, x.answer
	r, out := x.byID(req.Set, id)
	if out != nil || r == nil {
		return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: out != nil && out.Outage, Message: "The draft was created and could not be read back.", Hint: hintAgain}
	}
	diff := x.differences(req.Expect, req.Set, r)
	if diff == "" {
		return x.documentOutcome(sinks.Applied, req.Set, r)
	}
	if !r.posted() {
		if out := x.write(nil, http.MethodDelete, req.Set+"("+id+")", r.etag(), nil); out != nil {
			return sinks.Outcome{Class: sinks.Unknown, Code: codeTotal, Outage: out.Outage, Message: clip("The draft differs, and could not be deleted: "+diff+"; "+out.Message, 500), Hint: hintAgain}
		}
		x.request, x.answer = request, answer
		return *rejected(codeTotal, "total", "Business Central makes something else of the document: "+diff, "Compare the document's lines and tax codes with the tax setup there; the draft was deleted.")
	}
	return *conflict("POST_CONFLICT", "The document is posted there, and differs: "+diff, "Find out which document is right.")
}

func readCreate(in sinks.Intent) (req createRequest, out *sinks.Outcome) {
	if err := decode(in.Request, &req); err != nil {
		return req, rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	return req, nil
}
