package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// A person may give a field of what waits a value by hand. It takes the place of the rule's expression until what waits has become its
// event, which says so; the rows stay as they are.

// bucketAmend holds kind, id of a waiter → amendment.
const bucketAmend = "map/amend"

// amendment is the fields that a person wrote.
type amendment struct {
	Fields map[string]json.RawMessage `json:"fields"` // canonical field → value
	By     uint64                     `json:"by"`     // line of the audit
}

// Amendment is what an amendment would make of something that waits.
type Amendment struct {
	Was, Is json.RawMessage // the canonical fields that can be had, without and with it
	Left    []string        // why it would still wait
}

// Amend gives fields of what waits on the problem under a subject their values, and evaluates it again. by is the audit's line.
func (p *Mapper) Amend(st State, out Output, at Entry, fingerprint, subject string, fields map[string]json.RawMessage, by uint64) error {
	r := p.run(st, out, at)
	waiters, err := r.waiters(fingerprint, subject)
	if err != nil {
		return err
	}
	for _, w := range waiters {
		a, err := r.amendment(w)
		if err != nil {
			return err
		}
		if a == nil {
			a = &amendment{Fields: map[string]json.RawMessage{}}
		}
		for name, value := range fields {
			a.Fields[name] = value
		}
		a.By = by
		raw, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("writing the amendment of %s: %w", w.subject, err)
		}
		if err := st.Put(bucketAmend, stateKey(w.kind, w.id), raw); err != nil {
			return err
		}
		if err := r.again(w); err != nil {
			return err
		}
	}
	return nil
}

// PreviewAmend says what Amend would make, and refuses what it cannot take. It writes nothing.
func (p *Mapper) PreviewAmend(st State, fingerprint, subject string, fields map[string]json.RawMessage) (Amendment, error) {
	r := p.run(st, nil, Entry{})
	waiters, err := r.waiters(fingerprint, subject)
	if err != nil {
		return Amendment{}, err
	}
	if len(waiters) == 0 {
		return Amendment{}, notAmendable(subject)
	}
	set, frames, err := r.amendable(waiters[0])
	if err != nil {
		return Amendment{}, err
	}
	if set == nil {
		return Amendment{}, notAmendable(subject)
	}
	for name, raw := range fields {
		i := slices.IndexFunc(set, func(s setting) bool { return s.name == name && !s.each })
		if i < 0 {
			var known []string
			for _, s := range set {
				if !s.each {
					known = append(known, s.name)
				}
			}
			return Amendment{}, fmt.Errorf("%s: found no such field, expected one of %s", name, strings.Join(known, ", "))
		}
		if _, err := amended(&set[i], raw); err != nil {
			return Amendment{}, err
		}
	}
	var a Amendment
	var res result
	for i, f := range frames {
		if i == 1 {
			f.amend = &amendment{Fields: fields}
		}
		if res, err = apply(f, set, subject); err != nil {
			return Amendment{}, err
		}
		raw, err := canonical(res.data)
		if err != nil {
			return Amendment{}, err
		}
		if i == 0 {
			a.Was = raw
		} else {
			a.Is = raw
		}
	}
	for _, t := range res.troubles {
		a.Left = append(a.Left, t.title)
	}
	return a, nil
}

func notAmendable(subject string) error {
	return fmt.Errorf("%s does not wait on this with fields that can be written by hand", subject)
}

// amendable returns the fields of a waiter, and two frames to evaluate them in.
func (r *run) amendable(w waiter) (set []setting, frames []*frame, err error) {
	if w.kind == "held" {
		h, err := r.held(w.id)
		if err != nil || h == nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(r.m.events, func(e *eventRule) bool { return e.id == h.Rule })
		if i < 0 {
			return nil, nil, nil
		}
		e := r.m.events[i]
		c := rowChange{table: e.table, op: cdc.Op(h.Op[0]), key: h.Key, cause: h.Cause}
		if c.before, err = heldRow(e.table, h.Before, h.Key); err != nil {
			return nil, nil, err
		}
		if c.now, err = heldRow(e.table, h.Now, h.Key); err != nil {
			return nil, nil, err
		}
		return e.set, []*frame{r.frame(&c), r.frame(&c)}, nil
	}
	parts := stateParts(w.id)
	for _, d := range r.m.documents {
		if d.name != parts[0] {
			continue
		}
		rec, err := r.record(d, parts[1])
		if err != nil || rec == nil {
			return nil, nil, err
		}
		for range 2 {
			f, _, err := r.assemble(d, rec)
			if err != nil || f == nil {
				return nil, nil, err
			}
			frames = append(frames, f)
		}
		return d.set, frames, nil
	}
	return nil, nil, nil
}

// waiters are the changes and documents that wait on a problem under a subject.
func (r *run) waiters(fingerprint, subject string) (all []waiter, err error) {
	err = r.st.Scan(bucketWaits, stateKey(fingerprint, subject)+separator, "", func(k string, _ []byte) (bool, error) {
		parts := stateParts(k)
		if len(parts) != 4 {
			return false, fmt.Errorf("waiter %q: %w", k, errRowState)
		}
		all = append(all, waiter{parts[2], parts[3], parts[1]})
		return len(all) < wakeBatch, nil
	})
	return all, err
}

func (r *run) amendment(w waiter) (*amendment, error) {
	raw, err := r.st.Get(bucketAmend, stateKey(w.kind, w.id))
	if err != nil || raw == nil {
		return nil, err
	}
	var a amendment
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("reading the amendment of %s: %w", w.subject, err)
	}
	return &a, nil
}

// amended is the value that a person wrote for a field: a text, a whole number, true or false, or an object of these.
func amended(s *setting, raw json.RawMessage) (ref.Val, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: found %s, expected a JSON value", s.name, clip(string(raw), 80))
	}
	return amendedValue(s, s.name, v)
}

func amendedValue(s *setting, where string, v any) (ref.Val, error) {
	switch v := v.(type) {
	case string:
		switch bare(s.e.typ) {
		case "decimal":
			n, err := parseNumber(v)
			if err != nil {
				return nil, fmt.Errorf("%s: found %q, expected a decimal as text", where, v)
			}
			return n, nil
		case "date":
			if c := dateOf(types.String(v)); !types.IsError(c) {
				return c, nil
			}
			return nil, fmt.Errorf("%s: found %q, expected a date: 2026-10-01", where, v)
		}
		return types.String(v), nil
	case json.Number:
		n, ok := parseInt(v.String())
		if !ok {
			return nil, fmt.Errorf("%s: found %s, expected a whole number, or a decimal as text", where, v)
		}
		return types.Int(n), nil
	case bool:
		return types.Bool(v), nil
	case map[string]any:
		r := record{}
		for k, x := range v {
			m, err := amendedValue(&setting{e: &expr{}}, where+"."+k, x)
			if err != nil {
				return nil, err
			}
			r[k] = m
		}
		return r, nil
	}
	return nil, fmt.Errorf("%s: found %v, expected a text, a whole number, true or false, or an object of these", where, v)
}

// amendedField is a field's value when a person wrote it.
func (f *frame) amendedField(s *setting) (ref.Val, bool) {
	if f.amend == nil {
		return nil, false
	}
	raw, ok := f.amend.Fields[s.name]
	if !ok {
		return nil, false
	}
	v, err := amended(s, raw) // refused before it was journalled
	return v, err == nil
}
