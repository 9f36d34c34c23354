package transform

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
)

// masterTimer begins the ids of timers at which a version comes into force.
const masterTimer = "master/"

// codeApproval is the code of the problem that persons have to approve a version.
const codeApproval = "APPROVAL_NEEDED"

// govern makes a version of a change of a governed entity. The version that waits is the held change of its row, so that a later change
// amends it, a retry judges it again, and whoever discards its exception gives it up. Its event and postings are made when it comes
// into force; until then targets, gates and documents know the version before it.
func (r *run) govern(e *eventRule, c *rowChange, held *heldChange, ev *Event, posts []Post, f *frame) error {
	at := masterKey(e.typ, CompanyKey(ev.Company, ev.Key))
	head, err := r.masterHead(at)
	if err != nil {
		return err
	}
	if head.Last == 0 {
		if err := r.baseline(e, c, ev, at, &head); err != nil {
			return err
		}
	}
	active, err := masterVersion(r.st, at, head.Active)
	if err != nil {
		return err
	}
	fresh, troubles, err := r.newVersion(e, c, ev, f)
	if err != nil {
		return err
	}
	if len(troubles) > 0 {
		return r.hold(e, c, held, troubles, f)
	}
	old, err := r.takenUp(e, active, fresh, &head, at)
	if err != nil {
		return err
	}
	if old {
		return r.asBefore(e, c, held, ev)
	}
	v, err := r.amended(at, &head, active, fresh)
	if err != nil {
		return err
	}
	if v == nil {
		return r.hold(e, c, held, []*trouble{tooManyVersions(fresh.Ref)}, f)
	}
	if troubles, err = r.judgeVersion(e, v, active, ev, posts, &c.cause); err != nil {
		return err
	}
	if len(troubles) > 0 {
		return r.keepWaiting(e, c, held, ev, posts, f, at, &head, v, troubles)
	}
	return r.activateVersion(e, c, held, ev, posts, at, &head, v, active)
}

// newVersion is the version that a change would make, with what is wrong with its dates.
func (r *run) newVersion(e *eventRule, c *rowChange, ev *Event, f *frame) (*MasterVersion, []*trouble, error) {
	g := e.governed
	v := &MasterVersion{Ref: Ref(ev.Company, e.entity, ev.Key), Row: heldID(e, c), Data: ev.Data, Adopted: c.cause.Adopt, Proposed: c.cause.At, Edited: ev.Edited}
	var res result
	from, to := time.Time{}, time.Time{}
	for _, d := range []struct {
		name string
		e    *expr
		text *string
		at   *time.Time
	}{{"effective.from", g.from, &v.From, &from}, {"effective.to", g.to, &v.To, &to}} {
		if d.e == nil {
			continue
		}
		optional := *d.e
		optional.optional = true // no date is none: at once, and for ever
		val, err := res.one(f, &setting{name: d.name, e: &optional}, v.Ref)
		if err != nil {
			return nil, nil, err
		}
		if types.IsError(val) || val == types.NullValue {
			continue
		}
		t, trouble := r.instant(val, e.table.source.zone, e.table.source, v.Ref)
		if trouble != nil {
			res.add(trouble)
			continue
		}
		*d.text, *d.at = textOf(val), t
	}
	if !to.IsZero() && to.Before(from) {
		res.add(&trouble{class: "DATA", code: "EFFECTIVE_DATES", cause: v.Ref, owner: g.owner,
			title: fmt.Sprintf("%s is to hold from %s to %s, which is before it begins.", v.Ref, v.From, v.To),
			hint:  "Correct the dates in " + e.table.key() + "."})
	}
	if g.by != nil {
		v.Proposer = quietText(g.by, f)
	}
	switch {
	case v.From != "":
		v.Day = clipDate(v.From)
	case !v.Adopted:
		v.Day = ev.Occurred.In(zoneOf(e.table.source)).Format(civilDate)
	}
	v.Due, v.Content = from, hash(string(v.Data), v.From, v.To) // who wrote it by hand is no content: it was shown with it
	return v, res.troubles, nil
}

// takenUp reports whether a change makes no version: the active one says the same, a person refused the same, or it lies in the past of
// another row of the entity.
func (r *run) takenUp(e *eventRule, active, fresh *MasterVersion, head *masterHead, at string) (bool, error) {
	rule := e.typ + " (" + e.at + ")"
	switch {
	case fresh.Content == head.Rejected:
		return true, r.out.Note(Note{Rule: rule, Refs: []string{fresh.Ref}, Why: "the same was refused by a person before"})
	case active == nil:
		return false, nil
	case active.Row != fresh.Row && fresh.Due.Before(active.Due):
		return true, r.out.Note(Note{Rule: rule, Refs: []string{fresh.Ref},
			Why: fmt.Sprintf("it held from %s, and version %d holds since %s", orSay(fresh.From, "ever"), active.Number, orSay(active.From, "then"))})
	case !bytes.Equal(active.Data, fresh.Data):
		return false, nil
	}
	if active.Row == fresh.Row && active.To != fresh.To { // its end is known now
		active.To = fresh.To
		return true, saveMaster(r.st, bucketMasterVersion, versionKey(at, active.Number), active)
	}
	return true, nil
}

func orSay(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// asBefore ends what waits for the row, because nothing differs from what is in force.
func (r *run) asBefore(e *eventRule, c *rowChange, held *heldChange, ev *Event) error {
	if err := r.dropSuperseded(e, c, held); err != nil {
		return err
	}
	return r.owned(e, ev)
}

// amended is the version that waits for the row with what the change says, or a new one. What persons approved was another content. It is
// nil when too many wait already.
func (r *run) amended(at string, head *masterHead, active, fresh *MasterVersion) (*MasterVersion, error) {
	v, err := r.waitingOf(at, head, fresh.Row)
	if err != nil {
		return nil, err
	}
	switch {
	case v == nil && len(head.Waiting) == masterWaiting:
		return nil, nil
	case v == nil:
		head.Last++
		v = fresh
		v.Number = head.Last
		head.waits(v.Number, true)
	default:
		fresh.Number, fresh.State = v.Number, v.State
		if fresh.Content == v.Content {
			fresh.Approvals = v.Approvals
		}
		v = fresh
	}
	var was []byte
	if active != nil {
		was = active.Data
	}
	v.Changes, err = masterChanges(was, v.Data)
	return v, err
}

func tooManyVersions(ref string) *trouble {
	return &trouble{class: "MASTER", code: "VERSIONS_WAITING", cause: ref,
		title: fmt.Sprintf("%d versions of %s wait already.", masterWaiting, ref), hint: "Approve or reject them: waybill master show " + ref + "."}
}

// judgeVersion says what keeps a version from coming into force: a target that could not take it, persons who have not approved, or its day.
func (r *run) judgeVersion(e *eventRule, v, active *MasterVersion, ev *Event, posts []Post, by *cause) ([]*trouble, error) {
	var err error
	if v.Faults, err = e.governed.faults(r.st, ev, posts); err != nil {
		return nil, err
	}
	v.Needs = 0
	if !v.Adopted {
		v.Needs = e.governed.persons(v.Changes, active == nil)
	}
	was := v.State
	switch {
	case len(v.Faults) > 0:
		v.State = MasterHeld
		return []*trouble{v.incompatible(e, active)}, r.notDue(v, was)
	case len(v.Approvals) < v.Needs:
		v.State = MasterProposed
		return []*trouble{v.unapproved(e, active)}, r.notDue(v, was)
	case v.Due.After(r.reached(by)):
		v.State = MasterApproved
		t := &trouble{class: "WAITING", code: "NOT_YET_EFFECTIVE", cause: v.Ref, quiet: true}
		return []*trouble{t}, r.out.SetTimer(Timer{ID: masterTimer + hash(v.Row), At: v.Due, Payload: v.Row})
	}
	return nil, r.notDue(v, was)
}

// notDue ends the waiting for a version's day.
func (r *run) notDue(v *MasterVersion, was MasterState) error {
	if was != MasterApproved {
		return nil
	}
	return r.out.ClearTimer(masterTimer + hash(v.Row))
}

// reached is the time up to which everything is captured, as far as the change and the watermarks tell.
func (r *run) reached(by *cause) time.Time {
	if r.at.Now.After(by.At) {
		return r.at.Now
	}
	return by.At
}

// faults asks every target, and the mapping's own rules, whether they can take the version.
func (g *governance) faults(st State, ev *Event, posts []Post) ([]MasterFault, error) {
	all, err := g.rules.Faults("masters ("+g.at+")", ev.Data)
	for i := range posts {
		if err != nil {
			return nil, err
		}
		target := posts[i].Sink + "." + posts[i].Entity
		table, terr := TargetOf(st, target)
		if terr != nil || table == nil {
			err = terr
			continue
		}
		var more []MasterFault
		more, err = table.Faults(target, posts[i].Body)
		all = append(all, more...)
	}
	return all, err
}

// stays says what holds meanwhile.
func stays(active *MasterVersion) string {
	if active == nil {
		return "no version is in force yet, and what needs it waits"
	}
	return fmt.Sprintf("version %d stays in force", active.Number)
}

func (v *MasterVersion) incompatible(e *eventRule, active *MasterVersion) *trouble {
	var faults []string
	for i, f := range v.Faults {
		if i == 3 {
			faults = append(faults, fmt.Sprintf("and %d more", len(v.Faults)-i))
			break
		}
		faults = append(faults, f.String())
	}
	return &trouble{class: "MASTER", code: "INCOMPATIBLE_MASTER", cause: v.Ref, owner: e.governed.owner,
		title: fmt.Sprintf("%s, version %d, cannot be taken: %s.", v.Ref, v.Number, strings.Join(faults, "; ")),
		hint: fmt.Sprintf("Correct it in %s, and it is judged again by itself; or change the rule in the mapping and activate it. Meanwhile %s.",
			e.table.key(), stays(active)),
		evidence: map[string]any{"version": v.Number, "faults": v.Faults, "changes": v.Changes}}
}

func (v *MasterVersion) unapproved(e *eventRule, active *MasterVersion) *trouble {
	need, has := fmt.Sprintf("%d persons", v.Needs), ""
	if v.Needs == 1 {
		need = "a person"
	}
	if names := v.approvedBy(); names != "" {
		has = "; approved so far by " + names
	}
	return &trouble{class: "POLICY", code: codeApproval, cause: v.Ref, owner: e.governed.owner,
		title: fmt.Sprintf("%s, version %d, needs the approval of %s: %s%s.", v.Ref, v.Number, need, changesText(v.Changes), has),
		hint: fmt.Sprintf("waybill master approve %s --why …, or waybill master reject %[1]s --why …. Meanwhile %s.",
			v.Ref, stays(active)),
		evidence: map[string]any{"version": v.Number, "changes": v.Changes, "needs": v.Needs, "approved_by": v.approvedBy()}}
}

func (v *MasterVersion) approvedBy() string {
	var names []string
	for _, a := range v.Approvals {
		names = append(names, a.By)
	}
	return strings.Join(names, ", ")
}
