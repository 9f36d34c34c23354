package transform

// bucketWaived holds the fingerprints of problems that a named person let pass: whatever meets them goes on.
const bucketWaived = "map/waived"

// Waits reports whether a change or a document waits on the problem. A problem that was only told holds nothing, and a case that has
// one lacks nothing: those who wait on one problem are either all cases or none.
func (p *Mapper) Waits(st State, fingerprint string) (waits bool, err error) {
	err = st.Scan(bucketWaits, stateKey(fingerprint)+separator, "", func(k string, _ []byte) (bool, error) {
		parts := stateParts(k)
		waits = len(parts) == 4 && parts[2] != waiterCase && parts[2] != waiterLink
		return false, nil
	})
	return waits, err
}

// Waive lets a problem pass, because a named person decided so. Documents and changes that wait on one of policy are evaluated again
// without it; of other classes nothing is left out, because what lacks a value cannot go on without it. Of a case the problem is none any
// more, and an event without a case needs none.
func (p *Mapper) Waive(st State, out Output, at Entry, fingerprint string) error {
	waits, err := p.Waits(st, fingerprint)
	if err != nil {
		return err
	}
	r := p.run(st, out, at)
	if !waits {
		return r.discard(fingerprint)
	}
	if err := st.Put(bucketWaived, fingerprint, []byte{}); err != nil {
		return err
	}
	return r.wake(fingerprint)
}

// Waivable reports whether what waits on such a problem can go on without its being settled. Of a document with too many lines only some
// are there: it lacks something, whatever people decide. A version of master data that needs approval is approved, by as many as it needs.
func Waivable(class, code string) bool {
	return class == "POLICY" && code != "TOO_MANY_LINES" && code != codeApproval
}

// unwaived leaves out the troubles of policy that a person let pass. An event that would lack a field without which it cannot be keeps
// them all: nobody can let that pass.
func (r *run) unwaived(all []*trouble, s *shape, f *frame) ([]*trouble, error) {
	if len(all) == 0 || s.lacks(f) {
		return all, nil
	}
	var left []*trouble
	for _, t := range all {
		if Waivable(t.class, t.code) {
			waived, err := r.st.Get(bucketWaived, t.fingerprint())
			if err != nil {
				return nil, err
			}
			if waived != nil {
				continue
			}
		}
		left = append(left, t)
	}
	return left, nil
}
