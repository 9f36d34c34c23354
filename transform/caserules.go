package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// minute shows an instant to people in messages that must not depend on where they are read.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// wide tells of a case that swallowed more than one can: a key that many shipments share was declared strong.
func (j *judgement) wide() {
	if j.rec.Wide {
		j.add("MAPPING", "CASE_TOO_WIDE", "keys", "integration", "", fmt.Sprintf("%s has more than %d keys; more were left out.", j.rec.ID, maxCaseKeys),
			"A key that many shipments share is not strong: declare it shared under cases.keys and activate the mapping.", nil)
	}
}

// orphan tells of a completion whose load never came. It waits for it first: the sources have no common clock.
func (j *judgement) orphan() {
	if j.s.orphan == 0 {
		return
	}
	first := j.stray()
	if first == nil || !j.passed(first.Recorded.Add(j.s.orphan)) {
		return
	}
	j.add("WAITING", "ORPHAN_COMPLETION", "load", "dispatch", "", fmt.Sprintf("%s was completed, but nothing is known of its load: no order, assignment or departure.", j.rec.ID),
		"Look for the load in dispatch. It resolves by itself when the load comes; if there is none, link the completion to its case or give this up.",
		map[string]any{"completed": first.Recorded.UTC().Format(time.RFC3339)})
}

// stray is the completion that was recorded first, if nothing of its load was ever reported; nil otherwise, and for history.
func (j *judgement) stray() *report {
	var first *report
	for _, p := range j.t.reports {
		switch name := factOf(p); {
		case name == "delivered" || name == "partly_delivered" || name == podFact:
			if p.Historic {
				return nil
			}
			if first == nil || p.Recorded.Before(first.Recorded) {
				first = p
			}
		case stageRank(name) > 0 && stageRank(name) < atDelivered:
			return nil
		}
	}
	return first
}

// road milestones whose order in time nobody can change.
var physical = []string{"at_pickup", "in_transit", "at_delivery", "delivered"}

// regression tells of milestones whose times contradict each other.
func (j *judgement) regression() {
	for i, first := range physical {
		for _, then := range physical[i+1:] {
			a, b := j.t.facts[first], j.t.facts[then]
			if a == nil || b == nil || !b.At.Add(j.s.tolerance).Before(a.At) {
				continue
			}
			j.add("DATA", "TIME_REGRESSION", first+"-"+then, "dispatch", "", fmt.Sprintf("%s: %s at %s lies before %s at %s.", j.rec.ID, then, minute(b.At), first, minute(a.At)),
				"Correct the time that is wrong in its source; both facts are kept.",
				map[string]any{first: a.At.UTC().Format(time.RFC3339), first + " from": a.Source, then: b.At.UTC().Format(time.RFC3339), then + " from": b.Source})
		}
	}
}

// duplicates notes milestones that were reported more than once; the fact is the same.
func (j *judgement) duplicates() {
	for _, name := range []string{"in_transit", "delivered", podFact} {
		f, n, differ := j.t.facts[name], 0, false
		for _, p := range j.t.reports {
			if factOf(p) == name {
				n++
				differ = differ || !p.At.Equal(f.At)
			}
		}
		if n < 2 {
			continue
		}
		note := fmt.Sprintf("DUPLICATE_MILESTONE: %s was reported %d times", name, n)
		if differ {
			note += fmt.Sprintf(" with different times; %s of %s counts", minute(f.At), f.Source)
		}
		j.notes = append(j.notes, note+".")
	}
}

// backdated tells of facts that were recorded long after they are said to have happened.
func (j *judgement) backdated() {
	if j.s.backdated == 0 {
		return
	}
	for _, name := range append(slices.Clone(physical), podFact) {
		f := j.t.facts[name]
		if f == nil {
			continue
		}
		p := j.t.report(f.Event)
		if by := p.Recorded.Sub(p.At); !p.Historic && by > j.s.backdated {
			j.add("POLICY", "BACKDATED", name, "billing", "", fmt.Sprintf("%s: %s is dated %s, but was recorded %s, %d hours later.", j.rec.ID, name, minute(p.At), minute(p.Recorded), int(by.Hours())),
				"The fact counts. Look at what it does to accruals and the period, then give this up as approved; or correct the date in the source.",
				map[string]any{"event": p.Event, "source": p.Table})
		}
	}
}

// reassigned tells of a driver who was changed after the load had left.
func (j *judgement) reassigned() {
	left := j.t.facts["in_transit"]
	if left == nil {
		return
	}
	for _, a := range j.t.assigned {
		if a.Seq < 2 || a.Driver == "" || !a.At.After(left.At) || j.t.report(a.Event).Historic {
			continue
		}
		j.add("DATA", "REASSIGN_AFTER_DEPARTURE", a.At.UTC().Format(time.RFC3339), "dispatch", "",
			fmt.Sprintf("%s was given to driver %s at %s, after it had departed at %s.", j.rec.ID, a.Driver, minute(a.At), minute(left.At)),
			"Correct the assignment in dispatch; if it was a relay, give this up. The driver's pay follows the assignments.",
			map[string]any{"assignment_seq": a.Seq, "event": a.Event})
	}
}

// cancelledLate tells of a shipment that was cancelled though there is an invoice for it.
func (j *judgement) cancelledLate() {
	if !j.t.isCancelled() {
		return
	}
	var open []string
	credited := map[string]bool{}
	for _, d := range j.t.documents {
		if d.Kind == "credit" {
			credited[d.Original] = true
		}
	}
	money := map[string]any{}
	propose := "void the draft"
	for _, d := range j.t.documents {
		if d.State == "voided" || d.State == withdrawn || d.credits() || credited[d.Number] {
			continue
		}
		open = append(open, fmt.Sprintf("%s (%s)", d.Number, d.State))
		if d.Amount != nil {
			money[d.Number] = d.Amount.Amount + " " + d.Amount.Currency
		}
		if d.State == "released" || d.State == "posted" {
			propose = "release a credit memo for it, with a line for the truck that was ordered and not used if the contract has one"
		}
	}
	if open == nil {
		return
	}
	j.add("POLICY", "CANCEL_AFTER_BILLING", "billed", "billing", "it was cancelled after billing",
		fmt.Sprintf("%s was cancelled, but it is billed: %s.", j.rec.ID, sentence(open)), "In billing, "+propose+"; this resolves by itself.", money)
}

// partial tells of a shipment of which a part is delivered, where the mapping does not bill that.
func (j *judgement) partial() {
	part := j.t.facts["partly_delivered"]
	if part == nil || j.t.facts["delivered"] != nil || j.s.bill || j.t.isCancelled() {
		return
	}
	pieces := j.t.report(part.Event).Fields["pieces"]
	if pieces == "" {
		pieces = "some"
	}
	j.add("POLICY", "PARTIAL_DELIVERY", "part", "billing", "only a part is delivered", fmt.Sprintf("%s: %s pieces were delivered at %s; the rest is to come.", j.rec.ID, pieces, minute(part.At)),
		"It resolves with the final delivery. To bill what was delivered, give this up.", map[string]any{"event": part.Event})
}

// podMissing tells of paperwork that is late.
func (j *judgement) podMissing() {
	done := j.t.facts["delivered"]
	if !j.pod || done == nil || j.t.facts[podFact] != nil || j.s.pod.within == 0 || j.t.isCancelled() {
		return
	}
	due := done.At.Add(j.s.pod.within)
	if !j.passed(due) {
		return
	}
	j.add("DATA", "POD_MISSING", podFact, "dispatch", "", fmt.Sprintf("%s was delivered at %s, and its POD was due at %s.", j.rec.ID, minute(done.At), minute(due)),
		"Ask the driver or the carrier for it. It resolves when the POD comes; if the customer takes the invoice without it, give this up.", map[string]any{"delivered by": done.Source})
}

// cargo tells of damage or loss: the invoice waits until somebody has decided.
func (j *judgement) cargo() {
	if p := j.t.cargo; p != nil && !p.Historic {
		j.add("POLICY", "CARGO_CLAIM", p.Key, "billing", "damage or loss was reported", fmt.Sprintf("%s: %s was reported at %s.", j.rec.ID, p.Type, minute(p.At)),
			"Decide how it is billed, then give this up.", map[string]any{"event": p.Event})
	}
}

// evidence tells of detention that was approved though nobody reported how long the truck stood.
func (j *judgement) evidence() {
	if j.s.detention == nil {
		return
	}
	for _, c := range j.t.charges {
		if c.State != "approved" || !slices.Contains(j.s.detention.charges, c.Charge) {
			continue
		}
		kind := stopOf(c.Charge)
		if slices.ContainsFunc(j.t.stops, func(s CaseStop) bool { return s.spent() > 0 && (kind == "" || s.Type == kind) }) {
			continue
		}
		place := "a stop"
		if kind != "" {
			place = "the " + kind
		}
		title := fmt.Sprintf("%s: detention %s (%s) was approved, but arrival and departure of %s are not both known.", j.rec.ID, c.Key, c.Charge, place)
		j.add("DATA", "DETENTION_EVIDENCE_MISSING", c.Key, "dispatch", "", title, "Write the arrival and departure in dispatch, or approve it again with other evidence and give this up.",
			map[string]any{"charge": c.Charge, "amount": c.Amount})
		if !j.waived("DETENTION_EVIDENCE_MISSING", c.Key) {
			j.without[c.Key] = "evidence is missing"
		}
	}
}

func (j *judgement) waived(code, detail string) bool {
	return slices.Contains(j.rec.Waived, code+" "+detail)
}

// stopOf is the kind of stop of a charge for waiting, by the ending of its canonical word; "" is any.
func stopOf(charge string) string {
	switch {
	case strings.HasSuffix(charge, "_PU"):
		return "pickup"
	case strings.HasSuffix(charge, "_DL"):
		return "delivery"
	}
	return ""
}

// disputed tells of what the customer does not accept. By his rule the whole invoice waits, or the lines stay out of it.
func (j *judgement) disputed() {
	for _, p := range j.t.disputes {
		what, hold := p.Entity+" "+p.Key, ""
		if !j.waived("DISPUTE_OPEN", p.Key) {
			if j.whole {
				hold = what + " is disputed"
			} else if p.Type == "accessorial.disputed" {
				j.without[p.Key] = "it is disputed"
			}
		}
		title := fmt.Sprintf("%s: %s is disputed since %s", j.rec.ID, what, minute(p.At))
		if a := p.Fields["amount"]; a != "" {
			title += ", " + a
		}
		if why := p.Fields["reason"]; why != "" {
			title += " (" + why + ")"
		}
		j.add("POLICY", "DISPUTE_OPEN", p.Key, "billing", hold, title+".", "Settle it with the customer, and write the decision in billing or dispatch; it resolves by that.",
			map[string]any{"event": p.Event, "whole invoice": j.whole})
	}
}
