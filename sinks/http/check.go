package http

import (
	"context"
	"errors"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"slices"

	"waybill/cdc"
	"waybill/sinks/web"
)

// Check implements sinks.Sink.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	var all []cdc.Finding
	if s.cfg.Check == "" {
		all = append(all, cdc.Finding{Check: "answer", Level: cdc.LevelWarn, Found: "not asked", Want: "a path that answers while the service is well",
			Why: "A wrong address or secret shows with the first posting only.", Fix: "check: /health"})
	} else {
		f, err := s.answers(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Entities)) {
		for _, st := range s.entities[name] {
			check := "verify of " + name
			if len(s.entities[name]) > 1 {
				check += ", step " + st.Name
			}
			f := cdc.Finding{Check: check, Level: cdc.LevelOK, Found: st.Verify.Path}
			if f.Found == "" {
				f = cdc.Finding{Check: f.Check, Level: cdc.LevelWarn, Found: "nothing", Want: "a path that finds a request by its key",
					Why: "After a lost answer the request is sent again with the same key: at least once.", Fix: `verify: { path: "/…?key={external_id}" }`}
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// answers asks whether the service is well and lets us in.
func (s *Sink) answers(ctx context.Context) (cdc.Finding, error) {
	a := s.client.Do(ctx, web.Request{Method: nethttp.MethodGet, URL: s.cfg.URL + s.cfg.Check, Header: s.headers(step{}, nil, nil)})
	var refused *web.AuthError
	if errors.As(a.Err, &refused) && !refused.Outage {
		return cdc.Finding{Check: "answer", Level: cdc.LevelFail, Found: refused.Error(), Want: "200", Why: "Nothing can be asked of the service.", Fix: hintAuth}, nil
	}
	if a.Err != nil {
		return cdc.Finding{}, fmt.Errorf("asking %s%s: %w", redacted(s.cfg.URL), s.cfg.Check, a.Err)
	}
	f := cdc.Finding{Check: "answer", Level: cdc.LevelOK, Found: fmt.Sprint(a.Status), Want: "200"}
	if a.Status < 200 || a.Status > 299 {
		f.Level, f.Why, f.Fix = cdc.LevelFail, "Nothing can be asked of the service.", web.Classify(sent, web.Said{Status: a.Status}).Hint
	}
	return f, nil
}

// Identity implements sinks.Sink: the address, for a service has no other name.
func (s *Sink) Identity(context.Context) (string, error) {
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("the address of the service: %w", err)
	}
	return "http/" + u.Host + u.Path, nil
}
