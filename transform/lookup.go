package transform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// The section lookups declares the questions that rules put to services outside: the ERP, a contract or rating service.
//
//	lookups:
//	  contract:
//	    ask: pricing.contract         a service or sink of waybill.yaml, and the question it knows
//	    key: [customer, charge]       what it is asked about
//	    dated: true                   and as of which day
//	    answer: { rate: decimal, until: date or null, number: text of contract.no }
//	    max_age: 24h                  an answer is used so long
//	    on_miss: NO_CONTRACT          what it is called when there is none
//
// The projector asks nobody. A rule that needs an answer which the state does not have, or one that is too old by the journal's
// time, waits; the question goes into a queue of the state, somebody outside asks it, and the answer comes back as a journal entry
// like everything else that changes what Waybill does. So the same journal gives the same state, and nothing is asked twice.

// lookupRule is one question that rules may put.
type lookupRule struct {
	name     string
	line     int
	service  string // a service or sink of waybill.yaml
	question string // as the service knows it
	key      []string
	dated    bool
	fields   []AnswerField
	require  string // a field that must be true, else the answer counts as none; empty for none
	maxAge   time.Duration
	again    time.Duration // how often a question is asked again while something waits for another answer
	fallback string        // when the service does not answer: hold, null or stale
	stale    time.Duration // how long past maxAge an answer may be used then
	miss     string        // code of the problem when there is no answer
	class    string
	owner    string
	most     int // answers kept
}

// What becomes of what waits while a service does not answer.
const (
	fallbackHold  = "hold"
	fallbackNull  = "null"
	fallbackStale = "stale"
)

// Bounds of a lookup.
const (
	leastAge        = time.Minute // a younger answer would be too old when the next one of the same document comes
	defaultMaxAge   = 24 * time.Hour
	defaultAgain    = 5 * time.Minute
	maxAnswerText   = 1 << 10 // bytes of one value
	maxAnswerFields = 50
)

var (
	askForm    = regexp.MustCompile(`^([a-z][a-z0-9_]{0,31})\.([A-Za-z0-9][A-Za-z0-9_-]{0,63})$`)
	fieldForm  = regexp.MustCompile(`^([a-z]+)(?: +of +([A-Za-z0-9_.-]+))?( +or +null)?$`)
	paramForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	staleForm  = regexp.MustCompile(`^stale +(\S+)$`)
	lookupKeys = []string{"ask", "key", "dated", "answer", "require", "max_age", "again", "fallback", "on_miss", "class", "owner"}
)

// reservedFields are told of every answer beside its own fields.
var reservedFields = []string{"version", "answered_at"}

func (c *compiler) lookupRules(f field) {
	c.m.lookups = map[string]*lookupRule{}
	for _, lf := range c.fields(f.value, "lookups") {
		l := &lookupRule{name: lf.key, line: lf.at.Line, maxAge: defaultMaxAge, again: defaultAgain, fallback: fallbackHold, class: "MASTER", most: maxAnswers,
			miss: "NO_" + strings.ToUpper(lf.key)}
		c.m.lookups[l.name] = l
		got := c.record(lf.value, "lookup "+lf.key, lookupKeys, map[string]string{"from": "xref, for rows of a table", "url": "the service in waybill.yaml"})
		if !paramForm.MatchString(lf.key) {
			c.fault(lf.at, fmt.Sprintf("the lookup %q", lf.key), "a name of small letters, digits and _, at most 32", "")
		}
		if c.need(lf.at, got, "lookup "+lf.key, "ask", "answer") {
			c.lookupRule(l, got)
		}
	}
}

func (c *compiler) lookupRule(l *lookupRule, got map[string]field) {
	if m := askForm.FindStringSubmatch(c.text(got["ask"].value, "<service>.<question>")); m != nil {
		l.service, l.question = m[1], m[2]
	} else {
		c.fault(got["ask"].value, describe(got["ask"].value), "<service or sink of waybill.yaml>.<question>", "ask: erp.period")
	}
	c.lookupKey(l, got)
	c.answerFields(l, got["answer"])
	if f, ok := got["max_age"]; ok {
		if l.maxAge = c.duration(f.value); l.maxAge > 0 && l.maxAge < leastAge {
			c.fault(f.value, "max_age "+l.maxAge.String(), "at least "+shortly(leastAge), "")
		}
	}
	if f, ok := got["again"]; ok {
		l.again = c.duration(f.value)
	}
	if f, ok := got["fallback"]; ok {
		c.fallback(l, f)
	}
	if f, ok := got["on_miss"]; ok {
		l.miss = c.text(f.value, "a problem code")
	}
	if f, ok := got["owner"]; ok {
		l.owner = c.text(f.value, "a team")
	}
	if f, ok := got["class"]; ok {
		l.class = c.choice(f.value, "a class of problems", "MASTER", "DATA", "POLICY")
	}
	if f, ok := got["require"]; ok {
		l.require = c.text(f.value, "a field of the answer")
		if a := l.field(l.require); a == nil || a.Type != "bool" {
			c.fault(f.value, describe(f.value), "a field of the answer that is bool", suggest(l.require, l.names("bool")))
		}
	}
}

func (c *compiler) lookupKey(l *lookupRule, got map[string]field) {
	if f, ok := got["key"]; ok {
		l.key = c.names(f.value, "what is asked about")
		for _, k := range l.key {
			if !paramForm.MatchString(k) || k == "as_of" || k == "company" {
				c.fault(f.value, fmt.Sprintf("the key %q", k), "names of small letters, digits and _, without as_of and company", "dated: true, for as_of")
			}
		}
	}
	if f, ok := got["dated"]; ok {
		l.dated = c.choice(f.value, "whether it is asked as of a day", "true", "false") == "true"
	}
	if len(l.key) == 0 && !l.dated {
		c.fault(got["ask"].at, "lookup "+l.name+" without key and without dated", "what is asked about", "key: customer")
	}
}

func (c *compiler) answerFields(l *lookupRule, f field) {
	for _, af := range c.fields(f.value, "answer") {
		m := fieldForm.FindStringSubmatch(c.text(af.value, "a type"))
		if m == nil || answerTypes[m[1]] == 0 {
			word := ""
			if m != nil {
				word = suggest(m[1], slices.Sorted(maps.Keys(answerTypes)))
			}
			c.fault(af.value, describe(af.value), "<type>, <type> of <path>, each with or null when it may be left out; the types are "+strings.Join(slices.Sorted(maps.Keys(answerTypes)), ", "), word)
			continue
		}
		if slices.Contains(reservedFields, af.key) || strings.Contains(af.key, ".") {
			c.fault(af.at, fmt.Sprintf("the field %q of an answer", af.key), "a name without points; "+strings.Join(reservedFields, " and ")+" are told of every answer", "")
		}
		if m[2] == "" {
			m[2] = af.key
		}
		l.fields = append(l.fields, AnswerField{af.key, m[1], m[3] != "", m[2]})
	}
	if n := len(l.fields); n == 0 || n > maxAnswerFields {
		c.fault(f.value, fmt.Sprintf("an answer of %d fields", n), fmt.Sprintf("1 to %d fields that rules use", maxAnswerFields), "answer: { rate: decimal }")
	}
}

func (c *compiler) fallback(l *lookupRule, f field) {
	if f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!null" {
		l.fallback = fallbackNull
		return
	}
	text := c.text(f.value, "hold, null or stale <how long>")
	if m := staleForm.FindStringSubmatch(text); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil && d > 0 {
			l.fallback, l.stale = fallbackStale, d
			return
		}
	} else if text == fallbackHold {
		return
	}
	c.fault(f.value, describe(f.value), "what becomes of what waits while the service does not answer: hold, null, or stale and how long", "fallback: stale 24h")
}

func (l *lookupRule) field(name string) *AnswerField {
	if i := slices.IndexFunc(l.fields, func(a AnswerField) bool { return a.Name == name }); i >= 0 {
		return &l.fields[i]
	}
	return nil
}

// names are the fields of a type, or all of them.
func (l *lookupRule) names(typ string) []string {
	var all []string
	for _, a := range l.fields {
		if typ == "" || a.Type == typ {
			all = append(all, a.Name)
		}
	}
	return all
}

// Asks are the "<service>.<question>" that the rules put, sorted.
func (m *Mapping) Asks() []string {
	var all []string
	for _, l := range m.lookups {
		all = append(all, l.service+"."+l.question)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Asks are the "<service>.<question>" that the mappings' rules put, sorted.
func (c *Carriers) Asks() []string { return c.names((*Mapping).Asks) }

// lookupsShape is the section for editors.
func lookupsShape() fileShape {
	answer := namedShape("the fields that rules use, with their types", fileShape{"type": "string", "pattern": fieldForm.String()})
	return namedShape("questions to services outside", recordShape("a question", lookupKeys, map[string]fileShape{
		"ask":      {"type": "string", "pattern": askForm.String(), "description": "<service or sink of waybill.yaml>.<question>"},
		"key":      eitherShape("what it is asked about", textShape("a name"), listShape("names", textShape("a name"))),
		"dated":    flagShape("it is asked as of a day"),
		"answer":   answer,
		"require":  textShape("a bool field that must be true, else there is no answer"),
		"max_age":  durationShape("how long an answer is used; 24h unless it is said"),
		"again":    durationShape("how often it is asked again while something waits for another answer; 5m unless it is said"),
		"fallback": {"type": []string{"string", "null"}, "pattern": "^(hold|null|stale +.+)$", "description": "while the service does not answer: hold, null, or stale <how long>"},
		"on_miss":  textShape("code of the problem when there is no answer"),
		"class":    wordShape("of that problem", "MASTER", "DATA", "POLICY"),
		"owner":    textShape("the team that settles it"),
	}, "ask", "answer"))
}
