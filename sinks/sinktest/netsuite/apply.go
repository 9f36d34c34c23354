package netsuite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

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
