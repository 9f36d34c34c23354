package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
)

// publication is a line of the section publish: which events, as they are, go to a topic of a publisher.
type publication struct {
	sink, topic string
	events      map[string]bool // the types that it takes
	when        *expr           // nil: all of them
	numbers     map[string]bool // fields that are numbers, where the data has text
	from        time.Time       // what happened before does not go
	historic    bool            // what is from before the cut-over goes, too
}

// Destination is where an event is published.
type Destination struct {
	Sink  string // as the configuration names it
	Topic string
	// Undecided says why the condition cannot tell whether the event goes there; nil when it does.
	Undecided error
}

var publishKeys = []string{"if", "from", "historic"}

var (
	topicForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)
	sinkForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	typesForm = regexp.MustCompile(`^[a-z_.]*\*?$`)
	// beyondEvent is what a condition of an event cannot ask: a change, or what the state knows.
	beyondEvent = regexp.MustCompile(`\b(inserted|deleted|changed|became|filled|count|sum)\s*\(|\b(xref|lookup|master)\.`)
)

func (c *compiler) publishRules(f field) {
	for _, pf := range c.fields(f.value, "publish") {
		left, right, ok := strings.Cut(pf.key, "->")
		sink, topic, two := strings.Cut(strings.TrimSpace(right), ".")
		if !ok || !two || !sinkForm.MatchString(sink) || !topicForm.MatchString(topic) {
			c.fault(pf.at, fmt.Sprintf("%q", pf.key), "<events> -> <sink>.<topic>", "shipment.*, pod.received -> stream.milestones")
			continue
		}
		p := &publication{sink: sink, topic: topic, events: map[string]bool{}}
		for _, pattern := range strings.Split(left, ",") {
			c.published(pf.at, strings.TrimSpace(pattern), p.events)
		}
		c.publication(pf, p)
		c.m.publish = append(c.m.publish, p)
	}
}

// published adds the types that a pattern names: those that this mapping makes, and those that Waybill derives.
func (c *compiler) published(at *yaml.Node, pattern string, into map[string]bool) {
	known := c.publishable()
	if !typesForm.MatchString(pattern) || pattern == "" {
		c.fault(at, fmt.Sprintf("the events %q", pattern), "a type of the catalogue, or the beginning of some with * at its end", "shipment.*")
		return
	}
	prefix, open := strings.CutSuffix(pattern, "*")
	found := false
	for _, typ := range known {
		if typ == pattern || open && strings.HasPrefix(typ, prefix) {
			into[typ], found = true, true
		}
	}
	if !found && !(c.declared[pattern] && len(c.faults) > 0) { // its own fault is told
		c.fault(at, fmt.Sprintf("the events %q", pattern), "events that this mapping makes, or that Waybill derives", suggest(pattern, known))
	}
}

// publishable are the types that a mapping's publications may name, sorted.
func (c *compiler) publishable() []string {
	all := c.made()
	for _, t := range events {
		if t.Derived {
			all = append(all, t.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c *compiler) publication(pf field, p *publication) {
	if pf.value.Kind == yaml.ScalarNode && pf.value.Tag == "!!null" {
		return // all of them
	}
	got := c.record(pf.value, "publish "+pf.key, publishKeys, map[string]string{
		"set":    "nothing: an event is published as it is",
		"body":   "nothing: an event is published as it is",
		"order":  "order in the rule that makes the event",
		"filter": "if: <condition>",
	})
	if f, ok := got["if"]; ok {
		if beyond := beyondEvent.FindString(f.value.Value); beyond != "" {
			c.fault(f.value, fmt.Sprintf("%s in the condition of a publication", beyond), "a condition on the fields of the event", "")
		} else {
			p.when = c.condition(f.value, c.eventScope(p))
		}
	}
	if f, ok := got["from"]; ok {
		at, err := time.Parse(time.RFC3339, c.text(f.value, "an instant"))
		if err != nil {
			c.fault(f.value, describe(f.value), "an instant with its offset", `"2026-01-01T00:00:00-06:00"`)
		}
		p.from = at
	}
	if f, ok := got["historic"]; ok {
		var yes bool
		if f.value.Tag != "!!bool" || f.value.Decode(&yes) != nil {
			c.fault(f.value, "historic: "+describe(f.value), "true or false", "true")
		}
		p.historic = yes
	}
}

// ofEvent are the names by which a condition asks for what stands beside an event's data.
var ofEvent = map[string]func(*Event) string{
	"event.type":    func(e *Event) string { return e.Type },
	"event.entity":  func(e *Event) string { return e.Entity },
	"event.key":     func(e *Event) string { return e.Key },
	"event.company": func(e *Event) string { return e.Company },
	"event.lane":    func(e *Event) string { return string(e.Lane) },
}

// eventScope are the names of the fields that some event of the publication may have.
func (c *compiler) eventScope(p *publication) *scope {
	p.numbers = map[string]bool{}
	sc := &scope{fields: map[string]*cel.Type{}, roots: map[string]root{}, places: 2}
	for name := range ofEvent {
		sc.fields[name] = cel.NullableType(cel.StringType)
	}
	for typ := range p.events {
		if t := catalogue[typ]; t != nil { // what the catalogue does not have is a fault of its rule
			for _, f := range t.Fields {
				sc.fields[f.Name] = cel.DynType
				p.numbers[f.Name] = p.numbers[f.Name] || f.Kind == KindMoney || f.Kind == KindQty
			}
		}
		for _, own := range c.scopesOf(typ) {
			for name, t := range own.fields {
				head, _, _ := strings.Cut(name, ".")
				sc.fields[head] = cel.DynType
				p.numbers[head] = p.numbers[head] || head == name && bare(t) == "decimal"
			}
		}
	}
	return sc
}

// scopesOf are the names of every rule of this mapping that makes the event.
func (c *compiler) scopesOf(typ string) (all []*scope) {
	for _, e := range c.m.events {
		if e.typ == typ && e.scope != nil {
			all = append(all, e.scope)
		}
	}
	for _, d := range c.m.documents {
		if d.scope != nil && slices.ContainsFunc(d.emit, func(e *emitRule) bool { return e.typ == typ }) {
			all = append(all, d.scope)
		}
	}
	if typ == ready && c.m.cases != nil {
		all = append(all, c.readyScope())
	}
	return all
}

// Publishes says where an event goes, in the order of the file, each destination once.
func (m *Mapping) Publishes(e *Event) []Destination {
	var all []Destination
	for _, p := range m.publish {
		if !p.events[e.Type] || e.Historic && !p.historic || e.Occurred.Before(p.from) ||
			slices.ContainsFunc(all, func(d Destination) bool { return d.Sink == p.sink && d.Topic == p.topic }) {
			continue
		}
		holds, err := p.holds(m, e)
		if holds || err != nil {
			all = append(all, Destination{Sink: p.sink, Topic: p.topic, Undecided: err})
		}
	}
	return all
}

// Publishers are the "<sink>.<topic>" of the publications, sorted.
func (m *Mapping) Publishers() []string {
	var all []string
	for _, p := range m.publish {
		all = append(all, p.sink+"."+p.topic)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Publishers returns the "<sink>.<topic>" that events are published to, sorted.
func (c *Carriers) Publishers() []string { return c.names((*Mapping).Publishers) }

// Publishes says where an event goes that the mapping of the version made, or caused. An event of no mapping is of all that are active.
func (c *Carriers) Publishes(e *Event, version string) []Destination {
	name, _, _ := strings.Cut(version, "/")
	var all []Destination
	for _, o := range c.all {
		if o.retired || name != "" && o.m.name != name {
			continue
		}
		for _, d := range o.m.Publishes(e) {
			if !slices.ContainsFunc(all, func(known Destination) bool { return known.Sink == d.Sink && known.Topic == d.Topic }) {
				all = append(all, d)
			}
		}
	}
	return all
}

// Publishing reports whether an active mapping publishes anything.
func (c *Carriers) Publishing() bool {
	return slices.ContainsFunc(c.all, func(o *carrier) bool { return !o.retired && len(o.m.publish) > 0 })
}

func (p *publication) holds(m *Mapping, e *Event) (bool, error) {
	if p.when == nil {
		return true, nil
	}
	dec := json.NewDecoder(bytes.NewReader(e.Data))
	dec.UseNumber()
	var data map[string]any
	if err := dec.Decode(&data); err != nil {
		return false, fmt.Errorf("the data of event %s is not a JSON object: %w", e.ID, err)
	}
	f := &frame{m: m, fields: map[string]ref.Val{}}
	for name, v := range data {
		f.fields[name] = dataValue(v, p.numbers[name])
	}
	for name, of := range ofEvent {
		if text := of(e); text != "" {
			f.fields[name] = types.String(text)
		}
	}
	v, err := p.when.eval(f)
	if err != nil {
		return false, err
	}
	if v != types.True && v != types.False && v != types.NullValue {
		return false, fmt.Errorf("`%s` (%s) is %s, and neither true nor false", p.when.text, p.when.at, wordOfType(v.Type().TypeName()))
	}
	return v == types.True, nil
}

// dataValue is a member of an event's data in a condition. Numbers keep their digits; of what is a number in the catalogue, or in the
// mapping, the text is one.
func dataValue(v any, isNumber bool) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case string:
		if n, err := parseNumber(v); isNumber && err == nil {
			return n
		}
		return types.String(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return types.Int(n)
		}
		n, err := parseNumber(v.String())
		if err != nil {
			return types.WrapErr(err)
		}
		return n
	case map[string]any:
		r := record{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			r[name] = dataValue(v[name], false)
		}
		return r
	}
	return types.NewErr("a list has no value of its own")
}

// publishShape is the section publish of the schema for editors.
func publishShape() fileShape {
	return fileShape{"type": "object", "description": "<events> -> <sink>.<topic>: events that are published as they are",
		"propertyNames": fileShape{"pattern": `^[a-z_.]*\*?( *, *[a-z_.]*\*?)* *-> *[a-z][a-z0-9_]*\.[A-Za-z0-9._-]+$`},
		"additionalProperties": eitherShape("all of them, or some", fileShape{"type": "null"}, recordShape("which of them", publishKeys, map[string]fileShape{
			"if":       valueShape("a condition on the fields of the event"),
			"from":     {"type": "string", "format": "date-time", "description": "what happened before it does not go"},
			"historic": flagShape("what is from before the cut-over goes, too"),
		}))}
}
