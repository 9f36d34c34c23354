package businesscentral

import (
	"net/http"

	"waybill/sinks"
)

// postRequest is the frozen intent of post.
type postRequest struct {
	Set    string `json:"set"`
	ID     string `json:"id"` // of the draft, which keeps it
	Expect expect `json:"expect"`
	// Journal is what a journal entry posts; nil of other documents.
	Journal *journalRequest `json:"journal,omitempty"`
}

func (x *exchange) preparePost(op sinks.Operation, ref string) (postRequest, *sinks.Outcome) {
	req := postRequest{ID: ref}
	if ref == "" {
		return req, rejected("REF", "", "The create step left no reference.", "Retry the delivery from its create step.")
	}
	if op.Entity == entityJournal {
		journal, out := x.prepareJournal(op)
		req.Set, req.Journal = "journals", &journal
		return req, out
	}
	d, out := x.readSale(op)
	if out != nil {
		return req, out
	}
	req.Set, req.Expect = setOf(d), d.expect(op.ExternalID)
	if !x.books.takes(d.PostingDate) {
		// The range may have been closed after the document was posted, and then there is nothing to refuse.
		if o := x.found(req); o.Class == sinks.Absent {
			return req, x.books.period("posting_date", d.PostingDate)
		}
	}
	return req, nil
}

func readPost(in sinks.Intent) (req postRequest, out *sinks.Outcome) {
	if err := decode(in.Request, &req); err != nil {
		return req, rejected("BODY", "", "reading the frozen request: "+err.Error(), "")
	}
	return req, nil
}

// postDocument puts the draft into the books, unless it is there.
func (x *exchange) postDocument(in sinks.Intent) sinks.Outcome {
	req, out := readPost(in)
	if out != nil {
		return *out
	}
	r, out := x.byID(req.Set, req.ID)
	if out != nil {
		return *out
	}
	if o := x.posted(req, r); o.Class != sinks.Absent {
		return o
	}
	// What a person changed in the draft would be posted as ours.
	if diff := x.differences(req.Expect, req.Set, r); diff != "" {
		o := conflict("DRAFT_CHANGED", "The draft was changed in Business Central: "+diff, "Delete the draft there, then retry from the create step.")
		o.Ref = req.ID
		return *o
	}
	if out := x.write(nil, http.MethodPost, req.Set+"("+req.ID+")/Microsoft.NAV.post", r.etag(), nil); out != nil {
		return *out
	}
	if r, out = x.byID(req.Set, req.ID); out != nil {
		return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: out.Outage, Message: "The document was posted and could not be read back.", Hint: hintAgain}
	}
	o := x.posted(req, r)
	switch o.Class {
	case sinks.AlreadyApplied:
		o.Class = sinks.Applied
	case sinks.Absent:
		return sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "Business Central took the posting, and the document is still a draft.", Hint: hintAgain}
	}
	return o
}

// verifyPost reads the document.
func (x *exchange) verifyPost(in sinks.Intent) sinks.Outcome {
	req, out := readPost(in)
	if out != nil {
		return *out
	}
	return x.found(req)
}

func (x *exchange) found(req postRequest) sinks.Outcome {
	r, out := x.byID(req.Set, req.ID)
	if out != nil {
		return *out
	}
	return x.posted(req, r)
}

// posted says whether a document is in the books: Absent while it is a draft.
func (x *exchange) posted(req postRequest, r record) sinks.Outcome {
	if r == nil {
		rows, out := x.documents(req.Set, req.ID, req.Expect.Number)
		switch {
		case out != nil:
			return *out
		case len(rows) == 0:
			return *conflict("DRAFT_DELETED", "The draft was deleted in Business Central before it was posted.", "Discard the delivery, or replay its event with a new reference.")
		case len(rows) > 1:
			return *severalFound(rows)
		}
		r = rows[0]
		if !r.posted() {
			return *conflict("DRAFT_DELETED", "The draft was deleted in Business Central, and another one has its number.", "Delete that one too, then replay the event.")
		}
	}
	if !r.posted() {
		return sinks.Outcome{Class: sinks.Absent, Ref: r.id(), Message: "The document is a draft in Business Central."}
	}
	if diff := x.differences(req.Expect, req.Set, r); diff != "" {
		o := conflict("POST_AMOUNT_DRIFT", "The posted document differs: "+diff, "Correct it by a credit memo in Business Central.")
		o.Ref, o.Number = r.id(), r.text("number")
		return *o
	}
	return x.documentOutcome(sinks.AlreadyApplied, req.Set, r)
}
