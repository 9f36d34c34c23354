package transform

import (
	"encoding/json"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// A field that a rule cannot have is written by hand: the event says by which line of the audit, and the next one is made of the rows
// again.
func TestAFieldWrittenByHand(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.loads load_no=1 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=10:00:00")
	d.expect("problems", d.problems(), "MISSING_FIELD shipment/1")
	fp := ""
	for k, p := range d.out.open {
		fp = k[0]
		var e struct{ Before, After map[string]any }
		if err := json.Unmarshal(p.Evidence, &e); err != nil || e.Before["status_cd"] != "ADL" || e.After["status_cd"] != "MTY" {
			t.Errorf("evidence %s, %v", p.Evidence, err)
		}
	}
	for patch, want := range map[string]string{
		`{"peices":20}`:   "peices: found no such field, expected one of load, pieces, receiver, bol, customer",
		`{"pieces":20.5}`: "pieces: found 20.5, expected a whole number, or a decimal as text",
		`{"pieces":[1]}`:  "pieces: found [1], expected a text, a whole number, true or false, or an object of these",
	} {
		if _, err := d.p.PreviewAmend(d.st, fp, "shipment/1", fieldsOf(t, patch)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", patch, err)
		}
	}
	a, err := d.p.PreviewAmend(d.st, fp, "shipment/1", fieldsOf(t, `{"pieces":20}`))
	if err != nil || string(a.Was) != `{"customer":"9","load":1}` || string(a.Is) != `{"customer":"9","load":1,"pieces":20}` || len(a.Left) != 0 {
		t.Errorf("%s → %s, %v, %v", a.Was, a.Is, a.Left, err)
	}
	if err := d.p.Amend(d.st, d.out, d.entry(), fp, "shipment/1", fieldsOf(t, `{"pieces":20}`), 7); err != nil {
		t.Fatal(err)
	}
	d.expect("problems", d.problems(), "")
	if ev := d.out.events[0]; ev.Type != "shipment.delivered" || ev.Edited != 7 || !strings.Contains(string(ev.Data), `"pieces":20`) {
		t.Errorf("%+v", ev)
	}
	if n := len(d.st.buckets[bucketAmend]); n != 0 {
		t.Errorf("%d amendments left", n)
	}
}

// An object of a held document is written by hand; its posting sees it.
func TestAnObjectWrittenByHand(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(invoice("insert", "B1", "", "100.00")...)
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/B1")
	fp := "MASTER/UNKNOWN_CUSTOMER/billing/ACM01"
	if err := d.p.Amend(d.st, d.out, d.entry(), fp, "invoice/B1", fieldsOf(t, `{"bill_to":{"account":"104377"}}`), 3); err != nil {
		t.Fatal(err)
	}
	d.expect("problems", d.problems(), "")
	if len(d.out.posts) != 1 || !strings.Contains(string(d.out.posts[0].Body), `"party":"104377"`) || d.out.events[0].Edited != 3 {
		t.Fatalf("%+v", d.out.posts)
	}
	d.tx(acme)
	d.tx(invoice("insert", "B2", "", "100.00")...)
	if ev := d.out.events[len(d.out.events)-1]; ev.Key != "B2" || ev.Edited != 0 {
		t.Errorf("%+v", ev)
	}
}

func fieldsOf(t *testing.T, patch string) map[string]json.RawMessage {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(patch), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// Only a problem of policy is let pass; a missing value is not.
func TestWaive(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(invoice("insert", "B1", "", "100.00")...)
	fp := "MASTER/UNKNOWN_CUSTOMER/billing/ACM01"
	if waits, err := d.p.Waits(d.st, fp); err != nil || !waits {
		t.Fatalf("%v, %v", waits, err)
	}
	if err := d.p.Waive(d.st, d.out, d.entry(), fp); err != nil {
		t.Fatal(err)
	}
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/B1")

	r := d.p.run(d.st, d.out, d.entry())
	policy := &trouble{class: "POLICY", code: "NOT_OWNER", cause: "customer/1"}
	if err := d.st.Put(bucketWaits, stateKey(policy.fingerprint(), "customer/1", "held", "x"), []byte{}); err != nil {
		t.Fatal(err)
	}
	whole := &shape{typ: "customer.changed"}
	for _, waived := range []bool{false, true} {
		left, err := r.unwaived([]*trouble{policy, {class: "DATA", code: "MISSING_FIELD"}}, whole, &frame{fields: map[string]ref.Val{"code": types.String("1"), "name": types.String("Acme")}})
		if err != nil || waived != (len(left) == 1) {
			t.Errorf("waived %v: %d left, %v", waived, len(left), err)
		}
		if err := d.p.Waive(d.st, d.out, d.entry(), policy.fingerprint()); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody lets pass that an event would lack a field without which it cannot be.
	left, err := r.unwaived([]*trouble{policy}, whole, &frame{fields: map[string]ref.Val{}})
	if err != nil || len(left) != 1 {
		t.Errorf("an event that is not whole: %d left, %v", len(left), err)
	}
	if Waivable("DATA", "EVENT_INCOMPLETE") || Waivable("POLICY", "TOO_MANY_LINES") || !Waivable("POLICY", "NOT_OWNER") {
		t.Error("what can be let pass")
	}
}
