package main

import (
	"context"
	"encoding/json"
	"time"

	"waybill/pipeline"
	"waybill/transform"
)

func changed(field, before, after string) transform.MasterChange {
	raw := func(s string) json.RawMessage {
		if s == "" {
			return json.RawMessage("null")
		}
		text, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return text
	}
	return transform.MasterChange{Field: field, Before: raw(before), After: raw(after)}
}

// fakeMaster is a customer whose third version waits for a second person, and whose ERP record was touched by hand.
func fakeMaster() pipeline.MasterView {
	const ref = "customer/104377"
	version := func(n int, state transform.MasterState, changes ...transform.MasterChange) transform.MasterVersion {
		return transform.MasterVersion{Ref: ref, Number: n, State: state, Row: "row", Content: "c0ffee", Data: json.RawMessage(`{"code":"104377"}`), Changes: changes, Proposed: ago(time.Duration(50-10*n) * time.Hour)}
	}
	one := version(1, transform.MasterSuperseded, changed("code", "", "104377"), changed("name", "", "Lone Star"))
	one.Adopted, one.ActiveAt, one.Event = true, ago(40*time.Hour), "e1"
	two := version(2, transform.MasterActive, changed("payment_term", "NET 30", "NET 15"))
	two.Approvals = []transform.MasterApproval{{By: "ann@desk", At: ago(21 * time.Hour)}, {By: "bob@desk", At: ago(20 * time.Hour)}}
	two.Needs, two.ActiveAt, two.Event, two.From = 2, ago(20*time.Hour), "e2", "2026-03-08"
	three := version(3, transform.MasterProposed, changed("credit_limit", "5000", "50000"), changed("phone", "", "+1 214 555 0100"))
	three.Approvals, three.Needs, three.From, three.To, three.Proposer = []transform.MasterApproval{{By: "bob@desk", At: ago(time.Hour)}}, 2, "2026-04-01", "2026-12-31", "mk"
	return pipeline.MasterView{
		MasterEntity: transform.MasterEntity{Ref: ref, Active: 2, Waiting: []int{3}, Versions: []transform.MasterVersion{one, two, three}},
		Targets: []pipeline.MasterTarget{{Version: 1, Target: "erp.customer", ExternalID: "104377", State: "done", Why: "erp holds it", At: ago(39 * time.Hour), Ref: "17", Holds: true, Kept: []string{"phone"}},
			{Version: 2, Target: "erp.customer", ExternalID: "104377", State: "parked", Why: "is held by exception X-000012"}},
		Exceptions: []pipeline.CaseException{{ID: "X-000011", Code: "APPROVAL_NEEDED", Subject: ref, Title: ref + ", version 3, needs the approval of 2 persons"},
			{ID: "X-000012", Code: "CHANGED_IN_TARGET", Subject: ref, Title: "erp holds something else as " + ref}},
	}
}

func (f *fakeDaemon) Masters(_ context.Context, q pipeline.MasterQuery) ([]transform.MasterEntity, error) {
	if f.empty {
		return nil, nil
	}
	e := fakeMaster().MasterEntity
	e.Versions = e.Versions[2:]
	held := transform.MasterEntity{Ref: "customer/104378", Waiting: []int{1}, Versions: []transform.MasterVersion{{Ref: "customer/104378", Number: 1, State: transform.MasterHeld,
		Changes: []transform.MasterChange{changed("code", "", "104378"), changed("name", "", "Gulf Steel")}, Proposed: ago(time.Hour)}}}
	return []transform.MasterEntity{e, held}, nil
}

func (f *fakeDaemon) Master(_ context.Context, key string) (pipeline.MasterView, error) {
	switch key {
	case "customer/104377", "104377":
		return fakeMaster(), nil
	case "customer/104378":
		list, err := f.Masters(context.Background(), pipeline.MasterQuery{})
		e := list[1]
		e.Versions[0].Faults = []transform.MasterFault{{Target: "erp.customer", Field: "state", Found: `"New Mexico"`, Expected: "a subdivision of ISO 3166-2, such as TX or US-TX"}}
		return pipeline.MasterView{MasterEntity: e, Targets: []pipeline.MasterTarget{}}, err
	}
	return pipeline.MasterView{}, &pipeline.MasterError{Reason: "no governed entity is known by " + key, Hint: "waybill master list shows them.", Absent: true}
}

func (f *fakeDaemon) JudgeMaster(ctx context.Context, r pipeline.MasterRequest) (pipeline.MasterView, error) {
	if r.Ref == "customer/104378" && r.Action == pipeline.MasterApprove {
		return pipeline.MasterView{}, &pipeline.MasterError{Reason: "version 1 of customer/104378 cannot be judged: it does not fit erp.customer", Hint: "waybill master show customer/104378 says what it waits for."}
	}
	f.decide(r)
	v := fakeMaster()
	three := &v.Versions[2]
	switch r.Action {
	case pipeline.MasterApprove:
		three.State, three.Approvals = transform.MasterApproved, append(three.Approvals, transform.MasterApproval{By: r.By})
		three.Due, v.Exceptions = testNow.Add(23*24*time.Hour), v.Exceptions[1:]
	case pipeline.MasterReject:
		three.State, three.EndedBy, three.EndedAt, v.Exceptions = transform.MasterRejected, r.By, ago(0), nil
	}
	return v, nil
}
