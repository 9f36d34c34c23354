package businesscentral

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulator "waybill/sinks/sinktest/businesscentral"
)

// prepared freezes a step, and fails the test when it cannot.
func prepared(t testing.TB, s sinks.Sink, op sinks.Operation, step string, prior map[string]sinks.Outcome) sinks.Intent {
	t.Helper()
	in, out := s.Prepare(t.Context(), op, step, prior, time.Now())
	if out != nil {
		t.Fatalf("preparing %s of %s: %+v", step, op.ExternalID, *out)
	}
	return in
}

// committed counts the lines of the ledger.
func committed(sim *simulator.Simulator, entity, step, key string) (n int) {
	for _, c := range sim.Ledger() {
		if c.Entity == entity && c.Step == step && (key == "" || c.Key == key) {
			n++
		}
	}
	return n
}

func withAcme(t testing.TB, o simulator.Options, change func(*Config)) (*simulator.Simulator, *Sink) {
	t.Helper()
	sim := environment(t, o)
	s := sinkOf(t, sim, change)
	deliver(t, s, acme)
	return sim, s
}

// An answer that was not given, or says that something went wrong, leaves it open what was done, and what was done is found.
func TestUnknownIsLookedFor(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true, ReplicaLag: time.Hour}, nil)
	for i, fault := range []sinktest.Fault{sinktest.DropAnswer, sinktest.ErrorAfter, simulator.GatewayTimeout} {
		prior := map[string]sinks.Outcome{}
		op := invoiceOp(i + 1)
		for _, step := range []string{stepCreate, stepPost} {
			in := prepared(t, s, op, step, prior)
			sim.SetFault(sinktest.FaultOrder{Fault: fault, Entity: entityInvoice, Step: step, Count: 1})
			if o := s.Deliver(t.Context(), in); o.Class != sinks.Unknown || !o.Outage {
				t.Errorf("%s of %s: %+v", fault, step, o)
			}
			if prior[step] = s.Verify(t.Context(), in); prior[step].Class != sinks.AlreadyApplied {
				t.Errorf("after %s of %s: %+v", fault, step, prior[step])
			}
		}
		if f := prior[stepPost].Facts; f["total"] != "1232.5" || f["remaining"] != "1232.5" || f["posting_date"] != "2026-10-01" || f["currency"] != "USD" || f["party"] != "104377" {
			t.Errorf("%+v", f)
		}
	}
	for i, fault := range []sinktest.Fault{sinktest.Down, simulator.OperationTimeout, simulator.QueueTimeout} {
		in := prepared(t, s, invoiceOp(10+i), stepCreate, nil)
		sim.SetFault(sinktest.FaultOrder{Fault: fault, Entity: entityInvoice, Step: stepCreate, Count: 1})
		if o := s.Deliver(t.Context(), in); o.Class != sinks.Unknown || !o.Outage {
			t.Errorf("%s: %+v", fault, o)
		}
		if v := s.Verify(t.Context(), in); v.Class != sinks.Absent {
			t.Errorf("after %s: %+v", fault, v)
		}
	}
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.Throttle, Entity: entityInvoice, Count: 1})
	if o := s.Deliver(t.Context(), prepared(t, s, invoiceOp(20), stepCreate, nil)); o.Class != sinks.RetryLater || o.Code != "RATE" {
		t.Errorf("%+v", o)
	}
	once(t, sim)
}

// Without the header for the primary a read would not see what was just written, and it would be written again.
func TestReadsAskThePrimary(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ReplicaLag: time.Hour}, nil)
	in := prepared(t, s, invoiceOp(1), stepCreate, nil)
	s.Deliver(t.Context(), in) // tells about ids
	for range 3 {
		if o := s.Deliver(t.Context(), in); !o.Done() {
			t.Fatalf("%+v", o)
		}
	}
	if n := committed(sim, entityInvoice, "create", ""); n != 1 {
		t.Errorf("created %d times", n)
	}
}

func TestIDsKeepAServerFromDoingItTwice(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, func(c *Config) { c.ClientIDs = IDsYes })
	in := prepared(t, s, invoiceOp(1), stepCreate, nil)
	first, again := s.Deliver(t.Context(), in), s.Deliver(t.Context(), in)
	if first.Class != sinks.Applied || again.Class != sinks.AlreadyApplied || first.Ref != again.Ref || first.Ref != idFor("salesInvoices", "", in.ExternalID) {
		t.Errorf("%+v\n%+v", first, again)
	}
	if n := committed(sim, entityInvoice, "create", ""); n != 1 {
		t.Errorf("created %d times", n)
	}
}

func TestClosedPeriods(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	draft := s.Deliver(t.Context(), prepared(t, s, invoiceOp(1), stepCreate, nil))
	post := prepared(t, s, invoiceOp(1), stepPost, map[string]sinks.Outcome{stepCreate: draft})
	sim.AllowPosting("2026-11-01", "")
	if o := s.Deliver(t.Context(), post); o.Class != sinks.Rejected || o.Code != codePeriod || o.Hint == "" {
		t.Errorf("%+v", o)
	}
	if o := s.Verify(t.Context(), post); o.Class != sinks.Absent {
		t.Errorf("%+v", o)
	}
	sim.AllowPosting("", "")
	if o := s.Deliver(t.Context(), post); o.Class != sinks.Applied {
		t.Errorf("%+v", o)
	}
}

// No secret and no token is in an outcome, an intent, a finding or the log.
func TestSecretsAreNotShown(t *testing.T) {
	sim := environment(t, simulator.Options{ClientIDs: true, ClientSecret: "canary-of-entra"})
	var shown strings.Builder
	for _, secret := range []string{"canary-of-entra", "canary-that-is-wrong"} {
		s := sinkOf(t, sim, func(c *Config) { c.Principals = []Principal{principal(sim, secret)} })
		s.log = slog.New(slog.NewTextHandler(&shown, nil))
		in, out := s.Prepare(t.Context(), acme, stepUpsert, nil, time.Now())
		sim.SetFault(sinktest.FaultOrder{Fault: sinktest.ErrorAfter, Step: "create", Count: 1})
		o, v := s.Deliver(t.Context(), in), s.Verify(t.Context(), in)
		found, err := s.Check(t.Context())
		_, identity := s.Identity(t.Context())
		fmt.Fprintf(&shown, "%+v %+v %+v %+v %+v %v %v %+v\n", in, out, o, v, found, err, identity, s.cfg)
	}
	if text := shown.String(); strings.Contains(text, "canary") || strings.Contains(text, "eyJ0eXAi") || !strings.Contains(text, "already_applied") {
		t.Errorf("%s", text)
	}
}
