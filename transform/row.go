package transform

import (
	"encoding/binary"
	"errors"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"waybill/cdc"
)

// broken marks a value that could not be decoded; its text says why. Only a rule that reads it is concerned.
const broken cdc.State = 3

// row is one row of a mapped table: the values of the columns that rules read, in the table's order.
type row struct {
	table *table
	vals  []cdc.Value
	key   string // of the row, for messages
}

// value returns column i as a value of the language: null for NULL, an error for a value that is not there.
func (r *row) value(i int) ref.Val {
	if r == nil {
		return types.NullValue
	}
	v := r.vals[i]
	switch v.State {
	case cdc.Null:
		return types.NullValue
	case cdc.Absent:
		return types.WrapErr(&trouble{class: "DATA", code: "VALUE_MISSING", cause: r.table.key() + "." + r.table.cols[i],
			title: "The value of " + r.table.key() + "." + r.table.cols[i] + " is neither in the log nor known from before.",
			hint:  "Take a new snapshot of the source (waybill checkpoint reset), then retry."})
	case broken:
		if r.table.messages {
			return types.WrapErr(&trouble{class: "DATA", code: "MESSAGE_NOT_READ", cause: r.table.key() + "/" + r.key,
				title: "A message " + r.table.key() + " cannot be read: " + v.Text + ".",
				hint:  "Emit it again with a JSON object as its content, then discard this; the message in the log cannot be changed."})
		}
		return r.inexact(i, v.Text)
	}
	out := valueOf(v)
	if err, bad := out.(*types.Err); bad {
		return r.inexact(i, err.Error())
	}
	return out
}

// inexact is the trouble of a value that the language cannot carry as it is (Invariant 10).
func (r *row) inexact(i int, why string) ref.Val {
	column, of := r.table.key()+"."+r.table.cols[i], ""
	if r.key != "" {
		of = ", row " + strings.ToValidUTF8(strings.Join(stateParts(r.key), "/"), "?")
	}
	return types.WrapErr(&trouble{class: "DATA", code: "VALUE_NOT_EXACT", cause: column,
		title: "A value of " + column + of + " cannot be carried exactly: " + why + ".",
		hint:  "Correct the value in the source; the next change of the row is mapped again."})
}

// same reports whether column i has the same value in both rows. A missing row has null everywhere.
func (r *row) same(o *row, i int) bool {
	if r == nil || o == nil {
		return (r == nil || r.vals[i].State == cdc.Null) && (o == nil || o.vals[i].State == cdc.Null)
	}
	a, b := r.vals[i], o.vals[i]
	return a.State == b.State && a.Text == b.Text
}

// valueOf makes a value of the language of a present value: an error of those that it cannot carry exactly, which a check
// against the live catalog refuses when they are so by their kind.
func valueOf(v cdc.Value) ref.Val {
	switch v.Kind {
	case cdc.KindBool:
		return types.Bool(v.Text == "true" || v.Text == "t" || v.Text == "1")
	case cdc.KindInt:
		if n, ok := parseInt(v.Text); ok {
			return types.Int(n)
		}
		fallthrough
	case cdc.KindDecimal:
		n, err := parseNumber(v.Text)
		if err != nil {
			return types.WrapErr(err)
		}
		return n
	case cdc.KindDate, cdc.KindTime, cdc.KindTimestamp:
		return civil{v.Kind, v.Text}
	case cdc.KindInstant:
		return instantOf(v.Text)
	case cdc.KindFloat, cdc.KindBytes, cdc.KindUnsupported:
		return types.NewErr("there is no exact text or number of its type (%s)", v.Kind)
	}
	return types.String(v.Text)
}

// parseInt reads an integer of at most 18 digits; longer ones are decimals.
func parseInt(s string) (int64, bool) {
	digits, neg := s, false
	if len(s) > 0 && s[0] == '-' {
		digits, neg = s[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(digits); i++ {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	if neg {
		n = -n
	}
	return n, true
}

// Row state, version 1: byte 1, uvarint snapshot generation, uvarint number of columns, then for each its name, a byte
// (state << 6 | kind) and its text; texts and names with their uvarint length.

func appendRow(buf []byte, generation uint64, r *row) []byte {
	buf = append(buf, 1)
	buf = binary.AppendUvarint(buf, generation)
	return appendColumns(buf, r)
}

func appendColumns(buf []byte, r *row) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(r.vals)))
	for i, v := range r.vals {
		buf = appendText(buf, r.table.cols[i])
		buf = append(buf, byte(v.State)<<6|byte(v.Kind))
		buf = appendText(buf, v.Text)
	}
	return buf
}

func appendText(buf []byte, s string) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(s)))
	return append(buf, s...)
}

var errRowState = errors.New("row state does not follow its form")

// decodeRow reads row state. Columns that the table's rules do not read any more are dropped; new ones are absent.
func decodeRow(t *table, raw []byte) (generation uint64, r *row, err error) {
	if len(raw) == 0 || raw[0] != 1 {
		return 0, nil, errRowState
	}
	d := textReader{text: string(raw[1:])} // one copy; the values are parts of it
	generation = d.number()
	r = &row{table: t, vals: make([]cdc.Value, len(t.cols))}
	n := d.number()
	for i := uint64(0); i < n && !d.bad; i++ {
		name := d.part()
		tag := d.byte()
		text := d.part()
		at := t.place(int(i), name)
		if at >= 0 {
			r.vals[at] = cdc.Value{Kind: cdc.Kind(tag & 63), State: cdc.State(tag >> 6), Text: text}
		}
	}
	if d.bad {
		return 0, nil, errRowState
	}
	return generation, r, nil
}

// place finds a column, first where it most likely is.
func (t *table) place(guess int, name string) int {
	if guess < len(t.cols) && t.cols[guess] == name {
		return guess
	}
	for i, c := range t.cols {
		if c == name {
			return i
		}
	}
	return -1
}

// textReader walks stored bytes. After bad everything it returns is empty.
type textReader struct {
	text string
	bad  bool
}

func (d *textReader) number() uint64 {
	var n uint64
	for i := 0; i < len(d.text) && i < binary.MaxVarintLen64; i++ {
		b := d.text[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.text = d.text[i+1:]
			return n
		}
	}
	d.bad = true
	return 0
}

func (d *textReader) byte() byte {
	if len(d.text) == 0 {
		d.bad = true
		return 0
	}
	b := d.text[0]
	d.text = d.text[1:]
	return b
}

func (d *textReader) part() string {
	n := d.number()
	if d.bad || n > uint64(len(d.text)) {
		d.bad = true
		return ""
	}
	s := d.text[:n]
	d.text = d.text[n:]
	return s
}
