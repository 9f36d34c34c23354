package admin

import (
	"context"
	"net/http"

	"waybill/pipeline"
)

// read begins a reading of a table, or previews it.
func (s *Server) read(ctx context.Context, r *http.Request) (any, error) {
	q, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	return previewOr(ctx, r, q, s.daemon.PreviewRead, s.daemon.Read)
}

// toggle serves pause and resume.
func (s *Server) toggle(apply func(context.Context, pipeline.ReadRequest) (pipeline.ReadingStatus, error)) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		q, err := readRequest(r)
		if err != nil {
			return nil, err
		}
		return apply(ctx, q)
	}
}

func readRequest(r *http.Request) (q pipeline.ReadRequest, err error) {
	if err := decodeBody(r, &q); err != nil {
		return q, err
	}
	if q.Source == "" || q.Table.Name == "" || q.By == "" {
		return q, badRequest(`Give "source", "table": {"schema": "public", "name": "loads"} and "by".`, "the request is not complete")
	}
	return q, nil
}
