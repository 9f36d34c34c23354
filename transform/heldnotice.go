package transform

import (
	"encoding/json"
	"fmt"
	"slices"

	"waybill/cdc"
)

// wholeNotice reports whether a notice may leave. What it lacks is told; without a field that it must have, the change that
// makes it is held, with the rows as they were. held is the change when it was held before.
func (r *run) wholeNotice(d *document, e *emitRule, f *frame, by *cause, troubles []*trouble, held *heldChange) (bool, error) {
	key := quietText(d.key, f)
	subject := d.name + "/" + key
	tell := func(t *trouble) Problem { return t.problem(subject, "", e.typ+" ("+e.at+")", nil) }
	incomplete := slices.ContainsFunc(troubles, func(t *trouble) bool { return t.code == "EVENT_INCOMPLETE" })
	if !incomplete && !e.shape.lacks(f) {
		for _, t := range troubles {
			if err := r.out.Problem(tell(t)); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	id := by.event(e.typ)
	h := heldChange{Rule: stateKey(d.name, e.typ), Op: string(rune(f.op)), Key: key, Cause: *by, Subject: subject}
	if held != nil {
		h = *held
	} else {
		h.Before, h.Now = heldColumns(f.rows[oldRow]), heldColumns(f.rows[newRow])
	}
	var err error
	if h.Waits, err = r.settle(waiter{"notice", id, subject}, h.Waits, troubles, tell); err != nil {
		return false, err
	}
	slices.Sort(h.Waits)
	raw, err := json.Marshal(h)
	if err != nil {
		return false, fmt.Errorf("writing held notice: %w", err)
	}
	return false, r.st.Put(bucketHeld, id, raw)
}

func heldColumns(r *row) []byte {
	if r == nil {
		return nil
	}
	return appendColumns(nil, r)
}

// noticeAgain makes a held notice with the rules of now.
func (r *run) noticeAgain(w waiter) error {
	h, err := r.held(w.id)
	if err != nil || h == nil {
		return err
	}
	d, e := r.m.noticeRule(h.Rule)
	if e == nil {
		return r.dropHeld(w, h) // its rule is gone, and so is what it waited for
	}
	f := &frame{m: r.m, st: r.st, op: cdc.Op(h.Op[0])}
	if f.rows[oldRow], err = heldRow(d.root, h.Before, ""); err != nil {
		return err
	}
	if f.rows[newRow], err = heldRow(d.root, h.Now, ""); err != nil {
		return err
	}
	set, err := apply(f, e.set, h.Subject)
	if err != nil {
		return err
	}
	troubles := union(set.troubles, e.shape.incomplete(f, h.Subject, e.at))
	if len(troubles) > 0 {
		if whole, err := r.wholeNotice(d, e, f, &h.Cause, troubles, h); err != nil || !whole {
			return err
		}
	}
	if err := r.dropHeld(w, h); err != nil {
		return err
	}
	rec, err := r.record(d, h.Key)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = &docRecord{Key: h.Key}
	}
	return r.notice(d, e, rec, f, &h.Cause)
}

// noticeRule finds the rule that a held notice names.
func (m *Mapping) noticeRule(name string) (*document, *emitRule) {
	parts := stateParts(name)
	for _, d := range m.documents {
		for _, e := range d.emit {
			if len(parts) == 2 && d.name == parts[0] && e.typ == parts[1] && e.notice {
				return d, e
			}
		}
	}
	return nil, nil
}
