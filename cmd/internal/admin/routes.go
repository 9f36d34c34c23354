package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/pipeline"
)

// route is one line of the API. A read is given up after readTimeout, a decision after writeTimeout.
type route struct {
	pattern string
	serve   func(ctx context.Context, r *http.Request) (any, error)
	write   bool
}

const (
	readTimeout  = 30 * time.Second
	writeTimeout = 10 * time.Minute // a replay of many events is previewed and appended in one go
)

// routes is the whole JSON API.
func (s *Server) routes() []route {
	d := s.daemon
	return []route{
		{"GET /api/status", func(ctx context.Context, _ *http.Request) (any, error) { return d.Status(ctx) }, false},
		{"GET /api/events", s.events, false},
		{"GET /api/events/{id}", s.event, false},
		{"GET /api/trace/{key...}", s.trace, false},
		{"GET /api/exceptions", s.exceptions, false},
		{"GET /api/exceptions/{id}", s.exception, false},
		{"POST /api/exceptions/retry", s.judge(d.Retry), true},
		{"POST /api/exceptions/discard", s.judge(d.Discard), true},
		{"POST /api/exceptions/{id}/retry", s.judge(d.Retry), true},
		{"POST /api/exceptions/{id}/discard", s.judge(d.Discard), true},
		{"GET /api/cases", s.cases, false},
		{"GET /api/cases/{key...}", s.aCase, false},
		{"POST /api/cases/link", s.linkCase, true},
		{"GET /api/held", s.held, false},
		{"POST /api/held/release", s.releaseHeld, true},
		{"GET /api/sinks", s.flows, false},
		{"POST /api/sinks/pause", switchFlow(d.PauseFlow), true},
		{"POST /api/sinks/resume", switchFlow(d.ResumeFlow), true},
		{"POST /api/reload", s.reload, true},
		{"GET /api/masters", s.masters, false},
		{"GET /api/masters/{key...}", s.aMaster, false},
		{"POST /api/masters/judge", s.judgeMaster, true},
		{"GET /api/checkpoint", func(ctx context.Context, _ *http.Request) (any, error) { return d.Checkpoint(ctx) }, false},
		{"POST /api/checkpoint/reset", s.reset, true},
		{"POST /api/readings", s.read, true},
		{"POST /api/readings/pause", s.toggle(d.PauseReading), true},
		{"POST /api/readings/resume", s.toggle(d.ResumeReading), true},
		{"GET /api/xrefs", s.xrefs, false},
		{"GET /api/xrefs/key", s.xrefKey, false},
		{"GET /api/xrefs/{id}", s.xref, false},
		{"POST /api/xrefs", s.changeXref, true},
		{"POST /api/replay", s.replay, true},
		{"POST /api/exceptions/change", s.change, true},
		{"POST /api/exceptions/edit", s.edit, true},
		{"GET /api/audit", s.audit, false},
		{"GET /api/report/reconcile", reportRoute(d.Reconcile), true}, // they read the whole store
		{"GET /api/report/backlog", reportRoute(d.Backlog), true},
		{"GET /api/audit/verify", s.verifyAudit, true},
		{"POST /api/audit/redact", s.redact, true},
		{"GET /api/shadow", s.shadows, false},
		{"POST /api/shadow", s.switchShadow, true},
	}
}

func (s *Server) handle(rt route) http.HandlerFunc {
	limit := readTimeout
	if rt.write {
		limit = writeTimeout
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		answer, err := rt.serve(ctx, r)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if stream, ok := answer.(streamed); ok {
			if err := stream(w); err != nil {
				s.log.Debug("answer not taken", "path", r.URL.Path, "error", err)
			}
			return
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			s.log.Debug("answer not taken", "path", r.URL.Path, "error", err)
		}
	}
}

func (s *Server) events(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	q := pipeline.EventQuery{Type: v.Get("type"), Key: v.Get("key"), Since: v.time("since"), Until: v.time("until"),
		After: v.number("after"), Limit: v.limit(100, maxEvents), Newest: v.flag("newest")}
	if err := v.check("type", "key", "since", "until", "after", "limit", "newest"); err != nil {
		return nil, err
	}
	found, err := s.daemon.Events(ctx, q)
	return nonNil(found), err
}

func (s *Server) event(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	e, err := s.daemon.Event(ctx, id)
	return e, missing(err, "no event "+id, "waybill events list shows the ids; older events leave with the journal.")
}

func (s *Server) trace(ctx context.Context, r *http.Request) (any, error) {
	key := r.PathValue("key")
	if key == "" {
		return nil, badRequest("Ask for a key such as invoice/A10023.", "no key")
	}
	items, err := s.daemon.Trace(ctx, key)
	return nonNil(items), missing(err, "nothing is known of "+key, "Write the key as entity/id, such as invoice/A10023.")
}

func (s *Server) exception(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	x, err := s.daemon.Exception(ctx, id)
	return x, missing(err, "no exception "+id, "waybill exceptions list shows the ids.")
}

type judgeFunc func(ctx context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error)

// judge serves both forms: of one exception, named in the path, and of many, named in the body.
func (s *Server) judge(apply judgeFunc) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		var j Judgement
		if err := decodeBody(r, &j); err != nil {
			return nil, err
		}
		if id := r.PathValue("id"); id != "" {
			if len(j.IDs) > 0 {
				return nil, badRequest("Name the exceptions in the path or in the body, not in both.", "two places for ids")
			}
			j.IDs = []string{id}
		}
		if len(j.IDs) == 0 || len(j.IDs) > maxIDs {
			return nil, badRequest(`Give "ids": ["X-000012"], or ["all"].`, "%d ids; from 1 to %d may be given", len(j.IDs), maxIDs)
		}
		if strings.TrimSpace(j.By) == "" {
			return nil, badRequest(`Give "by": the person who decides; it is written to the audit.`, "nobody decides")
		}
		views, err := apply(ctx, j.IDs, j.By, j.Why)
		return nonNil(views), missing(err, "no such exception", "waybill exceptions list shows the ids.")
	}
}

func (s *Server) reset(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.ResetRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if q.Source == "" || q.To == "" || q.By == "" {
		return nil, badRequest(`Give "source", "to" (snapshot) and "by".`, "the reset is not complete")
	}
	return previewOr(ctx, r, q, s.daemon.PreviewReset, s.daemon.Reset)
}

func (s *Server) replay(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.ReplayRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if err := CheckReplay(q); err != nil {
		return nil, badRequest("Select by event, key, since and until, from and to, or all.", "%v", err)
	}
	return previewOr(ctx, r, q, s.daemon.PreviewReplay, s.daemon.Replay)
}

// previewOr runs the harmless half of a decision when the query has preview=1.
func previewOr[Q, V, D any](ctx context.Context, r *http.Request, q Q, show func(context.Context, Q) (V, error), do func(context.Context, Q) (D, error)) (any, error) {
	v := values{Values: r.URL.Query()}
	dry := v.flag("preview")
	if err := v.check("preview"); err != nil {
		return nil, err
	}
	if dry {
		return show(ctx, q)
	}
	return do(ctx, q)
}

// CheckReplay reports a request that selects nothing, or in more than one way.
func CheckReplay(q pipeline.ReplayRequest) error {
	ways := 0
	for _, set := range []bool{q.Event != "", q.Key != "", !q.Since.IsZero() || !q.Until.IsZero(), q.From > 0 || q.To > 0, q.All} {
		if set {
			ways++
		}
	}
	switch {
	case ways == 0:
		return errors.New("nothing is selected")
	case ways > 1:
		return errors.New("events are selected in more than one way")
	case q.By == "":
		return errors.New("nobody asks for it")
	case !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until):
		return errors.New("the time range is empty")
	case q.To > 0 && q.From > q.To:
		return errors.New("the range of journal entries is empty")
	}
	return nil
}

// decodeBody reads one JSON object with no field that is not known.
func decodeBody(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return badRequest("Send one JSON object with the fields that the API knows.", "reading the request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("Send one JSON object.", "there is more after the request")
	}
	return nil
}

// missing says which thing was not found.
func missing(err error, message, hint string) error {
	if errors.Is(err, pipeline.ErrNotFound) {
		return &Error{Status: http.StatusNotFound, Message: message, Hint: hint}
	}
	return err
}

// nonNil makes an empty list [] in JSON, not null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// values reads query parameters and remembers the first that is wrong.
type values struct {
	url.Values
	err error
}

func (v *values) fail(name, expected string) {
	if v.err == nil {
		v.err = badRequest("Give "+expected+".", "%s is %q", name, v.Get(name))
	}
}

func (v *values) time(name string) time.Time {
	if v.Get(name) == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.Get(name))
	if err != nil {
		v.fail(name, "a time such as 2026-03-08T14:05:00Z")
	}
	return t
}

func (v *values) number(name string) uint64 {
	if v.Get(name) == "" {
		return 0
	}
	n, err := strconv.ParseUint(v.Get(name), 10, 64)
	if err != nil {
		v.fail(name, "a whole number")
	}
	return n
}

func (v *values) limit(standard, most int) int {
	n := v.number("limit")
	switch {
	case n == 0:
		return standard
	case n > uint64(most):
		v.fail("limit", "a number up to "+strconv.Itoa(most))
	}
	return int(min(n, uint64(most)))
}

func (v *values) flag(name string) bool {
	if !v.Has(name) {
		return false
	}
	b, err := strconv.ParseBool(v.Get(name))
	if err != nil {
		v.fail(name, "true or false")
	}
	return b
}

// check returns the first fault; a parameter that is not known is one.
func (v *values) check(names ...string) error {
	for name := range v.Values {
		if v.err == nil && !slices.Contains(names, name) {
			v.err = badRequest("Known here: "+strings.Join(names, ", ")+".", "unknown parameter %q", name)
		}
	}
	return v.err
}
