package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// ReportQuery selects by business time: when a document was released, or a shipment delivered.
type ReportQuery struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // exclusive
	// Progress is told now and then how many of the store's events are read; nil when nobody asks.
	Progress func(done, total int64) `json:"-"`
}

func (q ReportQuery) covers(at time.Time) bool {
	return !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until))
}

// Bounds of a report (Invariant 7).
const (
	reportLines       = 100_000   // days, companies and currencies
	reportDifferences = 1000      // that are listed one by one
	reportOpen        = 1_000_000 // shipments and documents on their way, at one time
	reportAsk         = 1000      // events between two looks at the context
	reportTell        = 100_000   // events between two words of progress
)

// ReportSum is a count and an exact amount in one currency.
type ReportSum struct {
	Count  int64  `json:"count"`
	Amount string `json:"amount"`
}

func (m *moneySum) report() ReportSum { return ReportSum{m.Count, m.text()} }

// reporter is what a report reads by: one transaction, so that nothing moves between two of its figures, and a mapper of its own.
type reporter struct {
	ctx    context.Context
	s      *state
	mapper *transform.Carriers
	q      ReportQuery
}

// report runs fn over one state of the store.
func (p *Pipeline) report(ctx context.Context, q ReportQuery, fn func(*reporter) error) error {
	return reportOf(ctx, p.store, q, fn)
}

func reportOf(ctx context.Context, store *checkpoint.Store, q ReportQuery, fn func(*reporter) error) error {
	return store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		mapper, err := s.compiled()
		if err != nil {
			return err
		}
		return fn(&reporter{ctx, s, mapper, q})
	})
}

// reportedEvent is what a report reads of an event.
type reportedEvent struct {
	ID          string           `json:"id"`
	Type        string           `json:"type"`
	Rule        string           `json:"rule"`
	Entity      string           `json:"entity"`
	Key         string           `json:"key"`
	Company     string           `json:"company"`
	Occurred    time.Time        `json:"occurred_at"`
	Correlation string           `json:"correlation_id"`
	Causation   []string         `json:"causation_ids"`
	Data        json.RawMessage  `json:"data"`
	Amount      *transform.Money `json:"amount"`
	Refs        []string         `json:"refs"`
	Historic    bool             `json:"historic"`
}

// document is the reference of the document that the event is about.
func (e *reportedEvent) document() string {
	if len(e.Refs) == 0 {
		return transform.Ref(e.Company, e.Entity, e.Key)
	}
	return e.Refs[0]
}

// news calls fn for each event of the query's time that is no history, oldest first.
func (r *reporter) news(fn func(*reportedEvent) error) error {
	last, err := r.s.Get(bucketSystem, "seq/event")
	if err != nil {
		return err
	}
	n := int64(0)
	return r.s.eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
		if n++; n%reportAsk == 0 && r.ctx.Err() != nil {
			return false, r.ctx.Err()
		}
		if n%reportTell == 0 && r.q.Progress != nil {
			r.q.Progress(n, int64(unhex(string(last))))
		}
		var e reportedEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			return false, fmt.Errorf("reading an event: %w", err)
		}
		if e.Historic || !r.q.covers(e.Occurred) {
			return true, nil
		}
		err := fn(&e)
		return err == nil, err
	})
}

// fate is what has become of the postings of a released document.
type fate string

const (
	fatePosted    fate = "posted"
	fateException fate = "in exception"
	fateInFlight  fate = "in flight"
	fateGivenUp   fate = "given up"
	// fateSuperseded says that a later version was queued in its place, which has a fate of its own.
	fateSuperseded fate = "superseded"
)

// fate is the worst of all postings of an event; ok is false when it posts nothing. A document that was given up by a person in one target is
// given up.
func (r *reporter) fate(event string) (worst fate, posted []*delivery, ok bool, err error) {
	ids, err := r.s.deliveriesOf(event)
	if err != nil || len(ids) == 0 {
		return "", nil, false, err
	}
	rank := map[fate]int{fateSuperseded: 1, fatePosted: 2, fateInFlight: 3, fateException: 4, fateGivenUp: 5}
	for _, id := range ids {
		d, err := r.s.delivery(id)
		if err != nil {
			return "", nil, false, err
		}
		if d == nil {
			continue
		}
		f := fateInFlight
		switch d.State {
		case StateDone:
			f, posted = fatePosted, append(posted, d)
		case StateParked:
			f = fateException
		case StateSuperseded:
			f = fateSuperseded
		case StateDiscarded:
			f = fateGivenUp
		}
		if rank[f] > rank[worst] {
			worst = f
		}
	}
	return worst, posted, true, nil
}
