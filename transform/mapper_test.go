package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

func TestReleaseDaysAfterTheLines(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line2, line1)
	d.expect("events of the draft", d.events(), "invoice.drafted A1")
	d.wait(72 * time.Hour)
	d.tx(free)
	d.expect("posts", d.posts(), "sales_invoice nstar:A1:0")
	ev := d.out.events[0]
	want := `{"bill_to":{"account":"104377"},"currency":"USD","date":"2026-10-01","lines":[` +
		`{"charge":"LINEHAUL","net":"1000.00","no":1,"price":"1000.0000","quantity":"1.000","tax":{"name":"Exempt"}},` +
		`{"charge":"DETENTION_DL","net":"150.00","no":2,"price":"75.0000","quantity":"2.000","tax":{"name":"Exempt"}}],` +
		`"net":"1150.00","number":"A1","original_revision":0,"revision":0,"tax":"0.00","total":"1150.00","type":"invoice"}`
	d.expect("data", string(ev.Data), want)
	if ev.Occurred.Format(time.RFC3339) != "2026-10-02T09:00:00-05:00" || *ev.Amount != (Money{"1150.00", "USD"}) || ev.OrderKey != "invoice/A1" {
		t.Errorf("%+v", ev)
	}
	d.expect("problems", d.problems(), "")
	if len(d.out.timers) != 0 {
		t.Errorf("timers left: %v", d.out.timers)
	}
}

func TestLinesAfterTheHeaderInOneTransaction(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(append(invoice("insert", "B1", "", "100.00"), "insert billing.inv_line inv_no=B9 line_no=1 ext_amt=1.00 qty=1 rate=1 chg_cd=LH tax_cd=EX")...)
	d.expect("events", d.events(), "invoice.released B1")
}

func TestUnknownCustomerIsOneProblemAndWakesAll(t *testing.T) {
	d := newDrive(t, northstar(t))
	const n = 3*wakeBatch + 7
	for i := range n {
		d.tx(invoice("insert", "B"+strings.Repeat("x", i%3)+string(rune('0'+i%10))+strings.Repeat("y", i/10), "", "100.00")...)
	}
	d.expect("events", d.events(), "")
	causes := map[string]bool{}
	for k := range d.out.open {
		causes[k[0]] = true
	}
	if len(causes) != 1 || !causes["MASTER/UNKNOWN_CUSTOMER/billing/ACM01"] || len(d.out.open) != n {
		t.Fatalf("%d problems of %v", len(d.out.open), causes)
	}
	for _, p := range d.out.open {
		if p.Amount == nil || *p.Amount != (Money{"100.00", "USD"}) || p.Owner != "master data" || p.Class != "MASTER" {
			t.Fatalf("%+v", p)
		}
		break
	}
	d.tx(acme)
	if got := len(d.out.events); got != n {
		t.Errorf("%d of %d released", got, n)
	}
	d.expect("problems", d.problems(), "")
}

func TestValidityDatesAndAccountChange(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert billing.bill_cust cust_cd=ACM01 erp_acct=OLD eff_dt=2019-01-01 end_dt=2026-10-04")
	d.tx(invoice("insert", "B1", "", "100.00")...)
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/B1")
	d.tx("insert billing.bill_cust cust_cd=ACM01 erp_acct=NEW eff_dt=2026-10-05")
	d.expect("problems", d.problems(), "")
	if len(d.out.posts) != 1 || !strings.Contains(string(d.out.posts[0].Body), `"party":"NEW"`) {
		t.Errorf("%v", d.out.posts)
	}
}

func TestUnmappedCodeHoldsUntilTheMappingKnowsIt(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL pcs_ord=3 ord_ts=2026-10-01_00:00:00 upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.loads load_no=1 status_cd=DLV dlv_dt=2026-10-01 dlv_tm=10:00:00")
	d.expect("events", d.events(), "")
	d.expect("problems", d.problems(), "UNMAPPED_CODE shipment/1")
	d.tx("update dispatch.loads load_no=1 status_cd=CLS")
	d.expect("events after a known code", d.events(), "")
	d.activate(northstar(t, "version: 1", "version: 2", "MTY: delivered ", "DLV: delivered\n    MTY: delivered "))
	d.expect("events after activation", d.events(), "shipment.delivered 1")
	d.expect("problems", d.problems(), "")
	if v := northstar(t, "version: 1", "version: 2").Version(); v != "northstar/2" {
		t.Error(v)
	}
}

func TestProblemStaysWhileAnotherRuleWaitsOnIt(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ZZZ pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	d.activate(northstar(t, "when: became(status_cd, code.load_status.departed)", `when: became(status_cd, "LDD")`))
	d.expect("problems", d.problems(), "UNMAPPED_CODE shipment/1")
	d.activate(northstar(t, "CLS: pod_received", "CLS: pod_received\n    ZZZ: delivered"))
	d.expect("problems", d.problems(), "")
}

func TestIncompleteDocumentIsToldAtItsDeadlineAndHealsItself(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1)
	d.tx(free)
	d.events()
	d.expect("before the deadline", d.problems(), "")
	d.wait(59 * time.Second)
	d.expect("just before it", d.problems(), "")
	d.wait(2 * time.Second)
	d.expect("after it", d.problems(), "INCOMPLETE_DOCUMENT invoice/A1")
	d.tx("insert billing.inv_line inv_no=A1 line_no=2 chg_cd=DET qty=2.000 rate=75.0000 ext_amt=149.99 tax_cd=EX")
	d.expect("a cent off", d.problems(), "TOTAL_MISMATCH invoice/A1")
	for _, p := range d.out.open {
		d.expect("title", p.Title, "invoice/A1 does not add up: sum(l.ext_amt) + h.tax_amt is 1149.99, but h.inv_amt is 1150.00.")
	}
	d.tx("update billing.inv_line inv_no=A1 line_no=2 ext_amt=150.00")
	d.expect("healed", d.problems(), "")
	d.expect("events", d.events(), "invoice.released A1")
	if d.out.posts[0].Event == "" || len(d.out.posts) != 1 {
		t.Error(d.out.posts)
	}
}

func TestLateReleaseHasTheIDOfItsChange(t *testing.T) {
	atOnce := newDrive(t, northstar(t))
	atOnce.tx(acme)
	late := newDrive(t, northstar(t))
	late.tx("delete billing.bill_cust cust_cd=ACM01 eff_dt=2019-01-01")
	for _, d := range []*drive{atOnce, late} {
		d.tx(draft, line1, line2)
		d.tx(free)
	}
	late.tx(acme)
	a, b := atOnce.out.events[1], late.out.events[1]
	if a.ID != b.ID || a.Position != b.Position || a.Index != b.Index || atOnce.out.posts[0].ID != late.out.posts[0].ID {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestRebillKeepsItsOrder(t *testing.T) {
	for _, order := range [][]string{{"R", "C"}, {"C", "R"}} {
		d := newDrive(t, northstar(t))
		d.tx(acme)
		d.tx(invoice("insert", "A100", "", "100.00")...)
		var both []change
		for _, o := range order {
			amount := map[string]string{"R": "90.00", "C": "-100.00"}[o]
			both = append(both, invoice("insert", "A100-"+o, "A100", amount)...)
		}
		d.tx(both...)
		keys := ""
		for _, e := range d.out.events {
			keys += e.OrderKey + " "
		}
		d.expect("order keys", keys, "invoice/A100 invoice/A100 invoice/A100 ")
		var gates []string
		for _, g := range d.out.posts[2].Gates {
			gates = append(gates, g.Name+" "+g.Key)
		}
		d.expect("gates of the replacement", strings.Join(gates, ", "), "erp.customer 104377, erp.sales_invoice nstar:A100:0")
		d.expect("events", d.events(), "invoice.released A100, credit_memo.issued A100-C, invoice.rebilled A100-R")
	}
}

func TestCorrectionsWaitForTheirOriginal(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(invoice("insert", "A100", "", "100.00")...) // unknown customer
	d.tx(slices.Concat(invoice("insert", "A100-R", "A100", "90.00"), invoice("insert", "A100-C", "A100", "-100.00"))...)
	d.wait(time.Hour)
	d.expect("problems", d.problems(), "CORRECTION_PENDING invoice/A100-C, CORRECTION_PENDING invoice/A100-R, "+
		"UNKNOWN_CUSTOMER invoice/A100, UNKNOWN_CUSTOMER invoice/A100-C, UNKNOWN_CUSTOMER invoice/A100-R")
	d.tx(acme)
	d.expect("events", d.events(), "invoice.released A100, credit_memo.issued A100-C, invoice.rebilled A100-R")
	d.expect("problems", d.problems(), "")
}

func TestReleaseTakenBackIsForgotten(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(draft, line1, line2)
	d.tx(free)
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/A1")
	d.tx("update billing.inv_hdr inv_no=A1 stat=V")
	d.expect("problems", d.problems(), "")
	d.tx(acme)
	d.expect("events", d.events(), "invoice.drafted A1, invoice.voided A1")
	d.expect("posts", d.posts(), "")
}

func TestVoidAfterPostingIsAPersonsMatter(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.tx(free)
	d.tx("update billing.inv_hdr inv_no=A1 stat=V")
	d.expect("problems", d.problems(), "VOID_AFTER_POSTING invoice/A1")
	d.expect("events", d.events(), "invoice.drafted A1, invoice.released A1, invoice.voided A1")
}

func TestCutOverTestsEveryDocument(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	old := "insert billing.inv_hdr inv_no=Z1 rev_no=0 cust_cd=NOBODY stat=R inv_dt=2026-08-31 line_cnt=9 inv_amt=1.00 tax_amt=0.00 upd_ts=2026-08-31_23:59:59 rel_ts=2026-08-31_23:59:59"
	d.tx(change(old))
	d.wait(time.Hour)
	d.expect("events", d.events(), "")
	d.expect("problems", d.problems(), "")
	d.tx(change(strings.Replace(strings.Replace(old, "Z1", "Z2", 1), "rel_ts=2026-08-31_23:59:59", "rel_ts=2026-09-01_00:00:00", 1)))
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/Z2")
}

func TestFirstSnapshotSeeds(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.snapshot("dispatch", 2,
		"snapshot dispatch.customers cust_cd=104377 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-01-01_00:00:00",
		"snapshot dispatch.loads load_no=1 cust_cd=104377 status_cd=CLS pcs_ord=3 dlv_dt=2026-09-02 dlv_tm=10:00:00 driver_id=7 upd_ts=2026-09-02_00:00:00",
		"snapshot dispatch.loads load_no=2 cust_cd=104377 status_cd=DSP pcs_ord=3 driver_id=7 upd_ts=2026-09-02_00:00:00")
	d.expect("events", d.events(), "customer.changed 104377, shipment.delivered 1 (history)")
	d.expect("posts", d.posts(), "customer 104377 (adopt)")
	rows := []change{"snapshot billing.bill_cust cust_cd=ACM01 erp_acct=104377 eff_dt=2019-01-01"}
	for _, no := range []string{"B1", "B2", "B3"} {
		rows = append(rows, invoice("snapshot", no, "", "100.00")...)
	}
	rows = append(rows, "snapshot billing.inv_hdr inv_no=OLD1 rev_no=0 cust_cd=NOBODY stat=R inv_dt=2020-01-01 line_cnt=1 inv_amt=1.00 tax_amt=0.00 upd_ts=2020-01-01_00:00:00",
		"snapshot billing.inv_hdr inv_no=D1 rev_no=0 cust_cd=NOBODY stat=D inv_dt=2026-10-01 line_cnt=1 inv_amt=1.00 tax_amt=0.00 upd_ts=2026-10-01_00:00:00")
	d.snapshot("billing", 2, rows...)
	d.expect("events", d.events(), "invoice.released B1, invoice.released B2, invoice.released B3")
	d.expect("posts", d.posts(), "sales_invoice nstar:B1:0 (adopt), sales_invoice nstar:B2:0 (adopt), sales_invoice nstar:B3:0 (adopt)")
	d.expect("problems", d.problems(), "")
	d.tx("update dispatch.loads load_no=2 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=10:00:00")
	d.expect("news", d.events(), "shipment.delivered 2")
}

func TestLaterSnapshotIsCompared(t *testing.T) {
	d := newDrive(t, northstar(t))
	load := func(no, status string) change {
		return change("snapshot dispatch.loads load_no=" + no + " cust_cd=9 status_cd=" + status + " pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	}
	d.snapshot("dispatch", 100, load("1", "DSP"), load("2", "DSP"), load("3", "DSP"))
	d.tx("insert dispatch.loads load_no=4 cust_cd=9 status_cd=DSP pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	d.expect("events", d.events(), "")
	d.snapshot("dispatch", 1, load("1", "MTY"), load("2", "DSP"), load("5", "MTY"))
	d.expect("events", d.events(), "shipment.delivered 1, shipment.delivered 5")
	left := ""
	if err := d.st.Scan("row/dispatch.loads", "", "", func(k string, _ []byte) (bool, error) { left += k + " "; return true, nil }); err != nil {
		t.Fatal(err)
	}
	d.expect("rows left", left, "1 2 5 ")
}

func TestMasterEventOnlyWhenSomethingRelevantChanged(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.customers cust_cd=1 name=Ann terms_cd=N30 active_flg=Y upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.customers cust_cd=1 upd_ts=2026-10-02_00:00:00")
	d.expect("events", d.events(), "customer.changed 1")
	d.tx("update dispatch.customers cust_cd=1 name=Bob terms_cd=X99")
	d.expect("held", d.problems(), "UNMAPPED_CODE customer/1")
	d.tx("update dispatch.customers cust_cd=1 terms_cd=N15")
	d.expect("superseded", d.problems(), "")
	d.expect("events", d.events(), "customer.changed 1")
	if p := d.out.posts[len(d.out.posts)-1]; p.Lane != LaneMaster || p.OrderKey != "customer/1" || !strings.Contains(string(p.Body), `"name":"Bob"`) {
		t.Errorf("%+v", p)
	}
}

func TestAbsentColumnsComeFromRowState(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL pcs_ord=3 bol_no=BOL7 rcvd_by=_Jo_ upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.loads load_no=1 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=10:00:00")
	d.expect("data", string(d.out.events[0].Data), `{"bol":"BOL7","customer":"9","load":1,"pieces":3,"receiver":"Jo"}`)
	d.events()
	d.tx("update dispatch.loads load_no=77 status_cd=MTY")
	d.expect("a row that nobody knows", d.problems(), "VALUE_MISSING shipment/77")
}

func TestReassignmentReadsOldValuesOfRowState(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=AVL pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	d.tx("update dispatch.loads load_no=1 driver_id=7")
	d.tx("update dispatch.loads load_no=1 driver_id=8")
	d.tx("update dispatch.loads load_no=1 driver_id=8 unit_no=T1")
	d.expect("data", string(d.out.events[1].Data), `{"driver":8,"load":1,"previous_driver":7}`)
	d.expect("events", d.events(), "load.assigned 1, load.reassigned 1")
}

func TestValueThatCannotBeDecoded(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.customers cust_cd=1 name=!x terms_cd=N30 active_flg=Y upd_ts=2026-10-01_00:00:00")
	d.expect("problem", d.problems(), "VALUE_NOT_EXACT customer/1")
	for _, p := range d.out.open {
		d.expect("evidence", string(p.Evidence), `{"after":{"active_flg":"Y","addr1":null,"city":null,"cust_cd":"1","email":null,"phone":null,"state":null,"tax_id":null,"terms_cd":"N30","upd_ts":"2026-10-01 00:00:00","zip":null},"position":"0/1","row":"dispatch.customers 1"}`)
		if p.Class != "DATA" || !strings.Contains(p.Title, "customers.name") {
			t.Errorf("%+v", p)
		}
	}
	d.tx("update dispatch.customers cust_cd=1 name=Ann")
	d.expect("problem", d.problems(), "")
	d.expect("events", d.events(), "customer.changed 1")
	err := d.try("insert dispatch.customers cust_cd=!1 name=Ann")
	var hold *HoldTable
	if !errors.As(err, &hold) {
		t.Errorf("a key that cannot be read: %v", err)
	}
}

func TestChangedTableIsHeldUntilTheMappingIsActivated(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.stops load_no=1 stop_seq=1 stop_typ=P loc_cd=X")
	before := d.st.dump()
	was := *d.shape("dispatch.stops")
	held := func(what, reason string) {
		t.Helper()
		err := d.try("update dispatch.stops load_no=1 stop_seq=1 arr_ts=2026-10-01_10:00:00")
		var hold *HoldTable
		if !errors.As(err, &hold) || hold.Source != "dispatch" || hold.Table.Name != "stops" || !strings.Contains(hold.Reason, reason) {
			t.Errorf("%s: %v", what, err)
		}
		d.expect(what+": state", d.st.dump(), before)
	}
	s := was
	s.Fault = "a DDL statement"
	d.catalog["dispatch"][2] = &s
	held("a fault of the source", "a DDL statement")
	other := was
	other.Columns = slices.Clone(was.Columns)
	other.Columns[2].Kind = cdc.KindInt
	d.catalog["dispatch"][2] = &other
	held("another kind", "stop_typ int is new")
	s2 := was
	s2.Columns = slices.Delete(slices.Clone(was.Columns), 3, 4)
	d.catalog["dispatch"][2] = &s2
	held("a column less", "the column loc_cd, which its rules read, is gone")
	d.catalog["dispatch"][2] = &other
	d.activate(northstar(t, "version: 1", "version: 2"))
	d.tx("update dispatch.stops load_no=1 stop_seq=1 stop_typ=1 arr_ts=2026-10-01_10:00:00")
	d.expect("after activation", d.problems(), "UNMAPPED_CODE stop/1-1")
}

func TestTruncateCreditsNothing(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.tx("truncate billing.inv_hdr")
	d.expect("problems", d.problems(), "TABLE_TRUNCATED billing.inv_hdr")
	d.tx(free)
	d.expect("events", d.events(), "invoice.drafted A1, invoice.released A1")
}

func TestKeyOfARowChanges(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.tx("update billing.inv_line inv_no=A1 line_no=3 chg_cd=DET qty=2.000 rate=75.0000 ext_amt=150.00 tax_cd=EX -descr | inv_no=A1 line_no=2")
	d.tx("update billing.inv_hdr inv_no=A2 stat=D rev_no=0 cust_cd=ACM01 inv_dt=2026-10-01 line_cnt=2 inv_amt=1150.00 tax_amt=0.00 upd_ts=2026-10-01_08:00:00 -memo | inv_no=A1")
	d.expect("events", d.events(), "invoice.drafted A1, invoice.drafted A2")
	keys := ""
	if err := d.st.Scan("map/lines/invoice", "", "", func(k string, _ []byte) (bool, error) {
		keys += strings.ReplaceAll(k, "\x00", "/") + " "
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	d.expect("lines", keys, "A1/A1\x01\x011 A1/A1\x01\x013 ")
}

func TestDiscardGivesUp(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(draft, line1, line2)
	d.tx(free)
	d.tx("insert dispatch.customers cust_cd=1 name=Ann terms_cd=ZZZ active_flg=Y upd_ts=2026-10-01_00:00:00")
	d.events()
	for k := range d.out.open {
		if err := d.p.Discard(d.st, d.out, d.entry(), k[0]); err != nil {
			t.Fatal(err)
		}
	}
	d.expect("problems", d.problems(), "")
	d.tx(acme)
	d.expect("events", d.events(), "")
	d.tx("update billing.inv_hdr inv_no=A1 stat=D")
	d.tx("update billing.inv_hdr inv_no=A1 stat=R")
	d.expect("released again", d.events(), "invoice.released A1")
}

func TestDiscardOfManyIsBounded(t *testing.T) {
	d := newDrive(t, northstar(t))
	for i := range 2*wakeBatch + 5 {
		d.tx(invoice("insert", fmt.Sprintf("B%03d", i), "", "100.00")...)
	}
	if err := d.p.Discard(d.st, d.out, d.entry(), "MASTER/UNKNOWN_CUSTOMER/billing/ACM01"); err != nil {
		t.Fatal(err)
	}
	if left := len(d.out.open); left != wakeBatch+5 {
		t.Errorf("%d left after one call", left)
	}
	d.fire()
	d.expect("problems", d.problems(), "")
}

func TestChangeAfterReleaseIsTold(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.tx(free)
	d.tx("update billing.inv_hdr inv_no=A1 upd_ts=2026-10-09_00:00:00")
	d.tx("update billing.inv_line inv_no=A1 line_no=1 chg_cd=LH")
	d.expect("nothing that was sent", d.problems(), "")
	d.tx("update billing.inv_line inv_no=A1 line_no=1 ext_amt=1000.01")
	d.expect("a cent", d.problems(), "CHANGED_AFTER_RELEASE invoice/A1")
	d.tx("update billing.inv_line inv_no=A1 line_no=1 ext_amt=1000.00")
	d.expect("back again", d.problems(), "")
	d.tx("update billing.inv_hdr inv_no=A1 memo=paid")
	d.expect("the header", d.problems(), "CHANGED_AFTER_RELEASE invoice/A1")
	d.tx("delete billing.inv_line inv_no=A1 line_no=1", "delete billing.inv_hdr inv_no=A1")
	d.expect("events", d.events(), "invoice.drafted A1, invoice.released A1")
}

func TestFailingInlineTestsSayWhy(t *testing.T) {
	var fails []string
	for _, r := range northstar(t, "MTY: delivered ", "MTX: delivered ", `"-100.00", tax_amt`, `"-100.01", tax_amt`, "payment_term: NET 15", "payment_term: NET 14").Test() {
		if r.OK != (len(r.Fails) == 0) {
			t.Errorf("%+v", r)
		}
		fails = append(fails, r.Fails...)
	}
	golden(t, "inline-fails.golden", strings.Join(fails, "\n")+"\n")
}

func TestRetryLooksAgain(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(draft, line1, line2)
	d.tx(free)
	fp := "MASTER/UNKNOWN_CUSTOMER/billing/ACM01"
	if err := d.p.Retry(d.st, d.out, d.entry(), fp); err != nil {
		t.Fatal(err)
	}
	d.expect("still", d.problems(), "UNKNOWN_CUSTOMER invoice/A1")
}

func TestRowsAreTraced(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx("insert dispatch.stops load_no=1 stop_seq=2 stop_typ=P loc_cd=X")
	d.tx(line1)
	d.tx(draft)
	d.expect("references", strings.Join(slices.Concat(d.out.rows...), " "), "stop/1-2 shipment/1 invoice/A1 invoice/A1")
}

// The release comes first in its transaction, and the document adds up as it was before: what is sent is what the
// transaction leaves.
func TestATransactionIsJudgedAtItsEnd(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	released := change(strings.Replace(string(free), "|", " |", 1))
	corrected := change(strings.NewReplacer("insert", "update", "1150.00", "1250.00", "stat=D", "stat=R").Replace(string(draft)))
	d.tx(released, corrected,
		"update billing.inv_line inv_no=A1 line_no=2 chg_cd=DET qty=2.000 rate=125.0000 ext_amt=250.00 tax_cd=EX")
	last := d.out.events[len(d.out.events)-1]
	d.expect("events", d.events(), "invoice.drafted A1, invoice.released A1")
	if last.Amount == nil || last.Amount.Amount != "1250.00" {
		t.Errorf("released with %+v", last.Amount)
	}
	d.expect("problems", d.problems(), "")
}
