package main

import (
	"context"
	"time"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/transform"
)

// fakeCase is a load that was delivered twice on paper, stood too long, and waits for its POD.
func fakeCase() pipeline.CaseView {
	reported := func(typ, source string, at time.Duration) transform.CaseReport {
		return transform.CaseReport{Event: typ + source, Type: typ, Key: "88121", At: ago(at), Recorded: ago(at - time.Minute), Source: source}
	}
	fact := func(name, source string, at time.Duration, reports ...transform.CaseReport) transform.Fact {
		return transform.Fact{Name: name, At: ago(at), Source: source, Event: reports[0].Event, Reports: reports}
	}
	late := reported("shipment.delivered", "billing.inv_hdr", 50*time.Minute)
	late.Linked = true
	return pipeline.CaseView{
		Case: transform.Case{Ref: "shipment/88121", Keys: []string{"shipment/88121", "load/88121", "invoice/A10023"}, Stage: "delivered", Flags: []string{"exception", "hold"},
			Waits: "It waits for the POD, which is due at 2026-03-10 14:05 UTC and charge 6 (LUMPER) is not decided.",
			Facts: []transform.Fact{{Name: "ordered", Implied: true}, {Name: "planned", Implied: true},
				fact("assigned", "dispatch.loads", 20*time.Hour, reported("load.assigned", "dispatch.loads", 20*time.Hour)),
				fact("in_transit", "dispatch.loads", 9*time.Hour, reported("shipment.departed", "dispatch.loads", 9*time.Hour)),
				fact("delivered", "dispatch.loads", time.Hour, reported("shipment.delivered", "dispatch.loads", time.Hour), late)},
			Assignments: []transform.Assignment{{Seq: 1, Driver: "17", At: ago(20 * time.Hour)}, {Seq: 2, Driver: "18", At: ago(19 * time.Hour)}},
			Stops:       []transform.CaseStop{{Stop: "1", Type: "pickup", Arrived: ago(14 * time.Hour), Departed: ago(9 * time.Hour), Minutes: 300}, {Stop: "2", Type: "delivery", Arrived: ago(2 * time.Hour)}},
			Charges:     []transform.CaseCharge{{Key: "5", Charge: "DETENTION_DL", Amount: "1150.00", State: "approved", Reason: "evidence is missing"}, {Key: "6", Charge: "LUMPER", State: "requested"}},
			Documents:   []transform.CaseDocument{{Number: "A10023", Kind: "invoice", State: "drafted", Amount: usd("1150.00")}},
			Checklist: []transform.CheckItem{{Item: "delivered", Met: true, Why: "delivered at 2026-03-09 14:04 UTC"}, {Item: "pod", Why: "it waits for the POD, which is due at 2026-03-10 14:05 UTC"},
				{Item: "charge 6", Why: "charge 6 (LUMPER) is not decided"}},
			Notes: []string{"DUPLICATE_MILESTONE: delivered was reported 2 times."}, Updated: ago(50 * time.Minute)},
		Corrections: []pipeline.Correction{{Of: "invoice/A10020", Text: "invoice A10020 is posted as N-7; credit A10020C is held by exception X-000009; replacement A10020R waits for credit A10020C to be posted; open: A10020 1150.00 USD",
			Open: []string{"A10020 1150.00 USD"}, Documents: []pipeline.CorrectionDocument{
				{Ref: "invoice/A10020", Kind: "invoice", State: "posted", Why: "is posted as N-7", Number: "N-7", Amount: usd("1150.00")},
				{Ref: "invoice/A10020C", Kind: "credit", State: "waiting", Why: "is held by exception X-000009", Amount: usd("-1150.00"), Original: "invoice/A10020"},
				{Ref: "invoice/A10020R", Kind: "replacement", State: "waiting", Why: "waits for credit A10020C to be posted", Amount: usd("1090.00"), Original: "invoice/A10020"}}}},
		Exceptions: []pipeline.CaseException{{ID: "X-000007", Code: "DETENTION_EVIDENCE_MISSING", Subject: "shipment/88121", Title: "shipment/88121: detention 5 (DETENTION_DL) was approved"}},
	}
}

func (f *fakeDaemon) Cases(_ context.Context, q pipeline.CaseQuery) ([]transform.Case, error) {
	if f.empty || q.Flag == "late" {
		return nil, nil
	}
	c := fakeCase().Case
	return []transform.Case{c, {Ref: "shipment/88122", Stage: "cancelled", Waits: "It was cancelled and waits for nothing.", Updated: ago(30 * time.Hour)}}, nil
}

func (f *fakeDaemon) Case(_ context.Context, key string) (pipeline.CaseView, error) {
	if key == "1" {
		return pipeline.CaseView{}, &admin.Error{Status: 404, Message: "no case is known by 1", Hint: "Write the key as entity/id, such as shipment/88121; waybill case list shows the cases."}
	}
	return fakeCase(), nil
}

func (f *fakeDaemon) LinkCase(_ context.Context, l pipeline.CaseLink) (pipeline.CaseView, error) {
	if l.Ref == "bol/0" {
		return pipeline.CaseView{}, &pipeline.CaseError{Reason: "no event waits for a case under bol/0", Hint: "waybill exceptions list --code UNMATCHED shows what waits.", Absent: true}
	}
	f.decide(l)
	return fakeCase(), nil
}
