package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// inlineTest is one test of the mapping file: steps, and what must come of them.
type inlineTest struct {
	name   string
	line   int
	unsent bool // the targets take nothing: no posting is ever sent
	steps  []testStep
	expect []expectation
}

// testStep is one transaction, one snapshot, or the passing of time.
type testStep struct {
	line     int
	snapshot bool
	wait     time.Duration
	at       time.Time // commit time; zero: a second after the step before
	changes  []testChange
	registry []RegistryRow // entered by people
	answers  []testAnswer  // of services, from then on
	master   *masterStep   // decided about governed entities
}

type testChange struct {
	table    *table
	line     int
	old, new map[string]*yaml.Node // nil: no such row
}

// expectation is an event with some of its fields, or an open problem.
type expectation struct {
	event   string
	problem string
	fields  []field
	line    int
}

// TestResult is the outcome of one inline test.
type TestResult struct {
	Name  string
	Line  int
	OK    bool
	Fails []string // what differs, one sentence each
}

func (c *compiler) inlineTests(f field) {
	if f.value.Kind != yaml.SequenceNode {
		c.fault(f.value, describe(f.value), "a list of tests", "")
		return
	}
	for _, n := range f.value.Content {
		got := c.record(n, "a test", testKeys, nil)
		if !c.need(n, got, "a test", "name", "given", "expect") {
			continue
		}
		t := &inlineTest{name: c.text(got["name"].value, "a name"), line: n.Line}
		if u, ok := got["unsent"]; ok {
			t.unsent = c.choice(u.value, "whether the targets take nothing", "true", "false") == "true"
		}
		given := []*yaml.Node{got["given"].value}
		if given[0].Kind == yaml.SequenceNode {
			given = given[0].Content
		}
		for _, g := range given {
			t.steps = append(t.steps, c.step(g))
		}
		t.expect = c.expectations(got["expect"].value)
		c.m.tests = append(c.m.tests, t)
	}
}

// step reads { tx: rows, at: instant }, { snapshot: rows }, { wait: 60s }, or the rows of one transaction.
func (c *compiler) step(n *yaml.Node) testStep {
	s := testStep{line: n.Line}
	all := c.fields(n, "a step")
	if s.master = c.masterStep(all); s.master != nil {
		all = slices.DeleteFunc(all, func(f field) bool { return f.key == "by" || slices.Contains(masterWords, f.key) })
	}
	if s.master == nil && !slices.ContainsFunc(all, func(f field) bool {
		return f.key == "tx" || f.key == "snapshot" || f.key == "wait" || f.key == "registry" || f.key == "lookup"
	}) {
		s.changes = c.testRows(all)
		return s
	}
	for _, f := range all {
		switch f.key {
		case "tx":
			s.changes = c.testRows(c.fields(f.value, "tx"))
		case "snapshot":
			s.snapshot, s.changes = true, c.testRows(c.fields(f.value, "snapshot"))
		case "wait":
			s.wait = c.duration(f.value)
		case "registry":
			s.registry = c.registryRows(f.value)
		case "lookup":
			s.answers = c.testAnswers(f.value)
		case "at":
			at, err := time.Parse(time.RFC3339, f.value.Value)
			if err != nil {
				c.fault(f.value, describe(f.value), "an instant with its offset", `"2026-10-01T12:00:00Z"`)
			}
			s.at = at
		default:
			c.fault(f.at, fmt.Sprintf("%q in a step", f.key), "tx, snapshot, wait, registry, lookup or at", "")
		}
	}
	return s
}

func (c *compiler) testRows(all []field) []testChange {
	var changes []testChange
	for _, f := range all {
		t := c.m.tables[c.tableName(f.key)]
		if t == nil {
			var names []string
			for _, known := range c.m.order {
				names = append(names, known.source.name+"."+known.name.Name)
			}
			c.fault(f.at, fmt.Sprintf("rows of %s, which no rule reads", f.key), "a table that the mapping names", suggest(f.key, names))
			continue
		}
		rows := []*yaml.Node{f.value}
		if f.value.Kind == yaml.SequenceNode {
			rows = f.value.Content
		}
		for _, n := range rows {
			changes = append(changes, c.testChange(t, n))
		}
	}
	return changes
}

func (c *compiler) tableName(s string) string {
	if messageName.MatchString(s) {
		return s
	}
	parts := strings.Split(s, ".")
	if src := c.m.sources[parts[0]]; src != nil && len(parts) == 2 && src.schema != "" {
		return parts[0] + "." + src.schema + "." + parts[1]
	}
	return s
}

// testChange reads { old: row, new: row }, or the row of an insert.
func (c *compiler) testChange(t *table, n *yaml.Node) testChange {
	ch := testChange{table: t, line: n.Line}
	all := c.fields(n, "a row")
	pair := slices.ContainsFunc(all, func(f field) bool { return f.key == "old" || f.key == "new" })
	if !pair {
		ch.new = c.testRow(t, all)
		return ch
	}
	if t.messages {
		c.fault(n, "old or new in a message", "the members of its content", "")
		return ch
	}
	for _, f := range all {
		switch f.key {
		case "old":
			ch.old = c.testRow(t, c.fields(f.value, "a row"))
		case "new":
			ch.new = c.testRow(t, c.fields(f.value, "a row"))
		default:
			c.fault(f.at, fmt.Sprintf("%q beside old and new", f.key), "old and new", "")
		}
	}
	return ch
}

func (c *compiler) testRow(t *table, all []field) map[string]*yaml.Node {
	r := map[string]*yaml.Node{}
	for _, f := range all {
		if !slices.Contains(t.cols, f.key) {
			c.fault(f.at, fmt.Sprintf("the column %s of %s, which no rule reads", f.key, t.key()), "a column that a rule reads", suggest(f.key, t.cols))
			continue
		}
		c.text(&yaml.Node{Kind: f.value.Kind, Line: f.value.Line, Value: f.value.Value}, "a value")
		r[f.key] = f.value
	}
	return r
}

// expectations reads events with fields, and problems. A list may name an event twice.
func (c *compiler) expectations(n *yaml.Node) []expectation {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var all []expectation
	for _, x := range nodes {
		if x.Kind == yaml.ScalarNode && x.Tag != "!!null" {
			all = append(all, expectation{event: x.Value, line: x.Line})
			continue
		}
		for _, f := range c.fields(x, "expect") {
			switch {
			case f.key == "problem":
				all = append(all, expectation{problem: c.text(f.value, "a problem code"), line: f.at.Line})
			case f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!null":
				all = append(all, expectation{event: f.key, line: f.at.Line})
			default:
				all = append(all, expectation{event: f.key, fields: c.fields(f.value, "fields of "+f.key), line: f.at.Line})
			}
		}
	}
	for _, e := range all {
		if e.event != "" && !slices.Contains(c.made(), e.event) {
			c.faults = append(c.faults, Fault{c.file, e.line, fmt.Sprintf("the event %q", e.event), "an event that this mapping makes", suggest(e.event, c.made())})
		}
	}
	return all
}

// Forms by which the values of test rows are told apart, for there is no catalog. Quoted digits without a point are text.
var (
	decimalText   = regexp.MustCompile(`^-?\d+\.\d+$`)
	intText       = regexp.MustCompile(`^-?\d+$`)
	dateText      = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	timeText      = regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?$`)
	timestampText = regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?$`)
)

// testValue makes a value of a scalar.
func testValue(n *yaml.Node) cdc.Value {
	s := n.Value
	switch {
	case n.Tag == "!!null":
		return cdc.NullOf(cdc.KindText)
	case n.Tag == "!!bool" && !quoted(n):
		return cdc.Of(cdc.KindBool, s)
	case intText.MatchString(s) && !quoted(n):
		return cdc.Of(cdc.KindInt, s)
	case decimalText.MatchString(s):
		return cdc.Of(cdc.KindDecimal, s)
	case dateText.MatchString(s):
		return cdc.Of(cdc.KindDate, s)
	case timeText.MatchString(s):
		if len(s) == 5 {
			s += ":00"
		}
		return cdc.Of(cdc.KindTime, s)
	case timestampText.MatchString(s):
		s = strings.Replace(s, "T", " ", 1)
		if len(s) == 16 {
			s += ":00"
		}
		return cdc.Of(cdc.KindTimestamp, s)
	}
	return cdc.Of(cdc.KindText, s)
}
