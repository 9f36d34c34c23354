package netsuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	dateForm   = "2006-01-02"
	momentForm = "2006-01-02T15:04:05Z"
)

// record is one record with all that it ever was, so that a read may be stale.
type record struct {
	kind     *kind
	id       string
	versions []version // oldest first
}

type version struct {
	at     time.Time
	values map[string]any // never changed
	gone   bool
}

func (r *record) last() version { return r.versions[len(r.versions)-1] }

// copy are the values as they are now, to be changed.
func (r *record) copy() map[string]any { return clone(r.last().values).(map[string]any) }

func (r *record) put(values map[string]any, gone bool) {
	now := time.Now()
	values["lastModifiedDate"] = now.UTC().Format(momentForm)
	r.versions = append(r.versions, version{now, values, gone})
}

// at is the record as it was then; nil when it was not there.
func (r *record) at(then time.Time) map[string]any {
	for _, v := range slices.Backward(r.versions) {
		if !v.at.After(then) {
			if v.gone {
				return nil
			}
			return v.values
		}
	}
	return nil
}

func (r *record) now() map[string]any { return r.at(time.Now()) }

func (s *Server) byID(kind, id string) *record {
	for _, r := range s.records[kind] {
		if r.id == id && !r.last().gone {
			return r
		}
	}
	return nil
}

func (s *Server) byExternal(kind, external string) *record {
	if external == "" {
		return nil
	}
	for _, r := range s.records[kind] {
		if !r.last().gone && str(r.last().values, "externalId") == external {
			return r
		}
	}
	return nil
}

// clone copies what JSON holds.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		to := make(map[string]any, len(v))
		for name, value := range v {
			to[name] = clone(value)
		}
		return to
	case []any:
		to := make([]any, len(v))
		for i, value := range v {
			to[i] = clone(value)
		}
		return to
	}
	return v
}

func str(values map[string]any, name string) string {
	switch v := values[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// ref is the id that a reference holds.
func ref(values map[string]any, name string) string {
	m, _ := values[name].(map[string]any)
	return str(m, "id")
}

// rows are the lines of a sublist.
func rows(values map[string]any, name string) []map[string]any {
	list, _ := values[name].([]any)
	var all []map[string]any
	for _, line := range list {
		if m, ok := line.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// decode reads JSON without losing a digit; nothing may follow it.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// render is a record as it is read. Sublists are links, unless all is asked for.
func (s *Server) render(base string, r *record, values map[string]any, expand bool) map[string]any {
	self := fmt.Sprintf("%s/services/rest/record/v1/%s/%s", base, r.kind.name, r.id)
	out := map[string]any{"links": links(self), "id": r.id}
	if label := str(values, r.kind.label); label != "" {
		out["refName"] = label
	}
	for name, value := range values {
		out[name] = s.renderValue(base, self+"/"+name, r.kind.fields[name], value, expand)
	}
	return out
}

func links(href string) []map[string]string {
	return []map[string]string{{"rel": "self", "href": href}}
}

func (s *Server) renderValue(base, self string, f field, value any, expand bool) any {
	m, _ := value.(map[string]any)
	switch f.form {
	case reference:
		return s.renderReference(base, f, m)
	case references, sublist:
		if !expand {
			return map[string]any{"links": links(self)}
		}
		list, _ := value.([]any)
		items := make([]any, 0, len(list))
		for _, line := range list {
			if f.form == references {
				items = append(items, s.renderReference(base, f, line.(map[string]any)))
				continue
			}
			one := map[string]any{"links": links(self + "/" + str(line.(map[string]any), "line"))}
			for name, v := range line.(map[string]any) {
				one[name] = s.renderValue(base, self+"/"+name, f.fields[name], v, expand)
			}
			items = append(items, one)
		}
		return map[string]any{"links": links(self), "items": items, "totalResults": len(items)}
	case object:
		if !expand {
			return map[string]any{"links": links(self)}
		}
		one := map[string]any{"links": links(self)}
		for name, v := range m {
			one[name] = s.renderValue(base, self+"/"+name, f.fields[name], v, expand)
		}
		return one
	}
	return value
}

func (s *Server) renderReference(base string, f field, m map[string]any) any {
	id := str(m, "id")
	out := map[string]any{"id": id}
	if name := str(m, "refName"); name != "" {
		out["refName"] = name
	}
	for _, k := range f.to {
		if r := s.byID(k, id); r != nil {
			out["refName"] = str(r.last().values, r.kind.label)
			out["links"] = links(fmt.Sprintf("%s/services/rest/record/v1/%s/%s", base, k, id))
		}
	}
	return out
}
