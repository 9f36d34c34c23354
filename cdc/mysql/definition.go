package mysql

import (
	"context"
	"fmt"
	"slices"

	"waybill/cdc"
)

// Definitions keeps the history of a source's table definitions between runs, beside its position. The source calls it from
// one goroutine, at Open and after a statement that changed a table: seldom.
type Definitions interface {
	// Load returns what Save was given last, in the same order; nothing before the first Save.
	Load(ctx context.Context, source string) ([]Definition, error)
	// Save replaces it, durably before it returns: a batch behind the statement is handed on only afterwards.
	Save(ctx context.Context, source string, list []Definition) error
}

// Definition is a table as it is in the log behind a position, up to its next definition.
type Definition struct {
	From    cdc.Position    `json:"from"`
	Table   cdc.Table       `json:"table"`             // without a name: a database, of which Charset is told
	Charset string          `json:"charset,omitempty"` // default of new columns; empty when not known
	Columns []DefinedColumn `json:"columns,omitempty"` // in order; none of a database, and when the table was dropped or is not known
	Unknown string          `json:"unknown,omitempty"` // why the columns are not known
	Gone    bool            `json:"gone,omitempty"`    // the table does not exist
	Held    string          `json:"held,omitempty"`    // why rows are held although the columns are known: changes are missing
}

// DefinedColumn is one column.
type DefinedColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // as information_schema shows it
	Charset  string `json:"charset,omitempty"`
	Nullable bool   `json:"nullable,omitempty"`
	Key      bool   `json:"key,omitempty"`
	JSON     bool   `json:"json,omitempty"` // MariaDB's JSON, whose type is longtext
}

// record turns a definition into the form that is kept.
func (d *definition) record(table cdc.Table, from cdc.Position) Definition {
	out := Definition{From: from, Table: table, Unknown: d.why, Gone: d.gone, Held: d.held}
	if d.info == nil {
		return out
	}
	out.Charset = d.info.charset
	for i := range d.info.columns {
		c := &d.info.columns[i]
		out.Columns = append(out.Columns, DefinedColumn{c.name, c.text, c.charset, c.nullable, c.key, c.json})
	}
	return out
}

// restored is the reverse of record.
func restored(d *Definition, flavor string) (*definition, error) {
	out := &definition{why: d.Unknown, gone: d.Gone, held: d.Held}
	if d.Unknown != "" || d.Gone {
		return out, nil
	}
	out.info = &tableInfo{table: d.Table, charset: d.Charset}
	for _, c := range d.Columns {
		column := columnInfo{name: c.Name, text: c.Type, charset: c.Charset, nullable: c.Nullable, key: c.Key, json: c.JSON}
		if err := typed(&column, flavor); err != nil {
			return nil, fmt.Errorf("the kept definition of %s, from %s on, column %s: %w", d.Table, d.From, c.Name, err)
		}
		out.info.columns = append(out.info.columns, column)
	}
	return out, nil
}

// upTo returns the last definition of each table that holds at a position, in the order they were made. What came later is
// read from the log again.
func upTo(list []Definition, at position) ([]Definition, error) {
	var out []Definition
	for _, d := range list {
		from, err := parsePosition(d.From)
		if err != nil {
			return nil, fmt.Errorf("reading the history of table definitions: %w", err)
		}
		past, err := reaches(at, from)
		if err != nil {
			return nil, err
		}
		if past {
			out = slices.DeleteFunc(out, func(o Definition) bool { return o.Table == d.Table })
			out = append(out, d)
		}
	}
	return out, nil
}

// reaches reports whether a position is not before another of the same history: by place on one server, by GTID on two.
func reaches(at, from position) (bool, error) {
	if at.server == from.server && at.file != "" {
		return !before(at.file, at.pos, from.file, from.pos), nil
	}
	ours, err := parseGTIDSet(at.flavor, at.gtids)
	if err != nil {
		return false, err
	}
	theirs, err := parseGTIDSet(at.flavor, from.gtids)
	if err != nil {
		return false, err
	}
	if ours.mysql != nil {
		return ours.mysql.Contain(theirs.mysql), nil
	}
	for domain, g := range theirs.maria {
		if ours.maria[domain].seq < g.seq {
			return false, nil
		}
	}
	return true, nil
}
