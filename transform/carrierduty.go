package transform

import (
	"encoding/json"
	"time"
)

// What people decide about exceptions, and what mappings declare of them, for the mapping that each concerns.

// Named returns the mapping of the name, active or retired; nil for none.
func (c *Carriers) Named(name string) *Mapping {
	for _, o := range c.all {
		if o.m.name == name {
			return o.m
		}
	}
	return nil
}

// OfProblem returns the mapping that told a problem; nil when it is not there any more.
func (c *Carriers) OfProblem(fingerprint string) *Mapping {
	if o, _ := c.ofFingerprint(fingerprint); o != nil {
		return o.m
	}
	return nil
}

// Waits reports whether a change or a document waits on the problem: see Mapper.Waits.
func (c *Carriers) Waits(st State, fingerprint string) (bool, error) {
	all, fp := c.concerned(fingerprint)
	for _, o := range all {
		if waits, err := o.p.Waits(o.state(st), fp); waits || err != nil {
			return waits, err
		}
	}
	return false, nil
}

// Waive lets a problem pass: see Mapper.Waive.
func (c *Carriers) Waive(st State, out Output, at Entry, fingerprint string) error {
	all, fp := c.concerned(fingerprint)
	for _, o := range all {
		if err := o.p.Waive(o.state(st), c.output(o, out), c.entry(o, at), fp); err != nil {
			return err
		}
	}
	return nil
}

// Amend gives fields of what waits on the problem their values: see Mapper.Amend.
func (c *Carriers) Amend(st State, out Output, at Entry, fingerprint, subject string, fields map[string]json.RawMessage, by uint64) error {
	all, fp := c.concerned(fingerprint)
	for _, o := range all {
		if err := o.p.Amend(o.state(st), c.output(o, out), c.entry(o, at), fp, subject, fields, by); err != nil {
			return err
		}
	}
	return nil
}

// PreviewAmend says what Amend would make: see Mapper.PreviewAmend.
func (c *Carriers) PreviewAmend(st State, fingerprint, subject string, fields map[string]json.RawMessage) (v Amendment, err error) {
	all, fp := c.concerned(fingerprint)
	err = notAmendable(subject)
	for _, o := range all {
		if v, err = o.p.PreviewAmend(o.state(st), fp, subject, fields); err == nil {
			break
		}
	}
	return v, err
}

// Due is how soon after its opening an exception has to be settled: the soonest that one of the mappings says; 0 when none does.
func Due(concerned []*Mapping, class, code string) (soonest time.Duration) {
	for _, m := range concerned {
		if d := m.Due(class, code); d > 0 && (soonest == 0 || d < soonest) {
			soonest = d
		}
	}
	return soonest
}

// Owner is the team that the first of the mappings names for an exception which names one; empty when none does.
func Owner(concerned []*Mapping, class, code string) string {
	for _, m := range concerned {
		if o := m.Owner(class, code); o != "" {
			return o
		}
	}
	return ""
}
