package cdc

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
)

// Table names a table within one source. In MySQL and MariaDB, Schema is the database.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String returns schema.name, as people write it; message(prefix) for Messages.
func (t Table) String() string {
	if t.Schema == messageSchema {
		return "message(" + t.Name + ")"
	}
	if t.Schema == "" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// Column describes one captured column as it was when its rows were captured.
type Column struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // the database's own words: numeric(12,2), bigint(20) unsigned
	Kind    Kind     `json:"kind"`
	Key     bool     `json:"key,omitempty"`      // part of the primary key (or of the replica identity index)
	NotNull bool     `json:"not_null,omitempty"` // declared NOT NULL
	Labels  []string `json:"labels,omitempty"`   // labels of an enum, in the order of its declaration
	Meta    string   `json:"meta,omitempty"`     // what the codec needs beside the type (type OID, length, charset); its own form
}

// Schema is the shape of a table's captured rows: the selected columns, in order, and the codec that reads their
// bytes. It is immutable; a change of the table makes another Schema.
type Schema struct {
	Source  string   `json:"source"` // the source's name in the configuration
	Table   Table    `json:"table"`
	Codec   string   `json:"codec"` // "pgtext/1", "binlog/1", "mysqltext/1": name and version, kept for ever
	Columns []Column `json:"columns"`
	// Fault is not empty when the table's rows were captured but their columns are not known for certain (a DDL
	// statement between the row and the catalog, say). Such rows are kept and held, never decoded.
	Fault string `json:"fault,omitempty"`
}

// ID identifies the content of the schema: equal schemas have equal ids, in every run and release.
func (s *Schema) ID() uint64 {
	h := fnv.New64a()
	put := func(parts ...string) {
		for _, p := range parts {
			var n [4]byte
			binary.BigEndian.PutUint32(n[:], uint32(len(p)))
			h.Write(n[:])
			h.Write([]byte(p))
		}
	}
	put(s.Source, s.Table.Schema, s.Table.Name, s.Codec, s.Fault)
	for _, c := range s.Columns {
		put(c.Name, c.Type, c.Meta, strings.Join(c.Labels, "\x00"), fmt.Sprint(c.Kind, c.Key, c.NotNull))
	}
	return h.Sum64()
}

// Column returns the index of the named column, or -1. Names are compared exactly as the catalog gives them.
func (s *Schema) Column(name string) int {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// Selection says what a source captures of one table. The mapping makes it: only columns that a rule reads are kept,
// and masked columns never leave the source package.
type Selection struct {
	Table   Table
	Columns []string // columns to keep, beside the key columns; a name the table lacks is a finding, not an error
	Old     []string // columns whose old value a rule reads; a finding says when the log will not carry them
}
