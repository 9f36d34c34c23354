package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gateway is a target that wants SAP's token for each write.
type gateway struct {
	mu       sync.Mutex
	session  int
	password string
	fetches  atomic.Int64
	writes   atomic.Int64
	executed atomic.Int64
	silent   bool // it gives no token
	broken   bool // it forgets each session at once
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, password, _ := r.BasicAuth(); password != g.password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := fmt.Sprintf("csrf-token-%d==", g.session)
	if r.Method == "GET" {
		if r.Header.Get("X-CSRF-Token") == "Fetch" {
			g.fetches.Add(1)
			http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: fmt.Sprintf("session-cookie-%d", g.session), Path: "/", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "sap-usercontext", Value: "sap-client=100"})
			if !g.silent {
				w.Header().Set("X-CSRF-Token", token)
			}
		}
		return
	}
	g.writes.Add(1)
	cookie, err := r.Cookie("SAP_SESSIONID")
	if g.broken || err != nil || cookie.Value != fmt.Sprintf("session-cookie-%d", g.session) || r.Header.Get("X-CSRF-Token") != token {
		w.Header().Set("X-CSRF-Token", "Required")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "CSRF token validation failed")
		return
	}
	g.executed.Add(1)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"echo":%q}`, token)
}

func (g *gateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func TestCSRF(t *testing.T) {
	g := &gateway{password: "pa55word"}
	server := serving(t, g.serve)
	cl := client(t, AuthConfig{Basic: &Basic{User: "u", Password: Plain("pa55word")}, CSRF: &CSRF{Path: "/sap/opu/odata/sap/API_BUSINESS_PARTNER/"}}, Options{}, server.URL+"/")
	if a := get(cl, server.URL); a.Status != 200 || g.fetches.Load() != 0 {
		t.Errorf("a read needs no token: %+v", a)
	}
	calls := func(n int) {
		t.Helper()
		many(n, func(int) {
			if a := post(cl, server.URL+"/x"); a.Err != nil || a.Status != 201 || strings.Contains(string(a.Body), "csrf-token-") {
				t.Errorf("%+v %s", a, a.Body)
			}
		})
	}
	calls(20)
	if g.fetches.Load() != 1 || g.executed.Load() != 20 {
		t.Fatalf("%d fetches, %d executed", g.fetches.Load(), g.executed.Load())
	}
	g.change(func() { g.session++ }) // the session has timed out
	calls(20)
	if g.fetches.Load() != 2 || g.executed.Load() != 40 {
		t.Fatalf("%d fetches, %d executed after the session ended", g.fetches.Load(), g.executed.Load())
	}
	g.change(func() { g.broken = true })
	before := g.writes.Load()
	a := post(cl, server.URL+"/x")
	if a.Status != 403 || a.Err != nil || a.Sends != mostSends || g.writes.Load()-before != mostSends {
		t.Errorf("%+v, %d writes", a, g.writes.Load()-before)
	}
	for range 20 {
		post(cl, server.URL+"/x")
	}
	if g.fetches.Load() > 2+loginBurst {
		t.Errorf("%d fetches", g.fetches.Load())
	}
}

func TestCSRFThatCannotBeFetched(t *testing.T) {
	g := &gateway{password: "pa55word"}
	server := serving(t, g.serve)
	v := &vault{}
	v.set("wrong-pa55")
	cl := client(t, AuthConfig{Basic: &Basic{User: "u", Password: v.secret()}, CSRF: &CSRF{}}, Options{}, server.URL)
	var auth *AuthError
	many(10, func(int) {
		var refused *AuthError
		if a := post(cl, server.URL); !errors.As(a.Err, &refused) && a.Status != 401 || a.Sent {
			t.Errorf("%+v", a)
		}
	})
	if g.writes.Load() != 0 {
		t.Errorf("%d writes with a wrong password", g.writes.Load())
	}
	v.set("pa55word")
	g.change(func() { g.silent = true })
	if a := post(cl, server.URL); !errors.As(a.Err, &auth) || auth.Outage || !strings.Contains(a.Err.Error(), "csrf.path") {
		t.Errorf("%+v", a)
	}
	g.change(func() { g.silent = false })
	if a := post(cl, server.URL); a.Status != 201 {
		t.Errorf("%+v", a)
	}
	server.Close()
	fresh := client(t, AuthConfig{Basic: &Basic{User: "u", Password: Plain("pa55word")}, CSRF: &CSRF{}}, Options{}, server.URL)
	if a := post(fresh, server.URL); !errors.As(a.Err, &auth) || !auth.Outage {
		t.Errorf("%+v", a)
	}
}

// Beside OAuth 2: an old token and an old session in one request are both renewed.
func TestCSRFWithTokens(t *testing.T) {
	i := newIssuer(t)
	var session atomic.Int64
	var executed atomic.Int64
	target := serving(t, func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		known := i.taken[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		i.mu.Unlock()
		token := fmt.Sprint("csrf-token-", session.Load())
		switch {
		case !known:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "GET":
			w.Header().Set("X-CSRF-Token", token)
		case r.Header.Get("X-CSRF-Token") != token:
			w.Header().Set("X-CSRF-Token", "Required")
			w.WriteHeader(http.StatusForbidden)
		default:
			executed.Add(1)
		}
	})
	cl := client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", ClientSecret: Plain(i.secret)}, CSRF: &CSRF{}}, Options{}, target.URL)
	for range 3 {
		if a := post(cl, target.URL); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
		i.change(func() { i.taken = map[string]bool{} })
		session.Add(1)
	}
	if executed.Load() != 3 || i.logins.Load() != 3 {
		t.Errorf("%d executed, %d logins", executed.Load(), i.logins.Load())
	}
}
