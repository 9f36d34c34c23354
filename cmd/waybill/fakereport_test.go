package main

import (
	"context"
	"time"

	"waybill/pipeline"
)

func amountOf(n int64, amount string) pipeline.ReportSum {
	return pipeline.ReportSum{Count: n, Amount: amount}
}

func (f *fakeDaemon) Reconcile(_ context.Context, q pipeline.ReportQuery) (pipeline.ReconcileReport, error) {
	r := pipeline.ReconcileReport{Since: q.Since, Until: q.Until, Lines: []pipeline.ReconcileLine{}, Totals: []pipeline.ReconcileLine{}, Differences: []pipeline.ReconcileDifference{}}
	if f.empty {
		return r, nil
	}
	zero := amountOf(0, "0.00")
	canada := pipeline.ReconcileLine{Day: "2026-03-08", Currency: "CAD", Source: amountOf(12, "18450.25"), Released: amountOf(12, "18450.25"), Posted: amountOf(11, "18358.15"),
		Exception: amountOf(1, "92.10"), InFlight: zero, ERP: amountOf(10, "18000.00"), Unread: 1, Difference: zero}
	states := pipeline.ReconcileLine{Day: "2026-03-09", Company: "NSTR", Currency: "USD", Source: amountOf(412, "1284310.55"), Released: amountOf(411, "1283160.55"),
		Posted: amountOf(400, "1244956.45"), Exception: amountOf(9, "38204.10"), InFlight: zero, ERP: amountOf(400, "1244956.45"), Difference: amountOf(3, "1150.00")}
	r.Lines = []pipeline.ReconcileLine{canada, states}
	canada.Day, states.Day = "", ""
	r.Totals = []pipeline.ReconcileLine{canada, states}
	r.Differences = []pipeline.ReconcileDifference{
		{Day: "2026-03-09", Company: "NSTR", Ref: "invoice/NSTR:A10023", Source: usd("1150.00"), Why: "the source shows it as released, and no event was made of it: its release was given up"},
		{Day: "2026-03-09", Company: "NSTR", Ref: "invoice/NSTR:A10031", Event: "5f0c", Released: usd("1150.00"), ERP: usd("1150.00"), Why: "the ERP has it with another amount"}}
	r.More = 1
	return r, nil
}

func (f *fakeDaemon) Backlog(_ context.Context, q pipeline.ReportQuery) (pipeline.BacklogReport, error) {
	at := func(d time.Duration) *time.Time { t := ago(d); return &t }
	return pipeline.BacklogReport{Since: q.Since, Until: q.Until, Stages: []pipeline.BacklogStage{
		{Stage: "delivered", Count: 14, Oldest: at(50 * time.Hour), OldestRef: "shipment/88121"},
		{Stage: "pod", Count: 3, Oldest: at(3 * time.Hour), OldestRef: "shipment/88140"},
		{Stage: "ready"},
		{Stage: "drafted", Count: 1204, Money: map[string]string{"USD": "1284310.55", "CAD": "80.10"}, Oldest: at(26 * time.Hour), OldestRef: "invoice/A10040"},
		{Stage: "released", Count: 9, Money: map[string]string{"USD": "38204.10"}, Exception: 7, Oldest: at(2 * time.Hour), OldestRef: "invoice/A10023"},
		{Stage: "posted", Count: 401, Money: map[string]string{"USD": "1246106.45"}, Oldest: at(8 * time.Hour), OldestRef: "invoice/A9000"},
	}}, nil
}
