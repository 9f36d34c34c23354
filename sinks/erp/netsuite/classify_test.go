package netsuite

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// bodies are answers of NetSuite as the reference and the vendor's pages show them, and some that no page shows.
var bodies = []struct {
	name   string
	answer web.Answer
}{
	{"the vendor's example of a wrong login", web.Answer{Status: 401, Body: []byte(`{"type":"https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html","title":"Unauthorized","status":401,"o:errorDetails":[{"detail":"Invalid login attempt. For more details, see the Login Audit Trail.","o:errorCode":"INVALID_LOGIN"}]}`)}},
	{"the vendor's example of an invalid reference", web.Answer{Status: 400, Body: []byte(`{"title":"Bad Request","status":400,"o:errorDetails":[{"detail":"Error while accessing resource: You have entered an Invalid Field Value 9999 for the following field: item","o:errorCode":"INVALID_CONTENT","o:errorPath":"item.items[0].item"}]}`)}},
	{"several details", web.Answer{Status: 400, Body: []byte(`{"status":400,"o:errorDetails":[{"detail":"Unknown property foo.","o:errorCode":"NONEXISTENT_FIELD","o:errorPath":"foo"},{"detail":"Unknown property bar.","o:errorCode":"NONEXISTENT_FIELD","o:errorPath":"bar"}]}`)}},
	{"a request that is known already", web.Answer{Status: 400, Body: []byte(`{"status":400,"o:errorDetails":[{"detail":"The idempotency key was used.","o:errorCode":"IDEMPOTENCY_ERROR","o:errorHeader":"X-NetSuite-Idempotency-Key"}]}`)}},
	{"a period that is closed", web.Answer{Status: 400, Body: []byte(`{"status":400,"o:errorDetails":[{"detail":"Error while accessing resource: The transaction date you specified is not within the date range of your accounting period.","o:errorCode":"USER_ERROR","o:errorPath":"tranDate"}]}`)}},
	{"a RESTlet's limit", web.Answer{Status: 400, Body: []byte(`{"status":400,"o:errorDetails":[{"detail":"Request limit exceeded.","o:errorCode":"SSS_REQUEST_LIMIT_EXCEEDED"}]}`)}},
	{"429 without a body", web.Answer{Status: 429, Wait: 0}},
	{"429 that says when", web.Answer{Status: 429, Wait: 7 * time.Second}},
	{"a code that nobody knows", web.Answer{Status: 400, Body: []byte(`{"status":400,"o:errorDetails":[{"detail":"The moon is wrong.","o:errorCode":"MOON_PHASE"}]}`)}},
	{"400 of a proxy", web.Answer{Status: 400, Body: []byte(`<html>Bad Request</html>`)}},
	{"404 of a proxy", web.Answer{Status: 404, Body: []byte(`<html>Not Found</html>`)}},
	{"500", web.Answer{Status: 500, Body: []byte(`{"status":500,"o:errorDetails":[{"detail":"An unexpected error occurred. Error ID: abc","o:errorCode":"UNEXPECTED_ERROR"}]}`)}},
	{"nothing was sent", web.Answer{Err: errors.New("connection refused")}},
	{"no answer came", web.Answer{Err: errors.New("EOF"), Sent: true}},
	{"no credentials", web.Answer{Err: &web.AuthError{Err: errors.New("invalid_grant")}}},
	{"no token server", web.Answer{Err: &web.AuthError{Err: errors.New("timeout"), Outage: true}}},
}

// TestClassification writes down each line of the table, and what is made of the bodies: of a write and of a read.
func TestClassification(t *testing.T) {
	var got strings.Builder
	for _, c := range writes {
		o := web.Classify(writes, web.Said{Status: max(c.From, 400*btoi(c.From == 0)), Code: strings.ReplaceAll(c.Code, "*", "X")})
		if o.Class != c.Class || o.Code != c.As {
			t.Errorf("the line %+v is hidden by one before it: %+v", c, o)
		}
		fmt.Fprintf(&got, "%d-%d %s: %s %s outage=%t; %s\n", c.From, c.To, orNone(c.Code), o.Class, o.Code, o.Outage, o.Hint)
	}
	for _, b := range bodies {
		w, r := classify(b.answer), classifyRead(b.answer)
		fmt.Fprintf(&got, "\n%s\n  write %s %s outage=%t field=%q wait=%s\n  read  %s %s\n  says  %s\n  hint  %s\n", b.name, w.Class, w.Code, w.Outage, w.Field, w.Wait, r.Class, r.Code, w.Message, w.Hint)
		if w.Done() || w.Class == sinks.Absent || r.Class == sinks.Unknown || r.Class == sinks.Rejected {
			t.Errorf("%s: a fault is taken for knowledge: %s, %s", b.name, w.Class, r.Class)
		}
	}
	const golden = "testdata/classify.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the classification differs from %s; look at the difference and run with -update:\n%s", golden, got.String())
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Absence is believed of NetSuite alone, never of somebody before it.
func TestAbsenceIsNetSuitesWord(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "good", nil, nil)
	in := prepare(t, s, journalOp("J1", "1.00"))
	want(t, s.Verify(t.Context(), in), sinks.Absent, "")
	s.cfg.URL += "/elsewhere" // where somebody else says 404
	want(t, s.Verify(t.Context(), in), sinks.Setup, "ADDRESS")
}
