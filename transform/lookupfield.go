package transform

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// AnswerField is one value that an answer must or may have.
type AnswerField struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // text, decimal, int, bool, date or instant
	Optional bool   `json:"optional,omitempty"`
	Path     string `json:"path"` // where it stands in the service's JSON object: "contract.no"
}

// answerTypes are the types of answers, and what their values are in expressions.
var answerTypes = map[string]cdc.Kind{"text": cdc.KindText, "decimal": cdc.KindDecimal, "int": cdc.KindInt, "bool": cdc.KindBool,
	"date": cdc.KindDate, "instant": cdc.KindInstant}

// Pick takes the fields out of a service's answer, a JSON object, as canonical text. The error says which field is not what the
// mapping expects; nothing is guessed (Invariant 10).
func Pick(fields []AnswerField, object json.RawMessage) (map[string]string, error) {
	var whole map[string]any
	dec := json.NewDecoder(strings.NewReader(string(object)))
	dec.UseNumber()
	if err := dec.Decode(&whole); err != nil || whole == nil {
		return nil, fmt.Errorf("the answer is not a JSON object")
	}
	picked := map[string]string{}
	for i := range fields {
		a := &fields[i]
		v := member(whole, a.Path)
		if v == nil {
			if a.Optional {
				continue
			}
			return nil, fmt.Errorf("the answer has no %q", a.Path)
		}
		text, err := a.text(v)
		if err != nil {
			return nil, fmt.Errorf("%q of the answer: %w", a.Path, err)
		}
		picked[a.Name] = text
	}
	return picked, nil
}

func member(of map[string]any, path string) any {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		return of[head]
	}
	if sub, ok := of[head].(map[string]any); ok {
		return member(sub, rest)
	}
	return nil
}

// text is a JSON value as the field's type has it.
func (a *AnswerField) text(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case json.Number:
		s = v.String()
		if a.Type == "date" || a.Type == "instant" || a.Type == "bool" {
			return "", fmt.Errorf("%s is no %s", s, a.Type)
		}
	case bool:
		if a.Type != "bool" {
			return "", fmt.Errorf("%v is no %s", v, a.Type)
		}
		return fmt.Sprint(v), nil
	default:
		return "", fmt.Errorf("a list or an object is no %s", a.Type)
	}
	if a.Type == "bool" {
		return "", fmt.Errorf("%q is neither true nor false", clip(s, 40))
	}
	return s, a.valid(s)
}

// valid checks a text against the field's type.
func (a *AnswerField) valid(s string) (err error) {
	switch a.Type {
	case "decimal":
		_, err = parseNumber(s)
	case "int":
		if _, ok := parseInt(s); !ok {
			err = fmt.Errorf("%q is not an integer", clip(s, 40))
		}
	case "bool":
		if s != "true" && s != "false" {
			err = fmt.Errorf("%q is neither true nor false", clip(s, 40))
		}
	case "date":
		if _, e := time.Parse(civilDate, s); e != nil {
			err = fmt.Errorf("%q is not a day like 2026-10-01", clip(s, 40))
		}
	case "instant":
		if _, e := time.Parse(time.RFC3339Nano, s); e != nil {
			err = fmt.Errorf("%q is not an instant like 2026-10-01T12:00:00Z", clip(s, 40))
		}
	default:
		if len(s) > maxAnswerText {
			err = fmt.Errorf("a text of %d bytes; at most %d are taken", len(s), maxAnswerText)
		}
	}
	return err
}

func (a *AnswerField) value(text string) ref.Val { return valueOf(cdc.Of(answerTypes[a.Type], text)) }

func (a *AnswerField) celType() *cel.Type { return typeOfKind(answerTypes[a.Type]) }
