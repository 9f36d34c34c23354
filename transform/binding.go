package transform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"waybill/cdc"
)

// binding ties a table's rules to one shape of its captured rows.
type binding struct {
	table *table
	cols  []int // for each column that rules read, its place in the schema
	keys  []int // key columns, by their place in the schema
	shape string
	hold  string // why the shape is not understood
	// uncertain says that hold is the source's own doubt.
	uncertain bool
}

// maxBindings bounds the remembered shapes; a table has few.
const maxBindings = 1000

// bind finds the rules of a changed table, or nil when none reads it.
func (p *Mapper) bind(s *cdc.Schema) *binding {
	if b, ok := p.bindings[s]; ok {
		return b
	}
	if len(p.bindings) >= maxBindings {
		clear(p.bindings)
	}
	b := newBinding(p.m.table(s.Source, s.Table), s)
	p.bindings[s] = b
	return b
}

func newBinding(t *table, s *cdc.Schema) *binding {
	if t == nil {
		return nil
	}
	b := &binding{table: t, hold: s.Fault, uncertain: s.Fault != ""}
	if b.uncertain {
		return b // whatever its columns are
	}
	var shape strings.Builder
	cols := t.cols
	if t.messages {
		cols = []string{contentColumn}
	}
	for _, name := range cols {
		i := s.Column(name)
		if i < 0 {
			b.hold = fmt.Sprintf("the column %s, which its rules read, is gone", name)
			return b
		}
		if s.Columns[i].Kind == cdc.KindUnsupported {
			b.hold = fmt.Sprintf("the column %s has the type %s, which Waybill does not carry", name, s.Columns[i].Type)
		}
		b.cols = append(b.cols, i)
		fmt.Fprintf(&shape, "%s %s\n", name, s.Columns[i].Kind)
	}
	for i := range s.Columns {
		if s.Columns[i].Key {
			b.keys = append(b.keys, i)
			fmt.Fprintf(&shape, "key %s\n", s.Columns[i].Name)
		}
	}
	if len(b.keys) == 0 {
		for i := range s.Columns {
			b.keys = append(b.keys, i)
		}
	}
	b.shape = shape.String()
	return b
}

// understood compares the shape with the one that the state was built with. A table whose columns became of another kind is held
// until a mapping is activated again.
func (b *binding) understood(st State, s *cdc.Schema) error {
	if b.hold != "" {
		return &HoldTable{s.Source, s.Table, b.hold, b.uncertain}
	}
	known, err := st.Get(bucketShape, b.table.key())
	if err != nil {
		return err
	}
	if known == nil {
		return st.Put(bucketShape, b.table.key(), []byte(b.shape))
	}
	if string(known) != b.shape {
		return &HoldTable{s.Source, s.Table, "its columns changed: " + difference(string(known), b.shape), false}
	}
	return nil
}

func difference(was, is string) string {
	has := map[string]bool{}
	for _, l := range strings.Split(was, "\n") {
		has[l] = true
	}
	for _, l := range strings.Split(is, "\n") {
		if !has[l] {
			return l + " is new"
		}
		delete(has, l)
	}
	for l := range has {
		if l != "" {
			return l + " is gone"
		}
	}
	return "their order"
}

// rows decodes the change: the row's key before and after, and the columns that rules read. A key that cannot be decoded holds
// the table, for then the row is not known.
func (b *binding) rows(ch *cdc.Change) (oldKey, newKey string, before, now *row, err error) {
	if b.table.messages {
		oldKey, now, err = b.messageRow(ch)
		return oldKey, oldKey, nil, now, err
	}
	if ch.HasNew() {
		if now, err = b.decode(ch.New); err == nil {
			newKey, err = b.key(ch.New, nil)
		}
	}
	if err == nil && ch.HasOld() {
		if before, err = b.decode(ch.Old); err == nil {
			oldKey, err = b.key(ch.Old, ch.New)
		}
	}
	var d *cdc.DecodeError
	if errors.As(err, &d) {
		err = &HoldTable{ch.Source, ch.Schema.Table, "a key cannot be read: " + d.Err.Error(), false}
	}
	if oldKey == "" {
		oldKey = newKey
	}
	return oldKey, newKey, before, now, err
}

func (b *binding) decode(get func(int) (cdc.Value, error)) (*row, error) {
	r := &row{table: b.table, vals: make([]cdc.Value, len(b.cols))}
	for i, col := range b.cols {
		v, err := get(col)
		var d *cdc.DecodeError
		if errors.As(err, &d) {
			v = cdc.Value{State: broken, Text: clip(d.Err.Error(), 300)}
		} else if err != nil {
			return nil, err
		}
		r.vals[i] = v
	}
	return r, nil
}

// key joins the key columns; a key column that was not sent is taken from the other row.
func (b *binding) key(get, other func(int) (cdc.Value, error)) (string, error) {
	var parts [4]string
	all := parts[:0]
	for _, col := range b.keys {
		v, err := get(col)
		if err == nil && v.IsAbsent() && other != nil {
			v, err = other(col)
		}
		if err != nil {
			return "", err
		}
		all = append(all, v.Text)
	}
	return stateKey(all...), nil
}

// fill takes what the log did not carry from the row as it was known.
func (r *row) fill(known *row) {
	if r == nil || known == nil {
		return
	}
	for i := range r.vals {
		if r.vals[i].State == cdc.Absent {
			r.vals[i] = known.vals[i]
		}
	}
}

// generation reads and writes how often a table was snapshotted.
type generation struct {
	number uint64
	open   bool // rows of this snapshot have come, its end has not
	done   bool // a snapshot was complete: what comes now is news
}

func loadGeneration(st State, table string) (g generation, err error) {
	raw, err := st.Get(bucketSnapshot, table)
	if err != nil || raw == nil {
		return g, err
	}
	var n uint64
	if n, err = strconv.ParseUint(string(raw[2:]), 10, 64); err != nil {
		return g, fmt.Errorf("reading snapshot state of %s: %w", table, err)
	}
	return generation{n, raw[0] == 'o', raw[1] == 'd'}, nil
}

func (g generation) save(st State, table string) error {
	flags := []byte("--")
	if g.open {
		flags[0] = 'o'
	}
	if g.done {
		flags[1] = 'd'
	}
	return st.Put(bucketSnapshot, table, strconv.AppendUint(flags, g.number, 10))
}

// snapshotRow returns the generation of a row that a snapshot saw, opening it with the first one.
func (p *Mapper) snapshotRow(st State, table string) (generation, error) {
	g, err := p.generation(st, table)
	if err != nil || g.open {
		return g, err
	}
	g.open = true
	g.number++
	return g, p.keep(st, table, g)
}
