package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waybill/sinks"
)

// A kept connection that turns out to be dead: Go's transport would send a request with an Idempotency-Key again on its own. A write is sent
// once, whenever the server hangs up; and it is never said that it was not sent.
func TestAWriteOnADeadConnectionIsSentOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		read bool // the server reads the second request before it hangs up
	}{{"closed after reading", true}, {"closed before reading", false}} {
		t.Run(c.name, func(t *testing.T) {
			var heard atomic.Int64
			closed := make(chan struct{})
			url := listen(t, func(n int, conn net.Conn) {
				r := bufio.NewReader(conn)
				for requests := 1; ; requests++ {
					if requests == 2 && !c.read {
						<-closed
						return
					}
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					heard.Add(1)
					if requests == 2 {
						return
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			})
			cl := New(Options{Timeout: 5 * time.Second})
			defer cl.Close()
			send := func() Answer {
				return cl.Do(t.Context(), Request{Method: "POST", URL: url, Body: []byte("{}"), Header: map[string]string{"Idempotency-Key": "k1", "X-Idempotency-Key": "k1"}})
			}
			if a := send(); a.Err != nil || a.Status != 200 {
				t.Fatalf("%+v", a)
			}
			if !c.read {
				time.AfterFunc(50*time.Millisecond, func() { close(closed) }) // while the request lies there unread
			}
			a := send()
			if a.Err == nil || !a.Sent || a.Sends != 1 {
				t.Errorf("%+v", a)
			}
			want := int64(1)
			if c.read {
				want = 2
			}
			if heard.Load() != want {
				t.Errorf("the server heard %d requests, want %d", heard.Load(), want)
			}
			if o := Unanswered(a, false); o == nil || o.Class != sinks.Unknown || !o.Outage {
				t.Errorf("%+v", o)
			}
			if o := Unanswered(a, true); o == nil || o.Class != sinks.RetryLater {
				t.Errorf("a read: %+v", o)
			}
		})
	}
}

// A write without a body is not sent twice either: to Go it would look as if it could be repeated.
func TestAnEmptyWriteIsSentOnce(t *testing.T) {
	var heard atomic.Int64
	url := listen(t, func(n int, conn net.Conn) {
		r := bufio.NewReader(conn)
		for requests := 1; ; requests++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.ContentLength != 0 || len(req.TransferEncoding) != 0 {
				t.Errorf("length %d, %v", req.ContentLength, req.TransferEncoding)
			}
			if heard.Add(1); requests == 2 {
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	cl := New(Options{Timeout: 5 * time.Second})
	defer cl.Close()
	for i := range 2 {
		a := cl.Do(t.Context(), Request{Method: "DELETE", URL: url, Header: map[string]string{"Idempotency-Key": "k"}})
		if (a.Err == nil) != (i == 0) {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if heard.Load() != 2 {
		t.Errorf("heard %d", heard.Load())
	}
}

// Sent is false only where nothing can have arrived.
func TestSent(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	plain := listen(t, func(_ int, c net.Conn) { // no TLS here, and no answer
		_, _ = io.ReadAtLeast(c, make([]byte, 1), 1) // the client's hello, or nothing
	})
	reset := listen(t, func(_ int, c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_ = c.(*net.TCPConn).SetLinger(0) // a reset in place of an end
	})
	silent := listen(t, func(_ int, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	half := listen(t, func(_ int, c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":")
		}
	})
	for name, c := range map[string]struct {
		url   string
		sent  bool
		class sinks.Class
	}{
		"refused":             {"http://" + gone.Addr().String(), false, sinks.RetryLater},
		"TLS fails":           {strings.Replace(plain, "http", "https", 1), false, sinks.RetryLater},
		"no address":          {"http://127.0.0.1:bad", false, sinks.RetryLater},
		"reset after it":      {reset, true, sinks.Unknown},
		"no answer":           {silent, true, sinks.Unknown},
		"a part of an answer": {half, true, sinks.Unknown},
	} {
		cl := New(Options{Timeout: 400 * time.Millisecond})
		a := post(cl, c.url)
		cl.Close()
		if a.Err == nil || a.Sent != c.sent || a.Took <= 0 {
			t.Errorf("%s: %+v", name, a)
		}
		if o := Unanswered(a, false); o.Class != c.class || !o.Outage {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestNoRedirectAndNoRetry(t *testing.T) {
	var elsewhere, here atomic.Int64
	other := serving(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308, 429, 500, 502, 503, 504} {
		here.Store(0)
		server := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			here.Add(1)
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
		})
		cl := New(Options{})
		for _, a := range []Answer{get(cl, server.URL), post(cl, server.URL)} {
			if a.Err != nil || a.Status != status || a.Sends != 1 {
				t.Errorf("%d: %+v", status, a)
			}
		}
		cl.Close()
		if here.Load() != 2 || elsewhere.Load() != 0 {
			t.Errorf("%d: %d requests here, %d elsewhere", status, here.Load(), elsewhere.Load())
		}
	}
}

func TestBounds(t *testing.T) {
	var heard atomic.Int64
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		length := MaxAnswer
		if r.URL.Path == "/long" {
			length++
		}
		_, _ = io.CopyN(w, endless{}, int64(length)) // the client may have hung up
	})
	cl := New(Options{})
	defer cl.Close()
	if a := get(cl, server.URL); a.Err != nil || len(a.Body) != MaxAnswer {
		t.Errorf("the longest answer: %d %v", len(a.Body), a.Err)
	}
	a := post(cl, server.URL+"/long")
	if a.Err == nil || len(a.Body) > MaxAnswer || !a.Sent {
		t.Errorf("a longer one: %d %v", len(a.Body), a.Err)
	}
	if o := Unanswered(a, false); o.Class != sinks.Unknown {
		t.Errorf("%+v", o)
	}
	heard.Store(0)
	if a := cl.Do(t.Context(), Request{Method: "POST", URL: server.URL, Body: make([]byte, MaxRequest+1)}); a.Err == nil || a.Sent || heard.Load() != 0 {
		t.Errorf("a request that is too long: %+v", a)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after, date string
		want        time.Duration
	}{
		{"", "", 0}, {"0", "", 0}, {"60", "", time.Minute}, {" 7 ", "", 7 * time.Second}, {"-5", "", 0}, {"1.5", "", 0}, {"soon", "", 0},
		{"99999999", "", maxWait}, {strings.Repeat("9", 40), "", maxWait},
		{"Sun, 01 Mar 2026 12:01:00 GMT", "", time.Minute},
		{"Sun, 01 Mar 2026 11:00:00 GMT", "", 0},
		{"Sun, 01 Mar 2099 12:01:00 GMT", "", maxWait},
		{"Sunday, 01-Mar-26 12:00:30 GMT", "", 30 * time.Second},
		{"Sun, 01 Mar 2026 15:01:00 GMT", "Sun, 01 Mar 2026 15:00:00 GMT", time.Minute}, // its clock is three hours ahead
	} {
		h := http.Header{"Retry-After": {c.after}}
		if c.date != "" {
			h.Set("Date", c.date)
		}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.after, c.date, got, c.want)
		}
	}
}

// The caller's context ends a request that waits for a connection or for an answer.
func TestTheCallersContext(t *testing.T) {
	server := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cl := New(Options{})
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a := cl.Do(ctx, Request{Method: "GET", URL: server.URL}); !a.Sent || a.Err == nil || a.Took > 20*time.Second {
		t.Errorf("%+v", a)
	}
}

func TestUnansweredForCredentials(t *testing.T) {
	for _, c := range []struct {
		err   error
		class sinks.Class
		code  string
	}{
		{&AuthError{Err: errors.New("x")}, sinks.Setup, "AUTH"},
		{&AuthError{Err: errors.New("x"), Unread: true}, sinks.Setup, "SECRET"},
		{&AuthError{Err: errors.New("x"), Outage: true}, sinks.RetryLater, "OUTAGE"},
	} {
		o := Unanswered(Answer{Err: c.err, Sent: true}, false)
		if o.Class != c.class || o.Code != c.code || o.Outage != (c.code == "OUTAGE") || (o.Hint == "") == (c.class == sinks.Setup) {
			t.Errorf("%+v", o)
		}
	}
	if Unanswered(Answer{Status: 500}, false) != nil {
		t.Error("an answer of 500 is one")
	}
}

func TestNoHTTP2(t *testing.T) {
	cl := New(Options{TLS: &tls.Config{}})
	defer cl.Close()
	if n := cl.http.Transport.(*http.Transport).TLSNextProto; n == nil || len(n) != 0 {
		t.Errorf("%v", n)
	}
}
