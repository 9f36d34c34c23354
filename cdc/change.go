package cdc

import "fmt"

// Change is a view on one committed change of one row. It decodes a column when asked, and is valid until its Reader
// moves on.
type Change struct {
	Source   string // the source's name in the configuration
	Identity string // server and history, part of the event id
	Op       Op
	Schema   *Schema
	Tx       Tx
	Ordinal  int // place among the changes of this table in this transaction, from 0; part of the event id

	codec          Codec
	old, new       []field
	hasOld, hasNew bool
}

type field struct {
	state State
	raw   []byte
}

// DecodeError says that a captured value cannot be carried exactly. The change itself stays in the journal.
type DecodeError struct {
	Source string
	Table  Table
	Column string
	Type   string
	Commit string
	Err    error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("source %s, table %s, column %s (%s), commit %s: %v", e.Source, e.Table, e.Column, e.Type, e.Commit, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// New returns the value of column i after the change; absent if it was not in the log or there is no row after it.
func (c *Change) New(i int) (Value, error) { return c.value(c.new, i) }

// Old returns the value of column i before the change; absent if the log did not carry it.
func (c *Change) Old(i int) (Value, error) { return c.value(c.old, i) }

// HasNew reports whether there is a row after the change.
func (c *Change) HasNew() bool { return c.hasNew }

// HasOld reports whether the log carried any old value.
func (c *Change) HasOld() bool { return c.hasOld }

// RawNew returns the captured bytes of column i after the change, for comparisons that need no meaning. The bytes
// belong to the batch.
func (c *Change) RawNew(i int) (State, []byte) { return raw(c.new, i) }

// RawOld is RawNew for the row before the change.
func (c *Change) RawOld(i int) (State, []byte) { return raw(c.old, i) }

func raw(fields []field, i int) (State, []byte) {
	if i < 0 || i >= len(fields) {
		return Absent, nil
	}
	return fields[i].state, fields[i].raw
}

func (c *Change) value(fields []field, i int) (Value, error) {
	if i < 0 || i >= len(fields) {
		return Value{}, nil
	}
	col := &c.Schema.Columns[i]
	switch fields[i].state {
	case Absent:
		return Value{Kind: col.Kind}, nil
	case Null:
		return NullOf(col.Kind), nil
	}
	if c.codec == nil {
		return Value{}, c.decodeError(col, fmt.Errorf("no codec %q in this build", c.Schema.Codec))
	}
	v, err := c.codec.Decode(col, fields[i].raw)
	if err != nil {
		return Value{}, c.decodeError(col, err)
	}
	return v, nil
}

func (c *Change) decodeError(col *Column, err error) error {
	return &DecodeError{c.Source, c.Schema.Table, col.Name, col.Type, c.Tx.Commit, err}
}
