package businesscentral

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	simulator "waybill/sinks/sinktest/businesscentral"
)

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
