package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"strconv"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
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
	hintAddress = "Correct url or path in the sink's configuration."
	hintAuth    = "Correct the secret in the sink's configuration, or the rights that it has."
	hintVerify  = "Correct the verify block of the entity: nothing is sent again before the service has been asked."
	hintRate    = "Lower rate or concurrency in the sink's policy."
	hintOwn     = "The status table of the sink's entity says so."
	hintThere   = "The service says that it is there already; it is looked for and compared."
)

// sent is what the answer to a write means (RFC 9110, 6585, 4918). Only a status that says that nothing was done is retried; a proxy
// before the service makes the 5xx of a request that was done. What is in no line is unknown.
var sent = []web.Case{
	{From: 200, To: 201, Class: sinks.Applied},
	{From: 204, To: 204, Class: sinks.Applied},
	{From: 300, To: 399, Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 400, To: 400, Class: sinks.Rejected, As: codeRefused, Hint: "The service does not accept the request; correct the mapping's body or the data."},
	{From: 401, To: 401, Class: sinks.Setup, As: codeAuth, Hint: hintAuth},
	{From: 403, To: 403, Class: sinks.Setup, As: codeAuth, Hint: hintAuth},
	{From: 404, To: 405, Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 407, To: 407, Class: sinks.Setup, As: codeAuth, Hint: hintAuth},
	{From: 409, To: 409, Class: sinks.Conflict, As: "CONFLICT", Hint: "The service holds something else under this key; compare the two."},
	{From: 410, To: 410, Class: sinks.Setup, As: codeAddress, Hint: hintAddress},
	{From: 412, To: 412, Class: sinks.Rejected, As: codeRefused, Hint: "A precondition of the service does not hold."},
	{From: 413, To: 413, Class: sinks.Rejected, As: "TOO_LONG", Hint: "The service takes shorter requests."},
	{From: 415, To: 415, Class: sinks.Setup, As: codeAddress, Hint: "The service does not take this format here; correct path, format or headers."},
	{From: 422, To: 422, Class: sinks.Rejected, As: codeRefused, Hint: "The service refuses the content; see the message."},
	{From: 423, To: 423, Class: sinks.RetryLater, As: codeLocked, Hint: "Other work in the service holds the record."},
	{From: 429, To: 429, Class: sinks.RetryLater, As: codeRate, Hint: hintRate},
	{From: 500, To: 599, Class: sinks.Unknown, As: codeOutage, Outage: true, Hint: web.HintUnknown},
}

// looked is what the answer to a verification means. Absence is believed of an answer of the service alone, never of a page that says
// that the address is wrong: see Sink.verified for 404.
var looked = []web.Case{
	{From: 200, To: 200, Class: sinks.AlreadyApplied},
	{From: 300, To: 399, Class: sinks.Setup, As: codeAddress, Hint: hintVerify},
	{From: 401, To: 401, Class: sinks.Setup, As: codeAuth, Hint: hintAuth},
	{From: 403, To: 403, Class: sinks.Setup, As: codeAuth, Hint: hintAuth},
	{From: 404, To: 404, Class: sinks.Absent},
	{From: 429, To: 429, Class: sinks.RetryLater, As: codeRate, Hint: hintRate},
	{From: 400, To: 499, Class: sinks.Setup, As: codeAddress, Hint: hintVerify},
	{Class: sinks.RetryLater, As: codeOutage, Outage: true},
}

// verdict is a word by which a configuration says what an answer means.
type verdict struct {
	class sinks.Class
	as    string // code of the outcome, where neither the line nor the adapter's table has one
	hint  string
}

// The words of requests and of verifications. What is there already is not believed before it was compared: it is unknown, and so verified.
var (
	sendWords = map[string]verdict{"applied": {class: sinks.Applied}, "already_applied": {sinks.Unknown, "ALREADY_THERE", hintThere}, "retry": {class: sinks.RetryLater},
		"rejected": {class: sinks.Rejected, as: codeRefused}, "conflict": {class: sinks.Conflict, as: "CONFLICT"}, "setup": {class: sinks.Setup},
		"unknown": {class: sinks.Unknown, hint: web.HintUnknown}}
	verifyWords = map[string]verdict{"found": {class: sinks.AlreadyApplied}, "absent": {class: sinks.Absent}, "retry": {class: sinks.RetryLater}, "setup": {class: sinks.Setup}}
)

// table is the lines of a configuration before those of the adapter.
func table(lines []Line, status map[string]string, words map[string]verdict, rest []web.Case) []web.Case {
	var all []web.Case
	for _, l := range lines {
		from, to, err := l.statuses()
		if err != nil {
			continue // Validate has refused it
		}
		word := words[l.Is]
		c := web.Case{From: from, To: to, Code: l.Code, Class: word.class, As: l.As, Hint: l.Hint}
		if c.As == "" {
			c.As = word.as
		}
		if c.As == "" {
			c.As = codeAnswer
		}
		if c.Hint == "" {
			c.Hint = word.hint
		}
		if c.Hint == "" {
			c.Hint = "The outcomes of the sink's entity say so."
		}
		all = append(all, c)
	}
	for code, word := range status {
		n, err := strconv.Atoi(code)
		if err != nil {
			continue // Validate has refused it
		}
		usual := web.Classify(rest, web.Said{Status: n})
		if usual.Class == words[word].class {
			continue
		}
		c := web.Case{From: n, To: n, Class: words[word].class, As: usual.Code, Hint: hintOwn}
		if c.As == "" {
			c.As = codeAnswer
		}
		all = append(all, c)
	}
	return append(all, rest...)
}

var errStatuses = errors.New(`a status such as 409, 4xx or 500-599`)

// statuses are the first and last status of a line; 0 and 0 for any.
func (l Line) statuses() (from, to int, err error) {
	first, last, span := strings.Cut(l.Status, "-")
	switch {
	case l.Status == "":
		return 0, 0, nil
	case strings.HasSuffix(l.Status, "xx") && len(l.Status) == 3:
		first, last = l.Status[:1]+"00", l.Status[:1]+"99"
	case !span:
		last = first
	}
	from, err = strconv.Atoi(first)
	to, other := strconv.Atoi(last)
	if err != nil || other != nil || from < 200 || to > 599 || from > to {
		return 0, 0, errStatuses
	}
	return from, to, nil
}

// said reads what an answer says of a refusal.
func (e Entity) said(a web.Answer, d document) web.Said {
	s := web.Said{Status: a.Status, Message: strings.TrimSpace(strconv.Itoa(a.Status) + " " + nethttp.StatusText(a.Status))}
	if a.Status >= 300 || e.Error.Code != "" {
		s.Code = d.first(e.Error.Code, "code", "error.code", "errorCode")
	}
	if to := moved(a); to != "" {
		s.Message += ": it points to " + to + ", which is not followed"
	}
	if text := d.first(e.Error.Message, "message", "detail", "title", "error", "error.message"); text != "" {
		s.Message += ": " + text
	}
	s.Field = d.first(e.Error.Field, "field")
	return s
}

// moved is the host that a redirect names.
func moved(a web.Answer) string {
	if a.Status < 300 || a.Status > 399 {
		return ""
	}
	to, err := (&nethttp.Response{Header: a.Header}).Location()
	if err != nil {
		return ""
	}
	return to.Host
}

// unread is what a 2xx means that carries a code of an error which no line of the configuration knows.
func (e Entity) unread(own []web.Case, s web.Said) *sinks.Outcome {
	if e.Error.Code == "" || s.Code == "" || s.Status > 299 {
		return nil
	}
	if o := web.Classify(own, s); o.Code != codeAnswer || o.Class != sinks.Unknown {
		return nil
	}
	return &sinks.Outcome{Class: sinks.Unknown, Code: codeAnswer, Message: web.Clip(fmt.Sprintf("%s, with the code %q that no line of outcomes knows", s.Message, s.Code), 500),
		Hint: "Add a line to the outcomes of the sink's entity. " + web.HintUnknown}
}
