package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill/transform"
)

// BacklogReport says how much work stands at each stage from delivery to the ERP's books, what it is worth and since when it waits.
type BacklogReport struct {
	Since  time.Time      `json:"since,omitzero"`
	Until  time.Time      `json:"until,omitzero"`
	Stages []BacklogStage `json:"stages"` // all six, in order
}

// BacklogStage is one stage. A shipment stands at delivered, pod or ready until there is a document about it; then its documents stand at
// drafted, released or posted. What is worth nothing yet has no money. Posted is all that was posted in the query's time, paid or not.
type BacklogStage struct {
	Stage     string            `json:"stage"`
	Count     int64             `json:"count"`
	Money     map[string]string `json:"money,omitempty"` // by currency
	Exception int64             `json:"exception"`       // of the count: held by an exception
	Oldest    *time.Time        `json:"oldest,omitempty"`
	OldestRef string            `json:"oldest_ref,omitempty"`
}

// The stages.
const (
	stageDelivered = iota
	stagePOD
	stageReady
	stageDrafted
	stageReleased
	stagePosted
)

var stageNames = []string{"delivered", "pod", "ready", "drafted", "released", "posted"}

// stageOf is the stage that an event about a shipment brings it to.
var stageOf = map[string]int{"shipment.delivered": stageDelivered, "pod.received": stagePOD, "billing.ready": stageReady}

// standing is a shipment or document at its stage.
type standing struct {
	stage int
	since time.Time
	money *transform.Money
	event string // of a released document
	told  bool   // an exception holds it
}

// stageSum adds up a stage.
type stageSum struct {
	BacklogStage
	money sums
}

func (st *stageSum) add(ref string, at standing) {
	st.Count++
	if at.told {
		st.Exception++
	}
	if at.money != nil {
		st.money.add(at.money.Amount, at.money.Currency)
	}
	if st.Oldest == nil || at.since.Before(*st.Oldest) || at.since.Equal(*st.Oldest) && ref < st.OldestRef {
		since := at.since
		st.Oldest, st.OldestRef = &since, ref
	}
}

// backlog follows shipments and documents through their events. It keeps those that are on their way, and 8 bytes of each shipment
// that has a document.
type backlog struct {
	*reporter
	shipments map[string]standing
	documents map[string]standing
	billed    map[uint64]bool // shipments with a document, by hashRef
	done      stageSum        // what is posted
}

// Backlog makes the report of one moment. It reads every event and document of the store.
func (p *Pipeline) Backlog(ctx context.Context, q ReportQuery) (report BacklogReport, err error) {
	err = p.report(ctx, q, func(r *reporter) error {
		b := &backlog{reporter: r, shipments: map[string]standing{}, documents: map[string]standing{}, billed: map[uint64]bool{}, done: stageSum{money: sums{}}}
		if err := r.news(b.event); err != nil {
			return err
		}
		if err := r.mapper.Standings(r.s, q.covers, b.waiting); err != nil {
			return err
		}
		if err := b.settle(); err != nil {
			return err
		}
		report = BacklogReport{q.Since, q.Until, b.stages()}
		return nil
	})
	if err != nil {
		return BacklogReport{}, fmt.Errorf("reporting the backlog: %w", err)
	}
	return report, nil
}

// event moves what an event is about.
func (b *backlog) event(e *reportedEvent) error {
	if len(b.shipments)+len(b.documents) > reportOpen {
		return fmt.Errorf("more than %d shipments and documents are on their way: narrow it with --since and --until", reportOpen)
	}
	if stage, ok := stageOf[e.Type]; ok {
		b.reach(e, stage)
		return nil
	}
	ref := e.document()
	switch {
	case e.Type == "shipment.cancelled":
		delete(b.shipments, e.shipment())
	case e.Type == "invoice.drafted":
		b.bill(e)
		if _, known := b.documents[ref]; !known {
			b.documents[ref] = standing{stage: stageDrafted, since: e.Occurred, money: e.Amount}
		}
	case e.Type == "invoice.voided" && b.documents[ref].stage == stageDrafted:
		delete(b.documents, ref)
	case e.Type == "erp.posted":
		return b.posted(e, ref)
	case e.Amount != nil && e.Rule != deliveryRule:
		return b.released(e, ref)
	}
	return nil
}

// shipment is the shipment that an event is about, or "".
func (e *reportedEvent) shipment() string {
	if e.Entity == "shipment" {
		return transform.Ref(e.Company, e.Entity, e.Key)
	}
	for _, ref := range append([]string{e.Correlation}, e.Refs...) {
		if strings.HasPrefix(ref, "shipment/") {
			return ref
		}
	}
	return ""
}

// reach notes the furthest stage of a shipment; reports come in any order.
func (b *backlog) reach(e *reportedEvent, stage int) {
	ref := e.shipment()
	if ref == "" || b.billed[hashRef(ref)] {
		return
	}
	if at, known := b.shipments[ref]; !known || stage > at.stage || stage == at.stage && e.Occurred.Before(at.since) {
		b.shipments[ref] = standing{stage: stage, since: e.Occurred}
	}
}

// bill hands the shipments of a document over to it.
func (b *backlog) bill(e *reportedEvent) {
	for _, ref := range append([]string{e.Correlation}, e.Refs...) {
		if strings.HasPrefix(ref, "shipment/") {
			b.billed[hashRef(ref)] = true
			delete(b.shipments, ref)
		}
	}
}

func (b *backlog) released(e *reportedEvent, ref string) error {
	_, _, posts, err := b.fate(e.ID)
	if err != nil || !posts {
		return err
	}
	b.bill(e)
	b.documents[ref] = standing{stage: stageReleased, since: e.Occurred, money: e.Amount, event: e.ID}
	return nil
}

// posted looks whether the whole document is in the books.
func (b *backlog) posted(e *reportedEvent, ref string) error {
	at, known := b.documents[ref]
	if !known || at.stage != stageReleased || len(e.Causation) == 0 || e.Causation[0] != at.event {
		return nil
	}
	became, _, _, err := b.fate(at.event)
	if err != nil || became != fatePosted {
		return err
	}
	delete(b.documents, ref)
	at.since = e.Occurred
	b.done.add(ref, at)
	return nil
}

// waiting takes releases that are no event yet.
func (b *backlog) waiting(s *transform.Standing) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if s.Released && s.Pending && !s.Historic {
		b.documents[s.Ref] = standing{stage: stageReleased, since: s.At, money: s.Amount, told: s.Told}
	}
	return nil
}

// settle drops what is on its way no more: drafts that are gone, releases that were given up.
func (b *backlog) settle() error {
	for ref, at := range b.documents {
		switch {
		case at.stage == stageReleased && at.event != "":
			became, _, _, err := b.fate(at.event)
			if err != nil {
				return err
			}
			if became == fateGivenUp || became == fateSuperseded {
				delete(b.documents, ref)
				continue
			}
			at.told = became == fateException
			b.documents[ref] = at
		case at.stage == stageDrafted:
			s, err := b.mapper.Standing(b.s, ref)
			if err != nil {
				return err
			}
			if s == nil || s.Released {
				delete(b.documents, ref)
			}
		}
	}
	return nil
}

// stages adds up.
func (b *backlog) stages() []BacklogStage {
	sum := make([]stageSum, len(stageNames))
	for i := range sum {
		sum[i].money = sums{}
	}
	sum[stagePosted] = b.done
	for _, list := range []map[string]standing{b.shipments, b.documents} {
		for ref, at := range list {
			sum[at.stage].add(ref, at)
		}
	}
	all := make([]BacklogStage, len(sum))
	for i := range sum {
		all[i] = sum[i].BacklogStage
		all[i].Stage, all[i].Money = stageNames[i], sum[i].money.texts()
	}
	return all
}
