package transform

import "fmt"

// alarm tells a person that the header of a released document was deleted: what is posted stays posted, and nothing is credited by
// itself. It reports whether the document is remembered, so that a header that comes back is not released again. What was released
// longer ago than purge is an archive job's, and is forgotten.
func (r *run) alarm(d *document, rec *docRecord, f *frame, c *rowChange) (kept bool, err error) {
	if len(rec.Done) == 0 || c.before == nil {
		return false, nil
	}
	subject := d.name + "/" + rec.Key
	f.rows[newRow] = c.before
	if _, _, err := r.historic(d, f, subject); err != nil {
		return false, err
	}
	if d.purge > 0 && !f.at.IsZero() && c.cause.At.Sub(f.at) > d.purge {
		return false, nil
	}
	set, err := apply(f, d.set, subject)
	if err != nil {
		return false, err
	}
	amount, err := r.amountOf(d, f, set.data)
	if err != nil {
		return false, err
	}
	rec.Gone = true
	if err := r.saveRecord(d, rec); err != nil {
		return false, err
	}
	return true, r.out.Problem(d.deleted(rec).problem(subject, "", d.name+" ("+d.at+")", amount))
}

// deleted is the trouble of a released document whose header is gone. All of a table are one exception.
func (d *document) deleted(rec *docRecord) *trouble {
	return &trouble{class: "POLICY", code: "DELETED_AFTER_RELEASE", cause: d.root.key() + "/" + d.name,
		title: fmt.Sprintf("%s/%s was deleted in %s after its release was sent to the ERP.", d.name, rec.Key, d.root.key()),
		hint: "Nothing was credited. If it is to be taken back, release a credit memo for it in billing; then discard this. " +
			"For an archive job, declare purge on the document."}
}

// cameBack resolves the alarm of a document whose header is there again, and reports whether it was gone. What the ERP holds of it is
// compared with what the header says now, and not posted again.
func (r *run) cameBack(d *document, rec *docRecord) (bool, error) {
	if !rec.Gone {
		return false, nil
	}
	rec.Gone = false
	return true, r.out.Resolve(d.deleted(rec).fingerprint(), d.name+"/"+rec.Key)
}
