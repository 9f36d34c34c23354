package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"waybill/pipeline"
)

func (s *Server) exceptions(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	q := pipeline.ExceptionQuery{State: v.Get("state"), Class: v.Get("class"), Code: v.Get("code"), Cause: v.Get("cause"), Owner: v.Get("owner"),
		Person: v.Get("person"), Before: v.time("before"), Overdue: v.flag("overdue"), Money: v.Get("money"), Customer: v.Get("customer"), Limit: v.limit(100, maxIDs)}
	if err := v.check("state", "class", "code", "cause", "owner", "person", "before", "overdue", "money", "customer", "limit"); err != nil {
		return nil, err
	}
	if known := append([]string{"", "all"}, pipeline.ExceptionStates...); !slices.Contains(known, q.State) {
		return nil, badRequest("Use "+strings.Join(known[1:], ", ")+".", "unknown state %q", q.State)
	}
	found, err := s.daemon.Exceptions(ctx, q)
	return nonNil(found), err
}

func (s *Server) change(ctx context.Context, r *http.Request) (any, error) {
	var c pipeline.ExceptionChange
	if err := decodeBody(r, &c); err != nil {
		return nil, err
	}
	if err := c.Valid(); err != nil {
		return nil, badRequest("", "%v", err)
	}
	if len(c.IDs) > maxIDs {
		return nil, badRequest("Name a cause instead.", "%d ids; from 1 to %d may be given", len(c.IDs), maxIDs)
	}
	views, err := s.daemon.Change(ctx, c)
	return nonNil(views), missing(err, "no such exception", "waybill exceptions list shows the ids and causes.")
}

func (s *Server) edit(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.EditRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if q.ID == "" || strings.TrimSpace(q.By) == "" {
		return nil, badRequest(`Give "id" of the exception and "by", the person who decides.`, "the edit is not complete")
	}
	answer, err := previewOr(ctx, r, q, s.daemon.PreviewEdit, s.daemon.Edit)
	var wrong *pipeline.EditError
	if errors.As(err, &wrong) {
		return nil, badRequest("", "%v", wrong)
	}
	return answer, missing(err, "no exception "+q.ID, "waybill exceptions list shows the ids.")
}

func (s *Server) audit(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	q := pipeline.AuditQuery{After: v.number("after"), Oldest: v.flag("oldest"), By: v.Get("by"), Action: v.Get("action"), Target: v.Get("target"), Limit: v.limit(100, maxEvents)}
	if err := v.check("after", "oldest", "by", "action", "target", "limit"); err != nil {
		return nil, err
	}
	lines, err := s.daemon.Audit(ctx, q)
	return nonNil(lines), err
}

func (s *Server) verifyAudit(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	if err := v.check("expect"); err != nil {
		return nil, err
	}
	return s.daemon.VerifyAudit(ctx, v.Get("expect"))
}

func (s *Server) redact(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.RedactRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if err := q.Valid(); err != nil || strings.TrimSpace(q.By) == "" {
		return nil, badRequest(`Give "line", "fields" (by, why, note), "by" and "why".`, "the redaction is not complete")
	}
	line, err := s.daemon.Redact(ctx, q)
	return line, missing(err, "the audit has no such line", "waybill audit list shows the lines.")
}
