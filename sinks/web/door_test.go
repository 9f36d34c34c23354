package web

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A wrong secret is tried once, by one of many; then not before it has changed, or five minutes are over.
func TestAWrongSecretIsTriedOnce(t *testing.T) {
	var heard atomic.Int64
	var right atomic.Value
	right.Store("Bearer right")
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		if r.Header.Get("Authorization") != right.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	v := &vault{}
	v.set("wrong")
	cl, clock := client(t, AuthConfig{Bearer: &Bearer{Token: v.secret()}}, Options{}, server.URL), newClock()
	cl.options.Auth.(*static).door.clock = clock.now
	calls := func(n int) (refused int64) {
		var count atomic.Int64
		many(n, func(int) {
			a := post(cl, server.URL)
			var auth *AuthError
			if a.Status == http.StatusUnauthorized || errors.As(a.Err, &auth) && !auth.Outage {
				count.Add(1)
			}
		})
		return count.Load()
	}
	if refused := calls(20); heard.Load() != 1 || refused != 20 {
		t.Fatalf("%d requests, %d refused", heard.Load(), refused)
	}
	clock.forward(shutFor - time.Second)
	if calls(5); heard.Load() != 1 {
		t.Fatalf("%d requests within five minutes", heard.Load())
	}
	clock.forward(2 * time.Second)
	if calls(5); heard.Load() != 2 {
		t.Fatalf("%d requests after them", heard.Load())
	}
	v.set("right") // rotated: at once
	if refused := calls(20); heard.Load() != 22 || refused != 0 {
		t.Fatalf("%d requests, %d refused with the right secret", heard.Load(), refused)
	}
	right.Store("Bearer newer") // expired, while others are under way
	heard.Store(0)
	if refused := calls(1); refused != 1 || heard.Load() != 1 {
		t.Fatalf("%d requests, %d refused after it expired", heard.Load(), refused)
	}
	if calls(20); heard.Load() != 2 { // once more, by one alone
		t.Fatalf("%d requests after it expired", heard.Load())
	}
	clock.forward(-time.Hour) // a clock that jumps back opens nothing
	if calls(5); heard.Load() != 2 {
		t.Fatalf("%d requests after a jump", heard.Load())
	}
}

// A secret that is rotated between a request and its refusal is used at once, by the same request.
func TestASecretRotatedMeanwhile(t *testing.T) {
	v := &vault{}
	v.set("old")
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "new" {
			v.set("new")
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	cl := client(t, AuthConfig{Basic: &Basic{User: "u", Password: v.secret()}}, Options{}, server.URL)
	if a := post(cl, server.URL); a.Err != nil || a.Status != 200 || a.Sends != 2 {
		t.Errorf("%+v", a)
	}
}

// One address that refuses everybody does not shut the others out.
func TestOneAddressThatRefuses(t *testing.T) {
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/private" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	cl := client(t, AuthConfig{Bearer: &Bearer{Token: Plain("token-1")}}, Options{}, server.URL)
	for range 5 {
		if a := post(cl, server.URL); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
		if a := post(cl, server.URL+"/private"); a.Status != 401 || a.Sends != 1 {
			t.Fatalf("%+v", a)
		}
	}
}

// While the target is down nobody knows whether the credentials are right; each request finds out for itself, and the door stays open.
func TestAnOutageShutsNoDoor(t *testing.T) {
	var heard atomic.Int64
	server := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if heard.Add(1) <= 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	cl := client(t, AuthConfig{APIKey: &APIKey{Key: Plain("k3yk3y")}}, Options{}, server.URL)
	for range 3 {
		if a := get(cl, server.URL); a.Status != 502 || a.Err != nil {
			t.Errorf("%+v", a)
		}
	}
	many(4, func(int) {
		if a := get(cl, server.URL); a.Status != 200 {
			t.Errorf("%+v", a)
		}
	})
}

func TestAnUnreadableSecret(t *testing.T) {
	v := &vault{}
	cl := client(t, AuthConfig{Bearer: &Bearer{Token: v.secret()}}, Options{}, "")
	var auth *AuthError
	if a := get(cl, "http://127.0.0.1:1"); !errors.As(a.Err, &auth) || !auth.Unread || a.Sent {
		t.Errorf("%+v", a)
	}
	v.set("two\nlines")
	if a := get(cl, "http://127.0.0.1:1"); !errors.As(a.Err, &auth) || !auth.Unread || a.Sent {
		t.Errorf("%+v", a)
	}
}
