package http

import (
	"context"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"slices"

	"waybill/cdc"
)

// Check implements sinks.Sink.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	var all []cdc.Finding
	if s.cfg.Check == "" {
		all = append(all, cdc.Finding{Check: "answer", Level: cdc.LevelWarn, Found: "not asked", Want: "a path that answers while the service is well",
			Why: "A wrong address or secret shows with the first posting only.", Fix: "check: /health"})
	} else {
		x := s.do(ctx, nethttp.MethodGet, s.cfg.URL+s.cfg.Check, nil, nil)
		if x.err != nil {
			return nil, fmt.Errorf("asking %s%s: %w", redacted(s.cfg.URL), s.cfg.Check, x.err)
		}
		f := cdc.Finding{Check: "answer", Level: cdc.LevelOK, Found: fmt.Sprint(x.status), Want: "200"}
		if x.status < 200 || x.status > 299 {
			f.Level, f.Why, f.Fix = cdc.LevelFail, "Nothing can be asked of the service.", classify(x.status, nil, nil, sent).Hint
		}
		all = append(all, f)
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Entities)) {
		f := cdc.Finding{Check: "verify of " + name, Level: cdc.LevelOK, Found: s.cfg.Entities[name].Verify.Path}
		if f.Found == "" {
			f = cdc.Finding{Check: f.Check, Level: cdc.LevelWarn, Found: "nothing", Want: "a path that finds a request by its key",
				Why: "After a lost answer the request is sent again with the same key: at least once.", Fix: `verify: { path: "/…?key={external_id}" }`}
		}
		all = append(all, f)
	}
	return all, nil
}

// Identity implements sinks.Sink: the address, for a service has no other name.
func (s *Sink) Identity(context.Context) (string, error) {
	u, err := url.Parse(s.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("the address of the service: %w", err)
	}
	return "http/" + u.Host + u.Path, nil
}
