package http

import (
	"context"
	"fmt"
	"maps"
	nethttp "net/http"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
)

// Verify implements sinks.Sink.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	e, ok := s.cfg.Entities[in.Entity]
	if !ok || e.Verify.Path == "" {
		return *rejected("ENTITY", fmt.Sprintf("entity %q cannot be verified", in.Entity), "Give the entity a verify block.")
	}
	body, err := decode(in.Body)
	var path string
	if err == nil {
		path, err = expand(e.Verify.Path, in.Operation, body)
	}
	if err != nil {
		return *rejected("PATH", err.Error(), hintVerify)
	}
	x := s.do(ctx, nethttp.MethodGet, s.cfg.URL+path, e.Headers, nil)
	o := s.verified(e, x, body)
	o.Request, o.Answer = clip("GET "+path, 4096), clip(string(x.body), 4096)
	return o
}

// verified classifies the answer to a verification. That something is not there is said by an empty list, or by a 404 in the service's own
// words (JSON): any other page may come from a proxy, or from an address that was never right.
func (s *Sink) verified(e Entity, x exchange, body any) sinks.Outcome {
	if o := unanswered(x); o != nil {
		if o.Class == sinks.Unknown {
			o.Class, o.Hint = sinks.RetryLater, "" // a read may always be repeated
		}
		return *o
	}
	o := classify(x.status, e.Verify.Status, verifyWords, looked)
	o.Wait = x.wait
	if _, declared := e.Verify.Status["404"]; x.status == nethttp.StatusNotFound && !declared && (!x.json || e.Verify.Found != "") {
		o = sinks.Outcome{Class: sinks.Setup, Code: codeAddress, Message: "404 for the verification, but not in the service's own words", Hint: hintVerify}
	}
	s.explain(&o, x)
	if o.Class != sinks.AlreadyApplied {
		return o
	}
	v, err := decode(x.body)
	var found []any
	if err == nil {
		found, err = listOf(v, e.Verify.Found)
	}
	if err != nil {
		return sinks.Outcome{Class: sinks.Setup, Code: codeAnswer, Message: clip(err.Error(), 500), Hint: hintVerify}
	}
	return e.compare(found, body)
}

// listOf is what a verification found.
func listOf(v any, name string) ([]any, error) {
	if name != "" {
		for _, part := range strings.Split(name, ".") {
			m, _ := v.(map[string]any)
			v = m[part]
		}
	}
	switch v := v.(type) {
	case []any:
		return v, nil
	case map[string]any:
		return []any{v}, nil
	case nil:
		if name == "" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("an answer without the list %q", name)
}

// compare says whether what was found is what was asked for.
func (e Entity) compare(found []any, body any) sinks.Outcome {
	switch {
	case len(found) == 0:
		return sinks.Outcome{Class: sinks.Absent}
	case len(found) > 1:
		return sinks.Outcome{Class: sinks.Conflict, Code: "DUPLICATE_IN_TARGET", Message: fmt.Sprintf("Found %d times.", len(found)), Hint: "Remove all but one in the service, then retry."}
	}
	o := sinks.Outcome{Class: sinks.AlreadyApplied}
	if err := e.read(found[0], &o); err != nil {
		return sinks.Outcome{Class: sinks.Setup, Code: codeAnswer, Message: clip(err.Error(), 500), Hint: hintVerify}
	}
	for _, theirs := range slices.Sorted(maps.Keys(e.Verify.Compare)) {
		ours := e.Verify.Compare[theirs]
		want, asked := member(body, ours)
		if !asked {
			continue // the posting left it out
		}
		if got, _ := member(found[0], theirs); !equal(got, want) {
			return sinks.Outcome{Class: sinks.Conflict, Code: "DIFFERENT", Ref: o.Ref, Field: theirs,
				Message: clip(fmt.Sprintf("Found with %s %q; %q was asked.", theirs, got, want), 500), Hint: "Compare the two; correct the service or the source."}
		}
	}
	return o
}

// equal compares texts; numbers by their value, never as floats.
func equal(a, b string) bool {
	if a == b {
		return true
	}
	x, err := decimal.NewFromString(a)
	y, other := decimal.NewFromString(b)
	return err == nil && other == nil && x.Equal(y)
}
