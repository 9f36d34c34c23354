package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"waybill/pipeline"
)

func (s *Server) held(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	limit := v.limit(100, maxIDs)
	if err := v.check("ref", "limit"); err != nil {
		return nil, err
	}
	found, err := s.daemon.Held(ctx, v.Get("ref"), limit)
	return nonNil(found), err
}

func (s *Server) releaseHeld(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.HeldRelease
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if q.Ref == "" || strings.TrimSpace(q.By) == "" || strings.TrimSpace(q.Why) == "" {
		return nil, badRequest(`Give "ref", "by" and "why": the person who decides and the reason are written to the audit.`, "the release is not complete")
	}
	views, err := s.daemon.ReleaseHeld(ctx, q)
	var refused *pipeline.HeldError
	if errors.As(err, &refused) {
		return nil, &Error{Status: http.StatusConflict, Message: refused.Reason, Hint: refused.Hint}
	}
	return nonNil(views), err
}

// Held asks for the deliveries that wait for a batch or a window; of a reference alone, unless it is empty.
func (c *Client) Held(ctx context.Context, ref string, limit int) ([]pipeline.DeliveryView, error) {
	v := url.Values{}
	set(v, "ref", ref)
	v.Set("limit", strconv.Itoa(max(limit, 0)))
	return ask[[]pipeline.DeliveryView](ctx, c, "GET", "/api/held?"+v.Encode(), nil)
}

// ReleaseHeld lets what waits of a reference go before its time; it returns when the decision is applied.
func (c *Client) ReleaseHeld(ctx context.Context, r pipeline.HeldRelease) ([]pipeline.DeliveryView, error) {
	return ask[[]pipeline.DeliveryView](ctx, c, "POST", "/api/held/release", r)
}
