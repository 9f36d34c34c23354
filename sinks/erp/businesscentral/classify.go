package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// The codes of outcomes that callers in this package branch on.
const (
	codeExists  = "EXISTS"
	codeID      = "CLIENT_ID"
	codeAddress = "ADDRESS"
	codeChanged = "CHANGED"
	codeOutage  = "OUTAGE"
	codePeriod  = "PERIOD_CLOSED"
	codeTotal   = "TOTAL_MISMATCH"
	codeAuth    = "AUTH"
)

const (
	hintAddress = "This is not the API of Business Central; correct url in the sink's configuration: it ends with /api/v2.0."
	hintAgain   = "It is not known whether it was done; it is looked for before it is sent again."
	hintChanged = "Somebody changed the record in the same moment. Compare it with the source, then retry."
	hintRights  = "Give the application of Entra the permission API.ReadWrite.All, and in Business Central the permission sets of the tables that it writes."
	hintPeriod  = "Open the posting range (General Ledger Setup or User Setup: Allow Posting From and To), or change the document's date."
)

// texts tell apart what one error code of Business Central says in many words. The language of every request is English. What matches adds
// its name to the code; the first counts. The words are known from the product, not from its documentation: one that
// does not match leaves the code as it is.
var texts = []struct {
	code, pattern, name string
}{
	{"Application_*", "allowed posting dates", "PostingDate"},
	{"Application_*", "within the range of posting dates", "PostingDate"},
	{"Application_*", "is blocked", "Blocked"},
	{"Application_*", "already exists", "Exists"},
	{"Application_*", "does not exist", "Missing"},
	{"Application_*", "may not enter numbers manually", "ManualNumbers"},
	{"Application_*", "permission", "Permission"},
	{"Application_*", "locked by another", "Locked"},
	{"Application_*", "another session", "Locked"},
	{"Application_*", "has been modified", "Changed"},
	{"BadRequest_InvalidOperation", "'id' is read-only", "ID"},
	{"BadRequest_*", "property 'id'", "ID"},
	{"Internal_*", "locked by another", "Locked"},
	{"Internal_*", "another session", "Locked"},
	{"Internal_*", "deadlock", "Locked"},
	{"Internal_*", "permission", "Permission"},
}

// table is the classification of API v2.0 [B7, B9, B10]. An error of 4xx has rolled back what it did; what is 5xx or 408 has
// not said so, and is looked for. A code that is not listed is unknown.
var table = []web.Case{
	{From: 200, To: 204, Class: sinks.Applied},

	{From: 401, To: 401, Class: sinks.Setup, As: codeAuth, Hint: "Correct the credentials of the service principal, and look whether its secret has expired."},
	{From: 400, To: 499, Code: "Authentication_*", Class: sinks.Setup, As: codeAuth, Hint: "Correct the credentials of the service principal, and look whether its secret has expired."},
	{From: 400, To: 499, Code: "Authorization_*", Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 400, To: 499, Code: "Internal_CompanyNotFound", Class: sinks.Setup, As: "COMPANY", Hint: "Correct company in the sink's configuration."},
	{From: 403, To: 403, Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},

	{From: 408, To: 408, Class: sinks.Unknown, As: codeOutage, Outage: true, Hint: hintAgain},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE", Hint: "Business Central limits each user; add a service principal, or lower rate in the sink's policy."},
	{From: 413, To: 413, Class: sinks.Rejected, As: "TOO_LONG", Hint: "The request is larger than Business Central takes."},

	{From: 400, To: 499, Code: "Internal_EntityWithSameKeyExists", Class: sinks.Unknown, As: codeExists, Hint: "The record is there already; it is compared."},
	{From: 400, To: 499, Code: "Request_EntityChanged", Class: sinks.Conflict, As: codeChanged, Hint: hintChanged},
	{From: 400, To: 499, Code: "BadRequest_InvalidToken", Class: sinks.Conflict, As: codeChanged, Hint: hintChanged},
	{From: 412, To: 412, Class: sinks.Conflict, As: codeChanged, Hint: hintChanged},

	{From: 400, To: 499, Code: "BadRequest_ResourceNotFound", Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 400, To: 499, Code: "BadRequest_MethodNotAllowed", Class: sinks.Setup, As: "VERSION", Hint: "This version of Business Central does not take it; API v2.0 of version 18.3 or later is supported."},
	{From: 400, To: 499, Code: "BadRequest_MethodNotImplemented", Class: sinks.Setup, As: "VERSION", Hint: "This version of Business Central does not take it; API v2.0 of version 18.3 or later is supported."},
	{From: 400, To: 499, Code: "BadRequest_InvalidRequestUrl", Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 400, To: 499, Code: "BadRequest_NotFound", Class: sinks.Conflict, As: "NOT_FOUND", Hint: "The record is gone, or it is in another company."},
	{From: 400, To: 499, Code: "BadRequest_RequiredParamNotProvided", Class: sinks.Rejected, As: "REQUIRED", Hint: "Fill this field in the source or in the mapping."},

	{From: 400, To: 499, Code: "Application_*", Class: sinks.Rejected, As: "REFUSED", Hint: "Business Central refused it; see the message."},
	{From: 400, To: 499, Code: "Internal_RecordNotFound", Class: sinks.Rejected, As: "NOT_FOUND", Hint: "It names a record that Business Central does not have; see the message."},
	{From: 400, To: 499, Code: "Internal_InvalidTableRelation", Class: sinks.Rejected, As: "NOT_FOUND", Hint: "It names a record that Business Central does not have; see the message."},
	{From: 400, To: 499, Code: "Internal_DataNotFoundFilter", Class: sinks.Rejected, As: "NOT_FOUND", Hint: "It names a record that Business Central does not have; see the message."},
	{From: 400, To: 499, Code: "BadRequest*", Class: sinks.Rejected, As: "BODY", Hint: "Business Central does not understand the request; see the message."},

	{From: 300, To: 399, Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 500, To: 599, Class: sinks.Unknown, As: codeOutage, Outage: true, Hint: hintAgain},
}

// worded stands before table: what the message says beside the code.
var worded = []web.Case{
	{From: 400, To: 499, Code: "Application_DialogException/PostingDate", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 400, To: 499, Code: "Application_FieldValidationException/PostingDate", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 400, To: 499, Code: "Application_DialogException/Blocked", Class: sinks.Rejected, As: "BLOCKED", Hint: "The customer, item or account is blocked in Business Central; unblock it there, then retry."},
	{From: 400, To: 499, Code: "Application_FieldValidationException/Blocked", Class: sinks.Rejected, As: "BLOCKED", Hint: "The customer, item or account is blocked in Business Central; unblock it there, then retry."},
	{From: 400, To: 499, Code: "Application_DialogException/ManualNumbers", Class: sinks.Setup, As: "NUMBERING", Hint: "Allow manual numbers in the number series of customers and items in Business Central."},
	{From: 400, To: 499, Code: "Application_DialogException/Permission", Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 400, To: 499, Code: "Internal_ServerError/Permission", Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 400, To: 499, Code: "Application_DialogException/Locked", Class: sinks.RetryLater, As: "LOCKED", Hint: "Other work in Business Central holds the same rows; if it stays so, lower concurrency in the sink's policy."},
	{From: 400, To: 499, Code: "Internal_ServerError/Locked", Class: sinks.RetryLater, As: "LOCKED", Hint: "Other work in Business Central holds the same rows; if it stays so, lower concurrency in the sink's policy."},
	{From: 400, To: 499, Code: "Application_DialogException/Changed", Class: sinks.Conflict, As: codeChanged, Hint: hintChanged},
	{From: 400, To: 499, Code: "Application_DialogException/Exists", Class: sinks.Unknown, As: codeExists, Hint: "The record is there already; it is compared."},
	{From: 400, To: 499, Code: "BadRequest_InvalidOperation/ID", Class: sinks.RetryLater, As: codeID, Hint: "This server gives ids itself; documents are searched for from now on."},
	{From: 400, To: 499, Code: "BadRequest/ID", Class: sinks.RetryLater, As: codeID, Hint: "This server gives ids itself; documents are searched for from now on."},
}

// cases is the whole table, in its order.
var cases = append(append([]web.Case(nil), worded...), table...)

var (
	correlation = regexp.MustCompile(`\s*CorrelationId:\s*([0-9a-fA-F-]+)\.?\s*$`)
	fieldOf     = regexp.MustCompile(`[Tt]he field ([A-Z][A-Za-z. ]*?) of table|(?:[Ff]ield|[Pp]roperty|[Cc]ontrol) ['"]([^'"]+)['"]`)
)

// read takes what an answer says: {"error":{"code","message"}}, the message ending with a CorrelationId [B3]. A body in other words has no code.
func read(a web.Answer) web.Said {
	said := web.Said{Status: a.Status}
	if a.Status < 300 {
		return said
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(a.Body, &body) != nil || body.Error.Code == "" {
		said.Message = web.Clip(strings.Join(strings.Fields(string(a.Body)), " "), 300)
		return said
	}
	said.Code, said.Message = body.Error.Code, body.Error.Message
	lower := strings.ToLower(said.Message)
	for _, t := range texts {
		prefix, open := strings.CutSuffix(t.code, "*")
		if (said.Code == t.code || open && strings.HasPrefix(said.Code, prefix)) && strings.Contains(lower, t.pattern) {
			said.Code += "/" + t.name
			break
		}
	}
	if m := fieldOf.FindStringSubmatch(correlation.ReplaceAllString(said.Message, "")); m != nil {
		said.Field = m[1] + m[2]
	}
	return said
}

// classify makes the outcome of an answer; nil when it is good. reads: it changed nothing, so what is unknown is asked again.
func classify(a web.Answer, reads bool) *sinks.Outcome {
	if o := web.Unanswered(a, reads); o != nil {
		return o
	}
	said := read(a)
	o := web.Classify(cases, said)
	if o.Class == sinks.Applied {
		return nil
	}
	if o.Wait = a.Wait; o.Message == "" {
		o.Message = fmt.Sprintf("Business Central answered HTTP %d.", said.Status)
	}
	if reads && o.Class == sinks.Unknown {
		o.Class, o.Hint = sinks.RetryLater, ""
		if a.Status == http.StatusNotFound { // a page, and not in the API's words: no absence of anything
			o.Class, o.Code, o.Hint = sinks.Setup, codeAddress, hintAddress
		}
	}
	return &o
}
