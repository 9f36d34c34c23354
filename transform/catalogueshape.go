package transform

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
)

// shape is what is left to look at when a rule makes its event: compiled once, with everything that the types of the rule's
// expressions prove already left out.
type shape struct {
	typ  string
	need [][]string  // of each list one field has a value
	look []shapeLook // fields whose value may be of another form
	line []shapeLook // fields of each line
	list string      // the field that holds the lines
}

// shapeLook is a field to look at. Its name is the one that the mapping gives, dotted for a part.
type shapeLook struct {
	name string
	kind ValueKind
}

// shaped proves the fields of a rule against the catalogue and says what is left to look at.
func (c *compiler) shaped(f field, set []setting) *shape {
	t := catalogue[f.key]
	s := &shape{typ: f.key, need: t.Needs()}
	s.need = slices.DeleteFunc(s.need, func(need []string) bool { return c.certain(f, t, set, need) })
	for i := range set {
		if set[i].each {
			s.list = set[i].name
			if list, _ := t.field(set[i].name); list != nil && list.Kind != KindList && list.Kind != KindAny {
				c.misshaped(&set[i], "lines", list.Name, f.key, list.Kind, "")
			} else if list != nil {
				s.line = c.looks(f.key, list.Fields, set[i].sub)
			}
		}
	}
	s.look = c.looks(f.key, t.Fields, set)
	return s
}

// certain reports whether one of the fields is there whenever the rule can be evaluated. A field that no rule gives is a fault.
func (c *compiler) certain(f field, t *EventType, set []setting, need []string) bool {
	given := false
	for i := range set {
		head, _, _ := strings.Cut(set[i].name, ".")
		if !slices.Contains(need, head) {
			continue
		}
		given = true
		if set[i].each || !set[i].e.optional {
			return true // without a value it is a MISSING_FIELD
		}
	}
	if !given {
		var all []string
		for _, n := range t.Needs() {
			all = append(all, strings.Join(n, " or "))
		}
		c.fault(f.at, "event "+f.key+" without the field "+strings.Join(need, " or "), "every field that the catalogue requires: "+
			strings.Join(all, ", "), need[0]+": <expression> in its set")
	}
	return !given
}

// looks proves the forms of fields and returns those that only their values can tell.
func (c *compiler) looks(event string, known []EventField, set []setting) []shapeLook {
	var left []shapeLook
	for i := range set {
		s := &set[i]
		if s.each {
			continue
		}
		head, part, dotted := strings.Cut(s.name, ".")
		f := fieldOf(known, head)
		if f == nil {
			continue
		}
		kind := f.Kind
		if dotted {
			if kind = c.partOf(event, f, s, part, set); kind == "" {
				continue
			}
		}
		switch verdict, fix := provable(kind, s.e); verdict {
		case formNever:
			c.misshaped(s, "`"+s.e.text+"`, which is "+article(s.e.typ), s.name, event, kind, fix)
		case formPerhaps:
			left = append(left, shapeLook{s.name, kind})
		}
	}
	return left
}

func (c *compiler) misshaped(s *setting, found, name, event string, kind ValueKind, fix string) {
	c.fault(&yaml.Node{Line: s.line}, fmt.Sprintf("%s, as the field %s of %s", found, name, event), formWords[kind], fix)
}

// fullForms are the parts of a value's full form; the first ones are required. A part that is not named here is the mapping's own.
var fullForms = map[ValueKind][]EventField{
	KindMoney: fieldList("amount:money! currency:text!"),
	KindQty:   fieldList("value:qty! uom:text!"),
	KindWhen:  fieldList("instant:instant! zone:text zone_source:text precision:text"),
	KindRef:   fieldList("type:text value:ref issuer:text"),
	KindCode:  fieldList("scheme:text code:ref canonical:text mapver:text"),
}

// partOf returns the form of one part of a value, "" when the catalogue says nothing of it.
func (c *compiler) partOf(event string, f *EventField, s *setting, part string, set []setting) ValueKind {
	parts, ok := fullForms[f.Kind]
	if !ok && f.Kind != KindObject && f.Kind != KindAny {
		c.misshaped(s, "parts", f.Name, event, f.Kind, f.Name+": <expression>")
		return ""
	}
	for _, p := range parts {
		name := f.Name + "." + p.Name
		if p.Required && !slices.ContainsFunc(set, func(o setting) bool { return o.name == name }) {
			c.misshaped(s, fmt.Sprintf("parts without %s", name), f.Name, event, f.Kind, name+": <expression>")
			return ""
		}
	}
	if p := fieldOf(parts, part); p != nil {
		return p.Kind
	}
	return ""
}

// formWords say a form to a person.
var formWords = map[ValueKind]string{
	KindText: "a text or whole number", KindInt: "a whole number", KindBool: "true or false", KindDate: "a day such as 2026-10-01",
	KindMoney: "an exact amount: a decimal, or amount and currency", KindQty: "an exact quantity: a decimal or whole number, or value and uom",
	KindWhen: "a time: an instant, a timestamp or a date", KindRef: "a key: a text or whole number, or what a cross-reference says",
	KindCode: "a code: a word or whole number", KindList: "lines", KindObject: "parts", KindAny: "any value",
	KindInstant: "an instant with its offset",
}

// What the types of an expression say of a form.
type verdict int

const (
	formAlways verdict = iota
	formPerhaps
	formNever
)

// proofs holds, for each form, what is certain of values of each type of the language. A type that a form does not name never gives
// it.
var proofs = map[ValueKind]map[string]verdict{
	KindText:    {"string": formAlways, "int": formAlways, "decimal": formAlways, "date": formAlways, "time": formAlways, "timestamp_without_zone": formAlways, "google.protobuf.Timestamp": formAlways},
	KindInt:     {"int": formAlways},
	KindBool:    {"bool": formAlways},
	KindDate:    {"date": formPerhaps, "string": formPerhaps}, // the zero date and infinity are no days
	KindMoney:   {"decimal": formAlways, "int": formAlways, "string": formPerhaps},
	KindQty:     {"decimal": formAlways, "int": formAlways, "string": formPerhaps},
	KindWhen:    {"google.protobuf.Timestamp": formAlways, "date": formPerhaps, "timestamp_without_zone": formPerhaps, "string": formPerhaps},
	KindInstant: {"google.protobuf.Timestamp": formAlways, "string": formPerhaps},
	KindRef:     {"string": formAlways, "int": formAlways, "decimal": formAlways, "date": formAlways},
	KindCode:    {"string": formAlways, "int": formAlways, "decimal": formAlways},
}

// provable says what the types of an expression prove of its values, and what to write when they never have the form.
func provable(kind ValueKind, e *expr) (verdict, string) {
	known, formed := proofs[kind]
	if !formed {
		if kind == KindAny {
			return formAlways, ""
		}
		return formPerhaps, ""
	}
	if v, constant := e.alone(); constant {
		if v == types.NullValue || hasForm(kind, v) {
			return formAlways, ""
		}
		return formNever, formFixes[kind]
	}
	if isDyn(e.typ) || len(e.alts) != 1 || !knownType(e.typ) {
		return formPerhaps, "" // of alternatives only the first type is known
	}
	if v, ok := known[bare(e.typ)]; ok {
		return v, ""
	}
	if kind == KindDate && bare(e.typ) == "timestamp_without_zone" {
		return formNever, "day(…)"
	}
	return formNever, formFixes[kind]
}

var formFixes = map[ValueKind]string{KindText: "text(…)", KindRef: "text(…)"}

// knownType reports whether a type is one of the language's own; a record of a cross-reference is not.
func knownType(t *cel.Type) bool {
	return slices.Contains([]string{"bool", "int", "string", "decimal", "date", "time", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(t))
}

// alone returns the value of an expression that is one constant.
func (e *expr) alone() (ref.Val, bool) {
	if len(e.alts) != 1 {
		return nil, false
	}
	n, ok := e.alts[0].(constNode)
	return n.v, ok
}
