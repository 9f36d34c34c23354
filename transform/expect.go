package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
)

// compare says what differs from what is expected: exactly these events in this order, and exactly these open problems.
func (b *bench) compare(want []expectation) []string {
	var fails, types, problems []string
	for _, e := range want {
		if e.problem != "" {
			problems = append(problems, e.problem)
		} else {
			types = append(types, e.event)
		}
	}
	var made []string
	for _, ev := range b.out.events {
		made = append(made, ev.Type)
	}
	if !slices.Equal(types, made) {
		return []string{fmt.Sprintf("expected the events [%s], got [%s]%s", strings.Join(types, ", "), strings.Join(made, ", "), b.out.openText())}
	}
	slices.Sort(problems)
	if open := b.out.openCodes(); !slices.Equal(problems, open) {
		fails = append(fails, fmt.Sprintf("expected the problems [%s], got [%s]%s", strings.Join(problems, ", "), strings.Join(open, ", "), b.out.openText()))
	}
	i := 0
	for _, e := range want {
		if e.problem != "" {
			continue
		}
		for _, f := range e.fields {
			got := b.fact(&b.out.events[i], f.key)
			if same := f.value.Value == got; !same {
				fails = append(fails, fmt.Sprintf("line %d: %s of %s: expected %s, got %s", f.at.Line, f.key, e.event, f.value.Value, got))
			}
		}
		i++
	}
	return fails
}

// fact is a field of an event as a test writes it: lists by their length, money with its currency.
func (b *bench) fact(ev *Event, name string) string {
	switch name {
	case "time":
		zone := time.UTC
		for _, s := range b.m.sources {
			if strings.HasPrefix(ev.Source, "/"+b.m.name+"/"+s.name+"/") {
				if z, err := time.LoadLocation(s.zone); err == nil {
					zone = z
				}
			}
		}
		return ev.Occurred.In(zone).Format(time.RFC3339)
	case "key":
		return ev.Key
	case "order_key":
		return ev.OrderKey
	case "correlation":
		return ev.Correlation
	case "historic":
		return fmt.Sprint(ev.Historic)
	case "company":
		if ev.Company != "" {
			return ev.Company
		}
	case "posts":
		return b.out.postsText(ev.ID)
	case "gates":
		return b.out.gatesText(ev.ID)
	case "publishes":
		return b.publishesText(ev)
	case "total":
		if ev.Amount != nil {
			return ev.Amount.Amount + " " + ev.Amount.Currency
		}
	}
	var data any
	if err := json.Unmarshal(ev.Data, &data); err != nil {
		return err.Error()
	}
	for _, part := range strings.Split(name, ".") {
		m, ok := data.(map[string]any)
		if !ok {
			return "nothing"
		}
		data = m[part]
	}
	switch v := data.(type) {
	case nil:
		return "nothing"
	case []any:
		return fmt.Sprint(len(v))
	case float64:
		return textOf(types.Int(int64(v)))
	}
	return fmt.Sprint(data)
}

// publishesText is where an event is published, as a test writes it; a condition that cannot tell is its error.
func (b *bench) publishesText(ev *Event) string {
	var all []string
	for _, d := range b.m.Publishes(ev) {
		text := d.Sink + "." + d.Topic
		if d.Undecided != nil {
			text += "? " + d.Undecided.Error()
		}
		all = append(all, text)
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
