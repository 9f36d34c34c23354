package transform

import (
	"fmt"
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
	gone      []setting // set of a deleted row; nil when a deletion is no event
	posts     []*post
	scope     *scope
	shape     *shape
	governed  *governance // its versions come into force by rules; nil: at once
}

// correlation names another entity that an event is about.
type correlation struct {
	entity string
	e      *expr
	each   bool // told by every line of a document, not by its header
}

var eventKeys = []string{"from", "when", "key", "company", "at", "zone", "lane", "order", "correlate", "seed", "set", "when_deleted"}

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
	t, ok := catalogue[f.key]
	if ok && !t.Derived {
		return true
	}
	if ok {
		c.fault(f.at, fmt.Sprintf("the event %q", f.key), "an event of a source; Waybill makes this one itself", "")
		return false
	}
	c.fault(f.at, fmt.Sprintf("the event %q", f.key), "an event of the catalogue", suggest(f.key, eventNames()))
	return false
}

func (c *compiler) eventRule(ef field, got map[string]field, t *table, id string) {
	entity, _, _ := strings.Cut(ef.key, ".")
	e := &eventRule{typ: ef.key, id: id, entity: entity, at: c.where(ef.at), table: t, lane: LaneTransactional}
	sc := &scope{src: t.source, bare: t, bareRow: anyRow, fields: map[string]*cel.Type{}, places: 2,
		roots: map[string]root{"new": {t, newRow}, "old": {t, oldRow}}}
	e.scope = sc
	sc.asOf = c.asOfEvent(got, sc)
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
	if f, ok := got["when_deleted"]; ok {
		c.whenDeleted(f, e, sc)
	}
	e.shape = c.shaped(ef, e.set)
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

// correlations reads the entities that an event or a document is about. One whose name ends in [] is told by each line.
func (c *compiler) correlations(f field, sc *scope) []correlation {
	var all []correlation
	for _, x := range c.fields(f.value, "correlate") {
		in := *sc
		entity, each := strings.CutSuffix(x.key, "[]")
		if each {
			if sc.lines == nil {
				c.fault(x.at, fmt.Sprintf("%q where there are no lines", x.key), "an entity that every line names, in a document with lines", entity)
				continue
			}
			in.line = map[string]*cel.Type{}
		}
		e := c.value(x.value, &in)
		e.optional = true
		all = append(all, correlation{entity, e, each})
	}
	return all
}
