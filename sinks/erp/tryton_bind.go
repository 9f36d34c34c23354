package erp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"waybill/sinks"
)

// bindingMark begins the note that holds the binding, for people who read the party in Tryton.
const bindingMark = "Waybill feeds this company. Do not edit or delete this note.\n"

// Bound implements sinks.Binder. The mark is a note on the party of the company.
func (t *Tryton) Bound(ctx context.Context) (*sinks.Binding, error) {
	x, cancel := t.begin(ctx)
	defer cancel()
	note, _, out := x.bindingNote()
	if out != nil {
		return nil, fmt.Errorf("reading the binding in Tryton: %w", errOf(out))
	}
	if note == nil {
		return nil, nil
	}
	var b sinks.Binding
	if err := json.Unmarshal([]byte(strings.TrimPrefix(note.text("message"), bindingMark)), &b); err != nil {
		return nil, fmt.Errorf("reading the binding in Tryton: the note %d on the company's party was edited: %w", note.id("id"), err)
	}
	return &b, nil
}

// Bind implements sinks.Binder.
func (t *Tryton) Bind(ctx context.Context, b sinks.Binding) error {
	x, cancel := t.begin(ctx)
	defer cancel()
	raw, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing the binding: %w", err)
	}
	note, co, out := x.bindingNote()
	if out == nil {
		text := bindingMark + string(raw)
		if note == nil {
			_, out = x.write(nil, "ir.note", "create", nil, []record{{"resource": "party.party," + itoa(co.party), "message": text}})
		} else {
			_, out = x.write(nil, "ir.note", "write", nil, []int64{note.id("id")}, record{"message": text})
		}
	}
	if out != nil {
		return fmt.Errorf("writing the binding to Tryton: %w", errOf(out))
	}
	return nil
}

func (x *exchange) bindingNote() (record, company, *sinks.Outcome) {
	co, out := x.companyOf()
	if out != nil {
		return nil, co, out
	}
	rows, out := x.find("ir.note", []any{[]any{"resource", "=", "party.party," + itoa(co.party)},
		[]any{"message", "like", strings.TrimSuffix(bindingMark, "\n") + "%"}}, 1, []string{"message"}, nil)
	if out != nil || len(rows) == 0 {
		return nil, co, out
	}
	return rows[0], co, nil
}
