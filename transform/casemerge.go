package transform

import (
	"slices"
	"time"
)

// caseOf returns the case of the strong keys. Keys that lead to several cases make one of them; a key that is new is added.
func (r *run) caseOf(refs []string, company string) (*caseRecord, error) {
	s := r.m.cases
	var rec *caseRecord
	var known, fresh []string
	for _, ref := range refs {
		id, err := r.st.Get(bucketCaseKey, ref)
		if err != nil {
			return nil, err
		}
		if id != nil && !slices.Contains(known, string(id)) {
			known = append(known, string(id))
		}
	}
	slices.SortFunc(known, s.before)
	for _, id := range known {
		other, err := r.caseRecord(id)
		if err != nil {
			return nil, err
		}
		if other == nil {
			continue
		}
		if rec == nil {
			rec = other
			continue
		}
		if len(rec.Keys)+len(other.Keys) > maxCaseKeys {
			rec.Wide = true
			continue
		}
		if err := r.absorb(rec, other); err != nil {
			return nil, err
		}
	}
	if rec == nil {
		rec = &caseRecord{Company: company}
	}
	for _, ref := range refs {
		if slices.Contains(rec.Keys, ref) {
			continue
		}
		if len(rec.Keys) == maxCaseKeys {
			rec.Wide = true
			continue
		}
		taken, err := r.st.Get(bucketCaseKey, ref)
		if err != nil {
			return nil, err
		}
		if taken == nil || rec.ID == "" || rec.ID == string(taken) { // else of a case that would have made this one too wide
			rec.Keys = append(rec.Keys, ref)
			fresh = append(fresh, ref)
		}
	}
	slices.SortFunc(rec.Keys, s.before)
	return rec, r.nameCase(rec, fresh)
}

// nameCase files a case under its first key, with what points to it: all when the name is another one, else only the fresh keys.
func (r *run) nameCase(rec *caseRecord, fresh []string) error {
	if old := rec.ID; old != rec.Keys[0] {
		fresh = rec.Keys
		rec.ID = rec.Keys[0]
		if old != "" {
			if err := r.unfile(rec, old); err != nil {
				return err
			}
		}
		for _, ref := range rec.Others {
			if err := r.st.Put(bucketCaseOf, stateKey(ref, rec.ID), []byte{}); err != nil {
				return err
			}
		}
		if err := r.moveLinks(rec, old); err != nil {
			return err
		}
	}
	for _, ref := range fresh {
		if err := r.st.Put(bucketCaseKey, ref, []byte(rec.ID)); err != nil {
			return err
		}
	}
	return nil
}

// unfile takes away what lies under a case's name: the record, its timer, its problems and its other keys.
func (r *run) unfile(rec *caseRecord, id string) error {
	for _, bucket := range []string{bucketCase, bucketCaseView} {
		if err := r.st.Delete(bucket, id); err != nil {
			return err
		}
	}
	for _, ref := range rec.Others {
		if err := r.st.Delete(bucketCaseOf, stateKey(ref, id)); err != nil {
			return err
		}
	}
	for _, fp := range rec.Waits {
		if err := r.free(waiter{waiterCase, id, id}, fp); err != nil {
			return err
		}
	}
	rec.Waits = nil
	if rec.Timer.IsZero() {
		return nil
	}
	rec.Timer = time.Time{}
	return r.out.ClearTimer(timerCase + id)
}

// absorb makes another case a part of this one.
func (r *run) absorb(rec, other *caseRecord) error {
	if err := r.unfile(other, other.ID); err != nil {
		return err
	}
	for _, ref := range other.Keys {
		if err := r.st.Put(bucketCaseKey, ref, []byte(rec.ID)); err != nil {
			return err
		}
		if !slices.Contains(rec.Keys, ref) {
			rec.Keys = append(rec.Keys, ref)
		}
	}
	slices.SortFunc(other.Reports, func(a, b report) int { return a.Number - b.Number })
	for _, p := range other.Reports {
		rec.add(p)
	}
	for typ, n := range other.More {
		if rec.More == nil {
			rec.More = map[string]int{}
		}
		rec.More[typ] += n
	}
	for _, w := range other.Waived {
		if !slices.Contains(rec.Waived, w) {
			rec.Waived = append(rec.Waived, w)
		}
	}
	slices.Sort(rec.Waived)
	if rec.Ready == nil || other.Ready != nil && other.Ready.At.Before(rec.Ready.At) {
		rec.Ready = other.Ready
	}
	if other.Past.After(rec.Past) {
		rec.Past = other.Past
	}
	rec.Wide = rec.Wide || other.Wide
	rec.touched = append(rec.touched, other.Others...) // what could not choose between the two can now
	for _, ref := range other.Others {
		if err := r.otherKey(rec, ref); err != nil {
			return err
		}
	}
	return r.moveLinks(rec, other.ID)
}

// otherKey notes a key that is not strong; the case's name must be known.
func (r *run) otherKey(rec *caseRecord, ref string) error {
	i, has := slices.BinarySearch(rec.Others, ref)
	if has {
		return nil
	}
	if len(rec.Others) == maxCaseKeys {
		rec.Wide = true
		return nil
	}
	rec.Others = slices.Insert(rec.Others, i, ref)
	rec.touched = append(rec.touched, ref)
	return r.st.Put(bucketCaseOf, stateKey(ref, rec.ID), []byte{})
}

// forget ends a case after its retention.
func (r *run) forgetCase(rec *caseRecord) error {
	if err := r.unfile(rec, rec.ID); err != nil {
		return err
	}
	for _, ref := range rec.Keys {
		if err := r.st.Delete(bucketCaseKey, ref); err != nil {
			return err
		}
	}
	for _, p := range rec.Reports {
		if !p.Linked {
			continue
		}
		l, err := r.link(p.Event)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		l.Cases = slices.DeleteFunc(l.Cases, func(id string) bool { return id == rec.ID })
		if len(l.Cases) > 0 {
			err = r.saveLink(l)
		} else {
			err = r.dropLink(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
