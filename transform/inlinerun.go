package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// Test runs the inline tests without a database, each with a state of its own. The kinds of columns are told from the values that
// the tests give them, the keys of rows from the rules.
func (m *Mapping) Test() []TestResult {
	shapes := m.testShapes()
	var all []TestResult
	for _, t := range m.tests {
		p, err := NewMapper(m)
		if err != nil {
			return []TestResult{{Name: t.name, Line: t.line, Fails: []string{err.Error()}}}
		}
		b := &bench{p: p, m: m, shapes: shapes, st: NewMemoryState(), out: newTranscript(), rows: map[*table][]map[string]cdc.Value{},
			clock: m.cutover.Add(24 * time.Hour).UTC()}
		b.out.unsent = t.unsent
		res := TestResult{Name: t.name, Line: t.line}
		for i := range t.steps {
			if err := b.stepped(&t.steps[i]); err != nil {
				res.Fails = append(res.Fails, fmt.Sprintf("line %d: %v", t.steps[i].line, err))
				break
			}
		}
		if len(res.Fails) == 0 {
			res.Fails = b.compare(t.expect)
		}
		res.OK = len(res.Fails) == 0
		all = append(all, res)
	}
	return all
}

// bench runs one inline test.
type bench struct {
	p      *Mapper
	m      *Mapping
	shapes map[*table]*cdc.Schema
	st     *MemoryState
	out    *transcript
	rows   map[*table][]map[string]cdc.Value // as they stand in the imagined source
	clock  time.Time
	index  uint64
	// entered counts the rows of the registry.
	entered int
	// answers are what imagined services say; the last that fits counts.
	answers []testAnswer
}

// testShapes makes a schema for each table.
func (m *Mapping) testShapes() map[*table]*cdc.Schema {
	kinds := map[*table]map[string]cdc.Kind{}
	for _, t := range m.order {
		kinds[t] = map[string]cdc.Kind{}
	}
	note := func(t *table, r map[string]*yaml.Node) {
		for col, n := range r {
			v := testValue(n)
			if v.State == cdc.Present {
				kinds[t][col] = wider(kinds[t][col], v.Kind)
			}
		}
	}
	for _, test := range m.tests {
		for _, s := range test.steps {
			for _, ch := range s.changes {
				note(ch.table, ch.old)
				note(ch.table, ch.new)
			}
		}
	}
	shapes := map[*table]*cdc.Schema{}
	for _, t := range m.order {
		s := &cdc.Schema{Source: t.source.name, Table: t.name, Codec: "inline/1"}
		shapes[t] = s
		if t.messages {
			s.Columns = []cdc.Column{{Name: contentColumn, Type: "text", Kind: cdc.KindText}}
			continue
		}
		keys := t.likelyKeys()
		for i, c := range t.cols {
			k := kinds[t][c]
			if k == 0 {
				k = cdc.KindText
			}
			s.Columns = append(s.Columns, cdc.Column{Name: c, Type: k.String(), Kind: k, Key: keys[i]})
		}
	}
	return shapes
}

// wider is the kind that holds both.
func wider(a, b cdc.Kind) cdc.Kind {
	switch {
	case a == 0 || a == b:
		return b
	case a == cdc.KindInt && b == cdc.KindDecimal || a == cdc.KindDecimal && b == cdc.KindInt:
		return cdc.KindDecimal
	}
	return cdc.KindText
}

// likelyKeys tells the columns by which rules know a row.
func (t *table) likelyKeys() map[int]bool {
	keys := map[int]bool{}
	for _, d := range t.root {
		columnsOf(d.key, keys)
	}
	for _, d := range t.lines {
		keys[d.joinLine] = true
		if d.orderBy >= 0 {
			keys[d.orderBy] = true
		}
	}
	for _, b := range t.beside {
		keys[b.join] = true
		if b.orderBy >= 0 {
			keys[b.orderBy] = true
		}
	}
	for _, x := range t.xrefs {
		for _, c := range x.keyCols {
			keys[c] = true
		}
		if x.from >= 0 {
			keys[x.from] = true
		}
	}
	for _, e := range t.events {
		if len(keys) == 0 {
			columnsOf(e.key, keys)
		}
	}
	return keys
}

func columnsOf(e *expr, into map[int]bool) {
	for _, n := range e.alts {
		switch n := n.(type) {
		case columnNode:
			into[n.col] = true
		case templateNode:
			for _, p := range n.parts {
				if a, ok := p.(altNode); ok {
					columnsOf(a.e, into)
				}
			}
		}
	}
}

// stepped does a step and answers what it asks.
func (b *bench) stepped(s *testStep) error {
	if err := b.step(s); err != nil {
		return err
	}
	if err := b.answer(); err != nil {
		return err
	}
	return b.fire()
}

func (b *bench) step(s *testStep) error {
	b.index++
	b.clock = b.clock.Add(time.Second)
	if !s.at.IsZero() {
		b.clock = s.at.UTC()
	}
	if s.registry != nil {
		return b.enter(s.registry)
	}
	if s.answers != nil {
		return b.hear(s.answers)
	}
	if s.master != nil {
		return b.govern(s.master)
	}
	if s.wait > 0 {
		b.clock = b.clock.Add(s.wait)
		return b.fire()
	}
	var enc cdc.Encoder
	enc.Begin(cdc.Tx{Commit: fmt.Sprintf("0/%X", b.index), CommitAt: b.clock})
	sources := map[string]bool{}
	for i := range s.changes {
		if err := b.write(&enc, &s.changes[i], s.snapshot); err != nil {
			return fmt.Errorf("line %d: %w", s.changes[i].line, err)
		}
		sources[s.changes[i].table.source.name] = true
	}
	data, n := enc.Take()
	if err := b.read(data, n, slices.Sorted(maps.Keys(sources))); err != nil {
		return err
	}
	if s.snapshot {
		for _, src := range b.m.Sources() {
			if err := b.snapshotEnd(src); err != nil {
				return err
			}
		}
	}
	return b.fire()
}

func (b *bench) snapshotEnd(src string) error {
	for next := ""; ; {
		var err error
		if next, err = b.p.SnapshotEnd(b.st, b.out, b.entry(), Ended{Source: src}, next, 100); err != nil || next == "" {
			return err
		}
	}
}

func (b *bench) entry() Entry { return Entry{Index: b.index, Observed: b.clock, Now: b.clock} }

// write frames one change of a test.
func (b *bench) write(enc *cdc.Encoder, ch *testChange, snapshot bool) error {
	shape := b.shapes[ch.table]
	if ch.table.messages {
		enc.Change(cdc.Insert, shape)
		enc.Value(testContent(ch.new))
		return nil
	}
	at, err := b.find(ch, shape)
	if err != nil {
		return err
	}
	known := b.rows[ch.table]
	var before map[string]cdc.Value
	if at >= 0 {
		before = overlay(known[at], ch.old)
	} else if ch.old != nil {
		before = overlay(overlay(nil, ch.new), ch.old)
	}
	switch {
	case ch.new == nil:
		enc.Change(cdc.Delete, shape)
		b.row(enc, shape, before)
		if at >= 0 {
			b.rows[ch.table] = slices.Delete(known, at, at+1)
		}
		return nil
	case snapshot:
		enc.Change(cdc.Snapshot, shape)
	case before != nil:
		enc.UpdateOld(shape)
		b.row(enc, shape, before)
	default:
		enc.Change(cdc.Insert, shape)
	}
	now := overlay(before, ch.new)
	b.row(enc, shape, now)
	if at >= 0 {
		known[at] = now
	} else {
		b.rows[ch.table] = append(known, now)
	}
	return nil
}

// find tells which row of the source a change is about: the one with its key, or the only one when no key is given.
func (b *bench) find(ch *testChange, shape *cdc.Schema) (int, error) {
	if ch.old == nil && ch.new != nil {
		return -1, nil
	}
	given := 0
	match := func(r map[string]cdc.Value) bool {
		given = 0
		for _, c := range shape.Columns {
			n := ch.new[c.Name]
			if o := ch.old[c.Name]; o != nil {
				n = o
			}
			if !c.Key || n == nil {
				continue
			}
			given++
			if testValue(n).Text != r[c.Name].Text {
				return false
			}
		}
		return true
	}
	var found []int
	for i, r := range b.rows[ch.table] {
		if match(r) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) > 1:
		return 0, errors.New("the row is not certain; give its key")
	case len(found) == 1:
		return found[0], nil
	}
	return -1, nil
}

func overlay(r map[string]cdc.Value, with map[string]*yaml.Node) map[string]cdc.Value {
	out := maps.Clone(r)
	if out == nil {
		out = map[string]cdc.Value{}
	}
	for col, n := range with {
		out[col] = testValue(n)
	}
	return out
}

func (b *bench) row(enc *cdc.Encoder, shape *cdc.Schema, r map[string]cdc.Value) {
	for _, c := range shape.Columns {
		if v, ok := r[c.Name]; ok && v.State == cdc.Present {
			enc.Value([]byte(v.Text))
		} else {
			enc.Null()
		}
	}
}

// inlineCodec reads the canonical text of test rows.
type inlineCodec struct{}

// Decode implements cdc.Codec.
func (inlineCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	return cdc.Of(col.Kind, string(raw)), nil
}

func (b *bench) read(data []byte, changes int, sources []string) error {
	byID := map[uint64]*cdc.Schema{}
	for _, s := range b.shapes {
		byID[s.ID()] = s
	}
	reader := cdc.NewReader(cdc.Codecs{"inline/1": inlineCodec{}}, func(id uint64) (*cdc.Schema, error) { return byID[id], nil })
	reader.Reset(&cdc.Batch{Source: strings.Join(sources, "+"), Identity: "test", Data: data, Changes: changes})
	for reader.Next() {
		ch := reader.Change()
		ch.Source = ch.Schema.Source
		if err := b.p.Change(b.st, b.out, b.entry(), ch); err != nil {
			return err
		}
	}
	for more := reader.Err() == nil; more; {
		var err error
		if more, err = b.p.Commit(b.st, b.out, b.entry(), 100); err != nil {
			return err
		}
	}
	return reader.Err()
}

// fire fires the timers that the clock has passed.
func (b *bench) fire() error {
	for range 1000 {
		t, ok := b.out.due(b.clock)
		if !ok {
			return nil
		}
		if err := b.p.Fire(b.st, b.out, b.entry(), t); err != nil {
			return err
		}
	}
	return errors.New("timers without end")
}
