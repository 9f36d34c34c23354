package s4hana

import (
	"math/rand/v2"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	sim "waybill/sinks/sinktest/s4hana"
)

// settle takes an operation to its end as a lane does: what is unknown is verified, what is absent is prepared and sent again, and after each of
// them the process may have died: a fresh sink, which remembers nothing, goes on from the intent.
func (s *tenant) settle(t *testing.T, op sinks.Operation, rnd *rand.Rand, fresh func() *Sink) sinks.Outcome {
	t.Helper()
	for range 60 {
		in, out := s.sink.Prepare(t.Context(), op, handlers[op.Entity].step, nil, time.Now())
		if out != nil {
			if out.Class != sinks.RetryLater {
				t.Fatalf("%s: %+v", op.ExternalID, *out)
			}
			continue
		}
		o := s.sink.Deliver(t.Context(), in)
		if rnd.IntN(4) == 0 {
			s.sink, o = fresh(), sinks.Outcome{Class: sinks.Unknown}
		}
		for n := 0; n < 60 && o.Class == sinks.Unknown; n++ {
			if o = s.sink.Verify(t.Context(), in); o.Class == sinks.RetryLater {
				o.Class = sinks.Unknown // it could not be asked
			}
		}
		switch o.Class {
		case sinks.Applied, sinks.AlreadyApplied:
			return o
		case sinks.RetryLater, sinks.Absent:
		default:
			t.Fatalf("%s: %+v", op.ExternalID, o)
		}
	}
	t.Fatalf("%s never ends", op.ExternalID)
	return sinks.Outcome{}
}

// Under random faults, with the process dying at random, each document is made once and none is lost.
func TestRandomSchedules(t *testing.T) {
	const documents = 120
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := simulated(t, sim.Options{}, nil)
	fresh := func() *Sink { return against(t, s.URL, "Welcome1", nil) }
	faults := []sinktest.Fault{sinktest.DropAnswer, sinktest.ErrorAfter, sinktest.Throttle, sinktest.Down, sinktest.Locked, sinktest.Refuse, sinktest.ExpireTokens, sinktest.PartialBatch}
	s.one(t, customerOp(0))
	for n := range documents {
		op := invoiceOp(n, "C0")
		if n%3 == 0 {
			op = customerOp(n + 1)
		}
		for range rnd.IntN(3) {
			o := sinktest.FaultOrder{Fault: faults[rnd.IntN(len(faults))], Count: 1 + rnd.IntN(2)}
			if n%3 != 0 && rnd.IntN(3) == 0 { // a message that comes twice is done once; a partner has no such thing, and waits for the horizon
				o = sinktest.FaultOrder{Fault: sinktest.StaleReads, Delay: time.Hour, Count: 1, Entity: "journal_entry"}
			}
			s.SetFault(o)
		}
		s.settle(t, op, rnd, fresh)
		s.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
	}
	invoices, partners := 0, 0
	for _, c := range s.Ledger() {
		switch {
		case c.Entity == "sales_invoice" && c.Step == "post":
			invoices++
		case c.Entity == "customer" && c.Step == "create":
			partners++
		}
	}
	if invoices != documents-documents/3 || partners != documents/3+1 {
		t.Errorf("seed %d: %d invoices and %d partners of %d and %d", seed, invoices, partners, documents-documents/3, documents/3+1)
	}
	s.unique(t)
}
