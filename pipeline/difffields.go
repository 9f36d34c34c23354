package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"waybill/transform"
)

// eventFields lists what differs between two events of one id, but for the version that made them.
func eventFields(a, b *transform.Event) ([]FieldDiff, error) {
	facts := func(e *transform.Event) map[string]string {
		return map[string]string{"key": e.Key, "company": e.Company, "lane": string(e.Lane), "order_key": e.OrderKey, "occurred_at": e.Occurred.UTC().Format(time.RFC3339Nano),
			"correlation_id": e.Correlation, "refs": strings.Join(e.Refs, " "), "amount": moneyText(e.Amount), "historic": map[bool]string{true: "true"}[e.Historic]}
	}
	return bodyFields("data", facts(a), facts(b), a.Data, b.Data)
}

// postFields lists what differs between two postings of one id.
func postFields(a, b *transform.Post) ([]FieldDiff, error) {
	facts := func(p *transform.Post) map[string]string {
		var gates []string
		for _, g := range p.Gates {
			gates = append(gates, strings.TrimSpace(g.Name+" "+g.Key))
		}
		return map[string]string{"external_id": p.ExternalID, "company": p.Company, "lane": string(p.Lane), "order_key": p.OrderKey, "requires": strings.Join(gates, ", "),
			"amount": moneyText(p.Amount)}
	}
	return bodyFields("body", facts(a), facts(b), a.Body, b.Body)
}

func moneyText(m *transform.Money) string {
	if m == nil {
		return ""
	}
	return m.Amount + " " + m.Currency
}

// bodyFields adds the fields of two JSON objects to their facts and returns those that differ, by name.
func bodyFields(under string, a, b map[string]string, rawA, rawB json.RawMessage) ([]FieldDiff, error) {
	if !bytes.Equal(rawA, rawB) {
		if err := flatten(under, rawA, a); err != nil {
			return nil, err
		}
		if err := flatten(under, rawB, b); err != nil {
			return nil, err
		}
	}
	names := maps.Clone(a)
	maps.Copy(names, b)
	var fields []FieldDiff
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			fields = append(fields, FieldDiff{name, a[name], b[name]})
		}
	}
	return fields, nil
}

// flatten writes the leaves of a JSON value by their path: body.lines[0].tax.
func flatten(under string, raw json.RawMessage, into map[string]string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("reading stored JSON: %w", err)
	}
	leaves(under, v, into)
	return nil
}

func leaves(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			leaves(path+"."+k, x, into)
		}
	case []any:
		for i, x := range v {
			leaves(fmt.Sprintf("%s[%d]", path, i), x, into)
		}
	case nil:
	default:
		into[path] = fmt.Sprint(v)
	}
}
