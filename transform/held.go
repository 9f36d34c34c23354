package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"waybill/cdc"
)

// heldChange is a change that a rule could not map yet. It is kept with the rows as they were.
type heldChange struct {
	Rule    string   `json:"rule"`
	Op      string   `json:"op"`
	Key     string   `json:"key"`
	Before  []byte   `json:"before,omitempty"`
	Now     []byte   `json:"now,omitempty"`
	Cause   cause    `json:"cause"`
	Subject string   `json:"subject"`
	Waits   []string `json:"waits"`
	Master  string   `json:"master,omitempty"` // of a governed rule: where the entity is kept
}

// heldID names a held change: for master data the entity, of which only the newest state counts; else the change.
func heldID(e *eventRule, c *rowChange) string {
	if e.lane == LaneMaster {
		return stateKey(e.typ, c.table.key(), c.key)
	}
	return c.cause.event(e.typ)
}

func (r *run) held(id string) (*heldChange, error) {
	raw, err := r.st.Get(bucketHeld, id)
	if err != nil || raw == nil {
		return nil, err
	}
	var h heldChange
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("reading held change: %w", err)
	}
	return &h, nil
}

// hold keeps a change until its troubles are over.
func (r *run) hold(e *eventRule, c *rowChange, held *heldChange, troubles []*trouble, f *frame) error {
	id := heldID(e, c)
	if held == nil {
		var err error
		if held, err = r.held(id); err != nil {
			return err
		}
	}
	subject := Ref(r.quietCompany(e.company, f), e.entity, quietText(e.key, f))
	var waits []string
	if held != nil {
		waits, subject = held.Waits, held.Subject
	}
	for _, t := range troubles {
		t.locate(c)
		t.show("before", image(c.before))
		t.show("after", image(c.now))
	}
	w := waiter{"held", id, subject}
	now, err := r.settle(w, waits, troubles, func(t *trouble) Problem {
		return t.problem(subject, subject, e.typ+" ("+e.at+")", nil)
	})
	if err != nil {
		return err
	}
	slices.Sort(now)
	h := heldChange{Rule: e.id, Op: string(rune(c.op)), Key: c.key, Cause: c.cause, Subject: subject, Waits: now, Master: r.masterOf(e, f)}
	if c.before != nil {
		h.Before = appendColumns(nil, c.before)
	}
	if c.now != nil {
		h.Now = appendColumns(nil, c.now)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("writing held change: %w", err)
	}
	return r.st.Put(bucketHeld, id, raw)
}

// locate adds where the trouble was met.
func (t *trouble) locate(c *rowChange) {
	if t.evidence == nil {
		t.evidence = map[string]any{}
	}
	t.evidence["row"] = c.table.key() + " " + strings.ReplaceAll(c.key, separator, "/")
	t.evidence["position"] = c.cause.Commit
	if t.code == "VALUE_NOT_EXACT" || t.code == "VALUE_MISSING" {
		t.cause += "/" + c.key
	}
}

// dropSuperseded forgets a held change that was mapped now, or that a newer state of the same entity replaces.
func (r *run) dropSuperseded(e *eventRule, c *rowChange, held *heldChange) error {
	if held == nil && e.lane != LaneMaster {
		return nil
	}
	id := heldID(e, c)
	if held == nil {
		var err error
		if held, err = r.held(id); err != nil || held == nil {
			return err
		}
	}
	return r.dropHeld(waiter{"held", id, held.Subject}, held)
}

func (r *run) dropHeld(w waiter, h *heldChange) error {
	if err := r.st.Delete(bucketHeld, w.id); err != nil {
		return err
	}
	if err := r.st.Delete(bucketAmend, stateKey(w.kind, w.id)); err != nil {
		return err
	}
	for _, fp := range h.Waits {
		if err := r.free(w, fp); err != nil {
			return err
		}
	}
	return r.masterDropped(h.Master, w.id)
}

// heldAgain maps a held change with the rules of now.
func (r *run) heldAgain(w waiter) error {
	h, err := r.held(w.id)
	if err != nil || h == nil {
		return err
	}
	i := slices.IndexFunc(r.m.events, func(e *eventRule) bool { return e.id == h.Rule })
	if i < 0 {
		return r.dropHeld(w, h) // its rule is gone, and so is what it waited for
	}
	e := r.m.events[i]
	c := rowChange{table: e.table, op: cdc.Op(h.Op[0]), key: h.Key, cause: h.Cause}
	if c.before, err = heldRow(e.table, h.Before, h.Key); err != nil {
		return err
	}
	if c.now, err = heldRow(e.table, h.Now, h.Key); err != nil {
		return err
	}
	return r.evaluateEvent(e, &c, h)
}

func heldRow(t *table, raw []byte, key string) (*row, error) {
	if raw == nil {
		return nil, nil
	}
	_, r, err := decodeRow(t, append([]byte{1, 0}, raw...))
	if err != nil {
		return nil, fmt.Errorf("reading held row of %s: %w", t.key(), err)
	}
	r.key = key
	return r, nil
}
