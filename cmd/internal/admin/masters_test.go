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

func (f *fake) Masters(_ context.Context, q pipeline.MasterQuery) ([]transform.MasterEntity, error) {
	return nil, f.note(q)
}
func (f *fake) Master(_ context.Context, key string) (pipeline.MasterView, error) {
	return pipeline.MasterView{MasterEntity: transform.MasterEntity{Ref: key}}, f.note(key)
}
func (f *fake) JudgeMaster(_ context.Context, r pipeline.MasterRequest) (pipeline.MasterView, error) {
	return pipeline.MasterView{}, f.note(r)
}

// What a person decides about master data reaches the daemon, and its refusals come back with reason, hint and status.
func TestMastersOverTheSocket(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	q := pipeline.MasterQuery{Entity: "customer", State: "waiting", After: "customer/1&2", Limit: 7}
	if list, err := c.Masters(ctx, q); err != nil || list == nil {
		t.Fatal(list, err)
	}
	if v, err := c.Master(ctx, "customer/A/1 b"); err != nil || v.Ref != "customer/A/1 b" {
		t.Fatal(v, err)
	}
	word := pipeline.MasterRequest{Action: pipeline.MasterApprove, Ref: "customer/1", Version: 2, Content: "c", By: "ann", Why: "seen"}
	settle := pipeline.MasterRequest{Action: pipeline.MasterSettle, Exception: "X-000001", Take: "ours", By: "ann", Why: "seen"}
	for _, r := range []pipeline.MasterRequest{word, settle} {
		if _, err := c.JudgeMaster(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.asked) != 4 || f.asked[0] != q || f.asked[1] != "customer/A/1 b" || f.asked[2] != word || f.asked[3] != settle {
		t.Errorf("asked %v", f.asked)
	}
	var refused *Error
	for _, r := range []pipeline.MasterRequest{{Action: pipeline.MasterApprove, By: "ann", Why: "seen"}, {Action: pipeline.MasterSettle, Exception: "X-000001", By: "ann", Why: "seen"},
		{Action: "bless", Ref: "customer/1", By: "ann", Why: "seen"}, {Action: pipeline.MasterReject, Ref: "customer/1", By: "ann"}, {Action: pipeline.MasterReject, Ref: "customer/1", Why: "seen"}} {
		if _, err := c.JudgeMaster(ctx, r); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := c.Masters(ctx, pipeline.MasterQuery{State: "blessed"}); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Errorf("%v", err)
	}
	f.err = &pipeline.MasterError{Reason: "2 versions of customer/1 wait", Hint: "Name one."}
	if _, err := c.JudgeMaster(ctx, word); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "wait. Name one") {
		t.Errorf("%v", err)
	}
	f.err = &pipeline.MasterError{Reason: "no governed entity is known by 9", Absent: true}
	if _, err := c.Master(ctx, "9"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
