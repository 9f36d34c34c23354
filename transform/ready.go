package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ready is the event that a case derives, once, when nothing is missing for its invoice (domain.md §1.5, 23).
const ready = "billing.ready"

// checklist says what billing.ready asks, each item by name.
func (j *judgement) checklist() {
	j.items = nil
	item := func(name string, met bool, yes, no string) {
		if !met {
			yes = no
		}
		j.items = append(j.items, CheckItem{name, met, yes})
	}
	j.delivered(item)
	if j.pod {
		p, done := j.t.facts[podFact], j.t.facts["delivered"]
		yes, no := "the customer takes the invoice without the POD", "it waits for the POD"
		if p != nil {
			yes = "the POD came at " + minute(p.At)
		} else if done != nil && j.s.pod.within > 0 {
			due, is := done.At.Add(j.s.pod.within), "is"
			if !j.rec.Past.Before(due) {
				is = "was"
			}
			no = fmt.Sprintf("it waits for the POD, which %s due at %s", is, minute(due))
		}
		item("pod", p != nil || j.waived("POD_MISSING", podFact), yes, no)
	}
	if j.s.orphan > 0 && j.stray() != nil && !j.waived("ORPHAN_COMPLETION", "load") {
		item("load", false, "", "nothing is known of its load")
	}
	for _, c := range j.t.charges {
		if c.State == "requested" {
			item("charge "+c.Key, false, "", fmt.Sprintf("charge %s (%s) is not decided", c.Key, c.Charge))
		}
	}
	if len(j.t.charges) > 0 && !slices.ContainsFunc(j.t.charges, func(c CaseCharge) bool { return c.State == "requested" }) {
		item("charges", true, "every charge is decided", "")
	}
	held := false
	for _, t := range j.troubles {
		if t.hold != "" && !slices.Contains(j.rec.Waived, t.waiver()) && t.code != "PARTIAL_DELIVERY" {
			held = true
			item("hold "+t.code, false, "", t.hold)
		}
	}
	for _, d := range j.t.documents {
		if d.State == "held" {
			held = true
			item("hold "+d.Number, false, "", "billing holds "+d.Number)
		}
	}
	if !held {
		item("hold", true, "nothing holds it", "")
	}
}

func (j *judgement) delivered(item func(name string, met bool, yes, no string)) {
	done, part := j.t.facts["delivered"], j.t.facts["partly_delivered"]
	switch {
	case j.t.isCancelled():
		item("delivered", false, "", "it was cancelled")
	case done != nil:
		item("delivered", true, "delivered at "+minute(done.At), "")
	case part != nil && (j.s.bill || j.waived("PARTIAL_DELIVERY", "part")):
		item("delivered", true, "a part was delivered at "+minute(part.At)+", and a part may be billed", "")
	case part != nil:
		item("delivered", false, "", "it waits for the rest to be delivered")
	default:
		item("delivered", false, "", j.t.attempted())
	}
}

// attempted says what the delivery of a shipment waits for: that an attempt failed, or that the goods were refused, is no delivery.
func (t *caseStory) attempted() string {
	text := "it waits for its delivery"
	for _, p := range t.reports { // by business time: the last one counts
		why := ""
		if p.Fields["reason"] != "" {
			why = " (" + p.Fields["reason"] + ")"
		}
		switch p.Type {
		case "shipment.delivery_failed":
			text = fmt.Sprintf("it waits for another attempt: the delivery of %s failed%s", minute(p.At), why)
		case "shipment.refused":
			text = fmt.Sprintf("it was refused at %s%s: it waits for another delivery, or for dispatch to cancel it", minute(p.At), why)
		case "shipment.returned":
			text = fmt.Sprintf("it went back to the shipper at %s%s: it waits for dispatch to cancel it", minute(p.At), why)
		}
	}
	return text
}

func (j *judgement) met() bool {
	return len(j.items) > 0 && !slices.ContainsFunc(j.items, func(i CheckItem) bool { return !i.Met })
}

// ready derives the event when everything is met. It waits until every source has been captured past the case's last change: a dispute
// that was committed before, in a source that lags, still counts. Charges that are expected are asked for last.
func (j *judgement) ready() error {
	if j.rec.Ready != nil || !j.t.live || !j.met() {
		return nil
	}
	passed := j.passed(j.t.newest)
	if !passed && !j.told("EXPECTED_CHARGE_MISSING") {
		return nil
	}
	if hold := j.expected(); hold || !passed {
		return nil
	}
	ev, err := j.event()
	if err != nil {
		return err
	}
	posts, whole, err := j.requests(&ev)
	if err != nil || !whole {
		return err
	}
	j.rec.Ready = &Readiness{Event: ev.ID, At: ev.Occurred}
	if err := j.r.out.Event(ev); err != nil {
		return err
	}
	for _, p := range posts {
		if err := j.r.out.Post(p); err != nil {
			return err
		}
	}
	return nil
}

// told reports whether people were told of a problem of the code.
func (j *judgement) told(code string) bool {
	return slices.ContainsFunc(j.rec.Waits, func(fp string) bool { return strings.Contains(fp, "/"+code+"/") })
}

// expected looks for time at stops beyond what is free, for which nobody asked a charge, and reports whether that holds.
func (j *judgement) expected() bool {
	d := j.s.detention
	if d == nil || !j.t.live || slices.ContainsFunc(j.t.charges, func(c CaseCharge) bool { return slices.Contains(d.charges, c.Charge) }) {
		return false
	}
	hold := false
	for _, s := range j.t.stops {
		over := s.spent() - d.free
		if over <= 0 || j.waived("EXPECTED_CHARGE_MISSING", s.Stop) {
			continue
		}
		text := fmt.Sprintf("%d minutes at stop %s, %d beyond the free time, without a charge", s.Minutes, s.Stop, int(over/time.Minute))
		until := j.t.newest.Add(d.hold)
		if d.hold == 0 || j.passed(until) {
			j.notes = append(j.notes, "EXPECTED_CHARGE_MISSING: "+text+"; it went on without.")
			continue
		}
		hold = true
		why := "a charge for waiting at stop " + s.Stop + " is expected"
		j.items = append(j.items, CheckItem{"hold EXPECTED_CHARGE_MISSING", false, why})
		j.add("POLICY", "EXPECTED_CHARGE_MISSING", s.Stop, "billing", why, fmt.Sprintf("%s: %s.", j.rec.ID, text),
			fmt.Sprintf("Ask for the charge in dispatch, or give this up. It goes on without at %s.", minute(until)),
			map[string]any{"arrived": s.Arrived.UTC().Format(time.RFC3339), "departed": s.Departed.UTC().Format(time.RFC3339)})
	}
	return hold
}

// event is billing.ready with its checklist. Its id hashes its causes.
func (j *judgement) event() (Event, error) {
	var causes []string
	at := time.Time{}
	for _, p := range j.t.reports {
		causes = append(causes, p.Event)
		if name := factOf(p); name == "delivered" || name == podFact || name == "partly_delivered" || p.Entity == "accessorial" {
			at = later(at, p.At)
		}
	}
	slices.Sort(causes)
	rec := j.rec
	entity, key := splitRef(rec.ID, rec.Company)
	ev := Event{ID: hash(append(slices.Clone(causes), rec.ID, ready)...), Type: ready, Rule: ready + " (" + j.s.at + ")", Source: "/" + j.r.m.name + "/cases", Entity: entity,
		Key: key, Company: rec.Company, Lane: LaneTransactional, OrderKey: rec.ID, Correlation: rec.ID, Occurred: at, Recorded: j.t.newest, Observed: j.r.at.Observed,
		Causation: causes[:min(len(causes), maxCauses)], MapVersion: j.r.m.Version(), Position: fmt.Sprintf("journal/%d", j.r.at.Index), Index: j.r.at.Index,
		Refs: slices.Clone(rec.Keys)}
	items := make([]any, len(j.items))
	for i, x := range j.items {
		items[i] = map[string]any{"item": x.Item, "met": x.Met, "why": x.Why}
	}
	var charges []any
	for _, c := range j.t.charges {
		m := map[string]any{"key": c.Key, "charge": c.Charge, "amount": c.Amount, "state": c.State}
		if why := j.without[c.Key]; why != "" {
			m["without"] = why
		}
		charges = append(charges, m)
	}
	data := map[string]any{"checklist": items}
	if charges != nil {
		data["charges"] = charges
	}
	var err error
	ev.Data, err = canonical(data)
	return ev, err
}

// maxCauses bounds the events that one names as its causes; its id hashes all of them.
const maxCauses = 50
