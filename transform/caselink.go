package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// link is an event without a strong key: to which cases it belongs is looked up by its other keys, again whenever one of them is
// learnt. It is a function of the keys that cases have, so that it does not matter which came first.
type link struct {
	Event   string     `json:"event"`
	Subject string     `json:"subject"` // invoice/A7
	Company string     `json:"company,omitempty"`
	Keys    []eventKey `json:"keys"`
	Report  report     `json:"report"`
	Cases   []string   `json:"cases,omitempty"` // where its report lies
	Waits   []string   `json:"waits,omitempty"` // fingerprints of its problem
	Late    bool       `json:"late,omitempty"`  // people are told that it has no case
	Timer   bool       `json:"timer,omitempty"`
}

func (r *run) link(event string) (*link, error) {
	raw, err := r.st.Get(bucketLink, event)
	if err != nil || raw == nil {
		return nil, err
	}
	var l link
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("reading the case of event %s: %w", event, err)
	}
	return &l, nil
}

func (r *run) saveLink(l *link) error {
	raw, err := canonical(l)
	if err != nil {
		return err
	}
	return r.st.Put(bucketLink, l.Event, raw)
}

// fileLink files an event under each of its references.
func (r *run) fileLink(l *link) error {
	if known, err := r.st.Get(bucketLink, l.Event); err != nil || known != nil {
		return err
	}
	for _, ref := range l.refs() {
		if err := r.st.Put(bucketLinkOf, stateKey(ref, l.Event), []byte{}); err != nil {
			return err
		}
	}
	return r.place(l)
}

func (l *link) refs() []string {
	refs := []string{l.Subject}
	for _, k := range l.Keys {
		if !slices.Contains(refs, k.Ref) {
			refs = append(refs, k.Ref)
		}
	}
	return refs
}

// dropLink ends a link that has no case any more, or never had one.
func (r *run) dropLink(l *link) error {
	for _, ref := range l.refs() {
		if err := r.st.Delete(bucketLinkOf, stateKey(ref, l.Event)); err != nil {
			return err
		}
	}
	for _, fp := range l.Waits {
		if err := r.free(waiter{waiterLink, l.Event, l.Subject}, fp); err != nil {
			return err
		}
	}
	if l.Timer {
		if err := r.out.ClearTimer(timerLink + l.Event); err != nil {
			return err
		}
	}
	return r.st.Delete(bucketLink, l.Event)
}

// moveLinks tells the linked events of a case its new name.
func (r *run) moveLinks(rec *caseRecord, old string) error {
	if old == "" || old == rec.ID {
		return nil
	}
	for _, p := range rec.Reports {
		if !p.Linked {
			continue
		}
		l, err := r.link(p.Event)
		if err != nil || l == nil {
			return err
		}
		l.Cases = slices.DeleteFunc(l.Cases, func(id string) bool { return id == old || id == rec.ID })
		l.Cases = append(l.Cases, rec.ID)
		slices.Sort(l.Cases)
		if err := r.saveLink(l); err != nil {
			return err
		}
	}
	return nil
}

// place puts an event's report where it belongs now, and takes it from where it does not.
func (r *run) place(l *link) error {
	want, candidates, err := r.resolve(l)
	if err != nil {
		return err
	}
	before := l.Cases
	l.Cases = want
	for _, id := range before {
		if slices.Contains(want, id) {
			continue
		}
		if err := r.inCase(id, func(rec *caseRecord) { rec.drop(l.Event) }); err != nil {
			return err
		}
	}
	for _, id := range want {
		if slices.Contains(before, id) {
			continue
		}
		if err := r.inCase(id, func(rec *caseRecord) { rec.add(l.Report) }); err != nil {
			return err
		}
	}
	if err := r.unmatched(l, candidates); err != nil {
		return err
	}
	return r.saveLink(l)
}

// inCase changes a case and looks at it again.
func (r *run) inCase(id string, change func(*caseRecord)) error {
	rec, err := r.caseRecord(id)
	if err != nil || rec == nil {
		return err
	}
	change(rec)
	return r.judgeCase(rec)
}

// unmatched tells people of an event that claims a shipment and finds no case, after the declared time.
func (r *run) unmatched(l *link, candidates []candidate) error {
	w := waiter{waiterLink, l.Event, l.Subject}
	if len(l.Cases) > 0 && l.Timer {
		l.Timer = false
		if err := r.out.ClearTimer(timerLink + l.Event); err != nil {
			return err
		}
	}
	var troubles []*trouble
	if len(l.Cases) == 0 {
		if t := l.trouble(candidates); t != nil && l.Late {
			troubles = []*trouble{t}
		}
		if !l.Timer {
			l.Timer = true
			after := r.m.cases.wait
			if l.Late {
				after += r.m.cases.keep
			}
			if err := r.out.SetTimer(Timer{ID: timerLink + l.Event, At: l.Report.Recorded.Add(after), Payload: l.Event}); err != nil {
				return err
			}
		}
	}
	var err error
	l.Waits, err = r.settle(w, l.Waits, troubles, func(t *trouble) Problem {
		return t.problem(l.Subject, l.Subject, "cases ("+r.m.cases.at+")", nil)
	})
	return err
}

// trouble is that an event has no case; nil when it has nothing but shared keys: then there may be none.
func (l *link) trouble(candidates []candidate) *trouble {
	var refs []string
	for _, k := range l.Keys {
		if k.Strength == keyMedium || k.Strength == keyWeak {
			refs = append(refs, k.Ref)
		}
	}
	if refs == nil || l.Report.Historic {
		return nil
	}
	keys := strings.Join(refs, ", ")
	said := "No case has any of them."
	if len(candidates) > 0 {
		var names []string
		for i, c := range candidates {
			if i == 5 {
				names = append(names, "…")
				break
			}
			names = append(names, c.Case+" (by "+strings.Join(c.By, ", ")+")")
		}
		said = "They do not prove a case; candidates: " + strings.Join(names, "; ") + "."
	}
	return &trouble{class: "DATA", code: "UNMATCHED", cause: l.Company + "/" + keys, owner: "dispatch",
		title:    fmt.Sprintf("%s of %s belongs to no case: it carries %s. %s", l.Report.Type, l.Subject, keys, said),
		hint:     "Correct the keys in the source, or link it: waybill case link " + l.Subject + " CASE. Every event with the reference then goes there.",
		evidence: map[string]any{"event": l.Event, "keys": refs, "candidates": candidates}}
}

// linkTimer tells people of an event without a case, and forgets it after the retention.
func (r *run) linkTimer(event string) error {
	l, err := r.link(event)
	if err != nil || l == nil || r.m.cases == nil {
		return err
	}
	l.Timer = false
	if l.Late {
		return r.dropLink(l)
	}
	l.Late = true
	return r.place(l)
}

// placeAgain looks again at the events that are filed under a reference, some at a time.
func (r *run) placeAgain(ref, from string) error {
	next, err := r.placePage(ref, from, wakeBatch)
	if err != nil || next == "" {
		return err
	}
	return r.out.SetTimer(Timer{ID: timerAgain + hash(ref), At: r.soon(), Payload: stateKey(ref, next)})
}

func (r *run) placePage(ref, from string, limit int) (next string, err error) {
	var events []string
	prefix := stateKey(ref) + separator
	if from != "" {
		from = prefix + from
	}
	err = r.st.Scan(bucketLinkOf, prefix, from, func(k string, _ []byte) (bool, error) {
		event := stateParts(k)[1]
		if len(events) == limit {
			next = event
			return false, nil
		}
		events = append(events, event)
		return true, nil
	})
	if err != nil {
		return "", err
	}
	for _, event := range events {
		l, err := r.link(event)
		if err != nil {
			return "", err
		}
		if l == nil {
			continue
		}
		if err := r.place(l); err != nil {
			return "", err
		}
	}
	return next, nil
}

// LinkCase applies a person's decision that what carries the reference belongs to the case with a strong key: what waits goes there
// now, at most limit events a call, and what comes later follows. from is empty at first, then what the call before returned;
// next is empty when everything is done.
func (p *Mapper) LinkCase(st State, out Output, at Entry, ref, strong, from string, limit int) (next string, err error) {
	if p.m.cases == nil {
		return "", nil
	}
	if from == "" {
		if err := st.Put(bucketByHand, ref, []byte(strong)); err != nil {
			return "", err
		}
	}
	return p.run(st, out, at).placePage(ref, from, limit)
}

// Posted files an event that the pipeline derived from an outcome, such as erp.posted, under its case.
func (p *Mapper) Posted(st State, out Output, at Entry, ev Event) error {
	return p.run(st, out, at).toCases(&ev)
}
