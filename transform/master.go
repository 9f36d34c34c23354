package transform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// governance says how the versions of an entity come into force: who approves, from when, and what must be right. The rule that tells of the
// entity then makes a version of each change, and its event and postings only when the version is in force.
type governance struct {
	entity   string
	at       string         // file:line
	rest     int            // persons who approve a change of a field that is not named
	fresh    int            // persons who approve a new entity; -1: as many as its fields need
	need     map[string]int // by field
	from, to *expr          // days or instants between which the source says that it holds; nil: none said
	by       *expr          // who made the change in the source: may not approve it; nil: nobody knows
	owner    string         // team that approves
	rules    TargetTable    // of the mapping itself
}

var (
	masterKeys    = []string{"approve", "effective", "by", "owner", "validate", "drift"}
	approveKeys   = []string{"default", "new", "fields"}
	effectiveKeys = []string{"from", "to"}
	validateKeys  = []string{"required", "most", "values", "form", "means", "needs"}
	persons       = []string{"none", "one", "two"}
)

// saidByMasters are the fields of an event that a governed rule may not give itself (domain.md §1.5).
var saidByMasters = []string{"entity_version", "effective_from", "effective_to", "approved_by", "change_set", "before", "after"}

// masterRules reads masters, by entity. It comes after events, whose words it uses.
func (c *compiler) masterRules(f field) {
	for _, mf := range c.fields(f.value, "masters") {
		e := c.governs(mf)
		got := c.record(mf.value, "masters of "+mf.key, masterKeys, nil)
		if e == nil {
			continue
		}
		g := &governance{entity: mf.key, at: c.where(mf.at), fresh: -1, need: map[string]int{}, owner: "master data"}
		names := heads(e.set)
		for _, s := range e.set {
			if slices.Contains(saidByMasters, s.name) {
				c.fault(&yaml.Node{Line: s.line}, fmt.Sprintf("the field %s of %s", s.name, e.typ), "a field of the entity: masters tells "+strings.Join(saidByMasters, ", "), "")
			}
		}
		if a, ok := got["approve"]; ok {
			c.approvals(a, g, names)
		}
		if x, ok := got["effective"]; ok {
			dates := c.record(x.value, "effective", effectiveKeys, nil)
			if d, ok := dates["from"]; ok {
				g.from = c.moment(d, e.scope)
			}
			if d, ok := dates["to"]; ok {
				g.to = c.moment(d, e.scope)
			}
		}
		if b, ok := got["by"]; ok {
			g.by = c.value(b.value, e.scope)
		}
		if o, ok := got["owner"]; ok {
			g.owner = c.text(o.value, "the team that approves")
		}
		if v, ok := got["validate"]; ok {
			c.validations(v, g, names)
		}
		if d, ok := got["drift"]; ok {
			c.drifts(d, g, names)
		}
		e.governed = g
	}
}

// namesUnder are the keys of a section that is read later; none when it is not there.
func namesUnder(f field) map[string]bool {
	names := map[string]bool{}
	if f.value != nil && f.value.Kind == yaml.MappingNode {
		for i := 0; i < len(f.value.Content); i += 2 {
			names[f.value.Content[i].Value] = true
		}
	}
	return names
}

// governs finds the owner's rule that tells of the entity.
func (c *compiler) governs(f field) *eventRule {
	var known []string
	for _, e := range c.m.events {
		if e.lane != LaneMaster || e.others != "" {
			continue
		}
		if e.typ == f.key+".changed" {
			return e
		}
		known = append(known, strings.TrimSuffix(e.typ, ".changed"))
	}
	if c.declared[f.key+".changed"] && len(c.faults) > 0 {
		return nil // the fault of its rule is told
	}
	c.fault(f.at, fmt.Sprintf("masters of %q", f.key), "an entity of which a rule with lane: master tells: "+strings.Join(known, ", "), suggest(f.key, known))
	return nil
}

// heads are the names of an event's fields, without parts.
func heads(set []setting) []string {
	var all []string
	for _, s := range set {
		head, _, _ := strings.Cut(s.name, ".")
		all = append(all, head)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// approvals reads how many persons approve: one word for every change, or { default, new, fields }.
func (c *compiler) approvals(f field, g *governance, names []string) {
	if f.value.Kind != yaml.MappingNode {
		g.rest = c.persons(f.value)
		return
	}
	got := c.record(f.value, "approve", approveKeys, nil)
	if d, ok := got["default"]; ok {
		g.rest = c.persons(d.value)
	}
	if n, ok := got["new"]; ok {
		g.fresh = c.persons(n.value)
	}
	if by, ok := got["fields"]; ok {
		for _, x := range c.fields(by.value, "approve by field") {
			if c.hasField(x, g, names) {
				g.need[x.key] = c.persons(x.value)
			}
		}
	}
}

func (c *compiler) persons(n *yaml.Node) int {
	return max(0, slices.Index(persons, c.choice(n, "how many persons approve", persons...)))
}

func (c *compiler) hasField(f field, g *governance, names []string) bool {
	if slices.Contains(names, f.key) {
		return true
	}
	c.fault(f.at, fmt.Sprintf("the field %q of %s", f.key, g.entity), "a field of its rule: "+strings.Join(names, ", "), suggest(f.key, names))
	return false
}

// validations reads what the mapping itself demands, in the words in which targets say it.
func (c *compiler) validations(f field, g *governance, names []string) {
	for _, x := range c.fields(f.value, "validate") {
		if !c.hasField(x, g, names) {
			continue
		}
		t := TargetField{Name: x.key}
		got := c.record(x.value, "validate "+x.key, validateKeys, nil)
		for _, k := range slices.Sorted(maps.Keys(got)) {
			c.validation(got[k], &t, g, names)
		}
		g.rules.Fields = append(g.rules.Fields, t)
	}
}

func (c *compiler) validation(f field, t *TargetField, g *governance, names []string) {
	switch f.key {
	case "required":
		t.Required = c.choice(f.value, "whether it must have a value", "true", "false") == "true"
	case "most":
		n, err := strconv.Atoi(f.value.Value)
		if err != nil || n < 1 || n > 100_000 {
			c.fault(f.value, describe(f.value), "how many characters it may have: 1 to 100000", "40")
		}
		t.Most = n
	case "values":
		if f.value.Kind != yaml.SequenceNode || len(f.value.Content) == 0 {
			c.fault(f.value, describe(f.value), "a list of what it may be", "[NET 15, NET 30]")
			return
		}
		for _, n := range f.value.Content {
			t.Values = append(t.Values, c.text(n, "a value"))
		}
	case "form":
		t.Form = c.text(f.value, "a pattern")
		if _, err := regexp.Compile(t.Form); err != nil {
			c.fault(f.value, fmt.Sprintf("the pattern %q: %v", clip(t.Form, 80), err), "a regular expression (RE2)", `"^[0-9]{2}-?[0-9]{7}$"`)
			t.Form = ""
		}
	case "means":
		t.Means = c.text(f.value, "the pattern in words")
	case "needs":
		t.Needs = c.text(f.value, "another field")
		if t.Needs != "" && !slices.Contains(names, t.Needs) {
			c.fault(f.value, fmt.Sprintf("the field %q of %s", t.Needs, g.entity), "a field of its rule: "+strings.Join(names, ", "), suggest(t.Needs, names))
		}
	}
}

// Governed returns the targets that take an entity whose versions are governed, sorted: what they demand must be known.
func (m *Mapping) Governed() []string {
	var all []string
	for _, e := range m.events {
		if e.governed == nil {
			continue
		}
		for _, p := range e.posts {
			all = append(all, p.target())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// persons who must approve a version: as many as the field that needs most.
func (g *governance) persons(changes []MasterChange, fresh bool) int {
	if fresh && g.fresh >= 0 {
		return g.fresh
	}
	most := 0
	for _, ch := range changes {
		n, named := g.need[ch.Field]
		if !named {
			n = g.rest
		}
		most = max(most, n)
	}
	return most
}
