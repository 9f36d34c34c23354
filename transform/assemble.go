package transform

import (
	"errors"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"waybill/cdc"
)

// linesBucket holds, for each join value, the keys of the lines that have it.
func (d *document) linesBucket() string { return "map/lines/" + d.name }

// header runs a document's rules over a change of its header.
func (r *run) header(d *document, c *rowChange) error {
	if err := r.rooted(d, c); err != nil {
		return err
	}
	f := r.frame(c)
	if c.now == nil {
		f.rows[newRow] = c.before
	}
	var err error
	if f.beside, err = r.besides(d, f.rows[newRow], c.op == cdc.Insert); err != nil {
		return err
	}
	key, company := r.keyOf(d, f)
	if key == "" {
		return r.homeless(d, f, c) // a header without a key can be no document; the key column is NULL
	}
	f.rows[newRow] = c.now
	if f, err = r.rehomed(d, key, f, c); err != nil {
		return err
	}
	rec, err := r.record(d, key)
	if err != nil {
		return err
	}
	fresh := rec == nil
	if fresh {
		rec = &docRecord{Key: key, Company: company}
	}
	if c.now == nil {
		return r.withdrawn(d, rec, f, c)
	}
	moved := rec.Row != c.key
	rec.Row = c.key
	if d.original {
		was := rec.Original
		if rec.Original = d.originalOf(f); rec.Original != "" {
			rec.Original = CompanyKey(company, rec.Original)
		}
		moved = moved || was != rec.Original
	}
	if c.first {
		return r.saveRecord(d, rec) // evaluated when the snapshot is complete
	}
	return r.headed(d, rec, f, moved, c)
}

// headed runs a document's rules over a change of its header, or of what stands beside it. moved says that its record changed.
func (r *run) headed(d *document, rec *docRecord, f *frame, moved bool, c *rowChange) error {
	matched, err := r.match(d, f, false)
	if err != nil {
		return err
	}
	back, err := r.cameBack(d, rec)
	if err != nil {
		return err
	}
	if moved || back || matched != nil {
		if err := r.saveRecord(d, rec); err != nil {
			return err
		}
	}
	if err := r.lookAtParts(d, rec); err != nil {
		return err
	}
	if matched != nil && matched.others != "" {
		if left, err := r.foreignDocument(d, matched, rec, c); err != nil || left {
			return err
		}
	}
	switch {
	case matched != nil && matched.notice:
		if err := r.notice(d, matched, rec, f, &c.cause); err != nil {
			return err
		}
	case matched != nil && !back:
		return r.release(d, rec, c.cause, f)
	}
	if rec.Pending != nil || rec.Sent != "" {
		return r.look(d, rec)
	}
	return nil
}

// match finds the first rule that the change of a header makes true. A condition that cannot be evaluated counts as a release: the
// document then waits with the problem. asInserted asks which release the header itself shows.
func (r *run) match(d *document, f *frame, asInserted bool) (*emitRule, error) {
	if asInserted {
		f = f.asInserted()
	}
	for _, e := range d.emit {
		if asInserted && e.notice {
			continue
		}
		yes, err := e.when.holds(f)
		var t *trouble
		if errors.As(err, &t) && !e.notice {
			return e, nil
		}
		if err := bug(err); err != nil {
			return nil, err
		}
		if yes {
			return e, nil
		}
	}
	return nil, nil
}

// release makes the document wait to become an event, and looks whether it can at once.
func (r *run) release(d *document, rec *docRecord, by cause, f *frame) error {
	join := ""
	if d.lines != nil {
		join = f.rows[newRow].vals[d.joinRoot].Text
	}
	rec.Pending = &pending{Cause: by, Join: join}
	if err := r.rejoin(d, rec); err != nil {
		return err
	}
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	g, err := r.group(d, rootKey)
	if err != nil {
		return err
	}
	if !contains(g.Pending, rec.Key) {
		g.Pending = append(g.Pending, rec.Key)
		g.joined(rootKey, rec.Key)
		if err := r.saveGroup(d, rootKey, g); err != nil {
			return err
		}
	}
	if d.lines != nil {
		if err := r.index(d, join, rec.Key, true); err != nil {
			return err
		}
	}
	return r.look(d, rec)
}

// withdrawn handles a deleted header. A release that waited is void; what was posted stays posted.
func (r *run) withdrawn(d *document, rec *docRecord, f *frame, c *rowChange) error {
	e, err := r.match(d, f, false)
	if err != nil {
		return err
	}
	if e != nil && e.notice {
		if err := r.notice(d, e, rec, f, &c.cause); err != nil {
			return err
		}
	}
	if rec.Pending != nil {
		if err := r.cancel(d, rec); err != nil {
			return err
		}
	}
	if err := r.lookAtParts(d, rec); err != nil {
		return err
	}
	if kept, err := r.alarm(d, rec, f, c); err != nil || kept {
		return err
	}
	return r.st.Delete(d.bucket(), rec.Key)
}

// line keeps the lines of documents findable, and looks again at documents that wait for them.
func (r *run) line(d *document, c *rowChange) error {
	was, is := joinText(c.known, d.joinLine), joinText(c.now, d.joinLine)
	if c.known != nil && (was != is || c.now == nil) {
		if err := r.st.Delete(d.linesBucket(), stateKey(was, c.key)); err != nil {
			return err
		}
	}
	if c.now != nil && (c.known == nil || was != is) {
		if err := r.st.Put(d.linesBucket(), stateKey(is, c.key), []byte{}); err != nil {
			return err
		}
	}
	if c.first {
		return nil
	}
	joins := []string{is}
	if was != is {
		joins = []string{was, is}
	}
	for _, join := range joins {
		raw, err := r.st.Get(bucketPending, stateKey(d.name, join))
		if err != nil {
			return err
		}
		if join == "" {
			continue
		}
		if len(raw) == 0 {
			if err := r.driftOfLine(d, c, join); err != nil {
				return err
			}
			continue
		}
		for _, key := range stateParts(string(raw)) {
			rec, err := r.record(d, key)
			if err != nil {
				return err
			}
			if rec == nil || rec.Pending == nil {
				continue
			}
			if err := r.look(d, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func joinText(r *row, col int) string {
	if r == nil || r.vals[col].State != cdc.Present {
		return ""
	}
	return r.vals[col].Text
}

// maxLines bounds the lines of one document.
const maxLines = 10000

// assemble reads a document as it is now: header, lines in order, original. It returns nil when the header is gone.
func (r *run) assemble(d *document, rec *docRecord) (*frame, *trouble, error) {
	f := &frame{m: r.m, st: r.st, op: cdc.Update, now: r.at.Observed, aging: &r.aging}
	header, err := r.stored(d.root, rec.Row)
	if err != nil || header == nil {
		return nil, nil, err
	}
	f.rows[newRow], f.rows[oldRow] = header, header
	if f.beside, err = r.besides(d, header, false); err != nil {
		return nil, nil, err
	}
	if rec.Original != "" {
		up, err := r.record(d, rec.Original)
		if err != nil {
			return nil, nil, err
		}
		if up != nil {
			if f.rows[originalRow], err = r.stored(d.root, up.Row); err != nil {
				return nil, nil, err
			}
		}
	}
	if d.embedded != nil {
		var t *trouble
		f.lines, t = d.embeddedLines(header, d.name+"/"+rec.Key)
		return f, t, nil
	}
	if d.lines == nil {
		return f, nil, nil
	}
	var keys []string
	err = r.st.Scan(d.linesBucket(), stateKey(joinText(header, d.joinRoot))+separator, "", func(k string, _ []byte) (bool, error) {
		keys = append(keys, stateParts(k)[1])
		return len(keys) <= maxLines, nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(keys) > maxLines {
		return f, &trouble{class: "POLICY", code: "TOO_MANY_LINES", cause: d.name + "/" + rec.Key, title: d.name + "/" + rec.Key + " has more than 10,000 lines.",
			hint: "Split it in billing."}, nil
	}
	for _, k := range keys {
		l, err := r.stored(d.lines, k)
		if err != nil {
			return nil, nil, err
		}
		if l != nil {
			f.lines = append(f.lines, l)
		}
	}
	if d.orderBy >= 0 {
		slices.SortStableFunc(f.lines, func(a, b *row) int { return compareValues(a.vals[d.orderBy], b.vals[d.orderBy]) })
	}
	return f, nil, nil
}

func (r *run) stored(t *table, key string) (*row, error) {
	raw, err := r.st.Get(t.bucket(), key)
	if err != nil || raw == nil {
		return nil, err
	}
	_, found, err := decodeRow(t, raw)
	if found != nil {
		found.key = key
	}
	return found, err
}

// compareValues orders numbers as numbers and everything else as text.
func compareValues(a, b cdc.Value) int {
	if x, ok := toNumber(valueOf(a)); ok {
		if y, ok := toNumber(valueOf(b)); ok {
			return x.Cmp(y.Decimal)
		}
	}
	return strings.Compare(a.Text, b.Text)
}

// historic reports whether the document was released before the cut-over.
func (r *run) historic(d *document, f *frame, subject string) (bool, *trouble, error) {
	var res result
	v, err := res.one(f, &setting{name: "released_at", e: d.released}, subject)
	if err != nil {
		return false, nil, err
	}
	if len(res.troubles) > 0 || v == types.NullValue {
		if len(res.troubles) == 0 {
			return false, nil, nil
		}
		return false, res.troubles[0], nil
	}
	t, tr := r.instant(v, d.root.source.zone, d.root.source, subject)
	if tr != nil {
		return false, tr, nil
	}
	f.at = t
	return t.Before(r.m.cutover), nil, nil
}
