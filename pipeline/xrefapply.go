package pipeline

import (
	"encoding/json"
	"fmt"

	"waybill/checkpoint"
	"waybill/transform"
)

// registry applies a decision about the cross-references. The plan is made again from the state: what fits no more does nothing.
func (p *projector) registry(s *state, d decisionEntry, e checkpoint.Entry) error {
	if d.Xref.Action == XrefImport {
		return s.addWork(work{Kind: workXref, Key: hexKey(e.Index)})
	}
	plan, err := planXref(s, d.Xref)
	if err != nil || len(plan.faults) > 0 {
		return err
	}
	_, err = s.enter(plan.steps, d, e)
	return err
}

// importXref writes some rows of an import: as many as the transaction takes. What was written before is there already when the plan is made again.
func (p *projector) importXref(s *state, w *work) (done bool, err error) {
	e, err := p.store.Read(unhex(w.Key))
	if err != nil {
		return false, fmt.Errorf("reading the import again: %w", err)
	}
	var d decisionEntry
	if err := json.Unmarshal(e.Payload, &d); err != nil {
		return false, fmt.Errorf("reading the import again: %w", err)
	}
	plan, err := planXref(s, d.Xref)
	if err != nil || len(plan.faults) > 0 {
		return true, err
	}
	n, err := s.enter(plan.steps, d, e)
	return n == len(plan.steps), err
}

// enter writes rows, and looks again at what waits for their keys, each a piece of work of its own. It stops when the transaction is full,
// which a decision with a bound of its own (xrefWeight) never meets, and returns how many it has written.
func (s *state) enter(steps []XrefStep, d decisionEntry, e checkpoint.Entry) (written int, err error) {
	woken := map[string]bool{}
	for i, step := range steps {
		if d.Xref != nil && d.Xref.Action == XrefImport && i > 0 && s.Full() {
			return i, nil
		}
		row := step.Row
		if row.ID == "" {
			n, err := s.next("xref")
			if err != nil {
				return i, err
			}
			row.ID, row.By, row.At = xrefID(n), d.By, e.At
		} else {
			at := e.At
			row.JudgedBy, row.JudgedAt = d.By, &at
		}
		row.Why = d.Why
		if err := (transform.Registry{State: s}).Put(row); err != nil {
			return i, err
		}
		if fp := row.Fingerprint(); row.Answers() && !woken[fp] {
			woken[fp] = true
			if err := s.wakeOpen(fp); err != nil {
				return i, err
			}
		}
	}
	return len(steps), nil
}

// xrefID is the id of the row with the number.
func xrefID(n uint64) string { return fmt.Sprintf("R-%06d", n) }

// wakeOpen looks again at what an open exception holds: the first of it, and by timers that are due at once the rest, some at a time.
func (s *state) wakeOpen(fingerprint string) error {
	if id, err := s.Get(bucketOpen, fingerprint); err != nil || id == nil {
		return err
	}
	return s.addWorks(work{Kind: workRetry, Key: fingerprint}, work{Kind: workTimers})
}
