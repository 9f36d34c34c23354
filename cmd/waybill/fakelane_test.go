package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"waybill/pipeline"
)

func (f *fakeDaemon) Held(_ context.Context, ref string, _ int) ([]pipeline.DeliveryView, error) {
	if f.empty {
		return nil, nil
	}
	one := fakeDelivery()
	one.State, one.Exception, one.Why = "waiting", "", "waits for the batch of Mon 2026-03-09 18:00 -05:00"
	if ref != "" {
		return []pipeline.DeliveryView{one}, nil
	}
	two := one
	two.ExternalID, two.Amount, two.Why = "nstar:A10031:0", usd("-20.00"), "waits for the window that opens at Tue 2026-03-10 06:00 -05:00"
	return []pipeline.DeliveryView{one, two}, nil
}

func (f *fakeDaemon) ReleaseHeld(_ context.Context, r pipeline.HeldRelease) ([]pipeline.DeliveryView, error) {
	if r.Ref == "invoice/A1" {
		return nil, &pipeline.HeldError{Reason: "nothing of invoice/A1 waits for a batch or a window", Hint: "waybill lane held lists what does."}
	}
	f.decide(r)
	one := fakeDelivery()
	one.State, one.Exception, one.Why = "ready", "", "will be sent next"
	return []pipeline.DeliveryView{one}, nil
}

// A case says what of it waits for its time.
func TestCaseShowsWhatWaits(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, zone: testZone, now: nowForTests}
	v := fakeCase()
	v.Held = []pipeline.DeliveryView{{Sink: "erp", Entity: "sales_invoice", ExternalID: "nstar:A10023:0", Why: "waits for the batch of Mon 2026-03-09 18:00 -05:00"}}
	a.printCase(v)
	if want := "\nHeld\n  erp.sales_invoice nstar:A10023:0: waits for the batch of Mon 2026-03-09 18:00 -05:00\n"; !strings.Contains(out.String(), want) {
		t.Error(out.String())
	}
}

// The status says what waits for its time.
func TestStatusShowsBatches(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	a.printLanes([]pipeline.LaneStatus{{Lane: "transactional", Sink: "erp", State: "running", Waiting: 13,
		Held: []pipeline.HeldBatch{{Until: "the batch of Mon 2026-03-09 18:00 -05:00", Count: 12}, {Until: "the window that opens at Tue 2026-03-10 06:00 -05:00", Count: 1}}}})
	for _, want := range []string{"  transactional to erp: 12 wait for the batch of Mon 2026-03-09 18:00 -05:00\n", "  transactional to erp: 1 waits for the window that opens"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
