package transform

import (
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"waybill/cdc"
)

const (
	statusCodes = `    RFS: refused
    _unknown: hold
  stop_type`
	datedStatus = `    RFS: refused
    "8": [ { word: transferred, until: 2024-06-30 }, { word: refused, from: 2024-07-01, until: 2026-12-31 } ]
    _unknown: hold
    _partner: GCBK
    _version: 3
  stop_type`
	refusedRule = `  pod.received:
    from: dispatch.loads`
	refusedEvent = `  shipment.refused:
    from: dispatch.loads
    when: became(status_cd, code.load_status.refused)
    key: load_no
    at: first(dep_ts, upd_ts)
    set:
      load: load_no
      word: code.load_status(status_cd)
      before: code.load_status(status_cd, as_of=dlv_dt)?
      reason: "refused"

` + refusedRule
)

// A code means what it meant on the day of its event, whenever it is read, and nothing on a day without a word.
func TestACodeChangesItsMeaningOnADay(t *testing.T) {
	d := newDrive(t, northstar(t, statusCodes, datedStatus, refusedRule, refusedEvent))
	load := func(no, day string) {
		d.tx(change("insert dispatch.loads load_no="+no+" cust_cd=104377 status_cd=ADL pcs_ord=20 upd_ts=2020-01-01_00:00:00"),
			change("update dispatch.loads load_no="+no+" status_cd=8 dlv_dt=2024-06-30 dep_ts="+day+" | status_cd=ADL"))
	}
	load("1", "2024-06-30_23:59:59")
	d.expect("on the last day of the old meaning", d.events(), "")
	load("2", "2024-07-01_00:00:00")
	data := string(d.out.events[0].Data)
	d.expect("on the first day of the new one", d.events(), "shipment.refused 2")
	if !strings.Contains(data, `"word":"refused"`) || !strings.Contains(data, `"before":"transferred"`) {
		t.Errorf("the words of the day, and of the day that is named: %s", data)
	}
	d.expect("problems", d.problems(), "")

	load("3", "2027-01-01_00:00:00")
	d.expect("after the last meaning", d.events(), "")
	d.expect("it holds", d.problems(), "UNMAPPED_CODE shipment/3")
	for _, p := range d.out.open {
		if p.Title != `The code "8" is not in the code table load_status of the mapping (partner GCBK, version 3) on 2027-01-01.` ||
			!strings.Contains(string(p.Evidence), `"as_of":"2027-01-01"`) || !strings.Contains(string(p.Evidence), `"partner":"GCBK"`) ||
			!strings.Contains(string(p.Evidence), `"version":"3"`) {
			t.Fatalf("%s %s", p.Title, p.Evidence)
		}
	}
}

// Without a date the code means nothing certain: the event waits, and is not dropped.
func TestACodeWithoutItsDateHolds(t *testing.T) {
	d := newDrive(t, northstar(t, statusCodes, datedStatus, refusedRule, strings.Replace(refusedEvent, "first(dep_ts, upd_ts)", "dep_ts", 1)))
	d.tx("insert dispatch.loads load_no=1 cust_cd=104377 status_cd=ADL pcs_ord=20 upd_ts=2020-01-01_00:00:00")
	d.tx("update dispatch.loads load_no=1 status_cd=8 dlv_dt=2024-07-02 | status_cd=ADL")
	d.expect("events", d.events(), "")
	if p := d.problems(); !strings.Contains(p, "MISSING_DATE shipment/1") {
		t.Errorf("problems: %s", p)
	}
}

// An instant is a day in the zone of its source; a timestamp without zone, the day that it names.
func TestTheDayOfATime(t *testing.T) {
	zone, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 7, 1, 4, 59, 59, 0, time.UTC)
	if got := textOf((dayNode{constNode{types.Timestamp{Time: at}}, zone}).eval(nil)); got != "2024-06-30" {
		t.Errorf("an instant: %s", got)
	}
	if got := textOf((dayNode{constNode{civil{cdc.KindTimestamp, "2024-07-01 04:59:59"}}, zone}).eval(nil)); got != "2024-07-01" {
		t.Errorf("a timestamp: %s", got)
	}
}

// A document is read by its own date in its emit, its lines and its postings.
func TestTheDateOfADocument(t *testing.T) {
	d := newDrive(t, northstar(t,
		"charge: { LH: LINEHAUL,", `charge: { LH: [ { word: LINEHAUL_OLD, until: 2026-09-30 }, { word: LINEHAUL, from: 2026-10-01 } ],`,
		"item: { LINEHAUL: FRT,", "item: { LINEHAUL_OLD: OLD, LINEHAUL: FRT,",
		`revenue_account: { LINEHAUL: "4000",`, `revenue_account: { LINEHAUL_OLD: [ { word: "3999", until: 2026-09-30 } ], LINEHAUL: "4000",`))
	d.tx(acme)
	d.tx(invoice("insert", "B1", "", "100.00")...)
	body := string(d.out.posts[0].Body)
	if !strings.Contains(body, `"product":"FRT"`) || !strings.Contains(body, `"account":"4000"`) {
		t.Errorf("of October: %s", body)
	}
	d.posts()
	old := invoice("insert", "B2", "", "100.00")
	for i := range old {
		old[i] = change(strings.ReplaceAll(string(old[i]), "inv_dt=2026-10-05", "inv_dt=2026-09-30"))
	}
	d.tx(old...)
	body = string(d.out.posts[0].Body)
	if !strings.Contains(body, `"product":"OLD"`) || !strings.Contains(body, `"account":"3999"`) {
		t.Errorf("of September, released in October: %s", body)
	}
}
