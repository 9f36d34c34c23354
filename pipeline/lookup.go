package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"waybill/transform"
)

// event returns a stored event by its sequence key, or nil.
func (s *state) event(seq string) (*transform.Event, error) {
	raw, err := s.rawEvent(unhex(seq))
	if err != nil || raw == nil {
		return nil, err
	}
	var e transform.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("reading event %d from the state: %w", unhex(seq), err)
	}
	return &e, nil
}

// deliveriesOf returns the ids of the deliveries that an event made.
func (s *state) deliveriesOf(event string) ([]string, error) {
	var ids []string
	err := s.Scan(bucketEventPost, event+sep, "", func(k string, _ []byte) (bool, error) {
		ids = append(ids, strings.TrimPrefix(k, event+sep))
		return true, nil
	})
	return ids, err
}

// refs resolves what a person typed to the references that it may mean: A10023 to invoice/A10023, INV-2026-00001 to the
// posting that got that number.
func (s *state) refs(typed string) ([]string, error) {
	var found []string
	if strings.Contains(typed, "/") {
		found = append(found, typed)
	}
	named, err := s.named(typed)
	if err != nil {
		return nil, err
	}
	found = append(found, named...)
	err = s.Scan(bucketAlias, typed+sep, "", func(k string, _ []byte) (bool, error) {
		id := strings.TrimPrefix(k, typed+sep+"post/")
		d, err := s.delivery(id)
		if err == nil && d != nil {
			found = append(found, subjectOf(d.Post))
		}
		return len(found) < 50, err
	})
	return unique(found), err
}

// named returns the references with the key of which something is known, of whatever entity and company.
func (s *state) named(typed string) ([]string, error) {
	keys := []string{typed}
	err := s.Scan(bucketCompany, "", "", func(company string, _ []byte) (bool, error) {
		keys = append(keys, transform.CompanyKey(company, typed))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	var all []string
	err = s.Scan(bucketKind, "", "", func(kind string, _ []byte) (bool, error) {
		for _, k := range keys {
			all = append(all, kind+"/"+k)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	known, err := s.mentionsOf(all, 0, 1)
	return slices.DeleteFunc(all, func(ref string) bool { return len(known.rows[ref])+len(known.events[ref]) == 0 }), err
}

func unique(list []string) []string {
	seen := map[string]bool{}
	out := list[:0]
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// selects reports whether the request means the event.
func (r *ReplayRequest) selects(e *transform.Event) bool {
	switch {
	case r.All:
		return true
	case r.Event != "":
		return e.ID == r.Event
	case r.Key != "":
		for _, ref := range eventRefs(*e) {
			if _, k := splitRef(ref); ref == r.Key || k == r.Key || k == transform.CompanyKey(e.Company, r.Key) {
				return true
			}
		}
		return false
	case !r.Since.IsZero() || !r.Until.IsZero():
		return !e.Recorded.Before(r.Since) && (r.Until.IsZero() || e.Recorded.Before(r.Until))
	case r.From != 0 || r.To != 0:
		return e.Index >= r.From && (r.To == 0 || e.Index <= r.To)
	}
	return false
}

// valid refuses a request that selects nothing or two things.
func (r *ReplayRequest) valid() error {
	n := 0
	for _, set := range []bool{r.All, r.Event != "", r.Key != "", !r.Since.IsZero() || !r.Until.IsZero(), r.From != 0 || r.To != 0} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("a replay needs exactly one selection: event, key, time range, journal range or all; got %d", n)
	}
	return nil
}

func (r *ReplayRequest) text() string {
	raw, _ := json.Marshal(r)
	return string(raw)
}
