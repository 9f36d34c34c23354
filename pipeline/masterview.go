package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// MasterQuery selects governed entities, in the order of their references.
type MasterQuery struct {
	Entity string `json:"entity,omitempty"` // customer
	State  string `json:"state,omitempty"`  // of the newest version: proposed, held, approved, active, superseded, rejected; "waiting": of the first three
	After  string `json:"after,omitempty"`  // only entities after this reference
	Limit  int    `json:"limit,omitempty"`  // default 100, at most 10,000
}

// MasterView is an entity with its versions, oldest first, and what became of each in the targets.
type MasterView struct {
	transform.MasterEntity
	Targets    []MasterTarget  `json:"targets"`
	Exceptions []CaseException `json:"exceptions,omitempty"`
}

// MasterTarget is what became of one version in one target.
type MasterTarget struct {
	Version    int       `json:"version"`
	Target     string    `json:"target"` // <sink>.<entity>
	ExternalID string    `json:"external_id"`
	State      string    `json:"state"` // of the delivery
	Why        string    `json:"why,omitempty"`
	At         time.Time `json:"acknowledged_at,omitzero"` // the target took it
	Ref        string    `json:"ref,omitempty"`            // the target's id
	Holds      bool      `json:"holds"`                    // it is what the target holds now
	Kept       []string  `json:"kept,omitempty"`           // fields in which a person left the target's own value
}

// MasterStates are the states that a query may name.
func MasterStates() []string {
	return []string{"waiting", string(transform.MasterProposed), string(transform.MasterHeld), string(transform.MasterApproved), string(transform.MasterActive),
		string(transform.MasterSuperseded), string(transform.MasterRejected)}
}

// mastersMost bounds the entities that one listing looks at.
const mastersMost = 200_000

// Masters lists governed entities, each with its newest version.
func (p *Pipeline) Masters(ctx context.Context, q MasterQuery) ([]transform.MasterEntity, error) {
	var all []transform.MasterEntity
	limit := bounded(q.Limit)
	err := p.store.View(func(tx *checkpoint.Txn) error {
		states, err := newState(tx).caseStates()
		for _, st := range states {
			if err != nil {
				return err
			}
			looked, found := 0, 0
			err = transform.MasterEntities(st, transform.MasterAfter(q.After), func(e transform.MasterEntity) (bool, error) {
				if looked++; looked > mastersMost {
					return false, &MasterError{Reason: fmt.Sprintf("more than %d entities were looked at", mastersMost), Hint: "Go on after " + e.Ref + "."}
				}
				if q.selects(&e) {
					all, found = append(all, e), found+1
				}
				return found < limit, ctx.Err()
			})
		}
		return err
	})
	slices.SortFunc(all, func(a, b transform.MasterEntity) int { return strings.Compare(a.Ref, b.Ref) })
	return all[:min(len(all), limit)], err
}

func (q *MasterQuery) selects(e *transform.MasterEntity) bool {
	if q.Entity != "" && !strings.HasPrefix(e.Ref, q.Entity+"/") {
		return false
	}
	state := string(e.Versions[len(e.Versions)-1].State)
	return q.State == "" || q.State == state || q.State == "waiting" && len(e.Waiting) > 0
}

// Master tells everything about one governed entity. The key is a reference, or the key that people know.
func (p *Pipeline) Master(_ context.Context, typed string) (v MasterView, err error) {
	v.Targets = []MasterTarget{}
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		e, err := s.masterEntity(typed)
		if err != nil {
			return err
		}
		v.MasterEntity = *e
		for i := range e.Versions {
			if err := s.acknowledged(&v, &e.Versions[i]); err != nil {
				return err
			}
		}
		v.Exceptions, err = s.openOn(e.Ref)
		return err
	})
	return v, err
}

// masterEntity finds the only governed entity that the key leads to. The error is a *MasterError when there is none or more than one.
func (s *state) masterEntity(typed string) (*transform.MasterEntity, error) {
	states, err := s.caseStates()
	if err != nil {
		return nil, err
	}
	refs := []string{typed}
	if !strings.Contains(typed, "/") {
		if refs, err = s.refs(typed); err != nil {
			return nil, err
		}
	}
	var found []*transform.MasterEntity
	for _, ref := range refs {
		for _, st := range states {
			e, err := transform.MasterEntityOf(st, ref)
			if err != nil {
				return nil, err
			}
			if e != nil {
				found = append(found, e)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, &MasterError{Reason: "no governed entity is known by " + typed, Absent: true,
			Hint: "Write the key as entity/id, such as customer/104377; waybill master list shows those whose versions the mapping governs."}
	}
	var several []string
	for _, e := range found {
		several = append(several, e.Ref)
	}
	return nil, &MasterError{Reason: fmt.Sprintf("%s leads to %d entities", typed, len(found)), Hint: "Name one of them: " + strings.Join(several, ", ") + "."}
}

// acknowledged adds what the targets said of a version.
func (s *state) acknowledged(v *MasterView, of *transform.MasterVersion) error {
	if of.Event == "" {
		return nil
	}
	ids, err := s.deliveriesOf(of.Event)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, err := s.delivery(id)
		if err != nil || d == nil {
			return err
		}
		t := MasterTarget{Version: of.Number, Target: d.Post.Sink + "." + d.Post.Entity, ExternalID: d.Post.ExternalID, State: string(d.State), Why: d.why(), Ref: d.view().Ref}
		if t.At, err = s.tookAt(id); err != nil {
			return err
		}
		var newest ledgerRow
		err = s.Scan(bucketLedger, ledgerKey(d.Post, ""), "", func(k string, _ []byte) (bool, error) {
			var row ledgerRow
			if _, err := s.load(bucketLedger, k, &row); err != nil {
				return false, err
			}
			if row.Index >= newest.Index {
				newest = row
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		if t.Holds = newest.Delivery == id; t.Holds {
			for name := range newest.Facts {
				if field, ok := strings.CutPrefix(name, sinks.KeptFact); ok {
					t.Kept = append(t.Kept, field)
				}
			}
			slices.Sort(t.Kept)
		}
		v.Targets = append(v.Targets, t)
	}
	return nil
}

// tookAt is when a target took a delivery last; zero when it has not.
func (s *state) tookAt(id string) (at time.Time, err error) {
	var keys []string
	err = s.Scan(bucketLog, id+sep, "", func(k string, _ []byte) (bool, error) {
		keys = append(keys, k)
		return true, nil
	})
	for _, k := range slices.Backward(keys) {
		var n traceNote
		if err != nil {
			return at, err
		}
		if _, err = s.load(bucketLog, k, &n); n.Class == sinks.Applied || n.Class == sinks.AlreadyApplied {
			return n.At, err
		}
	}
	return at, err
}

// openOn lists the open exceptions on which a subject waits.
func (s *state) openOn(subject string) (list []CaseException, err error) {
	var ids []string
	err = s.Scan(bucketSubjectEx, subject+sep, "", func(k string, _ []byte) (bool, error) {
		ids = append(ids, strings.TrimPrefix(k, subject+sep))
		return true, nil
	})
	for _, id := range ids {
		if err != nil {
			return nil, err
		}
		var x *exception
		if x, err = s.exception(id); x != nil && x.ClosedAt == nil && len(list) < listDefault {
			list = append(list, CaseException{x.ID, x.Problem.Code, subject, x.Problem.Title})
		}
	}
	return list, err
}
