package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// fitsSchema proves the data of an event by the catalogue's schema, with a library that is not ours.
func fitsSchema(t *testing.T, e transform.Event) {
	t.Helper()
	raw, err := transform.EventTypeOf(e.Type).Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(data); err != nil {
		t.Errorf("%s %s: %v", e.Type, e.Data, err)
	}
}

// TestOutcomesAreEvents refuses one document and posts another: both are told as events with what the target said, under ids that
// hash their causes. A customer is no document.
func TestOutcomesAreEvents(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		switch {
		case in.ExternalID == "x:A":
			return &sinks.Outcome{Class: sinks.Rejected, Code: "PERIOD_CLOSED", Message: "the period is closed", Field: "date", Hint: "open it"}
		case in.ExternalID == "x:B" && in.Step == "post":
			return &sinks.Outcome{Class: sinks.Applied, Ref: "7", Number: "INV-7",
				Facts: map[string]string{"posting_date": "2026-10-02", "net": "9.00", "tax": "1.00", "total": "10.00", "currency": "USD", "party": ""}}
		}
		return nil
	})
	r.post(invoice("A", "invoice/A"), invoice("B", "invoice/B"), customer("C"))
	r.start()
	r.state("A", StateParked)
	r.state("B", StateDone)
	r.state("C", StateDone)
	got := map[string]transform.Event{}
	err := r.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
			var e transform.Event
			err := json.Unmarshal(raw, &e)
			got[e.Type] = e
			return true, err
		})
	})
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", err, got)
	}
	no, yes := got["erp.rejected"], got["erp.posted"]
	fitsSchema(t, no)
	fitsSchema(t, yes)
	if want := `{"class":"rejected","code":"PERIOD_CLOSED","entity":"sales_invoice","external_id":"x:A","field":"date","hint":"open it","message":"the period is closed","sink":"erp","step":"create"}`; string(no.Data) != want {
		t.Errorf("%s", no.Data)
	}
	if no.ID != hashID("erp.rejected", "A", fmt.Sprint(no.Index)) || no.Entity != "invoice" || no.Key != "A" || no.Causation[0] != "e-A" {
		t.Errorf("%+v", no)
	}
	for _, part := range []string{`"number":"INV-7"`, `"posting_date":"2026-10-02"`, `"net":"9.00"`, `"tax":"1.00"`, `"total":"10.00"`, `"currency":"USD"`} {
		if !strings.Contains(string(yes.Data), part) {
			t.Errorf("%s lacks %s", yes.Data, part)
		}
	}
	if yes.ID != hashID("erp.posted", "B", "0") || yes.Causation[0] != "e-B" {
		t.Errorf("%+v", yes)
	}
}

const reportMapping = "mapping: small\nversion: 1\nsources:\n  db: { zone: UTC }\n"

// told stores events as the mapper and the projector would.
func (r *rig) told(events ...transform.Event) {
	r.t.Helper()
	r.do(func(s *state, out *output) error {
		if err := s.save(bucketSystem, "mapping", mappingEntry{"small/1", "small.yml", reportMapping}); err != nil {
			return err
		}
		for _, e := range events {
			if err := out.Event(e); err != nil {
				return err
			}
		}
		return nil
	})
}

var reportDay = time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)

// happenedAt makes an event about a shipment, so many hours after the beginning of the day.
func happenedAt(typ, key string, hours int, money string, refs ...string) transform.Event {
	entity, _, _ := strings.Cut(typ, ".")
	e := transform.Event{ID: hashID(typ, key, fmt.Sprint(hours)), Type: typ, Rule: typ, Entity: entity, Key: key, Occurred: reportDay.Add(time.Duration(hours) * time.Hour),
		Refs: append([]string{entity + "/" + key}, refs...)}
	if money != "" {
		e.Amount = &transform.Money{Amount: money, Currency: "USD"}
	}
	return e
}

func (r *rig) backlog(q ReportQuery) string {
	r.t.Helper()
	p := &Pipeline{store: r.store}
	report, err := p.Backlog(context.Background(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, s := range report.Stages {
		text := fmt.Sprintf("%s %d", s.Stage, s.Count)
		if s.Money != nil {
			text += " " + s.Money["USD"]
		}
		if s.Oldest != nil {
			text += fmt.Sprintf(" %s %s", s.OldestRef, s.Oldest.Sub(reportDay))
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestBacklogInAnyOrder tells the story of some shipments in many orders; the stages are the same.
func TestBacklogInAnyOrder(t *testing.T) {
	historic := happenedAt("shipment.delivered", "6", 0, "")
	historic.Historic = true
	events := []transform.Event{
		happenedAt("shipment.delivered", "1", 1, ""),
		happenedAt("shipment.delivered", "2", 2, ""), happenedAt("pod.received", "2", 5, "", "shipment/2"), happenedAt("pod.received", "2", 4, "", "shipment/2"),
		happenedAt("shipment.delivered", "3", 3, ""), happenedAt("pod.received", "3", 4, "", "shipment/3"), happenedAt("billing.ready", "3", 6, "", "shipment/3"),
		happenedAt("shipment.delivered", "4", 3, ""), happenedAt("invoice.drafted", "D4", 7, "12.50", "shipment/4"),
		happenedAt("shipment.delivered", "7", 9, ""), historic,
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		shuffled := append([]transform.Event(nil), events...)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		r := newRig(t)
		r.told(shuffled...)
		b := &backlog{shipments: map[string]standing{}, documents: map[string]standing{}, billed: map[uint64]bool{}, done: stageSum{money: sums{}}}
		err := reportOf(context.Background(), r.store, ReportQuery{}, func(rep *reporter) error {
			b.reporter = rep
			return rep.news(b.event)
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range b.stages() {
			all = append(all, fmt.Sprintf("%s %d %s %s", s.Stage, s.Count, s.OldestRef, s.Money["USD"]))
		}
		if got, want := strings.Join(all, ", "), "delivered 2 shipment/1 , pod 1 shipment/2 , ready 1 shipment/3 , drafted 1 invoice/D4 12.50, released 0  , posted 0  "; got != want {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, want)
		}
		if at := b.shipments["shipment/2"].since; !at.Equal(reportDay.Add(4 * time.Hour)) {
			t.Errorf("seed %d: the POD of shipment 2 is of %s", seed, at)
		}
	}
}

// TestBacklogFollowsPostings posts one document, leaves one on its way, and gives one up. A draft that the source does not have is no backlog.
func TestBacklogFollowsPostings(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "x:B" {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "NO", Message: "no"}
		}
		return nil
	})
	r.told(happenedAt("invoice.drafted", "gone", 1, "5.00"))
	for i, id := range []string{"A", "B"} {
		e := happenedAt("invoice.released", id, i+2, "10.00")
		e.ID = "e-" + id
		r.told(e)
	}
	r.post(invoice("A", "invoice/A"), invoice("B", "invoice/B"))
	if got := r.backlog(ReportQuery{}); got != "delivered 0, pod 0, ready 0, drafted 0, released 2 20.00 invoice/A 2h0m0s, posted 0" {
		t.Error(got)
	}
	r.start()
	r.state("A", StateDone)
	r.state("B", StateParked)
	got := r.backlog(ReportQuery{})
	if !strings.HasPrefix(got, "delivered 0, pod 0, ready 0, drafted 0, released 1 10.00 invoice/B 3h0m0s, posted 1 10.00 invoice/A") {
		t.Error(got)
	}
	if got := r.backlog(ReportQuery{Until: reportDay}); strings.Contains(got, "invoice") {
		t.Error(got)
	}
}

// TestReconcileSaysWhy posts a document that the ERP has with another amount, one of which it does not say the amount, and holds a third. The
// source has none of them.
func TestReconcileSaysWhy(t *testing.T) {
	r := newRig(t)
	r.sink.script(func(in sinks.Intent) *sinks.Outcome {
		switch {
		case in.ExternalID == "x:A" && in.Step == "post":
			return &sinks.Outcome{Class: sinks.Applied, Number: "1", Facts: map[string]string{"total": "10.01", "currency": "USD"}}
		case in.ExternalID == "x:C":
			return &sinks.Outcome{Class: sinks.Rejected, Code: "NO", Message: "no"}
		}
		return nil
	})
	for i, id := range []string{"A", "B", "C"} {
		e := happenedAt("invoice.released", id, i, "10.00")
		e.ID = "e-" + id
		r.told(e)
		r.post(invoice(id, "invoice/"+id))
	}
	r.start()
	for id, state := range map[string]DeliveryState{"A": StateDone, "B": StateDone, "C": StateParked} {
		r.state(id, state)
	}
	p := &Pipeline{store: r.store}
	report, err := p.Reconcile(context.Background(), ReportQuery{Since: reportDay, Until: reportDay.Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	want := ReconcileLine{Day: "2026-10-01", Currency: "USD", Source: ReportSum{0, "0.00"}, Released: ReportSum{3, "30.00"}, Posted: ReportSum{2, "20.00"},
		Exception: ReportSum{1, "10.00"}, InFlight: ReportSum{0, "0.00"}, ERP: ReportSum{1, "10.01"}, Unread: 1, Difference: ReportSum{-3, "-30.00"}}
	total := want
	total.Day = ""
	if len(report.Lines) != 1 || report.Lines[0] != want || len(report.Totals) != 1 || report.Totals[0] != total {
		t.Errorf("%+v\n%+v", report.Lines, report.Totals)
	}
	var why []string
	for _, d := range report.Differences {
		why = append(why, d.Ref+": "+d.Why)
	}
	gone := "the source does not have it any more"
	if got, want := strings.Join(why, "\n"), "invoice/A: the ERP has it with another amount\ninvoice/A: "+gone+"\ninvoice/B: "+gone+"\ninvoice/C: "+gone; got != want {
		t.Errorf("%s", got)
	}
	if other, err := p.Reconcile(context.Background(), ReportQuery{Since: reportDay.Add(24 * time.Hour)}); err != nil || len(other.Lines) != 0 {
		t.Errorf("%+v, %v", other, err)
	}
}
