package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types/ref"
)

// evaluate looks whether a released document is whole and everything it needs is known. If so it becomes its event and
// postings; if not, it waits with its problems.
func (r *run) evaluate(d *document, rec *docRecord) error {
	subject := d.name + "/" + rec.Key
	f, tooMany, err := r.assemble(d, rec)
	if err != nil {
		return err
	}
	if f == nil {
		return r.cancel(d, rec)
	}
	e, err := r.match(d, f, true)
	if err != nil {
		return err
	}
	if e == nil {
		return r.cancel(d, rec) // taken back before it could be posted
	}
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	past, tr, err := r.historic(d, f, subject)
	if err != nil {
		return err
	}
	if past {
		if err := r.creditedBefore(d, e, rec, f); err != nil {
			return err
		}
		return r.finish(d, rec, rootKey, e, false)
	}
	if len(rec.Waits) > 0 { // only what waits is amended
		if f.amend, err = r.amendment(waiter{"doc", stateKey(d.name, rec.Key), subject}); err != nil {
			return err
		}
	}
	troubles := union(nil, compact(tr, tooMany, r.notOwner(e.others, e.typ, d.root)))
	if _, err := e.when.holds(f.asInserted()); err != nil {
		var t *trouble
		if !errors.As(err, &t) {
			return err
		}
		troubles = union(troubles, []*trouble{t})
	}
	waiting, err := r.incomplete(d, e, rec, f, rootKey)
	if err != nil {
		return err
	}
	data, amount, more, err := r.canonicalData(d, rec, f, subject)
	if err != nil {
		return err
	}
	troubles = union(union(troubles, more), e.shape.incomplete(f, subject, e.at))
	if e.typ != creditMemo {
		drifted, err := r.drifted(d, rec, f, subject)
		if err != nil {
			return err
		}
		troubles = union(troubles, drifted)
	}
	if e.credit && waiting == nil {
		var over *trouble
		if waiting, over, err = r.overCredit(d, rec, amount); err != nil {
			return err
		}
		troubles = union(troubles, compact(over))
	}
	if troubles, err = r.unwaived(troubles, e.shape, f); err != nil {
		return err
	}
	if waiting != nil || len(troubles) > 0 {
		f.attest(compact(append(troubles, waiting)...))
		return r.carveOrWait(d, e, rec, f, rootKey, waiting, troubles, amount)
	}
	return r.issue(d, e, rec, f, rootKey, data, amount)
}

// canonicalData is the document, or the part of it that the record stands for, in the words of the mapping.
func (r *run) canonicalData(d *document, rec *docRecord, f *frame, subject string) (map[string]any, *Money, []*trouble, error) {
	d.part(f, rec)
	set, err := apply(f, d.set, subject)
	if err != nil {
		return nil, nil, nil, err
	}
	amount, err := r.amountOf(d, f, set.data)
	if err != nil {
		return nil, nil, nil, err
	}
	disagree, err := r.disagreeing(d, rec, f, set.data)
	return set.data, amount, union(set.troubles, compact(disagree)), err
}

// issue makes the event of a whole document, and what it asks of the targets. A credit that takes back an original that was never sent
// asks for nothing.
func (r *run) issue(d *document, e *emitRule, rec *docRecord, f *frame, rootKey string, data map[string]any, amount *Money) error {
	ev, err := r.documentEvent(d, e, rec, f, rootKey, data, amount)
	if err != nil {
		return err
	}
	posts, more, err := r.makePosts(e.posts, f, &ev, &rec.Pending.Cause)
	if err != nil {
		return err
	}
	if len(more) > 0 {
		return r.carveOrWait(d, e, rec, f, rootKey, nil, more, amount)
	}
	rec.Sent = hash(string(ev.Data))
	if rec.Apart, err = d.apart(f, rec); err != nil {
		return err
	}
	if back, err := r.takeBack(d, e, rec, amount); err != nil {
		return err
	} else if back {
		posts, data["original_withdrawn"] = nil, true
		if ev.Data, err = canonical(data); err != nil {
			return err
		}
	}
	if e.credit {
		if err := r.credited(d, rec, amount); err != nil {
			return err
		}
	}
	if err := r.send(ev, posts); err != nil {
		return err
	}
	if err := r.remember(d, rec, &ev, posts); err != nil {
		return err
	}
	if f.amend != nil {
		if err := r.st.Delete(bucketAmend, stateKey("doc", stateKey(d.name, rec.Key))); err != nil {
			return err
		}
	}
	return r.finish(d, rec, rootKey, e, true)
}

// carveOrWait keeps a document that cannot be released; when its time is over the bad members of a group may be taken out first.
func (r *run) carveOrWait(d *document, e *emitRule, rec *docRecord, f *frame, rootKey string, waiting *trouble, troubles []*trouble, amount *Money) error {
	if waiting == nil && rec.Pending.Late && !slices.ContainsFunc(troubles, quietlyAsks) {
		if carved, err := r.carve(d, e, rec, f); err != nil {
			return err
		} else if carved {
			return r.evaluate(d, rec)
		}
	}
	return r.wait(d, e, rec, rootKey, waiting, troubles, amount)
}

func compact(all ...*trouble) []*trouble {
	var some []*trouble
	for _, t := range all {
		if t != nil {
			some = append(some, t)
		}
	}
	return some
}

// asInserted is the frame as if the row were new.
func (f *frame) asInserted() *frame {
	g := *f
	g.op, g.rows[oldRow] = 'I', nil
	g.withoutBefore()
	return &g
}

// incomplete is the first thing that the document has to wait for: an equation, its original, the event that must come first.
func (r *run) incomplete(d *document, e *emitRule, rec *docRecord, f *frame, rootKey string) (*trouble, error) {
	if t, err := r.unequal(d, rec, f); err != nil || t != nil || rec.Original == "" || rec.Original == rec.Key {
		return t, err
	}
	up, err := r.record(d, rec.Original)
	if err != nil {
		return nil, err
	}
	if up != nil && up.Pending != nil {
		return &trouble{class: "WAITING", code: "CORRECTION_PENDING", cause: d.root.source.name + "/" + d.name + "/" + rec.Original, owner: "billing",
			title: fmt.Sprintf("%s/%s corrects %s/%s, which is itself not ready.", d.name, rec.Key, d.name, rec.Original),
			hint:  "Settle the problem of the original; its corrections follow by themselves."}, nil
	}
	if e.after == "" {
		return nil, nil
	}
	g, err := r.group(d, rootKey)
	if err != nil {
		return nil, err
	}
	if g.Emitted[e.after+" "+rec.Original] {
		return r.uncredited(d, rec, e.after)
	}
	return &trouble{class: "WAITING", code: "CORRECTION_PENDING", cause: d.root.source.name + "/" + d.name + "/" + rec.Key, owner: "billing",
		title: fmt.Sprintf("%s/%s replaces %s/%s, for which no %s has come.", d.name, rec.Key, d.name, rec.Original, e.after),
		hint:  "Release the credit of the original; the replacement follows by itself."}, nil
}

// unequal evaluates the equations of a whole document and returns the first that does not hold.
func (r *run) unequal(d *document, rec *docRecord, f *frame) (*trouble, error) {
	for _, k := range d.checks {
		var sides [2]ref.Val
		for i, e := range []*expr{k.l, k.r} {
			v, err := e.eval(f)
			var t *trouble
			if errors.As(err, &t) {
				return t, nil
			} else if err != nil {
				return nil, err
			}
			sides[i] = v
		}
		l, lok := toNumber(sides[0])
		rt, rok := toNumber(sides[1])
		if lok && rok && l.Sub(rt.Decimal).Abs().LessThanOrEqual(d.tolerance) {
			continue
		}
		code, hint := "TOTAL_MISMATCH", "Correct the header or the lines in billing; the next change is looked at by itself."
		if !strings.Contains(textOf(sides[0])+textOf(sides[1]), ".") {
			code, hint = "INCOMPLETE_DOCUMENT", "Write the missing lines, or correct the header; the next change is looked at by itself."
		}
		return &trouble{class: "DATA", code: code, cause: d.root.source.name + "/" + d.name + "/" + rec.Key, owner: "billing", hint: hint,
			title:    fmt.Sprintf("%s/%s does not add up: %s is %s, but %s is %s.", d.name, rec.Key, k.l.text, shown(sides[0]), k.r.text, shown(sides[1])),
			evidence: map[string]any{"check": k.text, "left": shown(sides[0]), "right": shown(sides[1]), "lines": len(f.lines)}}, nil
	}
	return nil, nil
}

func shown(v ref.Val) string {
	if s := textOf(v); s != "" {
		return s
	}
	return "nothing"
}

// amountOf is the money that the document is about, when it can be had.
func (r *run) amountOf(d *document, f *frame, data map[string]any) (*Money, error) {
	v, err := d.amount.eval(f)
	if err != nil {
		return nil, bug(err)
	}
	n, ok := toNumber(v)
	currency, has := data["currency"].(string)
	if !ok || !has {
		return nil, nil
	}
	return &Money{Amount: round(n, d.scope.places, d.scope.mode).String(), Currency: currency}, nil
}

// wait keeps the document until what is missing has come. People hear of what is merely incomplete after the declared time only.
func (r *run) wait(d *document, e *emitRule, rec *docRecord, rootKey string, waiting *trouble, troubles []*trouble, amount *Money) error {
	if (waiting != nil || d.members != nil && d.members.carve) && !rec.Pending.Late {
		if waiting != nil {
			waiting.quiet = true
		}
		if !rec.Pending.Timer {
			rec.Pending.Timer = true
			err := r.out.SetTimer(Timer{ID: d.timer(rec.Key), At: rec.Pending.Cause.At.Add(d.wait), Sources: []string{d.root.source.name},
				Payload: stateKey(d.name, rec.Key)})
			if err != nil {
				return err
			}
		}
	}
	subject := d.name + "/" + rec.Key
	w := waiter{"doc", stateKey(d.name, rec.Key), subject}
	all := union(compact(waiting), troubles)
	rec.Pending.Type, rec.Pending.Why = e.typ, all[0].title
	var err error
	rec.Waits, err = r.settle(w, rec.Waits, all, func(t *trouble) Problem {
		return t.problem(subject, d.name+"/"+rootKey, e.typ+" ("+e.at+")", amount)
	})
	if err != nil {
		return err
	}
	return r.saveRecord(d, rec)
}

func (d *document) timer(key string) string { return "doc/" + d.name + "/" + key }

// deadline tells people about a document that is still not whole.
func (r *run) deadline(d *document, key string) error {
	rec, err := r.record(d, key)
	if err != nil || rec == nil || rec.Pending == nil {
		return err
	}
	rec.Pending.Timer, rec.Pending.Late = false, true
	return r.evaluate(d, rec)
}

// documentEvent makes the event of a whole document.
func (r *run) documentEvent(d *document, e *emitRule, rec *docRecord, f *frame, rootKey string, data map[string]any, amount *Money) (Event, error) {
	ev := r.newEvent(e.typ, e.entity, e.at, LaneTransactional, &rec.Pending.Cause)
	ev.Key, ev.Company, ev.OrderKey, ev.Amount = rec.plain(), rec.Company, d.name+"/"+rootKey, amount
	if !f.at.IsZero() {
		ev.Occurred = f.at
	}
	if f.amend != nil {
		ev.Edited = f.amend.By
	}
	ev.Refs = d.refs(e.entity, rec, f)
	ev.Correlation = correlationOf(d, rec, f)
	var err error
	ev.Data, err = canonical(data)
	return ev, err
}

// refs are the references by which trace finds the document's event.
func (d *document) refs(entity string, rec *docRecord, f *frame) []string {
	all := []string{d.name + "/" + rec.Key}
	add := func(ref string) {
		if !contains(all, ref) {
			all = append(all, ref)
		}
	}
	add(entity + "/" + rec.Key)
	if rec.Original != "" {
		add(d.name + "/" + rec.Original)
	}
	for _, x := range d.correlate {
		if x.each {
			x.lines(f, func(k string) { add(Ref(rec.Company, x.entity, k)) })
		} else if k := quietText(x.e, f); k != "" {
			add(Ref(rec.Company, x.entity, k))
		}
	}
	return all
}

// maxLineRefs bounds the references that the lines of a document add to its event; those of the first lines stay.
const maxLineRefs = maxEventKeys

// lines calls fn with each thing that the lines of the frame name, once.
func (x correlation) lines(f *frame, fn func(key string)) {
	kept := f.rows[lineRow]
	defer func() { f.rows[lineRow] = kept }()
	seen := map[string]bool{}
	for _, l := range f.lines {
		f.rows[lineRow] = l
		k := quietText(x.e, f)
		if k == "" || seen[k] {
			continue
		}
		if len(seen) == maxLineRefs {
			return
		}
		seen[k] = true
		fn(k)
	}
}

func correlationOf(d *document, rec *docRecord, f *frame) string {
	for _, x := range d.correlate {
		if x.each {
			continue // many are none
		}
		if k := quietText(x.e, f); k != "" {
			return Ref(rec.Company, x.entity, k)
		}
	}
	return d.name + "/" + rec.Key
}
