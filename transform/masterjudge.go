package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// MasterJudgement is a person's word on a version that waits.
type MasterJudgement struct {
	Ref     string    `json:"ref"`
	Version int       `json:"version"`
	Content string    `json:"content"` // of the version that the person saw
	Approve bool      `json:"approve"` // else it is rejected
	By      string    `json:"by"`
	At      time.Time `json:"-"` // when the journal took it
	Editor  string    `json:"-"` // who wrote fields of the version by hand; empty for nobody
}

// Refusal says why the judgement does not fit the version, empty when it does.
func (j *MasterJudgement) Refusal(v *MasterVersion) string {
	switch {
	case v.Content != j.Content:
		return "its source has changed it meanwhile"
	case !j.Approve && (v.State == MasterProposed || v.State == MasterHeld || v.State == MasterApproved):
		return ""
	case v.State == MasterHeld:
		return "it does not fit " + v.Faults[0].Target + "; what cannot be taken is not approved"
	case v.State != MasterProposed:
		return "it is " + string(v.State) + " and waits for nobody"
	case v.Proposer != "" && samePerson(v.Proposer, j.By):
		return j.By + " made the change, and another person approves it"
	case v.Edited != 0 && samePerson(j.Editor, j.By):
		return j.By + " wrote it by hand, and another person approves it"
	case slices.ContainsFunc(v.Approvals, func(a MasterApproval) bool { return samePerson(a.By, j.By) }):
		return j.By + " has approved it already, and another person must"
	}
	return ""
}

// samePerson compares names as sources and terminals write them: the host after @ is where somebody sat.
func samePerson(a, b string) bool {
	a, _, _ = strings.Cut(strings.TrimSpace(a), "@")
	b, _, _ = strings.Cut(strings.TrimSpace(b), "@")
	return a != "" && strings.EqualFold(a, b)
}

// JudgeMaster applies a person's word on a version, and brings it into force when nothing else keeps it. A word that does not fit any more
// does nothing. It reports whether the entity is of this mapping.
func (p *Mapper) JudgeMaster(st State, out Output, at Entry, j MasterJudgement) (mine bool, err error) {
	r := p.run(st, out, at)
	key, ok := masterKeyOf(j.Ref)
	if !ok {
		return false, nil
	}
	head, err := r.masterHead(key)
	if err != nil || head.Last == 0 {
		return false, err
	}
	v, err := masterVersion(st, key, j.Version)
	if err != nil || v == nil || j.Refusal(v) != "" {
		return true, err
	}
	if j.Approve {
		v.Approvals = append(v.Approvals, MasterApproval{j.By, j.At})
		if err := r.keepMaster(key, &head, v); err != nil {
			return true, err
		}
		return true, r.heldAgain(waiter{"held", v.Row, v.Ref})
	}
	if err := r.notDue(v, v.State); err != nil {
		return true, err
	}
	v.State, v.EndedBy, v.EndedAt = MasterRejected, j.By, j.At
	head.Rejected = v.Content
	if err := r.keepMaster(key, &head, v); err != nil {
		return true, err
	}
	h, err := r.held(v.Row)
	if err != nil {
		return true, err
	}
	if h == nil {
		return true, r.masterDropped(key, v.Row)
	}
	return true, r.dropHeld(waiter{"held", v.Row, h.Subject}, h)
}

// version says that what a governed rule makes of the change waits as a version, before the change.
func (e *explainer) version(rule *eventRule, f *frame, v *RuleView) error {
	at := e.masterOf(rule, f)
	if at == "" {
		return nil
	}
	head, err := e.masterHead(at)
	if err != nil {
		return err
	}
	waits, err := e.waitingOf(at, &head, heldID(rule, e.c))
	if err == nil && waits != nil {
		v.Trouble = append(v.Trouble, fmt.Sprintf("version %d of %s waits (%s), and a change amends it: waybill master show %[2]s", waits.Number, waits.Ref, waits.State))
	}
	return err
}

// MasterEntity is an entity with its versions, oldest first.
type MasterEntity struct {
	Ref      string          `json:"ref"`
	Active   int             `json:"active,omitempty"` // 0: none is in force
	Waiting  []int           `json:"waiting,omitempty"`
	Versions []MasterVersion `json:"versions"`
}

// MasterAfter is where MasterEntities goes on behind a reference; empty for none.
func MasterAfter(ref string) string {
	if key, ok := masterKeyOf(ref); ok {
		return key + "\x00"
	}
	return ""
}

// MasterEntities calls fn with each governed entity and its newest version, in the order of their references, from a place that
// MasterAfter tells.
func MasterEntities(st State, from string, fn func(MasterEntity) (bool, error)) error {
	type item struct {
		key  string
		head masterHead
	}
	for {
		var page []item
		err := st.Scan(bucketMasterHead, "", from, func(k string, _ []byte) (bool, error) {
			page = append(page, item{key: k})
			return len(page) < masterPage, nil
		})
		for i := 0; err == nil && i < len(page); i++ {
			it := &page[i]
			if _, err = loadMaster(st, bucketMasterHead, it.key, &it.head); err != nil {
				break
			}
			var v *MasterVersion
			if v, err = masterVersion(st, it.key, it.head.Last); err != nil || v == nil {
				continue
			}
			more, ferr := fn(MasterEntity{v.Ref, it.head.Active, it.head.Waiting, []MasterVersion{*v}})
			if ferr != nil || !more {
				return ferr
			}
		}
		if err != nil || len(page) < masterPage {
			return err
		}
		from = page[len(page)-1].key + "\x00"
	}
}

const masterPage = 256

// MasterEntityOf returns an entity with all its versions that are kept, nil when it is not governed here.
func MasterEntityOf(st State, ref string) (*MasterEntity, error) {
	key, ok := masterKeyOf(ref)
	if !ok {
		return nil, nil
	}
	var h masterHead
	if known, err := loadMaster(st, bucketMasterHead, key, &h); err != nil || !known {
		return nil, err
	}
	e := &MasterEntity{Ref: ref, Active: h.Active, Waiting: h.Waiting, Versions: []MasterVersion{}}
	var numbers []int
	err := st.Scan(bucketMasterVersion, key+separator, "", func(k string, _ []byte) (bool, error) {
		parts := stateParts(k)
		var n int
		if _, err := fmt.Sscanf(parts[len(parts)-1], "%d", &n); err != nil {
			return false, fmt.Errorf("the number of a version in %q: %w", k, err)
		}
		numbers = append(numbers, n)
		return true, nil
	})
	for _, n := range numbers {
		if err != nil {
			return nil, err
		}
		var v *MasterVersion
		if v, err = masterVersion(st, key, n); v != nil {
			e.Versions = append(e.Versions, *v)
		}
	}
	return e, err
}

// MasterAsked returns the reference of an entity that was never in force and that a posting waits for: key is the external id of its posting
// in its company. Empty: nothing of the kind is known.
func MasterAsked(st State, target, key string) (string, error) {
	ref, err := st.Get(bucketMasterAsks, stateKey(target, key))
	return string(ref), err
}
