package sql

import (
	"context"

	"waybill/sinks"
)

// Verify implements sinks.Sink. A standby is not believed: what is not there may be on its way to it.
func (s *Sink) Verify(ctx context.Context, in sinks.Intent) sinks.Outcome {
	o := s.timed(ctx, in, func(ctx context.Context, w *work) (*sinks.Outcome, error) {
		why, err := w.primary(ctx, w.session)
		if err != nil {
			return nil, err
		}
		if why != "" {
			return &sinks.Outcome{Class: sinks.RetryLater, Code: codeReadOnly, Outage: true, Message: why + "; only the primary is believed", Hint: hintPrimary}, nil
		}
		is, out, err := w.find(ctx, false)
		if err != nil || out != nil {
			return out, err
		}
		return w.found(is), nil
	})
	if o.Class == sinks.Unknown {
		o.Class = sinks.RetryLater // a read may always be repeated
	}
	return o
}

// found says what the row that is there, or is not, means for the request.
func (w *work) found(is row) *sinks.Outcome {
	switch {
	case w.req.Delete && is == nil:
		return w.done(sinks.AlreadyApplied, nil, "")
	case w.req.Delete:
		return &sinks.Outcome{Class: sinks.Absent, Message: "The row is still there."}
	case is == nil:
		return &sinks.Outcome{Class: sinks.Absent}
	case w.entity.Existing == existingKeep:
		return w.done(sinks.AlreadyApplied, is, "")
	case w.entity.Existing == either && len(w.differences(is, w.req.Set)) > 0:
		return w.exists(is)
	}
	j := w.judge(is)
	switch {
	case j.conflict != nil:
		return j.conflict
	case len(j.write) > 0:
		return &sinks.Outcome{Class: sinks.Absent, Message: "The row has other values."}
	}
	o := w.done(sinks.AlreadyApplied, is, "")
	w.keep(o, j.kept)
	return o
}
