package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

func (s *Server) flows(ctx context.Context, _ *http.Request) (any, error) {
	views, err := s.daemon.Flows(ctx)
	return nonNil(views), err
}

// switchFlow serves the pause and the resumption of a flow.
func switchFlow(apply func(context.Context, pipeline.FlowRequest) (pipeline.SinkView, error)) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		var q pipeline.FlowRequest
		if err := decodeBody(r, &q); err != nil {
			return nil, err
		}
		if q.Sink == "" || strings.TrimSpace(q.By) == "" || strings.TrimSpace(q.Why) == "" {
			return nil, badRequest(`Give "sink", "by" and "why": the person who decides and the reason are written to the audit.`, "the request is not complete")
		}
		v, err := apply(ctx, q)
		return v, flowRefused(err)
	}
}

// flowRefused gives a refusal its status and its hint.
func flowRefused(err error) error {
	var refused *pipeline.FlowError
	if errors.As(err, &refused) {
		return refusalOf(refused.Absent, refused.Reason, refused.Hint)
	}
	return err
}

// reloadRequest is the body of POST /api/reload.
type reloadRequest struct {
	By  string `json:"by"`
	Why string `json:"why,omitempty"`
}

func (s *Server) reload(ctx context.Context, r *http.Request) (any, error) {
	var q reloadRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if strings.TrimSpace(q.By) == "" {
		return nil, badRequest(`Give "by": the person who decides; it is written to the audit.`, "nobody decides")
	}
	done, err := s.daemon.Reload(ctx, q.By, q.Why)
	var faults config.Faults
	if errors.As(err, &faults) {
		return nil, &Error{Status: http.StatusUnprocessableEntity, Message: strings.TrimSuffix(faults.Error(), "."), Hint: "Nothing of the file was taken."}
	}
	done.Changes = nonNil(done.Changes)
	return done, flowRefused(err)
}

// Flows asks for the sinks and how what goes to them stands.
func (c *Client) Flows(ctx context.Context) ([]pipeline.SinkView, error) {
	return ask[[]pipeline.SinkView](ctx, c, "GET", "/api/sinks", nil)
}

// PauseFlow pauses a flow; it returns when nothing new of it is sent.
func (c *Client) PauseFlow(ctx context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	return ask[pipeline.SinkView](ctx, c, "POST", "/api/sinks/pause", r)
}

// ResumeFlow lets a paused flow go on.
func (c *Client) ResumeFlow(ctx context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	return ask[pipeline.SinkView](ctx, c, "POST", "/api/sinks/resume", r)
}

// Reload lets the daemon read its configuration again; it returns when what changed holds.
func (c *Client) Reload(ctx context.Context, by, why string) (pipeline.Reload, error) {
	return ask[pipeline.Reload](ctx, c, "POST", "/api/reload", reloadRequest{by, why})
}
