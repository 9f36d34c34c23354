package main

import (
	"context"
	"time"

	"waybill/pipeline"
	"waybill/transform"
)

func (f *fakeDaemon) VerifyState(_ context.Context, _ time.Time, progress func(pipeline.Progress)) (pipeline.StateProof, error) {
	progress(pipeline.Progress{Step: "rebuilding", Entry: 10, Last: 1_204_330})
	v := pipeline.StateProof{From: "the state snapshot of 2026-03-08T00:00:00Z (entry 4711)", Begin: 4711, Entry: 1_204_330, Keys: 88_121, Equal: f.empty,
		Kinds: []pipeline.KindCount{{What: "events", Count: 4_120}, {What: "documents", Count: 1_310}, {What: "audit lines", Count: 12}, {What: "queues, gates, timers and all else", Count: 82_679}}}
	if !f.empty {
		v.Differ, v.Buckets = 1, []string{"led"}
		v.First = &pipeline.StateDiffs{Bucket: "led", Key: "erp |  | customer | ACM9 | upsert", Live: `{"delivery":"d1"}`}
	}
	return v, nil
}

func fakeDifference() pipeline.Difference {
	return pipeline.Difference{Added: 1, Gone: 1, Changed: 1, Posts: pipeline.PostDiffs{Added: 1, Changed: 1}, More: 12,
		Events: []pipeline.EventDiff{
			{Kind: "added", ID: "e1", Type: "invoice.released", Entity: "invoice", Key: "A10023", Index: 118, New: usd("1150.00")},
			{Kind: "gone", ID: "e2", Type: "shipment.delivered", Entity: "shipment", Key: "88121", Index: 119},
			{Kind: "changed", ID: "e3", Type: "credit_memo.issued", Entity: "credit_memo", Key: "C20001", Index: 120, Old: usd("-1234567.5"), New: usd("-1234567.5"),
				Fields: []pipeline.FieldDiff{{Name: "data.lines[0].charge", Old: "LINEHAUL", New: "FUEL"}, {Name: "data.memo", Old: "x"}}}},
		Documents: []pipeline.DocumentDiff{
			{Kind: "added", Target: "erp.sales_invoice", ExternalID: "nstar:A10023:0", Subject: "invoice/A10023", New: usd("1150.00")},
			{Kind: "changed", Target: "erp.sales_invoice", ExternalID: "nstar:C20001:0", Posted: true, Old: usd("-1234567.5"), New: usd("-1234567.5"),
				Fields: []pipeline.FieldDiff{{Name: "body.lines[0].account", Old: "4010", New: "4020"}}}},
		Money: []pipeline.MoneyDiff{{Of: "invoice.released", Currency: "USD", OldCount: 10_441, OldSum: "12001117.80", NewCount: 10_442, NewSum: "12002267.80"},
			{Of: "shipment.delivered", OldCount: 2, NewCount: 1}},
		Exceptions: []pipeline.ExceptionDiff{{Kind: "gone", Code: "UNMAPPED_CODE", Title: `The code "ZZ" is not in the code table charge of the mapping.`, OldWaiting: 1}}}
}

func (f *fakeDaemon) DiffMappings(_ context.Context, q pipeline.DiffRequest, _ func(pipeline.Progress)) (pipeline.MappingDiff, error) {
	v := pipeline.MappingDiff{Old: "northstar/7", New: "northstar/8", From: "the beginning of the journal", Entries: 1_204_330}
	if q.Old != nil {
		v.Old = "northstar/6"
	}
	if !q.Since.IsZero() {
		v.Notes = []string{"The journal does not reach back to " + q.Since.UTC().Format(time.RFC3339) + ": both begin at the beginning of the journal."}
	}
	if !f.empty {
		v.History = fakeDifference()
	}
	return v, nil
}

func (f *fakeDaemon) Explain(_ context.Context, q pipeline.ExplainRequest, _ func(pipeline.Progress)) (pipeline.ExplainView, error) {
	if q.What == "A9" {
		return pipeline.ExplainView{}, pipeline.ErrNotFound
	}
	reads := []transform.ColumnView{{Name: "status_cd", Before: "ADL", Now: "MTX", Changed: true}}
	return pipeline.ExplainView{What: q.What, Entry: 118, From: "the beginning of the journal",
		Changes: []*transform.Explanation{{Mapping: "northstar/7", Table: "dispatch.public.loads", Key: "88121", Op: "update", Position: "0/16B3748",
			Columns: []transform.ColumnView{reads[0], {Name: "pcs_ord", Before: "20", Now: "20"}},
			Rules: []transform.RuleView{{Rule: "shipment.delivered", At: "northstar.yml:120", Result: "cannot tell", False: "became(status_cd, code.load_status.delivered)",
				Parts: []transform.PartView{{Text: "became(status_cd, code.load_status.delivered)", Value: "UNMAPPED_CODE: the code \"MTX\" is not known", Reads: reads,
					Lookups: []transform.LookupView{{What: "code.load_status", Key: "MTX"}, {What: "code.load_status", Key: "ADL", Answer: "arrived_delivery", Row: "codes.load_status, line 20"}}}}},
				{Rule: "invoice.drafted", Of: "invoice", At: "northstar.yml:201", Result: "no", False: "an earlier rule of the document holds, and the first one counts"}}}},
		Documents: []transform.DocumentView{{Document: "invoice", Key: "A10023", State: "waits", Lines: 2,
			Checks:  []transform.CheckView{{Text: "count(l) == h.line_cnt", Left: "2", Right: "3"}},
			Lookups: []transform.LookupView{{What: "xref.customer", Key: "ACM01", AsOf: "2026-03-08", Answer: `{"account":"104377"}`, Row: "billing.public.bill_cust ACM01"}},
			Trouble: []string{"UNMAPPED_CODE: The code \"ZZ\" is not in the code table charge."}}},
		Made:  []pipeline.MadeView{{ID: "5f0c6f1c2a9b4d10", Type: "invoice.released", Key: "A10023", Posts: []pipeline.DeliveryView{fakeDelivery()}}},
		Holds: []pipeline.HoldView{{ID: "X-000001", Code: "UNMAPPED_CODE", Title: "The code \"MTX\" is not known.", Hint: "Add it.", Owner: "integration", Subject: "shipment/88121"}}}, nil
}

func (f *fakeDaemon) ActivateMapping(_ context.Context, q pipeline.ActivateRequest) (pipeline.Activated, error) {
	f.decide([]any{"activate", q.Mapping.File != "", q.By, q.Why})
	v := pipeline.Activated{Before: "northstar/6", Version: "northstar/7", Entry: 1_204_331}
	if f.empty {
		v.Entry = 0
	}
	return v, nil
}

func (f *fakeDaemon) Shadows(_ context.Context, limit int) (pipeline.ShadowView, error) {
	if f.empty {
		return pipeline.ShadowView{}, nil
	}
	return pipeline.ShadowView{Targets: []pipeline.ShadowTarget{{Mapping: "northstar", Target: "erp.customer", Count: 2, Sends: true, CutOver: ago(24 * time.Hour)},
		{Mapping: "northstar", Target: "erp.sales_invoice", Count: 3, Money: map[string]string{"USD": "3450.00"}}},
		Documents: []pipeline.ShadowDocument{{ID: "d1", Target: "erp.sales_invoice", ExternalID: "nstar:A10023:0", Subject: "invoice/A10023", Recorded: ago(time.Hour), Amount: usd("1150.00")}}, More: 4}, nil
}

func (f *fakeDaemon) SwitchShadow(ctx context.Context, q pipeline.ShadowRequest) (pipeline.ShadowView, error) {
	if q.Mapping != "northstar" {
		return pipeline.ShadowView{}, pipeline.ErrNotFound
	}
	f.decide(q)
	return f.Shadows(ctx, 1)
}
