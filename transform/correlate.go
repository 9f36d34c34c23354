package transform

import (
	"slices"
	"strings"
)

// maxBroadcast bounds the cases that one event goes to.
const maxBroadcast = 200

// toCases files an event that was made under the cases that it belongs to.
func (r *run) toCases(ev *Event) error {
	s := r.m.cases
	if s == nil || ev.Lane != LaneTransactional {
		return nil
	}
	keys := s.keysOf(ev)
	foreign := slices.ContainsFunc(keys, func(k eventKey) bool { return !k.Own || k.Strength == keyStrong })
	if !foreign {
		return nil // about no shipment that it could name
	}
	p := s.report(ev)
	groups := strongGroups(keys)
	if len(groups) == 0 {
		l := &link{Event: ev.ID, Subject: Ref(ev.Company, ev.Entity, ev.Key), Company: ev.Company, Keys: keys, Report: p}
		l.Report.Linked = true
		return r.fileLink(l)
	}
	var touched []string
	for _, refs := range groups {
		rec, err := r.caseOf(refs, ev.Company)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.Strength != keyStrong {
				if err := r.otherKey(rec, k.Ref); err != nil {
					return err
				}
			}
		}
		rec.add(p)
		touched = append(touched, rec.touched...)
		if err := r.judgeCase(rec); err != nil {
			return err
		}
	}
	slices.Sort(touched)
	for _, ref := range slices.Compact(touched) {
		if err := r.placeAgain(ref, ""); err != nil {
			return err
		}
	}
	return nil
}

// strongGroups are the strong keys, one list for each case that the event is about: an event that names several shipments is about
// each of them, and joins none.
func strongGroups(keys []eventKey) [][]string {
	byKind := map[string][]string{}
	var kinds []string
	for _, k := range keys {
		if k.Strength != keyStrong {
			continue
		}
		if byKind[k.Kind] == nil {
			kinds = append(kinds, k.Kind)
		}
		byKind[k.Kind] = append(byKind[k.Kind], k.Ref)
	}
	var one []string
	for _, kind := range kinds {
		if refs := byKind[kind]; len(refs) > 1 {
			var each [][]string
			for _, ref := range refs {
				each = append(each, []string{ref})
			}
			return each
		}
		one = append(one, byKind[kind][0])
	}
	if one == nil {
		return nil
	}
	return [][]string{one}
}

// candidate is a case to which a key of an event leads.
type candidate struct {
	Case string   `json:"case"`
	By   []string `json:"by"` // keys
}

// resolve finds the cases of an event without a strong key. What a person linked goes first; then shared keys; then two medium ones
// that agree. Otherwise there is none, and the candidates are for a person (domain.md §1.8).
func (r *run) resolve(l *link) (found []string, candidates []candidate, err error) {
	for _, ref := range l.refs() {
		strong, err := r.st.Get(bucketByHand, ref)
		if err != nil {
			return nil, nil, err
		}
		if strong == nil {
			continue
		}
		id, err := r.st.Get(bucketCaseKey, string(strong))
		if err != nil {
			return nil, nil, err
		}
		if id != nil {
			return []string{string(id)}, nil, nil
		}
	}
	kinds := map[string]map[string]bool{} // case → medium kinds that lead to it
	by := map[string][]string{}
	for _, k := range l.Keys {
		ids, err := r.casesWith(k.Ref)
		if err != nil {
			return nil, nil, err
		}
		if k.Strength == keyShared && len(ids) > 0 {
			return ids, nil, nil
		}
		for _, id := range ids {
			by[id] = append(by[id], k.Ref)
			if k.Strength != keyMedium {
				continue
			}
			if kinds[id] == nil {
				kinds[id] = map[string]bool{}
			}
			kinds[id][k.Kind] = true
		}
	}
	for id, refs := range by {
		candidates = append(candidates, candidate{id, refs})
		if len(kinds[id]) >= 2 {
			found = append(found, id)
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return strings.Compare(a.Case, b.Case) })
	if len(found) != 1 {
		found = nil
	}
	return found, candidates, nil
}

// casesWith lists the cases that have a key which is not strong.
func (r *run) casesWith(ref string) ([]string, error) {
	var ids []string
	err := r.st.Scan(bucketCaseOf, stateKey(ref)+separator, "", func(k string, _ []byte) (bool, error) {
		ids = append(ids, stateParts(k)[1])
		return len(ids) < maxBroadcast, nil
	})
	return ids, err
}
