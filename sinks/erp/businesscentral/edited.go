package businesscentral

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/sinks"
)

// storedFact begins the facts that say what Business Central made of a value that was written.
const storedFact = "stored."

// edit is a field that somebody changed in Business Central since it was written.
type edit struct {
	field        string // as the body calls it
	there        string
	last, wanted any
}

// last resolves what was written last, so that what somebody else wrote since is told from it.
func (x *exchange) last(op sinks.Operation, req *masterRequest) *sinks.Outcome {
	if op.Last == nil {
		return nil
	}
	was := op
	was.Body, was.Last = op.Last.Body, nil
	before, out := x.prepareMaster(was)
	if out != nil {
		if out.Class == sinks.Rejected { // a name that was there then is no more: nothing can be told from it
			return nil
		}
		return out
	}
	req.Was, req.Take, req.Kept, req.Stored = before.Wanted, op.Take, map[string]string{}, map[string]string{}
	for name, v := range op.Last.Facts {
		if field, ok := strings.CutPrefix(name, sinks.KeptFact); ok {
			req.Kept[field] = v
		}
		if field, ok := strings.CutPrefix(name, storedFact); ok {
			req.Stored[field] = v
		}
	}
	return nil
}

// settle compares what is wanted with what was written last and what is there now. It returns the fields that somebody else changed and that
// are wanted otherwise, unless a person has chosen; fields in which the value there stays are taken out of the request, and remembered in Kept.
func (x *exchange) settle(m *master, req *masterRequest, r record) (edits []edit) {
	kept := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(req.Wanted)) {
		want := req.Wanted[name]
		last, written := req.Was[name]
		if !written || x.same(r, name, want) || x.same(r, name, last) {
			continue // nobody else wrote it, or the same
		}
		field, there := m.calls(name), r.text(name)
		if stored, changed := req.Stored[field]; changed && stored == there {
			continue // it was Business Central itself
		}
		before, stays := req.Kept[field]
		switch stays = stays && before == there && fmt.Sprint(want) == fmt.Sprint(last); {
		case stays, req.Take == sinks.TakeTheirs:
			delete(req.Wanted, name)
			kept[field] = there
		case req.Take != sinks.TakeOurs:
			edits = append(edits, edit{field, there, last, want})
		}
	}
	req.Kept = kept
	return edits
}

// calls is what the body calls a property.
func (m *master) calls(theirs string) string {
	for _, f := range m.fields {
		if f.theirs == theirs {
			return f.name
		}
	}
	return theirs
}

// changedInTarget is the outcome of edits that nobody has judged: both values of each field.
func changedInTarget(req masterRequest, edits []edit) *sinks.Outcome {
	var texts, names []string
	facts := map[string]string{}
	for _, e := range edits {
		names = append(names, e.field)
		last, wanted := orNone(shown(e.last)), orNone(shown(e.wanted))
		texts = append(texts, fmt.Sprintf("%s is %q there, %q was written, %q is wanted", e.field, orNone(e.there), last, wanted))
		facts["there."+e.field], facts["last."+e.field], facts["wanted."+e.field] = orNone(e.there), last, wanted
	}
	o := conflict(sinks.CodeChanged, fmt.Sprintf("Somebody changed %s in %s of Business Central: %s.", req.Code, req.Set, strings.Join(texts, "; ")),
		"Choose whose value stays: waybill master settle <exception> --take ours, or --take theirs.")
	o.Field, o.Facts = strings.Join(names, ", "), facts
	return o
}

func shown(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}
