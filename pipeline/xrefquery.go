package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"waybill/checkpoint"
	"waybill/transform"
)

// waitsFor is what waits on a key, or nil.
func (s *state) waitsFor(k transform.RegistryKey) (*XrefWaiting, error) {
	x, err := s.openOf(k)
	if err != nil || x == nil {
		return nil, err
	}
	money := sums{}
	if err := s.subjectMoney(x, money); err != nil {
		return nil, err
	}
	return &XrefWaiting{Key: k.String(), Exception: x.ID, Waiting: x.Waiting, Money: money.texts()}, nil
}

// openOf is the open exception of a key that the registry does not know, or nil.
func (s *state) openOf(k transform.RegistryKey) (*exception, error) {
	id, err := s.Get(bucketOpen, k.Fingerprint())
	if err != nil || id == nil {
		return nil, err
	}
	return s.exception(string(id))
}

// Xrefs lists rows of the registry, in the order of their ids.
func (p *Pipeline) Xrefs(_ context.Context, q XrefQuery) (rows []transform.RegistryRow, err error) {
	limit := bounded(q.Limit)
	err = p.store.View(func(tx *checkpoint.Txn) error {
		return transform.Registry{State: tx}.Each(q.After, func(r transform.RegistryRow) (bool, error) {
			if q.selects(&r) {
				rows = append(rows, r)
			}
			return len(rows) < limit, nil
		})
	})
	return rows, err
}

// Xref shows a row by its id, or a key by kind, system and key, with what waits for it and what it may mean.
func (p *Pipeline) Xref(_ context.Context, q XrefQuery) (v XrefView, err error) {
	v.Rows, v.Same = []transform.RegistryRow{}, []transform.RegistryRow{}
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s, g := newState(tx), transform.Registry{State: tx}
		v.Key = transform.RegistryKey{Kind: q.Kind, Company: q.Company, System: q.System, Role: q.Role, Key: q.Key}
		if q.ID != "" {
			if v.Row, err = g.Row(q.ID); err != nil || v.Row == nil {
				return errors.Join(err, ErrNotFound)
			}
			v.Key = v.Row.RegistryKey
			if err := v.same(g); err != nil {
				return err
			}
		}
		rows, err := g.Rows(v.Key)
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, rows...)
		return v.judge(s, g)
	})
	return v, err
}

// same lists the other keys of a row's canonical id.
func (v *XrefView) same(g transform.Registry) error {
	all, err := g.Of(v.Row.Kind, v.Row.Canonical, xrefShown)
	for _, r := range all {
		if r.RegistryKey != v.Key {
			v.Same = append(v.Same, r)
		}
	}
	return err
}

// judge adds what waits, what the source says of the key, and what it may mean.
func (v *XrefView) judge(s *state, g transform.Registry) error {
	x, err := s.openOf(v.Key)
	if err != nil {
		return err
	}
	if x == nil && len(v.Rows) == 0 {
		return ErrNotFound
	}
	if v.Row != nil {
		v.Facts = v.Row.Attributes
	}
	if x != nil {
		if v.Waiting, err = s.waitsFor(v.Key); err != nil {
			return err
		}
		facts, err := x.facts()
		if err != nil {
			return err
		}
		if len(facts) > 0 {
			v.Facts = facts
		}
	}
	if v.Waiting != nil || v.Row != nil && v.Row.State == transform.RowProposed {
		v.Candidates, err = g.Candidates(v.Key, v.Facts)
	}
	return err
}

// factsOf is what is known of who a row means: its own attributes, over what its source said when something began to wait for it.
func (s *state) factsOf(row *transform.RegistryRow) (map[string]string, error) {
	x, err := s.openOf(row.RegistryKey)
	if err != nil || x == nil {
		return row.Attributes, err
	}
	facts, err := x.facts()
	if err != nil || facts == nil {
		return row.Attributes, err
	}
	maps.Copy(facts, row.Attributes)
	return facts, nil
}

// facts are what the source said of the unknown key that the exception is about.
func (x *exception) facts() (map[string]string, error) {
	var evidence struct{ Facts map[string]string }
	if err := json.Unmarshal(x.Problem.Evidence, &evidence); err != nil {
		return nil, fmt.Errorf("reading the evidence of %s: %w", x.ID, err)
	}
	return evidence.Facts, nil
}
