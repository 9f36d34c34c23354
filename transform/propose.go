package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The buckets of proposals.
const (
	bucketOwned    = "map/owned"    // event type, key in its company → what the owner says: the event's data
	bucketProposal = "map/proposal" // event type, key in its company, id of the held change: proposed
)

// propose compares what a source says with what the owner said. A difference is a proposal: the change is held until the
// owner's own row agrees, the source takes it back, or a person gives it up.
func (r *run) propose(e *eventRule, c *rowChange, held *heldChange, ev *Event, troubles []*trouble, f *frame) error {
	entity := CompanyKey(ev.Company, ev.Key)
	known, err := r.st.Get(bucketOwned, stateKey(e.typ, entity))
	if err != nil {
		return err
	}
	at := stateKey(e.typ, entity, heldID(e, c)) // both parts escaped, so that three remain
	if len(troubles) == 0 {
		t, err := r.proposal(e, ev, known)
		if err != nil {
			return err
		}
		if t == nil {
			if err := r.st.Delete(bucketProposal, at); err != nil {
				return err
			}
			return r.dropSuperseded(e, c, held)
		}
		if known == nil {
			read, err := r.ownerRead(e.typ)
			if err != nil {
				return err
			}
			t.quiet = !read
		}
		troubles = []*trouble{t}
	}
	if err := r.st.Put(bucketProposal, at, []byte{}); err != nil {
		return err
	}
	return r.hold(e, c, held, troubles, f)
}

// unproposed forgets what a row that is gone proposed.
func (r *run) unproposed(e *eventRule, c *rowChange) error {
	if e.others != othersPropose {
		return nil
	}
	f := r.frame(c)
	f.rows[newRow] = c.before
	entity := CompanyKey(r.quietCompany(e.company, f), quietText(e.key, f))
	return r.st.Delete(bucketProposal, stateKey(e.typ, entity, heldID(e, c)))
}

// proposal is what a person has to look at; nil when the owner says the same.
func (r *run) proposal(e *eventRule, ev *Event, known []byte) (*trouble, error) {
	by, subject := r.m.ownerOf(e.typ), Ref(ev.Company, e.entity, ev.Key)
	t := &trouble{class: "MASTER", code: "CHANGE_PROPOSED", cause: e.table.key() + "/" + e.typ + "/" + CompanyKey(ev.Company, ev.Key), owner: "master data",
		hint: fmt.Sprintf("Take it over in %s, and this closes by itself; or correct %s; or give it up with a reason.", by, e.table.key())}
	differs, words, err := proposed(known, ev.Data)
	if err != nil {
		return nil, fmt.Errorf("comparing %s with what %s says: %w", subject, by, err)
	}
	switch {
	case known == nil:
		t.title = fmt.Sprintf("%s has %s, of which %s, which owns it, has told nothing.", e.table.key(), subject, by)
	case len(differs) == 0:
		return nil, nil
	default:
		t.title = fmt.Sprintf("%s proposes a change of %s, which %s owns: %s.", e.table.key(), subject, by, words)
	}
	t.evidence = map[string]any{"owner": by, "source": e.table.source.name, "difference": differs}
	return t, nil
}

// proposed lists the proposed fields that the owner has otherwise, and says the first of them. A field of which the proposal says
// nothing is none.
func proposed(owner, wanted []byte) (map[string]any, string, error) {
	var is, wants map[string]json.RawMessage
	if owner != nil {
		if err := json.Unmarshal(owner, &is); err != nil {
			return nil, "", err
		}
	}
	if err := json.Unmarshal(wanted, &wants); err != nil {
		return nil, "", err
	}
	differs := map[string]any{}
	var words []string
	for name, v := range wants {
		if bytes.Equal(is[name], v) { // both canonical
			continue
		}
		differs[name] = map[string]json.RawMessage{"owner": orNull(is[name]), "proposed": v}
		words = append(words, fmt.Sprintf("%s %s for %s", name, clip(string(v), 60), clip(string(orNull(is[name])), 60)))
	}
	slices.Sort(words)
	if n := len(words); n > 3 {
		words = append(words[:3], fmt.Sprintf("and %d more", n-3))
	}
	return differs, strings.Join(words, ", "), nil
}

func orNull(v json.RawMessage) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	return v
}

// ownerRead reports whether the owner's rows were read once. Before that nobody knows what it says.
func (r *run) ownerRead(typ string) (bool, error) {
	for _, e := range r.m.events {
		if e.typ != typ || e.others != "" {
			continue
		}
		if g, err := r.p.generation(r.st, e.table.key()); err != nil || !g.done && !e.table.messages {
			return false, err
		}
	}
	return true, nil
}

// firstRead looks at proposals again when the first reading of the owner's table is over: those that still differ are told.
func (r *run) firstRead(t *table) error {
	for _, e := range t.events {
		if !e.proposed {
			continue
		}
		if err := r.proposalsLater(stateKey(e.typ)+separator, ""); err != nil {
			return err
		}
	}
	return nil
}

// owned keeps what the owner says of an entity, where others may propose changes of it, and looks at their proposals again.
func (r *run) owned(e *eventRule, ev *Event) error {
	if !e.proposed {
		return nil
	}
	at := stateKey(e.typ, CompanyKey(ev.Company, ev.Key))
	known, err := r.st.Get(bucketOwned, at)
	if err != nil || bytes.Equal(known, ev.Data) {
		return err
	}
	if err := r.st.Put(bucketOwned, at, ev.Data); err != nil {
		return err
	}
	return r.proposalsAgain(at+separator, "")
}

// proposalsAgain maps at most wakeBatch proposals again, in the order of their keys; the rest goes through a timer.
func (r *run) proposalsAgain(prefix, from string) error {
	var keys []string
	next := ""
	err := r.st.Scan(bucketProposal, prefix, from, func(k string, _ []byte) (bool, error) {
		if len(keys) == wakeBatch {
			next = k
			return false, nil
		}
		keys = append(keys, k)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		id := stateParts(k)[2]
		h, err := r.held(id)
		if err != nil {
			return err
		}
		if h == nil { // given up, or its row is gone
			err = r.st.Delete(bucketProposal, k)
		} else {
			err = r.heldAgain(waiter{"held", id, h.Subject})
		}
		if err != nil {
			return err
		}
	}
	if next == "" {
		return nil
	}
	return r.proposalsLater(prefix, next)
}

const proposalTimer = "own/"

func (r *run) proposalsLater(prefix, from string) error {
	return r.out.SetTimer(Timer{ID: proposalTimer + hash(prefix), At: r.soon(), Payload: stateKey(prefix, from)})
}

func (r *run) proposalsDue(t Timer) error {
	parts := stateParts(t.Payload)
	if len(parts) != 2 {
		return fmt.Errorf("timer %s: payload %q", t.ID, t.Payload)
	}
	return r.proposalsAgain(parts[0], parts[1])
}
