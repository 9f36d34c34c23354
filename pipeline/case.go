package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// actionLinkCase is the decision that what carries a reference belongs to a case.
const actionLinkCase = "link case"

// CaseQuery selects cases, in the order of their references.
type CaseQuery struct {
	Stage string `json:"stage,omitempty"`
	Flag  string `json:"flag,omitempty"`  // exception, hold, dispute, partial, late
	After string `json:"after,omitempty"` // only cases after this reference
	Limit int    `json:"limit,omitempty"` // default 100, at most 10,000
}

// CaseView is a case with what is open in the queues for it.
type CaseView struct {
	transform.Case
	Corrections []Correction    `json:"corrections,omitempty"` // of its documents
	Exceptions  []CaseException `json:"exceptions,omitempty"`
	Held        []DeliveryView  `json:"held,omitempty"` // what waits for a batch or a window
}

// CaseException is an open exception of the case or of one of its documents.
type CaseException struct {
	ID      string `json:"id"`
	Code    string `json:"code"`
	Subject string `json:"subject"`
	Title   string `json:"title"`
}

// CaseLink says that what carries the reference belongs to the case.
type CaseLink struct {
	Ref  string `json:"ref"`  // of a waiting event, or a key that it carries: invoice/A7, bol/77
	Case string `json:"case"` // a reference of the case: shipment/88121
	By   string `json:"by"`
	Why  string `json:"why,omitempty"`
}

// CaseError says why a case was not found, or a link was refused.
type CaseError struct {
	Reason string
	Hint   string
	Absent bool // there is no such thing
}

func (e *CaseError) Error() string { return e.Reason }

// casesMost bounds the cases that one listing looks at.
const casesMost = 200_000

// Cases lists cases without their reports.
func (p *Pipeline) Cases(ctx context.Context, q CaseQuery) ([]transform.Case, error) {
	var all []transform.Case
	limit := bounded(q.Limit)
	from := q.After
	if from != "" {
		from += "\x00"
	}
	err := p.store.View(func(tx *checkpoint.Txn) error {
		states, err := newState(tx).caseStates()
		for _, st := range states {
			if err != nil {
				return err
			}
			var list []transform.Case
			looked := 0
			err = transform.Cases(st, from, func(c transform.Case) (bool, error) {
				if looked++; looked > casesMost {
					return false, &CaseError{Reason: fmt.Sprintf("more than %d cases were looked at", casesMost), Hint: "Go on after " + c.Ref + "."}
				}
				if (q.Stage == "" || q.Stage == c.Stage) && (q.Flag == "" || slices.Contains(c.Flags, q.Flag)) {
					list = append(list, c)
				}
				return len(list) < limit, ctx.Err()
			})
			all = append(all, list...)
		}
		return err
	})
	slices.SortFunc(all, func(a, b transform.Case) int { return strings.Compare(a.Ref, b.Ref) })
	return all[:min(len(all), limit)], err
}

// caseStates are the states in which the mappings keep their cases.
func (s *state) caseStates() ([]transform.State, error) {
	known, err := s.activations()
	known[""] = activation{} // the first mapping's, which is there
	return transform.Scoped(s, slices.Sorted(maps.Keys(known))), err
}

// Case tells everything about one case. The key is a reference, or the number that people know.
func (p *Pipeline) Case(_ context.Context, typed string) (view CaseView, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		c, err := s.findCase(typed)
		if err != nil {
			return err
		}
		view.Case = *c
		var documents []string
		for _, d := range c.Documents {
			documents = append(documents, transform.Ref(c.Company, "invoice", d.Number))
		}
		if view.Corrections, err = s.corrections(documents); err != nil {
			return err
		}
		if view.Exceptions, err = s.caseExceptions(c); err != nil {
			return err
		}
		view.Held, err = s.caseHeld(c)
		return err
	})
	return view, err
}

// findCase finds the only case that the key leads to. The error is a *CaseError when there is none or more than one.
func (s *state) findCase(typed string) (*transform.Case, error) {
	refs, err := s.refs(typed)
	if err != nil {
		return nil, err
	}
	states, err := s.caseStates()
	if err != nil {
		return nil, err
	}
	var several []string
	for _, ref := range refs {
		for _, st := range states {
			c, more, err := transform.FindCase(st, ref)
			if err != nil || c != nil {
				return c, err
			}
			several = append(several, more...)
		}
	}
	if len(several) == 0 {
		return nil, &CaseError{Reason: "no case is known by " + typed, Hint: "Write the key as entity/id, such as shipment/88121; waybill case list shows the cases.", Absent: true}
	}
	slices.Sort(several)
	several = slices.Compact(several)
	shown := several[:min(len(several), 10)]
	return nil, &CaseError{Reason: fmt.Sprintf("%s leads to %d cases", typed, len(several)), Hint: "Name one of them: " + strings.Join(shown, ", ") + "."}
}

// caseExceptions lists what is open for the case and its documents.
func (s *state) caseExceptions(c *transform.Case) ([]CaseException, error) {
	subjects := slices.Clone(c.Keys)
	for _, d := range c.Documents {
		subjects = append(subjects, transform.Ref(c.Company, "invoice", d.Number))
	}
	var list []CaseException
	seen := map[string]bool{}
	for _, subject := range subjects {
		err := s.Scan(bucketSubjectEx, subject+sep, "", func(k string, _ []byte) (bool, error) {
			x, err := s.exception(strings.TrimPrefix(k, subject+sep))
			if err != nil || x == nil || !x.live() || seen[x.ID] {
				return err == nil, err
			}
			seen[x.ID] = true
			list = append(list, CaseException{x.ID, x.Problem.Code, subject, x.Problem.Title})
			return len(list) < listDefault, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// LinkCase journals that what carries a reference belongs to a case, and returns when what waited is filed there. It refuses a
// reference under which nothing waits and a case that there is not: the error is a *CaseError.
func (p *Pipeline) LinkCase(ctx context.Context, l CaseLink) (CaseView, error) {
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		c, err := s.findCase(l.Case)
		if err != nil {
			return err
		}
		l.Case = c.Ref
		states, err := s.caseStates()
		n := 0
		for _, st := range states {
			if err == nil {
				var more int
				more, err = transform.WaitingEvents(st, l.Ref, listMost)
				n += more
			}
		}
		if err == nil && n == 0 {
			err = &CaseError{Reason: "no event waits for a case under " + l.Ref, Absent: true,
				Hint: "waybill exceptions list --code UNMATCHED shows what waits; name its subject or one of its keys."}
		}
		return err
	})
	if err != nil {
		return CaseView{}, err
	}
	if err := p.decide(ctx, decisionEntry{Action: actionLinkCase, Case: &l, By: l.By, Why: l.Why}); err != nil {
		return CaseView{}, err
	}
	return p.Case(ctx, l.Case)
}

// inCase files an event that derives from an outcome under its case.
func (p *projector) inCase(s *state, out *output, ev transform.Event) error {
	if p.mapper == nil {
		return nil // no mapping was ever active, so that there are no cases
	}
	version, err := s.versionOf(&ev)
	if err != nil || version == "" {
		return err
	}
	return p.mapper.Posted(s, out, out.entry, version, ev)
}

// linkCase leaves the filing as work: any number of events may wait.
func (s *state) linkCase(l *CaseLink) error {
	detail, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return s.addWork(work{Kind: workLinkCase, Detail: detail})
}

// linkLimit bounds the events that one call files.
const linkLimit = 100

// linked files some of the events that a person linked.
func (p *projector) linked(s *state, out *output, w *work, at transform.Entry) (done bool, err error) {
	var l CaseLink
	if err := json.Unmarshal(w.Detail, &l); err != nil {
		return false, err
	}
	w.Cursor, err = p.mapper.LinkCase(s, out, at, l.Ref, l.Case, w.Cursor, linkLimit)
	return w.Cursor == "", err
}
