package http

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	nethttp "net/http"
	"slices"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Verify implements sinks.Sink.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	st, ok := s.step(in.Entity, in.Step)
	if !ok || st.Verify.Path == "" {
		return *rejected("ENTITY", fmt.Sprintf("step %q of entity %q cannot be verified", in.Step, in.Entity), "Give the entity a verify block.")
	}
	var r request
	if err := json.Unmarshal(in.Request, &r); err != nil {
		return *rejected("ENTITY", "an intent of another form: "+err.Error(), "Retry it.")
	}
	body, err := decode(in.Body)
	var path, text string
	if err == nil { // by the configuration of now: it may have been corrected since
		path, text, err = st.question(scope{op: in.Operation, body: body, ref: in.Ref, number: r.Number})
	}
	if err != nil {
		return *rejected("PATH", err.Error(), hintVerify)
	}
	headers := maps.Clone(st.Headers)
	a := s.client.Do(ctx, web.Request{Method: st.Verify.Method, URL: s.cfg.URL + path, Header: s.headers(st, []byte(text), headers), Body: []byte(text)})
	o := st.verified(a, body, in)
	o.Took, o.Request, o.Answer = a.Took, clip(st.Verify.Method+" "+path+" "+text, 4096), clip(string(a.Body), 4096)
	return o
}

// verified classifies the answer to a verification. That something is not there is said by an empty list, or by a 404 in the service's own
// words (JSON or XML): any other page may come from a proxy, or from an address that was never right.
func (st step) verified(a web.Answer, body any, in sinks.Intent) sinks.Outcome {
	if o := web.Unanswered(a, true); o != nil {
		return *o
	}
	d, err := read(a)
	o := web.Classify(st.looked, st.said(a, d))
	o.Wait = a.Wait
	ownWords := err == nil && (isJSON(a) || isXML(a))
	if o.Class == sinks.Absent && a.Status == nethttp.StatusNotFound && !st.declared() && (!ownWords || st.Verify.Found != "") {
		return sinks.Outcome{Class: sinks.Setup, Code: codeAddress, Message: "404 for the verification, but not in the service's own words", Hint: hintVerify}
	}
	if o.Class == sinks.AlreadyApplied {
		var found []any
		if err == nil {
			found, err = d.list(st.Verify.Found)
		}
		if err != nil {
			return sinks.Outcome{Class: sinks.Setup, Code: codeAnswer, Message: clip(err.Error(), 500), Hint: hintVerify}
		}
		o = st.compare(found, a, body)
	}
	return st.meant(o, in)
}

// declared says whether the configuration itself says what 404 means.
func (st step) declared() bool {
	if _, ok := st.Verify.Status["404"]; ok {
		return true
	}
	return slices.ContainsFunc(st.Verify.Outcomes, func(l Line) bool {
		from, to, err := l.statuses()
		return err == nil && from <= nethttp.StatusNotFound && to >= nethttp.StatusNotFound
	})
}

// meant turns what was found into what it means for the step: one that removes is done when nothing is there.
func (st step) meant(o sinks.Outcome, in sinks.Intent) sinks.Outcome {
	switch {
	case st.removes && o.Class == sinks.Absent:
		return sinks.Outcome{Class: sinks.AlreadyApplied, Ref: in.Ref}
	case st.removes && (o.Class == sinks.AlreadyApplied || o.Class == sinks.Conflict):
		return sinks.Outcome{Class: sinks.Absent}
	case o.Class == sinks.AlreadyApplied && o.Ref == "":
		o.Ref = in.Ref
	}
	return o
}

// compare says whether what was found is what was asked for.
func (st step) compare(found []any, a web.Answer, body any) sinks.Outcome {
	switch {
	case len(found) == 0:
		return sinks.Outcome{Class: sinks.Absent}
	case len(found) > 1:
		return sinks.Outcome{Class: sinks.Conflict, Code: "DUPLICATE_IN_TARGET", Message: fmt.Sprintf("Found %d times.", len(found)), Hint: "Remove all but one in the service, then retry."}
	}
	o, ref := sinks.Outcome{Class: sinks.AlreadyApplied}, st.Verify.Ref
	if ref == "" {
		ref = st.Ref
	}
	if err := st.read(found[0], a, ref, &o); err != nil {
		return sinks.Outcome{Class: sinks.Setup, Code: codeAnswer, Message: clip(err.Error(), 500), Hint: hintVerify}
	}
	for _, theirs := range slices.Sorted(maps.Keys(st.Verify.Compare)) {
		ours := st.Verify.Compare[theirs]
		want, asked := member(body, ours)
		if !asked {
			continue // the posting left it out
		}
		if got, _ := member(found[0], theirs); !equal(got, want) {
			return sinks.Outcome{Class: sinks.Conflict, Code: "DIFFERENT", Ref: o.Ref, Field: theirs,
				Message: clip(fmt.Sprintf("Found with %s %q; %q was asked.", theirs, got, want), 500), Hint: "Compare the two; correct the service or the source."}
		}
	}
	for _, theirs := range slices.Sorted(maps.Keys(st.Verify.Done)) {
		got, ok := member(found[0], theirs)
		if !ok { // silence says neither that it was done nor that it was not
			return sinks.Outcome{Class: sinks.Setup, Code: codeAnswer, Message: clip("what was found has no "+theirs, 500), Hint: hintVerify}
		}
		if !equal(got, st.Verify.Done[theirs]) {
			return sinks.Outcome{Class: sinks.Absent}
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
