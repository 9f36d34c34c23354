package erp

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/sinks"
)

// postRequest is the frozen intent of post.
type postRequest struct {
	ID       int64  `json:"id"`
	Date     string `json:"date"` // of the move; the document keeps its own
	Sequence string `json:"sequence"`
	Expect   expect `json:"expect"`
}

func (x *exchange) preparePost(op sinks.Operation, ref string, now time.Time) (postRequest, *sinks.Outcome) {
	d, out := x.readInvoice(op.Body)
	if out != nil {
		return postRequest{}, out
	}
	co, out := x.companyOf()
	if out != nil {
		return postRequest{}, out
	}
	req := postRequest{Expect: d.expect()}
	if _, err := fmt.Sscan(ref, &req.ID); err != nil {
		return req, rejected("REF", "", fmt.Sprintf("The create step left the reference %q.", ref), "Retry the delivery from its create step.")
	}
	at, out := x.postingDate(d, co, now)
	req.Date, req.Sequence = at.date, at.sequence
	return req, out
}

// posting is where a document goes in the books.
type posting struct {
	date     string
	sequence string // one document at a time takes a number from it, in the order of dates
}

// postingDate chooses the posting date: the one that the mapping's policy gave, else the document's, if its period is open and no later one has a number of the same
// sequence, else today by policy.
func (x *exchange) postingDate(d document, co company, now time.Time) (posting, *sinks.Outcome) {
	kind := "out_invoice_sequence"
	if d.credit() {
		kind = "out_credit_note_sequence"
	}
	p, later, out := x.numbering(d.PostingDate, kind, co)
	if out != nil || later == "" {
		return p, out
	}
	if x.cfg.PostingDate == PostDocument {
		return p, rejected(codeNumberOrder, "date", fmt.Sprintf("The document is to be posted on %s, and number %s is already out.", d.PostingDate, later),
			"Set posting_date: document_or_today, or number by period in Tryton.")
	}
	p, later, out = x.numbering(now.In(co.zone).Format(dateForm), kind, co)
	if out != nil && out.Code == codePeriod {
		out.Class = sinks.Setup // nothing can be posted today
	}
	if out == nil && later != "" {
		return p, setup(codeNumberOrder, "date", fmt.Sprintf("Number %s is posted after today, so none can be given today.", later),
			"Somebody posted a document in the future; correct it in Tryton.")
	}
	return p, out
}

// openPeriod finds the accounting period of a date, which must be open.
func (x *exchange) openPeriod(date string, co company) (record, *sinks.Outcome) {
	day, err := wireDate(date)
	if err != nil {
		return nil, rejected("DATE", "date", err.Error(), "Map it to a date without a time.")
	}
	rows, out := x.find("account.period", []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day},
		[]any{"company", "=", co.id}, []any{"type", "=", "standard"}}, 1, []string{"name", "state", "fiscalyear.state", "fiscalyear.name"}, nil)
	if out != nil {
		return nil, out
	}
	const hint = "Open or create the period in Tryton (Financial / Fiscal Years), or change the document's date."
	if len(rows) == 0 {
		return nil, rejected(codePeriod, "date", fmt.Sprintf("Tryton has no period for %s.", date), hint)
	}
	if p := rows[0]; p.text("state") != "open" || p.sub("fiscalyear").text("state") != "open" {
		return nil, rejected(codePeriod, "date", fmt.Sprintf("The period %s of %s is closed.", p.text("name"), date), hint)
	}
	return rows[0], nil
}

// numbering finds the number sequence of a date, and asks, as Tryton will, for a later number of it.
func (x *exchange) numbering(date, kind string, co company) (p posting, later string, out *sinks.Outcome) {
	period, out := x.openPeriod(date, co)
	if out != nil {
		return p, "", out
	}
	seq, out := x.sequence(period.id("id"), period.sub("fiscalyear"), kind)
	if out != nil {
		return p, "", out
	}
	day, err := wireDate(date)
	if err != nil {
		return p, "", rejected("DATE", "date", err.Error(), "Map it to a date without a time.")
	}
	p = posting{date: date, sequence: fmt.Sprintf("%s/%s/%d", co.name, strings.TrimSuffix(kind, "_sequence"), seq)}
	rows, out := x.find("account.invoice", []any{[]any{"sequence", "=", seq}, []any{"company", "=", co.id}, []any{"OR",
		[]any{"accounting_date", ">", day}, []any{[]any{"accounting_date", "=", nil}, []any{"invoice_date", ">", day}}}},
		1, []string{"number"}, nil)
	if out != nil || len(rows) == 0 {
		return p, "", out
	}
	return p, rows[0].text("number"), nil
}

// sequence is the number sequence of a period: the first row that has this period, or none.
func (x *exchange) sequence(period int64, year record, kind string) (int64, *sinks.Outcome) {
	key := fmt.Sprintf("account.fiscalyear.invoice_sequence|%d|%s", period, kind)
	if r, ok := x.names.get(key); ok {
		return r.id(kind), nil
	}
	var rows []record
	if out := x.read(&rows, "account.fiscalyear.invoice_sequence", "search_read", nil, []any{[]any{"fiscalyear", "=", year.id("id")},
		[]any{"OR", []any{"period", "=", period}, []any{"period", "=", nil}}}, 0, 1,
		[][]string{{"sequence", "ASC NULLS FIRST"}, {"id", "ASC"}}, []string{kind}); out != nil {
		return 0, out
	}
	if len(rows) == 0 {
		return 0, setup("NUMBERING", "date", fmt.Sprintf("The fiscal year %s has no invoice sequence.", year.text("name")),
			"Set the invoice sequences of the fiscal year in Tryton.")
	}
	x.names.put(key, rows[0])
	return rows[0].id(kind), nil
}

// postInvoice posts a draft that has been looked at, and believes only what it reads back: post answers null for a
// cancelled document, too.
func (x *exchange) postInvoice(in sinks.Intent) sinks.Outcome {
	var req postRequest
	if err := json.Unmarshal(in.Request, &req); err != nil {
		return *rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	day, err := wireDate(req.Date)
	if err != nil {
		return *rejected("DATE", "date", err.Error(), "")
	}
	// The write makes Tryton compute the taxes again, so that what is compared next is what will be posted. It fails for a
	// document that is no longer a draft: then that is what counts.
	if _, out := x.write(nil, "account.invoice", "write", nil, []int64{req.ID}, record{"accounting_date": day}); out != nil {
		if out.Class == sinks.Conflict {
			if o := x.verifyPost(in); o.Class != sinks.Absent {
				return o
			}
		}
		return notPosted(*out)
	}
	row, out := x.readDocument(req.ID)
	if out != nil {
		return *out
	}
	if diff := req.Expect.differences(row); diff != "" {
		return *conflict("CHANGED_IN_TARGET", "The draft was changed in Tryton: "+diff, "Set the draft right in Tryton, or delete it there and retry.")
	}
	if out := x.postAcknowledged(req.ID); out != nil {
		return *out
	}
	o := x.verifyPost(in)
	switch {
	case o.Class == sinks.AlreadyApplied:
		o.Class = sinks.Applied
	case o.Class != sinks.Conflict: // could not be read back, or not there although Tryton said nothing
		o.Class = sinks.Unknown
	}
	return o
}

// notPosted makes of a failed change of a draft what it is: nothing is posted yet, whatever became of the draft.
func notPosted(o sinks.Outcome) sinks.Outcome {
	if o.Class == sinks.Unknown {
		o.Class = sinks.RetryLater
	}
	return o
}

// postAcknowledged posts, answering the warnings that policy says yes to. A warning rolls the post back.
func (x *exchange) postAcknowledged(id int64) *sinks.Outcome {
	const most = 5
	for range most {
		f, out := x.write(nil, "account.invoice", "post", nil, []int64{id})
		if f == nil || out.Code != codeWarning || !x.acknowledged(f.Name) {
			return out
		}
		warning := record{"user": x.rpc.me(), "name": f.Name, "always": false}
		if _, out := x.write(nil, "res.user.warning", "create", nil, []record{warning}); out != nil {
			o := notPosted(*out)
			return &o
		}
		x.log.Debug("acknowledged a warning of Tryton", "warning", f.Name, "text", f.Text)
	}
	return rejected(codeWarning, "", fmt.Sprintf("Tryton still warns after %d acknowledgements.", most), "Post the draft in Tryton by hand and retry.")
}

func (x *exchange) acknowledged(name string) bool {
	for _, p := range x.cfg.Acknowledge {
		if p != "" && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
