package businesscentral

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
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

func TestCredits(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	first := invoiceOp(1)
	if _, out := s.Prepare(t.Context(), creditOp(1, first.ExternalID), stepCreate, nil, time.Now()); out == nil || out.Class != sinks.Rejected || out.Code != "UNKNOWN_ORIGINAL" {
		t.Fatalf("%+v", out)
	}
	draft := s.Deliver(t.Context(), prepared(t, s, first, stepCreate, nil))
	if _, out := s.Prepare(t.Context(), creditOp(1, first.ExternalID), stepCreate, nil, time.Now()); out == nil || out.Code != "ORIGINAL_NOT_POSTED" {
		t.Fatalf("%+v", out)
	}
	posted := s.Deliver(t.Context(), prepared(t, s, first, stepPost, map[string]sinks.Outcome{stepCreate: draft}))

	// The whole invoice: Business Central makes the credit memo; its first answer is lost, and its draft is taken up.
	in := prepared(t, s, creditOp(1, first.ExternalID), stepCreate, nil)
	if !strings.Contains(string(in.Request), `"corrects"`) {
		t.Fatalf("%s", in.Request)
	}
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: entityInvoice, Step: "makeCorrectiveCreditMemo", Count: 1})
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Unknown {
		t.Fatalf("%+v", o)
	}
	if v := s.Verify(t.Context(), in); v.Class != sinks.Absent {
		t.Fatalf("%+v", v)
	}
	made := s.Deliver(t.Context(), in)
	if made.Class != sinks.Applied || made.Facts["total"] != "-1232.5" || made.Facts["invoice"] != posted.Number {
		t.Fatalf("%+v", made)
	}
	credit := s.Deliver(t.Context(), prepared(t, s, creditOp(1, first.ExternalID), stepPost, map[string]sinks.Outcome{stepCreate: made}))
	if credit.Class != sinks.Applied || credit.Facts["date"] != "2026-10-02" {
		t.Fatalf("%+v", credit)
	}
	if n := committed(sim, entityCredit, "post", ""); n != 1 {
		t.Errorf("%d credit memos posted", n)
	}

	// A part of another, by lines, and its replacement.
	second := invoiceOp(2)
	posted = deliver(t, s, second)
	part := creditOp(2, second.ExternalID)
	part.Body = json.RawMessage(strings.NewReplacer("-1150.00", "-1000.00", "-1232.50", "-1082.50", `"net":"-150.00"`, `"net":"0.00"`, `"-2"`, `"0"`).Replace(string(part.Body)))
	o := deliver(t, s, part)
	if o.Facts["total"] != "-1082.5" || o.Facts["invoice"] != posted.Number {
		t.Errorf("%+v", o)
	}
	rebill := invoiceOp(3)
	rebill.Body = json.RawMessage(strings.Replace(string(rebill.Body), `"type":"invoice"`, `"applies_to":"nstar:A2:0"`, 1))
	in = prepared(t, s, rebill, stepCreate, nil)
	if !strings.Contains(string(in.Request), "Replaces invoice "+posted.Number) {
		t.Errorf("%s", in.Request)
	}
	deliver(t, s, rebill)
	alone := creditOp(4, "")
	alone.Entity = entityInvoice // as a mapping without originals posts it
	alone.Body = json.RawMessage(strings.Replace(string(alone.Body), `"applies_to":"",`, "", 1))
	if o := deliver(t, s, alone); o.Facts["total"] != "-1232.5" || o.Facts["invoice"] != "" {
		t.Errorf("%+v", o)
	}
	once(t, sim)
}

// Nothing that a person changed is posted as ours, and nothing that Business Central counts otherwise stays.
func TestWhatDiffersIsNotPosted(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	op := invoiceOp(1)
	op.Body = json.RawMessage(strings.NewReplacer("82.50", "80.00", "1232.50", "1230.00").Replace(string(op.Body)))
	o := s.Deliver(t.Context(), prepared(t, s, op, stepCreate, nil))
	if o.Class != sinks.Rejected || o.Code != codeTotal || !strings.Contains(o.Message, "tax is 82.5 in Business Central, 80 here") {
		t.Errorf("%+v", o)
	}
	if v := s.Verify(t.Context(), prepared(t, s, op, stepCreate, nil)); v.Class != sinks.Absent {
		t.Errorf("the draft stays: %+v", v)
	}
	op = invoiceOp(2)
	draft := s.Deliver(t.Context(), prepared(t, s, op, stepCreate, nil))
	x, cancel := s.begin(t.Context())
	defer cancel()
	if out := x.open(); out != nil {
		t.Fatal(out)
	}
	r, out := x.byID("salesInvoices", draft.Ref)
	if out != nil {
		t.Fatal(out)
	}
	if out := x.write(nil, "PATCH", "salesInvoices("+draft.Ref+")", r.etag(), record{"invoiceDate": "2026-10-05"}); out != nil {
		t.Fatal(out)
	}
	if out := x.write(nil, "PATCH", "salesInvoices("+draft.Ref+")", r.etag(), record{"invoiceDate": "2026-10-06"}); out == nil || out.Class != sinks.Conflict || out.Code != codeChanged {
		t.Errorf("an old etag: %+v", out)
	}
	post := prepared(t, s, op, stepPost, map[string]sinks.Outcome{stepCreate: draft})
	if o := s.Deliver(t.Context(), post); o.Class != sinks.Conflict || o.Code != "DRAFT_CHANGED" {
		t.Errorf("%+v", o)
	}
	if r, out = x.byID("salesInvoices", draft.Ref); out != nil {
		t.Fatal(out)
	}
	if out := x.write(nil, "DELETE", "salesInvoices("+draft.Ref+")", r.etag(), nil); out != nil {
		t.Fatal(out)
	}
	for _, o := range []sinks.Outcome{s.Deliver(t.Context(), post), s.Verify(t.Context(), post)} {
		if o.Class != sinks.Conflict || o.Code != "DRAFT_DELETED" {
			t.Errorf("%+v", o)
		}
	}
	if n := committed(sim, entityInvoice, "post", ""); n != 0 {
		t.Errorf("%d posted", n)
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

func TestCurrencies(t *testing.T) {
	_, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	op := invoiceOp(1)
	op.Body = json.RawMessage(strings.Replace(string(op.Body), `"USD"`, `"CAD"`, 1))
	if in := prepared(t, s, op, stepCreate, nil); !strings.Contains(string(in.Request), `"currencyCode":"CAD"`) {
		t.Errorf("%s", in.Request)
	}
	if in := prepared(t, s, invoiceOp(2), stepCreate, nil); !strings.Contains(string(in.Request), `"currencyCode":""`) {
		t.Errorf("the local currency has a name: %s", in.Request)
	}
	if o := deliver(t, s, op); o.Facts["currency"] != "CAD" {
		t.Errorf("%+v", o)
	}
}

// A journal has no line twice, and none is posted without the others.
func TestJournalsInParts(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	in := prepared(t, s, journalOp(1), stepCreate, nil)
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Count: 1})
	if o := s.Deliver(t.Context(), in); o.Done() {
		t.Errorf("%+v", o)
	}
	if v := s.Verify(t.Context(), in); v.Class != sinks.Absent {
		t.Errorf("%+v", v)
	}
	made := s.Deliver(t.Context(), in)
	if again := s.Deliver(t.Context(), in); made.Class != sinks.Applied || !again.Done() || again.Ref != made.Ref {
		t.Errorf("%+v\n%+v", made, again)
	}
	post := prepared(t, s, journalOp(1), stepPost, map[string]sinks.Outcome{stepCreate: made})
	sim.SetFault(sinktest.FaultOrder{Fault: sinktest.DropAnswer, Entity: entityJournal, Step: "post", Count: 1})
	if o := s.Deliver(t.Context(), post); o.Class != sinks.Unknown {
		t.Errorf("%+v", o)
	}
	for _, o := range []sinks.Outcome{s.Verify(t.Context(), post), s.Deliver(t.Context(), post), s.Verify(t.Context(), in), s.Deliver(t.Context(), in)} {
		if o.Class != sinks.AlreadyApplied || o.Number != "NSTAR:J1" || o.Facts["total"] != "12.5" {
			t.Errorf("%+v", o)
		}
	}
	if n := committed(sim, entityJournal, "post", ""); n != 1 {
		t.Errorf("posted %d times", n)
	}
	once(t, sim)
}

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

// No principal has more requests in flight than Business Central runs of a user, and all of them take part.
func TestPrincipalsTakeTurns(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true, Sim: sinktest.SimOptions{Takes: 20 * time.Millisecond, Concurrent: 100}}, nil)
	two := sinkOf(t, sim, func(c *Config) {
		c.Principals = []Principal{principal(sim, "s3cret-of-entra"), {InFlight: 2, Auth: c.Principals[0].Auth}}
	})
	done := make(chan sinks.Outcome)
	for n := range 30 {
		in := prepared(t, s, invoiceOp(n), stepCreate, nil)
		go func() { done <- two.Verify(t.Context(), in) }()
	}
	for range 30 {
		if o := <-done; o.Class != sinks.Absent {
			t.Errorf("%+v", o)
		}
	}
	if n := len(two.pool.turns); n != 7 {
		t.Errorf("%d turns are free, want 7", n)
	}
	if sim.Peak() > 7 {
		t.Errorf("%d requests at the same time, of at most 7", sim.Peak())
	}
}

func TestCheck(t *testing.T) {
	sim, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	found, err := s.Check(t.Context())
	if err != nil || len(cdc.Concerns(found...)) != 0 {
		t.Errorf("%+v %v", cdc.Concerns(found...), err)
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Check)
	}
	want := []string{"login and company", "rights", "posting date today", "posting date in 30 days", "account 40100", "tax code TAXABLE", "tax code EXEMPT", "payment term NET 30", "ids of documents", "reads of the primary"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	wrong := sinkOf(t, sim, func(c *Config) { c.Company, c.Accounts = "Nobody", []string{"99999"} })
	if found, err := wrong.Check(t.Context()); err != nil || len(found) != 1 || found[0].Level != cdc.LevelFail || !strings.Contains(found[0].Found, "Northstar") {
		t.Errorf("%+v %v", found, err)
	}
	named := sinkOf(t, sim, func(c *Config) { c.Accounts = []string{"99999"} })
	if found, err := named.Check(t.Context()); err != nil || len(cdc.Concerns(found...)) != 1 {
		t.Errorf("%+v %v", found, err)
	}
	id, err := s.Identity(t.Context())
	if err != nil || !strings.HasPrefix(id, "businesscentral:127.0.0.1") || !strings.Contains(id, "/production/companies(") {
		t.Errorf("%s %v", id, err)
	}
}

func TestProbe(t *testing.T) {
	for _, ids := range []bool{true, false} {
		sim, s := withAcme(t, simulator.Options{ClientIDs: ids}, func(c *Config) { c.Probe.Customer = "104377" })
		for range 2 {
			found, err := s.Probe(t.Context())
			if err != nil || len(found) != 2 || strings.Contains(found[1].Found, "chosen here") != ids {
				t.Errorf("ids %v: %+v %v", ids, found, err)
			}
		}
		x, cancel := s.begin(t.Context())
		defer cancel()
		if out := x.open(); out != nil {
			t.Fatal(out)
		}
		if rows, out := x.find("salesInvoices", "", 10); out != nil || len(rows) != 0 {
			t.Errorf("drafts stay: %v %+v", rows, out)
		}
		nobody := sinkOf(t, sim, func(c *Config) { c.Probe.Customer = "nobody" })
		if found, err := nobody.Probe(t.Context()); err != nil || len(found) != 1 || found[0].Level != cdc.LevelFail {
			t.Errorf("%+v %v", found, err)
		}
	}
}
