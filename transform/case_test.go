package transform

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// withCases is the sample carrier with a section of cases, and events that carry every kind of key.
func withCases(t testing.TB, replace ...string) *Mapping {
	t.Helper()
	base, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	section, err := os.ReadFile("../testdata/mapping/cases.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(base), "    at: first(dep_ts, upd_ts)\n", "    at: first(dep_ts, upd_ts)\n"+
		"    correlate: { load: load_no, pro: \"NSTR:{load_no}\", bol: bol_no, po: note }\n", 1) + "\n" + string(section)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%q is not in the mapping", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	m, err := Parse("cases.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// told is an event as a line: "shipment.delivered 88121 at=2T14:00 refs=bol/7 pieces=10". The day is of October 2026; it was committed
// a minute later unless rec= says when, by dispatch unless src= says where. An event about a load is correlated with its shipment.
func (d *drive) told(line string) Event {
	d.t.Helper()
	words := strings.Fields(line)
	d.index++
	ev := Event{ID: fmt.Sprintf("%s@%d", words[0], d.index), Type: words[0], Key: words[1], Lane: LaneTransactional, Index: d.index,
		Source: "/northstar/dispatch/public.loads"}
	ev.Entity, _, _ = strings.Cut(ev.Type, ".")
	if ev.Entity == "invoice" || ev.Entity == "credit_memo" {
		ev.Source = "/northstar/billing/billing.inv_hdr"
	}
	if ev.Type == "erp.posted" {
		ev.Entity, ev.Source = "invoice", "/waybill/erp"
	}
	ev.Refs = []string{ev.Entity + "/" + ev.Key}
	data := map[string]any{}
	for _, w := range words[2:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "at":
			ev.Occurred = october(d.t, v)
		case "rec":
			ev.Recorded = october(d.t, v)
		case "src":
			ev.Source = "/northstar/" + v + "/x.y"
		case "refs":
			ev.Refs = append(ev.Refs, strings.Split(v, ",")...)
		case "total":
			ev.Amount = &Money{v, "USD"}
		case "historic":
			ev.Historic = true
		case "id":
			ev.ID = v
		default:
			data[k] = v
		}
	}
	if ev.Occurred.IsZero() {
		ev.Occurred = d.clock
	}
	if ev.Recorded.IsZero() {
		ev.Recorded = ev.Occurred.Add(time.Minute)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		d.t.Fatal(err)
	}
	ev.Data = raw
	return ev
}

func october(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-2T15:04", "2026-10-"+text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// give files an event, once everything up to its commit is captured.
func (d *drive) give(ev Event) {
	d.t.Helper()
	if ev.Recorded.After(d.clock) {
		d.clock = ev.Recorded
	}
	if err := d.p.run(d.st, d.out, d.entry()).tell(&ev); err != nil {
		d.t.Fatal(err)
	}
}

// until lets the clock go on to an instant.
func (d *drive) until(text string) { d.wait(max(0, october(d.t, text).Sub(d.clock))) }

func (d *drive) found(ref string) Case {
	d.t.Helper()
	c, more, err := FindCase(d.st, ref)
	if err != nil || c == nil {
		d.t.Fatalf("no case of %s: %v %v", ref, more, err)
	}
	return *c
}

// summary is a case in a line.
func (c *Case) summary() string {
	text := c.Stage
	if len(c.Flags) > 0 {
		text += " [" + strings.Join(c.Flags, " ") + "]"
	}
	for _, p := range c.Problems {
		text += " " + p.Code
	}
	if c.Ready != nil {
		text += " ready"
	}
	return text
}

const (
	tellLeft      = "shipment.departed 1 at=2T08:00 pieces=10 customer=ACME"
	tellAssigned  = "load.assigned 1 at=1T15:00 refs=shipment/1 driver=7"
	tellDelivered = "shipment.delivered 1 at=3T10:00 pieces=10 customer=ACME"
	tellPod       = "pod.received 1 at=3T12:00 refs=shipment/1"
	tellAsked     = "accessorial.requested 5 at=3T11:00 refs=shipment/1 charge=LUMPER amount=150.00"
	tellAgreed    = "accessorial.approved 5 at=3T13:00 refs=shipment/1 charge=LUMPER amount=150.00"
	tellDrafted   = "invoice.drafted A1 at=4T09:00 refs=shipment/1 number=A1"
	tellReleased  = "invoice.released A1 at=4T10:00 refs=shipment/1 number=A1 total=1150.00"
	tellPosted    = "erp.posted A1 at=4T10:05 refs=shipment/1 total=1150.00"
)

// Each story: lines are events, "until DAY" lets time pass, "give up CODE" is a person, "= …" is what the case of shipment/1 then is,
// "? …" is contained in what it waits for or notes, "! …" are the open problems, "+ …" are the events derived since.
func TestCaseStories(t *testing.T) {
	for name, story := range map[string][]string{
		"from the order to the money": {tellAssigned, "= assigned", "? waits for its delivery", tellLeft, "= in_transit", tellDelivered, "= delivered", "? waits for the POD, which is due at 2026-10-05 10:00 UTC",
			tellPod, "= delivered", "? until every source has been read", "until 3T12:02", "+ billing.ready 1", "= billable ready", "? waits for billing to draft its invoice",
			tellDrafted, "= drafted ready", "? billing to release A1", tellReleased, "= released ready", "? the ERP to post A1", tellPosted, "= posted ready", "? waits for the payment",
			"payment.received P1 at=9T10:00 refs=invoice/A1 amount=1150.00", "= settled ready", "? paid and waits for nothing", "! "},
		"a customer who wants no POD": {"shipment.departed 1 at=2T08:00 customer=NOPOD", "shipment.delivered 1 at=3T10:00", "until 3T10:02", "+ billing.ready 1", "= billable ready"},
		"charges are decided first": {tellLeft, tellDelivered, tellPod, tellAsked, "until 4T09:00", "= delivered", "? Charge 5 (LUMPER) is not decided", "accessorial.waived 5 at=4T09:00 refs=shipment/1 charge=LUMPER",
			"until 4T10:00", "+ billing.ready 1"},
		"an orphan": {tellDelivered, "until 3T10:10", "! ", "until 3T10:17", "! ORPHAN_COMPLETION shipment/1", "= delivered [exception] ORPHAN_COMPLETION", tellAssigned, "! ", "= delivered"},
		"a load that comes a little later is no alarm": {tellDelivered, "until 3T10:10", "load.assigned 1 at=1T15:00 rec=3T10:11 refs=shipment/1 driver=7", "until 4T10:00", "! "},
		"times that contradict": {tellLeft, "shipment.delivered 1 at=2T07:00 customer=ACME", "! TIME_REGRESSION shipment/1", "= delivered [exception] TIME_REGRESSION",
			"shipment.departed 1 at=2T06:00 rec=3T06:00 customer=ACME", "! ", "= delivered"},
		"a difference within the tolerance": {tellLeft, "shipment.delivered 1 at=2T07:55 customer=ACME", "! "},
		"delivered twice": {tellLeft, tellDelivered, "shipment.delivered 1 at=3T09:00 rec=3T11:00 src=billing customer=ACME", "= delivered",
			"? delivered was reported 2 times with different times; 2026-10-03 10:00 UTC of dispatch", "! "},
		"backdated": {tellLeft, "shipment.delivered 1 at=3T10:00 rec=7T10:00 customer=ACME", "! BACKDATED shipment/1", "until 7T10:01", "= delivered [exception late] BACKDATED POD_MISSING",
			"give up POD_MISSING", "give up BACKDATED", "! ", "= billable ready", "shipment.delivered 1 at=3T11:00 rec=7T10:05 customer=ACME", "! "},
		"reassigned on the road": {tellAssigned, tellLeft, "load.reassigned 1 at=2T07:00 rec=2T09:00 refs=shipment/1 driver=8 previous_driver=7", "! ",
			"load.reassigned 1 at=2T12:00 refs=shipment/1 driver=9 previous_driver=8", "! REASSIGN_AFTER_DEPARTURE shipment/1", "give up REASSIGN_AFTER_DEPARTURE", "! "},
		"an assignment that was taken back": {tellAssigned, "= assigned", "load.unassigned 1 at=1T16:00 refs=shipment/1 previous_driver=7", "= open"},
		"cancelled":                         {tellAssigned, "shipment.cancelled 1 at=2T08:00", "= cancelled", "? cancelled and waits for nothing", "order.changed 1 at=2T09:00 refs=shipment/1", "= assigned"},
		"cancelled after billing": {tellLeft, tellDelivered, tellPod, tellReleased, tellPosted, "until 4T12:00", "shipment.cancelled 1 at=5T08:00", "! CANCEL_AFTER_BILLING shipment/1",
			"= cancelled [exception hold] CANCEL_AFTER_BILLING ready", "? waits for a void or a credit memo",
			"credit_memo.issued A1-C at=5T10:00 refs=shipment/1,invoice/A1 original=A1 total=-1150.00", "! ", "= cancelled ready"},
		"a draft is voided": {tellLeft, tellDrafted, "= drafted", "shipment.cancelled 1 at=5T08:00", "! CANCEL_AFTER_BILLING shipment/1", "invoice.voided A1 at=5T09:00 refs=shipment/1", "! "},
		"a rebill": {tellLeft, tellDelivered, tellReleased, tellPosted, "= posted", "credit_memo.issued A1-C at=5T10:00 refs=shipment/1,invoice/A1 original=A1 total=-1150.00", "= correcting",
			"invoice.rebilled A1-R at=5T10:01 refs=shipment/1,invoice/A1 original=A1 total=1100.00", "erp.posted A1-C at=5T10:05 refs=shipment/1", "= correcting",
			"erp.posted A1-R at=5T10:06 refs=shipment/1", "= posted"},
		"a part": {tellLeft, "shipment.partially_delivered 1 at=3T10:00 pieces=4 customer=ACME", "! PARTIAL_DELIVERY shipment/1", "= at_delivery [exception hold partial] PARTIAL_DELIVERY",
			"? waits for the rest to be delivered", "until 3T11:00", "shipment.delivered 1 at=3T18:00 customer=ACME", "! ", "= delivered"},
		"a part that a person lets pass": {"shipment.departed 1 at=2T08:00 customer=NOPOD", "shipment.partially_delivered 1 at=3T10:00 pieces=4 customer=NOPOD", "waive PARTIAL_DELIVERY", "! ", "until 3T11:00", "+ billing.ready 1"},
		"a part that a person bills":     {"shipment.departed 1 at=2T08:00 customer=NOPOD", "shipment.partially_delivered 1 at=3T10:00 pieces=4 customer=NOPOD", "give up PARTIAL_DELIVERY", "! ", "until 3T11:00", "+ billing.ready 1"},
		"POD missing": {tellLeft, tellDelivered, "until 5T09:59", "! ", "until 5T10:01", "! POD_MISSING shipment/1", "= delivered [exception late] POD_MISSING", "pod.received 1 at=5T12:00 refs=shipment/1", "! ",
			"until 5T13:00", "= billable ready"},
		"detention without evidence": {tellLeft, "accessorial.approved 9 at=3T09:00 refs=shipment/1 charge=DETENTION_DL amount=75.00", "! DETENTION_EVIDENCE_MISSING shipment/1", tellDelivered, tellPod,
			"until 4T09:00", "+ billing.ready 1", "= billable [exception] DETENTION_EVIDENCE_MISSING ready",
			"stop.arrived 1-2 at=3T06:00 rec=4T10:00 refs=shipment/1 stop=2 stop_type=delivery", "stop.departed 1-2 at=3T10:00 rec=4T10:00 refs=shipment/1 stop=2 stop_type=delivery", "! "},
		"a charge that is expected": {tellLeft, "stop.arrived 1-2 at=3T06:00 refs=shipment/1 stop=2 stop_type=delivery", "stop.departed 1-2 at=3T10:00 refs=shipment/1 stop=2 stop_type=delivery",
			tellDelivered, "! ", tellPod, "! ", "until 3T12:02", "! EXPECTED_CHARGE_MISSING shipment/1", "= delivered [exception hold] EXPECTED_CHARGE_MISSING", "? charge for waiting at stop 2 is expected",
			"until 4T12:02", "! ", "+ billing.ready 1", "? it went on without"},
		"a charge that is expected and comes": {tellLeft, "stop.arrived 1-2 at=3T06:00 refs=shipment/1 stop=2 stop_type=delivery", "stop.departed 1-2 at=3T10:00 refs=shipment/1 stop=2 stop_type=delivery",
			tellDelivered, tellPod, "until 3T13:00", "! EXPECTED_CHARGE_MISSING shipment/1", "accessorial.requested 9 at=3T14:00 refs=shipment/1 charge=DETENTION_DL amount=75.00", "! ", "+ ",
			"accessorial.approved 9 at=3T15:00 refs=shipment/1 charge=DETENTION_DL amount=75.00", "until 3T16:00", "+ billing.ready 1"},
		"a charge that is expected and approved at once": {tellLeft, "stop.arrived 1-2 at=3T06:00 refs=shipment/1 stop=2 stop_type=delivery", "stop.departed 1-2 at=3T10:00 refs=shipment/1 stop=2 stop_type=delivery",
			tellDelivered, tellPod, "until 3T13:00", "! EXPECTED_CHARGE_MISSING shipment/1", "accessorial.approved 9 at=3T14:00 refs=shipment/1 charge=DETENTION_DL amount=75.00", "! ", "+ ",
			"until 3T15:00", "+ billing.ready 1"},
		"a charge that is asked for again after its decision": {tellLeft, tellDelivered, tellPod, tellAgreed, "accessorial.requested 5 at=3T14:00 refs=shipment/1 charge=LUMPER amount=150.00", "until 3T15:00", "+ billing.ready 1"},
		"a charge that is expected and waived": {tellLeft, "stop.arrived 1-2 at=3T06:00 refs=shipment/1 stop=2", "stop.departed 1-2 at=3T10:00 refs=shipment/1 stop=2", tellDelivered, tellPod, "until 3T13:00",
			"give up EXPECTED_CHARGE_MISSING", "! ", "+ billing.ready 1"},
		"a dispute of a line": {tellLeft, tellDelivered, tellPod, "accessorial.disputed 5 at=3T12:30 refs=shipment/1 charge=LUMPER amount=150.00 reason=unsigned", "! DISPUTE_OPEN shipment/1", "until 3T13:00",
			"+ billing.ready 1", "= billable [exception dispute] DISPUTE_OPEN ready", tellAgreed, "! ", "= billable ready"},
		"a dispute of everything": {"shipment.departed 1 at=2T08:00 pieces=10 customer=WHOLE", tellDelivered, tellPod, "accessorial.disputed 5 at=3T12:30 refs=shipment/1 charge=LUMPER amount=150.00", "until 3T13:00",
			"+ ", "= delivered [exception hold dispute] DISPUTE_OPEN", "? Accessorial 5 is disputed", "accessorial.rejected 5 at=4T12:00 refs=shipment/1 charge=LUMPER", "until 4T13:00", "! ", "+ billing.ready 1"},
		"an invoice is disputed until it is resolved": {tellLeft, "invoice.disputed A1 at=5T08:00 refs=shipment/1 number=A1 reason=rate", "! DISPUTE_OPEN shipment/1",
			"dispute.resolved D1 at=6T08:00 refs=shipment/1 invoice=A1", "! "},
		"damage": {tellLeft, tellDelivered, tellPod, "shipment.exception_reported X9 at=3T10:05 refs=shipment/1 kind=damage", "! CARGO_CLAIM shipment/1", "until 4T10:00", "+ ", "give up CARGO_CLAIM", "+ billing.ready 1"},
		"billing holds": {tellLeft, tellDelivered, tellPod, "invoice.held A1 at=3T12:00 refs=shipment/1 number=A1", "until 4T08:00", "+ ", "= drafted [hold]", "? Billing holds A1",
			"invoice.released A1 at=4T10:00 refs=shipment/1 total=1150.00", "until 4T11:00", "= released ready"},
		"delivered before Waybill came, and the paperwork after": {"shipment.delivered 1 at=1T10:00 rec=1T11:00 historic=1 customer=ACME", tellPod, "until 3T13:00", "! ", "+ billing.ready 1"},
		"history is not news": {"shipment.delivered 1 at=1T10:00 rec=1T11:00 historic=1 customer=ACME", "until 9T10:00", "! ", "+ ", "? history from before", "= delivered"},
	} {
		t.Run(name, func(t *testing.T) { play(t, newDrive(t, withCases(t)), story) })
	}
}

// play plays a story.
func play(t *testing.T, d *drive, story []string) {
	t.Helper()
	var derived []string
	for i, line := range story {
		head, rest, _ := strings.Cut(line, " ")
		what := fmt.Sprintf("line %d, %s", i+1, line)
		switch head {
		case "=":
			c := d.found("shipment/1")
			d.expect(what, c.summary(), rest)
		case "?":
			c := d.found("shipment/1")
			if !strings.Contains(c.Waits+" "+strings.Join(c.Notes, " "), rest) {
				t.Errorf("%s: %s %q", what, c.Waits, c.Notes)
			}
		case "!":
			d.expect(what, d.problems(), rest)
		case "+":
			d.expect(what, strings.Join(derived, ", "), rest)
			derived = nil
		case "until":
			d.until(rest)
		case "give":
			d.settle(strings.TrimPrefix(rest, "up "), d.p.Discard)
		case "waive":
			d.settle(rest, d.p.Waive)
		default:
			d.give(d.told(line))
		}
		for _, e := range d.out.events {
			if e.Type == ready {
				derived = append(derived, e.Type+" "+e.Key)
			}
		}
		d.out.events = nil
	}
}

// settle is a person who decides about the open problem of the code.
func (d *drive) settle(code string, decide func(st State, out Output, at Entry, fingerprint string) error) {
	d.t.Helper()
	for k, p := range d.out.open {
		if p.Code != code {
			continue
		}
		if err := decide(d.st, d.out, d.entry(), k[0]); err != nil {
			d.t.Fatal(err)
		}
		d.fire()
		return
	}
	d.t.Fatalf("no open %s in %s", code, d.problems())
}

func TestAPartMayBeBilled(t *testing.T) {
	play(t, newDrive(t, withCases(t, "partial: hold", "partial: bill")), []string{tellLeft, "shipment.partially_delivered 1 at=3T10:00 pieces=4 customer=ACME", "! ", tellPod, "until 3T13:00", "+ billing.ready 1",
		"= billable [partial] ready"})
}

// What a code table does not know is one problem of the case, and holds it.
func TestAConditionThatCannotBeAnswered(t *testing.T) {
	d := newDrive(t, withCases(t, `required: customer != "NOPOD"`, `required: code.charge(customer) == "LINEHAUL"`))
	play(t, d, []string{tellLeft, tellDelivered, tellPod, "! UNMAPPED_CODE shipment/1", "until 4T10:00", "+ ", "= delivered [exception hold] UNMAPPED_CODE"})
	d.activate(withCases(t, `required: customer != "NOPOD"`, `required: code.charge(customer) == "LINEHAUL"`, "charge: { LH: LINEHAUL,", "charge: { LH: LINEHAUL, ACME: LINEHAUL,"))
	play(t, d, []string{"! ", "+ billing.ready 1"})
}

// billing.ready says what was checked, names its causes, and has the same id whatever came first.
func TestReadySaysWhatWasChecked(t *testing.T) {
	var ids []string
	for _, order := range [][]string{{tellLeft, tellDelivered, tellPod, tellAsked, tellAgreed}, {tellAgreed, tellPod, tellAsked, tellDelivered, tellLeft}} {
		d := newDrive(t, withCases(t))
		for _, line := range order {
			ev := d.told(line)
			ev.ID = ev.Type
			d.give(ev)
		}
		d.out.events = nil
		d.until("4T10:00")
		if len(d.out.events) != 1 {
			t.Fatal(d.events())
		}
		ev := d.out.events[0]
		want := `{"charges":[{"amount":"150.00","charge":"LUMPER","key":"5","state":"approved"}],"checklist":[{"item":"delivered","met":true,"why":"delivered at 2026-10-03 10:00 UTC"},` +
			`{"item":"pod","met":true,"why":"the POD came at 2026-10-03 12:00 UTC"},{"item":"charges","met":true,"why":"every charge is decided"},{"item":"hold","met":true,"why":"nothing holds it"}]}`
		if string(ev.Data) != want || ev.Key != "1" || ev.Entity != "shipment" || ev.OrderKey != "shipment/1" || len(ev.Causation) != 5 || !ev.Occurred.Equal(october(t, "3T13:00")) {
			t.Errorf("%+v\n%s", ev, ev.Data)
		}
		ids = append(ids, ev.ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("%v", ids)
	}
}

// Postings may wait for billing.ready.
func TestAPostingMayRequireReadiness(t *testing.T) {
	m := withCases(t, "      - { shipment.delivered: shipment, if: shipment is not null, deadline: 72h }", "      - { billing.ready: shipment, if: shipment is not null, deadline: 72h }")
	if !m.GateEvents()[ready] {
		t.Errorf("%v", m.GateEvents())
	}
}

// A case that is over leaves with everything that led to it.
func TestCasesLeaveAfterTheirRetention(t *testing.T) {
	d := newDrive(t, withCases(t))
	play(t, d, []string{tellLeft, tellDelivered, tellPod, tellReleased, tellPosted, "payment.received P1 at=9T10:00 refs=invoice/A1 amount=1.00", "until 12T10:00", "= posted ready"})
	d.wait(91 * 24 * time.Hour)
	if rest := d.st.dump(); strings.Contains(rest, "map/case") {
		t.Error(rest)
	}
	if len(d.out.timers) > 0 {
		t.Errorf("%v", d.out.timers)
	}
}

// However many reports come, a case stays within its bounds, and the same reports are kept whatever came first.
func TestACaseIsBounded(t *testing.T) {
	var first string
	for _, back := range []bool{false, true} {
		d := newDrive(t, withCases(t))
		var all []Event
		for i := range 3 * maxReports {
			all = append(all, d.told(fmt.Sprintf("shipment.delivered 1 at=3T%02d:%02d id=e%03d", 1+i/60, i%60, i)))
		}
		if back {
			slices.Reverse(all)
		}
		for _, ev := range all {
			d.give(ev)
		}
		c := d.found("shipment/1")
		kept := fmt.Sprintf("%d %d %s", len(c.Facts[len(c.Facts)-1].Reports), c.Facts[len(c.Facts)-1].More, c.Facts[len(c.Facts)-1].At)
		if first == "" {
			first = kept
		} else if kept != first {
			t.Errorf("%s, but %s", first, kept)
		}
	}
	if !strings.HasPrefix(first, "40 80 2026-10-03 01:00") {
		t.Error(first)
	}
	d := newDrive(t, withCases(t))
	for i := range maxCaseKeys + 20 {
		d.give(d.told(fmt.Sprintf("load.assigned L%d at=2T10:00 refs=shipment/1 driver=1", i)))
	}
	d.expect("keys", d.problems(), "CASE_TOO_WIDE shipment/1")
	if c := d.found("shipment/1"); len(c.Keys) != maxCaseKeys {
		t.Errorf("%d keys", len(c.Keys))
	}
}
