package netsuite

import (
	"encoding/json"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Codes that callers in this package branch on.
const (
	codeOutage    = "OUTAGE"
	codePeriod    = "PERIOD_CLOSED"
	codeNotFound  = "NOT_FOUND"
	codeSubmitted = "ALREADY_SUBMITTED"
	codeTotal     = "TOTAL_MISMATCH"

	absent     = "NONEXISTENT_ID"    // what NetSuite says of a record that is not there
	submitted  = "IDEMPOTENCY_ERROR" // and of a request that it has already
	periodSays = "PERIOD:"           // begins a code whose text speaks of a closed period
)

const (
	hintAddress = "Correct url or account in the sink's configuration; the REST web services feature must be enabled in NetSuite."
	hintAuth    = "Correct the sink's auth in the configuration. After a refresh of a sandbox tokens and mappings must be made anew."
	hintRights  = "Give the integration's role the permissions on this record, REST Web Services, and its subsidiary."
	hintField   = "Correct the posting in the mapping, or the form and role in NetSuite that hide the field."
	hintValue   = "Correct the value in the source or in the mapping; the field names it."
	hintPeriod  = "Reopen the period in NetSuite (Setup / Accounting / Manage Accounting Periods), or change the document's date."
	hintRate    = "The account's concurrency is used up: lower concurrency in the sink's policy."
	hintDouble  = "A record of the same name is there, which is not ours: give it our external id in NetSuite, or rename one."
	hintLocked  = "Somebody changed the record in the same moment; it is read again."
)

// writes is what an answer to a write means. NetSuite refuses with a code before it saves; a code that stands in no line, and all 5xx, are
// unknown. Lines without a mark are of the vendor's pages or of NS10, NS15 and NS16; those of codes beyond them are [K].
var writes = []web.Case{
	{From: 300, To: 399, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{Code: submitted, Class: sinks.Unknown, As: codeSubmitted, Hint: "NetSuite has the request already; its job is followed."},

	{Code: "SSS_REQUEST_LIMIT_EXCEEDED", Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{Code: "WS_REQUEST_BLOCKED", Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{Code: "WS_CONCUR_SESSION_DISALLWD", Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{Code: "CONCURRENCY_LIMIT_EXCEEDED", Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE", Hint: hintRate},

	{From: 401, To: 401, Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 400, To: 499, Code: "INVALID_LOGIN*", Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 403, To: 403, Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 400, To: 499, Code: "INSUFFICIENT_PERMISSION*", Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 400, To: 499, Code: "FEATURE_DISABLED*", Class: sinks.Setup, As: "FEATURE", Hint: "Enable the feature in NetSuite (Setup / Company / Enable Features)."},
	{From: 407, To: 407, Class: sinks.Setup, As: "AUTH", Hint: "A proxy before NetSuite asks for credentials."},

	{From: 400, To: 499, Code: periodSays + "*", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 400, To: 499, Code: "CLOSED_TRAN_PRD", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 400, To: 499, Code: "RCRD_HAS_BEEN_CHANGED", Class: sinks.RetryLater, As: "STALE", Hint: hintLocked},
	{From: 400, To: 499, Code: "RCRD_LOCKED*", Class: sinks.RetryLater, As: "LOCKED", Hint: "Somebody or a script holds the record."},
	{From: 400, To: 499, Code: "DUP_*", Class: sinks.Rejected, As: "EXISTS", Hint: hintDouble},
	{From: 400, To: 499, Code: "UNIQUE_*", Class: sinks.Rejected, As: "EXISTS", Hint: hintDouble},
	{From: 400, To: 400, Code: "INVALID_KEY_OR_REF", Class: sinks.Rejected, As: "UNKNOWN_REFERENCE", Hint: hintValue},
	{From: 400, To: 400, Code: "NONEXISTENT_FIELD", Class: sinks.Rejected, As: "FIELD", Hint: hintField},
	{From: 400, To: 400, Code: "INVALID_PROPERTY*", Class: sinks.Rejected, As: "FIELD", Hint: hintField},
	{From: 400, To: 400, Code: "INVALID_CONTENT", Class: sinks.Rejected, As: "REFUSED", Hint: hintValue},
	{From: 400, To: 400, Code: "INVALID_*", Class: sinks.Rejected, As: "REFUSED", Hint: hintValue},
	{From: 400, To: 400, Code: "USER_ERROR", Class: sinks.Rejected, As: "REFUSED", Hint: "NetSuite, or a script of the account, refused it; see the message."},
	{From: 400, To: 400, Code: "MISSING_REQD_FLD", Class: sinks.Rejected, As: "REQUIRED", Hint: hintValue},
	{From: 400, To: 400, Code: "JE_UNBALANCED*", Class: sinks.Rejected, As: "UNBALANCED", Hint: "Debits and credits must be equal."},

	{From: 404, To: 404, Code: absent, Class: sinks.Rejected, As: codeNotFound, Hint: "A record that the request names is gone from NetSuite."},
	{From: 404, To: 405, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 410, To: 410, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 413, To: 413, Class: sinks.Rejected, As: "TOO_LONG", Hint: "NetSuite takes 104 MB; the document must be divided."},
	{From: 415, To: 415, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 408, To: 408, Class: sinks.Unknown, As: codeOutage, Outage: true, Hint: web.HintUnknown},
	{From: 500, To: 599, Class: sinks.Unknown, As: codeOutage, Outage: true, Hint: web.HintUnknown},
}

// periodTexts are what NetSuite's texts say of a date that is not open, in lower case [K: there is no code of its own].
var periodTexts = []string{"closed period", "period is closed", "locked period", "period is locked", "period has been closed", "accounting period is closed",
	"not within the date range of your accounting period", "no open accounting period"}

// said reads NetSuite's error: the first detail names code and field, the others follow in the message.
func said(a web.Answer) web.Said {
	s := web.Said{Status: a.Status}
	var body struct {
		Title   string
		Status  json.Number
		Details []struct {
			Detail string
			Code   string `json:"o:errorCode"`
			Path   string `json:"o:errorPath"`
			URL    string `json:"o:errorUrl"`
			Path2  string `json:"o:urlPath"`
			Header string `json:"o:errorHeader"`
			Query  string `json:"o:errorQueryParam"`
		} `json:"o:errorDetails"`
	}
	if json.Unmarshal(a.Body, &body) != nil || len(body.Details) == 0 {
		s.Message = web.Clip(strings.Join(strings.Fields(string(a.Body)), " "), 300)
		return s
	}
	var texts []string
	for _, d := range body.Details {
		texts = append(texts, d.Detail)
		if s.Code == "" {
			s.Code = d.Code
		}
		for _, at := range []string{d.Path, d.URL, d.Path2, d.Header, d.Query} {
			if s.Field == "" {
				s.Field = at
			}
		}
	}
	s.Message = strings.Join(texts, " ")
	text := strings.ToLower(s.Message)
	for _, p := range periodTexts {
		if s.Code != submitted && strings.Contains(text, p) {
			s.Code = periodSays + s.Code
			break
		}
	}
	return s
}

// classify is the outcome of an answer to a write that is not a success.
func classify(a web.Answer) sinks.Outcome {
	if o := web.Unanswered(a, false); o != nil {
		return *o
	}
	o := web.Classify(writes, said(a))
	o.Wait, o.Took = a.Wait, a.Took
	o.Answer = web.Clip(string(a.Body), 4096)
	return o
}

// classifyRead is the outcome of an answer to a read that is not a success: it may always be asked again, and what it refuses is about our
// question and not about the document.
func classifyRead(a web.Answer) sinks.Outcome {
	if o := web.Unanswered(a, true); o != nil {
		return *o
	}
	o := classify(a)
	switch o.Class {
	case sinks.Unknown:
		o.Class, o.Hint = sinks.RetryLater, ""
	case sinks.Rejected:
		o.Class, o.Code = sinks.Setup, "QUERY"
		o.Hint = "NetSuite does not take the question: look at the role's permissions and the names in the sink's configuration."
	}
	return o
}
