package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// incomplete says why an event may not leave: a required field has no value, or a field has another form than the catalogue says. What is
// trouble already is not told again.
func (s *shape) incomplete(f *frame, subject, rule string) []*trouble {
	var all []*trouble
	for _, need := range s.need {
		if !hasOne(f, need) {
			all = append(all, s.trouble(subject, rule, strings.Join(need, " or "), "has no value for", ", which the event must have"))
		}
	}
	for i := range s.look {
		if l := &s.look[i]; !hasForm(l.kind, f.fields[l.name]) {
			all = append(all, s.trouble(subject, rule, l.name, "has "+shownValue(f.fields[l.name])+" for", ", which is "+formWords[l.kind]))
		}
	}
	for n, line := range f.made {
		for i := range s.line {
			if l := &s.line[i]; !hasForm(l.kind, line[l.name]) {
				name := fmt.Sprintf("%s[%d].%s", s.list, n+1, l.name)
				all = append(all, s.trouble(subject, rule, name, "has "+shownValue(line[l.name])+" for", ", which is "+formWords[l.kind]))
			}
		}
	}
	return all
}

func (s *shape) trouble(subject, rule, field, has, must string) *trouble {
	return &trouble{class: "DATA", code: "EVENT_INCOMPLETE", cause: subject + "/" + s.typ + "/" + field,
		title: fmt.Sprintf("%s cannot leave as %s: it %s %s%s.", subject, s.typ, has, field, must),
		hint: fmt.Sprintf("Fill it in the source, or correct the rule %s (%s) and activate the mapping; waybill events schema %s shows the form.",
			s.typ, rule, s.typ),
		evidence: map[string]any{"event": s.typ, "field": field}}
}

// lacks reports whether a required field cannot be had, for whatever reason.
func (s *shape) lacks(f *frame) bool {
	for _, need := range catalogue[s.typ].Needs() {
		if s.list != "" && f.made != nil && slices.Contains(need, s.list) {
			continue // lines are no field of their own
		}
		if !hasOne(f, need) || troubled(f, need) {
			return true
		}
	}
	return false
}

// hasOne reports whether one of the fields, or a part of one, has a value or is in trouble.
func hasOne(f *frame, need []string) bool {
	for _, name := range need {
		if v, ok := f.fields[name]; ok && v != nil && v != types.NullValue {
			return true
		}
	}
	for given, v := range f.fields {
		for _, name := range need {
			if strings.HasPrefix(given, name+".") && v != nil && v != types.NullValue {
				return true
			}
		}
	}
	return false
}

// troubled reports whether what there is of the fields is trouble alone.
func troubled(f *frame, need []string) bool {
	bad := false
	for _, name := range need {
		switch v := f.fields[name]; {
		case types.IsError(v):
			bad = true
		case v != nil && v != types.NullValue:
			return false
		}
	}
	return bad
}

func shownValue(v ref.Val) string {
	if _, ok := v.(record); ok {
		return "parts"
	}
	return fmt.Sprintf("%q", clip(textOf(v), 80))
}

// plainDecimal is an exact number without exponent.
var plainDecimal = regexp.MustCompile(`^-?\d+(\.\d+)?$`)

// localTime is a time without zone as the sources give it.
var localTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?$`)

// hasForm reports whether a value has the form that the catalogue wants. No value, and one that is trouble already, fit.
func hasForm(kind ValueKind, v ref.Val) bool {
	switch v := v.(type) {
	case nil, types.Null, *types.Err:
		return true
	case record:
		return v.hasForm(kind)
	case types.Int:
		return numeric(kind) || kind == KindInt || kind == KindText
	case types.Bool:
		return kind == KindBool || kind == KindAny
	case number:
		return numeric(kind) || kind == KindText
	case types.Timestamp:
		inReach := v.Time.Year() >= 1 && v.Time.Year() <= 9999
		return inReach && (kind == KindWhen || kind == KindInstant) || kind == KindText || kind == KindAny
	case civil:
		switch kind {
		case KindDate:
			return v.kind == cdc.KindDate && isDay(v.text)
		case KindWhen:
			return v.kind != cdc.KindTime && localTime.MatchString(v.text) && isDay(v.text[:10])
		}
		return kind == KindText || kind == KindRef || kind == KindAny
	case types.String:
		return textFits(kind, string(v))
	}
	return kind == KindAny
}

func textFits(kind ValueKind, s string) bool {
	switch kind {
	case KindMoney, KindQty:
		return len(s) <= maxDigits && plainDecimal.MatchString(s)
	case KindDate:
		return isDay(s)
	case KindWhen:
		if localTime.MatchString(s) {
			return isDay(s[:10])
		}
		return isInstant(s)
	case KindInstant:
		return isInstant(s)
	case KindInt, KindBool, KindObject, KindList:
		return false
	}
	return true
}

// numeric reports whether a number has the form.
func numeric(kind ValueKind) bool {
	switch kind {
	case KindMoney, KindQty, KindRef, KindCode, KindAny:
		return true
	}
	return false
}

func isInstant(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// isDay reports whether a text is a day of the years 1 to 9999.
func isDay(s string) bool {
	_, err := time.Parse(civilDate, s)
	return err == nil && s >= "0001"
}

// hasForm reports whether a record is the full form.
func (r record) hasForm(kind ValueKind) bool {
	if kind == KindObject || kind == KindAny || kind == KindRef {
		return true
	}
	parts, ok := fullForms[kind]
	for _, p := range parts {
		v := r[p.Name]
		if p.Required && (v == nil || v == types.NullValue) || !hasForm(p.Kind, v) {
			return false
		}
	}
	return ok
}
