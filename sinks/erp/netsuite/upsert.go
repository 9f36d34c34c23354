package netsuite

import (
	"encoding/json"
	"fmt"
	"strings"

	"waybill/sinks"
)

// upsertMaster creates the record, or writes what differs, unless somebody else changed the same since it was written.
func (x *exchange) upsertMaster(in sinks.Intent, req request) sinks.Outcome {
	if out := x.awaits(in, req); out != nil {
		return *out
	}
	m, w := masters[in.Entity], req.Master
	r, out := x.find(req.Type, req.Key)
	if out != nil {
		return *out
	}
	is := map[string]string{}
	if r != nil {
		is = x.there(m, r)
		if edits := w.settle(m, is, r, x); len(edits) > 0 {
			return *changedInTarget(w.Code, edits)
		}
		if len(w.differences(is)) == 0 {
			return masterOutcome(sinks.AlreadyApplied, r.text("id"), w)
		}
	}
	body, replace, out := x.bodyOf(m, w, r, is)
	if out != nil {
		return *out
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return *rejected("BODY", "", err.Error(), "")
	}
	if out := x.send(in, req, raw, replace); out != nil {
		return *out
	}
	after, out := x.find(req.Type, req.Key)
	if out != nil || after == nil {
		return sinks.Outcome{Class: sinks.Unknown, Code: codeOutage, Outage: out != nil && out.Outage, Message: "The record was saved and could not be read back."}
	}
	if diff := w.differences(x.there(m, after)); len(diff) > 0 {
		return *conflict("NOT_KEPT", fmt.Sprintf("NetSuite took the record %s and keeps something else: %s.", w.Code, strings.Join(diff, "; ")),
			"A form, a script or a workflow of the account changes it; correct that, or leave the field out of the mapping.")
	}
	return masterOutcome(sinks.Applied, after.text("id"), w)
}

// verifyMaster reads the record. One that differs is absent rather than in conflict: an upsert may be sent again.
func (x *exchange) verifyMaster(in sinks.Intent, req request) sinks.Outcome {
	if out := x.awaits(in, req); out != nil {
		return *out
	}
	m, w := masters[in.Entity], req.Master
	r, out := x.find(req.Type, req.Key)
	switch {
	case out != nil:
		return *out
	case r == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("NetSuite has no %s with the external id %s.", req.Type, req.Key)}
	}
	is := x.there(m, r)
	w.settle(m, is, r, x)
	if diff := w.differences(is); len(diff) > 0 {
		return sinks.Outcome{Class: sinks.Absent, Ref: r.text("id"), Message: "The record has other values: " + strings.Join(diff, "; ")}
	}
	return masterOutcome(sinks.AlreadyApplied, r.text("id"), w)
}

func masterOutcome(class sinks.Class, ref string, w *wanted) sinks.Outcome {
	o := sinks.Outcome{Class: class, Ref: ref, Number: w.Code}
	for name, v := range w.Kept {
		if o.Facts == nil {
			o.Facts = map[string]string{}
		}
		o.Facts[sinks.KeptFact+name] = v
	}
	return o
}

// differences names the members that NetSuite has otherwise, with both values.
func (w *wanted) differences(is map[string]string) []string {
	var diff []string
	for _, name := range sortedKeys(w.Values) {
		if there, shown := is[name]; shown && !same(name, there, w.Values[name]) {
			diff = append(diff, fmt.Sprintf("%s is %s in NetSuite, %s here", name, orNone(there), orNone(w.Values[name])))
		}
	}
	return diff
}

// bodyOf makes what is sent. A record that is there gets all members that are wanted; its address only if that differs, for it is a sublist
// that is exchanged as a whole.
func (x *exchange) bodyOf(m masterKind, w *wanted, r record, is map[string]string) (body record, replace string, out *sinks.Outcome) {
	body = record{}
	if r == nil {
		for name, v := range m.fixed {
			body[name] = v
		}
		switch {
		case w.Subsidiary != "" && m.subsidiary == "one":
			body["subsidiary"] = refer(w.Subsidiary)
		case w.Subsidiary != "" && m.subsidiary == "many":
			body["subsidiary"] = record{"items": []record{refer(w.Subsidiary)}}
		}
	}
	address, moved := record{}, false
	for _, f := range m.members {
		v, set := w.Values[f.name]
		at := x.at(m, f)
		if !set || at == "" {
			if f.how == asAddress && is[f.name] != "" {
				address[at] = x.addressPart(f, is[f.name])
			}
			continue
		}
		switch {
		case f.how == asFlag:
			body[at] = v != "true"
		case f.how == asPercent:
			body[at] = orNull(v, json.Number(v))
		case f.how == asRef:
			body[at] = orNull(v, refer(v))
		case f.how == asAddress:
			moved = moved || !same(f.name, is[f.name], v)
			address[at] = x.addressPart(f, v)
		default:
			body[at] = orNull(v, v)
		}
	}
	if !moved {
		return body, "", nil
	}
	return x.withAddress(m, body, address, r)
}

func (x *exchange) addressPart(f member, v string) any {
	if f.name == "country" {
		return orNull(v, refer(v))
	}
	return orNull(v, v)
}

func orNull(v string, value any) any {
	if v == "" {
		return nil
	}
	return value
}

// withAddress adds the address. The address book is exchanged on purpose (replace), for a PUT would add a second line; with more than one line
// there, the others would be lost, and a person has to say.
func (x *exchange) withAddress(m masterKind, body, address, r record) (record, string, *sinks.Outcome) {
	if !m.book {
		body["mainAddress"] = address
		return body, "", nil
	}
	line := record{"addressBookAddress": address, "defaultBilling": true, "defaultShipping": true}
	lines := r.items("addressBook")
	switch {
	case r != nil && x.cfg.Addresses == addressCreate && len(lines) > 0:
		return body, "", nil
	case len(lines) > 1:
		return nil, "", conflict("ADDRESSES", fmt.Sprintf("NetSuite holds %d addresses of the record, and the wanted one differs; exchanging it would remove the others.", len(lines)),
			"Set the address right in NetSuite, or set addresses: create of the sink.")
	}
	body["addressBook"] = record{"items": []record{line}}
	if r == nil {
		return body, "", nil
	}
	return body, "addressBook", nil
}

// edit is a member that was changed in NetSuite since it was written.
type edit struct{ field, there, last, wanted string }

// settle compares what is wanted with what was written last and what is there now. It returns the members that somebody else changed and
// that are wanted otherwise, unless a person has chosen; members in which NetSuite's value stays are taken out of what is wanted, and
// remembered in Kept.
func (w *wanted) settle(m masterKind, is map[string]string, r record, x *exchange) []edit {
	if x.cfg.Addresses == addressCreate && m.book && len(r.items("addressBook")) > 0 {
		for _, f := range addressMembers() {
			delete(w.Values, f.name)
		}
	}
	if w.Was == nil {
		return nil
	}
	kept := map[string]string{}
	var edits []edit
	for _, name := range sortedKeys(w.Values) {
		want, there := w.Values[name], is[name]
		last, written := w.Was[name]
		if _, shown := is[name]; !shown || !written || same(name, there, want) || same(name, there, last) {
			continue // nobody else wrote it, or the same
		}
		before, stays := w.Kept[name]
		stays = stays && same(name, there, before) && same(name, want, last)
		switch {
		case stays, w.Take == sinks.TakeTheirs:
			delete(w.Values, name)
			kept[name] = there
		case w.Take != sinks.TakeOurs:
			edits = append(edits, edit{name, w.shown(m, r, name, there), last, orNone(first(w.Words[name], want))})
		}
	}
	w.Kept = kept
	return edits
}

// shown is what is there for people: a reference by its name.
func (w *wanted) shown(m masterKind, r record, name, there string) string {
	for _, f := range m.members {
		if f.name == name && f.how == asRef {
			return orNone(r.shown(f.at))
		}
	}
	return orNone(there)
}

// changedInTarget is the outcome of edits that nobody has judged: both values of each member.
func changedInTarget(code string, edits []edit) *sinks.Outcome {
	var texts, names []string
	facts := map[string]string{}
	for _, e := range edits {
		names = append(names, e.field)
		texts = append(texts, fmt.Sprintf("%s is %q there, %q was written, %q is wanted", e.field, e.there, e.last, e.wanted))
		facts["there."+e.field], facts["last."+e.field], facts["wanted."+e.field] = e.there, e.last, e.wanted
	}
	o := conflict(sinks.CodeChanged, fmt.Sprintf("Somebody changed %s in NetSuite: %s.", code, strings.Join(texts, "; ")),
		"Choose whose value stays: waybill master settle <exception> --take ours, or --take theirs.")
	o.Field, o.Facts = strings.Join(names, ", "), facts
	return o
}
