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
	"strconv"
	"strings"
	"time"
)

// Bounds, in bytes, of a request and of what is read of its answer; a longer answer is an unknown outcome, not a full memory.
const (
	MaxRequest = 4 << 20
	MaxAnswer  = 4 << 20
)

// Options make a client.
type Options struct {
	Auth    Auth              // who lets requests in; nil: nobody asks
	Headers map[string]string // of every request; no secrets
	TLS     *tls.Config       // nil: the system's roots
	Timeout time.Duration     // of one request with its answer; 0 means 30s. The caller's context may be shorter
	Idle    int               // connections kept open; 0 means 16
}

// Client sends requests to one target. It may be used by several goroutines.
type Client struct {
	options Options
	http    *http.Client
}

// New makes a client; nothing is asked.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 16
	}
	if o.Auth == nil {
		o.Auth = nobody{}
	}
	return &Client{o, &http.Client{
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
	Sent   bool          // the request may have reached the target
	Sends  int           // how often it was sent: 2 when the first was refused for old credentials
	Took   time.Duration
	Err    error // there is no answer, or not all of it; *AuthError when there were no credentials. Without secrets
}

// Do sends a request once, and once more if it was refused for credentials that could be renewed.
func (c *Client) Do(ctx context.Context, r Request) (a Answer) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	if len(r.Body) > MaxRequest {
		return Answer{Err: fmt.Errorf("a request of %d bytes; at most %d are sent", len(r.Body), MaxRequest)}
	}
	refused := r.Refused
	if refused == nil {
		refused = func(a Answer) bool { return a.Status == http.StatusUnauthorized }
	}
	a = c.once(ctx, r)
	a.Sends = 1
	if a.Err == nil && refused(a) {
		again, err := c.options.Auth.Refused(ctx, a)
		switch {
		case err != nil:
			a.Err = c.unauthorized(err)
		case again:
			a = c.once(ctx, r)
			a.Sends = 2
		}
	}
	a.Took = time.Since(begun)
	return a
}

func (c *Client) once(ctx context.Context, r Request) (a Answer) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { a.Sent = true }})
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	var body io.Reader
	if write {
		body = onlyOnce{bytes.NewReader(r.Body)} // a type that net/http cannot rewind: it has no GetBody
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		a.Err = errors.New(c.hide(plain(err)))
		return a
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
		a.Err = c.unauthorized(err)
		return a
	}
	resp, err := c.http.Do(req)
	if err != nil {
		a.Err = errors.New(c.hide(plain(err)))
		return a
	}
	defer resp.Body.Close()
	a.Status, a.Header, a.Wait = resp.StatusCode, resp.Header, retryAfter(resp.Header.Get("Retry-After"), time.Now())
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		a.Err = errors.New(c.hide(plain(err)))
	case len(a.Body) > MaxAnswer:
		a.Err, a.Body = fmt.Errorf("an answer above %d bytes", MaxAnswer), a.Body[:MaxAnswer]
	}
	for _, secret := range c.options.Auth.Secrets() {
		a.Body = bytes.ReplaceAll(a.Body, []byte(secret), []byte(hidden))
	}
	return a
}

// onlyOnce is a body that can be read once.
type onlyOnce struct{ io.Reader }

// Close ends the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const hidden = "***"

// unauthorized is an AuthError without secrets.
func (c *Client) unauthorized(err error) error {
	var known *AuthError
	outage := errors.As(err, &known) && known.Outage
	if known != nil {
		err = known.Err
	}
	return &AuthError{Err: errors.New(c.hide(plain(err))), Outage: outage}
}

// hide takes secrets out of a text.
func (c *Client) hide(text string) string {
	for _, secret := range c.options.Auth.Secrets() {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

// plain is a transport error without the address, which the reader knows, in a bounded length.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return Clip(err.Error(), 300)
}

// retryAfter reads the header in both of its forms (RFC 9110, 10.2.3); 0 when it is neither.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 86400)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// Clip bounds a text that goes into a message, in bytes.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
