package transform

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/shopspring/decimal"
	"waybill/cdc"
)

const (
	taken     change = "insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL pcs_ord=3 upd_ts=2026-10-01_00:00:00"
	delivered change = "update dispatch.loads load_no=1 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=10:00:00"
)

func title(d *drive) string {
	for _, p := range d.out.open {
		return p.Title
	}
	return ""
}

func TestAnEventWithoutARequiredFieldDoesNotLeave(t *testing.T) {
	d := newDrive(t, northstar(t, "pieces: pcs_dlv else pcs_ord", "pieces: pcs_dlv?"))
	d.tx(taken)
	d.tx(delivered)
	d.expect("events", d.events(), "")
	d.expect("problems", d.problems(), "EVENT_INCOMPLETE shipment/1")
	d.expect("title", title(d), "shipment/1 cannot leave as shipment.delivered: it has no value for pieces, which the event must have.")
	d.activate(northstar(t, "version: 1", "version: 2"))
	d.expect("events when the rule is right", d.events(), "shipment.delivered 1")
	d.expect("problems when the rule is right", d.problems(), "")
}

func TestAnEventOfAnotherFormDoesNotLeave(t *testing.T) {
	d := newDrive(t, northstar(t, "pieces: pcs_dlv else pcs_ord", "pieces: note else pcs_dlv"))
	d.tx(taken, "update dispatch.loads load_no=1 note=twenty")
	d.tx(delivered)
	d.expect("events", d.events(), "")
	d.expect("title", title(d), `shipment/1 cannot leave as shipment.delivered: it has "twenty" for pieces, which is an exact quantity: a decimal or whole number, or value and uom.`)
	d.tx("insert dispatch.loads load_no=2 cust_cd=9 status_cd=ADL pcs_ord=3 note=20 upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.loads load_no=2 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=10:00:00")
	d.expect("a text that is a number", d.events(), "shipment.delivered 2")
}

func TestADocumentOfAnotherFormWaits(t *testing.T) {
	d := newDrive(t, northstar(t, "description: l.descr?\n        quantity: l.qty\n        price: l.rate", "description: l.descr?\n        quantity: l.qty\n        price: l.descr else l.rate",
		"      total: money(h.inv_amt)", "      total: h.memo?"))
	d.tx(acme)
	d.tx(draft, "insert billing.inv_line inv_no=A1 line_no=1 chg_cd=LH descr=1000.00 qty=1.000 rate=1000.0000 ext_amt=1000.00 tax_cd=EX",
		"insert billing.inv_line inv_no=A1 line_no=2 chg_cd=DET descr=2_hours qty=2.000 rate=75.0000 ext_amt=150.00 tax_cd=EX")
	d.tx(free)
	d.expect("events", d.events(), "invoice.drafted A1")
	d.expect("problems", d.problems(), "EVENT_INCOMPLETE invoice/A1, EVENT_INCOMPLETE invoice/A1")
	var titles []string
	for _, p := range d.out.open {
		titles = append(titles, p.Title)
	}
	if all := strings.Join(titles, "\n"); !strings.Contains(all, "no value for total") || !strings.Contains(all, `"2 hours" for lines[2].price`) {
		t.Errorf("%s", all)
	}
	d.tx("update billing.inv_hdr inv_no=A1 memo=1150.00")
	d.tx("update billing.inv_line inv_no=A1 line_no=2 descr=75.00")
	d.expect("problems when it is right", d.problems(), "")
	d.expect("events when it is right", d.events(), "invoice.released A1")
}

func TestANoticeWithoutARequiredFieldIsHeld(t *testing.T) {
	whole := newDrive(t, northstar(t))
	whole.tx(draft)
	const rule = "invoice.drafted: { when: inserted(), set: { number: h.inv_no, customer: h.cust_cd, currency: h.cur_cd else source.currency } }"
	const broken = "invoice.drafted:\n        when: inserted()\n        set:\n          number: h.inv_no\n          customer: h.cust_cd\n          currency: h.cur_cd"
	for _, broken := range []string{broken, broken + "?"} {
		d := newDrive(t, northstar(t, rule, broken))
		d.tx(draft)
		d.expect("events", d.events(), "")
		if got := d.problems(); got != "EVENT_INCOMPLETE invoice/A1" && got != "MISSING_FIELD invoice/A1" {
			t.Errorf("problems: %s", got)
		}
		d.activate(northstar(t, "version: 1", "version: 2"))
		d.expect("problems when the rule is right", d.problems(), "")
		if len(d.out.events) != 1 || d.out.events[0].ID != whole.out.events[0].ID || string(d.out.events[0].Data) != string(whole.out.events[0].Data) {
			t.Errorf("%+v, want %+v", d.out.events, whole.out.events)
		}
		if left := d.st.dump(); strings.Contains(left, "map/held") || strings.Contains(left, "map/waits") {
			t.Errorf("left in the state:\n%s", left)
		}
	}
	d := newDrive(t, northstar(t, rule, broken+"?"))
	d.tx(draft)
	for k := range d.out.open {
		if err := d.p.Discard(d.st, d.out, d.entry(), k[0]); err != nil {
			t.Fatal(err)
		}
	}
	d.expect("problems when it is given up", d.problems(), "")
	if left := d.st.dump(); strings.Contains(left, "map/held") {
		t.Errorf("left in the state:\n%s", left)
	}
}

// TestWhatTheMapperMakesFitsItsSchema proves events that the sample carrier's rules make by a library that knows nothing of Waybill.
func TestWhatTheMapperMakesFitsItsSchema(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme, "insert dispatch.customers cust_cd=104377 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00")
	d.tx(taken)
	d.tx("update dispatch.loads load_no=1 driver_id=17 unit_no=T9")
	d.tx("update dispatch.loads load_no=1 driver_id=18 | driver_id=17")
	d.tx("update dispatch.loads load_no=1 status_cd=LDD dep_ts=2026-10-01_11:30:00")
	d.tx(delivered)
	d.tx("update dispatch.loads load_no=1 status_cd=CLS pod_ts=2026-10-01_12:00:00")
	d.tx("insert dispatch.stops load_no=1 stop_seq=1 stop_typ=P loc_cd=DAL1")
	d.tx("update dispatch.stops load_no=1 stop_seq=1 arr_ts=2026-10-01_10:00:00")
	d.tx("insert dispatch.accessorials acc_id=5 load_no=1 chg_cd=DET qty=2.000 rate=75.0000 amt=150.00 appr_flg=N upd_ts=2026-10-01_08:00:00")
	d.tx("update dispatch.accessorials acc_id=5 appr_flg=Y appr_by=mk")
	d.tx(draft, line1, line2)
	d.tx(free)
	d.tx(invoice("insert", "C1", "A1", "-100.00")...)
	d.tx(invoice("insert", "R1", "A1", "90.00")...)
	d.tx("insert billing.inv_hdr inv_no=V1 rev_no=0 cust_cd=ACM01 stat=D inv_dt=2026-10-01 line_cnt=1 inv_amt=1.00 tax_amt=0.00 upd_ts=2026-10-01_08:00:00")
	d.tx("update billing.inv_hdr inv_no=V1 stat=V | stat=D")
	seen := map[string]bool{}
	for i := range d.out.events {
		ev := &d.out.events[i]
		seen[ev.Type] = true
		if err := validates(compiled(t, catalogue[ev.Type]), ev.Data); err != nil {
			t.Errorf("%s: %s\n%v", ev.Type, ev.Data, err)
		}
	}
	for _, e := range []string{"customer.changed", "load.assigned", "load.reassigned", "shipment.departed", "shipment.delivered", "pod.received", "stop.arrived",
		"accessorial.approved", "invoice.drafted", "invoice.released", "credit_memo.issued", "invoice.rebilled", "invoice.voided"} {
		if !seen[e] {
			t.Errorf("no %s was made", e)
		}
	}
}

// TestFormsAgree gives values of every kind to every form: what the look at an event lets pass, the schema lets pass, too.
func TestFormsAgree(t *testing.T) {
	values := []ref.Val{types.Int(7), types.True, types.String(" Abc "), types.String("12.50"), types.String("-.5"), types.String("1e5"), types.String("2026-10-01"),
		types.String("2026-02-31"), types.String("2026-10-01T09:30:00-05:00"), types.String("2026-10-01 09:30:00"), types.Timestamp{Time: time.Unix(1790000000, 5000).UTC()},
		record{"account": types.String("1")}, record{"amount": types.String("1.50"), "currency": types.String("USD")}, record{"amount": types.String("x"), "currency": types.String("USD")},
		record{"value": types.Int(3), "uom": types.String("h")}, record{"instant": types.String("2026-10-01T09:30:00Z")}, record{"code": types.String("DET")}}
	for _, v := range kindValues {
		if v.Kind == cdc.KindFloat || v.Kind == cdc.KindBytes {
			continue
		}
		if x := valueOf(v); !types.IsError(x) {
			values = append(values, x)
		}
	}
	for _, kind := range valueKinds {
		s := compiled(t, &EventType{Name: "x.made", Version: 1, Fields: []EventField{{Name: "v", Kind: kind}}})
		for _, v := range values {
			data := map[string]any{}
			put(data, "v", v)
			raw, err := canonical(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := validates(s, raw); err != nil && hasForm(kind, v) {
				t.Errorf("%s passes as %s, but not by the schema: %v", raw, kind, err)
			}
		}
	}
}

// BenchmarkIncomplete is what the look at a document with two lines costs.
func BenchmarkIncomplete(b *testing.B) {
	d := newDrive(b, northstar(b))
	doc := d.p.m.documents[0]
	s := doc.emit[slices.IndexFunc(doc.emit, func(e *emitRule) bool { return e.typ == "invoice.released" })].shape
	value := func(l shapeLook) ref.Val {
		switch l.kind {
		case KindDate:
			return civil{cdc.KindDate, "2026-10-01"}
		case KindMoney, KindQty:
			return number{decimal.RequireFromString("1150.00")}
		}
		return types.String("A1")
	}
	f := &frame{fields: map[string]ref.Val{}, made: []map[string]ref.Val{{}, {}}}
	for _, l := range s.look {
		f.fields[l.name] = value(l)
	}
	for _, line := range f.made {
		for _, l := range s.line {
			line[l.name] = value(l)
		}
	}
	if all := s.incomplete(f, "invoice/A1", "x:1"); all != nil || len(s.look) < 5 {
		b.Fatal(all, s.look)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.incomplete(f, "invoice/A1", "x:1")
	}
}
