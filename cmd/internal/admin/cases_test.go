package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"waybill/pipeline"
	"waybill/transform"
)

func (f *fake) Cases(_ context.Context, q pipeline.CaseQuery) ([]transform.Case, error) {
	return nil, f.note(q)
}
func (f *fake) Case(_ context.Context, key string) (pipeline.CaseView, error) {
	return pipeline.CaseView{Case: transform.Case{Ref: key}}, f.note(key)
}
func (f *fake) LinkCase(_ context.Context, l pipeline.CaseLink) (pipeline.CaseView, error) {
	return pipeline.CaseView{}, f.note(l)
}

// What a person asks of a case reaches the daemon, and its refusals come back with reason, hint and status.
func TestCasesOverTheSocket(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	list, err := c.Cases(ctx, pipeline.CaseQuery{Stage: "delivered", Flag: "hold", After: "shipment/1&2", Limit: 7})
	if err != nil || list == nil {
		t.Fatal(list, err)
	}
	v, err := c.Case(ctx, "shipment/A/1 b")
	if err != nil || v.Ref != "shipment/A/1 b" {
		t.Fatal(v, err)
	}
	link := pipeline.CaseLink{Ref: "bol/7", Case: "shipment/1", By: "ann", Why: "seen"}
	if _, err := c.LinkCase(ctx, link); err != nil {
		t.Fatal(err)
	}
	want := []any{pipeline.CaseQuery{Stage: "delivered", Flag: "hold", After: "shipment/1&2", Limit: 7}, "shipment/A/1 b", link}
	if len(f.asked) != 3 || f.asked[0] != want[0] || f.asked[1] != want[1] || f.asked[2] != want[2] {
		t.Errorf("asked %v", f.asked)
	}
	var refused *Error
	if _, err := c.LinkCase(ctx, pipeline.CaseLink{Ref: "bol/7", Case: "shipment/1"}); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Errorf("a link by nobody: %v", err)
	}
	f.err = &pipeline.CaseError{Reason: "bol/7 leads to 2 cases", Hint: "Name one of them."}
	if _, err := c.Case(ctx, "bol/7"); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "2 cases. Name one") {
		t.Errorf("%v", err)
	}
	f.err = &pipeline.CaseError{Reason: "no case is known by 9", Absent: true}
	if _, err := c.Case(ctx, "9"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
