package transform

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Standing is what the rows that were captured say of one document now, and what has become of it. Reports compare it with the events and
// with the ERP.
type Standing struct {
	Ref      string    // as its events' first reference names it: "invoice/A1"
	Company  string    // legal entity
	At       time.Time // when it was released, in the source's zone; else when the release was committed; zero when neither is known
	Amount   *Money    // nil when it cannot be had
	Released bool      // the header shows a release
	Historic bool      // released before the cut-over
	Pending  bool      // the release waits to become an event
	Told     bool      // an exception says why it waits
	Made     bool      // an event was made of it
	Sent     string    // see SentAs: of its last released event
}

// SentAs names the data of an event as Standing.Sent does.
func SentAs(data json.RawMessage) string { return hash(string(data)) }

// Standings calls fn for each document whose time lies in the window, or whose time is not known, until fn returns an error. wanted is asked
// first, because finding out the amount is dear. It reads row state alone.
func (p *Mapper) Standings(st State, wanted func(at time.Time) bool, fn func(*Standing) error) error {
	r := p.run(st, nil, Entry{})
	for _, d := range p.m.documents {
		err := st.Scan(d.bucket(), "", "", func(k string, raw []byte) (bool, error) {
			var rec docRecord
			if err := json.Unmarshal(raw, &rec); err != nil {
				return false, fmt.Errorf("reading record of %s/%s: %w", d.name, k, err)
			}
			s, err := r.standing(d, &rec, wanted)
			if err == nil && s != nil {
				err = fn(s)
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Standing returns the document that an event's first reference names, or nil when the source does not have it any more.
func (p *Mapper) Standing(st State, of string) (*Standing, error) {
	r := p.run(st, nil, Entry{})
	document, key, _ := strings.Cut(of, "/")
	for _, d := range p.m.documents {
		if d.name != document {
			continue
		}
		rec, err := r.record(d, key)
		if err != nil || rec == nil {
			return nil, err
		}
		return r.standing(d, rec, func(time.Time) bool { return true })
	}
	return nil, nil
}

func (r *run) standing(d *document, rec *docRecord, wanted func(time.Time) bool) (*Standing, error) {
	f, _, err := r.assemble(d, rec)
	if err != nil || f == nil {
		return nil, err
	}
	s := &Standing{Company: rec.Company, Ref: d.name + "/" + rec.Key, Pending: rec.Pending != nil, Told: told(rec.Waits), Made: len(rec.Done) > 0, Sent: rec.Sent}
	e, err := r.match(d, f, true)
	if err != nil {
		return nil, err
	}
	s.Released = e != nil
	if s.Historic, _, err = r.historic(d, f, d.name+"/"+rec.Key); err != nil {
		return nil, err
	}
	if s.At = f.at; s.At.IsZero() && rec.Pending != nil {
		s.At = rec.Pending.Cause.At
	}
	if !wanted(s.At) {
		return nil, nil
	}
	d.part(f, rec) // a group is worth what is left of it
	set, err := apply(f, d.set, d.name+"/"+rec.Key)
	if err != nil {
		return nil, err
	}
	s.Amount, err = r.amountOf(d, f, set.data)
	return s, err
}
