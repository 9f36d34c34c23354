package s4hana

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"regexp"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// The codes that callers in this package branch on, beside those of web.
const (
	codeLocked  = "LOCKED"
	codeStale   = "STALE"
	codeMissing = "NOT_FOUND"
	codeRefused = "REFUSED"
	codePeriod  = "PERIOD_CLOSED"
)

const (
	hintAuth    = "Correct the credentials of the communication user in the sink's configuration."
	hintRights  = "Add the service to the communication arrangement, or the authorisation to its user."
	hintAddress = "Correct url, client or journal_path in the sink's configuration, or activate the service in a communication arrangement."
	hintLocked  = "Somebody works on the same record in S/4HANA; it is tried again. If it stays so, ask the user whom the message names."
	hintPeriod  = "Open the posting period in S/4HANA (Manage Posting Periods), or change the document's date."
	hintBody    = "Correct the document in the source or in the mapping, or the master data in S/4HANA."
	hintStale   = "Somebody changed the record in the same moment; it is read again."
	hintRate    = "Lower the rate or the concurrency in the sink's policy."
)

// writes is what answers to changes mean. Codes are as read gives them: "odata:" and "soap:" before what the body names, lock: before the code of a
// message that says that somebody works on the record. The first line that fits counts; what none fits is unknown.
var writes = []web.Case{
	{From: 401, To: 401, Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{From: 400, To: 499, Code: "lock:*", Class: sinks.RetryLater, As: codeLocked, Hint: hintLocked},
	{From: 200, To: 200, Code: "lock:soap:*", Class: sinks.RetryLater, As: codeLocked, Hint: hintLocked},
	{From: 423, To: 423, Class: sinks.RetryLater, As: codeLocked, Hint: hintLocked},
	{From: 412, To: 412, Class: sinks.RetryLater, As: codeStale, Hint: hintStale},
	{From: 428, To: 428, Class: sinks.RetryLater, As: codeStale, Hint: hintStale},
	{From: 403, To: 403, Code: "csrf", Class: sinks.RetryLater, As: "SESSION"}, // not executed [S1]; sinks/web has renewed the session already
	{From: 403, To: 403, Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 404, To: 404, Code: "odata:*", Class: sinks.Rejected, As: codeMissing, Hint: hintBody},
	{From: 404, To: 405, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 415, To: 415, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 300, To: 399, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 400, To: 499, Code: "odata:F5/201", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 400, To: 499, Code: "odata:*", Class: sinks.Rejected, As: codeRefused, Hint: hintBody},
	{From: 200, To: 200, Code: "soap:201(F5)", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 200, To: 200, Code: "soap:286(F5)", Class: sinks.Rejected, As: codePeriod, Hint: hintPeriod},
	{From: 200, To: 200, Code: "soap:102(F5)", Class: sinks.Rejected, As: "UNKNOWN_CUSTOMER", Hint: "Extend the customer to the company code in S/4HANA, or deliver it again."},
	{From: 200, To: 200, Code: "soap:702(F5)", Class: sinks.Rejected, As: "TOTAL_MISMATCH", Hint: "The document does not balance; compare its taxes with those of the tax code."},
	{From: 200, To: 200, Code: "soap:*", Class: sinks.Rejected, As: codeRefused, Hint: hintBody},
	{From: 500, To: 500, Class: sinks.Unknown, As: "OUTAGE", Outage: true, Hint: web.HintUnknown},
	{From: 502, To: 504, Class: sinks.Unknown, As: "OUTAGE", Outage: true, Hint: web.HintUnknown},
	{From: 408, To: 408, Class: sinks.Unknown, As: "OUTAGE", Outage: true, Hint: web.HintUnknown},
}

// reads is what answers to questions mean: a read may always be repeated. That something is not there is said by an empty list and never by a
// 404, which a service that is not activated gives too.
var reads = []web.Case{
	{From: 401, To: 401, Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE", Hint: hintRate},
	{From: 403, To: 403, Class: sinks.Setup, As: "RIGHTS", Hint: hintRights},
	{From: 300, To: 399, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 404, To: 405, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 400, To: 499, Code: "lock:*", Class: sinks.RetryLater, As: codeLocked, Hint: hintLocked},
	{From: 400, To: 499, Code: "odata:*", Class: sinks.Setup, As: "ANSWER", Hint: "S/4HANA does not take the question; look at the version of its services."},
	{From: 408, To: 408, Class: sinks.RetryLater, As: "OUTAGE", Outage: true},
	{From: 500, To: 599, Class: sinks.RetryLater, As: "OUTAGE", Outage: true},
}

// lockWords are what messages say of a record that somebody works on.
var lockWords = regexp.MustCompile(`(?i)(is (currently )?being (processed|edited|changed) by|(is|are|currently) locked by|blocked by user)`)

// said reads an error. transaction is the id that SAP's support asks for, "" when there is none.
func said(status int, header http.Header, body []byte) (s web.Said, transaction string) {
	s.Status = status
	switch form := header.Get("Content-Type"); {
	case status == http.StatusForbidden && strings.EqualFold(header.Get("X-CSRF-Token"), "Required"):
		s.Code = "csrf"
	case strings.Contains(form, "json"):
		transaction = saidOData(&s, body)
	case strings.Contains(form, "xml"):
		saidXML(&s, body)
	}
	if s.Code != "" && lockWords.MatchString(s.Message) {
		s.Code = "lock:" + s.Code
	}
	if s.Message == "" {
		s.Message = web.Clip(string(bytes.TrimSpace(body)), 200)
	}
	return s, transaction
}

// saidOData reads {"error":{"code":…,"message":{"value":…},"innererror":{…}}}.
func saidOData(s *web.Said, body []byte) (transaction string) {
	var wire struct {
		Error *struct {
			Code    string
			Message struct{ Value string }
			Inner   struct {
				Transaction string `json:"transactionid"`
				Details     []struct{ Code, Message, Severity, Target, Propertyref string }
			} `json:"innererror"`
		}
	}
	if decode(body, &wire) != nil || wire.Error == nil || wire.Error.Code == "" {
		return ""
	}
	s.Code, s.Message = "odata:"+wire.Error.Code, wire.Error.Message.Value
	for _, d := range wire.Error.Inner.Details {
		if s.Field == "" {
			s.Field = d.Target + d.Propertyref
		}
		if d.Severity == "error" && d.Message != "" && !strings.Contains(s.Message, d.Message) {
			s.Message += " " + d.Message
		}
	}
	return wire.Error.Inner.Transaction
}

// saidXML reads an error of OData in XML, or a fault of SOAP.
func saidXML(s *web.Said, body []byte) {
	var odata struct {
		XMLName xml.Name `xml:"error"`
		Code    string   `xml:"code"`
		Message string   `xml:"message"`
	}
	if xml.Unmarshal(body, &odata) == nil && odata.Code != "" {
		s.Code, s.Message = "odata:"+odata.Code, odata.Message
		return
	}
	var soap struct {
		XMLName xml.Name `xml:"Envelope"`
		Fault   *struct {
			Code   string `xml:"faultcode"`
			String string `xml:"faultstring"`
		} `xml:"Body>Fault"`
	}
	if xml.Unmarshal(body, &soap) == nil && soap.Fault != nil {
		s.Code, s.Message = "fault:"+soap.Fault.Code, soap.Fault.String
	}
}
