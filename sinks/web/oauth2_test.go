package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/sinks"
)

// issuer is a token server with the target that takes its tokens.
type issuer struct {
	*httptest.Server
	t      *testing.T
	logins atomic.Int64
	calls  atomic.Int64

	mu     sync.Mutex
	secret string
	taken  map[string]bool                  // tokens that the target takes
	takes  bool                             // whether it takes new ones
	answer func(token string) (int, string) // in place of the usual
	form   url.Values
	delay  time.Duration
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, secret: "c1ient s3cret/+", taken: map[string]bool{}, takes: true}
	i.Server = serving(t, i.serve)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path != "/token" {
		i.calls.Add(1)
		if !i.taken[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return
	}
	n := i.logins.Add(1)
	raw, _ := io.ReadAll(r.Body)
	i.form, _ = url.ParseQuery(string(raw))
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if i.form.Has("client_secret") {
		id, secret = i.form.Get("client_id"), i.form.Get("client_secret")
	}
	time.Sleep(i.delay) // so that others come while it logs in
	token := fmt.Sprintf("t0ken-%d", n)
	status, body := 200, fmt.Sprintf(`{"access_token":%q,"token_type":"bearer","expires_in":3600}`, token)
	switch {
	case i.answer != nil:
		status, body = i.answer(token)
	case !i.form.Has("client_assertion") && (id != "c1" || secret != i.secret):
		status, body = 401, `{"error":"invalid_client","error_description":"the secret `+secret+` of c1 has expired"}`
	}
	if status == 200 && i.takes {
		i.taken[token] = true
	}
	w.Header().Set("Content-Type", "application/json")
	if body == "wait" {
		w.Header().Set("Retry-After", "60")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *issuer) client(secret Secret) (*Client, *oauth2, *clock) {
	cl := client(i.t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", ClientSecret: secret, Scope: "a b", Params: map[string]string{"audience": "x"}}}, Options{}, i.URL)
	o, c := cl.options.Auth.(*oauth2), newClock()
	o.door.clock = c.now
	return cl, o, c
}

func TestOneLoginForAll(t *testing.T) {
	i := newIssuer(t)
	i.delay = 30 * time.Millisecond
	cl, _, clock := i.client(Plain(i.secret))
	calls := func() {
		t.Helper()
		many(20, func(int) {
			if a := post(cl, i.URL); a.Err != nil || a.Status != 200 {
				t.Errorf("%+v", a)
			}
		})
	}
	calls()
	if i.logins.Load() != 1 || i.form.Get("grant_type") != "client_credentials" || i.form.Get("scope") != "a b" || i.form.Get("audience") != "x" {
		t.Errorf("%d logins, %v", i.logins.Load(), i.form)
	}
	clock.forward(58 * time.Minute)
	calls()
	if i.logins.Load() != 1 {
		t.Errorf("%d logins within the hour", i.logins.Load())
	}
	clock.forward(90 * time.Second) // the margin
	calls()
	if i.logins.Load() != 2 {
		t.Errorf("%d logins after it", i.logins.Load())
	}
	i.change(func() { i.taken = map[string]bool{} }) // all tokens were revoked
	calls()
	if i.logins.Load() != 3 {
		t.Errorf("%d logins after a revocation", i.logins.Load())
	}
}

// A refused login is one; nobody tries it again before the secret has changed or five minutes are over.
func TestARefusedLoginIsOne(t *testing.T) {
	i := newIssuer(t)
	v := &vault{}
	v.set("expired-1")
	cl, _, clock := i.client(v.secret())
	refused := func() {
		t.Helper()
		many(20, func(int) {
			a := post(cl, i.URL)
			var auth *AuthError
			if !errors.As(a.Err, &auth) || auth.Outage || a.Sent {
				t.Errorf("%+v", a)
			} else if text := a.Err.Error(); !strings.Contains(text, "invalid_client") || strings.Contains(text, "expired-1") || strings.Contains(text, "credentials: credentials") {
				t.Error(text)
			}
		})
	}
	refused()
	clock.forward(4 * time.Minute)
	refused()
	if i.logins.Load() != 1 || i.calls.Load() != 0 {
		t.Fatalf("%d logins, %d calls", i.logins.Load(), i.calls.Load())
	}
	clock.forward(2 * time.Minute)
	refused()
	if i.logins.Load() != 2 {
		t.Fatalf("%d logins after six minutes", i.logins.Load())
	}
	v.set(i.secret)
	if a := post(cl, i.URL); a.Err != nil || a.Status != 200 || i.logins.Load() != 3 {
		t.Errorf("%+v after %d logins", a, i.logins.Load())
	}
}

// A target that takes no token of the token server sees two of them, not one for each request.
func TestATargetThatTakesNoToken(t *testing.T) {
	i := newIssuer(t)
	i.takes = false
	cl, _, clock := i.client(Plain(i.secret))
	for range 3 {
		many(10, func(int) {
			if a := post(cl, i.URL); a.Err == nil && a.Status != 401 {
				t.Errorf("%+v", a)
			}
		})
	}
	if i.logins.Load() != 2 {
		t.Fatalf("%d logins", i.logins.Load())
	}
	if a := post(cl, i.URL); a.Err == nil || !strings.Contains(a.Err.Error(), "refuses new tokens") {
		t.Errorf("%+v", a)
	}
	clock.forward(6 * time.Minute)
	many(10, func(int) { post(cl, i.URL) })
	if i.logins.Load() != 3 {
		t.Fatalf("%d logins after six minutes", i.logins.Load())
	}
	i.change(func() { i.takes = true })
	clock.forward(6 * time.Minute)
	if a := post(cl, i.URL); a.Status != 200 || i.logins.Load() != 4 {
		t.Errorf("%+v after %d logins", a, i.logins.Load())
	}
}

// One resource that refuses every token cannot make a login of each request, though others take the tokens.
func TestAResourceThatAlwaysRefuses(t *testing.T) {
	i := newIssuer(t)
	cl, _, _ := i.client(Plain(i.secret))
	for range 30 {
		if a := post(cl, i.URL); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
		cl.Do(t.Context(), Request{Method: "GET", URL: i.URL, Refused: func(Answer) bool { return true }})
	}
	if n := i.logins.Load(); n > 1+loginBurst {
		t.Errorf("%d logins", n)
	}
}

func TestATokenServerThatIsDown(t *testing.T) {
	i := newIssuer(t)
	cl, _, clock := i.client(Plain(i.secret))
	for n, c := range []struct {
		status int
		body   string
	}{{503, "<html>"}, {500, `{"error":"invalid_client"}`}, {429, ""}, {400, `{"error":"temporarily_unavailable"}`}, {200, strings.Repeat(" ", MaxAnswer+1)}} {
		i.change(func() { i.answer = func(string) (int, string) { return c.status, c.body } })
		many(5, func(int) {
			a := post(cl, i.URL)
			var auth *AuthError
			if !errors.As(a.Err, &auth) || !auth.Outage || a.Sent {
				t.Errorf("%d: %+v", c.status, a)
			}
		})
		if i.logins.Load() != int64(n+1) {
			t.Errorf("%d: %d logins", c.status, i.logins.Load())
		}
		clock.forward(2 * time.Second)
	}
	i.change(func() { i.answer = func(string) (int, string) { return 429, "wait" } })
	for _, wait := range []time.Duration{time.Minute, 50 * time.Second} { // it says so once; nobody asks again before
		o := Unanswered(post(cl, i.URL), false)
		if o == nil || o.Class != sinks.RetryLater || o.Wait != wait || i.logins.Load() != 6 {
			t.Errorf("%+v after %d logins", o, i.logins.Load())
		}
		clock.forward(10 * time.Second)
	}
	clock.forward(time.Minute)
	i.change(func() { i.answer = nil })
	if a := post(cl, i.URL); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	i.Close()
	clock.forward(2 * time.Hour)
	var auth *AuthError
	if a := post(cl, i.URL); !errors.As(a.Err, &auth) || !auth.Outage {
		t.Errorf("%+v", a)
	}
}

// What a token server may say, and how long its token is used.
func TestAnswersOfTheTokenServer(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		life   time.Duration // 0: no token
	}{
		{200, `{"access_token":"%s","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		{200, `{"access_token":"%s","token_type":"bearer","expires_in":"3599"}`, 3539 * time.Second},
		{200, `{"access_token":"%s","expires_in":100}`, 90 * time.Second},
		{200, `{"access_token":"%s"}`, 9 * time.Minute},
		{200, `{"access_token":"%s","expires_in":null}`, 9 * time.Minute},
		{200, `{"access_token":"%s","expires_in":-1}`, 9 * time.Minute},
		{200, `{"access_token":"%s","expires_in":1e300}`, tokenMost - marginMost},
		{200, `{"access_token":"%s","expires_in":{}}`, 9 * time.Minute},
		{200, `{"access_token":"%s","token_type":"mac"}`, 0},
		{200, `{"access_token":""}`, 0},
		{200, `<html>%s`, 0},
		{200, `{"error":"invalid_scope"}`, 0},
		{302, ``, 0}, {404, `no`, 0}, {400, `{"error":"unauthorized_client"}`, 0}, {403, ``, 0},
	} {
		i := newIssuer(t)
		i.answer = func(token string) (int, string) { return c.status, strings.ReplaceAll(c.body, "%s", token) }
		cl, o, clock := i.client(Plain(i.secret))
		a := post(cl, i.URL)
		var auth *AuthError
		switch {
		case c.life == 0:
			if !errors.As(a.Err, &auth) || auth.Outage {
				t.Errorf("%d %s: %+v", c.status, c.body, a)
			}
		case a.Status != 200:
			t.Errorf("%d %s: %+v", c.status, c.body, a)
		default:
			if got := o.token.end.Sub(clock.now()); got != c.life {
				t.Errorf("%s: used for %s, want %s", c.body, got, c.life)
			}
		}
		i.Close()
	}
}

func TestTheSecretInTheBody(t *testing.T) {
	i := newIssuer(t)
	cl := client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", ClientSecret: Plain(i.secret), SecretIn: "body"}}, Options{}, i.URL)
	if a := post(cl, i.URL); a.Status != 200 || i.form.Get("client_secret") != i.secret {
		t.Errorf("%+v", a)
	}
}

// A caller that gives up does not take the login away from the others.
func TestACallerGivesUp(t *testing.T) {
	i := newIssuer(t)
	i.delay = 200 * time.Millisecond
	cl, _, _ := i.client(Plain(i.secret))
	hasty := New(Options{Auth: cl.options.Auth, Timeout: 20 * time.Millisecond})
	many(2, func(n int) {
		if n == 0 {
			var auth *AuthError
			if a := post(hasty, i.URL); !errors.As(a.Err, &auth) || !auth.Outage || a.Sent {
				t.Errorf("%+v", a)
			}
			return
		}
		if a := post(cl, i.URL); a.Status != 200 {
			t.Errorf("%+v", a)
		}
	})
	if i.logins.Load() != 1 {
		t.Errorf("%d logins", i.logins.Load())
	}
}
