package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// ExplainRequest names a change: by an event's id, an exception's, the position of its commit, or what it is about, which is
// its newest change; and of which table, when only those of one are meant.
type ExplainRequest struct {
	What  string `json:"what"`
	Table string `json:"table,omitempty"` // <source>.<table>
}

// ExplainView is why changes became events, or did not.
type ExplainView struct {
	What      string                   `json:"what"`
	Entry     uint64                   `json:"entry"` // of the journal
	From      string                   `json:"from"`  // where the state was made from that the rules saw, in words
	Changes   []*transform.Explanation `json:"changes"`
	Documents []transform.DocumentView `json:"documents,omitempty"` // as they stood then; for rows of a first reading, at its end
	Made      []MadeView               `json:"made,omitempty"`      // events of the entry about the same things
	Holds     []HoldView               `json:"holds,omitempty"`     // open exceptions that hold them now
	More      int                      `json:"more,omitempty"`      // changes of the commit that are not explained
}

// MadeView is an event, and where its postings are now.
type MadeView struct {
	ID    string         `json:"id"`
	Type  string         `json:"type"`
	Key   string         `json:"key"`
	Posts []DeliveryView `json:"posts,omitempty"`
}

// HoldView is an open exception that holds something.
type HoldView struct {
	ID      string `json:"id"`
	Code    string `json:"code"`
	Title   string `json:"title"`
	Hint    string `json:"hint"`
	Owner   string `json:"owner"`
	Subject string `json:"subject"`
}

// explainMost bounds the changes of one commit that are explained.
const explainMost = 20

// Explain tells why changes became, or did not become, events: they are projected again in a side state, which stands where
// the live one stood when the changes came.
func (p *Pipeline) Explain(ctx context.Context, q ExplainRequest, progress func(Progress)) (ExplainView, error) {
	h, end, err := p.history(progress)
	if err != nil {
		return ExplainView{}, err
	}
	defer end()
	return h.Explain(ctx, q)
}

// spot is where changes lie: a journal entry, and their numbers in it.
type spot struct {
	entry uint64
	units []uint64
	refs  []string // what the question is about; empty when it is the changes themselves
}

// Explain is Pipeline.Explain for a store that no daemon has open.
func (h *History) Explain(ctx context.Context, q ExplainRequest) (v ExplainView, err error) {
	at, err := h.find(q)
	if err != nil {
		return v, err
	}
	v.What, v.Entry = strings.TrimSpace(q.Table+" "+q.What), at.entry
	if len(at.units) > explainMost {
		v.More, at.units = len(at.units)-explainMost, at.units[:explainMost]
	}
	from, err := h.before(at.entry)
	if err != nil {
		return v, err
	}
	v.From = baseText(from)
	r, err := h.run(from, "projecting up to the change")
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, r.side.Close()) }()
	if err := r.to(ctx, at.entry-1); err != nil {
		return v, err
	}
	r.probe = func(s *state, e transform.Entry, ch *cdc.Change, unit uint64) error {
		if e.Index != at.entry || !slices.Contains(at.units, unit) {
			return nil
		}
		x, err := r.mapper.Explain(s, e, ch)
		if x != nil {
			v.Changes = append(v.Changes, x)
		}
		return err
	}
	if err := r.to(ctx, at.entry); err != nil {
		return v, err
	}
	if err := r.released(ctx, &v, h.store.Applied().Index); err != nil {
		return v, err
	}
	if err := r.side.View(func(tx *checkpoint.Txn) error { return r.documents(newState(tx), &v) }); err != nil {
		return v, err
	}
	return v, h.store.View(func(tx *checkpoint.Txn) error { return v.now(newState(tx), at) })
}

// readingStep is how many entries are projected at once until what held the changes is over.
const readingStep = 100

// released goes on while first readings hold the changes, or are what they are part of: the rules see them, and documents are made
// of them, only then. A table that is held for its shape is waited for as well.
func (r *sideRun) released(ctx context.Context, v *ExplainView, last uint64) error {
	for at := r.place().Index; at < last; {
		first := slices.ContainsFunc(v.Changes, func(x *transform.Explanation) bool { return x.First })
		wait := (first || len(v.Changes) == 0) && slices.ContainsFunc(r.mapper.Sources(), r.reads)
		if len(v.Changes) == 0 && !wait {
			err := r.side.View(func(tx *checkpoint.Txn) error {
				held, _, err := newState(tx).first(bucketHeld, "")
				wait = held != ""
				return err
			})
			if err != nil {
				return err
			}
		}
		if !wait {
			return nil
		}
		at = min(at+readingStep, last)
		if err := r.to(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// before returns the latest place from which the entry can be projected.
func (h *History) before(entry uint64) (from checkpoint.Base, err error) {
	bases, err := h.store.Bases()
	if err != nil {
		return from, err
	}
	found := false
	for _, b := range bases {
		// A snapshot may hold a little more than it says; the side state tells when it opens.
		if b.Applied+snapshotAhead < entry || b.Path == "" {
			from, found = b, true
		}
	}
	if !found {
		return from, fmt.Errorf("journal entry %d cannot be projected again: the journal begins at %d, and no state snapshot is before the entry", entry, h.store.First())
	}
	return from, nil
}

// snapshotAhead is how many entries a snapshot may be ahead of the one that its file names.
const snapshotAhead = 1000

// documents tells where the documents of the changes stood, and which events the entry made of them.
func (r *sideRun) documents(s *state, v *ExplainView) error {
	seen := map[transform.DocumentKey]bool{}
	for _, x := range v.Changes {
		for _, key := range x.Documents {
			if seen[key] {
				continue
			}
			seen[key] = true
			view, err := r.mapper.ExplainDocument(s, transform.Entry{Index: v.Entry}, key)
			if err != nil {
				return err
			}
			if view != nil {
				v.Documents = append(v.Documents, *view)
			}
		}
	}
	return nil
}

// now tells what became of the changes, and what holds it at present.
func (v *ExplainView) now(s *state, at spot) error {
	refs, err := s.about(v, at)
	if err != nil {
		return err
	}
	known, err := s.mentionsOf(refs, 0, traceMost)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, ref := range refs {
		for _, seq := range known.events[ref] {
			e, err := s.event(hexKey(seq))
			if err != nil {
				return err
			}
			if e == nil || seen[e.ID] || e.Index != v.Entry || e.Rule == deliveryRule || !v.position(e.Position) {
				continue
			}
			seen[e.ID] = true
			if err := v.made(s, e); err != nil {
				return err
			}
		}
		if err := v.holds(s, ref, seen); err != nil {
			return err
		}
	}
	return nil
}

func (v *ExplainView) position(commit string) bool {
	return slices.ContainsFunc(v.Changes, func(x *transform.Explanation) bool { return x.Position == commit })
}

// about is what the explained changes are about.
func (s *state) about(v *ExplainView, at spot) ([]string, error) {
	refs := slices.Clone(at.refs)
	for _, d := range v.Documents {
		refs = append(refs, d.Document+"/"+d.Key)
	}
	for _, x := range v.Changes {
		found, err := s.refs(x.Key)
		if err != nil {
			return nil, err
		}
		refs = append(refs, found...)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

func (v *ExplainView) made(s *state, e *transform.Event) error {
	m := MadeView{ID: e.ID, Type: e.Type, Key: e.Key}
	ids, err := s.deliveriesOf(e.ID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, err := s.delivery(id)
		if err != nil {
			return err
		}
		if d != nil {
			m.Posts = append(m.Posts, d.view())
		}
	}
	v.Made = append(v.Made, m)
	return nil
}

func (v *ExplainView) holds(s *state, ref string, seen map[string]bool) error {
	return s.Scan(bucketSubjectEx, ref+sep, "", func(k string, _ []byte) (bool, error) {
		x, err := s.exception(strings.TrimPrefix(k, ref+sep))
		if err != nil || x == nil || x.State != "open" || seen[x.ID] {
			return err == nil, err
		}
		waits, err := s.Get(bucketSubject, key(x.ID, ref))
		if err != nil || waits == nil {
			return err == nil, err
		}
		seen[x.ID] = true
		v.Holds = append(v.Holds, HoldView{ID: x.ID, Code: x.Problem.Code, Title: x.Problem.Title, Hint: x.Problem.Hint, Owner: x.Problem.Owner, Subject: ref})
		return true, nil
	})
}
