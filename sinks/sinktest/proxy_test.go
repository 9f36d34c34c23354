package sinktest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFaultProxy(t *testing.T) {
	var done atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		done.Add(1)
		_, _ = w.Write(body)
	}))
	defer server.Close()
	p := StartFaultProxy(t, strings.TrimPrefix(server.URL, "http://"), 1)
	client := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		order          ProxyFault
		body           string
		answered, done bool
	}{
		{ProxyFault{Fault: Pass}, "a", true, true},
		{ProxyFault{Fault: DropAnswer}, "a", false, true},
		{ProxyFault{Fault: BlackHole}, "a", false, false},
		{ProxyFault{Fault: Refuse}, "a", false, false},
		{ProxyFault{Fault: Refuse, Match: "b"}, "a", true, true},
		{ProxyFault{Fault: Delay, Delay: 10 * time.Millisecond}, "a", true, true},
	} {
		p.Set(c.order)
		before := done.Load()
		resp, err := client.Post(p.URL(), "text/plain", strings.NewReader(c.body))
		if err == nil {
			if raw, err := io.ReadAll(resp.Body); err != nil || string(raw) != c.body {
				t.Errorf("%+v: %q, %v", c.order, raw, err)
			}
			resp.Body.Close()
		}
		if (err == nil) != c.answered || (done.Load() > before) != c.done {
			t.Errorf("%+v: answered %t, done %t", c.order, err == nil, done.Load() > before)
		}
	}
	p.Set(ProxyFault{Fault: Refuse, Count: 2})
	answered := 0
	for range 5 {
		if resp, err := client.Post(p.URL(), "text/plain", strings.NewReader("a")); err == nil {
			resp.Body.Close()
			answered++
		}
	}
	if answered != 3 {
		t.Errorf("%d of 5 answered with two faults", answered)
	}
}
