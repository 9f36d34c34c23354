package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// CSRF is SAP's token against forged requests: a GET with X-CSRF-Token: Fetch gives a token and the cookies of a session, which each write
// must carry. When the session has ended the target answers 403 with X-CSRF-Token: Required and has executed nothing.
type CSRF struct {
	// Path behind the target's address that gives the token, beginning with /. Default: the address itself.
	Path string `yaml:"path"`
}

func (c CSRF) validate(at, kind string, bad fault) {
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		bad(at+"path", c.Path, "a path behind url, beginning with /")
	}
	if kind == KindSignature || kind == KindOAuth1 || kind == "" {
		bad(strings.TrimSuffix(at, "."), "csrf with "+kind, "basic, oauth2, bearer, api_key or a client certificate beside it")
	}
}

// auth puts the token beside the credentials of o.
func (c CSRF) auth(o Options, target string) Auth {
	a := &csrf{inner: o.Auth, address: strings.TrimRight(target, "/") + c.Path, fetches: rate.NewLimiter(rate.Every(loginEvery), loginBurst)}
	if a.inner == nil { // a client certificate alone
		a.inner = nobody{}
	}
	a.life, a.end = context.WithCancel(context.Background())
	o.Timeout = loginTimeout
	a.client = New(o)
	return a
}

// csrf is one session for all requests.
type csrf struct {
	inner   Auth
	address string
	client  *Client // with the credentials alone
	flight  singleflight.Group
	seen    seen
	life    context.Context // ends with close
	end     context.CancelFunc

	mu      sync.Mutex
	session session
	fetches *rate.Limiter // those that refusals cause
}

type session struct{ token, cookies string }

func (c *csrf) close() {
	c.end()
	c.client.Close() // and what the credentials keep open
}

func (c *csrf) Secrets() []string { return append(c.inner.Secrets(), c.seen.Secrets()...) }

// Apply adds the credentials, and to a write the session, which it opens first: while the credentials are tried for the first time no other
// request may carry them.
func (c *csrf) Apply(ctx context.Context, r *http.Request, body []byte) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if write && s.token == "" {
		var err error
		if s, err = c.open(ctx); err != nil {
			return err
		}
	}
	if err := c.inner.Apply(ctx, r, body); err != nil {
		return err
	}
	if s.cookies != "" {
		r.Header.Set("Cookie", s.cookies)
	}
	if write {
		r.Header.Set("X-Csrf-Token", s.token)
		attemptOf(ctx).session = s.token
	}
	return nil
}

// open fetches a token. Many that wait cause one request.
func (c *csrf) open(ctx context.Context) (session, error) {
	landed := c.flight.DoChan("", func() (any, error) {
		c.mu.Lock()
		s := c.session
		c.mu.Unlock()
		if s.token != "" { // of a fetch that has just ended
			return s, nil
		}
		s, err := c.fetch()
		if err != nil {
			return s, err
		}
		c.mu.Lock()
		c.session = s
		c.mu.Unlock()
		return s, nil
	})
	select {
	case r := <-landed:
		if r.Err != nil {
			return session{}, r.Err
		}
		return r.Val.(session), nil
	case <-ctx.Done():
		return session{}, &AuthError{Err: fmt.Errorf("waiting for a session: %w", ctx.Err()), Outage: true}
	}
}

func (c *csrf) fetch() (s session, err error) {
	a := c.client.Do(c.life, Request{Method: http.MethodGet, URL: c.address, Header: map[string]string{"X-Csrf-Token": "Fetch", "Accept": "application/json"}})
	var refused *AuthError
	switch token := a.Header.Get("X-Csrf-Token"); {
	case errors.As(a.Err, &refused):
		return s, refused
	case a.Err != nil:
		return s, &AuthError{Err: fmt.Errorf("fetching the X-CSRF-Token: %w", a.Err), Outage: true}
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests || a.Status == http.StatusRequestTimeout:
		return s, &AuthError{Err: fmt.Errorf("fetching the X-CSRF-Token was answered with %d", a.Status), Outage: true}
	case a.Status < 200 || a.Status > 299:
		return s, &AuthError{Err: fmt.Errorf("fetching the X-CSRF-Token was answered with %d", a.Status)}
	case token == "" || strings.EqualFold(token, "Required") || strings.EqualFold(token, "Fetch"):
		return s, &AuthError{Err: errors.New("the target gave no X-CSRF-Token; csrf.path must name a service that does")}
	default:
		s.token = token
	}
	var cookies []string
	for _, cookie := range (&http.Response{Header: a.Header}).Cookies() {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
		if len(cookie.Value) >= 16 { // one of a session; shorter ones are settings, whose words stand in every answer
			c.seen.add(cookie.Value)
		}
	}
	s.cookies = strings.Join(cookies, "; ")
	c.seen.add(s.token)
	return s, nil
}

// refuses says whether the session is over.
func (c *csrf) refuses(a Answer) bool {
	return a.Status == http.StatusForbidden && strings.EqualFold(a.Header.Get("X-Csrf-Token"), "Required")
}

// Refused drops a session that is over; what else was refused is a matter of the credentials.
func (c *csrf) Refused(ctx context.Context, a Answer) (again bool, err error) {
	if !c.refuses(a) {
		return c.inner.Refused(ctx, a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if attemptOf(ctx).session == c.session.token {
		if !c.fetches.Allow() {
			return false, nil
		}
		c.session = session{}
	}
	return true, nil
}
