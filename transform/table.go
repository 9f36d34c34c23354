package transform

import (
	"slices"
	"sort"
	"strings"

	"waybill/cdc"
)

// source is one database as the mapping knows it.
type source struct {
	name     string
	schema   string // of tables that are named without one
	zone     string // of times without zone
	dst      edges
	currency string
	line     int
}

// table is one mapped table with the columns that rules read, in the order in which the file first names them.
type table struct {
	id     string // source, schema and name: see key
	rows   string // its bucket
	source *source
	name   cdc.Table
	line   int
	cols   []string
	old    map[string]bool // columns whose old value a rule reads
	events []*eventRule
	root   []*document // documents of which this table is the header
	lines  []*document
	xrefs  []*xref
	beside []besideOf // documents beside whose header this table stands
	// deleted says which rows are none; nil: all are.
	deleted *expr
	// messages is set for cdc.Messages: the columns are members of their content.
	messages bool
}

func newTable(s *source, name cdc.Table, line int) *table {
	id := s.name + "." + name.String()
	_, messages := name.Prefix()
	return &table{id: id, rows: "row/" + id, source: s, name: name, line: line, old: map[string]bool{}, messages: messages}
}

// key names the table within the mapping and in the state.
func (t *table) key() string { return t.id }

// bucket is where the table's row state lies.
func (t *table) bucket() string { return t.rows }

// col returns the place of a column in the table's rows, and notes that a rule reads it.
func (t *table) col(name string) int {
	if i := slices.Index(t.cols, name); i >= 0 {
		return i
	}
	t.cols = append(t.cols, name)
	return len(t.cols) - 1
}

// selection is what the source captures of the table.
func (t *table) selection() cdc.Selection {
	if t.messages {
		return cdc.Selection{Table: t.name} // their content is captured whole
	}
	s := cdc.Selection{Table: t.name, Columns: slices.Clone(t.cols)}
	for c := range t.old {
		s.Old = append(s.Old, c)
	}
	sort.Strings(s.Columns)
	sort.Strings(s.Old)
	return s
}

// separator keeps the parts of a state key apart. It does not occur in escaped parts.
const separator = "\x00"

// stateKey joins parts so that no two lists of parts give the same key and keys with the same first parts stand
// together.
func stateKey(parts ...string) string {
	for i, p := range parts {
		if strings.ContainsAny(p, "\x00\x01") {
			parts[i] = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02").Replace(p)
		}
	}
	return strings.Join(parts, separator)
}

// stateParts takes a state key apart again.
func stateParts(key string) []string {
	parts := strings.Split(key, separator)
	for i, p := range parts {
		if strings.Contains(p, "\x01") {
			parts[i] = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01").Replace(p)
		}
	}
	return parts
}
