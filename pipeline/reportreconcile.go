package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"waybill/transform"
)

// ReconcileReport compares what the source shows as released with what Waybill made of it and what the ERP said that it holds:
// released = posted + in exception + in flight, or the difference is listed.
type ReconcileReport struct {
	Since       time.Time             `json:"since,omitzero"`
	Until       time.Time             `json:"until,omitzero"`
	Lines       []ReconcileLine       `json:"lines"`
	Totals      []ReconcileLine       `json:"totals"` // of each company and currency, without a day
	Differences []ReconcileDifference `json:"differences"`
	More        int                   `json:"more,omitempty"` // differences that are not listed
}

// ReconcileLine is one day of one company in one currency. The day is that of the release, in the source's zone.
type ReconcileLine struct {
	Day        string    `json:"day,omitempty"`
	Company    string    `json:"company,omitempty"`
	Currency   string    `json:"currency"`
	Source     ReportSum `json:"source"`     // documents whose rows, as captured, show a release now
	Released   ReportSum `json:"released"`   // what Waybill took over: events, and releases that wait to become one
	Posted     ReportSum `json:"posted"`     // wholly in the target
	Exception  ReportSum `json:"exception"`  // a person must settle it
	InFlight   ReportSum `json:"in_flight"`  // on its way
	ERP        ReportSum `json:"erp"`        // what the ERP said of what is posted
	Unread     int64     `json:"unread"`     // of what is posted: the ERP did not say the total
	Difference ReportSum `json:"difference"` // source - posted - in exception - in flight
}

// ReconcileDifference is one document that does not add up, and why.
type ReconcileDifference struct {
	Day      string           `json:"day"`
	Company  string           `json:"company,omitempty"`
	Ref      string           `json:"ref"`
	Event    string           `json:"event,omitempty"`
	Source   *transform.Money `json:"source,omitempty"`
	Released *transform.Money `json:"released,omitempty"`
	ERP      *transform.Money `json:"erp,omitempty"`
	Why      string           `json:"why"`
}

// Reconcile makes the report of one moment. It reads every event and document of the store.
func (p *Pipeline) Reconcile(ctx context.Context, q ReportQuery) (ReconcileReport, error) {
	rec := &reconciler{lines: map[reconcileKey]*reconcileSums{}, report: ReconcileReport{Since: q.Since, Until: q.Until, Differences: []ReconcileDifference{}}}
	err := p.report(ctx, q, func(r *reporter) error {
		rec.reporter = r
		if err := r.mapper.Standings(r.s, q.covers, rec.document); err != nil {
			return err
		}
		return r.news(rec.event)
	})
	if err != nil {
		return ReconcileReport{}, fmt.Errorf("reconciling: %w", err)
	}
	return rec.done(), nil
}

type reconcileKey struct{ day, company, currency string }

type reconcileSums struct {
	source, released, posted, exception, inFlight, erp moneySum
	unread                                             int64
}

type reconciler struct {
	*reporter
	lines  map[reconcileKey]*reconcileSums
	report ReconcileReport
}

// line returns the sums of a day; at keeps the zone of the source.
func (c *reconciler) line(at time.Time, company, currency string) (*reconcileSums, error) {
	k := reconcileKey{dayOf(at), company, currency}
	if c.lines[k] == nil {
		if len(c.lines) == reportLines {
			return nil, fmt.Errorf("more than %d days, companies and currencies: narrow it with --since and --until", reportLines)
		}
		c.lines[k] = &reconcileSums{}
	}
	return c.lines[k], nil
}

func dayOf(at time.Time) string {
	if at.IsZero() {
		return "unknown"
	}
	return at.Format(time.DateOnly)
}

func (c *reconciler) differs(d ReconcileDifference) {
	if len(c.report.Differences) == reportDifferences {
		c.report.More++
		return
	}
	c.report.Differences = append(c.report.Differences, d)
}

// document counts what the source shows, and what waits before the outbox.
func (c *reconciler) document(s *transform.Standing) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !s.Released || s.Historic {
		return nil
	}
	if s.Amount == nil {
		c.differs(ReconcileDifference{Day: dayOf(s.At), Company: s.Company, Ref: s.Ref, Why: "the source shows it as released, but its amount cannot be had"})
		return nil
	}
	line, err := c.line(s.At, s.Company, s.Amount.Currency)
	if err != nil {
		return err
	}
	line.source.add(s.Amount.Amount, 1)
	switch {
	case s.Pending && s.Told:
		line.released.add(s.Amount.Amount, 1)
		line.exception.add(s.Amount.Amount, 1)
	case s.Pending:
		line.released.add(s.Amount.Amount, 1)
		line.inFlight.add(s.Amount.Amount, 1)
	case !s.Made:
		c.differs(ReconcileDifference{Day: dayOf(s.At), Company: s.Company, Ref: s.Ref, Source: s.Amount, Why: "the source shows it as released, and no event was made of it: its release was given up"})
	}
	return nil
}

// event counts what came to the outbox.
func (c *reconciler) event(e *reportedEvent) error {
	if e.Amount == nil || e.Rule == deliveryRule {
		return nil
	}
	became, posted, ok, err := c.fate(e.ID)
	if err != nil || !ok || became == fateSuperseded { // the later version is counted
		return err
	}
	line, err := c.line(e.Occurred, e.Company, e.Amount.Currency)
	if err != nil {
		return err
	}
	d := ReconcileDifference{Day: dayOf(e.Occurred), Company: e.Company, Ref: e.document(), Event: e.ID, Released: e.Amount}
	line.released.add(e.Amount.Amount, 1)
	switch became {
	case fatePosted:
		line.posted.add(e.Amount.Amount, 1)
		c.booked(line, d, posted)
	case fateException:
		line.exception.add(e.Amount.Amount, 1)
	case fateInFlight:
		line.inFlight.add(e.Amount.Amount, 1)
	case fateGivenUp:
		given := d
		given.Why = "a person gave up its posting"
		c.differs(given)
	}
	return c.against(d, e)
}

// booked compares what was posted with what the ERP read back of it.
func (c *reconciler) booked(line *reconcileSums, d ReconcileDifference, posted []*delivery) {
	for _, p := range posted {
		erp := readBack(p)
		if erp == nil {
			line.unread++
			continue
		}
		line.erp.add(erp.Amount, 1)
		if sameMoney(erp, p.Post.Amount) {
			continue
		}
		other := d
		other.ERP, other.Why = erp, "the ERP has it with another amount"
		c.differs(other)
	}
}

// readBack is the total that the target said, or nil.
func readBack(d *delivery) *transform.Money {
	facts := d.Done[d.Step].Facts // of the last step
	if facts["total"] == "" || facts["currency"] == "" {
		return nil
	}
	return &transform.Money{Amount: facts["total"], Currency: facts["currency"]}
}

func sameMoney(a, b *transform.Money) bool {
	if a == nil || b == nil || a.Currency != b.Currency {
		return false
	}
	x, err1 := decimal.NewFromString(a.Amount)
	y, err2 := decimal.NewFromString(b.Amount)
	return err1 == nil && err2 == nil && x.Equal(y)
}

// against compares a released event with what the source says of its document now.
func (c *reconciler) against(d ReconcileDifference, e *reportedEvent) error {
	s, err := c.mapper.Standing(c.s, d.Ref)
	if err != nil {
		return err
	}
	switch {
	case s == nil:
		d.Why = "the source does not have it any more"
	case !s.Released:
		d.Why = "the source took its release back"
	case transform.SentAs(e.Data) != s.Sent:
		d.Source, d.Why = s.Amount, "it was released again later, with other data"
	case !sameMoney(s.Amount, e.Amount):
		d.Source, d.Why = s.Amount, "the source changed it after its release"
	case s.At.IsZero():
		d.Source, d.Why = s.Amount, "the source does not say when it was released"
	case s.Historic || !c.q.covers(s.At) || dayOf(s.At) != dayOf(e.Occurred):
		d.Source, d.Why = s.Amount, "the source says now that it was released at another time: "+s.At.Format(time.RFC3339)
	default:
		return nil
	}
	c.differs(d)
	return nil
}

// done adds up.
func (c *reconciler) done() ReconcileReport {
	totals := map[reconcileKey]*reconcileSums{}
	keys := make([]reconcileKey, 0, len(c.lines))
	for k, l := range c.lines {
		keys = append(keys, k)
		k.day = ""
		if totals[k] == nil {
			totals[k] = &reconcileSums{}
		}
		totals[k].merge(l)
	}
	c.report.Lines, c.report.Totals = []ReconcileLine{}, []ReconcileLine{}
	for _, k := range sortedKeys(keys) {
		c.report.Lines = append(c.report.Lines, c.lines[k].view(k))
	}
	keys = keys[:0]
	for k := range totals {
		keys = append(keys, k)
	}
	for _, k := range sortedKeys(keys) {
		c.report.Totals = append(c.report.Totals, totals[k].view(k))
	}
	slices.SortStableFunc(c.report.Differences, func(a, b ReconcileDifference) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Ref, b.Ref))
	})
	return c.report
}

func sortedKeys(keys []reconcileKey) []reconcileKey {
	slices.SortFunc(keys, func(a, b reconcileKey) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.company, b.company), cmp.Compare(a.currency, b.currency))
	})
	return keys
}

func (l *reconcileSums) merge(o *reconcileSums) {
	for i, m := range l.all() {
		m.merge(o.all()[i])
	}
	l.unread += o.unread
}

func (l *reconcileSums) all() []*moneySum {
	return []*moneySum{&l.source, &l.released, &l.posted, &l.exception, &l.inFlight, &l.erp}
}

func (l *reconcileSums) view(k reconcileKey) ReconcileLine {
	left := moneySum{Count: l.source.Count - l.posted.Count - l.exception.Count - l.inFlight.Count,
		Sum: l.source.Sum.Sub(l.posted.Sum).Sub(l.exception.Sum).Sub(l.inFlight.Sum)}
	return ReconcileLine{Day: k.day, Company: k.company, Currency: k.currency, Source: l.source.report(), Released: l.released.report(), Posted: l.posted.report(),
		Exception: l.exception.report(), InFlight: l.inFlight.report(), ERP: l.erp.report(), Unread: l.unread, Difference: left.report()}
}
