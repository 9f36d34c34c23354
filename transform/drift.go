package transform

import "fmt"

// drift compares a released document with what was sent of it. What is posted is immutable: a change in billing after the release is
// for a person, and resolves itself when billing says again what was sent.
func (r *run) drift(d *document, rec *docRecord) error {
	f, _, err := r.assemble(d, rec)
	if err != nil || f == nil {
		return err
	}
	e, err := r.match(d, f, true)
	if err != nil || e == nil {
		return err
	}
	d.part(f, rec)
	f.unasked = d.asks // what a service says by now is no change of the document
	subject := d.name + "/" + rec.Key
	set, err := apply(f, d.set, subject)
	if err != nil {
		return err
	}
	data, err := canonical(set.data)
	if err != nil {
		return err
	}
	sent := rec.Sent
	if d.asks {
		sent = rec.Apart
	}
	differs := hash(string(data)) != sent
	if differs == rec.Drifted {
		return nil
	}
	rec.Drifted = differs
	if err := r.saveRecord(d, rec); err != nil {
		return err
	}
	t := trouble{class: "POLICY", code: "CHANGED_AFTER_RELEASE", cause: d.root.source.name + "/" + subject,
		title: fmt.Sprintf("%s was changed in billing after it was released; the ERP has it as it was.", subject),
		hint:  "Correct it by a credit memo and a new invoice in billing, or change it back; Waybill never changes what is posted."}
	if !differs {
		return r.out.Resolve(t.fingerprint(), subject)
	}
	amount, err := r.amountOf(d, f, set.data)
	if err != nil {
		return err
	}
	return r.out.Problem(t.problem(subject, "", e.typ+" ("+e.at+")", amount))
}

// apart is the hash of what the rows alone say of a document that looks something up; empty for any other.
func (d *document) apart(f *frame, rec *docRecord) (string, error) {
	if !d.asks {
		return "", nil
	}
	g := *f
	g.unasked, g.fields, g.made = true, nil, nil
	set, err := apply(&g, d.set, d.name+"/"+rec.Key)
	if err != nil {
		return "", err
	}
	data, err := canonical(set.data)
	return hash(string(data)), err
}

// driftOfLine finds the released document of a changed line. It does so where the lines carry the document's key, as they mostly do.
func (r *run) driftOfLine(d *document, c *rowChange, join string) error {
	keys := map[int]bool{}
	columnsOf(d.key, keys)
	if c.now == nil || len(keys) != 1 || !keys[d.joinRoot] || d.company != nil {
		return nil // purged lines of old documents are no change of them
	}
	rec, err := r.record(d, CompanyKey(r.m.company, join))
	if err != nil || rec == nil || rec.Pending != nil || rec.Sent == "" {
		return err
	}
	return r.look(d, rec)
}
