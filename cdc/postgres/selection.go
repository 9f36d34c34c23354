package postgres

import "waybill/cdc"

// choice is what is captured of one table.
type choice struct {
	columns map[string]bool
	old     []string // columns whose old value a rule reads
	masked  map[string]bool
}

// keep reports whether a column is captured: a key or a selected column that is not masked. Invariant 12: this is asked
// before a byte of the column is framed.
func (c *choice) keep(column string, key bool) bool {
	return !c.masked[column] && (key || c.columns[column])
}

// widened reports whether a selected column is gone, so that everything that is not masked must be kept: the column may go on
// under another name, and a later mapping will read it there. When a masked column is gone too it may be the one with
// the new name, and nothing beside the selection is kept (Invariant 12).
func (c *choice) widened(present func(column string) bool) bool {
	for name := range c.masked {
		if !present(name) {
			return false
		}
	}
	for name := range c.columns {
		if !c.masked[name] && !present(name) {
			return true
		}
	}
	return false
}

// named fills in the schema of a table named without one.
func (s *Source) named(t cdc.Table) cdc.Table {
	if t.Schema == "" {
		t.Schema = s.cfg.Schema
	}
	return t
}

func (s *Source) masked(t cdc.Table, column string) bool {
	for _, m := range s.cfg.Masked {
		if table, name, err := s.cfg.column(m); err == nil && table == t && name == column {
			return true
		}
	}
	return false
}

// choose turns selections into choices, and gives the tables in the order of their first mention.
func (s *Source) choose(selection []cdc.Selection) {
	s.choices = map[cdc.Table]*choice{}
	for _, sel := range selection {
		t := s.named(sel.Table)
		c := s.choices[t]
		if c == nil {
			c = &choice{columns: map[string]bool{}, masked: map[string]bool{}}
			s.choices[t] = c
			if _, message := t.Prefix(); message { // in no publication, and without rows to read
				s.messages = append(s.messages, t)
			} else {
				s.tables = append(s.tables, t)
			}
		}
		for _, name := range sel.Columns {
			c.columns[name] = true
		}
		for _, name := range sel.Old {
			c.columns[name] = true
			c.old = append(c.old, name)
		}
	}
	for _, m := range s.cfg.Masked {
		if table, name, err := s.cfg.column(m); err == nil && s.choices[table] != nil {
			s.choices[table].masked[name] = true
		}
	}
}
