package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"waybill/pipeline"
	"waybill/transform"
)

// xrefFields are the members of a query of the registry, as parameters.
func xrefFields(q *pipeline.XrefQuery) map[string]*string {
	return map[string]*string{"kind": &q.Kind, "company": &q.Company, "system": &q.System, "role": &q.Role, "key": &q.Key, "canonical": &q.Canonical,
		"state": &q.State, "after": &q.After}
}

// xrefQuery reads the parameters of a query.
func xrefQuery(r *http.Request) (q pipeline.XrefQuery, err error) {
	v := values{Values: r.URL.Query()}
	q.Limit = v.limit(100, maxEvents)
	names := []string{"limit"}
	for name, into := range xrefFields(&q) {
		*into = v.Get(name)
		names = append(names, name)
	}
	return q, v.check(names...)
}

func (s *Server) xrefs(ctx context.Context, r *http.Request) (any, error) {
	q, err := xrefQuery(r)
	if err != nil {
		return nil, err
	}
	rows, err := s.daemon.Xrefs(ctx, q)
	return nonNil(rows), err
}

func (s *Server) xrefKey(ctx context.Context, r *http.Request) (any, error) {
	q, err := xrefQuery(r)
	if err != nil {
		return nil, err
	}
	if q.Kind == "" || q.System == "" || q.Key == "" {
		return nil, badRequest("Give kind, system and key.", "the key is not complete")
	}
	v, err := s.daemon.Xref(ctx, q)
	return v, missing(err, "no row says what "+q.Kind+" "+q.Key+" of "+q.System+" is, and nothing waits for it",
		"waybill xref list shows the rows; a key may have a role, and a company.")
}

func (s *Server) xref(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	v, err := s.daemon.Xref(ctx, pipeline.XrefQuery{ID: id})
	return v, missing(err, "no row "+id, "waybill xref list shows the ids.")
}

// changeXref takes a decision about the registry, or previews it.
func (s *Server) changeXref(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.XrefRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if q.Action == "" || strings.TrimSpace(q.By) == "" || strings.TrimSpace(q.Why) == "" {
		return nil, badRequest(`Give "action", "by" and "why".`, "the decision is not complete")
	}
	return previewOr(ctx, r, q, s.daemon.PreviewXref, s.daemon.ChangeXref)
}

// Xrefs asks for rows of the registry.
func (c *Client) Xrefs(ctx context.Context, q pipeline.XrefQuery) ([]transform.RegistryRow, error) {
	return ask[[]transform.RegistryRow](ctx, c, "GET", "/api/xrefs?"+xrefValues(q).Encode(), nil)
}

// Xref asks for one row, or one key.
func (c *Client) Xref(ctx context.Context, q pipeline.XrefQuery) (pipeline.XrefView, error) {
	if q.ID != "" {
		return ask[pipeline.XrefView](ctx, c, "GET", "/api/xrefs/"+url.PathEscape(q.ID), nil)
	}
	return ask[pipeline.XrefView](ctx, c, "GET", "/api/xrefs/key?"+xrefValues(q).Encode(), nil)
}

func xrefValues(q pipeline.XrefQuery) url.Values {
	v := url.Values{}
	for name, value := range xrefFields(&q) {
		set(v, name, *value)
	}
	setNumber(v, "limit", uint64(max(q.Limit, 0)))
	return v
}

// PreviewXref says what ChangeXref would do.
func (c *Client) PreviewXref(ctx context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	return ask[pipeline.XrefPreview](ctx, c, "POST", "/api/xrefs?preview=true", r)
}

// ChangeXref takes a decision about the registry; it returns when it is applied.
func (c *Client) ChangeXref(ctx context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	return ask[pipeline.XrefPreview](ctx, c, "POST", "/api/xrefs", r)
}
