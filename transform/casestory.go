package transform

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// caseStory is what the reports of a case say together: a function of the set of them, whatever their order.
type caseStory struct {
	s         *cases
	reports   []*report // by business time
	facts     map[string]*Fact
	charges   []CaseCharge
	disputes  []*report // open ones, by what they are about
	documents []CaseDocument
	stops     []CaseStop
	assigned  []Assignment
	cargo     *report // damage or loss
	delayed   bool
	live      bool // something of it happened since Waybill came
	newest    time.Time
	paid      decimal.Decimal
}

// fold makes the story of the reports.
func (s *cases) fold(rec *caseRecord) *caseStory {
	t := &caseStory{s: s, facts: map[string]*Fact{}}
	for i := range rec.Reports {
		p := &rec.Reports[i]
		t.reports = append(t.reports, p)
		if !p.Historic {
			t.live = true
			if p.Source != "" {
				t.newest = later(t.newest, p.Recorded)
			}
		}
	}
	slices.SortStableFunc(t.reports, (*report).earlier)
	for _, p := range t.reports {
		if name := factOf(p); name != "" {
			t.reach(name, p)
		}
		switch p.Type {
		case "shipment.exception_reported":
			t.cargo = p
		case "shipment.delayed":
			t.delayed = true
		case "payment.received":
			if d, err := decimal.NewFromString(p.Fields["amount"]); err == nil {
				t.paid = t.paid.Add(d)
			}
		}
	}
	t.driven()
	t.stood()
	t.charged()
	t.disputed()
	t.billed()
	return t
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// driven lists who was assigned. An assignment that was taken back is a correction: nobody is assigned then.
func (t *caseStory) driven() {
	for _, p := range t.reports {
		switch p.Type {
		case "load.assigned", "load.reassigned", "load.unassigned":
			t.assigned = append(t.assigned, Assignment{len(t.assigned) + 1, p.Fields["driver"], p.At, p.Event})
			if p.Type == "load.unassigned" {
				delete(t.facts, "assigned")
			} else if t.facts["assigned"] == nil {
				t.reach("assigned", p)
			}
		}
	}
}

// stood lists the stops with their earliest arrival and latest departure.
func (t *caseStory) stood() {
	stops := map[string]*CaseStop{}
	for _, p := range t.reports {
		if p.Type != "stop.arrived" && p.Type != "stop.departed" {
			continue
		}
		name := cmp.Or(p.Fields["stop"], p.Key)
		s := stops[name]
		if s == nil {
			s = &CaseStop{Stop: name}
			stops[name] = s
		}
		s.Type = cmp.Or(s.Type, p.Fields["stop_type"])
		if p.Type == "stop.departed" {
			s.Departed = later(s.Departed, p.At)
		} else if s.Arrived.IsZero() {
			s.Arrived = p.At
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stops)) {
		s := stops[name]
		if s.spent() > 0 {
			s.Minutes = int(s.spent() / time.Minute)
		}
		t.stops = append(t.stops, *s)
	}
}

// spent is the time at a stop, 0 when an end of it is not known.
func (s *CaseStop) spent() time.Duration {
	if s.Arrived.IsZero() || s.Departed.IsZero() {
		return 0
	}
	return s.Departed.Sub(s.Arrived)
}

// charged lists the accessorials, each as it was decided last.
func (t *caseStory) charged() {
	at := map[string]int{}
	for _, p := range t.reports {
		state, is := strings.CutPrefix(p.Type, "accessorial.")
		if p.Type == "detention.approved" {
			state, is = "approved", true
		}
		if !is {
			continue
		}
		i, known := at[p.Key]
		if !known {
			i = len(t.charges)
			at[p.Key] = i
			t.charges = append(t.charges, CaseCharge{Key: p.Key})
		}
		c := &t.charges[i]
		c.Charge, c.Amount = cmp.Or(p.Fields["charge"], c.Charge), cmp.Or(p.Fields["amount"], c.Amount)
		if state != "requested" || c.State == "" { // that it was asked for undoes no decision
			c.State = state
		}
	}
	slices.SortFunc(t.charges, func(a, b CaseCharge) int { return strings.Compare(a.Key, b.Key) })
}

// disputed finds what is still disputed: charges by their state, invoices until a resolution that names them.
func (t *caseStory) disputed() {
	open := map[string]*report{}
	for _, p := range t.reports {
		switch p.Type {
		case "accessorial.disputed", "invoice.disputed":
			open[cmp.Or(p.Fields["number"], p.Key)] = p
		case "accessorial.approved", "accessorial.rejected", "accessorial.waived":
			delete(open, p.Key)
		case "dispute.resolved":
			for _, k := range []string{p.Key, p.Fields["number"], p.Fields["invoice"], p.Fields["charge"]} {
				delete(open, k)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(open)) {
		t.disputes = append(t.disputes, open[k])
	}
}

// documentStates are what happens to a document, the further the later. Their times are of different clocks: they decide nothing.
var documentStates = []string{"drafted", "held", "released", "posted", "voided"}

// withdrawn is the state of a document that was certainly never sent, and of the credit that took it back: neither is in the ERP.
const withdrawn = "withdrawn"

// credits reports whether a document takes money back. Of a draft its amount alone says so.
func (d *CaseDocument) credits() bool {
	return d.Kind == "credit" || d.Amount != nil && strings.HasPrefix(d.Amount.Amount, "-")
}

// billed lists the documents.
func (t *caseStory) billed() {
	byNumber := map[string]*CaseDocument{}
	for _, p := range t.reports {
		state, kind := "", ""
		switch p.Type {
		case "invoice.drafted", "invoice.held", "invoice.voided":
			state = strings.TrimPrefix(p.Type, "invoice.")
		case "invoice.released":
			state = "released"
		case "invoice.rebilled":
			state, kind = "released", "rebill"
		case "credit_memo.issued":
			state, kind = "released", "credit"
		case "erp.posted":
			state = "posted"
		default:
			continue
		}
		d := byNumber[p.Key]
		if d == nil {
			d = &CaseDocument{Number: p.Key, Kind: "invoice", State: state}
			byNumber[p.Key] = d
		}
		d.Kind, d.Original = cmp.Or(kind, d.Kind), cmp.Or(p.Fields["original"], d.Original)
		if p.Amount != nil {
			d.Amount = p.Amount
		}
		if slices.Index(documentStates, state) > slices.Index(documentStates, d.State) {
			d.State = state
		}
	}
	for _, p := range t.reports {
		if p.Type != "credit_memo.issued" || p.Fields["original_withdrawn"] != "true" {
			continue
		}
		for _, n := range []string{p.Key, p.Fields["original"]} {
			if d := byNumber[n]; d != nil {
				d.State = withdrawn
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		t.documents = append(t.documents, *byNumber[n])
	}
}
