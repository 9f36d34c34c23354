package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"gopkg.in/yaml.v3"
)

// strength says what a key proves about the case that an event belongs to (domain.md §1.8).
type strength string

const (
	keyStrong strength = "strong" // unique in the tenant: alone it names the case, and opens it; what two of them share is one case
	keyShared strength = "shared" // unique, but of several cases: an event that has no more goes to each of them
	keyMedium strength = "medium" // repeats: two of different kinds must lead to the same case
	keyWeak   strength = "weak"   // proves nothing: shown as a candidate
)

// caseKey is one kind of key, in the order of the file: strongest first.
type caseKey struct {
	kind     string
	strength strength
	issuer   string // who issues it, in words; its value is then ISSUER:NUMBER, and weak without the issuer
}

// cases is the section cases of a mapping: a case for each entity of the first key's kind. nil when the mapping has none.
type cases struct {
	at        string
	keys      []caseKey
	rank      []string // sources, the one whose report of a milestone counts first; others behind, alike
	fields    []string // canonical fields of events that conditions may use
	wait      time.Duration
	keep      time.Duration
	tolerance time.Duration
	orphan    time.Duration // 0: completions without their load are not looked for
	backdated time.Duration // 0: no threshold
	bill      bool          // a partial delivery may be billed
	pod       *podRule
	detention *detentionRule
	whole     *expr   // a dispute holds everything; nil: its lines only
	posts     []*post // what billing.ready asks
}

// podRule says of whom the paperwork is required, and how soon after delivery it is missed.
type podRule struct {
	required *expr
	within   time.Duration
}

// detentionRule says which charges stand for waiting at a stop, and what time is free.
type detentionRule struct {
	charges []string
	free    time.Duration
	hold    time.Duration // how long billing.ready waits for a charge that is expected; 0: not at all
}

const (
	standardWait = 15 * time.Minute
	standardKeep = 90 * 24 * time.Hour
	maxKeyKinds  = 20
	maxFields    = 20
)

var caseKeys = []string{"keys", "rank", "fields", "wait", "keep", "tolerance", "orphan", "backdated", "partial", "pod", "detention", "disputes"}

func (c *compiler) caseRules(f field) {
	got := c.record(f.value, "cases", caseKeys, nil)
	if !c.need(f.at, got, "cases", "keys") {
		return
	}
	s := &cases{at: c.where(f.at), wait: standardWait, keep: standardKeep}
	s.keys = c.caseKeys(got["keys"])
	s.rank = c.words(got, "rank", len(c.m.sources))
	for i, name := range s.rank {
		if c.m.sources[name] == nil {
			c.fault(got["rank"].value.Content[i], fmt.Sprintf("the source %q", name), "a source of the mapping", suggest(name, c.m.Sources()))
		}
	}
	s.fields = c.words(got, "fields", maxFields)
	for name, d := range map[string]*time.Duration{"wait": &s.wait, "keep": &s.keep, "tolerance": &s.tolerance, "orphan": &s.orphan, "backdated": &s.backdated} {
		if f, ok := got[name]; ok {
			*d = c.duration(f.value)
		}
	}
	if f, ok := got["partial"]; ok {
		s.bill = c.choice(f.value, "what a partial delivery does", "hold", "bill") == "bill"
	}
	sc := &scope{fields: map[string]*cel.Type{}, roots: map[string]root{}, places: 2}
	for _, name := range s.fields {
		sc.fields[name] = cel.NullableType(cel.StringType)
	}
	c.casePolicies(s, got, sc)
	if c.declared[ready] {
		c.fault(f.at, "the event "+ready+" of a rule beside cases", "one of them: a case derives the event itself", "")
	}
	c.declared[ready] = true
	c.m.cases = s
}

// caseKeys reads the kinds of keys, strongest first.
func (c *compiler) caseKeys(f field) []caseKey {
	var all []caseKey
	order := []strength{keyStrong, keyShared, keyMedium, keyWeak}
	for _, kf := range c.fields(f.value, "keys") {
		k := caseKey{kind: kf.key}
		n := kf.value
		if n.Kind == yaml.MappingNode {
			got := c.record(n, "key "+kf.key, []string{"strength", "issuer"}, nil)
			if !c.need(kf.at, got, "key "+kf.key, "strength") {
				continue
			}
			n = got["strength"].value
			if x, ok := got["issuer"]; ok {
				k.issuer = c.text(x.value, "who issues the key, such as SCAC")
			}
		}
		if k.strength = strength(c.choice(n, "the strength of a key", "strong", "shared", "medium", "weak")); k.strength == "" {
			continue
		}
		if len(all) > 0 && slices.Index(order, k.strength) < slices.Index(order, all[len(all)-1].strength) {
			c.fault(kf.at, fmt.Sprintf("the %s key %s after a %s one", k.strength, k.kind, all[len(all)-1].strength), "the strongest keys first", "")
		}
		if k.issuer != "" && k.strength != keyMedium {
			c.fault(kf.at, fmt.Sprintf("an issuer of the %s key %s", k.strength, k.kind), "an issuer of a medium key", "strength: medium")
		}
		if !c.carried(k.kind) {
			c.fault(kf.at, fmt.Sprintf("the key %q, which no event or document carries", k.kind), "an entity that a rule is about, or names in correlate:",
				suggest(k.kind, c.carriedKinds()))
		}
		all = append(all, k)
	}
	if len(all) == 0 || all[0].strength != keyStrong {
		c.fault(f.at, "keys without a strong one", "the entity that there is a case of, first", "shipment: strong")
	}
	if len(all) > maxKeyKinds {
		c.fault(f.at, fmt.Sprintf("%d kinds of keys", len(all)), fmt.Sprintf("at most %d", maxKeyKinds), "")
	}
	return all
}

func (c *compiler) carried(kind string) bool { return slices.Contains(c.carriedKinds(), kind) }

// carriedKinds are the kinds of references that the mapping's events have.
func (c *compiler) carriedKinds() []string {
	var all []string
	for _, e := range c.m.events {
		all = append(all, e.entity)
		for _, x := range e.correlate {
			all = append(all, x.entity)
		}
	}
	for _, d := range c.m.documents {
		all = append(all, d.name)
		for _, x := range d.correlate {
			all = append(all, x.entity)
		}
		for _, e := range d.emit {
			all = append(all, e.entity)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// words reads a bounded list of plain texts, each once.
func (c *compiler) words(got map[string]field, key string, most int) []string {
	f, ok := got[key]
	if !ok {
		return nil
	}
	if f.value.Kind != yaml.SequenceNode {
		c.fault(f.value, describe(f.value), "a list", key+": [a, b]")
		return nil
	}
	var all []string
	for _, n := range f.value.Content {
		s := c.text(n, "a name")
		if slices.Contains(all, s) {
			c.fault(n, fmt.Sprintf("%q a second time", s), "each name once", "")
		}
		all = append(all, s)
	}
	if len(all) > most {
		c.fault(f.at, fmt.Sprintf("%d names in %s", len(all), key), fmt.Sprintf("at most %d", most), "")
	}
	return all
}

// casePolicies reads the policies whose conditions speak of the case's fields.
func (c *compiler) casePolicies(s *cases, got map[string]field, sc *scope) {
	if f, ok := got["pod"]; ok {
		g := c.record(f.value, "pod", []string{"required", "within"}, nil)
		if c.need(f.at, g, "pod", "required") {
			s.pod = &podRule{required: c.condition(g["required"].value, sc)}
			if w, ok := g["within"]; ok {
				s.pod.within = c.duration(w.value)
			}
		}
	}
	if f, ok := got["detention"]; ok {
		g := c.record(f.value, "detention", []string{"charges", "free", "hold"}, nil)
		if c.need(f.at, g, "detention", "charges", "free") {
			s.detention = &detentionRule{charges: c.words(g, "charges", maxFields), free: c.duration(g["free"].value)}
			if h, ok := g["hold"]; ok {
				s.detention.hold = c.duration(h.value)
			}
		}
	}
	if f, ok := got["disputes"]; ok {
		g := c.record(f.value, "disputes", []string{"whole"}, nil)
		if c.need(f.at, g, "disputes", "whole") {
			s.whole = c.condition(g["whole"].value, sc)
		}
	}
}

// eventKey is a key that an event carries.
type eventKey struct {
	Ref      string   `json:"ref"`
	Kind     string   `json:"kind"`
	Strength strength `json:"strength"`
	Own      bool     `json:"own,omitempty"` // the name of what the event is about
}

// maxEventKeys bounds the keys of one event that count; a consolidated invoice names many shipments.
const maxEventKeys = 200

// keysOf returns the keys of an event in the order of the file. They lie in its references, where correlate: puts them.
func (s *cases) keysOf(ev *Event) []eventKey {
	var all []eventKey
	for _, k := range s.keys {
		for _, ref := range ev.Refs {
			kind, value, _ := strings.Cut(ref, "/")
			if kind != k.kind || len(all) == maxEventKeys {
				continue
			}
			if ev.Company != "" {
				value = strings.TrimPrefix(value, ev.Company+":")
			}
			x := eventKey{Ref: ref, Kind: kind, Strength: k.strength, Own: value == ev.Key}
			if k.issuer != "" && !strings.Contains(value, ":") {
				x.Strength = keyWeak
			}
			all = append(all, x)
		}
	}
	named := map[string]bool{} // kinds of which correlate: names one: that goes before the event's own number
	for _, k := range all {
		named[k.Kind] = named[k.Kind] || !k.Own
	}
	return slices.DeleteFunc(all, func(k eventKey) bool { return k.Own && k.Strength == keyStrong && named[k.Kind] })
}

// position is the place of a reference's kind in the file, for the choice of a case's name.
func (s *cases) position(ref string) int {
	kind, _, _ := strings.Cut(ref, "/")
	return slices.IndexFunc(s.keys, func(k caseKey) bool { return k.kind == kind })
}

// before orders the strong keys of a case: the first one names it, whatever came first.
func (s *cases) before(a, b string) int {
	if d := s.position(a) - s.position(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}
