package transform

// bucketWaived holds the fingerprints of problems that a named person let pass: whatever meets them goes on.
const bucketWaived = "map/waived"

// Waits reports whether a change or a document waits on the problem. A problem that was only told holds nothing.
func (p *Mapper) Waits(st State, fingerprint string) (waits bool, err error) {
	err = st.Scan(bucketWaits, stateKey(fingerprint)+separator, "", func(string, []byte) (bool, error) {
		waits = true
		return false, nil
	})
	return waits, err
}

// Waive lets a problem of policy pass, because a named person decided so, and evaluates again what waits on it. Of other classes it
// does nothing: what lacks a value cannot go on without it.
func (p *Mapper) Waive(st State, out Output, at Entry, fingerprint string) error {
	if waits, err := p.Waits(st, fingerprint); err != nil || !waits {
		return err
	}
	if err := st.Put(bucketWaived, fingerprint, []byte{}); err != nil {
		return err
	}
	return p.run(st, out, at).wake(fingerprint)
}

// unwaived leaves out the troubles of policy that a person let pass.
func (r *run) unwaived(all []*trouble) ([]*trouble, error) {
	var left []*trouble
	for _, t := range all {
		if t.class == "POLICY" {
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
