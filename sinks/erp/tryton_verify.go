package erp

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

var documentFields = []string{"state", "number", "reference", "invoice_date", "accounting_date", "untaxed_amount", "tax_amount",
	"total_amount", "move", "party.code", "currency.code", "create_uid"}

// documents finds what carries a reference and is not cancelled, oldest first, at most ten.
func (x *exchange) documents(reference string) ([]record, *sinks.Outcome) {
	co, out := x.companyOf()
	if out != nil {
		return nil, out
	}
	return x.find("account.invoice", []any{[]any{"reference", "=", reference}, []any{"type", "=", "out"},
		[]any{"company", "=", co.id}, []any{"state", "!=", "cancelled"}}, 10, documentFields, nil)
}

// readDocument reads one document by its id.
func (x *exchange) readDocument(id int64) (record, *sinks.Outcome) {
	var rows []record
	if out := x.read(&rows, "account.invoice", "read", nil, []int64{id}, documentFields); out != nil {
		return nil, out
	}
	if len(rows) != 1 {
		return nil, conflict(codeNotFound, fmt.Sprintf("Tryton has no document with id %d.", id), "")
	}
	return rows[0], nil
}

// differences names the compared fields in which a document differs, with both values.
func (e expect) differences(row record) string {
	var diffs []string
	differ := func(field, ours, theirs string) {
		diffs = append(diffs, fmt.Sprintf("%s is %s in Tryton, %s here", field, orNone(theirs), orNone(ours)))
	}
	for _, f := range []struct{ name, ours, theirs string }{
		{"reference", e.Reference, row.text("reference")},
		{"party", e.Party, row.sub("party").text("code")},
		{"currency", e.Currency, row.sub("currency").text("code")},
		{"date", e.Date, row.date("invoice_date")},
	} {
		if f.ours != f.theirs {
			differ(f.name, f.ours, f.theirs)
		}
	}
	for _, f := range []struct{ name, ours, theirs string }{
		{"net", e.Net, row.amount("untaxed_amount")}, {"tax", e.Tax, row.amount("tax_amount")}, {"total", e.Total, row.amount("total_amount")},
	} {
		a, errA := decimal.NewFromString(f.ours)
		b, errB := decimal.NewFromString(f.theirs)
		if errA != nil || errB != nil || !a.Equal(b) {
			differ(f.name, f.ours, f.theirs)
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

// createInvoice makes the draft, looks for the reference again, keeps the oldest and deletes younger drafts of ours: two
// creates of one reference may both have run, and only drafts can be doubled this way.
func (x *exchange) createInvoice(in sinks.Intent) sinks.Outcome {
	var req createRequest
	if err := decodeAnswer(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	var ids []int64
	if _, out := x.write(&ids, "account.invoice", "create", nil, []record{req.Values}); out != nil {
		if out.Code == codeExists { // the site has a unique index on the reference: somebody was faster
			return x.verifyInvoice(in)
		}
		return *out
	}
	request, answer := x.request, x.answer
	rows, out := x.documents(req.Expect.Reference)
	if out != nil || len(rows) == 0 {
		return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: out != nil && out.Outage,
			Message: "The draft was created and could not be read back.", Request: request, Answer: answer}
	}
	if out := x.dropDoubles(rows); out != nil {
		return *out
	}
	if diff := req.Expect.differences(rows[0]); diff != "" {
		if rows[0].text("state") == "draft" && len(ids) == 1 && rows[0].id("id") == ids[0] {
			// Nothing is in the books yet, and a draft with another total must not stay where a person could post it.
			if _, out := x.write(nil, "account.invoice", "delete", nil, ids); out != nil {
				return notPosted(*out)
			}
			o := rejected(codeTotal, "total", "Tryton makes something else of the document: "+diff,
				"Compare the document's lines and taxes with Tryton's rounding; the draft was deleted.")
			o.Request, o.Answer = request, answer
			return *o
		}
		return *conflict("POST_CONFLICT", "The reference is already used: "+diff, "Find out which document is right.")
	}
	o := documentOutcome(sinks.Applied, rows[0])
	if len(ids) != 1 || rows[0].id("id") != ids[0] {
		o.Class = sinks.AlreadyApplied
	}
	o.Request, o.Answer = request, answer
	return o
}

// dropDoubles deletes the drafts behind the first row that this user made. What a person made, or what has a number, is
// never touched.
func (x *exchange) dropDoubles(rows []record) *sinks.Outcome {
	var doubles []int64
	for _, r := range rows[1:] {
		if r.text("state") != "draft" || r.text("number") != "" || r.id("create_uid") != x.rpc.me() {
			return severalFound(rows)
		}
		doubles = append(doubles, r.id("id"))
	}
	if doubles == nil {
		return nil
	}
	x.log.Warn("deleting drafts that were created twice", "reference", rows[0].text("reference"), "kept", rows[0].id("id"), "deleted", doubles)
	if _, out := x.write(nil, "account.invoice", "delete", nil, doubles); out != nil {
		o := notPosted(*out)
		return &o
	}
	return nil
}

func severalFound(rows []record) *sinks.Outcome {
	var ids []string
	for _, r := range rows {
		ids = append(ids, fmt.Sprintf("%d %s %s", r.id("id"), r.text("state"), r.text("number")))
	}
	return conflict("DUPLICATE_IN_TARGET", fmt.Sprintf("Tryton has %d documents with reference %s: %s.", len(rows), rows[0].text("reference"), strings.Join(ids, ", ")),
		"Cancel or delete all but the right one in Tryton, then retry.")
}

// verifyInvoice looks for the reference.
func (x *exchange) verifyInvoice(in sinks.Intent) sinks.Outcome {
	var req createRequest
	if err := decodeAnswer(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	rows, out := x.documents(req.Expect.Reference)
	switch {
	case out != nil:
		return *out
	case len(rows) == 0:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("Tryton has no document with reference %s.", req.Expect.Reference)}
	case len(rows) > 1:
		return *severalFound(rows)
	}
	if diff := req.Expect.differences(rows[0]); diff != "" {
		o := conflict("POST_CONFLICT", "The reference is already used: "+diff, "Find out which document is right.")
		o.Ref, o.Number = itoa(rows[0].id("id")), rows[0].text("number")
		return *o
	}
	return documentOutcome(sinks.AlreadyApplied, rows[0])
}

// verifyPost reads the document: in the books means a state of posted or paid, a number and a move.
func (x *exchange) verifyPost(in sinks.Intent) sinks.Outcome {
	var req postRequest
	if err := json.Unmarshal(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	row, out := x.readDocument(req.ID)
	if out != nil && out.Code == codeNotFound {
		rows, found := x.documents(req.Expect.Reference)
		switch {
		case found != nil:
			return *found
		case len(rows) == 0:
			return *conflict("DRAFT_DELETED", "The draft was deleted in Tryton before it was posted.",
				"Discard the delivery, or replay its event with a new reference.")
		case len(rows) > 1:
			return *severalFound(rows)
		}
		row, out = rows[0], nil
	}
	if out != nil {
		return *out
	}
	switch state, move := row.text("state"), row.id("move"); {
	case state == "draft" || state == "validated":
		return sinks.Outcome{Class: sinks.Absent, Ref: itoa(row.id("id")), Message: "The document is a draft in Tryton."}
	case state == "cancelled":
		return *conflict("CANCELLED", "The document was cancelled in Tryton.", "Discard the delivery, or copy the document in Tryton and post it there.")
	case move == 0:
		return *conflict("POST_INCOMPLETE", fmt.Sprintf("The document is %s in Tryton and has no account move.", state), "Somebody wrote its state by hand; correct it in Tryton.")
	}
	if diff := req.Expect.differences(row); diff != "" {
		o := conflict("POST_AMOUNT_DRIFT", "The posted document differs: "+diff, "Correct it by a credit memo in Tryton.")
		o.Ref, o.Number = itoa(row.id("id")), row.text("number")
		return *o
	}
	return documentOutcome(sinks.AlreadyApplied, row)
}

// documentOutcome carries what was read back.
func documentOutcome(class sinks.Class, row record) sinks.Outcome {
	posting := row.date("accounting_date")
	if posting == "" {
		posting = row.date("invoice_date")
	}
	facts := map[string]string{"state": row.text("state"), "date": row.date("invoice_date"), "posting_date": posting,
		"net": row.amount("untaxed_amount"), "tax": row.amount("tax_amount"), "total": row.amount("total_amount"),
		"currency": row.sub("currency").text("code"), "party": row.sub("party").text("code")}
	if move := row.id("move"); move != 0 {
		facts["move"] = itoa(move)
	}
	return sinks.Outcome{Class: class, Ref: itoa(row.id("id")), Number: row.text("number"), Facts: facts}
}
