package transform

import (
	"fmt"
)

// bucketTaken holds the postings that were taken back: target, external id. What waits for one waits no longer.
const bucketTaken = "map/taken"

// takeBack takes back the postings of a document that a credit takes away whole, when they were certainly never sent: then neither of the
// two is posted, and the replacement stands alone. It reports whether it did; otherwise the credit waits for its original in the ERP.
func (r *run) takeBack(d *document, e *emitRule, rec *docRecord, amount *Money) (bool, error) {
	if !e.take || !e.credit || amount == nil {
		return false, nil
	}
	up, err := r.record(d, rec.Original)
	if err != nil || up == nil || up.Amount == nil || len(up.Carved) > 0 || up.Credited != "" || rec.Credits != "" {
		return false, err
	}
	whole, err := parseNumber(up.Amount.Amount)
	if err != nil {
		return false, err
	}
	part, err := parseNumber(amount.Amount)
	if err != nil || !part.Abs().Equal(whole.Decimal) {
		return false, err
	}
	back, err := r.take(d, up, fmt.Sprintf("credited by %s/%s before it was sent", d.name, rec.Key))
	if err != nil || !back {
		return false, err
	}
	return true, r.noted(d, up, rec, e)
}

// noted leaves a closed exception behind, for those who look for the two documents in the ERP.
func (r *run) noted(d *document, up, rec *docRecord, e *emitRule) error {
	subject := d.name + "/" + up.Key
	t := trouble{class: "WAITING", code: "REBILL_UNPOSTED_ORIGINAL", cause: d.root.source.name + "/" + subject, owner: "billing",
		title: fmt.Sprintf("%s was withdrawn with its credit %s/%s: it was never sent.", subject, d.name, rec.Key),
		hint:  "Nothing is to be done; neither of the two is in the ERP."}
	if err := r.out.Problem(t.problem(subject, "", e.typ+" ("+e.at+")", up.Amount)); err != nil {
		return err
	}
	return r.out.Resolve(t.fingerprint(), subject)
}

// take takes back what the document's last event asked of its targets.
func (r *run) take(d *document, rec *docRecord, why string) (bool, error) {
	if rec.Event == "" || len(rec.Posts) == 0 {
		return false, nil
	}
	done, err := r.out.Withdraw(rec.Event, why)
	if err != nil || !done {
		return false, err
	}
	for _, p := range rec.Posts {
		if err := r.st.Put(bucketTaken, p, []byte{}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unsend makes a document what it was before its release: what was taken back can neither be credited nor changed after the fact, and what
// it credited is left of its original again.
func (r *run) unsend(d *document, rec *docRecord) error {
	if rec.Credits != "" {
		up, err := r.record(d, rec.Original)
		if err != nil {
			return err
		}
		if up != nil {
			left, err := rest(up, rec, &Money{Amount: "0"})
			if err != nil {
				return err
			}
			up.Credited = number{left.Neg()}.String()
			if err := r.saveRecord(d, up); err != nil {
				return err
			}
		}
	}
	rec.Done, rec.Sent, rec.Drifted = nil, "", false
	rec.Amount, rec.Credits, rec.Event, rec.Posts = nil, "", "", nil
	return r.saveRecord(d, rec)
}

// taken reports whether a gate waits for a posting that was taken back.
func (r *run) taken(g Gate) (bool, error) {
	if !r.m.takes || g.Kind != GateLedger {
		return false, nil
	}
	known, err := r.st.Get(bucketTaken, stateKey(g.Name, g.Key))
	return known != nil, err
}

// remember keeps of a sent document what its corrections need. What it asks for is not taken back any more, if an earlier release was.
func (r *run) remember(d *document, rec *docRecord, ev *Event, posts []Post) error {
	if !d.corrects {
		return nil
	}
	rec.Amount, rec.Event, rec.Posts = ev.Amount, ev.ID, nil
	for _, p := range posts {
		at := stateKey(p.target(), CompanyKey(p.Company, p.ExternalID))
		rec.Posts = append(rec.Posts, at)
		if err := r.st.Delete(bucketTaken, at); err != nil {
			return err
		}
	}
	return nil
}

// target is what a gate calls the target of a posting.
func (p *Post) target() string { return p.Sink + "." + p.Entity }
