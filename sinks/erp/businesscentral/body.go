package businesscentral

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"waybill/sinks"
)

// field is a text that may be absent from a body, which is not the same as empty.
type field struct {
	Set   bool
	Value string
}

// UnmarshalJSON takes a string, a number, a truth value or null.
func (f *field) UnmarshalJSON(raw []byte) error {
	f.Set = true
	switch {
	case bytes.Equal(raw, []byte("null")):
		return nil
	case bytes.Equal(raw, []byte("true")), bytes.Equal(raw, []byte("false")):
		f.Value = string(raw)
		return nil
	case raw[0] != '"':
		var n json.Number
		err := json.Unmarshal(raw, &n)
		f.Value = n.String()
		return err
	}
	err := json.Unmarshal(raw, &f.Value)
	f.Value = strings.TrimSpace(f.Value)
	return err
}

// strict decodes a body and names a member that the entity does not have.
func strict(raw json.RawMessage, into any) *sinks.Outcome {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return misfit(err.Error(), members(reflect.TypeOf(into).Elem()))
	}
	return nil
}

func misfit(what, known string) *sinks.Outcome {
	return rejected("BODY", "", "The body of the posting does not fit: "+strings.TrimPrefix(what, "json: "),
		"Correct the posting in the mapping; its members are "+known+".")
}

// members lists the members of a body, those of its lines in brackets.
func members(t reflect.Type) string {
	var all []string
	for f := range t.Fields() {
		name := f.Tag.Get("json")
		if f.Type.Kind() == reflect.Slice {
			name += "[" + members(f.Type.Elem()) + "]"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}
