package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of a request and of what is read of its answer; a longer answer is an unknown outcome, not a full memory.
const (
	maxRequest = 1 << 20
	maxAnswer  = 1 << 20
)

// newClient returns a client that sends what it is given once. Go's transport sends a request again on its own when a kept connection turns out
// to be dead, and it does so for a POST that has an Idempotency-Key: so no connection is used twice, HTTP/2 is off, and no body
// can be had a second time (Invariant 9). It follows no redirect: another host has no business with the secret.
func newClient() *nethttp.Client {
	return &nethttp.Client{
		Transport: &nethttp.Transport{
			DisableKeepAlives:   true,
			TLSNextProto:        map[string]func(string, *tls.Conn) nethttp.RoundTripper{},
			Proxy:               nethttp.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
		},
		CheckRedirect: func(*nethttp.Request, []*nethttp.Request) error { return nethttp.ErrUseLastResponse },
	}
}

// exchange is one request with its answer.
type exchange struct {
	status int
	body   []byte
	json   bool          // the answer says that it is JSON
	wait   time.Duration // Retry-After; 0 when it did not say
	moved  string        // host that a redirect names
	sent   bool          // the request may have reached the service
	err    error         // there is no answer, or not all of it
}

// do sends one request, once. The secret is added here and nowhere else.
func (s *Sink) do(ctx context.Context, method, target string, headers map[string]string, body []byte) (x exchange) {
	secret, err := s.secret()
	if err != nil {
		x.err = &secretError{err}
		return x
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.sent = true }})
	req, err := nethttp.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		x.err = err
		return x
	}
	req.GetBody = nil
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "waybill")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	if secret != "" {
		req.Header.Set(s.cfg.SecretHeader, secret)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		x.err = errors.New(s.quiet(plain(err), secret))
		return x
	}
	defer resp.Body.Close()
	x.status, x.wait = resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), s.now())
	x.json = strings.Contains(resp.Header.Get("Content-Type"), "json")
	if to, err := resp.Location(); err == nil {
		x.moved = to.Host
	}
	x.body, x.err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case x.err != nil:
		x.err = errors.New(s.quiet(plain(x.err), secret))
	case len(x.body) > maxAnswer:
		x.err, x.body = fmt.Errorf("an answer above %d bytes", maxAnswer), x.body[:maxAnswer]
	}
	if secret != "" {
		x.body = bytes.ReplaceAll(x.body, []byte(secret), []byte("***"))
	}
	return x
}

// secretError is that the secret cannot be read now.
type secretError struct{ err error }

func (e *secretError) Error() string { return "reading the secret: " + e.err.Error() }

func (s *Sink) secret() (string, error) {
	if s.cfg.Reread == nil {
		return s.cfg.Secret, nil
	}
	return s.cfg.Reread()
}

// quiet takes a secret out of a text that leaves the adapter (Invariant 12).
func (s *Sink) quiet(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "***")
}

// plain is a transport error without the address, which the reader knows, in a bounded length.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return clip(err.Error(), 300)
}

// retryAfter reads the header in both of its forms (RFC 9110, 10.2.3); 0 when there is none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 && seconds < 1_000_000 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := nethttp.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
