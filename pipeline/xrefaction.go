package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"waybill/checkpoint"
	"waybill/transform"
)

// ChangeXref takes a decision about the registry and returns when it is applied and what it releases is on its way. It refuses with
// *XrefError what does not fit the registry as it is.
func (p *Pipeline) ChangeXref(ctx context.Context, r XrefRequest) (XrefPreview, error) {
	if r.By == "" {
		return XrefPreview{}, errors.New("a decision needs the name of the person who takes it")
	}
	p.xrefs.Lock() // what is previewed is what is decided
	defer p.xrefs.Unlock()
	v, err := p.PreviewXref(ctx, r)
	if err != nil {
		return v, err
	}
	for i := range v.Steps {
		if row := &v.Steps[i].Row; row.ID == "" {
			v.last++
			row.ID = xrefID(v.last)
		}
	}
	return v, p.decide(ctx, decisionEntry{Action: "xref", Xref: &r, By: r.By, Why: r.Why})
}

// PreviewXref says what a decision about the registry would do, and refuses what ChangeXref would refuse.
func (p *Pipeline) PreviewXref(_ context.Context, r XrefRequest) (XrefPreview, error) {
	return previewXref(p.store, r)
}

// OfflineXref takes a decision about the registry in a store that no daemon has open. It is applied when the journal is projected, before
// any row that comes after it.
func OfflineXref(ctx context.Context, store *checkpoint.Store, r XrefRequest) (XrefPreview, error) {
	v, err := previewXref(store, r)
	if err != nil {
		return v, err
	}
	payload, err := json.Marshal(decisionEntry{Action: "xref", Xref: &r, By: r.By, Why: r.Why})
	if err != nil {
		return v, err
	}
	if _, err := store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Decision, Payload: payload}); err != nil {
		return v, fmt.Errorf("journalling the decision: %w", err)
	}
	return v, nil
}

func previewXref(store *checkpoint.Store, r XrefRequest) (XrefPreview, error) {
	v := XrefPreview{Action: string(r.Action), Steps: []XrefStep{}, Releases: []XrefWaiting{}}
	err := store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		plan, err := planXref(s, &r)
		if err != nil {
			return err
		}
		if v.last, err = plan.room(s); err != nil {
			return err
		}
		if len(plan.faults) > 0 {
			what := "xref " + string(r.Action)
			if r.Action == XrefImport {
				what += " of " + r.File
			}
			return &XrefError{what, plan.faults, plan.absent}
		}
		v.Rows, v.Same = len(plan.steps), plan.same
		v.Steps = append(v.Steps, plan.steps[:min(len(plan.steps), xrefShown)]...)
		if r.Action != XrefMerge && r.Action != XrefSplit {
			err = v.doubts(s, plan.steps)
		}
		return errors.Join(err, v.releases(s, plan.steps))
	})
	return v, err
}

// room refuses more rows than the registry may ever have, and returns how many it has had.
func (p *xrefPlan) room(s *state) (had uint64, err error) {
	raw, err := s.Get(bucketSystem, "seq/xref")
	if err != nil {
		return 0, err
	}
	had = unhex(string(raw))
	if p.line = 0; had+uint64(len(p.steps)) > xrefMost {
		p.fault("", fmt.Sprintf("%d rows more than the %d that the registry has had", len(p.steps), had), fmt.Sprintf("at most %d", xrefMost))
	}
	return had, nil
}

// doubts notes rows that give a new canonical id to somebody whom the registry knows by another: nobody is to be created twice.
func (v *XrefPreview) doubts(s *state, steps []XrefStep) error {
	for i := range steps {
		row := &steps[i].Row
		if row.ID != "" && row.State != transform.RowActive || len(v.Notes) == xrefDoubts {
			continue
		}
		facts, err := s.factsOf(row)
		if err != nil {
			return err
		}
		found, err := (transform.Registry{State: s}).Candidates(row.RegistryKey, facts)
		if err != nil {
			return err
		}
		for _, c := range found {
			if c.Canonical != row.Canonical && (c.Why[0] != "same key "+row.Key || len(c.Why) > 1) {
				v.Notes = append(v.Notes, fmt.Sprintf("%s is to be %s, but looks like %s.", row.Key, row.Canonical, c))
				break
			}
		}
	}
	return nil
}

// releases adds what waits for the keys of rows that will answer.
func (v *XrefPreview) releases(s *state, steps []XrefStep) error {
	seen := map[string]bool{}
	for i := range steps {
		row := &steps[i].Row
		if row.Answers() && !seen[row.Fingerprint()] {
			seen[row.Fingerprint()] = true
			w, err := s.waitsFor(row.RegistryKey)
			if err != nil {
				return err
			}
			if w == nil {
				continue
			}
			v.Waiting += w.Waiting
			if len(v.Releases) < xrefShown {
				v.Releases = append(v.Releases, *w)
			}
		}
	}
	return nil
}
