package httpjson

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/sinks"
	"waybill/sinks/web"
	"waybill/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func question() *transform.Question {
	return &transform.Question{Name: "contract", Company: "NSTAR", AsOf: "2026-10-01", Key: []transform.Param{{Name: "customer", Value: "A & B"}}}
}

// ask asks a service that answers with what the test says.
func ask(t *testing.T, cfg Config, serve http.HandlerFunc) (sinks.Answer, *sinks.Outcome) {
	t.Helper()
	server := httptest.NewServer(serve)
	defer server.Close()
	cfg.URL = server.URL + "/v1/"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Ask(t.Context(), question())
}

func TestAQuestionIsOneRequest(t *testing.T) {
	var got *http.Request
	a, out := ask(t, Config{Secret: web.Plain("Bearer s3cret"), SecretHeader: "X-Key", Headers: map[string]string{"X-Tenant": "acme"}}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("ETag", `"v7"`)
		fmt.Fprint(w, ` {"rate": 2.10}`)
	})
	if out != nil || !a.Found || string(a.Object) != ` {"rate": 2.10}` || a.Version != `"v7"` {
		t.Errorf("%+v, %+v", a, out)
	}
	if got.Method != "GET" || got.URL.RequestURI() != "/v1/contract?as_of=2026-10-01&company=NSTAR&customer=A+%26+B" || got.Header.Get("X-Key") != "Bearer s3cret" ||
		got.Header.Get("X-Tenant") != "acme" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
}

func TestEachResponseHasItsMeaning(t *testing.T) {
	const jsonType = "application/json"
	for _, c := range []struct {
		status       int
		kind, body   string
		want         string // found, absent or the outcome
		wait         time.Duration
		retryAfter   string
		wantInAnswer string
	}{
		{status: 200, kind: jsonType, body: `{"a":1}`, want: "found"},
		{status: 200, kind: "application/problem+json", body: `{"a":1}`, want: "found"},
		{status: 200, kind: jsonType, body: "null\n", want: "absent"},
		{status: 204, want: "absent"},
		{status: 404, kind: jsonType, body: `{"error":"no such customer"}`, want: "absent"},
		{status: 404, kind: "text/html", body: `<h1>not found</h1>`, want: "setup ADDRESS"},
		{status: 404, kind: jsonType, body: `"not found"`, want: "setup ADDRESS"},
		{status: 200, kind: "text/html", body: `{"a":1}`, want: "rejected ANSWER"},
		{status: 200, kind: jsonType, body: `[1]`, want: "rejected ANSWER"},
		{status: 200, kind: jsonType, body: `{"a":1`, want: "rejected ANSWER"},
		{status: 200, kind: jsonType, body: `{"a":"` + strings.Repeat("x", maxBody) + `"}`, want: "rejected TOO_LONG"},
		{status: 401, want: "setup AUTH"},
		{status: 403, want: "setup AUTH"},
		{status: 302, want: "setup ADDRESS"},
		{status: 405, want: "setup ADDRESS"},
		{status: 422, kind: jsonType, body: `{"error":"customer must be a number"}`, want: "rejected REFUSED", wantInAnswer: "must be a number"},
		{status: 400, want: "rejected REFUSED"},
		{status: 429, retryAfter: "7", want: "retry_later RATE", wait: 7 * time.Second},
		{status: 503, retryAfter: "120", want: "retry_later OUTAGE", wait: 2 * time.Minute},
		{status: 500, want: "retry_later OUTAGE"},
	} {
		a, out := ask(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
			if c.kind != "" {
				w.Header().Set("Content-Type", c.kind)
			}
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			if c.status == 302 {
				w.Header().Set("Location", "/elsewhere")
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		got := "absent"
		switch {
		case out != nil:
			got = string(out.Class) + " " + out.Code
			if out.Wait != c.wait || out.Message == "" || out.Hint == "" || out.Outage != (out.Code == "OUTAGE") || !strings.Contains(out.Message, c.wantInAnswer) {
				t.Errorf("%d: %+v", c.status, out)
			}
		case a.Found:
			got = "found"
		}
		if got != c.want {
			t.Errorf("%d %s %.40s: %s, want %s", c.status, c.kind, c.body, got, c.want)
		}
	}
}

func TestASilentServiceIsAnOutage(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	s, err := New(Config{URL: server.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, out := s.Ask(t.Context(), question())
	if out == nil || out.Class != sinks.RetryLater || !out.Outage || strings.Contains(out.Message, "customer") {
		t.Errorf("%+v", out)
	}
	server.Close()
	if _, err := s.Check(t.Context()); err == nil || strings.Contains(err.Error(), server.URL) {
		t.Errorf("a service that is gone: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	cfg := Config{URL: "https://u:hunter2@x/?a=1", Timeout: time.Hour, Headers: map[string]string{"authorization": "hunter2", "a b": "c"}, SecretHeader: "x y", Secret: web.Plain("hunter2\n")}
	err := cfg.Validate()
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatal(err)
	}
	want := `url: found "https://u:xxxxx@x/?a=1", expected no credentials in the address; set secret
timeout: found "1h0m0s", expected a duration up to 5m, or 0 for the default
headers: found "a b", expected names of HTTP headers, and values on one line
headers: found "authorization", expected no credentials here; set secret, and secret_header: authorization
secret_header: found "x y", expected the name of an HTTP header, such as X-Api-Key
secret: expected a value on one line`
	if err.Error() != want {
		t.Errorf("%v", err)
	}
	for _, url := range []string{"", "ftp://x", "pricing"} {
		if (&Config{URL: url}).Validate() == nil {
			t.Errorf("%q is accepted", url)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a service without address")
	}
}
