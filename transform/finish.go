package transform

import "strings"

// cancel forgets a release that waited.
func (r *run) cancel(d *document, rec *docRecord) error {
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	return r.finish(d, rec, rootKey, nil, false)
}

// finish ends a wait, and looks again at the corrections that waited for this document.
func (r *run) finish(d *document, rec *docRecord, rootKey string, e *emitRule, made bool) error {
	w := waiter{"doc", stateKey(d.name, rec.Key), d.name + "/" + rec.Key}
	for _, fp := range rec.Waits {
		if err := r.free(w, fp); err != nil {
			return err
		}
	}
	if rec.Pending.Timer {
		if err := r.out.ClearTimer(d.timer(rec.Key)); err != nil {
			return err
		}
	}
	if d.lines != nil {
		if err := r.index(d, rec.Pending.Join, rec.Key, false); err != nil {
			return err
		}
	}
	rec.Waits, rec.Pending = nil, nil
	if made && !contains(rec.Done, e.typ) {
		rec.Done = append(rec.Done, e.typ)
	}
	if err := r.saveRecord(d, rec); err != nil {
		return err
	}
	g, err := r.group(d, rootKey)
	if err != nil {
		return err
	}
	others := make([]string, 0, len(g.Pending))
	for _, k := range g.Pending {
		if k != rec.Key {
			others = append(others, k)
		}
	}
	g.Pending = others
	if e != nil {
		g.emitted(e.typ, rec.Original)
	}
	if err := r.saveGroup(d, rootKey, g); err != nil {
		return err
	}
	for _, k := range others {
		other, err := r.record(d, k)
		if err != nil {
			return err
		}
		if other != nil && other.Pending != nil {
			if err := r.evaluate(d, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// notice makes an event of the header alone. It waits for nothing: a field that cannot be had is left out and told. Without one that it must
// have it does not leave.
func (r *run) notice(d *document, e *emitRule, rec *docRecord, f *frame, by *cause) error {
	subject := d.name + "/" + rec.Key
	if f.rows[newRow] == nil {
		f.rows[newRow] = f.rows[oldRow]
	}
	set, err := apply(f, e.set, subject)
	if err != nil {
		return err
	}
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	if whole, err := r.wholeNotice(d, e, f, by, union(set.troubles, e.shape.incomplete(f, subject, e.at)), nil); err != nil || !whole {
		return err
	}
	ev := r.newEvent(e.typ, e.entity, e.at, LaneTransactional, by)
	ev.Key, ev.Company, ev.OrderKey = rec.plain(), rec.Company, d.name+"/"+rootKey
	ev.Refs, ev.Correlation = d.refs(e.entity, rec, f), correlationOf(d, rec, f)
	if ev.Data, err = canonical(set.data); err != nil {
		return err
	}
	if ev.Amount, err = r.amountOf(d, f, set.data); err != nil {
		return err
	}
	back := false
	if e.take && len(rec.Done) > 0 && len(rec.Carved) == 0 {
		if back, err = r.take(d, rec, "voided before it was sent"); err != nil {
			return err
		}
	}
	if back {
		if err := r.unsend(d, rec); err != nil {
			return err
		}
	}
	if strings.HasSuffix(e.typ, ".voided") && len(rec.Done) > 0 && !back {
		t := d.voidedLate(rec.Key)
		if err := r.out.Problem(t.problem(subject, ev.OrderKey, e.typ+" ("+e.at+")", ev.Amount)); err != nil {
			return err
		}
	}
	return r.tell(&ev)
}
