package pipeline

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"waybill/sinks"
)

// A target that is slow enough commits even after the first look has found nothing: only the horizon makes absence certain
// (Invariant 9).
func TestLateCommitAfterTheFirstLook(t *testing.T) {
	r := newRig(t)
	r.sink.horizon = verifyAgain + 1200*time.Millisecond
	var lost atomic.Bool
	late := make(chan struct{})
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.Step == "create" && lost.CompareAndSwap(false, true) {
			time.AfterFunc(verifyAgain+500*time.Millisecond, func() {
				r.sink.apply(in)
				close(late)
			})
			return &sinks.Outcome{Class: sinks.Unknown}
		}
		return nil
	})
	r.post(invoice("i1", "invoice/1"))
	r.start()
	<-late
	r.state("i1", StateDone)
	if sent := r.sink.sent(); !slices.Equal(sent, []string{"x:i1 create", "x:i1 post"}) {
		t.Errorf("created twice: %v", sent)
	}
}
