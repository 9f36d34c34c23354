package netsuite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

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

// locked is what other work on the same record makes of a change.
func locked() *problem {
	return refusal(http.StatusBadRequest, detail{Detail: "Error while accessing a resource. Record has been changed.", Code: "RCRD_HAS_BEEN_CHANGED"})
}
