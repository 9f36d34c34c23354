package businesscentral

import (
	"net/http"

	"waybill/sinks"
)

// postJournal posts the journal of an entry, and deletes the journal, which is empty then.
func (x *exchange) postJournal(in sinks.Intent) sinks.Outcome {
	req, out := readPost(in)
	if out != nil || req.Journal == nil {
		return *rejected("BODY", "", "The frozen request has no journal.", "Retry the delivery from its create step.")
	}
	if o := x.entered(*req.Journal, req.ID); o.Class != sinks.Absent {
		return o
	}
	if out := x.books.period("posting_date", req.Journal.Date); out != nil {
		return *out
	}
	if o := x.drafted(*req.Journal); !o.Done() {
		if o.Class == sinks.Absent {
			return *conflict("DRAFT_DELETED", "The journal was changed or deleted in Business Central before it was posted: "+o.Message, "Retry the delivery from its create step.")
		}
		return o
	}
	journal, _, out := x.journal(req.Journal.Code)
	if out != nil {
		return *out
	}
	if out := x.write(nil, http.MethodPost, "journals("+journal.id()+")/Microsoft.NAV.post", journal.etag(), nil); out != nil {
		return *out
	}
	request, answer := x.request, x.answer
	o := x.entered(*req.Journal, req.ID)
	switch o.Class {
	case sinks.AlreadyApplied:
		o.Class = sinks.Applied
		x.tidy(req.Journal.Code)
	case sinks.Absent, sinks.RetryLater:
		o = sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: o.Outage, Message: "The journal was posted and could not be read back.", Hint: hintAgain}
	}
	x.request, x.answer = request, answer
	return o
}

// tidy deletes a journal that is empty. One that stays does no harm, but is in people's way.
func (x *exchange) tidy(code string) {
	journal, lines, out := x.journal(code)
	if out == nil && journal != nil && len(lines) == 0 {
		out = x.write(nil, http.MethodDelete, "journals("+journal.id()+")", journal.etag(), nil)
	}
	if out != nil {
		x.log.Warn("the journal of a posted entry stays in Business Central", "journal", code, "code", out.Code, "message", out.Message)
	}
}

// verifyJournalPost looks for the entry in the ledger. While its journal is there it is a draft; without both it was deleted.
func (x *exchange) verifyJournalPost(in sinks.Intent) sinks.Outcome {
	req, out := readPost(in)
	if out != nil || req.Journal == nil {
		return *rejected("BODY", "", "The frozen request has no journal.", "Retry the delivery from its create step.")
	}
	if o := x.entered(*req.Journal, req.ID); o.Class != sinks.Absent {
		return o
	}
	o := x.drafted(*req.Journal)
	switch {
	case o.Class == sinks.AlreadyApplied:
		return sinks.Outcome{Class: sinks.Absent, Ref: req.ID, Message: "The journal is not posted in Business Central."}
	case o.Class == sinks.Absent:
		return *conflict("DRAFT_DELETED", "The journal was deleted in Business Central before it was posted.", "Retry the delivery from its create step.")
	}
	return o
}
