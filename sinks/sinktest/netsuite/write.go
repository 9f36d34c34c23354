package netsuite

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

// level is how strictly the product looks at a body.
type level string

// The levels, as the headers name them.
const (
	Error   level = "Error"
	Warning level = "Warning"
	Ignore  level = "Ignore"
)

type strictness struct{ names, values level }

// write is one change of one record. The server's lock is held.
type write struct {
	server  *Server
	sim     *sinktest.Sim // nil: a person does it, and the ledger does not hear of it
	kind    *kind
	strict  strictness
	replace map[string]bool // sublists whose lines are replaced
	system  bool            // who may write what clients may only read
	warned  []string
}

// externalIDs is the alphabet of external ids.
var externalIDs = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// create makes a record.
func (w *write) create(body map[string]any) (*record, *problem) {
	if w.kind.readOnly && !w.system {
		return nil, wrong("INSUFFICIENT_PERMISSION", "", "Your current role does not have permission to create a %s.", w.kind.name)
	}
	values := map[string]any{}
	if p := w.fill(values, nil, body); p != nil {
		return nil, p
	}
	s := w.server
	s.lastID++
	r := &record{kind: w.kind, id: strconv.Itoa(s.lastID)}
	s.records[w.kind.name] = append(s.records[w.kind.name], r)
	w.store(r, values, "create")
	return r, nil
}

// update changes a record.
func (w *write) update(r *record, body map[string]any) *problem {
	if w.kind.readOnly && !w.system {
		return wrong("INSUFFICIENT_PERMISSION", "", "Your current role does not have permission to change a %s.", w.kind.name)
	}
	before, values := r.last().values, r.copy()
	if p := w.fill(values, r, body); p != nil {
		return p
	}
	w.store(r, values, "update")
	if w.kind.name == "creditMemo" {
		w.server.settle(before) // what it is no longer applied to
	}
	return nil
}

// fill applies a body and what follows from it.
func (w *write) fill(values map[string]any, r *record, body map[string]any) *problem {
	if p := w.apply(values, w.kind.fields, body, ""); p != nil {
		return p
	}
	if external := str(values, "externalId"); external != "" {
		if !externalIDs.MatchString(external) {
			return content("externalId", "The external ID %q has other characters than letters, digits, _ and -.", external)
		}
		if other := w.server.byExternal(w.kind.name, external); other != nil && other != r {
			return wrong(userError, "externalId", "This record already exists.")
		}
	}
	for _, name := range w.kind.required {
		if values[name] == nil {
			return wrong(userError, name, "Please enter value(s) for: %s", name)
		}
	}
	if w.kind.finish != nil {
		return w.kind.finish(w, r, values)
	}
	return nil
}

func (w *write) store(r *record, values map[string]any, step string) {
	r.put(values, false)
	if w.kind.name == "creditMemo" {
		w.server.settle(values)
	}
	w.commit(r, step)
}

// remove deletes a record.
func (w *write) remove(r *record) *problem {
	s := w.server
	values := r.last().values
	if w.kind.readOnly {
		return wrong("INSUFFICIENT_PERMISSION", "", "Your current role does not have permission to delete a %s.", w.kind.name)
	}
	if s.used(r) {
		return wrong(userError, "", "This record cannot be deleted because it has dependent records.")
	}
	if p := w.openPeriod(str(values, "tranDate")); values["tranDate"] != nil && p != nil {
		return p
	}
	r.put(r.copy(), true)
	if w.kind.name == "creditMemo" {
		s.settle(values)
	}
	w.commit(r, "delete")
	return nil
}

// used reports whether another record needs this one.
func (s *Server) used(r *record) bool {
	for _, other := range slices.Concat(s.records["invoice"], s.records["creditMemo"]) {
		values := other.now()
		switch {
		case values == nil || other == r:
		case r.kind.name == "customer" && ref(values, "entity") == r.id, r.kind.name == "invoice" && ref(values, "createdFrom") == r.id:
			return true
		default:
			for _, line := range rows(values, "apply") {
				if r.kind.name == "invoice" && ref(line, "doc") == r.id {
					return true
				}
			}
		}
	}
	return false
}

// commit writes a line of the ledger.
func (w *write) commit(r *record, step string) {
	if w.sim == nil || w.kind.entity == "" {
		return
	}
	values := r.last().values
	raw, err := json.Marshal(values)
	if err != nil {
		panic(fmt.Sprintf("the body of a %s: %v", w.kind.name, err))
	}
	c := sinktest.Committed{Entity: w.kind.entity, Step: step, Key: str(values, "externalId"), ID: r.id, Number: str(values, w.kind.label), Total: str(values, "total"), Body: raw}
	if id := ref(values, "subsidiary"); id != "" {
		if sub := w.server.byID("subsidiary", id); sub != nil {
			c.Company = str(sub.last().values, "name")
		}
	}
	w.sim.Commit(c)
}

// apply writes the members of a body into a record, or into a part of one.
func (w *write) apply(values map[string]any, fields map[string]field, body map[string]any, path string) *problem {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if name == "links" || name == "refName" || name == "id" && path == "" {
			continue
		}
		at := path + name
		f, known := w.server.field(w.kind, fields, name)
		if !known {
			if w.strict.names == Error {
				return content(at, "Unknown property: %s.", at)
			}
			if w.strict.names == Warning {
				w.warned = append(w.warned, at)
			}
			continue
		}
		if p := w.set(values, name, f, body[name], at); p != nil {
			if w.strict.values == Error {
				return p
			}
			if w.strict.values == Warning {
				w.warned = append(w.warned, at)
			}
		}
	}
	return nil
}

func (w *write) set(values map[string]any, name string, f field, value any, at string) *problem {
	if f.fixed {
		return content(at, "The field %s cannot be set.", at)
	}
	if value == nil {
		delete(values, name)
		return nil
	}
	switch f.form {
	case sublist:
		return w.setLines(values, name, f, value, at)
	case object:
		m, ok := value.(map[string]any)
		if !ok {
			return content(at, "The field %s takes an object.", at)
		}
		old, _ := values[name].(map[string]any)
		if old == nil {
			old = map[string]any{}
		}
		values[name] = old
		return w.apply(old, f.fields, m, at+".")
	case references:
		m, _ := value.(map[string]any)
		items, ok := m["items"].([]any)
		if !ok {
			return content(at, "The field %s takes a list of items.", at)
		}
		list := make([]any, 0, len(items))
		for i, item := range items {
			one, p := w.resolve(f, item, fmt.Sprintf("%s.items[%d]", at, i), name)
			if p != nil {
				return p
			}
			list = append(list, one)
		}
		values[name] = list
		return nil
	case reference:
		one, p := w.resolve(f, value, at, name)
		if p == nil {
			values[name] = one
		}
		return p
	}
	if !scalar(f, value) {
		return content(at, "Invalid value for the field %s: %v.", at, value)
	}
	values[name] = value
	return nil
}

// scalar reports whether a value is of a form.
func scalar(f field, value any) bool {
	switch f.form {
	case truth:
		_, ok := value.(bool)
		return ok
	case number:
		n, ok := value.(json.Number)
		if ok {
			_, err := decimal.NewFromString(n.String())
			ok = err == nil
		}
		return ok
	case date, moment:
		text, _ := value.(string)
		_, err := time.Parse(dateForm, text)
		return err == nil
	}
	text, ok := value.(string)
	return ok && (f.most == 0 || utf8.RuneCountInString(text) <= f.most)
}

// resolve finds the record that a reference names.
func (w *write) resolve(f field, value any, at, name string) (map[string]any, *problem) {
	m, ok := value.(map[string]any)
	id, external := str(m, "id"), str(m, "externalId")
	if !ok || id == "" && external == "" {
		return nil, content(at, "The field %s takes a reference with an id or an external ID.", at)
	}
	if len(f.to) == 0 || f.to[0] == "country" {
		if id == "" || len(f.to) != 0 && len(id) != 2 {
			return nil, invalidValue(at, id+external, name)
		}
		return map[string]any{"id": id}, nil
	}
	for _, k := range f.to {
		var r *record
		if id != "" {
			r = w.server.byID(k, id)
		} else {
			r = w.server.byExternal(k, external)
		}
		if r == nil {
			continue
		}
		if r.last().values["isInactive"] == true {
			break
		}
		return map[string]any{"id": r.id}, nil
	}
	return nil, invalidValue(at, id+external, name)
}

// setLines adds lines to a sublist, or changes those that are named by their number; replaced sublists begin empty.
func (w *write) setLines(values map[string]any, name string, f field, value any, at string) *problem {
	m, _ := value.(map[string]any)
	items, ok := m["items"].([]any)
	if !ok {
		return content(at, "The sublist %s takes a list of items.", at)
	}
	list, _ := values[name].([]any)
	if w.replace[name] {
		list = nil
	}
	list = slices.Clone(list)
	next := 1
	for _, line := range list {
		n, err := strconv.Atoi(str(line.(map[string]any), "line"))
		if err == nil {
			next = max(next, n+1)
		}
	}
	for i, item := range items {
		where := fmt.Sprintf("%s.items[%d]", at, i)
		body, ok := item.(map[string]any)
		if !ok {
			return content(where, "A line is an object.")
		}
		var line map[string]any
		for _, old := range list {
			if n := str(body, "line"); n != "" && str(old.(map[string]any), "line") == n {
				line = old.(map[string]any)
			}
		}
		if line == nil {
			line = map[string]any{}
			list = append(list, line)
		}
		if p := w.apply(line, f.fields, body, where+"."); p != nil {
			return p
		}
		if str(line, "line") == "" {
			line["line"] = json.Number(strconv.Itoa(next))
			next++
		}
	}
	values[name] = list
	return nil
}

// locked is what other work on the same record makes of a change.
func locked() *problem {
	return refusal(http.StatusBadRequest, detail{Detail: "Error while accessing a resource. Record has been changed.", Code: "RCRD_HAS_BEEN_CHANGED"})
}
