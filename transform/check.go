package transform

import (
	"fmt"

	"waybill/cdc"
)

// Check proves the mapping against the live catalogs, by source name: every table and column that a rule names, the kinds that
// its expressions are used on, enum labels, and keys.
func (m *Mapping) Check(catalog map[string][]*cdc.Schema) []Fault {
	if catalog == nil {
		catalog = map[string][]*cdc.Schema{}
	}
	checked, faults := parse(m.file, m.text, catalog)
	c := &compiler{reader: reader{file: m.file, faults: faults}, m: checked, catalog: catalog}
	if checked == nil {
		return faults
	}
	for _, t := range checked.order {
		c.keys(t)
	}
	return c.tidy()
}

// keys refuses what has no primary key: its rows cannot be told apart.
func (c *compiler) keys(t *table) {
	s := c.shape(t)
	if s == nil {
		return
	}
	for i := range s.Columns {
		if s.Columns[i].Key {
			return
		}
	}
	if len(t.root)+len(t.lines)+len(t.xrefs)+len(t.beside) > 0 {
		c.faults = append(c.faults, Fault{File: c.file, Line: t.line, Found: fmt.Sprintf("the table %s, which has no primary key", t.key()),
			Expected: "a primary key on the table of a document or cross-reference",
			Fix:      fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…) in the source", t.name)})
	}
}
