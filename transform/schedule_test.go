package transform

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func chicagoTime(t testing.TB, text string) time.Time {
	t.Helper()
	zone := zoneNamed("America/Chicago")
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at
		}
	}
	t.Fatalf("the time %q", text)
	return time.Time{}
}

// scheduled reads a schedule and a window as a posting of the sample carrier has them.
func scheduled(t testing.TB, text string) *timetable {
	t.Helper()
	m, err := Parse("scheduled.yml", []byte(withSchedule(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.posts {
		if p.event == "invoice.released" {
			return p.times
		}
	}
	t.Fatal("no posting")
	return nil
}

// withSchedule is the sample carrier with lines more in its posting of invoices.
func withSchedule(t testing.TB, text string) string {
	t.Helper()
	base, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	const at = "    external_id: \"nstar:{number}:{revision}\"\n"
	if !strings.Contains(string(base), at) {
		t.Fatal("the sample carrier has another form")
	}
	return strings.Replace(string(base), at, at+"    "+strings.ReplaceAll(text, "\n", "\n    ")+"\n", 1)
}

// Which batch and window a document goes with, by the commit of its release.
func TestScheduleGivesEachReleaseItsBatch(t *testing.T) {
	const (
		daily   = `schedule: { batch: "0 18 * * MON-FRI", zone: America/Chicago, cutoff: "17:30" }`
		night   = `schedule: { batch: "0 2 * * *", cutoff: "22:00" }`
		hourly  = `schedule: { batch: "0 8-18/2 * * 1-5", cutoff: 30m }`
		monthly = `schedule: { batch: "0 9 1 * *", cutoff: 24h }`
		edge    = `schedule: { batch: "30 2 * * *" }`
		twice   = `schedule: { batch: "30 1 * * *" }`
		office  = `window: { open: "06:00", close: "20:00", days: MON-FRI, blackout: [2026-11-26, 2026-11-27] }`
		nights  = `window: { open: "22:00", close: "04:00", days: SUN-THU }`
		both    = daily + "\n" + `window: { open: "19:00", close: "23:00", blackout: [2026-11-27] }`
	)
	for _, c := range []struct{ text, released, want string }{
		{daily, "2026-11-27 17:29:59", "batch 2026-11-27T18:00:00-06:00"},
		{daily, "2026-11-27 17:30", "batch 2026-11-30T18:00:00-06:00"}, // Friday's cut-off: Monday
		{daily, "2026-11-28 12:00", "batch 2026-11-30T18:00:00-06:00"},
		{daily, "2026-11-30 18:00", "batch 2026-12-01T18:00:00-06:00"},
		{night, "2026-11-27 21:59", "batch 2026-11-28T02:00:00-06:00"},
		{night, "2026-11-27 22:00", "batch 2026-11-29T02:00:00-06:00"},
		{night, "2026-11-28 01:00", "batch 2026-11-29T02:00:00-06:00"},
		{hourly, "2026-11-27 09:29", "batch 2026-11-27T10:00:00-06:00"},
		{hourly, "2026-11-27 09:30", "batch 2026-11-27T12:00:00-06:00"},
		{hourly, "2026-11-27 17:45", "batch 2026-11-30T08:00:00-06:00"},
		{monthly, "2026-11-30 08:59", "batch 2026-12-01T09:00:00-06:00"},
		{monthly, "2026-11-30 09:00", "batch 2027-01-01T09:00:00-06:00"},
		// The clocks are put forward over 02:30 on 8 March: the batch is an hour later. They are put back over 01:30 on 1 November: once.
		{edge, "2026-03-07 12:00", "batch 2026-03-08T03:30:00-05:00"},
		{edge, "2026-03-08 03:30", "batch 2026-03-09T02:30:00-05:00"},
		{twice, "2026-10-31 12:00", "batch 2026-11-01T01:30:00-05:00"},
		{twice, "2026-11-01 01:30", "batch 2026-11-02T01:30:00-06:00"},
		{office, "2026-11-25 19:59", ""},
		{office, "2026-11-25 06:00", ""},
		{office, "2026-11-25 05:59", "window 2026-11-25T06:00:00-06:00"},
		{office, "2026-11-25 20:00", "window 2026-11-30T06:00:00-06:00"}, // two days of Thanksgiving and a weekend
		{nights, "2026-11-25 23:00", ""},
		{nights, "2026-11-26 03:59", ""},
		{nights, "2026-11-27 03:59", ""}, // it opened on Thursday
		{nights, "2026-11-27 04:00", "window 2026-11-29T22:00:00-06:00"},
		{both, "2026-11-26 12:00", "batch 2026-11-26T19:00:00-06:00"},
		{both, "2026-11-27 12:00", "batch 2026-11-28T19:00:00-06:00"},
		{"schedule: realtime", "2026-11-27 12:00", ""},
	} {
		tt := scheduled(t, c.text)
		got := ""
		if tt != nil {
			if g := tt.gate(chicagoTime(t, c.released)); g != nil {
				got = g.Name + " " + g.Key
				if !g.At.Equal(mustTime(t, g.Key)) || g.Kind != GateTime || len(g.Sources) != 1 || g.Sources[0] != "billing" {
					t.Errorf("%+v", g)
				}
			}
		}
		if got != c.want {
			t.Errorf("%s\nreleased %s: %q, want %q", c.text, c.released, got, c.want)
		}
	}
}

func mustTime(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// In every zone and at every instant: no batch is behind its cut-off's documents, a later document never goes with an earlier batch, and a
// window is open when it says so.
func TestSchedulesKeepOrder(t *testing.T) {
	zones := []string{"America/Chicago", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "UTC", "Africa/Casablanca"}
	crons := []string{"0 18 * * MON-FRI", "*/7 0-3 * * *", "30 2 * * *", "59 23 31 * *", "0 0 29 2 *", "15,45 */6 * 3-11 SUN"}
	rapid.Check(t, func(rt *rapid.T) {
		zone := zoneNamed(rapid.SampledFrom(zones).Draw(rt, "zone"))
		times, err := parseCron(rapid.SampledFrom(crons).Draw(rt, "cron"))
		if err != nil {
			rt.Fatal(err)
		}
		b := &batches{times: times, zone: zone, clock: -1, before: time.Duration(rapid.IntRange(0, 40).Draw(rt, "cutoff")) * time.Minute}
		if rapid.Bool().Draw(rt, "by the clock") && times.hour&(times.hour-1) == 0 && times.minute&(times.minute-1) == 0 {
			b.clock = time.Duration(rapid.IntRange(0, 24*60).Draw(rt, "clock")) * time.Minute
		}
		a := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(rt, "release"), 0)
		later := a.Add(time.Duration(rapid.Int64Range(0, 200*3600).Draw(rt, "after")) * time.Second)
		first, second := b.of(a), b.of(later)
		if !first.After(a) || !a.Before(b.cutoff(first)) || second.Before(first) {
			rt.Fatalf("released %s: batch %s with cut-off %s; released %s: batch %s", a, first, b.cutoff(first), later, second)
		}
		if at := first.In(zone); times.month&(1<<at.Month()) == 0 {
			rt.Fatalf("a batch at %s", at)
		}
		w := &Window{Zone: zone.String(), Open: fmt.Sprintf("%02d:30", rapid.IntRange(0, 23).Draw(rt, "open")), Close: fmt.Sprintf("%02d:00", rapid.IntRange(0, 24).Draw(rt, "close")),
			Days: rapid.SampledFrom([]string{"", "MON-FRI", "SUN", "TUE,THU"}).Draw(rt, "days"), Blackout: []string{a.In(zone).Format(civilDate)}}
		open := w.Next(a)
		if open.Before(a) || !w.Next(open).Equal(open) || open.After(a.Add(16*24*time.Hour)) {
			rt.Fatalf("%+v at %s opens at %s, then %s", w, a, open, w.Next(open))
		}
		raw, err := json.Marshal(w)
		var same Window
		if err != nil || json.Unmarshal(raw, &same) != nil || !same.Next(a).Equal(open) {
			rt.Fatalf("%s says another time", raw)
		}
	})
}

// The text of people, and a posting that carries its window.
func TestScheduleOfAPosting(t *testing.T) {
	d := newDrive(t, mustParse(t, withSchedule(t, `schedule: { batch: "0 18 * * MON-FRI", cutoff: "17:30" }
window: { open: "06:00", close: "20:00" }`)))
	d.clock = chicagoTime(t, "2026-11-27 16:00")
	d.tx("insert billing.bill_cust cust_cd=ACM01 erp_acct=104377 eff_dt=2019-01-01")
	d.tx("insert billing.inv_hdr inv_no=A1 rev_no=0 cust_cd=ACM01 stat=R inv_dt=2026-11-27 line_cnt=1 inv_amt=100.00 tax_amt=0.00 rel_ts=2026-11-27_16:00:00 upd_ts=2026-11-27_16:00:00",
		"insert billing.inv_line inv_no=A1 line_no=1 chg_cd=LH qty=1.000 rate=100.0000 ext_amt=100.00 tax_cd=EX")
	// Held until Saturday, when Friday's batch has gone: it goes with Monday's.
	d.tx("insert billing.inv_hdr inv_no=A2 rev_no=0 cust_cd=NEW01 stat=R inv_dt=2026-11-27 line_cnt=1 inv_amt=100.00 tax_amt=0.00 rel_ts=2026-11-27_16:00:00 upd_ts=2026-11-27_16:00:00",
		"insert billing.inv_line inv_no=A2 line_no=1 chg_cd=LH qty=1.000 rate=100.0000 ext_amt=100.00 tax_cd=EX")
	d.wait(24 * time.Hour)
	d.tx("insert billing.bill_cust cust_cd=NEW01 erp_acct=104399 eff_dt=2019-01-01")
	var got []string
	for _, p := range d.out.posts {
		g := p.Gates[len(p.Gates)-1]
		got = append(got, p.ExternalID+" "+g.Until())
		if p.Window == nil || p.Window.Zone != "America/Chicago" || p.Window.Open != "06:00" {
			t.Errorf("%s has the window %+v", p.ExternalID, p.Window)
		}
	}
	if want := "nstar:A1:0 the batch of Fri 2026-11-27 18:00 -06:00, nstar:A2:0 the batch of Mon 2026-11-30 18:00 -06:00"; strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, ", "), want)
	}
	if g := (Gate{Kind: GateTime, Name: gateWindow, Key: "2026-11-27T06:00:00-06:00"}); g.Until() != "the window that opens at Fri 2026-11-27 06:00 -06:00" {
		t.Error(g.Until())
	}
}

func mustParse(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What a case asks of a billing system: its keys, its fields, and the charges that are approved.
func TestReadyAsksForTheInvoice(t *testing.T) {
	const post = `  billing.ready -> billing.generate:
    external_id: "nstar:gen:{shipment}"
    require:
      - { erp.customer: customer }
    schedule: { batch: "0 18 * * *", zone: America/Chicago }
    body:
      shipment: shipment
      bol: bol?
      customer: customer
      charges[]: { code: code.item(charge), amount: amount }

tests:`
	d := newDrive(t, withCases(t, "\ntests:", "\n"+post))
	for _, line := range []string{"load.assigned 1 at=1T08:00 refs=shipment/1 driver=7 customer=104377", "accessorial.approved 5 at=2T15:00 refs=shipment/1 charge=DETENTION_DL amount=150.00",
		"accessorial.rejected 6 at=2T15:00 refs=shipment/1 charge=LUMPER amount=10.00", "stop.arrived 1-2 at=2T09:00 refs=shipment/1 stop=2 stop_type=delivery",
		"stop.departed 1-2 at=2T13:00 refs=shipment/1 stop=2 stop_type=delivery", "shipment.delivered 1 at=2T14:00 refs=shipment/1,bol/7 pieces=20 customer=104377",
		"pod.received 1 at=2T16:00 refs=shipment/1"} {
		d.give(d.told(line))
	}
	d.clock = october(t, "3T10:00")
	d.wait(time.Hour)
	if len(d.out.posts) != 1 {
		t.Fatalf("%d postings: %s\n%+v", len(d.out.posts), d.problems(), d.found("shipment/1"))
	}
	p := d.out.posts[0]
	ready := d.out.events[len(d.out.events)-1]
	if p.Event != ready.ID || ready.Type != "billing.ready" || p.Sink != "billing" || p.Entity != "generate" || p.ExternalID != "nstar:gen:1" || p.OrderKey != "shipment/1" || p.Refs[0] != "shipment/1" {
		t.Errorf("%+v of %s", p, ready.Type)
	}
	if want := `{"bol":"7","charges":[{"amount":"150.00","code":"DET"}],"customer":"104377","shipment":"1"}`; string(p.Body) != want {
		t.Errorf("%s\nwant %s", p.Body, want)
	}
	if len(p.Gates) != 2 || p.Gates[0].Key != "104377" || len(p.Gates[1].Sources) != 2 {
		t.Errorf("gates %+v", p.Gates)
	}
	if v := d.found("shipment/1"); v.Waits != "It is billable; billing has not been asked for its invoice yet." {
		t.Error(v.Waits)
	}
	ev := d.told("invoice.requested 1 at=3T18:00 refs=shipment/1 number=G1")
	ev.Source = "/waybill/billing"
	if err := d.p.Posted(d.st, d.out, d.entry(), ev); err != nil {
		t.Fatal(err)
	}
	if v := d.found("shipment/1"); v.Stage != "billable" || !strings.HasPrefix(v.Waits, "It is billable: asked billing for the invoice, G1, at 2026-10-03") {
		t.Errorf("%s %s", v.Stage, v.Waits)
	}
}

// The inline tests of a mapping with a schedule: wait moves the watermark.
func TestScheduleInline(t *testing.T) {
	text, err := os.ReadFile("../testdata/mapping/schedule.yml")
	if err != nil {
		t.Fatal(err)
	}
	if wrong := misfits(editorSchema(t), fileValue(t, "../testdata/mapping/schedule.yml"), "schedule.yml"); len(wrong) > 0 {
		t.Errorf("the editor's schema: %s", strings.Join(wrong, "\n"))
	}
	results := mustParse(t, string(text)).Test()
	if len(results) != 2 {
		t.Fatalf("%d tests", len(results))
	}
	for _, r := range results {
		if !r.OK {
			t.Errorf("%s: %s", r.Name, strings.Join(r.Fails, "\n"))
		}
	}
	for _, r := range mustParse(t, strings.ReplaceAll(string(text), `cutoff: "17:30"`, `cutoff: "17:20"`)).Test()[:1] {
		if r.OK {
			t.Error("another cut-off changes nothing")
		}
	}
}
