package transform

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// caseList shows every case with its keys, stage and the events that it knows.
func (d *drive) caseList() string {
	d.t.Helper()
	var all []string
	err := Cases(d.st, "", func(c Case) (bool, error) {
		full := d.found(c.Ref)
		var events []string
		for _, f := range full.Facts {
			for _, r := range f.Reports {
				events = append(events, r.Type+" "+r.Key)
			}
		}
		slices.Sort(events)
		all = append(all, fmt.Sprintf("%s (%s): %s: %s", c.Ref, strings.Join(c.Keys, " "), c.Stage, strings.Join(events, ", ")))
		return true, nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func TestCorrelation(t *testing.T) {
	bothMedium := "refs=pro/NSTR:77,bol/B9"
	for name, x := range map[string]struct {
		lines    []string
		problems string
		cases    string
	}{
		"a strong key opens its case": {lines: []string{"load.assigned L1 at=2T10:00 driver=7"}, cases: "load/L1 (load/L1): assigned: load.assigned L1"},
		"two keys that lead to two cases make one": {lines: []string{"load.assigned L1 at=2T10:00 driver=7", "shipment.departed S1 at=2T12:00", "load.dispatched L1 at=2T11:00 refs=shipment/S1"},
			cases: "shipment/S1 (shipment/S1 load/L1): in_transit: load.assigned L1, load.dispatched L1, shipment.departed S1"},
		"three cases make one": {lines: []string{"load.assigned L1 at=2T10:00 driver=7", "load.assigned L2 at=2T10:00 driver=8", "shipment.departed S1 at=2T12:00",
			"load.dispatched L1 at=2T11:00 refs=shipment/S1", "load.dispatched L2 at=2T11:00 refs=shipment/S1"},
			cases: "shipment/S1 (shipment/S1 load/L1 load/L2): in_transit: load.assigned L1, load.assigned L2, load.dispatched L1, load.dispatched L2, shipment.departed S1"},
		"one medium key proves nothing": {lines: []string{"shipment.departed S1 at=2T12:00 refs=bol/B9", "pod.received P1 at=3T12:00 refs=bol/B9", "until 3T13:00"},
			problems: "UNMATCHED pod/P1", cases: "shipment/S1 (shipment/S1 bol/B9): in_transit: shipment.departed S1"},
		"people are told after a while": {lines: []string{"pod.received P1 at=3T12:00 refs=bol/B9", "until 3T12:15"}},
		"two medium keys that agree": {lines: []string{"shipment.departed S1 at=2T12:00 " + bothMedium, "pod.received P1 at=3T12:00 " + bothMedium, "until 3T13:00"},
			cases: "shipment/S1 (shipment/S1 bol/B9 pro/NSTR:77): in_transit: pod.received P1, shipment.departed S1"},
		"two medium keys that come first": {lines: []string{"pod.received P1 at=3T12:00 " + bothMedium, "until 3T13:00", "shipment.departed S1 at=2T12:00 rec=3T13:01 " + bothMedium},
			cases: "shipment/S1 (shipment/S1 bol/B9 pro/NSTR:77): in_transit: pod.received P1, shipment.departed S1"},
		"two medium keys that disagree": {lines: []string{"shipment.departed S1 at=2T12:00 refs=bol/B9", "shipment.departed S2 at=2T12:00 refs=pro/NSTR:77", "pod.received P1 at=3T12:00 " + bothMedium, "until 3T13:00"},
			problems: "UNMATCHED pod/P1", cases: "shipment/S1 (shipment/S1 bol/B9): in_transit: shipment.departed S1\nshipment/S2 (shipment/S2 pro/NSTR:77): in_transit: shipment.departed S2"},
		"two shipments with the same two": {lines: []string{"shipment.departed S1 at=2T12:00 " + bothMedium, "pod.received P1 at=3T12:00 " + bothMedium, "shipment.departed S2 at=2T12:00 rec=3T12:02 " + bothMedium, "until 3T13:00"},
			problems: "UNMATCHED pod/P1", cases: "shipment/S1 (shipment/S1 bol/B9 pro/NSTR:77): in_transit: shipment.departed S1\nshipment/S2 (shipment/S2 bol/B9 pro/NSTR:77): in_transit: shipment.departed S2"},
		"two cases with the same two that become one": {lines: []string{"load.assigned L1 at=1T12:00 driver=7 " + bothMedium, "load.assigned L2 at=1T13:00 driver=7 " + bothMedium, "pod.received P1 at=3T12:00 " + bothMedium,
			"until 3T13:00", "! UNMATCHED pod/P1", "load.dispatched L1 at=3T13:02 refs=shipment/S1", "load.dispatched L2 at=3T13:03 refs=shipment/S1"},
			cases: "shipment/S1 (shipment/S1 load/L1 load/L2 bol/B9 pro/NSTR:77): dispatched: load.assigned L1, load.assigned L2, load.dispatched L1, load.dispatched L2, pod.received P1"},
		"a PRO without its SCAC is weak": {lines: []string{"shipment.departed S1 at=2T12:00 refs=pro/77,bol/B9", "pod.received P1 at=3T12:00 refs=pro/77,bol/B9", "until 3T13:00"},
			problems: "UNMATCHED pod/P1", cases: "shipment/S1 (shipment/S1 bol/B9 pro/77): in_transit: shipment.departed S1"},
		"a weak key is a candidate": {lines: []string{"shipment.departed S1 at=2T12:00 refs=po/5", "pod.received P1 at=3T12:00 refs=po/5", "until 3T13:00"},
			problems: "UNMATCHED pod/P1", cases: "shipment/S1 (shipment/S1 po/5): in_transit: shipment.departed S1"},
		"what names no shipment is no case": {lines: []string{"invoice.released A1 at=3T12:00 total=5.00", "until 3T13:00"}},
		"a payment waits for its invoice": {lines: []string{"payment.received P1 at=3T12:00 refs=invoice/A1 amount=5.00", "until 3T13:00", "invoice.released A1 at=3T11:00 refs=shipment/S1 total=5.00"},
			cases: "shipment/S1 (shipment/S1 invoice/A1): released: invoice.released A1, payment.received P1"},
		"a consolidated invoice is about each of its shipments": {lines: []string{"invoice.released A1 at=3T12:00 refs=shipment/S1,shipment/S2 total=5.00", "payment.received P1 at=3T13:00 refs=invoice/A1 amount=5.00"},
			cases: "shipment/S1 (shipment/S1 invoice/A1): released: invoice.released A1, payment.received P1\nshipment/S2 (shipment/S2 invoice/A1): released: invoice.released A1, payment.received P1"},
		"history without a case is no alarm": {lines: []string{"pod.received P1 at=3T12:00 refs=bol/B9 historic=1", "until 3T13:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrive(t, withCases(t, "  orphan: 15m\n", ""))
			play(t, d, x.lines)
			d.expect("problems", d.problems(), x.problems)
			d.expect("cases", d.caseList(), x.cases)
		})
	}
}

// The exception of an event without a case shows the candidates, and one for the same keys is enough.
func TestUnmatchedShowsTheCandidates(t *testing.T) {
	d := newDrive(t, withCases(t))
	play(t, d, []string{"shipment.departed S1 at=2T12:00 refs=bol/B9,po/5", "shipment.departed S2 at=2T12:00 refs=po/5", "pod.received P1 at=3T12:00 refs=bol/B9,po/5",
		"pod.received P2 at=3T12:01 refs=bol/B9,po/5", "until 3T13:00"})
	fingerprints := map[string]Problem{}
	for k, p := range d.out.open {
		fingerprints[k[0]] = p
	}
	p, ok := fingerprints["DATA/UNMATCHED//bol/B9, po/5"]
	if !ok || len(fingerprints) != 1 || len(d.out.open) != 2 {
		t.Fatalf("%v", d.out.open)
	}
	if want := "candidates: shipment/S1 (by bol/B9, po/5); shipment/S2 (by po/5)."; !strings.Contains(p.Title, want) || p.Owner != "dispatch" {
		t.Errorf("%+v", p)
	}
	var evidence struct{ Candidates []candidate }
	if err := json.Unmarshal(p.Evidence, &evidence); err != nil || len(evidence.Candidates) != 2 || evidence.Candidates[0].Case != "shipment/S1" {
		t.Errorf("%s %v", p.Evidence, err)
	}
}

func (d *drive) linkByHand(ref, to string, limit int) {
	d.t.Helper()
	for next, calls := "", 0; ; calls++ {
		var err error
		if next, err = d.p.LinkCase(d.st, d.out, d.entry(), ref, to, next, limit); err != nil {
			d.t.Fatal(err)
		}
		if next == "" {
			return
		}
		if calls > 1000 {
			d.t.Fatal("a link without end")
		}
	}
}

// A person links what waits; what comes later with the reference follows, and a merge takes it along.
func TestLinkByHand(t *testing.T) {
	d := newDrive(t, withCases(t, "  orphan: 15m\n", ""))
	lines := []string{"load.assigned L1 at=2T12:00 driver=7"}
	for i := range 7 {
		lines = append(lines, fmt.Sprintf("pod.received P%d at=3T12:0%d refs=bol/B9", i, i))
	}
	play(t, d, append(lines, "until 3T13:00"))
	if n, err := WaitingEvents(d.st, "bol/B9", 100); err != nil || n != 7 {
		t.Fatal(n, err)
	}
	d.linkByHand("bol/B9", "load/L1", 2)
	d.expect("problems", d.problems(), "")
	if n, err := WaitingEvents(d.st, "bol/B9", 100); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	play(t, d, []string{"pod.received P7 at=4T12:00 refs=bol/B9", "load.dispatched L1 at=2T13:00 refs=shipment/S1", "pod.received P8 at=4T13:00 refs=bol/B9"})
	c := d.found("shipment/S1")
	if n := len(c.Facts[len(c.Facts)-1].Reports); n != 9 || !c.Facts[len(c.Facts)-1].Reports[0].Linked {
		t.Errorf("%d reports of %+v", n, c.Facts)
	}
}

// An event that a person says needs no case is asked for no more.
func TestAnEventThatNeedsNoCase(t *testing.T) {
	d := newDrive(t, withCases(t))
	play(t, d, []string{"pod.received P1 at=3T12:00 refs=bol/B9", "until 3T13:00", "! UNMATCHED pod/P1", "give up UNMATCHED", "! ", "until 9T13:00", "! "})
	if rest := d.st.dump(); strings.Contains(rest, "map/case") {
		t.Error(rest)
	}
}

// tangle is what two databases tell of three shipments: loads that join shipments late, keys of every strength, everything twice.
func tangle(d *drive) []Event {
	var all []Event
	for i := range 3 {
		s, l, two := fmt.Sprint("S", i), fmt.Sprint("L", i), fmt.Sprintf("pro/NSTR:%d,bol/B%d", i, i)
		for n, line := range []string{"load.assigned " + l + " at=1T10:00 driver=7", "load.reassigned " + l + " at=1T11:00 driver=8", "load.dispatched " + l + " at=1T12:00 refs=shipment/" + s,
			"stop.arrived " + s + "-1 at=1T13:00 stop=1 stop_type=pickup refs=load/" + l, "stop.departed " + s + "-1 at=1T13:30 stop=1 stop_type=pickup refs=load/" + l,
			"shipment.departed " + s + " at=1T14:00 customer=ACME refs=po/5," + two, "shipment.delivered " + s + " at=2T14:00 customer=ACME", "shipment.delivered " + s + " at=2T14:05 src=billing",
			"pod.received P" + s + " at=2T15:00 refs=" + two, "pod.received Q" + s + " at=2T16:00 refs=po/5", "accessorial.requested " + s + "5 at=2T15:00 charge=LUMPER amount=5.00 refs=load/" + l,
			"accessorial.approved " + s + "5 at=2T15:30 charge=LUMPER amount=5.00 refs=load/" + l, "invoice.drafted A" + s + " at=3T10:00 refs=load/" + l, "invoice.released A" + s + " at=3T11:00 total=5.00 refs=" + "shipment/" + s,
			"payment.received Y" + s + " at=4T11:00 amount=5.00 refs=invoice/A" + s, "erp.posted A" + s + " at=3T11:30 total=5.00 refs=shipment/" + s} {
			ev := d.told(line + fmt.Sprintf(" id=%d-%02d", i, n))
			ev.Index = uint64(100*i + n)
			all = append(all, ev)
		}
	}
	for _, ev := range slices.Clone(all) {
		if ev.Type == "shipment.delivered" || ev.Type == "shipment.departed" {
			ev.ID, ev.Recorded = ev.ID+" again", ev.Recorded.Add(time.Second)
			all = append(all, ev)
		}
	}
	return append(all, d.told("invoice.released CONS at=5T10:00 total=9.00 refs=shipment/S0,shipment/S2 id=cons"))
}

// settledCases is the state of cases without what only remembers the way there.
func (d *drive) settledCases() string {
	d.t.Helper()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(d.st.buckets[bucketCase])) {
		var rec caseRecord
		if err := json.Unmarshal(d.st.buckets[bucketCase][k], &rec); err != nil {
			d.t.Fatal(err)
		}
		for i := range rec.Reports {
			rec.Reports[i].Number = 0
		}
		slices.SortFunc(rec.Reports, func(a, b report) int { return strings.Compare(a.Event, b.Event) })
		rec.Past, rec.Timer = time.Time{}, time.Time{}
		raw, err := json.Marshal(rec)
		if err != nil {
			d.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n%s\n", k, raw, d.st.buckets[bucketCaseView][k])
	}
	return b.String() + d.problems()
}

// Whatever the order in which two databases without a common clock are read, the same cases come out.
func TestAnyOrderGivesTheSameCases(t *testing.T) {
	m := withCases(t)
	plain := newDrive(t, m)
	events := tangle(plain)
	for _, ev := range events {
		plain.give(ev)
	}
	plain.until("6T10:00")
	want := plain.settledCases()
	if strings.Count(want, `"stage":"settled"`)+strings.Count(want, `"stage":"posted"`) != 3 || !strings.Contains(want, "UNMATCHED") || strings.Contains(want, "ORPHAN") {
		t.Fatal(want)
	}
	for seed := range uint64(25) {
		order, random := slices.Clone(events), rand.New(rand.NewPCG(seed, 1))
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		d := newDrive(t, m)
		d.clock = plain.clock.Add(-time.Hour) // all is captured late, so that no timer comes in between
		for _, ev := range order {
			d.give(ev)
			if random.IntN(4) == 0 {
				d.give(ev)
			}
		}
		d.until("6T10:00")
		if got := d.settledCases(); got != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// Two companies with the same numbers have cases of their own, and their PROs keep their issuer.
func TestCompaniesHaveCasesOfTheirOwn(t *testing.T) {
	d := newDrive(t, withCases(t))
	for _, company := range []string{"EAST", "WEST"} {
		for _, line := range []string{"shipment.departed 1 at=2T08:00 customer=NOPOD refs=pro/SCAC:7,bol/9", "shipment.delivered 1 at=3T10:00"} {
			ev := d.told(line)
			ev.Company = company
			for i, ref := range ev.Refs {
				entity, key, _ := strings.Cut(ref, "/")
				ev.Refs[i] = Ref(company, entity, key)
			}
			d.give(ev)
		}
	}
	d.out.events = nil
	d.until("3T11:00")
	d.expect("cases", d.caseList(), "shipment/EAST:1 (shipment/EAST:1 bol/EAST:9 pro/EAST:SCAC:7): billable: shipment.delivered 1, shipment.departed 1\n"+
		"shipment/WEST:1 (shipment/WEST:1 bol/WEST:9 pro/WEST:SCAC:7): billable: shipment.delivered 1, shipment.departed 1")
	for i, ev := range d.out.events {
		if want := []string{"EAST", "WEST"}[i]; ev.Company != want || ev.Key != "1" || ev.OrderKey != "shipment/"+want+":1" {
			t.Errorf("%+v", ev)
		}
	}
	bare := d.told("pod.received P1 at=3T12:00 refs=pro/EAST:7")
	bare.Company = "EAST"
	if keys := d.p.m.cases.keysOf(&bare); len(keys) != 1 || keys[0].Strength != keyWeak {
		t.Errorf("%+v", keys)
	}
}
