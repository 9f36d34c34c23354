package sql

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

// request is what an intent freezes: the row as it shall be, in canonical texts.
type request struct {
	Table  string  `json:"table"` // schema.table
	Delete bool    `json:"delete,omitempty"`
	Key    []field `json:"key"`
	Set    []field `json:"set,omitempty"`
	Once   []field `json:"once,omitempty"` // only when the row is made
	// Was is what was written last, where edits of others are looked for; Version the row's number then. Take is whose value a person chose.
	Was     []field           `json:"was,omitempty"`
	Version string            `json:"version,omitempty"`
	Take    string            `json:"take,omitempty"`
	Kept    map[string]string `json:"kept,omitempty"` // values of others that a person left, by column
}

// field is the value of one column; nil is NULL.
type field struct {
	Column string  `json:"column"`
	Value  *string `json:"value"`
}

// factVersion is the fact that keeps a row's version; factKept begins those of values that a person left.
const factVersion = "version"

// freeze makes the request of an operation.
func (s *Sink) freeze(op sinks.Operation, t *table) (request, *sinks.Outcome) {
	e := s.cfg.Entities[op.Entity]
	if t == nil {
		return request{}, s.noTable(e)
	}
	r := request{Table: t.schema + "." + t.name, Take: op.Take}
	out := s.fill(&r, op, e, t)
	if out != nil || op.Last == nil || r.Delete {
		return r, out
	}
	if e.Version != "" {
		r.Version = op.Last.Facts[factVersion]
	}
	if !e.UnlessChanged {
		return r, nil
	}
	was, before := request{}, op
	before.Body = op.Last.Body
	if s.fill(&was, before, e, t) != nil || was.Delete {
		return r, nil // what was written last cannot be told under today's columns
	}
	r.Was, r.Kept = was.Set, map[string]string{}
	for name, v := range op.Last.Facts {
		if col, ok := strings.CutPrefix(name, sinks.KeptFact); ok {
			r.Kept[col] = v
		}
	}
	return r, nil
}

// fill takes the columns' values out of the body.
func (s *Sink) fill(r *request, op sinks.Operation, e Entity, t *table) *sinks.Outcome {
	v, err := decode(op.Body)
	body, ok := v.(map[string]any)
	if err != nil || !ok {
		return rejected("BODY", "", "the body is no JSON object", "Correct the body of the post in the mapping.")
	}
	for _, col := range slices.Sorted(maps.Keys(e.Key)) {
		f, there, out := s.value(op, body, e, t, col, e.Key[col])
		if out != nil {
			return out
		}
		if !there || f.Value == nil || *f.Value == "" {
			return rejected(codeRequired, e.Key[col], fmt.Sprintf("found nothing in %s, expected the key of %s for the column %s", e.Key[col], r.Table, col),
				"Give the member in the mapping's body.")
		}
		r.Key = append(r.Key, f)
	}
	if e.DeleteUnless != "" {
		keep, there := member(op, body, e.DeleteUnless)
		if is, ok := keep.(bool); there && ok && !is {
			r.Delete = true
			return nil
		} else if there && !ok {
			return rejected(codeType, e.DeleteUnless, fmt.Sprintf("found %v in %s, expected true or false", clip(fmt.Sprint(keep), 80), e.DeleteUnless), "Give true or false in the mapping's body.")
		}
	}
	put := func(f field) {
		if slices.Contains(e.InsertOnly, f.Column) {
			r.Once = append(r.Once, f)
		} else {
			r.Set = append(r.Set, f)
		}
	}
	for _, col := range slices.Sorted(maps.Keys(e.Columns)) {
		f, there, out := s.value(op, body, e, t, col, e.Columns[col])
		if out != nil {
			return out
		}
		if there {
			put(f)
		}
	}
	for _, col := range slices.Sorted(maps.Keys(e.Constants)) {
		c := t.columns[col]
		if c == nil {
			return noColumn(t, col)
		}
		text, bad := c.parse(e.Constants[col], s.zone)
		if bad != nil {
			return setup(bad.code, col, fmt.Sprintf("the constant of the column %s: found %s, expected %s", col, bad.found, bad.expected), "Correct constants in the sink's configuration.")
		}
		put(field{col, &text})
	}
	return nil
}

// value makes the value of a column. there says whether the body has the member.
func (s *Sink) value(op sinks.Operation, body map[string]any, e Entity, t *table, col, name string) (f field, there bool, out *sinks.Outcome) {
	c := t.columns[col]
	if c == nil {
		return f, false, noColumn(t, col)
	}
	v, there := member(op, body, name)
	if !there {
		return f, false, nil
	}
	text, bad := c.text(v, s.zone, e.Booleans[col])
	if bad != nil {
		return f, true, rejected(bad.code, name, fmt.Sprintf("%s for the column %s.%s: found %s, expected %s", name, t.name, col, bad.found, bad.expected),
			"Correct the value in its source or in the mapping; it is never rounded or cut.")
	}
	return field{col, text}, true, nil
}

// member looks a dotted member up.
func member(op sinks.Operation, body map[string]any, name string) (any, bool) {
	switch name {
	case memberExternalID:
		return op.ExternalID, op.ExternalID != ""
	case memberCompany:
		return op.Company, op.Company != ""
	}
	parts := strings.Split(name, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := body[part].(map[string]any)
		if !ok {
			return nil, false
		}
		body = inner
	}
	v, ok := body[parts[len(parts)-1]]
	return v, ok
}

func setup(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Setup, Code: code, Field: field, Message: clip(message, 500), Hint: hint}
}

func (s *Sink) noTable(e Entity) *sinks.Outcome {
	schema, name := e.table(s.cfg.Schema)
	return setup(codeTable, "", fmt.Sprintf("there is no table %s.%s, or %s may not see it", schema, name, s.cfg.User), "Correct table in the sink's entities, or grant rights on it.")
}

func noColumn(t *table, col string) *sinks.Outcome {
	return setup(codeTable, col, fmt.Sprintf("the table %s.%s has no column %s; it has %s", t.schema, t.name, col, clip(strings.Join(t.order, ", "), 300)),
		"Correct the column's name in the sink's entities.")
}

// written is the row in the words of the source that captures it.
func (r *request) written(source string, t *table) *transform.Written {
	w := &transform.Written{Source: source, Table: cdc.Table{Schema: t.schema, Name: t.name}, Key: map[string]string{}, Delete: r.Delete}
	for _, f := range r.Key {
		w.Key[f.Column] = str(f.Value)
	}
	if len(r.Set) > 0 {
		w.Columns = map[string]*string{}
	}
	for _, f := range r.Set {
		w.Columns[f.Column] = f.Value
	}
	return w
}

// unfreeze reads a request back.
func unfreeze(raw json.RawMessage) (r request, err error) {
	err = json.Unmarshal(raw, &r)
	return r, err
}
