package transform

import (
	"slices"

	"github.com/shopspring/decimal"
)

// The stages of a case, first to last (domain.md §1.6). Those up to delivered are milestones of the road: a later one implies the
// earlier ones. Those of money are never implied.
var stages = []string{"open", "ordered", "planned", "assigned", "dispatched", "at_pickup", "in_transit", "at_delivery", "delivered",
	"billable", "drafted", "released", "posted", "correcting", "settled"}

const (
	atDelivered = 8
	cancelled   = "cancelled"
	podFact     = "pod"
)

func stageRank(name string) int { return slices.Index(stages, name) }

// factOf names the milestone that a report is of, "" for none.
func factOf(p *report) string {
	switch p.Type {
	case "order.created":
		return "ordered"
	case "tender.accepted":
		return "planned"
	case "load.assigned", "load.reassigned":
		return "assigned"
	case "load.dispatched":
		return "dispatched"
	case "shipment.departed":
		return "in_transit"
	case "shipment.delivered":
		return "delivered"
	case "shipment.partially_delivered":
		return "partly_delivered"
	case "pod.received":
		return podFact
	case "shipment.cancelled", "order.cancelled":
		return cancelled
	case "invoice.drafted":
		return "drafted"
	case "invoice.released", "invoice.rebilled":
		return "released"
	case "erp.posted":
		return "posted"
	case "payment.received":
		return "paid"
	case "stop.arrived":
		switch p.Fields["stop_type"] {
		case "pickup":
			return "at_pickup"
		case "delivery":
			return "at_delivery"
		}
	}
	return ""
}

// reach keeps the accepted report of a fact: of the source that counts first, the earliest.
func (t *caseStory) reach(name string, p *report) {
	f := t.facts[name]
	if f == nil {
		t.facts[name] = &Fact{Name: name, At: p.At, Source: p.Table, Event: p.Event}
		return
	}
	was := t.report(f.Event)
	if d := t.s.place(p.Source) - t.s.place(was.Source); d < 0 {
		f.At, f.Source, f.Event = p.At, p.Table, p.Event
	}
}

// place is the rank of a source: the one named first counts first.
func (s *cases) place(source string) int {
	if i := slices.Index(s.rank, source); i >= 0 {
		return i
	}
	return len(s.rank)
}

func (t *caseStory) report(event string) *report {
	for _, p := range t.reports {
		if p.Event == event {
			return p
		}
	}
	return nil
}

// road is the rank of the furthest milestone up to delivered that was reported.
func (t *caseStory) road() int {
	for i := atDelivered; i > 0; i-- {
		if t.facts[stages[i]] != nil {
			return i
		}
	}
	return 0
}

// orderedFacts are the facts in the order of the stages, implied ones among them, what has no stage behind.
func (t *caseStory) orderedFacts(more map[string]int) []Fact {
	var all []Fact
	add := func(name string, implied bool) {
		f := t.facts[name]
		switch {
		case f != nil:
			one := *f
			for typ, n := range more {
				if factOf(&report{Type: typ}) == name {
					one.More += n
				}
			}
			all = append(all, one)
		case implied:
			all = append(all, Fact{Name: name, Implied: true})
		}
	}
	road := t.road()
	for i, name := range stages {
		add(name, i > 0 && i < road)
		if i == atDelivered {
			add("partly_delivered", false)
			add(podFact, false)
		}
	}
	add("paid", false)
	add(cancelled, false)
	return all
}

// stage is the furthest that the case has reached. Only corrections take back: an assignment or invoice that was withdrawn, a
// cancellation, and an order that was changed after it.
func (t *caseStory) stage(readyAt *Readiness) string {
	if t.isCancelled() {
		return cancelled
	}
	rank := t.road()
	if t.facts["partly_delivered"] != nil {
		rank = max(rank, stageRank("at_delivery"))
	}
	if readyAt != nil {
		rank = max(rank, stageRank("billable"))
	}
	open, corrected := false, false
	for _, d := range t.documents {
		switch d.State {
		case "voided", withdrawn:
			continue
		case "held":
			rank = max(rank, stageRank("drafted"))
		default:
			rank = max(rank, stageRank(d.State))
		}
		if d.Kind != "invoice" {
			corrected = true
			open = open || d.State != "posted"
		}
	}
	switch {
	case corrected && open:
		return "correcting"
	case rank == stageRank("posted") && t.settled():
		return "settled"
	}
	return stages[rank]
}

// settled reports whether the posted documents are paid.
func (t *caseStory) settled() bool {
	owed := decimal.Decimal{}
	for _, d := range t.documents {
		if d.State == "voided" || d.State == withdrawn {
			continue
		}
		if d.State != "posted" || d.Amount == nil {
			return false
		}
		n, err := decimal.NewFromString(d.Amount.Amount)
		if err != nil {
			return false
		}
		owed = owed.Add(n)
	}
	return t.paid.IsPositive() && t.paid.GreaterThanOrEqual(owed)
}

// isCancelled reports a cancellation that no later change of the order took back.
func (t *caseStory) isCancelled() bool {
	is := false
	for _, p := range t.reports {
		switch {
		case factOf(p) == cancelled:
			is = true
		case p.Type == "order.changed" || p.Type == "order.created":
			is = false
		}
	}
	return is
}
