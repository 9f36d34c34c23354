package sinks

import (
	"context"
	"time"
)

var (
	_ Sink   = (*laneView)(nil)
	_ Binder = (*laneView)(nil)
)

// laneView is a governed sink as one lane sees it.
type laneView struct {
	*Governed
	lane string
}

func (v *laneView) Prepare(ctx context.Context, op Operation, step string, prior map[string]Outcome, now time.Time) (in Intent, out *Outcome) {
	o := v.do(ctx, v.lane, "prepare", open, func(ctx context.Context) Outcome {
		in, out = v.sink.Prepare(ctx, op, step, prior, now)
		if out == nil {
			return Outcome{Class: Applied}
		}
		return *out
	})
	if o.Class != Applied {
		return in, &o
	}
	return in, nil
}

func (v *laneView) Deliver(ctx context.Context, in Intent) Outcome {
	if in.Attempt <= 1 {
		v.retries.earn(v.policy.Load().RetryShare)
	}
	return v.write(ctx, v.lane, "deliver", in.Entity, func(ctx context.Context) Outcome { return v.sink.Deliver(ctx, in) })
}

func (v *laneView) Verify(ctx context.Context, in Intent) Outcome {
	return v.do(ctx, v.lane, "verify", open, func(ctx context.Context) Outcome { return v.sink.Verify(ctx, in) })
}
