package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

func (f *fake) Flows(context.Context) ([]pipeline.SinkView, error) { return nil, f.err }

func (f *fake) PauseFlow(_ context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	return pipeline.SinkView{Sink: r.Sink}, f.note("pause " + r.Sink + "." + r.Entity + " " + r.By + " " + r.Why)
}

func (f *fake) ResumeFlow(_ context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	return pipeline.SinkView{Sink: r.Sink}, f.note("resume " + r.Sink)
}

func (f *fake) Reload(_ context.Context, by, why string) (pipeline.Reload, error) {
	return pipeline.Reload{File: "waybill.yaml"}, f.note("reload " + by + " " + why)
}

// Flows are listed, paused and resumed over the socket; refusals come back with their hints.
func TestFlowsOverTheSocket(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	if list, err := c.Flows(ctx); err != nil || list == nil {
		t.Fatal(list, err)
	}
	r := pipeline.FlowRequest{Sink: "erp", Entity: "sales_invoice", By: "ann", Why: "close"}
	if v, err := c.PauseFlow(ctx, r); err != nil || v.Sink != "erp" {
		t.Fatal(v, err)
	}
	if _, err := c.ResumeFlow(ctx, r); err != nil {
		t.Fatal(err)
	}
	if done, err := c.Reload(ctx, "ann", "more"); err != nil || done.Changes == nil {
		t.Fatal(done, err)
	}
	if want := []any{"pause erp.sales_invoice ann close", "resume erp", "reload ann more"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v", f.asked)
	}
	var refused *Error
	for _, r := range []pipeline.FlowRequest{{By: "ann", Why: "x"}, {Sink: "erp", Why: "x"}, {Sink: "erp", By: "ann", Why: " "}} {
		if _, err := c.PauseFlow(ctx, r); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := c.Reload(ctx, " ", ""); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Error(err)
	}
	f.err = &pipeline.FlowError{Reason: "there is no sink", Hint: "waybill sink list", Absent: true}
	if _, err := c.PauseFlow(ctx, r); !errors.As(err, &refused) || refused.Status != http.StatusNotFound || !strings.Contains(err.Error(), "waybill sink list") {
		t.Error(err)
	}
	f.err = config.Faults{{File: "waybill.yaml", Line: 3, Field: "data", Found: "another"}}
	if _, err := c.Reload(ctx, "ann", ""); !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), "waybill.yaml:3: data") {
		t.Error(err)
	}
}
