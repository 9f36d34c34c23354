package admin

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"waybill/pipeline"
	"waybill/transform"
)

func (f *fake) Xrefs(_ context.Context, q pipeline.XrefQuery) ([]transform.RegistryRow, error) {
	return nil, f.note(q)
}
func (f *fake) Xref(_ context.Context, q pipeline.XrefQuery) (pipeline.XrefView, error) {
	if q.ID == "R-000099" || q.Key == "nobody" {
		return pipeline.XrefView{}, pipeline.ErrNotFound
	}
	return pipeline.XrefView{}, f.note(q)
}
func (f *fake) PreviewXref(_ context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	return pipeline.XrefPreview{Action: "preview"}, f.note(r)
}
func (f *fake) ChangeXref(_ context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	if r.Action == pipeline.XrefClose {
		return pipeline.XrefPreview{}, &pipeline.XrefError{What: "xref close", Faults: []pipeline.XrefFault{{Found: "row R-000001, which is closed", Expected: "a row that is active"}}}
	}
	return pipeline.XrefPreview{Action: "done"}, f.note(r)
}

func TestClientReachesTheRegistry(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	list := pipeline.XrefQuery{Kind: "customer", Company: "NSTAR", System: "nstar.billing", Role: "bill_to", Key: "a b&c", Canonical: "C-1", State: "active", After: "R-000007", Limit: 12}
	key := pipeline.XrefQuery{Kind: "customer", System: "s", Key: "ü/1", Limit: 100}
	r := pipeline.XrefRequest{Action: pipeline.XrefApprove, IDs: []string{"R-000001"}, By: "ann", Why: "test"}
	var actions []string
	for i, call := range []func() error{
		func() error { _, err := c.Xrefs(ctx, list); return err },
		func() error { _, err := c.Xref(ctx, pipeline.XrefQuery{ID: "R-000001"}); return err },
		func() error { _, err := c.Xref(ctx, key); return err },
		func() error { v, err := c.PreviewXref(ctx, r); actions = append(actions, v.Action); return err },
		func() error { v, err := c.ChangeXref(ctx, r); actions = append(actions, v.Action); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if want := []any{list, pipeline.XrefQuery{ID: "R-000001"}, key, r, r}; !reflect.DeepEqual(f.asked, want) {
		t.Errorf("asked %+v\nwant  %+v", f.asked, want)
	}
	if !reflect.DeepEqual(actions, []string{"preview", "done"}) {
		t.Errorf("%v", actions)
	}
}

func TestRegistryRefuses(t *testing.T) {
	socket, _ := start(t, &fake{}, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	for name, x := range map[string]struct {
		call   func() error
		status int
		want   string
	}{
		"nobody": {func() error {
			_, err := c.ChangeXref(ctx, pipeline.XrefRequest{Action: "approve", Why: "x"})
			return err
		}, 400, "not complete"},
		"no why": {func() error {
			_, err := c.PreviewXref(ctx, pipeline.XrefRequest{Action: "approve", By: "ann"})
			return err
		}, 400, "not complete"},
		"no row": {func() error { _, err := c.Xref(ctx, pipeline.XrefQuery{ID: "R-000099"}); return err }, 404, "no row R-000099"},
		"no key": {func() error {
			_, err := c.Xref(ctx, pipeline.XrefQuery{Kind: "customer", System: "s", Key: "nobody"})
			return err
		}, 404, "nothing waits for it"},
		"half key": {func() error { _, err := c.Xref(ctx, pipeline.XrefQuery{Kind: "customer", Key: "A"}); return err }, 400, "not complete"},
		"unfit": {func() error {
			_, err := c.ChangeXref(ctx, pipeline.XrefRequest{Action: "close", By: "ann", Why: "x"})
			return err
		}, http.StatusConflict,
			"xref close is refused: found row R-000001, which is closed, expected a row that is active"},
	} {
		err := x.call()
		e, ok := err.(*Error)
		if !ok || e.Status != x.status || !strings.Contains(e.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
