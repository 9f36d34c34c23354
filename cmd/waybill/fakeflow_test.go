package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/sinks"
)

func (f *fakeDaemon) Flows(context.Context) ([]pipeline.SinkView, error) {
	if f.empty {
		return nil, nil
	}
	quiet := ago(-time.Minute)
	return []pipeline.SinkView{
		{Sink: "erp", Account: &sinks.AccountStand{Name: "netsuite-prod", Limit: 12, Ceiling: 16, LeftMinute: -1, LeftDay: 4021},
			Flows: []pipeline.FlowView{{Entity: "customer"}, {Entity: "sales_invoice", Paused: &sinks.Reason{By: "ann@desk", Why: "period close", At: ago(time.Hour)}}}},
		{Sink: "partner", DryRun: true, Account: &sinks.AccountStand{Name: "partner", Limit: 4, Ceiling: 4, LeftMinute: 60, LeftDay: -1}, Flows: []pipeline.FlowView{}},
		{Sink: "portal", Shut: "The target asked to be left alone for a while.", Until: &quiet, Flows: []pipeline.FlowView{{Entity: "load"}}},
		{Sink: "yard", Paused: &sinks.Reason{By: "bob", Why: "moved", At: ago(48 * time.Hour)}, Flows: []pipeline.FlowView{{Entity: "load"}}},
	}, nil
}

func (f *fakeDaemon) PauseFlow(_ context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	if r.Sink == "epr" {
		return pipeline.SinkView{}, &pipeline.FlowError{Reason: `there is no sink "epr"`, Hint: "waybill sink list shows those that there are.", Absent: true}
	}
	f.decide(r)
	return pipeline.SinkView{Sink: r.Sink, Flows: []pipeline.FlowView{{Entity: r.Entity, Paused: &sinks.Reason{By: r.By, Why: r.Why, At: testNow}}}}, nil
}

func (f *fakeDaemon) ResumeFlow(_ context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error) {
	f.decide(r)
	return pipeline.SinkView{Sink: r.Sink, Flows: []pipeline.FlowView{{Entity: "sales_invoice"}}}, nil
}

func (f *fakeDaemon) Reload(_ context.Context, by, why string) (pipeline.Reload, error) {
	if why == "broken" {
		return pipeline.Reload{}, config.Faults{{File: "waybill.yaml", Line: 7, Field: "data", Found: `"elsewhere"`, Expected: `as at the start "data"`, Do: "Put it back, or restart the daemon to take it."}}
	}
	r := pipeline.Reload{File: "waybill.yaml"}
	if !f.empty {
		r.Changes = []string{"accounts.netsuite-prod.concurrency: 4 → 8"}
		f.decide(map[string]string{"by": by, "why": why})
	}
	return r, nil
}

// The status says who paused a flow and why, and what a dry run prepared.
func TestStatusShowsHindrances(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	a.printLanes([]pipeline.LaneStatus{{Lane: "transactional", Sink: "erp", State: "paused", Error: "paused by ann@desk: period close", Ready: 2,
		Hindered: []string{"credit_note is paused by bob: new tax"}, DryRun: true,
		Rehearsed: []pipeline.Rehearsal{{Entity: "sales_invoice", ExternalID: "nstar:A1:0", Step: "create", Request: json.RawMessage(`{"total":"5.00"}`)},
			{Entity: "sales_invoice", ExternalID: "nstar:A2:0", Step: "create", Refused: "UNKNOWN_CUSTOMER: no customer ACM9"}}}})
	for _, want := range []string{"  transactional to erp: paused by ann@desk: period close\n", "  transactional to erp: credit_note is paused by bob: new tax\n",
		"  transactional to erp: dry run, nothing is written; 2 operations prepared last\n", "    create of sales_invoice nstar:A1:0 {\"total\":\"5.00\"}\n",
		"    create of sales_invoice nstar:A2:0 would be refused: UNKNOWN_CUSTOMER: no customer ACM9\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
