package httpjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/web"
	"waybill/transform"
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 64 << 10

// Service asks one service.
type Service struct {
	cfg    Config
	client *web.Client
}

var _ sinks.Service = (*Service)(nil)

// New makes the adapter; nothing is asked.
func New(cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the service: %w", err)
	}
	cfg = cfg.withDefaults()
	o := web.Options{Timeout: cfg.Timeout}
	if cfg.Secret.Set() {
		o.Auth = web.Header(cfg.SecretHeader, cfg.Secret)
	}
	client, err := cfg.Auth.Client(o, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("configuring the service: %w", err)
	}
	return &Service{cfg, client}, nil
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
	a := s.get(ctx, s.cfg.URL+"/"+url.PathEscape(q.Name)+"?"+params.Encode())
	if out := web.Unanswered(a, true); out != nil && !errors.Is(a.Err, web.ErrTooLong) {
		if out.Outage {
			out.Hint = "Is the service running and reachable?"
		}
		return sinks.Answer{}, out
	}
	return answer(a)
}

func (s *Service) get(ctx context.Context, address string) web.Answer {
	headers := maps.Clone(s.cfg.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	headers["Accept"] = "application/json"
	return s.client.Do(ctx, web.Request{Method: http.MethodGet, URL: address, Header: headers})
}

// The hints of refusals.
const (
	hintAddress = "Correct url in the service's configuration, or ask in the mapping."
	hintAuth    = "Correct the secret in the service's configuration."
)

// answers is what a response means, once it is known to be no answer itself: see the package's comment.
var answers = []web.Case{
	{From: 200, To: 200, Class: sinks.Rejected, As: "ANSWER", Hint: "The service must answer with one JSON object."},
	{From: 300, To: 399, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 401, To: 401, Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 403, To: 403, Class: sinks.Setup, As: "AUTH", Hint: hintAuth},
	{From: 404, To: 405, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 410, To: 410, Class: sinks.Setup, As: "ADDRESS", Hint: hintAddress},
	{From: 408, To: 408, Class: sinks.RetryLater, As: "RATE", Hint: "Lower rate in the service's policy if it stays so."},
	{From: 425, To: 425, Class: sinks.RetryLater, As: "RATE", Hint: "Lower rate in the service's policy if it stays so."},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE", Hint: "Lower rate in the service's policy if it stays so."},
	{From: 400, To: 499, Class: sinks.Rejected, As: "REFUSED", Hint: "Compare the mapping's lookup with what the service takes."},
	{Class: sinks.RetryLater, As: "OUTAGE", Outage: true, Hint: "The service is down."},
}

// answer classifies a response: see the package's comment.
func answer(a web.Answer) (sinks.Answer, *sinks.Outcome) {
	object := isObject(a)
	switch {
	case len(a.Body) > maxBody || a.Err != nil:
		return sinks.Answer{}, &sinks.Outcome{Class: sinks.Rejected, Code: "TOO_LONG", Message: message(a), Hint: fmt.Sprintf("An answer may have %d bytes.", maxBody), Wait: a.Wait}
	case a.Status == http.StatusOK && object:
		return sinks.Answer{Found: true, Object: a.Body, Version: web.Clip(a.Header.Get("ETag"), most)}, nil
	case a.Status == http.StatusNoContent, a.Status == http.StatusNotFound && object,
		a.Status == http.StatusOK && string(bytes.TrimSpace(a.Body)) == "null":
		return sinks.Answer{}, nil
	}
	out := web.Classify(answers, web.Said{Status: a.Status, Message: message(a)})
	out.Wait = a.Wait
	return sinks.Answer{}, &out
}

// most bounds a text that goes into a message, in bytes.
const most = 300

func message(a web.Answer) string {
	text := "The service answered HTTP " + strconv.Itoa(a.Status)
	if said := strings.TrimSpace(string(a.Body)); said != "" {
		text += ": " + said
	}
	return web.Clip(text, most)
}

// isObject reports whether the body is said to be JSON and is an object.
func isObject(a web.Answer) bool {
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	return json.Valid(a.Body) && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{"))
}

// Check implements sinks.Service: any answer of the address shows that it is there, and 401 or 403 that it does not let us in.
func (s *Service) Check(ctx context.Context) ([]cdc.Finding, error) {
	a := s.get(ctx, s.cfg.URL)
	var refused *web.AuthError
	barred := errors.As(a.Err, &refused) && !refused.Outage
	if a.Err != nil && !barred {
		return nil, fmt.Errorf("asking the service: %w", a.Err)
	}
	f := cdc.Finding{Check: "service", Level: cdc.LevelOK, Found: "answers with HTTP " + strconv.Itoa(a.Status)}
	if barred {
		f.Found = refused.Error()
	}
	if barred || a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden {
		f.Level, f.Want, f.Why, f.Fix = cdc.LevelFail, "a service that lets us in", "No question can be asked.", hintAuth
	}
	return []cdc.Finding{f}, nil
}

// Close implements sinks.Service.
func (s *Service) Close() error {
	s.client.Close()
	return nil
}
