package s4hana

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"waybill/sinks"
	sim "waybill/sinks/sinktest/s4hana"
)

// Edits of people in S/4HANA are told field by field, and a person's choice holds until the source changes the field again.
func TestEdits(t *testing.T) {
	s := simulated(t, sim.Options{}, nil)
	first := customerOp(1)
	o := s.one(t, first)
	last := &sinks.Last{Body: first.Body, Facts: o.Facts}
	x := &exchange{Sink: s.sink, ctx: t.Context()}
	byHand := func(street string) {
		t.Helper()
		p, out := x.partner(customerField, "C1")
		if out != nil {
			t.Fatal(*out)
		}
		a := p.list("to_BusinessPartnerAddress")[0]
		c := change{Method: http.MethodPatch, ETag: a.etag(), Body: object{"StreetName": street},
			Path: "A_BusinessPartnerAddress(BusinessPartner=" + quoted(o.Ref) + ",AddressID=" + quoted(a.text("AddressID")) + ")"}
		if _, out := x.write(partnerService, []change{c}, sinks.Intent{}, ""); out != nil {
			t.Fatal(*out)
		}
	}
	send := func(op sinks.Operation, take string) sinks.Outcome {
		t.Helper()
		op.Last, op.Take = last, take
		return s.try(t, op)
	}
	street := func(want string) {
		t.Helper()
		p, out := x.partner(customerField, "C1")
		if out != nil || x.there(p).Texts["street"] != want {
			t.Errorf("the street is %v %+v, want %s", p, out, want)
		}
	}
	byHand("9 Their St")
	renamed := first
	renamed.Body = json.RawMessage(strings.Replace(string(first.Body), "Lone Star", "Lonely Star", 1))
	c := send(renamed, "")
	if c.Class != sinks.Conflict || c.Code != sinks.CodeChanged || c.Field != "street" || c.Facts["there.street"] != "9 Their St" || c.Facts["last.street"] != "1 Main St" || c.Facts["wanted.street"] != "1 Main St" {
		t.Fatalf("%+v", c)
	}
	street("9 Their St")
	if c = send(renamed, sinks.TakeTheirs); c.Class != sinks.Applied || c.Facts[sinks.KeptFact+"street"] != "9 Their St" || c.Facts["name"] != "Lonely Star Foods 1" {
		t.Fatalf("%+v", c)
	}
	street("9 Their St")
	last = &sinks.Last{Body: renamed.Body, Facts: c.Facts}
	if c = send(renamed, ""); !c.Done() || c.Facts[sinks.KeptFact+"street"] != "9 Their St" {
		t.Errorf("the choice does not hold: %+v", c)
	}
	byHand("10 Other St")
	if c = send(renamed, ""); c.Code != sinks.CodeChanged {
		t.Errorf("a new edit behind the choice: %+v", c)
	}
	if c = send(renamed, sinks.TakeOurs); c.Class != sinks.Applied {
		t.Errorf("%+v", c)
	}
	street("1 Main St")
	if e, err := s.sink.Entity(customerEntity); err != nil || !e.Edits {
		t.Error(e, err)
	}
}

// A long name is split, and comes back the same though fields keep no blanks at their end.
func TestLongNames(t *testing.T) {
	name := strings.Repeat("Freight ", 12) + "Inc" // its 40th character is a blank
	parts := names(name)
	if parts["OrganizationBPName1"] != strings.TrimRight(name[:40], " ") || fullName(parts) == "" {
		t.Errorf("%v", parts)
	}
	s := simulated(t, sim.Options{}, nil)
	op := customerOp(1)
	op.Body = json.RawMessage(strings.Replace(string(op.Body), "Lone Star Foods 1", name, 1))
	s.one(t, op)
	if o := s.try(t, op); o.Class != sinks.AlreadyApplied {
		t.Errorf("%+v", o)
	}
	// A person keeps a long name that somebody wrote there.
	x := &exchange{Sink: s.sink, ctx: t.Context()}
	p, out := x.partner(customerField, "C1")
	if out != nil {
		t.Fatal(*out)
	}
	if _, out := x.write(partnerService, []change{{Method: http.MethodPatch, ETag: p.etag(), Path: "A_BusinessPartner(" + quoted(p.text("BusinessPartner")) + ")", Body: object{"OrganizationBPName1": "Haulage"}}}, sinks.Intent{}, ""); out != nil {
		t.Fatal(*out)
	}
	op.Last, op.Take = &sinks.Last{Body: op.Body}, sinks.TakeTheirs
	if o := s.try(t, op); o.Class != sinks.AlreadyApplied || !strings.HasPrefix(o.Facts["name"], "Haulage") || !strings.HasPrefix(o.Facts[sinks.KeptFact+"name"], "Haulage") {
		t.Errorf("%+v", o)
	}
}
