package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"waybill/pipeline"
	"waybill/transform"
)

func (s *Server) cases(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	q := pipeline.CaseQuery{Stage: v.Get("stage"), Flag: v.Get("flag"), After: v.Get("after"), Limit: v.limit(100, maxIDs)}
	if err := v.check("stage", "flag", "after", "limit"); err != nil {
		return nil, err
	}
	found, err := s.daemon.Cases(ctx, q)
	return nonNil(found), caseError(err)
}

func (s *Server) aCase(ctx context.Context, r *http.Request) (any, error) {
	c, err := s.daemon.Case(ctx, r.PathValue("key"))
	return c, caseError(err)
}

func (s *Server) linkCase(ctx context.Context, r *http.Request) (any, error) {
	var l pipeline.CaseLink
	if err := decodeBody(r, &l); err != nil {
		return nil, err
	}
	if l.Ref == "" || l.Case == "" || strings.TrimSpace(l.By) == "" {
		return nil, badRequest(`Give "ref", "case" and "by": the person who decides; it is written to the audit.`, "the link is not complete")
	}
	c, err := s.daemon.LinkCase(ctx, l)
	return c, caseError(err)
}

// caseError keeps the reason and the hint of a refusal.
func caseError(err error) error {
	var refused *pipeline.CaseError
	if !errors.As(err, &refused) {
		return err
	}
	return refusalOf(refused.Absent, refused.Reason, refused.Hint)
}

// Cases asks for the cases that the query selects.
func (c *Client) Cases(ctx context.Context, q pipeline.CaseQuery) ([]transform.Case, error) {
	v := url.Values{}
	set(v, "stage", q.Stage)
	set(v, "flag", q.Flag)
	set(v, "after", q.After)
	v.Set("limit", strconv.Itoa(max(q.Limit, 0)))
	return ask[[]transform.Case](ctx, c, "GET", "/api/cases?"+v.Encode(), nil)
}

// Case asks for one case.
func (c *Client) Case(ctx context.Context, key string) (pipeline.CaseView, error) {
	return ask[pipeline.CaseView](ctx, c, "GET", "/api/cases/"+pathOf(key), nil)
}

// LinkCase links what carries a reference to a case; it returns when what waited is filed there.
func (c *Client) LinkCase(ctx context.Context, l pipeline.CaseLink) (pipeline.CaseView, error) {
	return ask[pipeline.CaseView](ctx, c, "POST", "/api/cases/link", l)
}
