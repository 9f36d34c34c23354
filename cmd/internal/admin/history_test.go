package admin

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
)

func (f *fake) VerifyState(_ context.Context, _ time.Time, say func(pipeline.Progress)) (pipeline.StateProof, error) {
	say(pipeline.Progress{Step: "rebuilding", Entry: 1, Last: 2})
	say(pipeline.Progress{Step: "comparing", Entry: 2, Last: 2})
	return pipeline.StateProof{Equal: true, Keys: 7}, f.note("verify")
}

func (f *fake) DiffMappings(_ context.Context, q pipeline.DiffRequest, _ func(pipeline.Progress)) (pipeline.MappingDiff, error) {
	return pipeline.MappingDiff{New: "northstar/8"}, f.note(q)
}

func (f *fake) Explain(_ context.Context, q pipeline.ExplainRequest, _ func(pipeline.Progress)) (pipeline.ExplainView, error) {
	return pipeline.ExplainView{What: q.What}, f.note(q)
}

func (f *fake) ActivateMapping(_ context.Context, q pipeline.ActivateRequest) (pipeline.Activated, error) {
	return pipeline.Activated{Version: "northstar/8"}, f.note(q)
}

func (f *fake) Shadows(_ context.Context, limit int) (pipeline.ShadowView, error) {
	return pipeline.ShadowView{More: 1}, f.note(limit)
}

func (f *fake) SwitchShadow(_ context.Context, q pipeline.ShadowRequest) (pipeline.ShadowView, error) {
	return pipeline.ShadowView{More: 2}, f.note(q)
}

// Long questions reach the daemon through both doors, with their progress, their results and their errors.
func TestLongQuestions(t *testing.T) {
	f := &fake{}
	socket, address := start(t, f, Options{})
	for name, c := range map[string]*Client{"unix": Dial(socket, ""), "tcp": DialTCP(address, token)} {
		t.Run(name, func(t *testing.T) {
			defer c.Close()
			f.asked, f.err = nil, nil
			ctx := context.Background()
			var steps []string
			proof, err := c.VerifyState(ctx, time.Time{}, func(p pipeline.Progress) { steps = append(steps, p.Step) })
			if err != nil || !proof.Equal || proof.Keys != 7 || !reflect.DeepEqual(steps, []string{"rebuilding", "comparing"}) {
				t.Errorf("%+v %v %v", proof, steps, err)
			}
			diff := pipeline.DiffRequest{New: pipeline.MappingText{File: "m.yml", Text: strings.Repeat("x", 2<<20)}, Since: time.Unix(7, 0).UTC(), Limit: 3}
			if v, err := c.DiffMappings(ctx, diff, nil); err != nil || v.New != "northstar/8" {
				t.Errorf("%+v %v", v, err)
			}
			explain := pipeline.ExplainRequest{What: "A1", Table: "billing.inv_hdr"}
			if v, err := c.Explain(ctx, explain, nil); err != nil || v.What != "A1" {
				t.Errorf("%+v %v", v, err)
			}
			activate := pipeline.ActivateRequest{Mapping: pipeline.MappingText{File: "m.yml", Text: "x"}, By: "ann", Why: "test"}
			if v, err := c.ActivateMapping(ctx, activate); err != nil || v.Version != "northstar/8" {
				t.Errorf("%+v %v", v, err)
			}
			if v, err := c.Shadows(ctx, 9); err != nil || v.More != 1 {
				t.Errorf("%+v %v", v, err)
			}
			shadow := pipeline.ShadowRequest{Mapping: "northstar", Send: true, By: "ann", Why: "test"}
			if v, err := c.SwitchShadow(ctx, shadow); err != nil || v.More != 2 {
				t.Errorf("%+v %v", v, err)
			}
			if want := []any{"verify", diff, explain, activate, 9, shadow}; !reflect.DeepEqual(f.asked, want) {
				t.Errorf("asked %v", f.asked)
			}
			f.err = pipeline.ErrNotFound
			if _, err := c.Explain(ctx, explain, nil); !errors.Is(err, pipeline.ErrNotFound) {
				t.Errorf("not found: %v", err)
			}
			f.err = pipeline.ErrSideBusy
			var refused *Error
			if _, err := c.VerifyState(ctx, time.Time{}, nil); !errors.As(err, &refused) || refused.Status != 409 {
				t.Errorf("busy: %v", err)
			}
		})
	}
}

// slow answers a long question only when its caller goes.
type slow struct {
	*fake
	gone chan error
}

func (s *slow) VerifyState(ctx context.Context, _ time.Time, say func(pipeline.Progress)) (pipeline.StateProof, error) {
	say(pipeline.Progress{Step: "rebuilding"})
	<-ctx.Done()
	s.gone <- ctx.Err()
	return pipeline.StateProof{}, ctx.Err()
}

// A caller that goes ends its question: nobody makes a side state for nobody.
func TestLongQuestionEndsWithItsCaller(t *testing.T) {
	s := &slow{&fake{}, make(chan error, 1)}
	socket, _ := start(t, s, Options{})
	c := Dial(socket, "")
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := c.VerifyState(ctx, time.Time{}, func(pipeline.Progress) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		t.Error("the question goes on although its caller is gone")
	}
}
