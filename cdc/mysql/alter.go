package mysql

import (
	"fmt"
	"slices"
	"strings"

	"waybill/cdc"
)

// alter returns the table as it is after the clauses. The order is the server's: columns that stay, changed and renamed ones
// in their place, then those that are new or move.
func (t *tableInfo) alter(clauses []clause, databaseCharset, flavor string) (*tableInfo, error) {
	out := &tableInfo{table: t.table, engine: t.engine, form: t.form, charset: t.charset}
	convert := false
	for _, c := range clauses {
		if c.op == clauseDefault || c.op == clauseConvert {
			if out.charset = c.text; out.charset == "" {
				out.charset = databaseCharset
			}
			convert = convert || c.op == clauseConvert
		}
	}
	columns := slices.Clone(t.columns)
	if convert {
		for i := range columns {
			if err := columns[i].convert(out.charset); err != nil {
				return nil, err
			}
		}
	}
	moved, err := out.stay(columns, clauses, flavor)
	if err != nil {
		return nil, err
	}
	for i := range moved {
		if err := out.insert(&moved[i], flavor); err != nil {
			return nil, err
		}
	}
	return out, out.keys(clauses)
}

// stay takes over the columns that keep their place, and returns the clauses of those that come or move.
func (t *tableInfo) stay(columns []columnInfo, clauses []clause, flavor string) (moved []clause, err error) {
	used := make([]bool, len(clauses))
	for i := range columns {
		column, gone := columns[i], false
		for j := range clauses {
			c := &clauses[j]
			if used[j] || !strings.EqualFold(c.name, column.name) {
				continue
			}
			switch c.op {
			case clauseDrop:
				used[j], gone = true, true
			case clauseRename:
				used[j], column.name = true, c.column.name
			case clauseChange:
				used[j], gone = true, c.first || c.place != ""
				c.column.key = column.key
				if gone {
					moved = append(moved, *c)
				} else if column, err = c.complete(t.charset, flavor); err != nil {
					return nil, err
				}
			default:
				continue
			}
			break
		}
		if !gone {
			t.columns = append(t.columns, column)
		}
	}
	var later []clause // in the order of the statement
	for j := range clauses {
		c := &clauses[j]
		switch c.op {
		case clauseAdd:
			later = append(later, *c)
		case clauseDrop, clauseRename, clauseChange:
			if !used[j] && !c.exists {
				return nil, fmt.Errorf("there is no column %s", c.name)
			}
			if at := slices.IndexFunc(moved, func(m clause) bool { return m.op == c.op && m.name == c.name }); used[j] && at >= 0 {
				later = append(later, moved[at])
			}
		}
	}
	return later, nil
}

// complete settles the column of a clause, whose charset may be the table's.
func (c *clause) complete(charset, flavor string) (columnInfo, error) {
	column := c.column
	p := &typeParser{flavor: flavor, column: &column, length: c.length}
	err := p.complete(charset)
	return column, err
}

// insert puts a column at its place.
func (t *tableInfo) insert(c *clause, flavor string) error {
	if t.place(c.column.name) >= 0 {
		if c.exists && c.op == clauseAdd {
			return nil
		}
		return fmt.Errorf("there is a column %s already", c.column.name)
	}
	column, err := c.complete(t.charset, flavor)
	if err != nil {
		return err
	}
	at := len(t.columns)
	switch {
	case c.first:
		at = 0
	case c.place != "":
		if at = t.place(c.place) + 1; at == 0 {
			return fmt.Errorf("there is no column %s", c.place)
		}
	}
	t.columns = slices.Insert(t.columns, at, column)
	return nil
}

func (t *tableInfo) place(name string) int {
	return slices.IndexFunc(t.columns, func(c columnInfo) bool { return strings.EqualFold(c.name, name) })
}

// keys follows the primary key and the checks that make JSON.
func (t *tableInfo) keys(clauses []clause) error {
	unique := false
	for _, c := range clauses {
		switch c.op {
		case clauseDropPrimary:
			for i := range t.columns {
				t.columns[i].key = false
			}
		case clauseKeys:
			unique = true
		case clauseJSON:
			if i := t.place(c.name); i >= 0 && t.columns[i].data == "longtext" {
				t.columns[i].json = true
			}
		case clauseConstraint:
			unique = true
			if c.check && slices.ContainsFunc(t.columns, func(c columnInfo) bool { return c.json }) {
				return fmt.Errorf("constraint %s may be the one that made a column JSON", c.name)
			}
		}
		unique = unique || c.unique
	}
	for _, c := range clauses {
		names := c.names
		if c.key {
			names = []string{c.column.name}
		}
		for _, name := range names {
			i := t.place(name)
			if i < 0 {
				return fmt.Errorf("there is no column %s", name)
			}
			t.columns[i].key = true
		}
	}
	for i := range t.columns {
		t.columns[i].nullable = t.columns[i].nullable && !t.columns[i].key
	}
	if unique && !slices.ContainsFunc(t.columns, func(c columnInfo) bool { return c.key }) {
		return fmt.Errorf("a unique key may stand in for the primary key, which it has not")
	}
	return nil
}

// convert changes the charset of a column, whose type may grow with it.
func (c *columnInfo) convert(charset string) error {
	if !c.textual() || c.json {
		return nil
	}
	if charset == "" {
		return fmt.Errorf("the default character set is not known")
	}
	for _, label := range c.labels {
		if !plain([]byte(label)) {
			return fmt.Errorf("the labels of %s are converted too, not always as one expects", c.name) // MariaDB 10.11 makes ? of ä
		}
	}
	was := maxLength(c.charset)
	c.octets = c.octets / was * maxLength(charset)
	c.charset = charset
	if i := slices.Index(sizes["text"], c.data); i >= 0 && maxLength(charset) > was {
		octets := []int{1<<8 - 1, 1<<16 - 1, 1<<24 - 1, 1<<32 - 1}[i] / was * maxLength(charset)
		c.data = sizes["text"][min(sizeOf(octets), 3)]
		if c.text = c.data; c.zipped {
			c.text += zippedText
		}
	}
	return nil
}

// named returns the change's table with the name that the server keeps.
func (c *change) named(lower bool) {
	if lower {
		for _, t := range []*cdc.Table{&c.table, &c.other} {
			t.Schema, t.Name = strings.ToLower(t.Schema), strings.ToLower(t.Name)
		}
		for i := range c.clauses {
			t := &c.clauses[i].table
			t.Schema, t.Name = strings.ToLower(t.Schema), strings.ToLower(t.Name)
		}
	}
}
