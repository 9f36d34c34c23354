package businesscentral

import (
	"math/rand/v2"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulator "waybill/sinks/sinktest/businesscentral"
)

// Many schedules of faults, with what the lane does about them: verified when unknown, sent again when absent. The simulator's own ledger says
// that each document is there once.
func TestSchedules(t *testing.T) {
	for _, ids := range []bool{true, false} {
		sim, s := withAcme(t, simulator.Options{ClientIDs: ids, ReplicaLag: time.Hour}, func(c *Config) { c.Timeout = 300 * time.Millisecond })
		rnd := rand.New(rand.NewPCG(7, uint64(len(t.Name()))))
		faults := []sinktest.Fault{sinktest.DropAnswer, sinktest.ErrorAfter, sinktest.Down, sinktest.Refuse, sinktest.Throttle, sinktest.ExpireTokens, simulator.GatewayTimeout, sinktest.Delay}
		var keys []string
		for n := range 16 {
			op := invoiceOp(n)
			if n%3 == 2 {
				op = creditOp(n, keys[len(keys)-1])
			}
			if n%8 == 7 {
				op = journalOp(n)
			}
			if op.Entity == entityInvoice {
				keys = append(keys, op.ExternalID)
			}
			fault := sinktest.FaultOrder{Fault: faults[rnd.IntN(len(faults))], Count: 1 + rnd.IntN(2), Delay: 10 * time.Millisecond}
			if fault.Fault == sinktest.Delay {
				fault.Delay, fault.Count = 400*time.Millisecond, 1
			}
			settle(t, sim, s, op, fault)
		}
		once(t, sim)
		if n := committed(sim, entityInvoice, "post", "") + committed(sim, entityCredit, "post", "") + committed(sim, entityJournal, "post", ""); n != 16 {
			t.Errorf("ids %v: %d of 16 posted", ids, n)
		}
	}
}

// settle does what a lane does, with a fault somewhere in it.
func settle(t *testing.T, sim *simulator.Simulator, s *Sink, op sinks.Operation, fault sinktest.FaultOrder) {
	t.Helper()
	prior := map[string]sinks.Outcome{}
	for _, step := range []string{stepCreate, stepPost} {
		sim.SetFault(fault)
		var o sinks.Outcome
		for try := 0; !o.Done(); try++ {
			if try == 30 {
				t.Fatalf("%s of %s under %s: %+v", step, op.ExternalID, fault.Fault, o)
			}
			in, out := s.Prepare(t.Context(), op, step, prior, time.Now())
			if out != nil {
				o = *out
				continue
			}
			o = s.Deliver(t.Context(), in)
			for certain := time.Now().Add(fault.Delay); o.Class == sinks.Unknown; {
				v := s.Verify(t.Context(), in)
				if v.Class != sinks.RetryLater && (v.Class != sinks.Absent || time.Now().After(certain)) { // an early absence proves nothing
					o = v
				}
			}
		}
		sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Pass})
		prior[step] = o
	}
}
