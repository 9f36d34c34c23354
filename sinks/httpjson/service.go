package httpjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 64 << 10

// Service asks one service.
type Service struct {
	cfg    Config
	client *http.Client
}

var _ sinks.Service = (*Service)(nil)

// New makes the adapter; nothing is asked.
func New(cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the service: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Service{cfg, &http.Client{Timeout: cfg.Timeout, Transport: http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Answers implements sinks.Answerer: what a service knows is not known before it is asked.
func (s *Service) Answers(string) error { return nil }

// Ask implements sinks.Answerer.
func (s *Service) Ask(ctx context.Context, q *transform.Question) (sinks.Answer, *sinks.Outcome) {
	params := url.Values{}
	for _, p := range q.Key {
		params.Set(p.Name, p.Value)
	}
	if q.AsOf != "" {
		params.Set("as_of", q.AsOf)
	}
	if q.Company != "" {
		params.Set("company", q.Company)
	}
	resp, body, err := s.get(ctx, s.cfg.URL+"/"+url.PathEscape(q.Name)+"?"+params.Encode())
	if err != nil {
		return sinks.Answer{}, &sinks.Outcome{Class: sinks.RetryLater, Code: "OUTAGE", Outage: true, Message: plainly(err),
			Hint: "Is the service running and reachable?"}
	}
	return answer(resp, body)
}

func (s *Service) get(ctx context.Context, address string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json")
	if s.cfg.Secret != "" {
		req.Header.Set(s.cfg.SecretHeader, s.cfg.Secret)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	return resp, body, err
}

// plainly is an error of the client without the address, whose parameters are nobody's business.
func plainly(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return clip(err.Error())
}

// answer classifies a response: see the package's comment.
func answer(resp *http.Response, body []byte) (a sinks.Answer, out *sinks.Outcome) {
	object := isObject(resp, body)
	fail := func(class sinks.Class, code, hint string) (sinks.Answer, *sinks.Outcome) {
		message := "The service answered HTTP " + strconv.Itoa(resp.StatusCode)
		if text := strings.TrimSpace(string(body)); text != "" {
			message += ": " + text
		}
		return sinks.Answer{}, &sinks.Outcome{Class: class, Code: code, Message: clip(message), Hint: hint, Outage: code == "OUTAGE",
			Wait: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	const address = "Correct url in the service's configuration, or ask in the mapping."
	switch code := resp.StatusCode; {
	case len(body) > maxBody:
		return fail(sinks.Rejected, "TOO_LONG", fmt.Sprintf("An answer may have %d bytes.", maxBody))
	case code == http.StatusOK && object:
		return sinks.Answer{Found: true, Object: body, Version: clip(resp.Header.Get("ETag"))}, nil
	case code == http.StatusNoContent, code == http.StatusNotFound && object,
		code == http.StatusOK && string(bytes.TrimSpace(body)) == "null":
		return sinks.Answer{}, nil
	case code == http.StatusOK:
		return fail(sinks.Rejected, "ANSWER", "The service must answer with one JSON object.")
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fail(sinks.Setup, "AUTH", "Correct the secret in the service's configuration.")
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone, code >= 300 && code < 400:
		return fail(sinks.Setup, "ADDRESS", address)
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return fail(sinks.RetryLater, "RATE", "Lower rate in the service's policy if it stays so.")
	case code >= 400 && code < 500:
		return fail(sinks.Rejected, "REFUSED", "Compare the mapping's lookup with what the service takes.")
	}
	return fail(sinks.RetryLater, "OUTAGE", "The service is down.")
}

// isObject reports whether the body is said to be JSON and is an object.
func isObject(resp *http.Response, body []byte) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	return json.Valid(body) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); 0 when it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(min(n, 86400)) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// clip bounds a text that goes into a message.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Check implements sinks.Service: any answer of the address shows that it is there, and 401 or 403 that it does not let us in.
func (s *Service) Check(ctx context.Context) ([]cdc.Finding, error) {
	resp, _, err := s.get(ctx, s.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("asking the service: %s", plainly(err))
	}
	f := cdc.Finding{Check: "service", Level: cdc.LevelOK, Found: "answers with HTTP " + strconv.Itoa(resp.StatusCode)}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		f.Level, f.Want, f.Why, f.Fix = cdc.LevelFail, "a service that lets us in", "No question can be asked.", "Correct the secret in the service's configuration."
	}
	return []cdc.Finding{f}, nil
}

// Close implements sinks.Service.
func (s *Service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
