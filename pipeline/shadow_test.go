package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/transform"
)

// Documents of a mapping in shadow are made, listed and counted apart, and not sent; switched on, those since the cut-over are,
// each once, in order; those before it never; and new ones go their usual way.
func TestShadow(t *testing.T) {
	p := newPast(t)
	p.start()
	p.activates(next(pastMapping, "sources:", "shadow: true\nsources:"))
	p.commits("customers: C1 First N30")
	p.commits("loads: L1 A 1")
	p.commits("~loads: L1 D 1")
	p.commits("inv: A1 R C1 L1 LH 10.00 2026-10-01T08:00:00Z")
	p.commits("inv: A2 R C1 L1 LH 20.00 2026-10-02T08:00:00Z")
	p.commits("inv: A3 R C1 L1 LH 30.00 2026-10-03T08:00:00Z")
	p.settled()
	v, err := shadowsOf(p.store, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sent := p.sink.sent(); len(sent) > 0 || len(v.Targets) != 2 || v.Targets[1].Count != 3 || v.Targets[1].Money["USD"] != "60.00" || len(v.Documents) != 4 || v.Targets[1].Sends {
		t.Fatalf("sent %v, in shadow %+v", sent, v)
	}
	p.decides(decisionEntry{Action: "shadow", By: "ann", Why: "go live", Shadow: &ShadowRequest{Mapping: "past", Send: true, CutOver: time.Date(2026, 10, 2, 0, 0, 0, 0, time.UTC)}})
	p.until("the invoices since the cut-over are posted", func() bool { return slices.Contains(p.sink.sent(), "A3 post") })
	p.commits("inv: A4 R C1 L1 LH 40.00 2026-10-04T08:00:00Z", "inv: A0 R C1 L1 LH 5.00 2026-09-30T08:00:00Z")
	p.until("a new one is posted", func() bool { return slices.Contains(p.sink.sent(), "A4 post") })
	p.settled()
	want := "A2 create A2 post A3 create A3 post A4 create A4 post C1 upsert"
	got := slices.Sorted(slices.Values(p.sink.sent()))
	if strings.Join(got, " ") != want {
		t.Errorf("sent %v, want %s", got, want)
	}
	if v, err = shadowsOf(p.store, 0); err != nil || len(v.Documents) != 2 || v.Documents[0].ExternalID != "A1" || v.Documents[1].ExternalID != "A0" || !v.Targets[1].Sends {
		t.Errorf("in shadow %+v, %v", v, err)
	}
	proof, err := p.history().VerifyState(t.Context(), time.Time{})
	if err != nil || !proof.Equal {
		t.Errorf("%+v %+v %v", proof, proof.First, err)
	}
	p.decides(decisionEntry{Action: "shadow", By: "ann", Why: "stop", Shadow: &ShadowRequest{Mapping: "past"}})
	p.commits("inv: A5 R C1 L1 LH 50.00 2026-10-05T08:00:00Z")
	p.settled()
	if v, err = shadowsOf(p.store, 0); err != nil || len(v.Documents) != 3 || v.Targets[1].Sends {
		t.Errorf("kept again: %+v, %v", v, err)
	}
}

// One post of a mapping may be in shadow, while the others are sent.
func TestShadowOfOnePost(t *testing.T) {
	p := newPast(t)
	p.start()
	p.activates(next(pastMapping, "external_id: number", "external_id: number\n    shadow: true"))
	p.commits("customers: C1 First N30")
	p.commits("inv: A1 R C1 L1 LH 10.00 2026-10-01T08:00:00Z")
	p.settled()
	v, err := shadowsOf(p.store, 0)
	if err != nil || len(v.Targets) != 1 || v.Targets[0].Target != "erp.sales_invoice" || v.Targets[0].Count != 1 || !slices.Equal(p.sink.sent(), []string{"C1 upsert"}) {
		t.Errorf("%+v %v, sent %v", v, err, p.sink.sent())
	}
}

// What was kept in shadow under an external id that another company's document has is parked when it is switched on, not sent.
func TestShadowOfASharedID(t *testing.T) {
	p := newPast(t)
	p.quiet()
	post := func(id, company, shadow string) transform.Post {
		return transform.Post{ID: id, Event: "e" + id, Sink: "erp", Entity: "sales_invoice", ExternalID: "A1", OrderKey: "invoice/" + company + ":A1", Company: company,
			Lane: transform.LaneTransactional, Body: []byte(`{}`), Shadow: shadow}
	}
	p.post(post("d1", "NORTH", ""), post("d2", "SOUTH", "past"))
	p.start()
	p.settled()
	p.decides(decisionEntry{Action: "shadow", By: "ann", Why: "go live", Shadow: &ShadowRequest{Mapping: "past", Send: true, CutOver: time.Date(2026, 10, 2, 0, 0, 0, 0, time.UTC)}})
	p.until("it is parked", func() bool { return p.openCount() == 1 })
	p.settled()
	if got := slices.Sorted(slices.Values(p.sink.sent())); strings.Join(got, " ") != "A1 create A1 post" {
		t.Errorf("sent %v", got)
	}
}
