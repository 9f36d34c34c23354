package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// owner is the system of record of an entity: the one source whose rows say what is so. What another source says of it is dealt
// with as others says.
type owner struct {
	entity string
	source string
	others string // ignore, exception or propose; empty: no rule of another source may make its events
}

// What becomes of an event of a source that does not own the entity.
const (
	othersIgnore    = "ignore"    // a note, counted
	othersException = "exception" // an exception; the change is held
	othersPropose   = "propose"   // a proposal to the owner, with the difference
)

// systemsOfRecord says of which entity an event tells, by the first part of its type (domain.md §1.5): what is declared once in owners
// holds for all of them.
var systemsOfRecord = map[string]string{
	"customer": "customer", "location": "location", "item": "item", "tax_code": "tax_code", "account_mapping": "account_mapping",
	"contract_rate": "rate", "order": "order", "tender": "load", "load": "load", "stop": "stop", "shipment": "shipment", "pod": "shipment",
	"accessorial": "charge", "detention": "charge", "invoice": "invoice", "credit_memo": "invoice", "payment": "posting",
}

func ownedEntities() []string {
	return slices.Compact(slices.Sorted(maps.Values(systemsOfRecord)))
}

// owners reads who owns what: a source, or a source and what becomes of what others say.
func (c *compiler) owners(f field) {
	for _, of := range c.fields(f.value, "owners") {
		if entities := ownedEntities(); !slices.Contains(entities, of.key) {
			c.fault(of.at, fmt.Sprintf("the owner of %q", of.key), "one of "+strings.Join(entities, ", "), suggest(of.key, entities))
			continue
		}
		o := &owner{entity: of.key}
		named := of.value
		if of.value.Kind == yaml.MappingNode {
			got := c.record(of.value, "the owner of "+of.key, []string{"source", "others"}, nil)
			if !c.need(of.at, got, "the owner of "+of.key, "source") {
				continue
			}
			named = got["source"].value
			if p, ok := got["others"]; ok {
				o.others = c.choice(p.value, "what becomes of what other sources say of it", othersIgnore, othersException, othersPropose)
				if o.others == "" {
					o.others = othersIgnore // its fault is told
				}
			}
		}
		o.source = c.text(named, "a source of this mapping")
		if o.source != "" && c.m.sources[o.source] == nil {
			names := c.m.Sources()
			c.fault(named, fmt.Sprintf("%q as the owner of %s", o.source, of.key), "a source of this mapping: "+strings.Join(names, ", "), suggest(o.source, names))
			continue
		}
		c.m.owners[o.entity] = o
	}
}

// ownership tells what becomes of an event rule of the source: empty when the source owns the entity, or nobody is said to. A rule of
// another source needs a policy, and a second rule of a type is for such a source.
func (c *compiler) ownership(at *yaml.Node, id, typ string, s *source) string {
	kind, _, _ := strings.Cut(typ, ".")
	o := c.m.owners[systemsOfRecord[kind]]
	owns := o == nil || o.source == "" || o.source == s.name
	switch {
	case owns && id != typ:
		c.fault(at, fmt.Sprintf("%q, another rule of %s, of a source that owns what it tells", id, typ),
			"name@source for a source that does not own the entity; one rule of a type for its owner", "one rule, or owners: { … }")
	case !owns && o.others == "":
		c.fault(at, fmt.Sprintf("the event %s of %s, while %s is owned by %s", typ, s.name, o.entity, o.source), "a rule of the owner, or what becomes of it",
			fmt.Sprintf("owners: { %s: { source: %s, others: propose } }, or ignore or exception", o.entity, o.source))
	case !owns:
		return o.others
	}
	return ""
}

// documentOwnership is ownership of an event of a document. A document is not proposed: it is the owner's, or a person's to judge.
func (c *compiler) documentOwnership(at *yaml.Node, typ string, s *source) string {
	others := c.ownership(at, typ, typ, s)
	if others == othersPropose {
		c.fault(at, fmt.Sprintf("the document event %s of %s, proposed to its owner", typ, s.name), "ignore or exception: only events of a row are proposed", "others: exception")
		return ""
	}
	return others
}

// proposals notes which rules must keep what they tell, because another source may propose a change of it.
func (c *compiler) proposals() {
	for _, p := range c.m.events {
		if p.others != othersPropose {
			continue
		}
		for _, e := range c.m.events {
			e.proposed = e.proposed || e.others == "" && e.typ == p.typ
		}
	}
}

// ownerOf is the source that owns what events of the type tell of.
func (m *Mapping) ownerOf(typ string) string {
	kind, _, _ := strings.Cut(typ, ".")
	if o := m.owners[systemsOfRecord[kind]]; o != nil {
		return o.source
	}
	return ""
}

// foreign deals with an event of a source that does not own the entity. What a first snapshot brings is no news: it is compared
// where it is proposed, and told by nobody else.
func (r *run) foreign(e *eventRule, c *rowChange, held *heldChange, ev *Event, troubles []*trouble, f *frame) error {
	switch {
	case e.others == othersPropose:
		return r.propose(e, c, held, ev, troubles, f)
	case c.first:
		return nil
	case e.others == othersException:
		return r.hold(e, c, held, union(troubles, []*trouble{r.notOwner(e.others, e.typ, e.table)}), f)
	}
	if err := r.dropSuperseded(e, c, held); err != nil {
		return err
	}
	return r.out.Note(r.ignored(e.typ+" ("+e.at+")", e.typ, e.table, ev.Refs))
}

// notOwner is the trouble of an event that its source may not tell; nil when it may.
func (r *run) notOwner(others, typ string, t *table) *trouble {
	if others != othersException {
		return nil
	}
	by := r.m.ownerOf(typ)
	return &trouble{class: "POLICY", code: "NOT_OWNER", cause: t.key() + "/" + typ, owner: "integration",
		title:    fmt.Sprintf("%s says %s, but %s owns that; nothing was made of it.", t.key(), typ, by),
		hint:     fmt.Sprintf("Correct it in %s and discard this; or declare another owner in %s, activate the mapping and retry.", by, r.m.file),
		evidence: map[string]any{"owner": by, "source": t.source.name}}
}

// ignored is the note of an event that the policy drops.
func (r *run) ignored(rule, typ string, t *table, refs []string) Note {
	return Note{Rule: rule, Refs: refs, Why: fmt.Sprintf("%s of %s ignored: %s owns it", typ, t.key(), r.m.ownerOf(typ))}
}

// foreignDocument deals with a document's event of a source that does not own it. left says that nothing more becomes of the change;
// otherwise the document is released, and waits with its exception.
func (r *run) foreignDocument(d *document, e *emitRule, rec *docRecord, c *rowChange) (left bool, err error) {
	rule := e.typ + " (" + e.at + ")"
	if e.others == othersIgnore {
		return true, r.out.Note(r.ignored(rule, e.typ, d.root, []string{d.name + "/" + rec.Key}))
	}
	if !e.notice {
		return false, nil
	}
	t := r.notOwner(e.others, e.typ, d.root)
	t.locate(c)
	return true, r.out.Problem(t.problem(d.name+"/"+rec.Key, "", rule, nil))
}
