package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// schemaDialect is the JSON Schema that the schemas are written in.
const schemaDialect = "https://json-schema.org/draft/2020-12/schema"

// Schema returns the JSON Schema 2020-12 of the event's data, indented and with a newline at its end. Fields that it does not name may be
// there, too: they are the mapping's own.
func (t *EventType) Schema() ([]byte, error) {
	defs := map[string]any{}
	s := objectSchema(t.Fields, defs)
	s["$schema"] = schemaDialect
	s["$id"] = fmt.Sprintf("urn:waybill:freight:%s:v%d", t.Name, t.Version)
	s["title"] = t.Name
	s["description"] = fmt.Sprintf("%s Data of the CloudEvents type io.waybill.freight.%s.v%d; the owner of the fact is %s.", t.Text, t.Name, t.Version, t.Owner)
	if len(defs) > 0 {
		s["$defs"] = defs
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("writing the schema of %s: %w", t.Name, err)
	}
	return b.Bytes(), nil
}

// objectSchema describes fields, and adds the forms that they use to defs.
func objectSchema(fields []EventField, defs map[string]any) map[string]any {
	s := map[string]any{"type": "object"}
	properties := map[string]any{}
	var required []string
	var either []any
	seen := map[string]bool{}
	for _, f := range fields {
		properties[f.Name] = fieldSchema(f, defs)
		switch {
		case f.Required && len(f.Or) == 0:
			required = append(required, f.Name)
		case f.Required && !seen[f.Name]:
			var one []any
			for _, name := range append([]string{f.Name}, f.Or...) {
				seen[name] = true
				one = append(one, map[string]any{"required": []string{name}})
			}
			either = append(either, map[string]any{"anyOf": one})
		}
	}
	if len(properties) > 0 {
		s["properties"] = properties
	}
	if required != nil {
		s["required"] = required
	}
	if either != nil {
		s["allOf"] = either
	}
	return s
}

func fieldSchema(f EventField, defs map[string]any) any {
	switch f.Kind {
	case KindAny:
		return true
	case KindText: // of a column of whole numbers it is one: a postal code, a user's number
		return map[string]any{"type": []string{"string", "integer"}}
	case KindInt:
		return map[string]any{"type": "integer"}
	case KindBool:
		return map[string]any{"type": "boolean"}
	case KindInstant:
		return patterned(instantPattern)
	case KindObject:
		return map[string]any{"type": "object"}
	case KindList:
		if f.Fields == nil {
			return map[string]any{"type": "array"}
		}
		return map[string]any{"type": "array", "items": objectSchema(f.Fields, defs)}
	}
	define(f.Kind, defs)
	return map[string]any{"$ref": "#/$defs/" + string(f.Kind)}
}

const (
	decimalPattern = `^-?\d+(\.\d+)?$`
	dayPattern     = `^\d{4}-\d{2}-\d{2}$`
	localPattern   = `^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$`
	instantPattern = `^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$`
)

// plainForms describe the plain forms of values.
var plainForms = map[ValueKind][]any{
	KindMoney:   {patterned(decimalPattern), map[string]any{"type": "integer"}},
	KindQty:     {patterned(decimalPattern), map[string]any{"type": "integer"}},
	KindWhen:    {patterned(instantPattern), patterned(localPattern), patterned(dayPattern)},
	KindInstant: {patterned(instantPattern)},
	KindRef:     {map[string]any{"type": "string"}, map[string]any{"type": "integer"}},
	KindCode:    {map[string]any{"type": "string"}, map[string]any{"type": "integer"}},
}

// formTexts describe the values for who receives them.
var formTexts = map[ValueKind]string{
	KindDate:  "A day of the calendar, YYYY-MM-DD.",
	KindMoney: "An exact amount, never a float: a decimal in the currency of the event, or with its own ISO 4217 currency.",
	KindQty:   "An exact quantity: a decimal or whole number in the unit that the field says, or with its own unit.",
	KindWhen:  "A time: an instant with its offset (RFC 3339); a day; or a local time of the place, without zone, as the source has it.",
	KindRef:   "The key of an entity; or an object with what a cross-reference says of it.",
	KindCode:  "A canonical word; or an object with the source's own code, too.",
}

func patterned(pattern string) map[string]any {
	s := map[string]any{"type": "string", "pattern": pattern}
	switch pattern {
	case dayPattern:
		s["format"] = "date"
	case instantPattern:
		s["format"] = "date-time"
	}
	return s
}

// define adds a form to defs.
func define(kind ValueKind, defs map[string]any) {
	if defs[string(kind)] != nil {
		return
	}
	if kind == KindDate {
		day := patterned(dayPattern)
		day["description"] = formTexts[kind]
		defs[string(kind)] = day
		return
	}
	s := map[string]any{"description": formTexts[kind]}
	defs[string(kind)] = s
	full := map[string]any{"type": "object"}
	properties, required := map[string]any{}, []string{}
	for _, p := range fullForms[kind] {
		if plain := plainForms[p.Kind]; plain != nil { // a part is plain
			properties[p.Name] = map[string]any{"anyOf": plain}
		} else {
			properties[p.Name] = fieldSchema(p, defs)
		}
		if p.Required {
			required = append(required, p.Name)
		}
	}
	full["properties"] = properties
	if len(required) > 0 {
		full["required"] = required
	}
	s["anyOf"] = append(append([]any{}, plainForms[kind]...), full)
}
