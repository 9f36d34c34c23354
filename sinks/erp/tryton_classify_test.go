package erp

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// wireCase is an answer as Tryton 6.0 gave it on the wire.
type wireCase struct {
	Name   string
	Login  bool            // the answer is to the login
	Status int             // 0 means 200
	Body   json.RawMessage // of an answer with id
	HTML   string          // of an answer without
}

// TestTrytonClassification sends every answer of testdata/answers.json through the adapter and writes down what it makes
// of it: what a write and what a read may conclude.
func TestTrytonClassification(t *testing.T) {
	raw, err := os.ReadFile("testdata/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []wireCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, c := range cases {
		w, r := answerTo(t, c)
		fmt.Fprintf(&got, "%s\n  write  %s %s outage=%t field=%q\n  read   %s\n  says   %s\n  hint   %s\n", c.Name, w.Class, w.Code, w.Outage, w.Field, r.Class, w.Message, w.Hint)
		if w.Class == sinks.Applied || w.Class == sinks.AlreadyApplied || w.Class == sinks.Absent || r.Class == sinks.Unknown {
			t.Errorf("%s: a fault is taken for knowledge: %s, %s", c.Name, w.Class, r.Class)
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
		t.Errorf("classification differs from %s (run with -update and review):\n%s", golden, got.String())
	}
}

// answerTo asks a server that answers so, once as a write and once as a read.
func answerTo(t *testing.T, c wireCase) (write, read sinks.Outcome) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ Method string }
		_ = json.NewDecoder(r.Body).Decode(&call)
		if call.Method == "common.db.login" && !c.Login {
			fmt.Fprint(w, `{"id":1,"result":[2,"key"]}`)
			return
		}
		if c.Status != 0 {
			w.WriteHeader(c.Status)
		}
		if c.Body != nil {
			_, _ = w.Write(c.Body)
		}
		fmt.Fprint(w, c.HTML)
	}))
	defer server.Close()
	one := func() *exchange {
		s := open(t, TrytonConfig{URL: server.URL, Database: "erp", User: "sync", Password: "x"})
		x, cancel := s.begin(t.Context())
		t.Cleanup(cancel)
		return x
	}
	_, w := one().write(nil, "account.invoice", "create", nil, []record{})
	r := one().read(&[]record{}, "account.invoice", "search_read", nil)
	if w == nil || r == nil {
		t.Fatalf("%s: no fault", c.Name)
	}
	return *w, *r
}

// TestTransportFaults shows what may be known when no answer comes.
func TestTransportFaults(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	handler := func(f http.HandlerFunc) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var call struct{ Method string }
			_ = json.NewDecoder(r.Body).Decode(&call)
			if call.Method == "common.db.login" {
				fmt.Fprint(w, `{"id":1,"result":[2,"key"]}`)
				return
			}
			f(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
	}
	for _, c := range []struct {
		name  string
		url   string
		write sinks.Class
	}{
		{"connection refused", closed, sinks.RetryLater},
		{"cut without an answer", handler(cut), sinks.Unknown},
		{"no answer in time", handler(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), sinks.Unknown},
		{"answer cut short", handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"id":1,`)
		}), sinks.Unknown},
		{"answer without an end", handler(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), sinks.Unknown},
		{"an answer of somebody else", handler(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Sign in to the Wi-Fi</html>") }), sinks.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, TrytonConfig{URL: c.url, Database: "erp", User: "sync", Password: "x", Timeout: 300 * time.Millisecond})
			call := func() *exchange {
				x, cancel := s.begin(t.Context())
				t.Cleanup(cancel)
				return x
			}
			if _, o := call().write(nil, "account.invoice", "create", nil); o == nil || o.Class != c.write || !o.Outage {
				t.Errorf("write: %+v, want %s", o, c.write)
			}
			if o := call().read(new(any), "account.invoice", "read", nil); o == nil || o.Class != sinks.RetryLater || !o.Outage {
				t.Errorf("read: %+v", o)
			}
		})
	}
}

// TestSecretsStayIn checks that no password or session key gets into an outcome or a log line (Invariant 12).
func TestSecretsStayIn(t *testing.T) {
	const password, key = "canary-password", "canary-session-key"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ Method string }
		_ = json.NewDecoder(r.Body).Decode(&call)
		if call.Method == "common.db.login" {
			fmt.Fprintf(w, `{"id":1,"result":[2,%q]}`, key)
			return
		}
		fmt.Fprint(w, `{"id":1,"error":["UserError",["No.","",null]]}`)
	}))
	defer server.Close()
	var log strings.Builder
	s, err := NewTryton(TrytonConfig{URL: server.URL, Database: "erp", User: "sync", Password: password, Company: "x"},
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := s.Deliver(context.Background(), sinks.Intent{Operation: operation("customer", "C", `{}`), Step: "upsert", Request: json.RawMessage(`{}`)})
	if text := fmt.Sprintf("%+v", o) + log.String(); strings.Contains(text, "canary") {
		t.Errorf("a secret is in: %s", text)
	}
}
