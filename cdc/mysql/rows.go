package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"waybill/cdc"
)

// rowsEvent is the head of a row event; data holds its row images one behind the other.
type rowsEvent struct {
	op            cdc.Op
	present, next []byte // bitmaps of the columns in the (first) image, and in an update's second
	columns       int
	data          []byte
}

// parseRows reads the head. unzip opens images that are compressed as MariaDB does it.
func parseRows(kind byte, body []byte, unzip func([]byte) ([]byte, error)) (rowsEvent, error) {
	var e rowsEvent
	r := &cursor{b: body}
	r.take(8) // table id, flags
	switch kind {
	case evWriteV1, evWriteV2, evMariaWrite:
		e.op = cdc.Insert
	case evUpdateV1, evUpdateV2, evMariaUpdate:
		e.op = cdc.Update
	case evDeleteV1, evDeleteV2, evMariaDelete:
		e.op = cdc.Delete
	}
	if kind == evWriteV2 || kind == evUpdateV2 || kind == evDeleteV2 {
		extra := r.take(2)
		if extra != nil {
			r.take(int(binary.LittleEndian.Uint16(extra)) - 2)
		}
	}
	n := r.lenenc()
	if n > maxColumns {
		return e, fmt.Errorf("a row of %d columns", n)
	}
	e.columns = int(n)
	e.present = r.take((e.columns + 7) / 8)
	if e.op == cdc.Update {
		e.next = r.take((e.columns + 7) / 8)
	}
	if r.short {
		return e, errShort
	}
	e.data = r.b
	if kind == evMariaWrite || kind == evMariaUpdate || kind == evMariaDelete {
		var err error
		if e.data, err = unzip(e.data); err != nil {
			return e, fmt.Errorf("opening compressed rows: %w", err)
		}
	}
	return e, nil
}

// plan says how the rows of one table are walked and what of them is kept.
type plan struct {
	schema  *cdc.Schema
	columns []planColumn
	whole   bool     // the columns are not known for certain: keep whole images (Schema.Fault says why)
	old     []extent // of the row before an update: where the values that are kept lie in the event, by column
}

// extent is a part of an event's data. It is no slice, because the collector looks at each slice that is stored.
type extent struct{ from, to int }

// same reports whether the part holds the value. An empty one is as short to write as to name.
func (x extent) same(data, value []byte) bool {
	return len(value) > 0 && bytes.Equal(data[x.from:x.to], value)
}

type planColumn struct {
	fixed  int  // width in bytes when it does not depend on the value
	prefix int  // bytes of the length in front of the value, when it does
	keep   bool // copy into the batch
}

// newPlan prepares the walk. keep tells which columns go into the batch.
func newPlan(m *tableMap, schema *cdc.Schema, keep func(i int) bool) (*plan, error) {
	p := &plan{schema: schema, columns: make([]planColumn, len(m.columns))}
	for i := range m.columns {
		fixed, prefix, err := width(&m.columns[i])
		if err != nil {
			return nil, fmt.Errorf("column %d: %w", i+1, err)
		}
		p.columns[i] = planColumn{fixed, prefix, keep(i)}
	}
	return p, nil
}

// width returns the bytes that a value of the column has in a row image: a fixed number, or behind a length prefix.
func width(c *mapColumn) (fixed, prefix int, err error) {
	switch c.kind {
	case tNull:
		return 0, 0, nil
	case tTiny, tYear:
		return 1, 0, nil
	case tShort:
		return 2, 0, nil
	case tInt24, tDate, tNewDate, tTime:
		return 3, 0, nil
	case tLong, tFloat, tTimestamp:
		return 4, 0, nil
	case tLongLong, tDouble, tDatetime:
		return 8, 0, nil
	case tDecimal:
		n, err := decimalSize(int(c.meta>>8), int(c.meta&0xff))
		return n, 0, err
	case tTimestamp2:
		return 4 + fractionSize(c.meta), 0, checkFraction(c.meta)
	case tDatetime2:
		return 5 + fractionSize(c.meta), 0, checkFraction(c.meta)
	case tTime2:
		return 3 + fractionSize(c.meta), 0, checkFraction(c.meta)
	case tEnum, tSet:
		if c.meta < 1 || c.meta > 8 {
			return 0, 0, fmt.Errorf("an enum or set of %d bytes", c.meta)
		}
		return int(c.meta), 0, nil
	case tBit:
		return int(c.meta>>8) + int(c.meta&0xff+7)/8, 0, nil
	case tVarchar, tVarString, tString, tVarcharZip:
		if c.meta < 256 {
			return 0, 1, nil
		}
		return 0, 2, nil
	case tBlob, tBlobZip, tGeometry, tJSON, tVector:
		if c.meta < 1 || c.meta > 4 {
			return 0, 0, fmt.Errorf("a length of %d bytes", c.meta)
		}
		return 0, int(c.meta), nil
	}
	return 0, 0, fmt.Errorf("type code %d is not known", c.kind)
}

func fractionSize(digits uint16) int { return int(digits+1) / 2 }

func checkFraction(digits uint16) error {
	if digits > 6 {
		return fmt.Errorf("a fraction of %d digits", digits)
	}
	return nil
}

// encode writes every row of the event into enc. A value that an update leaves as it was is written once.
func (p *plan) encode(enc *cdc.Encoder, e *rowsEvent) error {
	if e.columns != len(p.columns) {
		return fmt.Errorf("a row of %d columns for a table of %d", e.columns, len(p.columns))
	}
	if e.op == cdc.Update && p.old == nil {
		p.old = make([]extent, len(p.columns))
	}
	images := newImages(e)
	for at := 0; at < len(e.data); {
		before := at
		var err error
		if e.op == cdc.Update {
			enc.UpdateOld(p.schema)
			clear(p.old)
			if at, err = p.image(enc, &images[0], e.data, at, isOld); err == nil {
				at, err = p.image(enc, &images[1], e.data, at, isNew)
			}
		} else {
			enc.Change(e.op, p.schema)
			at, err = p.image(enc, &images[0], e.data, at, isAlone)
		}
		if err != nil {
			return err
		}
		if at == before {
			return fmt.Errorf("a row of no bytes")
		}
	}
	return nil
}

// imageRole says what a row image is to its change.
type imageRole byte

const (
	isAlone imageRole = iota // the only one
	isOld                    // before an update
	isNew                    // after it, behind that
)

// imageShape is what all images of an event have in common.
type imageShape struct {
	present []byte // bitmap of the columns in the image
	all     bool   // none is missing
	nulls   int    // bytes of the bitmap of nulls in front of it
}

func newImages(e *rowsEvent) [2]imageShape {
	var out [2]imageShape
	for i, present := range [][]byte{e.present, e.next} {
		count := 0
		for c, bitmap := range present {
			if last := e.columns - 8*c; last < 8 { // the bits behind the columns may be anything
				bitmap &= 1<<last - 1
			}
			count += bits.OnesCount8(bitmap)
		}
		out[i] = imageShape{present, count == e.columns, (count + 7) / 8}
	}
	return out
}

// image writes the row image that begins at a place of the data, and returns where it ends. A column that is not in the image is
// absent, not null.
func (p *plan) image(enc *cdc.Encoder, shape *imageShape, data []byte, at int, role imageRole) (end int, err error) {
	if len(data)-at < shape.nulls {
		return 0, errShort
	}
	begin, nullBits := at, data[at:at+shape.nulls]
	at += shape.nulls
	buf, seen := enc.Fields(), 0
	for i := range p.columns {
		c := &p.columns[i]
		if !shape.all && shape.present[i>>3]>>(i&7)&1 == 0 {
			if c.keep {
				buf = cdc.AppendAbsent(buf)
			}
			continue
		}
		null := nullBits[seen>>3]>>(seen&7)&1 == 1
		seen++
		if null {
			if c.keep {
				buf = cdc.AppendNull(buf)
			}
			continue
		}
		n := c.fixed
		if c.prefix > 0 {
			if len(data)-at < c.prefix {
				return 0, errShort
			}
			n = int(data[at])
			for j := 1; j < c.prefix; j++ {
				n |= int(data[at+j]) << (8 * j)
			}
			at += c.prefix
		}
		if len(data)-at < n {
			return 0, errShort
		}
		switch value := data[at : at+n]; {
		case !c.keep:
		case role == isNew && p.old[i].same(data, value):
			buf = cdc.AppendSame(buf)
		default:
			buf = cdc.AppendValue(buf, value)
			if role == isOld {
				p.old[i] = extent{at, at + n}
			}
		}
		at += n
	}
	if p.whole {
		present := shape.present
		buf = cdc.AppendValue(buf, append(present[:len(present):len(present)], data[begin:at]...))
	}
	enc.SetFields(buf)
	return at, nil
}
