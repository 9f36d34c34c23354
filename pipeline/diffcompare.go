package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"waybill/checkpoint"
	"waybill/transform"
)

// began is where a run stood before it projected anything: what is newer was made by it.
type began struct {
	entry, event uint64
}

// mark remembers where the run stands.
func (r *sideRun) mark() error {
	r.began.entry = r.place().Index
	return r.side.View(func(tx *checkpoint.Txn) (err error) {
		r.began.event, err = newState(tx).sequence("event")
		return err
	})
}

// differ gathers what two states do not have in common.
type differ struct {
	ctx  context.Context
	most int
	v    Difference
	// money by type of event or target, and currency
	old, fresh map[[2]string]*moneySum
}

func newDiffer(ctx context.Context, most int) *differ {
	return &differ{ctx: ctx, most: most, old: map[[2]string]*moneySum{}, fresh: map[[2]string]*moneySum{}}
}

// compareRuns compares what two runs from the same base have made.
func compareRuns(ctx context.Context, old, fresh *sideRun, most int) (Difference, error) {
	d := newDiffer(ctx, most)
	err := old.side.View(func(a *checkpoint.Txn) error {
		return fresh.side.View(func(b *checkpoint.Txn) error {
			o, n := newState(a), newState(b)
			if err := d.events(o, n, old.began.event, fresh.began.event); err != nil {
				return err
			}
			if err := d.documents(o, n, old.began.event, fresh.began.event); err != nil {
				return err
			}
			was, err := o.openCauses()
			if err != nil {
				return err
			}
			is, err := n.openCauses()
			d.exceptions(was, is)
			return err
		})
	})
	return d.done(), err
}

// activation is what activating the mapping makes of the state that a run left.
func (h *History) activation(ctx context.Context, r *sideRun, m mappingEntry, most int) (Difference, error) {
	d := newDiffer(ctx, most)
	if err := r.mark(); err != nil {
		return d.done(), err
	}
	var was map[string]ExceptionDiff
	err := r.side.View(func(tx *checkpoint.Txn) (err error) {
		was, err = newState(tx).openCauses()
		return err
	})
	if err != nil {
		return d.done(), err
	}
	last, err := h.store.Read(r.place().Index)
	if err != nil {
		return d.done(), err
	}
	if err := r.activateNow(ctx, m, last.At); err != nil {
		return d.done(), err
	}
	err = r.side.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		if err := d.events(nil, s, 0, r.began.event); err != nil {
			return err
		}
		if err := d.documents(nil, s, 0, r.began.event); err != nil {
			return err
		}
		is, err := s.openCauses()
		d.exceptions(was, is)
		return err
	})
	return d.done(), err
}

// made calls fn for each event that was made after the given one, but for those that follow from outcomes: they follow their
// documents.
func (s *state) made(ctx context.Context, after uint64, fn func(*transform.Event) error) error {
	n := 0
	return s.eachEvent(after+1, func(_ uint64, raw []byte) (bool, error) {
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		var e transform.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return false, err
		}
		if e.Rule == deliveryRule {
			return true, nil
		}
		return true, fn(&e)
	})
}

func (s *state) eventByID(id string) (*transform.Event, error) {
	seq, err := s.Get(bucketEventID, id)
	if err != nil || seq == nil {
		return nil, err
	}
	return s.event(string(seq))
}

// events compares the events of two states; old is nil for none.
func (d *differ) events(old, fresh *state, after, freshAfter uint64) error {
	if old != nil {
		err := old.made(d.ctx, after, func(e *transform.Event) error {
			d.add(d.old, e.Type, e.Amount)
			n, err := fresh.eventByID(e.ID)
			if err != nil {
				return err
			}
			if n == nil {
				d.v.Gone++
				d.event(EventDiff{Kind: diffGone, Old: e.Amount}, e)
				return nil
			}
			fields, err := eventFields(e, n)
			if len(fields) > 0 {
				d.v.Changed++
				d.event(EventDiff{Kind: diffChanged, Old: e.Amount, New: n.Amount, Fields: fields}, e)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return fresh.made(d.ctx, freshAfter, func(e *transform.Event) error {
		d.add(d.fresh, e.Type, e.Amount)
		if old != nil {
			if known, err := old.Get(bucketEventID, e.ID); err != nil || known != nil {
				return err
			}
		}
		d.v.Added++
		d.event(EventDiff{Kind: diffAdded, New: e.Amount}, e)
		return nil
	})
}

func (d *differ) event(x EventDiff, e *transform.Event) {
	x.ID, x.Type, x.Entity, x.Key, x.Index, x.At = e.ID, e.Type, e.Entity, e.Key, e.Index, e.Occurred
	if len(d.v.Events) == d.most {
		d.v.More++
		return
	}
	d.v.Events = append(d.v.Events, x)
}

// eachDelivery calls fn for each delivery of the events that were made after the given one, in their order.
func (s *state) eachDelivery(ctx context.Context, after uint64, fn func(*delivery) error) error {
	return s.made(ctx, after, func(e *transform.Event) error {
		ids, err := s.deliveriesOf(e.ID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			x, err := s.delivery(id)
			if err != nil || x == nil {
				return err
			}
			if err := fn(x); err != nil {
				return err
			}
		}
		return nil
	})
}

// documents compares the postings of two states; old is nil for none.
func (d *differ) documents(old, fresh *state, after, freshAfter uint64) error {
	if old != nil {
		err := old.eachDelivery(d.ctx, after, func(x *delivery) error {
			d.add(d.old, targetOf(x), x.Post.Amount)
			n, err := fresh.delivery(x.Post.ID)
			if err != nil {
				return err
			}
			if n == nil {
				d.v.Posts.Gone++
				d.document(DocumentDiff{Kind: diffGone, Posted: x.State == StateDone, Old: x.Post.Amount}, x)
				return nil
			}
			fields, err := postFields(&x.Post, &n.Post)
			if len(fields) > 0 {
				d.v.Posts.Changed++
				d.document(DocumentDiff{Kind: diffChanged, Posted: x.State == StateDone, Old: x.Post.Amount, New: n.Post.Amount, Fields: fields}, x)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return fresh.eachDelivery(d.ctx, freshAfter, func(x *delivery) error {
		d.add(d.fresh, targetOf(x), x.Post.Amount)
		if old != nil {
			if known, err := old.Get(bucketDelivery, x.Post.ID); err != nil || known != nil {
				return err
			}
		}
		d.v.Posts.Added++
		d.document(DocumentDiff{Kind: diffAdded, New: x.Post.Amount}, x)
		return nil
	})
}

func targetOf(x *delivery) string { return x.Post.Sink + "." + x.Post.Entity }

func (d *differ) document(x DocumentDiff, of *delivery) {
	x.Target, x.ExternalID, x.Subject, x.Event = targetOf(of), of.Post.ExternalID, subjectOf(of.Post), of.Post.Event
	if len(d.v.Documents) == d.most {
		d.v.More++
		return
	}
	d.v.Documents = append(d.v.Documents, x)
}

func (d *differ) add(into map[[2]string]*moneySum, of string, amount *transform.Money) {
	k := [2]string{of, ""}
	if amount != nil {
		k[1] = amount.Currency
	}
	if into[k] == nil {
		into[k] = &moneySum{}
	}
	if amount == nil {
		into[k].Count++
		return
	}
	into[k].add(amount.Amount, 1)
}

// openCauses lists the open exceptions by fingerprint, each as if it were gone.
func (s *state) openCauses() (map[string]ExceptionDiff, error) {
	open := map[string]ExceptionDiff{}
	err := s.Scan(bucketOpen, "", "", func(fp string, id []byte) (bool, error) {
		x, err := s.exception(string(id))
		if err != nil || x == nil {
			return err == nil, err
		}
		money := sums{}
		err = s.subjectMoney(x, money)
		open[fp] = ExceptionDiff{Kind: diffGone, Code: x.Problem.Code, Title: x.Problem.Title, OldWaiting: x.Waiting, OldMoney: money.texts()}
		return true, err
	})
	return open, err
}

func (d *differ) exceptions(was, is map[string]ExceptionDiff) {
	for _, fp := range slices.Sorted(maps.Keys(was)) {
		x := was[fp]
		n, still := is[fp]
		if still {
			if n.OldWaiting == x.OldWaiting {
				continue
			}
			x.Kind, x.NewWaiting, x.NewMoney = diffChanged, n.OldWaiting, n.OldMoney
		}
		d.v.Exceptions = append(d.v.Exceptions, x)
	}
	for _, fp := range slices.Sorted(maps.Keys(is)) {
		x := is[fp]
		if _, known := was[fp]; known {
			continue
		}
		x.Kind, x.NewWaiting, x.NewMoney, x.OldWaiting, x.OldMoney = diffAdded, x.OldWaiting, x.OldMoney, 0, nil
		d.v.Exceptions = append(d.v.Exceptions, x)
	}
}

// done puts everything in order.
func (d *differ) done() Difference {
	slices.SortStableFunc(d.v.Events, func(a, b EventDiff) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key))
	})
	slices.SortStableFunc(d.v.Documents, func(a, b DocumentDiff) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.ExternalID, b.ExternalID))
	})
	keys := map[[2]string]bool{}
	for _, side := range []map[[2]string]*moneySum{d.old, d.fresh} {
		for k := range side {
			keys[k] = true
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(keys), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		o, n := cmp.Or(d.old[k], &moneySum{}), cmp.Or(d.fresh[k], &moneySum{})
		if o.Count == n.Count && o.Sum.Equal(n.Sum) {
			continue
		}
		x := MoneyDiff{Of: k[0], Currency: k[1], OldCount: o.Count, NewCount: n.Count}
		if k[1] != "" {
			x.OldSum, x.NewSum = o.text(), n.text()
		}
		d.v.Money = append(d.v.Money, x)
	}
	return d.v
}
