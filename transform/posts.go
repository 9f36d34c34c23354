package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"gopkg.in/yaml.v3"
)

// post is what an event asks of a target.
type post struct {
	event    string
	sink     string
	entity   string
	at       string
	node     *yaml.Node
	external *expr
	sort     *expr
	dated    *datedPost // nil: the target dates it
	gates    []gateRule
	times    *timetable // nil: at once
	body     []setting
	shadow   bool // nothing is sent before a person switches it on
}

// gateRule is one requirement of a posting.
type gateRule struct {
	kind GateKind
	name string
	each bool // once for each line
	key  *expr
	when *expr // nil: always
	// company of what is required; nil: that of the event.
	company *expr
	wait    time.Duration // 0: for ever
	node    *yaml.Node
}

var postKeys = []string{"external_id", "require", "sort", "posting_date", "schedule", "window", "shadow", "body"}

func (p *post) target() string { return p.sink + "." + p.entity }

func (c *compiler) postRules(f field) {
	for _, pf := range c.fields(f.value, "posts") {
		left, right, ok := strings.Cut(pf.key, "->")
		sink, entity, two := strings.Cut(strings.TrimSpace(right), ".")
		if !ok || !two || sink == "" || entity == "" || strings.Contains(entity, ".") {
			c.fault(pf.at, fmt.Sprintf("%q", pf.key), "<event> -> <sink>.<entity>", "invoice.released -> erp.sales_invoice")
			continue
		}
		got := c.record(pf.value, "post "+pf.key, postKeys,
			map[string]string{"on_reject": "nothing; what the target refuses is an exception for its owner"})
		if !c.need(pf.at, got, "post "+pf.key, "external_id", "body") {
			continue
		}
		for _, event := range strings.Split(left, ",") {
			c.post(pf, strings.TrimSpace(event), &post{sink: sink, entity: entity, at: c.where(pf.at), node: pf.at}, got)
		}
	}
}

// post compiles a posting in the words of the event that asks for it. What several documents make is named with its document.
func (c *compiler) post(pf field, event string, p *post, got map[string]field) {
	var document string
	event, document, _ = strings.Cut(event, "@")
	p.event = event
	sc, add, more := c.emitter(event, document)
	if more != nil {
		c.fault(pf.at, fmt.Sprintf("a post of %s, which the documents %s make", event, sentence(more)), "the document beside the event, each with a post of its own",
			event+"@"+more[0])
		return
	}
	if sc == nil && c.declared[event] && len(c.faults) > 0 {
		return // its own fault is told
	}
	if sc == nil {
		c.fault(pf.at, fmt.Sprintf("a post of %q", event), "an event that this mapping makes with all its fields", suggest(event, c.made()))
		return
	}
	p.external = c.value(got["external_id"].value, sc)
	if s, ok := got["sort"]; ok {
		p.sort = c.value(s.value, sc)
	} else if _, ok := sc.fields["date"]; ok {
		p.sort = &expr{text: "date", at: p.at, alts: []node{fieldNode{"date", false}}, typ: cel.DynType, optional: true}
	}
	if r, ok := got["require"]; ok {
		p.gates = c.gates(r, sc)
	}
	p.times = c.timetable(got, sc.src)
	if s, ok := got["shadow"]; ok {
		p.shadow = c.flag(s.value)
	}
	p.body = c.body(got["body"].value, sc, sc.made)
	if d, ok := got["posting_date"]; ok {
		c.postingDate(d, p, sc)
	}
	add(p)
	c.m.posts = append(c.m.posts, p)
}

// emitter finds what makes the event, and the names that its posts may use. more are the documents among which the event alone does not
// choose.
func (c *compiler) emitter(event, document string) (sc *scope, add func(*post), more []string) {
	for _, e := range c.m.events {
		if e.typ == event && e.others == "" && document == "" {
			return e.scope, func(p *post) { e.posts = append(e.posts, p) }, nil
		}
	}
	var makers []string
	for _, d := range c.m.documents {
		for _, e := range d.emit {
			if e.typ == event && !e.notice && (document == "" || document == d.name) {
				sc, add = d.scope, func(p *post) { e.posts = append(e.posts, p) }
				makers = append(makers, d.name)
			}
		}
	}
	if len(makers) > 1 {
		return nil, nil, makers
	}
	if sc == nil && event == ready && document == "" && c.m.cases != nil {
		return c.readyScope(), func(p *post) { c.m.cases.posts = append(c.m.cases.posts, p) }, nil
	}
	return sc, add, nil
}

// made lists the events of the mapping.
func (c *compiler) made() []string {
	var all []string
	for _, e := range c.m.events {
		if e.others == "" {
			all = append(all, e.typ)
		}
	}
	for _, d := range c.m.documents {
		for _, e := range d.emit {
			all = append(all, e.typ)
		}
	}
	if c.m.cases != nil {
		all = append(all, ready)
	}
	return all
}

// gates reads require. A requirement is "<event>" or "<event> if <condition>", or a mapping of its name to the key that it needs,
// with if and deadline beside it.
func (c *compiler) gates(f field, sc *scope) []gateRule {
	if f.value.Kind != yaml.SequenceNode {
		c.fault(f.value, describe(f.value), "a list of requirements", "- { erp.customer: bill_to.account }")
		return nil
	}
	var all []gateRule
	for _, n := range f.value.Content {
		if g, ok := c.gate(n, sc); ok {
			all = append(all, g)
		}
	}
	return all
}

func (c *compiler) gate(n *yaml.Node, sc *scope) (g gateRule, ok bool) {
	g.node = n
	if n.Kind == yaml.ScalarNode {
		name, condition, conditional := strings.Cut(n.Value, " if ")
		g.name = strings.TrimSpace(name)
		entity, _, _ := strings.Cut(g.name, ".")
		g.key = c.compile(n, entity, sc)
		if conditional {
			g.when = c.compile(n, condition, sc)
		}
		return g, c.gateKind(&g)
	}
	for _, f := range c.fields(n, "a requirement") {
		switch f.key {
		case "if":
			g.when = c.condition(f.value, sc)
		case "deadline":
			g.wait = c.duration(f.value)
		case "company":
			g.company = c.value(f.value, sc)
		default:
			if g.name != "" {
				c.fault(f.at, fmt.Sprintf("%q beside %q", f.key, g.name), "one requirement an entry, with if, company and deadline", "")
				return g, false
			}
			g.name, g.each = strings.CutSuffix(f.key, "[]")
			in := *sc
			if g.each {
				if in.line = sc.made; in.line == nil {
					c.fault(f.at, f.key, "a requirement of each line only where the event has lines", "")
				}
			}
			g.key = c.value(f.value, &in)
		}
	}
	if g.name == "" {
		c.fault(n, "a requirement without a name", "<event>: <key>, or <sink>.<entity>: <external id>", "")
		return g, false
	}
	return g, c.gateKind(&g)
}

// gateKind tells events of the mapping from postings.
func (c *compiler) gateKind(g *gateRule) bool {
	_, isEvent := catalogue[g.name]
	switch {
	case isEvent && slices.Contains(c.made(), g.name):
		g.kind = GateEvent
	case isEvent:
		c.fault(g.node, "the requirement "+g.name+", which no rule of this mapping makes", "an event that it makes", suggest(g.name, c.made()))
		return false
	case strings.Count(g.name, ".") == 1:
		g.kind = GateLedger
	default:
		c.fault(g.node, fmt.Sprintf("the requirement %q", g.name), "<event> or <sink>.<entity>", "")
		return false
	}
	return true
}

// GateEvents returns the types of events that postings wait for.
func (m *Mapping) GateEvents() map[string]bool {
	types := map[string]bool{}
	for _, p := range m.posts {
		for _, g := range p.gates {
			if g.kind == GateEvent {
				types[g.name] = true
			}
		}
	}
	return types
}

// cycles refuses postings that wait for each other, and postings that wait for what nobody posts.
func (c *compiler) cycles() {
	posted := map[string][]*post{}
	for _, p := range c.m.posts {
		posted[p.target()] = append(posted[p.target()], p)
	}
	for _, p := range c.m.posts {
		for _, g := range p.gates {
			if g.kind != GateLedger {
				continue
			}
			if posted[g.name] == nil {
				c.fault(g.node, "the requirement "+g.name+", which no post of this mapping makes", "a target of a post", suggest(g.name, c.m.Targets()))
				continue
			}
			if g.name == p.target() && g.key.text == p.external.text {
				c.fault(g.node, "a posting that requires itself", "the key of another posting", "")
				continue
			}
			if path := reach(posted, g.name, p.target(), nil); g.name != p.target() && path != nil {
				c.fault(g.node, "a circle of requirements: "+strings.Join(append([]string{p.target()}, path...), " needs "), "postings that do not wait for each other",
					"")
			}
		}
	}
}

// reach returns the way from one target to another along ledger gates, or nil.
func reach(posted map[string][]*post, from, to string, seen []string) []string {
	if from == to {
		return []string{to}
	}
	if slices.Contains(seen, from) {
		return nil
	}
	for _, p := range posted[from] {
		for _, g := range p.gates {
			if g.kind != GateLedger || g.name == from {
				continue
			}
			if path := reach(posted, g.name, to, append(seen, from)); path != nil {
				return append([]string{from}, path...)
			}
		}
	}
	return nil
}
