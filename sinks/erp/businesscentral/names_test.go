package businesscentral

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// scripted is a server that answers addresses by what they contain; what it does not know it refuses as the API does.
func scripted(t *testing.T, pages map[string]string) *Sink {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for part, page := range pages {
			if strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, part) {
				fmt.Fprint(w, page)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"code":"BadRequest_ResourceNotFound","message":"Resource not found for the segment"}}`)
	}))
	s, err := New(Config{URL: server.URL + "/api/v2.0/", Company: "cronus", Tax: "T", Principals: []Principal{open}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); server.Close() })
	return s
}

const companies = `{"value":[{"id":"11111111-0000-0000-0000-000000000000","name":"Other","displayName":"CRONUS"},{"id":"22222222-0000-0000-0000-000000000000","name":"CRONUS"}]}`

func TestTheLedgerTellsCurrencyAndDates(t *testing.T) {
	s := scripted(t, map[string]string{"/companies?": companies, "generalLedgerSetups": `{"value":[{"allowPostingFrom":"2026-11-01","allowPostingTo":"0001-01-01","localCurrencyCode":"cad"}]}`,
		"/customers?": `{"value":[{"number":"104377","blocked":"_x0020_"}]}`, "salesInvoices": `{"value":[]}`})
	x, cancel := s.begin(t.Context())
	defer cancel()
	if out := x.open(); out != nil || x.books.currency != "CAD" || !strings.Contains(x.base, "(22222222") { // a name counts before a display name
		t.Fatalf("%+v %+v %s", out, x.books, x.base)
	}
	for date, open := range map[string]bool{"2026-10-31": false, "2026-11-01": true, "2099-01-01": true} {
		if x.books.takes(date) != open {
			t.Errorf("%s: %v", date, !open)
		}
	}
	op := sinks.Operation{Entity: entityInvoice, ExternalID: "nstar:A1:0", Body: json.RawMessage(plainSale)}
	if _, out := s.Prepare(t.Context(), op, stepCreate, nil, time.Now()); out == nil || out.Class != sinks.Rejected || out.Code != codePeriod || out.Field != "posting_date" {
		t.Errorf("%+v", out)
	}
}

func TestAJournalOfAClosedPeriodIsNotMade(t *testing.T) {
	s := scripted(t, map[string]string{"/companies?": companies, "generalLedgerSetups": `{"value":[{"allowPostingTo":"2026-09-30","localCurrencyCode":"USD"}]}`})
	if _, out := s.Prepare(t.Context(), journalOp(1), stepCreate, nil, time.Now()); out == nil || out.Code != codePeriod {
		t.Errorf("%+v", out)
	}
	prepared(t, s, journalOp(1), stepPost, map[string]sinks.Outcome{stepCreate: {Ref: "J"}}) // it may be posted already
}

func TestOlderVersions(t *testing.T) {
	s := scripted(t, map[string]string{"/companies?": companies, "companyInformation": `{"value":[{"currencyCode":"EUR"}]}`})
	x, cancel := s.begin(t.Context())
	defer cancel()
	if out := x.open(); out != nil || x.books != (books{currency: "EUR"}) {
		t.Errorf("%+v %+v", out, x.books)
	}
	mute := scripted(t, map[string]string{"/companies?": companies})
	x, cancel = mute.begin(t.Context())
	defer cancel()
	if out := x.open(); out == nil || out.Class != sinks.Setup || out.Field != "currency" {
		t.Errorf("%+v", out)
	}
}

// What is outside of a batch says nothing about its parts.
func TestPartsOfABatch(t *testing.T) {
	part := func(id string, status int, body string) string {
		return fmt.Sprintf(`{"id":%q,"status":%d,"body":%s}`, id, status, body)
	}
	const taken, refused = `{"error":{"code":"Internal_EntityWithSameKeyExists","message":"x"}}`, `{"error":{"code":"Application_DialogException","message":"x"}}`
	for _, c := range []struct {
		parts []string
		class sinks.Class
	}{
		{[]string{part("1", 201, "{}"), part("2", 201, "{}")}, sinks.Applied},
		{[]string{part("1", 424, "{}"), part("2", 400, refused)}, sinks.Rejected},
		{[]string{part("1", 400, taken), part("2", 424, "{}")}, sinks.Unknown},
		{[]string{part("1", 201, "{}"), part("2", 500, "{}")}, sinks.Unknown},
		{[]string{part("1", 201, "{}")}, sinks.Unknown},
		{[]string{part("1", 201, "{}"), part("2", 201, "{}"), part("3", 201, "{}")}, sinks.Unknown},
	} {
		o := parts(web.Answer{Status: 200, Body: []byte(`{"responses":[` + strings.Join(c.parts, ",") + `]}`)}, 2)
		if (o == nil) != (c.class == sinks.Applied) || o != nil && o.Class != c.class {
			t.Errorf("%s: %+v, want %s", c.parts, o, c.class)
		}
	}
	if o := parts(web.Answer{Status: 200, Body: []byte(`<html>`)}, 2); o == nil || o.Class != sinks.Unknown {
		t.Errorf("%+v", o)
	}
}

// What Business Central itself makes of a value is nobody's edit.
func TestWhatTheServerMakesOfAValueIsNoEdit(t *testing.T) {
	s := scripted(t, map[string]string{"/companies?": companies, "generalLedgerSetups": `{"value":[{"localCurrencyCode":"USD"}]}`,
		"/customers?": `{"value":[{"@odata.etag":"1","id":"33333333-0000-0000-0000-000000000000","number":"C1","displayName":"Acme","city":"Dallas"}]}`,
		"/customers(": `{"id":"33333333-0000-0000-0000-000000000000","number":"C1","displayName":"Acme","city":"Dallas"}`})
	op := operation(entityCustomer, "C1", `{"code":"C1","name":"Acme","city":"dallas"}`)
	first := s.Deliver(t.Context(), prepared(t, s, op, stepUpsert, nil))
	if first.Class != sinks.Applied || first.Facts["stored.city"] != "Dallas" {
		t.Fatalf("%+v", first)
	}
	op.Last = &sinks.Last{Body: op.Body, Facts: first.Facts}
	op.Body = json.RawMessage(`{"code":"C1","name":"Acme","city":"houston"}`)
	if o := s.Deliver(t.Context(), prepared(t, s, op, stepUpsert, nil)); o.Class != sinks.Applied {
		t.Errorf("%+v", o)
	}
	delete(op.Last.Facts, "stored.city")
	if o := s.Deliver(t.Context(), prepared(t, s, op, stepUpsert, nil)); o.Class != sinks.Conflict {
		t.Errorf("%+v", o)
	}
}
