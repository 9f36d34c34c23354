package transform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// maxMapping bounds a mapping file, in bytes.
const maxMapping = 1 << 20

// Parse reads a mapping file. Names of columns are taken as they are; Check compares them with the live catalog. The error is
// Faults: every mistake at once.
func Parse(file string, src []byte) (*Mapping, error) {
	m, faults := parse(file, src, nil)
	if len(faults) > 0 {
		return nil, faults
	}
	return m, nil
}

// parse compiles the file, with the kinds of the catalog's columns if there is one.
func parse(file string, src []byte, catalog map[string][]*cdc.Schema) (*Mapping, Faults) {
	c := &compiler{reader: reader{file: file}, catalog: catalog, declared: map[string]bool{}, m: &Mapping{file: file, text: src,
		sources: map[string]*source{}, owners: map[string]*owner{}, codes: map[string]*codeTable{}, xrefs: map[string]*xref{}, tables: map[string]*table{}}}
	doc, err := readDocument(src)
	if err != nil {
		c.fault(&yaml.Node{Line: yamlLine(err)}, err.Error(), "one YAML document", "")
		return nil, c.faults
	}
	if c.env, err = newEnvironment(); err != nil {
		c.fault(doc, err.Error(), "", "")
		return nil, c.faults
	}
	c.mapping(doc)
	return c.m, c.tidy()
}

// readDocument reads the only document of the file.
func readDocument(src []byte) (*yaml.Node, error) {
	if len(src) > maxMapping {
		return nil, fmt.Errorf("a file of %d bytes; a mapping has at most %d", len(src), maxMapping)
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("an empty file")
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second YAML document")
	}
	return doc.Content[0], nil
}

func yamlLine(err error) int {
	line := 1
	if _, scanErr := fmt.Sscanf(strings.TrimPrefix(err.Error(), "yaml: "), "line %d:", &line); scanErr != nil {
		return 1
	}
	return line
}

// tidy sorts the faults by line and drops repetitions.
func (c *compiler) tidy() Faults {
	slices.SortStableFunc(c.faults, func(a, b Fault) int { return a.Line - b.Line })
	seen := map[Fault]bool{}
	return slices.DeleteFunc(c.faults, func(f Fault) bool {
		twice := seen[f]
		seen[f] = true
		return twice
	})
}

var sections = []string{"mapping", "version", "company", "cutover", "shadow", "sources", "owners", "tables", "codes", "xref", "lookups", "events", "documents", "cases", "posts", "publish", "masters", "bounds", "exceptions", "tests"}

func (c *compiler) mapping(n *yaml.Node) {
	got := c.record(n, "the mapping", sections, map[string]string{
		"keys":    "key: and correlate: on each event and document",
		"include": "everything about the carrier on this page",
		"masks":   "only the columns that the rules need",
	})
	if !c.need(n, got, "the mapping", "mapping", "version", "sources") {
		return
	}
	c.m.name = c.text(got["mapping"].value, "the name of the carrier")
	c.m.line = got["mapping"].at.Line
	c.m.version = c.text(got["version"].value, "a version number")
	if f, ok := got["company"]; ok {
		c.company(f)
	}
	if f, ok := got["cutover"]; ok {
		c.cutover(f)
	} else if _, ok := got["documents"]; ok {
		c.fault(n, "documents without a cutover", "the instant from which documents are posted", `cutover: "2026-01-01T00:00:00-06:00"`)
	}
	if f, ok := got["shadow"]; ok {
		c.m.shadow = c.flag(f.value)
	}
	c.sources(got["sources"])
	if f, ok := got["owners"]; ok {
		c.owners(f)
	}
	if f, ok := got["codes"]; ok {
		c.codes(f, c.m)
	}
	c.governed = namesUnder(got["masters"])
	for _, section := range []struct {
		name string
		read func(field)
	}{{"tables", c.tableRules}, {"xref", c.xref}, {"lookups", c.lookupRules}, {"events", c.eventRules}, {"documents", c.documentRules}, {"cases", c.caseRules}, {"posts", c.postRules}, {"publish", c.publishRules}, {"masters", c.masterRules}, {"bounds", c.boundRules},
		{"exceptions", c.exceptionDuties}, {"tests", c.inlineTests}} {
		if f, ok := got[section.name]; ok {
			section.read(f)
		}
	}
	c.cycles()
}

func (c *compiler) cutover(f field) {
	t, err := time.Parse(time.RFC3339, c.text(f.value, "an instant"))
	if err != nil {
		c.fault(f.value, describe(f.value), "an instant with its offset", `"2026-01-01T00:00:00-06:00"`)
	}
	c.m.cutover = t
}

func (c *compiler) sources(f field) {
	for _, sf := range c.fields(f.value, "sources") {
		s := &source{name: sf.key, dst: edges{edgeRefuse, edgeRefuse}, line: sf.at.Line}
		got := c.record(sf.value, "source "+sf.key, sourceKeys,
			map[string]string{"connect": "the source under the name that it has in waybill.yaml"})
		c.need(sf.at, got, "source "+sf.key, "zone")
		for k, v := range got {
			if k == "dst" {
				s.dst = c.edges(v)
				continue
			}
			text := c.text(v.value, k)
			switch k {
			case "schema":
				s.schema = text
			case "zone":
				s.zone = text
				if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" {
					c.fault(v.value, fmt.Sprintf("the zone %q", text), "a name of the IANA time zone database", "America/Chicago")
				}
			case "currency":
				s.currency = text
				if len(text) != 3 || strings.ToUpper(text) != text {
					c.fault(v.value, fmt.Sprintf("the currency %q", text), "an ISO 4217 code", isoLike(text))
				}
			}
		}
		c.m.sources[s.name] = s
	}
}

// edges reads one word for both edges of daylight saving time, or { twice: word, never: word }.
func (c *compiler) edges(f field) edges {
	word := func(n *yaml.Node, when string) string {
		return c.choice(n, "what to do with a local time that happens "+when, edgeEarlier, edgeLater, edgeRefuse)
	}
	if f.value.Kind != yaml.MappingNode {
		both := word(f.value, "twice or never")
		return edges{both, both}
	}
	e := edges{edgeRefuse, edgeRefuse}
	for k, v := range c.record(f.value, "dst", dstKeys, nil) {
		if k == "twice" {
			e.twice = word(v.value, k)
		} else {
			e.never = word(v.value, k)
		}
	}
	return e
}

// isoLike is the currency code that was perhaps meant.
func isoLike(text string) string {
	if len(text) == 3 {
		return strings.ToUpper(text)
	}
	return "USD"
}

// tableOf finds "<source>.<table>", "<source>.<schema>.<table>" or "<source>.message(<prefix>)".
func (c *compiler) tableOf(n *yaml.Node, text string) *table {
	parts := strings.Split(text, ".")
	s := c.m.sources[parts[0]]
	if s == nil {
		names := slices.Sorted(maps.Keys(c.m.sources))
		c.fault(n, fmt.Sprintf("the table %q of no known source", text), "<source>.<table>; the sources are "+strings.Join(names, ", "),
			suggest(parts[0], names))
		return nil
	}
	name := cdc.Table{Schema: s.schema}
	message := messageName.FindStringSubmatch(text)
	switch {
	case message != nil && message[2] == "":
		c.fault(n, fmt.Sprintf("the messages %q without a prefix", text), "<source>.message(<prefix>)", "")
		return nil
	case message != nil:
		name = cdc.Messages(message[2])
	case len(parts) == 2:
		name.Name = parts[1]
	case len(parts) == 3:
		name.Schema, name.Name = parts[1], parts[2]
	default:
		c.fault(n, fmt.Sprintf("the table %q", text), "<source>.<table> or <source>.<schema>.<table>", "")
		return nil
	}
	t := newTable(s, name, n.Line)
	if known := c.m.tables[t.key()]; known != nil {
		return known
	}
	c.m.tables[t.key()] = t
	c.m.order = append(c.m.order, t)
	c.known(n, t)
	return t
}

// known reports a table that the live catalog does not have.
func (c *compiler) known(n *yaml.Node, t *table) {
	if c.catalog == nil || c.shape(t) != nil {
		return
	}
	if t.messages {
		c.fault(n, fmt.Sprintf("the messages %s, which the source %s does not have", t.key(), t.source.name),
			"a table of "+t.source.name+"; messages come from PostgreSQL, from version 14 on", "")
		return
	}
	var names []string
	for _, s := range c.catalog[t.source.name] {
		names = append(names, t.source.name+"."+s.Table.Name)
	}
	c.fault(n, fmt.Sprintf("the table %s, which the source %s does not have or the role may not see", t.key(), t.source.name),
		"a table of "+t.source.name, suggest(t.source.name+"."+t.name.Name, names))
}
