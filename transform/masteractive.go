package transform

import (
	"encoding/json"
	"fmt"
	"time"
)

// keepWaiting holds the change and its version.
func (r *run) keepWaiting(e *eventRule, c *rowChange, held *heldChange, ev *Event, posts []Post, f *frame, at string, head *masterHead,
	v *MasterVersion, troubles []*trouble) error {
	v.Posts = postsOf(posts)
	if err := r.keepMaster(at, head, v); err != nil {
		return err
	}
	if head.Active == 0 {
		for _, p := range v.Posts {
			if err := r.st.Put(bucketMasterAsks, p.asks(), []byte(v.Ref)); err != nil {
				return err
			}
		}
	}
	if err := r.hold(e, c, held, troubles, f); err != nil {
		return err
	}
	return r.owned(e, ev)
}

func postsOf(posts []Post) []MasterPost {
	var all []MasterPost
	for _, p := range posts {
		all = append(all, MasterPost{p.Sink + "." + p.Entity, p.ExternalID, p.Company})
	}
	return all
}

func (p *MasterPost) asks() string {
	return stateKey(p.Target, CompanyKey(p.Company, p.ExternalID))
}

// notAsked forgets that something waits for the first version of an entity.
func (r *run) notAsked(v *MasterVersion) error {
	for _, p := range v.Posts {
		if err := r.st.Delete(bucketMasterAsks, p.asks()); err != nil {
			return err
		}
	}
	return nil
}

// activateVersion brings a version into force: the one before it is superseded, its event is told and its postings go.
func (r *run) activateVersion(e *eventRule, c *rowChange, held *heldChange, ev *Event, posts []Post, at string, head *masterHead,
	v, active *MasterVersion) error {
	v.State, v.ActiveAt, v.Event, v.Posts = MasterActive, r.at.Observed, ev.ID, postsOf(posts)
	if active != nil {
		active.State, active.EndedAt = MasterSuperseded, r.at.Observed
		active.Why = fmt.Sprintf("version %d took its place", v.Number)
		if err := saveMaster(r.st, bucketMasterVersion, versionKey(at, active.Number), active); err != nil {
			return err
		}
	} else if err := r.notAsked(v); err != nil {
		return err
	}
	head.Active = v.Number
	head.waits(v.Number, false)
	if err := r.keepMaster(at, head, v); err != nil {
		return err
	}
	if err := r.st.Put(bucketMaster, at, []byte(contentOf(v.Data))); err != nil {
		return err
	}
	if err := r.dropSuperseded(e, c, held); err != nil {
		return err
	}
	told := *ev
	var err error
	if told.Data, err = v.told(ev); err != nil {
		return err
	}
	for i := range posts {
		posts[i].Version = v.Number
	}
	if err := r.send(told, posts); err != nil {
		return err
	}
	waits := noVersion(v.Ref)
	if active != nil {
		waits = driftTrouble(v.Ref, active.Number)
	}
	if err := r.wake(waits.fingerprint()); err != nil {
		return err
	}
	return r.owned(e, ev)
}

// told is the data of the version's event: the fields of the rule and what is known of the version (domain.md §1.5).
func (v *MasterVersion) told(ev *Event) (json.RawMessage, error) {
	var data map[string]any
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(ev.Data, &raw); err != nil {
		return nil, fmt.Errorf("reading the data of %s: %w", v.Ref, err)
	}
	data = make(map[string]any, len(raw)+7)
	for name, x := range raw {
		data[name] = x
	}
	before, after := map[string]any{}, map[string]any{}
	for _, ch := range v.Changes {
		before[ch.Field], after[ch.Field] = ch.Before, ch.After
	}
	data["entity_version"], data["change_set"], data["before"], data["after"] = v.Number, fmt.Sprintf("%s@%d", v.Ref, v.Number), before, after
	data["effective_from"] = ev.Occurred.UTC().Format(time.RFC3339Nano)
	for name, text := range map[string]string{"effective_from": v.From, "effective_to": v.To, "approved_by": v.approvedBy()} {
		if text != "" {
			data[name] = text
		}
	}
	return canonical(data)
}

// contentOf is what bucketMaster keeps of an entity's data.
func contentOf(data []byte) string { return hash(string(data))[:16] }

// baseline makes a version of what was told of an entity before its versions were governed, as far as it is known.
func (r *run) baseline(e *eventRule, c *rowChange, ev *Event, at string, head *masterHead) error {
	known, err := r.st.Get(bucketMaster, at)
	if err != nil || known == nil {
		return err
	}
	data := ev.Data
	if string(known) != contentOf(data) {
		if c.before == nil {
			return nil
		}
		before := rowChange{table: c.table, op: c.op, key: c.key, now: c.before, cause: c.cause}
		was, troubles, err := r.makeEvent(e, r.frame(&before), &c.cause)
		if err != nil || len(troubles) > 0 || string(known) != contentOf(was.Data) {
			return err
		}
		data = was.Data
	}
	v := &MasterVersion{Ref: Ref(ev.Company, e.entity, ev.Key), Number: 1, State: MasterActive, Row: heldID(e, c), Data: data, Adopted: true,
		Content: hash(string(data), "", ""), Changes: []MasterChange{}, Proposed: c.cause.At, ActiveAt: r.at.Observed}
	head.Last, head.Active = 1, 1
	return r.keepMaster(at, head, v)
}

// masterOf is where the entity of a governed rule is kept; empty for another rule.
func (r *run) masterOf(e *eventRule, f *frame) string {
	if e.governed == nil {
		return ""
	}
	return masterKey(e.typ, CompanyKey(r.quietCompany(e.company, f), quietText(e.key, f)))
}

// masterDropped ends the version that waited with a held change, which is given up, or whose row is gone or says again what is in force.
func (r *run) masterDropped(at, row string) error {
	if at == "" {
		return nil
	}
	head, err := r.masterHead(at)
	if err != nil {
		return err
	}
	v, err := r.waitingOf(at, &head, row)
	if err != nil || v == nil {
		return err
	}
	if err := r.notDue(v, v.State); err != nil {
		return err
	}
	if v.State != MasterRejected {
		v.State, v.Why = MasterSuperseded, "its row says it no more, or it was given up"
	}
	v.EndedAt = r.at.Observed
	head.waits(v.Number, false)
	if err := r.notAsked(v); err != nil {
		return err
	}
	return r.keepMaster(at, &head, v)
}
