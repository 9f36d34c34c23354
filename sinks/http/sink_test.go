package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/sinks/web"
)

func TestMain(m *testing.M) {
	code := m.Run()
	sinktest.RemoveBilling()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// generate is the request of the simulated billing system.
func generate() Entity {
	return Entity{Path: "/v1/invoices", Ref: "id", Number: "number", Facts: []string{"total"},
		Verify: Verify{Path: "/v1/invoices?key={external_id}", Found: "items", Compare: map[string]string{"shipment": "shipment", "customer": "customer"}}}
}

func newSink(t testing.TB, url string, change func(*Config)) *Sink {
	t.Helper()
	c := Config{URL: url, Timeout: 2 * time.Second, Horizon: time.Second, Check: "/health", Entities: map[string]Entity{"generate": generate()}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func request1(n int, customer string) sinks.Operation {
	return sinks.Operation{ID: fmt.Sprint("d", n), Sink: "billing", Entity: "generate", ExternalID: fmt.Sprintf("nstar:gen:%d/&", n), OrderKey: "shipment/1",
		Body: json.RawMessage(fmt.Sprintf(`{"shipment":"%d","customer":%q,"charges":[{"charge":"DETENTION_DL","amount":"150.00"}]}`, n, customer))}
}

// The suite of all sinks, over the simulated billing system in a process of its own.
func TestSinkOverTheBillingSimulator(t *testing.T) {
	b := sinktest.StartBilling(t, sinktest.BillingOptions{File: filepath.Join(t.TempDir(), "made.jsonl"), Token: "s3cret"})
	proxy := sinktest.StartFaultProxy(t, strings.TrimPrefix(b.URL, "http://"), 1)
	s := newSink(t, proxy.URL(), func(c *Config) { c.Secret = web.Plain("Bearer s3cret") })
	sinktest.TestSink(t, sinktest.Harness{
		Sink:       s,
		Operations: map[string]func(*testing.T, int) sinks.Operation{"generate": func(_ *testing.T, n int) sinks.Operation { return request1(n, "C1") }},
		Altered: func(op sinks.Operation) sinks.Operation {
			op.Body = json.RawMessage(strings.Replace(string(op.Body), `"C1"`, `"C2"`, 1))
			return op
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			op := request1(n, "C1")
			op.Body = json.RawMessage(`{"shipment":"7"}`)
			return op
		},
		LoseAnswer:  func(string, string) { proxy.Set(sinktest.ProxyFault{Fault: sinktest.DropAnswer, Match: "POST /v1"}) },
		Unreachable: func() { proxy.Set(sinktest.ProxyFault{Fault: sinktest.Refuse}) },
		Heal:        func() { proxy.Set(sinktest.ProxyFault{Fault: sinktest.Pass}) },
	})
	seen := map[string]bool{}
	for _, key := range b.Made() {
		if seen[key] {
			t.Errorf("%s was made twice", key)
		}
		seen[key] = true
	}
	found, err := s.Check(t.Context())
	if err != nil || len(cdc.Concerns(found...)) != 0 {
		t.Errorf("%+v %v", found, err)
	}
	wrong := newSink(t, b.URL, func(c *Config) { c.Secret = web.Plain("Bearer other") })
	in, _ := wrong.Prepare(t.Context(), request1(99, "C1"), stepSend, nil, time.Now())
	if o := wrong.Deliver(t.Context(), in); o.Class != sinks.Setup || o.Code != codeAuth || o.Hint == "" {
		t.Errorf("a wrong token: %+v", o)
	}
	if found, err := wrong.Check(t.Context()); err != nil || len(cdc.Concerns(found...)) != 1 {
		t.Errorf("%+v %v", found, err)
	}
}

// Every fault of the simulator, to the caller and in what it made.
func TestFaultsOfTheBillingSimulator(t *testing.T) {
	b := sinktest.StartBilling(t, sinktest.BillingOptions{File: filepath.Join(t.TempDir(), "made.jsonl")})
	s := newSink(t, b.URL, func(c *Config) { c.Timeout = 300 * time.Millisecond })
	for i, c := range []struct {
		fault   string
		delay   time.Duration
		class   sinks.Class
		verdict sinks.Class
	}{
		{"pass", 0, sinks.Applied, sinks.AlreadyApplied},
		{"drop", 0, sinks.Unknown, sinks.AlreadyApplied},
		{"error", 0, sinks.Unknown, sinks.AlreadyApplied},
		{"slow", 800 * time.Millisecond, sinks.Unknown, sinks.Absent}, // and later it is there
		{"throttle", 7 * time.Second, sinks.RetryLater, sinks.Absent},
		{"down", 0, sinks.Unknown, sinks.Absent},
	} {
		t.Run(c.fault, func(t *testing.T) {
			in, out := s.Prepare(t.Context(), request1(i, "C1"), stepSend, nil, time.Now())
			if out != nil {
				t.Fatal(out)
			}
			b.Fault(c.fault, 1, c.delay)
			o := s.Deliver(t.Context(), in)
			if o.Class != c.class || c.fault == "throttle" && o.Wait != 7*time.Second {
				t.Errorf("deliver: %+v, want %s", o, c.class)
			}
			if v := s.Verify(t.Context(), in); v.Class != c.verdict {
				t.Errorf("verify: %+v, want %s", v, c.verdict)
			}
			for deadline := time.Now().Add(10 * time.Second); c.fault == "slow" && s.Verify(t.Context(), in).Class != sinks.AlreadyApplied; {
				if time.Now().After(deadline) {
					t.Fatal("it never came")
				}
			}
			if o := s.Deliver(t.Context(), in); !o.Done() || o.Ref == "" || o.Facts["total"] != "1150.00" {
				t.Errorf("sent again with the same key: %+v", o)
			}
		})
	}
	if made := b.Made(); len(made) != 6 {
		t.Errorf("made %v", made)
	}
}

// answering is a service that answers as the test says.
func answering(t *testing.T, answer nethttp.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server
}

// What each status means, for a write and for a verification; and what a configuration says instead.
func TestStatusTable(t *testing.T) {
	var status atomic.Int64
	var body atomic.Value
	body.Store("")
	server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, body.Load())
	})
	s := newSink(t, server.URL, func(c *Config) {
		own := c.Entities["generate"]
		own.Status, own.Verify.Status = map[string]string{"409": "unknown", "503": "retry", "208": "applied"}, map[string]string{"404": "absent", "503": "setup"}
		plain := generate()
		plain.Verify.Found = ""
		c.Entities = map[string]Entity{"own": own, "generate": generate(), "plain": plain}
	})
	for _, c := range []struct {
		entity      string
		status      int
		body        string
		send, check sinks.Class
	}{
		{"generate", 201, `{"id":"I1","items":[]}`, sinks.Applied, sinks.RetryLater},
		{"generate", 200, `{"id":"I1","items":[]}`, sinks.Applied, sinks.Absent},
		{"generate", 200, `{"items":[{"id":"I1","shipment":"1","customer":"C1"}]}`, sinks.Unknown, sinks.AlreadyApplied}, // done, but as what?
		{"generate", 200, `{"items":[{"id":"I1","shipment":"1","customer":"C2"}]}`, sinks.Unknown, sinks.Conflict},
		{"generate", 200, `{"items":[{"id":"I1"},{"id":"I2"}]}`, sinks.Unknown, sinks.Conflict},
		{"generate", 200, `<html>`, sinks.Unknown, sinks.Setup},
		{"generate", 200, `{}`, sinks.Unknown, sinks.Setup},
		{"generate", 202, `{}`, sinks.Unknown, sinks.RetryLater}, // accepted is not done
		{"generate", 302, ``, sinks.Setup, sinks.Setup},
		{"generate", 400, `{"message":"bad"}`, sinks.Rejected, sinks.Setup},
		{"generate", 401, ``, sinks.Setup, sinks.Setup},
		{"generate", 403, ``, sinks.Setup, sinks.Setup},
		{"generate", 404, `{}`, sinks.Setup, sinks.Setup}, // a search never says 404
		{"plain", 404, `{}`, sinks.Setup, sinks.Absent},
		{"own", 404, `{}`, sinks.Setup, sinks.Absent},
		{"plain", 200, `{"id":"I1","shipment":"1","customer":"C1"}`, sinks.Applied, sinks.AlreadyApplied},
		{"generate", 408, ``, sinks.Unknown, sinks.Setup},
		{"generate", 409, ``, sinks.Conflict, sinks.Setup},
		{"own", 409, ``, sinks.Unknown, sinks.Setup},
		{"own", 208, `{"id":"I1"}`, sinks.Applied, sinks.RetryLater},
		{"generate", 418, ``, sinks.Unknown, sinks.Setup},
		{"generate", 422, `{"detail":"no","field":"customer"}`, sinks.Rejected, sinks.Setup},
		{"generate", 423, ``, sinks.RetryLater, sinks.Setup},
		{"generate", 429, ``, sinks.RetryLater, sinks.RetryLater},
		{"generate", 500, ``, sinks.Unknown, sinks.RetryLater},
		{"generate", 503, ``, sinks.Unknown, sinks.RetryLater},
		{"own", 503, ``, sinks.RetryLater, sinks.Setup},
		{"generate", 599, ``, sinks.Unknown, sinks.RetryLater},
	} {
		status.Store(int64(c.status))
		body.Store(c.body)
		op := request1(1, "C1")
		op.Entity = c.entity
		in, out := s.Prepare(t.Context(), op, stepSend, nil, time.Now())
		if out != nil {
			t.Fatal(out)
		}
		if o := s.Deliver(t.Context(), in); o.Class != c.send || o.Class != sinks.Applied && o.Message == "" || o.Class == sinks.Rejected && c.body != "" && o.Field == "" && c.status == 422 {
			t.Errorf("%s %d %s: %+v, want %s", c.entity, c.status, c.body, o, c.send)
		}
		if o := s.Verify(t.Context(), in); o.Class != c.check || o.Class == sinks.Setup && o.Hint == "" {
			t.Errorf("verify %s %d %s: %+v, want %s", c.entity, c.status, c.body, o, c.check)
		}
	}
}

// A page of a proxy that says 404 is no absence: nothing is sent again because of it.
func TestAPageIsNoAbsence(t *testing.T) {
	server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { nethttp.Error(w, "no such page", 404) })
	plain := generate()
	plain.Verify.Found = ""
	s := newSink(t, server.URL, func(c *Config) { c.Entities["generate"] = plain })
	in, _ := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	if o := s.Verify(t.Context(), in); o.Class != sinks.Setup || o.Code != codeAddress {
		t.Errorf("%+v", o)
	}
}

// No redirect is followed, nothing is sent twice, and the secret goes nowhere but into its header.
func TestNothingIsSentTwiceOrElsewhere(t *testing.T) {
	var elsewhere, posts atomic.Int64
	other := answering(t, func(nethttp.ResponseWriter, *nethttp.Request) { elsewhere.Add(1) })
	var auth, key atomic.Value
	server := answering(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		auth.Store(r.Header.Get("X-Api-Key"))
		if r.Method == "POST" {
			key.Store(r.Header.Get("Idempotency-Key"))
		} else {
			nethttp.Redirect(w, r, other.URL, nethttp.StatusFound)
			return
		}
		if posts.Add(1) == 1 { // a connection that dies without an answer: Go's transport would send again
			c, _, err := nethttp.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
			return
		}
		w.Header().Set("Location", other.URL+"/v1")
		w.WriteHeader(nethttp.StatusTemporaryRedirect)
		fmt.Fprint(w, `{"message":"the key tok-1 is elsewhere"}`)
	})
	file := filepath.Join(t.TempDir(), "secret")
	s := newSink(t, server.URL, func(c *Config) {
		c.SecretHeader = "X-Api-Key"
		c.Secret = web.From(func() (string, error) {
			raw, err := os.ReadFile(file)
			return string(raw), err
		})
	})
	in, out := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	if out != nil || strings.Contains(string(in.Request), "tok-") {
		t.Fatal(out, string(in.Request))
	}
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Setup || o.Code != codeSecret {
		t.Errorf("without its secret: %+v", o)
	}
	if err := os.WriteFile(file, []byte("tok-1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Unknown || posts.Load() != 1 || !o.Outage {
		t.Errorf("%+v after %d requests", o, posts.Load())
	}
	o := s.Deliver(t.Context(), in)
	if o.Class != sinks.Setup || !strings.Contains(o.Message, strings.TrimPrefix(other.URL, "http://")) || strings.Contains(fmt.Sprintf("%+v", o), "tok-1") {
		t.Errorf("%+v", o)
	}
	if v := s.Verify(t.Context(), in); v.Class != sinks.Setup {
		t.Errorf("%+v", v)
	}
	if elsewhere.Load() != 0 || auth.Load() != "tok-1" || key.Load() != in.ExternalID {
		t.Errorf("%d requests elsewhere, auth %v, key %v", elsewhere.Load(), auth.Load(), key.Load())
	}
	quietly, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quietly.Close() // nobody listens there: nothing left us
	dead := newSink(t, "http://"+quietly.Addr().String(), nil)
	if o := dead.Deliver(t.Context(), in); o.Class != sinks.RetryLater || !o.Outage {
		t.Errorf("%+v", o)
	}
}

// What is read of an answer has a bound, and so has a request.
func TestBounds(t *testing.T) {
	server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		_, _ = io.CopyN(w, endless{}, web.MaxAnswer+10) // the sink ends the connection
	})
	s := newSink(t, server.URL, nil)
	in, _ := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Unknown || len(o.Answer) > 5000 {
		t.Errorf("%s %d", o.Class, len(o.Answer))
	}
	op := request1(1, strings.Repeat("x", maxRequest))
	if _, out := s.Prepare(t.Context(), op, stepSend, nil, time.Now()); out == nil || out.Class != sinks.Rejected {
		t.Errorf("%+v", out)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestPaths(t *testing.T) {
	op := sinks.Operation{ExternalID: "a/b c", Company: "N&S", OrderKey: "k"}
	body, err := decode([]byte(`{"n":12.50,"bill_to":{"code":"ü"},"dots":"..","list":[1]}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/v1/{external_id}": "/v1/a%2Fb%20c", "/v1?key={external_id}&c={company}": "/v1?key=a%2Fb+c&c=N%26S", "/{n}/{bill_to.code}": "/12.50/%C3%BC",
		"/{dots}": "", "/{list}": "", "/{nothing}": ""} {
		got, err := expand(path, scope{op: op, body: body})
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q %v, want %q", path, got, err, want)
		}
	}
	if err := errors.Join(checkTemplate("/a?b={c.d}"), checkTemplate("/")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "a", "/a b", "/{", "/{a-b}", "/a#b"} {
		if checkTemplate(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	bad := Config{URL: "ftp://u:pw@x", Timeout: -1, Horizon: 2 * time.Hour, Check: "health", Secret: web.Plain("a\nb"), Headers: map[string]string{"authorization": "x", "Host": "y"},
		Entities: map[string]Entity{"e": {Method: "GET", Path: "x", Status: map[string]string{"99": "applied", "409": "fine"}, Verify: Verify{Found: "items"}}}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"url", "timeout", "horizon", "check", "secret", "headers.authorization", "headers.Host", "entities.e.method", "entities.e.path", "entities.e.verify.path",
		"entities.e.status.99", "entities.e.status.409"} {
		if !strings.Contains(err.Error(), field+": found ") {
			t.Errorf("nothing about %s in\n%v", field, err)
		}
	}
	if strings.Contains(err.Error(), "pw") {
		t.Error(err)
	}
	if _, err := New(Config{URL: "http://x", Entities: map[string]Entity{"generate": generate()}}); err != nil {
		t.Error(err)
	}
}

func TestIdentityAndEntity(t *testing.T) {
	s := newSink(t, "http://billing.example:8080/api/", func(c *Config) { c.Entities["blind"] = Entity{Path: "/x"} })
	id, err := s.Identity(context.Background())
	if err != nil || id != "http/billing.example:8080/api" {
		t.Error(id, err)
	}
	e, err := s.Entity("blind")
	if err != nil || e.CanVerify {
		t.Errorf("%+v %v", e, err)
	}
	if e, err = s.Entity("generate"); err != nil || !e.CanVerify || strings.Join(e.Compared, " ") != "customer shipment" {
		t.Errorf("%+v %v", e, err)
	}
	op := request1(1, "C1")
	op.ExternalID = "a\nb"
	if _, out := s.Prepare(context.Background(), op, stepSend, nil, time.Now()); out == nil || out.Code != "KEY" {
		t.Errorf("%+v", out)
	}
}
