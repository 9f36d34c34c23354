package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// eventRule makes an event of one row change.
type eventRule struct {
	typ       string // short event type
	entity    string
	at        string // file:line
	table     *table
	lane      Lane
	id        string // the rule's declared id: its type, or type@name of a rule of a source that does not own the entity
	others    string // what becomes of it when its source does not own the entity: ignore, exception or propose
	proposed  bool   // other sources may propose changes of what it tells
	key       *expr
	company   *expr // nil: the mapping's
	when      *expr // nil: always, for master data
	time      *expr // when it happened; nil: at commit
	zone      *expr // of the time; nil: the source's
	seed      *expr // a row of the first snapshot for which it has happened before
	orderKey  *expr
	correlate []correlation
	set       []setting
	posts     []*post
	scope     *scope
}

// correlation names another entity that an event is about.
type correlation struct {
	entity string
	e      *expr
}

var eventKeys = []string{"from", "when", "key", "company", "at", "zone", "lane", "order", "correlate", "seed", "set"}

func (c *compiler) eventRules(f field) {
	for _, ef := range c.fields(f.value, "events") {
		id := ef.key
		ef.key, _, _ = strings.Cut(id, "@")
		if !c.inCatalogue(ef) {
			continue
		}
		got := c.record(ef.value, "event "+ef.key, eventKeys,
			map[string]string{"partial": "an event shipment.partially_delivered of its own, with its when", "where": "the condition in when"})
		if !c.need(ef.at, got, "event "+ef.key, "from", "key") {
			continue
		}
		t := c.tableOf(got["from"].value, c.text(got["from"].value, "<source>.<table> or <source>.message(<prefix>)"))
		if t == nil {
			continue
		}
		c.eventRule(ef, got, t, id)
	}
	c.proposals()
}

func (c *compiler) inCatalogue(f field) bool {
	c.declared[f.key] = true
	if _, ok := catalogue[f.key]; ok {
		return true
	}
	c.fault(f.at, fmt.Sprintf("the event %q", f.key), "an event of the catalogue", suggest(f.key, slices.Sorted(maps.Keys(catalogue))))
	return false
}

func (c *compiler) eventRule(ef field, got map[string]field, t *table, id string) {
	entity, _, _ := strings.Cut(ef.key, ".")
	e := &eventRule{typ: ef.key, id: id, entity: entity, at: c.where(ef.at), table: t, lane: LaneTransactional}
	sc := &scope{src: t.source, bare: t, bareRow: anyRow, fields: map[string]*cel.Type{}, places: 2,
		roots: map[string]root{"new": {t, newRow}, "old": {t, oldRow}}}
	e.scope = sc
	for _, k := range eventKeys { // in one order, so that rows keep the order of their columns
		f, ok := got[k]
		if !ok {
			continue
		}
		switch k {
		case "lane":
			if c.choice(f.value, "a lane", "master", "transactional") == "master" {
				e.lane = LaneMaster
			}
		case "key":
			e.key = c.value(f.value, sc)
		case "company":
			e.company = c.value(f.value, sc)
		case "when":
			e.when = c.condition(f.value, sc)
		case "at":
			e.time = c.moment(f, sc)
		case "zone":
			e.zone = c.value(f.value, sc)
		case "seed":
			e.seed = c.condition(f.value, sc)
		case "order":
			e.orderKey = c.value(f.value, sc)
		case "correlate":
			e.correlate = c.correlations(f, sc)
		}
	}
	if e.when == nil && e.lane != LaneMaster && !t.messages {
		c.fault(ef.at, "event "+ef.key+" without when", "the change that makes it", "when: became(column, \"value\")")
	}
	if f, ok := got["set"]; ok {
		e.set = c.settings(f, sc)
	}
	c.required(ef, e.set)
	e.others = c.ownership(ef.at, id, e.typ, t.source)
	t.events = append(t.events, e)
	c.m.events = append(c.m.events, e)
}

// moment compiles the time at which something happened.
func (c *compiler) moment(f field, sc *scope) *expr {
	e := c.expression(f.value, sc)
	if !isDyn(e.typ) && !slices.Contains([]string{"date", "timestamp_without_zone", "google.protobuf.Timestamp"}, bare(e.typ)) {
		c.fault(f.value, fmt.Sprintf("`%s`, which is %s", e.text, article(e.typ)), "a date, a timestamp or an instant", "")
	}
	return e
}

func (c *compiler) correlations(f field, sc *scope) []correlation {
	var all []correlation
	for _, x := range c.fields(f.value, "correlate") {
		e := c.value(x.value, sc)
		e.optional = true
		all = append(all, correlation{x.key, e})
	}
	return all
}

// required reports fields that the catalogue wants of the event.
func (c *compiler) required(f field, set []setting) {
	for _, need := range catalogue[f.key] {
		if !slices.ContainsFunc(set, func(s setting) bool { return s.name == need || strings.HasPrefix(s.name, need+".") }) {
			c.fault(f.at, "event "+f.key+" without the field "+need, "every field that the catalogue requires: "+
				strings.Join(catalogue[f.key], ", "), need+": <expression> in its set")
		}
	}
}
