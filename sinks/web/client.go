package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds, in bytes, of a request and of what is read of its answer; a longer answer is an unknown outcome, not a full memory.
const (
	MaxRequest = 4 << 20
	MaxAnswer  = 4 << 20
)

// ErrTooLong is the error of an answer above MaxAnswer; its status is known.
var ErrTooLong = fmt.Errorf("an answer above %d bytes", MaxAnswer)

// Options make a client.
type Options struct {
	Auth    Auth              // who lets requests in; nil: nobody asks
	Headers map[string]string // of every request; no secrets
	TLS     *tls.Config       // nil: the system's roots
	Timeout time.Duration     // of one request with its answer; 0 means 30s. The caller's context may be shorter
	Idle    int               // connections kept open, at most; 0 means 128. No more are opened than requests run at once
}

// Client sends requests to one target. It may be used by several goroutines.
type Client struct {
	options Options
	http    *http.Client

	mu      sync.Mutex
	secrets []string          // those that hide takes out
	hide    *strings.Replacer // nil when there are none
}

// New makes a client; nothing is asked.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 128
	}
	if o.Auth == nil {
		o.Auth = nobody{}
	}
	return &Client{options: o, http: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     o.TLS,
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: o.Idle,
			IdleConnTimeout:     30 * time.Second,
			// HTTP/2 retries a stream that the server has refused, and its frames say nothing of whether a request was begun.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Request is what is sent.
type Request struct {
	Method string // GET and HEAD are reads; all others are writes
	URL    string
	Header map[string]string // beside those of the client; no secrets
	Body   []byte            // of at most MaxRequest bytes; a write without one sends an empty body
	// Refused says that the target has refused the request for its credentials and certainly not executed it; nil: a status of 401.
	Refused func(Answer) bool
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte        // without secrets
	Wait   time.Duration // Retry-After; 0 when it did not say
	Sent   bool          // a connection was there, so that the request may have reached the target
	Sends  int           // how often it was sent: more than once when it was refused for old credentials
	Took   time.Duration
	Err    error // there is no answer, or not all of it; *AuthError when there were no credentials. Without secrets
}

// mostSends bounds how often a request is sent that is refused for its credentials each time: an old token, and an old session beside it.
const mostSends = 3

// Do sends a request once, and again only if it was refused for credentials that could be renewed: such a request was not executed.
func (c *Client) Do(ctx context.Context, r Request) (a Answer) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	if len(r.Body) > MaxRequest {
		return Answer{Err: fmt.Errorf("a request of %d bytes; at most %d are sent", len(r.Body), MaxRequest)}
	}
	for sends := 1; ; sends++ {
		again := false
		a, again = c.attempt(ctx, r)
		a.Sends = sends
		if !again || sends == mostSends {
			a.Took = time.Since(begun)
			return a
		}
	}
}

// attempt sends a request and tells the Auth what became of its credentials.
func (c *Client) attempt(ctx context.Context, r Request) (a Answer, again bool) {
	t := &attempt{}
	ctx = context.WithValue(ctx, attemptKey{}, t)
	a = c.once(ctx, r)
	if a.Err != nil || !c.refuses(r, a) {
		t.settle(a.Err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests)
		return a, false
	}
	if t.conns > 1 { // a signature is refused the second time that it comes, which says nothing of the credentials
		t.settle(false)
		return a, true
	}
	again, err := c.options.Auth.Refused(ctx, a)
	t.settle(false)
	if err != nil {
		a.Err = c.unauthorized(err)
	}
	return a, again && err == nil
}

// refuses says whether an answer refuses a request for its credentials.
func (c *Client) refuses(r Request, a Answer) bool {
	if own, ok := c.options.Auth.(interface{ refuses(Answer) bool }); ok && own.refuses(a) {
		return true
	}
	if r.Refused != nil {
		return r.Refused(a)
	}
	return a.Status == http.StatusUnauthorized
}

func (c *Client) once(ctx context.Context, r Request) (a Answer) {
	// From the moment when there is a connection nobody can say that nothing was written to it. It is told in this goroutine; what is
	// written is told in another, which may be late.
	t := attemptOf(ctx)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		a.Sent = true
		t.conns++
	}})
	req, err := c.request(ctx, r)
	if err != nil {
		a.Err = err
		return a
	}
	resp, err := c.http.Do(req)
	if err != nil {
		a.Err = c.quietly(err)
		return a
	}
	defer resp.Body.Close()
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	hide := c.hider()
	a.Status, a.Header, a.Wait = resp.StatusCode, hideHeader(resp.Header, hide), retryAfter(resp.Header, time.Now())
	if hide != nil {
		a.Body = []byte(hide.Replace(string(a.Body)))
	}
	switch {
	case err != nil:
		a.Err = c.quietly(err)
	case len(a.Body) > MaxAnswer:
		a.Err, a.Body = ErrTooLong, a.Body[:excerpt]
	}
	return a
}

// excerpt is what is left of an answer that is too long, in bytes.
const excerpt = 4 << 10

// request makes a request that Go's transport cannot send twice, with the credentials.
func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	var body io.Reader
	if write {
		body = onlyOnce{bytes.NewReader(r.Body)} // a type that net/http cannot rewind: it has no GetBody
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, c.quietly(err)
	}
	if write {
		req.ContentLength = int64(len(r.Body))
	}
	req.Header.Set("User-Agent", "waybill")
	for _, headers := range []map[string]string{c.options.Headers, r.Header} {
		for name, value := range headers {
			req.Header.Set(name, value)
		}
	}
	if err := c.options.Auth.Apply(ctx, req, r.Body); err != nil {
		return nil, c.unauthorized(err)
	}
	return req, nil
}

// onlyOnce is a body that can be read once.
type onlyOnce struct{ io.Reader }

// Close ends the connections that are kept open, those to a token server too.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	if own, ok := c.options.Auth.(interface{ close() }); ok {
		own.close()
	}
}

const hidden = "***"

// unauthorized is an AuthError without secrets.
func (c *Client) unauthorized(err error) error {
	var known *AuthError
	if !errors.As(err, &known) {
		return &AuthError{Err: c.quietly(err)}
	}
	return &AuthError{Err: c.quietly(known.Err), Outage: known.Outage, Unread: known.Unread, Wait: known.Wait}
}

// quietly is a transport error without secrets and without the address, which the reader knows, in a bounded length.
func (c *Client) quietly(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	text := err.Error()
	if hide := c.hider(); hide != nil {
		text = hide.Replace(text) // before it is cut, which could leave a part of one
	}
	return errors.New(Clip(text, 300))
}

// hider takes the secrets out of a text; nil when there are none.
func (c *Client) hider() *strings.Replacer {
	secrets := c.options.Auth.Secrets()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(secrets, c.secrets) {
		c.secrets, c.hide = secrets, hider(secrets)
	}
	return c.hide
}

// maxWait bounds what a target may ask for.
const maxWait = 24 * time.Hour

// retryAfter reads the header in both of its forms (RFC 9110, 10.2.3); 0 when it is neither. A date is compared with the target's own clock
// where it tells it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds > int(maxWait/time.Second) {
			return maxWait
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(at.Sub(now), 0), maxWait)
}

// Clip bounds a text that goes into a message, in bytes.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
