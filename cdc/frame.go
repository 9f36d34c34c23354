package cdc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Framing version 1. Data is a sequence of records, each starting with its kind:
//
//	'B' begin   str commit, str xid, varint commit time in µs since 1970
//	'R' relation  8 bytes schema id: the next local schema number (0, 1, …) of this batch
//	'I' insert, 'S' snapshot   uvarint local schema, tuple new
//	'D' delete                 uvarint local schema, tuple old
//	'U' update                 uvarint local schema, tuple new
//	'V' update with old values uvarint local schema, tuple old, tuple new
//	'T' truncate               uvarint local schema
//
// A tuple has one field for each column of the schema: 'a' absent, 'n' null, or 'v', uvarint length, bytes as the codec
// named by the schema reads them; in the new tuple of a 'V' also 's', the same as the old tuple's field. A str is uvarint
// length and bytes. Every part of a large transaction starts with
// its 'B' and its own 'R' records, so a batch can be read alone.

// Encoder frames changes into a Batch's Data. The zero Encoder is ready to use; Reset starts the next batch and keeps
// the buffer's memory unless Take handed it over. An Encoder must not be used by two goroutines.
//
// A change is written as one of Insert, Update … followed by exactly one field (Absent, Null or Value) for each column of the
// schema: for UpdateOld first all old fields, then all new ones. The encoder does not check this; cdctest does.
type Encoder struct {
	buf     []byte
	schemas map[*Schema]uint64
	last    *Schema // the one used last, and its number: rows of one table follow one another; nil for none
	number  uint64
	changes int
}

// Reset forgets what was written.
func (e *Encoder) Reset() {
	e.buf = e.buf[:0]
	e.changes, e.last = 0, nil
	clear(e.schemas)
}

// Take returns the framed bytes and the number of changes, and leaves the encoder empty with a new buffer.
func (e *Encoder) Take() (data []byte, changes int) {
	data, changes = e.buf, e.changes
	e.buf = make([]byte, 0, min(cap(data), 2<<20))
	e.changes, e.last = 0, nil
	clear(e.schemas)
	return data, changes
}

// Len returns the number of bytes written so far.
func (e *Encoder) Len() int { return len(e.buf) }

// Changes returns the number of changes written so far.
func (e *Encoder) Changes() int { return e.changes }

// Begin starts a transaction, or the next part of one.
func (e *Encoder) Begin(tx Tx) {
	e.buf = append(e.buf, 'B')
	e.str(tx.Commit)
	e.str(tx.XID)
	e.buf = binary.AppendVarint(e.buf, tx.CommitAt.UnixMicro())
}

// Change starts a change that has one tuple: Insert, Snapshot and Update carry the new row, Delete the old one,
// Truncate none.
func (e *Encoder) Change(op Op, s *Schema) { e.change(byte(op), s) }

// UpdateOld starts an update that carries old values: all old fields follow, then all new ones.
func (e *Encoder) UpdateOld(s *Schema) { e.change('V', s) }

// Absent writes the field of a column that was not in the log.
func (e *Encoder) Absent() { e.buf = AppendAbsent(e.buf) }

// Null writes the field of a column that is NULL.
func (e *Encoder) Null() { e.buf = AppendNull(e.buf) }

// Value writes the field of a column with the bytes that the schema's codec reads. The bytes are copied.
func (e *Encoder) Value(raw []byte) { e.buf = AppendValue(e.buf, raw) }

// Fields hands the buffer out to a source that appends a change's fields itself, many rows in the time of one call for each, and takes
// it back with SetFields. Nothing else is called in between.
func (e *Encoder) Fields() []byte { return e.buf }

// SetFields takes the buffer back.
func (e *Encoder) SetFields(buf []byte) { e.buf = buf }

// AppendAbsent appends what Absent writes.
func AppendAbsent(buf []byte) []byte { return append(buf, 'a') }

// AppendNull appends what Null writes.
func AppendNull(buf []byte) []byte { return append(buf, 'n') }

// AppendSame appends a new field of UpdateOld whose old field has the same bytes.
func AppendSame(buf []byte) []byte { return append(buf, 's') }

// AppendValue appends what Value writes.
func AppendValue(buf, raw []byte) []byte {
	if len(raw) < 0x80 { // most are: a uvarint of one byte
		buf = append(buf, 'v', byte(len(raw)))
	} else {
		buf = binary.AppendUvarint(append(buf, 'v'), uint64(len(raw)))
	}
	return append(buf, raw...)
}

func (e *Encoder) change(kind byte, s *Schema) {
	if s != e.last {
		e.last, e.number = s, e.relation(s)
	}
	e.buf = binary.AppendUvarint(append(e.buf, kind), e.number)
	e.changes++
}

// relation returns the schema's local number, and writes its record when it is new.
func (e *Encoder) relation(s *Schema) uint64 {
	n, ok := e.schemas[s]
	if !ok {
		if e.schemas == nil {
			e.schemas = map[*Schema]uint64{}
		}
		n = uint64(len(e.schemas))
		e.schemas[s] = n
		e.buf = append(e.buf, 'R')
		e.buf = binary.BigEndian.AppendUint64(e.buf, s.ID())
	}
	return n
}

func (e *Encoder) str(s string) {
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

// Codec reads the bytes of one column. A codec is pure and kept for ever: what one release captured, every later one
// reads. An error means that the value cannot be carried exactly (Invariant 10).
type Codec interface {
	Decode(col *Column, raw []byte) (Value, error)
}

// Codecs finds a codec by the name that a Schema carries.
type Codecs map[string]Codec

// Sees asks the codec that a view names whether rows read under it include what the transaction did.
func (c Codecs) Sees(view string, tx Tx) (bool, error) {
	name, _, _ := strings.Cut(view, " ")
	v, ok := c[name].(Viewer)
	if !ok {
		return false, fmt.Errorf("no codec %q in this build that knows views", name)
	}
	return v.Sees(view, tx)
}

// ErrCorrupt is returned by a Reader whose data does not follow the framing.
var ErrCorrupt = errors.New("change data does not follow the framing")

// Reader walks the changes of batches. Reading the parts of one transaction through one Reader keeps the ordinals
// running; Reset starts the next batch.
type Reader struct {
	codecs  Codecs
	schema  func(id uint64) (*Schema, error)
	data    []byte
	offset  int
	local   []*Schema
	tx      Tx
	begun   bool
	ordinal map[Table]int
	change  Change
	err     error
}

// NewReader returns a reader that finds schemas through the function (the journal's reader remembers those that batches
// brought) and codecs in the map.
func NewReader(codecs Codecs, schema func(id uint64) (*Schema, error)) *Reader {
	return &Reader{codecs: codecs, schema: schema, ordinal: map[Table]int{}}
}

// Reset starts on the next batch.
func (r *Reader) Reset(b *Batch) {
	r.data, r.offset, r.err = b.Data, 0, nil
	r.local = r.local[:0]
	if b.Part == 0 {
		r.begun = false
	}
	r.change = Change{Source: b.Source, Identity: b.Identity}
}

// Next advances to the next change and reports whether there is one. At the end, and after an error, it is false.
func (r *Reader) Next() bool {
	for r.err == nil && r.offset < len(r.data) {
		kind := r.data[r.offset]
		r.offset++
		switch kind {
		case 'B':
			r.begin()
		case 'R':
			r.relation()
		case 'I', 'S', 'U', 'V', 'D', 'T':
			r.read(kind)
			return r.err == nil
		default:
			r.fail("record kind %q at byte %d", kind, r.offset-1)
		}
	}
	return false
}

// Change returns the change that Next found. It is valid until the next call of Next; its bytes belong to the batch.
func (r *Reader) Change() *Change { return &r.change }

// Err returns the error that ended the walk, if one did. It wraps ErrCorrupt or the schema function's error.
func (r *Reader) Err() error { return r.err }

func (r *Reader) begin() {
	tx := Tx{Commit: r.str(), XID: r.str()}
	micros, n := binary.Varint(r.data[min(r.offset, len(r.data)):])
	if n <= 0 {
		r.fail("begin without commit time")
		return
	}
	r.offset += n
	tx.CommitAt = time.UnixMicro(micros).UTC()
	if !r.begun || tx.Commit != r.tx.Commit {
		clear(r.ordinal)
	}
	r.tx, r.begun = tx, true
}

func (r *Reader) relation() {
	if r.offset+8 > len(r.data) {
		r.fail("relation cut short")
		return
	}
	id := binary.BigEndian.Uint64(r.data[r.offset:])
	r.offset += 8
	s, err := r.schema(id)
	if err != nil {
		r.err = err
		return
	}
	r.local = append(r.local, s)
}

func (r *Reader) read(kind byte) {
	n := r.uvarint()
	if r.err != nil || n >= uint64(len(r.local)) || !r.begun {
		r.fail("change outside a transaction or of an unknown relation")
		return
	}
	c := &r.change
	c.Schema, c.Tx = r.local[n], r.tx
	c.Ordinal = r.ordinal[c.Schema.Table]
	r.ordinal[c.Schema.Table]++
	c.codec = r.codecs[c.Schema.Codec]
	c.old, c.new = c.old[:0], c.new[:0]
	c.hasOld, c.hasNew = false, false
	c.Op = Op(kind)
	switch kind {
	case 'I', 'S', 'U':
		c.new, c.hasNew = r.tuple(c.new, nil), true
	case 'D':
		c.old, c.hasOld = r.tuple(c.old, nil), true
	case 'V':
		c.Op = Update
		c.old, c.hasOld = r.tuple(c.old, nil), true
		c.new, c.hasNew = r.tuple(c.new, c.old), true
	}
}

// tuple reads the fields of a tuple. old has those of the tuple before an update, as far as they could be read.
func (r *Reader) tuple(fields, old []field) []field {
	for i := range r.change.Schema.Columns {
		if r.offset >= len(r.data) {
			r.fail("tuple cut short")
			return fields
		}
		state := r.data[r.offset]
		r.offset++
		switch state {
		case 'a':
			fields = append(fields, field{})
		case 'n':
			fields = append(fields, field{state: Null})
		case 'v':
			n := int(r.uvarint())
			if r.err != nil || n < 0 || n > len(r.data)-r.offset {
				r.fail("value cut short")
				return fields
			}
			fields = append(fields, field{Present, r.data[r.offset : r.offset+n : r.offset+n]})
			r.offset += n
		case 's':
			if i >= len(old) {
				r.fail("a field that is the same as none, at byte %d", r.offset-1)
				return fields
			}
			fields = append(fields, old[i])
		default:
			r.fail("field state %q at byte %d", state, r.offset-1)
			return fields
		}
	}
	return fields
}

func (r *Reader) uvarint() uint64 {
	if r.offset > len(r.data) {
		r.fail("number cut short")
		return 0
	}
	v, n := binary.Uvarint(r.data[r.offset:])
	if n <= 0 {
		r.fail("number cut short")
		return 0
	}
	r.offset += n
	return v
}

func (r *Reader) str() string {
	n := int(r.uvarint())
	if r.err != nil || n < 0 || n > len(r.data)-r.offset {
		r.fail("text cut short")
		return ""
	}
	s := string(r.data[r.offset : r.offset+n])
	r.offset += n
	return s
}

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
}
