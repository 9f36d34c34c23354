package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"waybill/pipeline"
	"waybill/transform"
)

func (s *Server) masters(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	q := pipeline.MasterQuery{Entity: v.Get("entity"), State: v.Get("state"), After: v.Get("after"), Limit: v.limit(100, maxIDs)}
	if err := v.check("entity", "state", "after", "limit"); err != nil {
		return nil, err
	}
	if q.State != "" && !slices.Contains(pipeline.MasterStates(), q.State) {
		return nil, badRequest("Use "+strings.Join(pipeline.MasterStates(), ", ")+".", "unknown state %q", q.State)
	}
	found, err := s.daemon.Masters(ctx, q)
	return nonNil(found), masterError(err)
}

func (s *Server) aMaster(ctx context.Context, r *http.Request) (any, error) {
	v, err := s.daemon.Master(ctx, r.PathValue("key"))
	return v, masterError(err)
}

func (s *Server) judgeMaster(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.MasterRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	hint := ""
	switch q.Action {
	case pipeline.MasterApprove, pipeline.MasterReject, pipeline.MasterConfirm:
		if q.Ref == "" {
			hint = `Give "ref": the entity, such as customer/104377.`
		}
	case pipeline.MasterSettle:
		if q.Exception == "" || q.Take == "" {
			hint = `Give "exception" and "take": ours or theirs.`
		}
	default:
		hint = `Give "action": approve, reject, confirm or settle.`
	}
	if strings.TrimSpace(q.By) == "" || strings.TrimSpace(q.Why) == "" {
		hint = `Give "by" and "why": the person who decides, and the reason; both are written to the audit.`
	}
	if hint != "" {
		return nil, badRequest(hint, "the decision is not complete")
	}
	v, err := s.daemon.JudgeMaster(ctx, q)
	return v, masterError(err)
}

// masterError keeps the reason and the hint of a refusal.
func masterError(err error) error {
	var refused *pipeline.MasterError
	if !errors.As(err, &refused) {
		return err
	}
	return refusalOf(refused.Absent, refused.Reason, refused.Hint)
}

// Masters asks for the governed entities that the query selects.
func (c *Client) Masters(ctx context.Context, q pipeline.MasterQuery) ([]transform.MasterEntity, error) {
	v := url.Values{}
	set(v, "entity", q.Entity)
	set(v, "state", q.State)
	set(v, "after", q.After)
	v.Set("limit", strconv.Itoa(max(q.Limit, 0)))
	return ask[[]transform.MasterEntity](ctx, c, "GET", "/api/masters?"+v.Encode(), nil)
}

// Master asks for one governed entity.
func (c *Client) Master(ctx context.Context, key string) (pipeline.MasterView, error) {
	return ask[pipeline.MasterView](ctx, c, "GET", "/api/masters/"+pathOf(key), nil)
}

// JudgeMaster takes a decision about master data; it returns the entity when it is applied.
func (c *Client) JudgeMaster(ctx context.Context, r pipeline.MasterRequest) (pipeline.MasterView, error) {
	return ask[pipeline.MasterView](ctx, c, "POST", "/api/masters/judge", r)
}
