package http

import (
	nethttp "net/http"
	"strconv"

	"waybill/sinks"
)

// Codes that people and other programs may rely on.
const (
	codeOutage  = "OUTAGE"
	codeAuth    = "AUTH"
	codeAddress = "ADDRESS"
	codeRate    = "RATE"
	codeAnswer  = "ANSWER"
	codeRefused = "REFUSED"
	codeLocked  = "LOCKED"
	codeSecret  = "SECRET"
)

const (
	hintUnknown = "It is not known whether it was done; it is looked for before it is sent again."
	hintAddress = "Correct url or path in the sink's configuration."
	hintAuth    = "Correct the secret in the sink's configuration, or the rights that it has."
	hintVerify  = "Correct the verify block of the entity: nothing is sent again before the service has been asked."
)

// rule says what a status means. from and to are both included; the first rule that fits counts.
type rule struct {
	from, to int
	class    sinks.Class
	code     string
	outage   bool
	hint     string
}

// sent is what the answer to a write means (RFC 9110, 6585, 4918). Only a status that says that nothing was done is retried; a proxy
// before the service makes the 5xx of a request that was done. What is in no line is unknown.
var sent = []rule{
	{200, 201, sinks.Applied, "", false, ""},
	{204, 204, sinks.Applied, "", false, ""},
	{300, 399, sinks.Setup, codeAddress, false, hintAddress},
	{400, 400, sinks.Rejected, codeRefused, false, "The service does not accept the request; correct the mapping's body or the data."},
	{401, 401, sinks.Setup, codeAuth, false, hintAuth},
	{403, 403, sinks.Setup, codeAuth, false, hintAuth},
	{404, 405, sinks.Setup, codeAddress, false, hintAddress},
	{407, 407, sinks.Setup, codeAuth, false, hintAuth},
	{409, 409, sinks.Conflict, "CONFLICT", false, "The service holds something else under this key; compare the two."},
	{410, 410, sinks.Setup, codeAddress, false, hintAddress},
	{412, 412, sinks.Rejected, codeRefused, false, "A precondition of the service does not hold."},
	{413, 413, sinks.Rejected, "TOO_LONG", false, "The service takes shorter requests."},
	{415, 415, sinks.Setup, codeAddress, false, "The service takes no JSON here; correct path or headers."},
	{422, 422, sinks.Rejected, codeRefused, false, "The service refuses the content; see the message."},
	{423, 423, sinks.RetryLater, codeLocked, false, "Other work in the service holds the record."},
	{429, 429, sinks.RetryLater, codeRate, false, "Lower rate or concurrency in the sink's policy."},
	{500, 599, sinks.Unknown, codeOutage, true, hintUnknown},
	{0, 999, sinks.Unknown, codeAnswer, false, hintUnknown},
}

// looked is what the answer to a verification means. Absence is believed of an answer of the service alone, never of a page that says
// that the address is wrong: see Sink.Verify for 404.
var looked = []rule{
	{200, 200, sinks.AlreadyApplied, "", false, ""},
	{300, 399, sinks.Setup, codeAddress, false, hintVerify},
	{401, 401, sinks.Setup, codeAuth, false, hintAuth},
	{403, 403, sinks.Setup, codeAuth, false, hintAuth},
	{404, 404, sinks.Absent, "", false, ""},
	{400, 428, sinks.Setup, codeAddress, false, hintVerify},
	{429, 429, sinks.RetryLater, codeRate, false, "Lower rate or concurrency in the sink's policy."},
	{430, 499, sinks.Setup, codeAddress, false, hintVerify},
	{0, 999, sinks.RetryLater, codeOutage, true, ""},
}

// classify finds what a status means. own is the table of the configuration, which goes first.
func classify(status int, own map[string]string, words map[string]sinks.Class, table []rule) sinks.Outcome {
	o := sinks.Outcome{Message: strconv.Itoa(status) + " " + nethttp.StatusText(status)}
	for _, r := range table {
		if status >= r.from && status <= r.to {
			o.Class, o.Code, o.Outage, o.Hint = r.class, r.code, r.outage, r.hint
			break
		}
	}
	if class, ok := words[own[strconv.Itoa(status)]]; ok && class != o.Class {
		o.Class, o.Outage, o.Hint = class, false, "The status table of the sink's entity says so."
		if o.Code == "" || class == sinks.Applied {
			o.Code = codeAnswer
		}
	}
	if o.Class == sinks.Applied || o.Class == sinks.AlreadyApplied || o.Class == sinks.Absent {
		o.Code, o.Message, o.Hint = "", "", ""
	}
	return o
}
