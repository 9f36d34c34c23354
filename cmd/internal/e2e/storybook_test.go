package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"waybill/pipeline"
)

const storyLimit = 10_000 // of everything that a list of the API gives at once

// events lists the events about the story, oldest first.
func (s *story) events() ([]pipeline.StoredEvent, error) {
	var all []pipeline.StoredEvent
	for _, ref := range s.About {
		list, err := s.world.api.Events(context.Background(), pipeline.EventQuery{Key: ref, Limit: storyLimit})
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if !slices.ContainsFunc(all, func(o pipeline.StoredEvent) bool { return o.Seq == e.Seq }) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b pipeline.StoredEvent) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

// exceptions lists those about the story in any state, in the order in which they were opened.
func (s *story) exceptions() ([]pipeline.ExceptionView, error) {
	list, err := s.world.api.Exceptions(context.Background(), pipeline.ExceptionQuery{State: "all", Limit: storyLimit})
	return slices.DeleteFunc(list, func(x pipeline.ExceptionView) bool {
		return !slices.ContainsFunc(x.Subjects, func(subject string) bool { return slices.Contains(s.About, subject) })
	}), err
}

// tell keeps what people see at a wait.
func (s *story) tell(what string, v any) {
	if x, ok := v.(*pipeline.ExceptionView); ok {
		said := *x
		said.Evidence, said.Hint, said.Rule = nil, "", "" // they stand at the end
		v = said
	}
	fmt.Fprintf(&s.seen, "- %s\n", s.world.masks.line(what, v))
}

// book is the golden text of the story: what people saw on the way, and at the end every event, exception, case and ERP document.
func (s *story) book() (string, error) {
	if err := s.world.name(); err != nil {
		return "", err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s: %s\n", s.Title, s.Row, strings.Join(s.Codes, ", "))
	fmt.Fprintf(&b, "\nON THE WAY\n%s", s.seen.String())
	if err := s.tellEvents(&b); err != nil {
		return "", err
	}
	list, err := s.exceptions()
	if err != nil {
		return "", err
	}
	// Of two that open at the same time in two databases either may be the first.
	slices.SortStableFunc(list, func(a, c pipeline.ExceptionView) int {
		return cmp.Or(strings.Compare(a.Code, c.Code), strings.Compare(a.Subjects[0], c.Subjects[0]))
	})
	fmt.Fprintf(&b, "\nEXCEPTIONS\n")
	for _, x := range list {
		full, err := s.world.api.Exception(context.Background(), x.ID)
		if err != nil {
			return "", err
		}
		full.Event = nil // it stands above
		fmt.Fprintf(&b, "- %s\n", s.world.masks.line("exception", full))
	}
	fmt.Fprintf(&b, "\nCASES\n")
	for _, ref := range s.About {
		if !strings.HasPrefix(ref, "shipment/") {
			continue
		}
		v, err := s.world.api.Case(context.Background(), ref)
		if err == nil {
			fmt.Fprintf(&b, "- %s\n", s.world.masks.line("case", v))
		} else if err := unlessNotFound(err); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(&b, "\nERP\n")
	s.tellERP(&b)
	return s.world.masks.text(b.String()), nil
}

// tellEvents tells the events of each order key in their order; of different keys either may come first.
func (s *story) tellEvents(b *bytes.Buffer) error {
	list, err := s.events()
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(x, y pipeline.StoredEvent) int { return strings.Compare(x.OrderKey, y.OrderKey) })
	fmt.Fprintf(b, "\nEVENTS\n")
	for _, e := range list {
		full, err := s.world.api.Event(context.Background(), e.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "- %s\n", s.world.masks.line("event", full))
	}
	return nil
}

var invoiceFields = []string{"reference", "number", "type", "state", "party.code", "invoice_date", "accounting_date", "currency.code", "payment_term.name",
	"untaxed_amount", "tax_amount", "total_amount", "lines.product.code", "lines.account.code", "lines.description", "lines.quantity",
	"lines.unit_price", "lines.amount", "lines.taxes.name"}

var customerFields = []string{"code", "name", "active", "addresses.city", "addresses.postal_code", "addresses.subdivision.code", "customer_payment_term.name"}

// tellERP tells what Tryton holds of the story, read apart from the adapter.
func (s *story) tellERP(b *bytes.Buffer) {
	for _, ref := range s.About {
		kind, key, _ := strings.Cut(ref, "/")
		var rows []map[string]any
		switch kind {
		case "invoice":
			rows = s.world.rpc.Rows("account.invoice", []any{[]any{"reference", "=", "sag:" + key}}, invoiceFields...)
		case "customer":
			rows = s.world.rpc.Rows("party.party", []any{[]any{"code", "=", key}}, customerFields...)
		default:
			continue
		}
		if len(rows) == 0 {
			fmt.Fprintf(b, "- %s: nothing\n", ref)
		}
		for _, r := range rows {
			fmt.Fprintf(b, "- %s\n", s.world.masks.line("document", plainRow(r)))
		}
	}
}

// plainRow takes Tryton's form of values away: decimals and dates become text, and what is read of another record loses its point.
func plainRow(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = plainRow(v[i])
		}
		return all
	case map[string]any:
		switch v["__class__"] {
		case "Decimal":
			return v["decimal"]
		case "date":
			return fmt.Sprintf("%04.0f-%02.0f-%02.0f", v["year"], v["month"], v["day"])
		}
		all := map[string]any{}
		for k, x := range v {
			name, read := strings.CutSuffix(k, ".")
			if _, also := v[k+"."]; also || k == "id" || x == nil {
				continue // the bare id of what is read
			}
			if m, ok := plainRow(x).(map[string]any); ok && read && len(m) == 1 {
				for _, only := range m {
					all[name] = only
				}
				continue
			}
			all[name] = plainRow(x)
		}
		return all
	}
	return v
}

// name gives every event a name in place of its id.
func (w *world) name() error {
	list, err := w.api.Events(context.Background(), pipeline.EventQuery{Limit: storyLimit})
	count := map[string]int{}
	w.masks.names = map[string]string{}
	for _, e := range list {
		name := e.Type + " " + e.Key
		if count[name]++; count[name] > 1 {
			name += fmt.Sprintf(" #%d", count[name])
		}
		w.masks.names[e.ID] = "<" + name + ">"
	}
	return err
}

// plainJSON makes a value what it is in JSON.
func plainJSON(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var plain any
	return plain, dec.Decode(&plain)
}
