package transform

import (
	"errors"
	"fmt"
)

// DocumentView is where a document stands, and what keeps it from becoming an event.
type DocumentView struct {
	Document string       `json:"document"`
	Key      string       `json:"key"`
	State    string       `json:"state"` // waits, made, not released, unknown
	Lines    int          `json:"lines"`
	Checks   []CheckView  `json:"checks,omitempty"`
	Lookups  []LookupView `json:"lookups,omitempty"`
	Trouble  []string     `json:"troubles,omitempty"`
	Waits    []string     `json:"waits,omitempty"` // fingerprints of the problems that it waits on
}

// CheckView is one equation that a whole document satisfies.
type CheckView struct {
	Text  string `json:"text"`
	Left  string `json:"left"`
	Right string `json:"right"`
	Holds bool   `json:"holds"`
}

// ExplainDocument tells where a document stands, as its rows are now. It writes nothing.
func (p *Mapper) ExplainDocument(st State, at Entry, of DocumentKey) (*DocumentView, error) {
	for _, d := range p.m.documents {
		if d.name == of.Document {
			return p.run(st, nil, at).explainDocument(d, of.Key)
		}
	}
	return nil, nil
}

func (r *run) explainDocument(d *document, key string) (*DocumentView, error) {
	v := &DocumentView{Document: d.name, Key: key, State: "unknown"}
	rec, err := r.record(d, key)
	if err != nil || rec == nil {
		return v, err
	}
	f, tooMany, err := r.assemble(d, rec)
	if err != nil || f == nil {
		return v, err
	}
	v.Lines, v.Waits = len(f.lines), rec.Waits
	switch {
	case rec.Pending != nil:
		v.State = "waits"
	case rec.Sent != "":
		v.State = "made"
	default:
		v.State = "not released"
	}
	if _, _, err := r.historic(d, f, d.name+"/"+key); err != nil {
		return v, err
	}
	if err := v.check(d, f); err != nil {
		return v, err
	}
	_, _, troubles, err := r.canonicalData(d, rec, f, d.name+"/"+key)
	if err != nil {
		return v, err
	}
	e, err := r.match(d, f, true)
	if err != nil {
		return v, err
	}
	if e != nil {
		troubles = union(troubles, e.shape.incomplete(f, d.name+"/"+key, e.at))
	}
	for _, t := range union(compact(tooMany), troubles) {
		v.Trouble = append(v.Trouble, t.Error())
	}
	v.Lookups = documentLookups(d.set, f)
	return v, nil
}

func (v *DocumentView) check(d *document, f *frame) error {
	for _, k := range d.checks {
		view := CheckView{Text: k.text}
		for _, side := range []struct {
			e    *expr
			text *string
		}{{k.l, &view.Left}, {k.r, &view.Right}} {
			got, err := side.e.eval(f)
			var t *trouble
			if errors.As(err, &t) {
				*side.text = t.Error()
			} else if err != nil {
				return fmt.Errorf("explaining %s: %w", k.text, err)
			} else {
				*side.text = shown(got)
			}
		}
		l, lerr := parseNumber(view.Left)
		r, rerr := parseNumber(view.Right)
		view.Holds = lerr == nil && rerr == nil && l.Sub(r.Decimal).Abs().LessThanOrEqual(d.tolerance)
		v.Checks = append(v.Checks, view)
	}
	return nil
}

// lookupsMost bounds the answers that are listed of one document.
const lookupsMost = 50

// documentLookups lists what code tables and cross-references answered to a document's fields, each answer once.
func documentLookups(set []setting, f *frame) (all []LookupView) {
	seen := map[LookupView]bool{}
	ask := func(e *expr) {
		for _, n := range e.alts {
			walkNodes(n, func(n node) {
				for _, l := range lookups(n, f) {
					if !seen[l] && len(all) < lookupsMost {
						seen[l] = true
						all = append(all, l)
					}
				}
			})
		}
	}
	for i := range set {
		s := &set[i]
		if !s.each {
			ask(s.e)
			continue
		}
		for _, l := range f.lines {
			f.rows[lineRow] = l
			for j := range s.sub {
				ask(s.sub[j].e)
			}
		}
		f.rows[lineRow] = nil
	}
	return all
}
