package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TargetTable says what a target demands of the body of one entity. It is data alone, so that a version of master data can be proved
// before it is in force, without asking the target. Adapters declare it (sinks.Entity); the pipeline notes it in the journal, so that
// the same history is judged by the same table.
type TargetTable struct {
	Fields []TargetField `json:"fields,omitempty"`
	Closed bool          `json:"closed,omitempty"` // it takes no fields but these
}

// TargetField is what is demanded of one field of a body.
type TargetField struct {
	Name     string   `json:"name"`
	Required bool     `json:"required,omitempty"` // it has a value, and no empty text
	Most     int      `json:"most,omitempty"`     // characters at most; 0 without bound
	Values   []string `json:"values,omitempty"`   // it is one of these; empty for any
	Form     string   `json:"form,omitempty"`     // pattern (RE2) that it matches
	Means    string   `json:"means,omitempty"`    // the pattern in words, for people
	Needs    string   `json:"needs,omitempty"`    // another field that has a value when this one has
}

// MasterFault is why a version does not fit a target, or a rule of the mapping.
type MasterFault struct {
	Target   string `json:"target"` // <sink>.<entity>, or the mapping's own rule with file:line
	Field    string `json:"field"`
	Found    string `json:"found"`
	Expected string `json:"expected"`
}

func (f MasterFault) String() string {
	return fmt.Sprintf("%s: %s is %s, expected %s", f.Target, f.Field, f.Found, f.Expected)
}

// bucketTarget holds what the targets demand, for all mappings: <sink>.<entity> → TargetTable.
const bucketTarget = "tgt"

// SetTarget keeps what a target demands of an entity; nil forgets it.
func SetTarget(st State, target string, table *TargetTable) error {
	if table == nil {
		return st.Delete(bucketTarget, target)
	}
	raw, err := json.Marshal(table)
	if err != nil {
		return fmt.Errorf("writing what %s demands: %w", target, err)
	}
	return st.Put(bucketTarget, target, raw)
}

// TargetOf is what a target demands of an entity, nil when it was not said.
func TargetOf(st State, target string) (*TargetTable, error) {
	raw, err := st.Get(bucketTarget, target)
	if err != nil || raw == nil {
		return nil, err
	}
	var t TargetTable
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("reading what %s demands: %w", target, err)
	}
	return &t, nil
}

// Targets calls fn for each target of which something is kept, in the order of their names.
func Targets(st State, fn func(target string, table TargetTable) error) error {
	return st.Scan(bucketTarget, "", "", func(name string, raw []byte) (bool, error) {
		var t TargetTable
		if err := json.Unmarshal(raw, &t); err != nil {
			return false, fmt.Errorf("reading what %s demands: %w", name, err)
		}
		return true, fn(name, t)
	})
}

// Faults lists what is wrong with a body, a JSON object, in the order of the table. The error is a body that is none.
func (t *TargetTable) Faults(target string, body []byte) ([]MasterFault, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		return nil, fmt.Errorf("reading the body for %s: %w", target, err)
	}
	var all []MasterFault
	known := map[string]bool{}
	for i := range t.Fields {
		f := &t.Fields[i]
		known[f.Name] = true
		if found, expected, err := f.fault(fields); err != nil {
			return nil, fmt.Errorf("what %s demands of %s: %w", target, f.Name, err)
		} else if expected != "" {
			all = append(all, MasterFault{target, f.Name, found, expected})
		}
	}
	var others []string
	for name := range fields {
		if t.Closed && !known[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		all = append(all, MasterFault{target, name, "a field that it does not have", "one of " + t.names()})
	}
	return all, nil
}

func (t *TargetTable) names() string {
	var all []string
	for _, f := range t.Fields {
		all = append(all, f.Name)
	}
	return strings.Join(all, ", ")
}

// fault says what is found and expected; expected is empty when the field is right.
func (f *TargetField) fault(fields map[string]any) (found, expected string, err error) {
	text, has := bodyText(fields[f.Name])
	if !has {
		if f.Required {
			return "nothing", "a value", nil
		}
		return "", "", nil
	}
	shown := strconv.Quote(clip(text, 80))
	if n := utf8.RuneCountInString(text); f.Most > 0 && n > f.Most {
		return fmt.Sprintf("%s, %d characters", shown, n), fmt.Sprintf("at most %d", f.Most), nil
	}
	if len(f.Values) > 0 && !slices.Contains(f.Values, text) {
		return shown, "one of " + strings.Join(f.Values, ", "), nil
	}
	if f.Form != "" {
		form, err := regexp.Compile(f.Form)
		if err != nil {
			return "", "", err
		}
		if !form.MatchString(text) {
			if f.Means != "" {
				return shown, f.Means, nil
			}
			return shown, "the form " + f.Form, nil
		}
	}
	if f.Needs != "" {
		if _, has := bodyText(fields[f.Needs]); !has {
			return shown + " without " + f.Needs, "the field " + f.Needs + " beside it", nil
		}
	}
	return "", "", nil
}

// bodyText is a value of a body as text; no value and an empty text are none. Lists and objects are their JSON.
func bodyText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, strings.TrimSpace(v) != ""
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	raw, err := json.Marshal(v)
	return string(raw), err == nil
}
