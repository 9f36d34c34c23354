package businesscentral

import (
	"encoding/json"
	"strings"
	"testing"

	"waybill/sinks"
	simulator "waybill/sinks/sinktest/businesscentral"
)

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

// What a person changed in a record is not overwritten before somebody has chosen, and what was left stays left.
func TestEditsOfPeople(t *testing.T) {
	_, s := withAcme(t, simulator.Options{ClientIDs: true}, nil)
	body := func(city, name string) json.RawMessage {
		return json.RawMessage(`{"code":"C1","name":"` + name + `","city":"` + city + `","active":true}`)
	}
	op := operation(entityCustomer, "C1", "")
	op.Body = body("Dallas", "Lone Star")
	first := deliver(t, s, op)
	x, cancel := s.begin(t.Context())
	defer cancel()
	if out := x.open(); out != nil {
		t.Fatal(out)
	}
	person := func(values record) {
		t.Helper()
		r, out := x.byID("customers", first.Ref)
		if out == nil {
			out = x.write(nil, "PATCH", "customers("+first.Ref+")", r.etag(), values)
		}
		if out != nil {
			t.Fatal(out)
		}
	}
	person(record{"city": "Waco"})
	op.Last = &sinks.Last{Body: op.Body, Facts: first.Facts}
	op.Body = body("Dallas", "Lone Star Foods")
	in := prepared(t, s, op, stepUpsert, nil)
	o := s.Deliver(t.Context(), in)
	if o.Class != sinks.Conflict || o.Code != sinks.CodeChanged || o.Field != "city" || o.Facts["there.city"] != "Waco" || o.Facts["wanted.city"] != "Dallas" {
		t.Fatalf("%+v", o)
	}
	op.Take = sinks.TakeTheirs
	in = prepared(t, s, op, stepUpsert, nil)
	o = s.Deliver(t.Context(), in)
	if v := s.Verify(t.Context(), in); o.Class != sinks.Applied || o.Facts["kept.city"] != "Waco" || v.Class != sinks.AlreadyApplied || v.Facts["kept.city"] != "Waco" {
		t.Fatalf("%+v\n%+v", o, v)
	}
	op.Last, op.Take = &sinks.Last{Body: op.Body, Facts: o.Facts}, ""
	op.Body = body("Dallas", "Lone Star Inc")
	if o = s.Deliver(t.Context(), prepared(t, s, op, stepUpsert, nil)); o.Class != sinks.Applied || o.Facts["kept.city"] != "Waco" {
		t.Fatalf("what was left is asked about again: %+v", o)
	}
	op.Last, op.Take = &sinks.Last{Body: op.Body, Facts: o.Facts}, sinks.TakeOurs
	op.Body = body("Austin", "Lone Star Inc")
	if o = s.Deliver(t.Context(), prepared(t, s, op, stepUpsert, nil)); o.Class != sinks.Applied || o.Facts["kept.city"] != "" {
		t.Fatalf("%+v", o)
	}
	if r, out := x.byID("customers", first.Ref); out != nil || r.text("city") != "Austin" || r.text("displayName") != "Lone Star Inc" {
		t.Errorf("%+v %+v", r, out)
	}
}
