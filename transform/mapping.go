package transform

import (
	"slices"
	"sort"
	"time"

	"waybill/cdc"
)

// Mapping is a parsed mapping file: everything that is known about one carrier, on one page. It is immutable.
type Mapping struct {
	file    string
	text    []byte
	name    string
	version string
	company string    // legal entity of all its rules that do not tell their own; empty for none
	line    int       // of its name
	cutover time.Time // documents released before it are history
	shadow  bool      // of every post

	sources   map[string]*source
	owners    map[string]*owner // by entity
	codes     map[string]*codeTable
	xrefs     map[string]*xref
	lookups   map[string]*lookupRule
	tables    map[string]*table // by source.schema.name
	order     []*table
	events    []*eventRule
	documents []*document
	posts     []*post
	publish   []*publication
	cases     *cases // nil: none
	tests     []*inlineTest
	takes     bool // an event takes back what was never sent
	bounds    bounds
	duties    duties
}

// Version names the mapping and its version: "northstar/7". It is stamped on every event.
func (m *Mapping) Version() string { return m.name + "/" + m.version }

// Name is the name of the carrier: "northstar".
func (m *Mapping) Name() string { return m.name }

// Company is the legal entity that the mapping declares; empty for none.
func (m *Mapping) Company() string { return m.company }

// File is the name of the file that the mapping was read from.
func (m *Mapping) File() string { return m.file }

// Text is what the file said. The bytes must not be changed.
func (m *Mapping) Text() []byte { return m.text }

// Selections says which tables and columns of the source the rules read, in the order of the file.
func (m *Mapping) Selections(source string) []cdc.Selection {
	var all []cdc.Selection
	for _, t := range m.order {
		if t.source.name == source {
			all = append(all, t.selection())
		}
	}
	return all
}

// Sources returns the names of the sources, sorted.
func (m *Mapping) Sources() []string {
	var names []string
	for n := range m.sources {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Targets returns the "<sink>.<entity>" that posts go to, sorted.
func (m *Mapping) Targets() []string {
	var names []string
	for _, p := range m.posts {
		names = append(names, p.sink+"."+p.entity)
	}
	sort.Strings(names)
	return slices.Compact(names)
}
