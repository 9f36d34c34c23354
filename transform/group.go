package transform

import (
	"fmt"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// members cut the lines of a consolidated document by what they belong to: a shipment each, mostly. The document is released as a
// group: one bad member holds all of them. With carve_out a bad member is taken out after the document's wait, and follows as a document
// of its own when it is whole; the others go ahead.
type members struct {
	by    *expr // of a line
	carve bool
}

// memberName is what expressions call the member that a document was carved out for; null in the group itself.
const memberName = "member"

var speaksOfMember = regexp.MustCompile(`\bmember\b`)

// members reads { by: l.pro_no, bad: hold }.
func (c *compiler) members(d *document, f field, sc *scope) {
	got := c.record(f.value, "members", []string{"by", "bad"}, nil)
	if !c.need(f.at, got, "members", "by") {
		return
	}
	if sc.lines == nil {
		c.fault(f.at, "members in a document without lines", "lines, which belong to members", "")
		return
	}
	inner := *sc
	inner.line = map[string]*cel.Type{}
	d.members = &members{by: c.value(got["by"].value, &inner)}
	d.members.by.optional = true
	if b, ok := got["bad"]; ok {
		d.members.carve = c.choice(b.value, "what to do with a bad member", "hold", "carve_out") == "carve_out"
	}
	standIn(sc, memberName)
}

// numbered refuses a document whose parts would have the number of the whole.
func (c *compiler) numbered(d *document, f field) {
	if d.members == nil || !d.members.carve {
		return
	}
	for _, s := range d.set {
		if s.name == "number" && s.e != nil && !speaksOfMember.MatchString(s.e.text) {
			c.fault(f.at, "members carved out under the number of the whole document", "a number that says the member", `number: first(h.inv_no + "-" + member, h.inv_no)`)
		}
	}
}

// memberOf is the member that a line belongs to; "" for none.
func (d *document) memberOf(f *frame, l *row) string {
	kept := f.rows[lineRow]
	defer func() { f.rows[lineRow] = kept }()
	f.rows[lineRow] = l
	return quietText(d.members.by, f)
}

// part leaves in the frame the lines that belong to the record: of a carved member its own, of the group those of no carved member.
func (d *document) part(f *frame, rec *docRecord) {
	if d.members == nil {
		return
	}
	f.fields = map[string]ref.Val{memberName: types.NullValue}
	if rec.Of != "" {
		f.fields[memberName] = types.String(rec.Member)
	}
	if rec.Of == "" && len(rec.Carved) == 0 {
		return
	}
	var own []*row
	for _, l := range f.lines {
		if m := d.memberOf(f, l); rec.Of != "" && m == rec.Member || rec.Of == "" && !slices.Contains(rec.Carved, m) {
			own = append(own, l)
		}
	}
	f.lines = own
}

// partKey is the key of the document that a carved member becomes.
func partKey(rec *docRecord, member string) string { return rec.Key + "/" + member }

// carve takes the bad members out of a group and reports whether it took any: some, and not all, must be good, and the amounts of
// the members must be the amount of the whole.
func (r *run) carve(d *document, e *emitRule, rec *docRecord, f *frame) (bool, error) {
	if d.members == nil || !d.members.carve || rec.Of != "" {
		return false, nil
	}
	none := *f
	none.lines = nil
	common, _, err := r.alone(d, e, rec, &none, "")
	if err != nil {
		return false, err
	}
	var all, bad []string
	for _, l := range f.lines {
		if m := d.memberOf(f, l); !slices.Contains(all, m) && !slices.Contains(rec.Carved, m) {
			all = append(all, m)
		}
	}
	sum, proved := number{}, true
	for _, m := range all {
		own := *f
		own.lines = slices.DeleteFunc(slices.Clone(f.lines), func(l *row) bool { return d.memberOf(f, l) != m })
		troubles, amount, err := r.alone(d, e, rec, &own, m)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(troubles, func(t *trouble) bool {
			return !slices.ContainsFunc(common, func(o *trouble) bool { return o.fingerprint() == t.fingerprint() })
		}) {
			bad = append(bad, m)
		}
		if proved = proved && amount != nil; proved {
			sum.Decimal = sum.Decimal.Add(amount.Decimal)
		}
	}
	whole, err := d.amount.eval(f)
	if err != nil {
		return false, bug(err)
	}
	n, ok := toNumber(whole)
	if len(bad) == 0 || len(bad) == len(all) || !proved || !ok || !sum.Decimal.Equal(n.Decimal) || slices.Contains(bad, "") {
		return false, nil
	}
	return true, r.carveOut(d, rec, bad)
}

// alone evaluates a document as if it had only the frame's lines.
func (r *run) alone(d *document, e *emitRule, rec *docRecord, f *frame, member string) ([]*trouble, *number, error) {
	f.fields, f.made = map[string]ref.Val{memberName: types.NullValue}, nil
	if member != "" {
		f.fields[memberName] = types.String(member)
	}
	set, err := apply(f, d.set, d.name+"/"+rec.Key)
	if err != nil {
		return nil, nil, err
	}
	_, more, err := r.makePosts(e.posts, f, &Event{Entity: e.entity, Key: rec.plain(), Company: rec.Company}, &rec.Pending.Cause)
	if err != nil {
		return nil, nil, err
	}
	v, err := d.amount.eval(f)
	if err := bug(err); err != nil {
		return nil, nil, err
	}
	if n, ok := toNumber(v); ok {
		return union(set.troubles, more), &n, nil
	}
	return union(set.troubles, more), nil, nil
}

// carveOut makes documents of the bad members, which wait with their own problems.
func (r *run) carveOut(d *document, rec *docRecord, bad []string) error {
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	rec.Carved = append(rec.Carved, bad...)
	if err := r.saveRecord(d, rec); err != nil {
		return err
	}
	for _, m := range bad {
		by := rec.Pending.Cause
		by.Ordinal += "/" + m
		part := &docRecord{Company: rec.Company, Key: partKey(rec, m), Row: rec.Row, Original: rec.Original, Of: rec.Key, Member: m,
			Pending: &pending{Cause: by, Join: rec.Pending.Join, Late: true}}
		g, err := r.group(d, rootKey)
		if err != nil {
			return err
		}
		g.Pending = append(g.Pending, part.Key)
		if err := r.saveGroup(d, rootKey, g); err != nil {
			return err
		}
		if d.lines != nil {
			if err := r.index(d, part.Pending.Join, part.Key, true); err != nil {
				return err
			}
		}
		if err := r.evaluate(d, part); err != nil {
			return err
		}
	}
	return nil
}

// lookAtParts looks again at what was carved out of a document whose header changed.
func (r *run) lookAtParts(d *document, rec *docRecord) error {
	for _, m := range rec.Carved {
		part, err := r.record(d, partKey(rec, m))
		if err != nil {
			return err
		}
		if part != nil && (part.Pending != nil || part.Sent != "") {
			if err := r.look(d, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// rejoin takes members that were carved out and never became documents into a group that is released again.
func (r *run) rejoin(d *document, rec *docRecord) error {
	var still []string
	for _, m := range rec.Carved {
		part, err := r.record(d, partKey(rec, m))
		if err != nil {
			return err
		}
		if part != nil && (part.Pending != nil || len(part.Done) > 0) || len(rec.Done) > 0 {
			still = append(still, m)
		} else if err := r.st.Delete(d.bucket(), partKey(rec, m)); err != nil {
			return err
		}
	}
	rec.Carved = still
	return nil
}

// gateKeys are the keys of a requirement: one, or one for each line.
func (r *run) gateKeys(g *gateRule, f *frame, res *result, where string) ([]string, error) {
	set := &setting{name: "require " + g.name, e: g.key}
	if !g.each {
		key, err := res.one(f, set, where)
		return []string{textOfKey(key)}, err
	}
	var keys []string
	defer func() { f.rows[lineRow], f.lineFields = nil, nil }()
	for i, l := range f.lines {
		f.rows[lineRow], f.lineFields = l, nil
		if i < len(f.made) {
			f.lineFields = f.made[i]
		}
		key, err := res.one(f, set, fmt.Sprintf("%s, line %d", where, i+1))
		if err != nil {
			return nil, err
		}
		if k := textOfKey(key); k != "" && !contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
