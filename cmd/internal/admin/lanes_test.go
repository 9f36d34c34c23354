package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"waybill/pipeline"
)

func (f *fake) Held(_ context.Context, ref string, limit int) ([]pipeline.DeliveryView, error) {
	return nil, f.note([]any{ref, limit})
}

func (f *fake) ReleaseHeld(_ context.Context, r pipeline.HeldRelease) ([]pipeline.DeliveryView, error) {
	return []pipeline.DeliveryView{{ID: "d1"}}, f.note(r.Ref + " " + r.By + " " + r.Why)
}

// What waits for a batch is asked for and released over the socket; a refusal comes back with its hint.
func TestHeldOverTheSocket(t *testing.T) {
	f := &fake{}
	socket, _ := start(t, f, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx := context.Background()
	if list, err := c.Held(ctx, "invoice/A&1", 7); err != nil || list == nil {
		t.Fatal(list, err)
	}
	views, err := c.ReleaseHeld(ctx, pipeline.HeldRelease{Ref: "invoice/A1", By: "ann", Why: "today"})
	if err != nil || len(views) != 1 || len(f.asked) != 2 || f.asked[1] != "invoice/A1 ann today" {
		t.Fatalf("%+v %v %v", views, err, f.asked)
	}
	if asked := f.asked[0].([]any); asked[0] != "invoice/A&1" || asked[1] != 7 {
		t.Error(asked)
	}
	var refused *Error
	for _, r := range []pipeline.HeldRelease{{By: "ann", Why: "x"}, {Ref: "a/1", Why: "x"}, {Ref: "a/1", By: "ann", Why: " "}} {
		if _, err := c.ReleaseHeld(ctx, r); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", r, err)
		}
	}
	f.err = &pipeline.HeldError{Reason: "nothing of a/1 waits", Hint: "waybill lane held lists what does."}
	if _, err := c.ReleaseHeld(ctx, pipeline.HeldRelease{Ref: "a/1", By: "ann", Why: "x"}); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "waybill lane held") {
		t.Errorf("%v", err)
	}
}
