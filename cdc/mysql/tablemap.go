package mysql

import (
	"encoding/binary"
	"fmt"
)

// Type codes of columns in the binary log.
const (
	tTiny         = 1
	tShort        = 2
	tLong         = 3
	tFloat        = 4
	tDouble       = 5
	tNull         = 6
	tTimestamp    = 7
	tLongLong     = 8
	tInt24        = 9
	tDate         = 10
	tTime         = 11
	tDatetime     = 12
	tYear         = 13
	tNewDate      = 14
	tVarchar      = 15
	tBit          = 16
	tTimestamp2   = 17
	tDatetime2    = 18
	tTime2        = 19
	tBlobZip      = 140 // MariaDB: COMPRESSED
	tVarcharZip   = 141
	tVector       = 242
	tJSON         = 245
	tDecimal      = 246
	tEnum         = 247
	tSet          = 248
	tBlob         = 252
	tVarString    = 253
	tString       = 254
	tGeometry     = 255
	binaryCharset = 63 // collation id of bytes
	maxColumns    = 4096
)

// tableMap is a Table_map event: what the following row events of this table id look like.
type tableMap struct {
	schema, table string
	columns       []mapColumn
	named         bool // binlog_row_metadata=FULL: names, labels and the primary key came with it
}

// mapColumn is one column as the Table_map event describes it.
type mapColumn struct {
	kind      byte   // type code; enum and set stand for themselves
	meta      uint16 // length, or precision<<8|scale, or bytes of a length prefix, by kind
	nullable  bool
	signKnown bool
	unsigned  bool
	collation uint32 // 0 when not known
	name      string
	labels    [][]byte // of an enum or a set, in the column's charset
	key       bool
}

// tableID returns the id in front of Table_map and row events.
func tableID(body []byte) (uint64, error) {
	if len(body) < 8 {
		return 0, errShort
	}
	return uint64(binary.LittleEndian.Uint32(body)) | uint64(binary.LittleEndian.Uint16(body[4:]))<<32, nil
}

// tableName returns the database and the table of a Table_map event, in place.
func tableName(body []byte) (schema, table []byte, rest []byte, err error) {
	r := &cursor{b: body[min(8, len(body)):]}
	schema = r.take(int(r.u8()))
	r.u8()
	table = r.take(int(r.u8()))
	r.u8()
	if r.short {
		return nil, nil, nil, errShort
	}
	return schema, table, r.b, nil
}

// parseTableMap reads the event whole. mariadb tells how the optional metadata counts geometry columns.
func parseTableMap(body []byte, mariadb bool) (*tableMap, error) {
	schema, table, rest, err := tableName(body)
	if err != nil {
		return nil, err
	}
	m := &tableMap{schema: string(schema), table: string(table)}
	r := &cursor{b: rest}
	n := int(r.lenenc())
	if n > maxColumns {
		return nil, fmt.Errorf("a table of %d columns", n)
	}
	kinds := r.take(n)
	metas := &cursor{b: r.take(int(r.lenenc()))}
	nulls := r.take((n + 7) / 8)
	if r.short {
		return nil, errShort
	}
	m.columns = make([]mapColumn, n)
	for i, kind := range kinds {
		c := &m.columns[i]
		c.nullable = nulls[i/8]&(1<<(i%8)) != 0
		if err := c.setType(kind, metas); err != nil {
			return nil, fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	if metas.short {
		return nil, errShort
	}
	for len(r.b) > 0 && !r.short {
		field, value := r.u8(), cursor{b: r.take(int(r.lenenc()))}
		if r.short {
			return nil, errShort
		}
		if err := m.optional(field, &value, mariadb); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// setType reads the type's own metadata.
func (c *mapColumn) setType(kind byte, r *cursor) error {
	c.kind = kind
	switch kind {
	case tString:
		a, b := uint16(r.u8()), uint16(r.u8())
		switch {
		case a == tEnum || a == tSet:
			c.kind, c.meta = byte(a), b
		case a != 0 && a&0x30 != 0x30:
			c.meta = b | (a&0x30^0x30)<<4 // two bits of a length above 255 hide in the type
		default:
			c.meta = b
		}
	case tDecimal:
		c.meta = uint16(r.u8()) << 8
		c.meta |= uint16(r.u8())
	case tVarchar, tVarString, tVarcharZip, tBit:
		c.meta = uint16(r.u8())
		c.meta |= uint16(r.u8()) << 8
	case tBlob, tBlobZip, tDouble, tFloat, tGeometry, tVector, tJSON, tTime2, tDatetime2, tTimestamp2:
		c.meta = uint16(r.u8())
	case tTiny, tShort, tLong, tInt24, tLongLong, tNull, tTimestamp, tDate, tNewDate, tTime, tDatetime, tYear:
	default:
		return fmt.Errorf("type code %d is not known", kind)
	}
	return nil
}

func (c *mapColumn) numeric() bool {
	switch c.kind {
	case tTiny, tShort, tInt24, tLong, tLongLong, tDecimal, tFloat, tDouble, tYear:
		return true
	}
	return false
}

// optional reads one field of the optional metadata. Fields of later versions are passed over.
func (m *tableMap) optional(field byte, r *cursor, mariadb bool) error {
	character := func(c *mapColumn) bool {
		switch c.kind {
		case tString, tVarString, tVarchar, tBlob, tBlobZip, tVarcharZip:
			return true
		case tGeometry:
			return mariadb
		}
		return false
	}
	labelled := func(c *mapColumn) bool { return c.kind == tEnum || c.kind == tSet }
	switch field {
	case 1: // signedness: a bit for each numeric column, from the highest bit on
		i := 0
		m.each((*mapColumn).numeric, func(c *mapColumn) {
			if i/8 < len(r.b) {
				c.signKnown, c.unsigned = true, r.b[i/8]&(0x80>>(i%8)) != 0
			}
			i++
		})
	case 2:
		m.defaultCharset(r, character)
	case 3:
		m.each(character, func(c *mapColumn) { c.collation = uint32(r.lenenc()) })
	case 4:
		m.named = true
		m.each(nil, func(c *mapColumn) { c.name = string(r.take(int(r.lenenc()))) })
	case 5, 6: // labels of sets, of enums
		m.each(func(c *mapColumn) bool { return c.kind == map[byte]byte{5: tSet, 6: tEnum}[field] }, func(c *mapColumn) {
			n := int(r.lenenc())
			for i := 0; i < n && !r.short; i++ {
				c.labels = append(c.labels, append([]byte(nil), r.take(int(r.lenenc()))...))
			}
		})
	case 8, 9: // primary key, with the length of each column's prefix in 9
		for len(r.b) > 0 && !r.short {
			i := r.lenenc()
			if field == 9 {
				r.lenenc()
			}
			if i >= uint64(len(m.columns)) {
				return fmt.Errorf("primary key on column %d of %d", i+1, len(m.columns))
			}
			m.columns[i].key = true
		}
	case 10:
		m.defaultCharset(r, labelled)
	case 11:
		m.each(labelled, func(c *mapColumn) { c.collation = uint32(r.lenenc()) })
	}
	if r.short {
		return errShort
	}
	return nil
}

func (m *tableMap) each(which func(*mapColumn) bool, do func(*mapColumn)) {
	for i := range m.columns {
		if which == nil || which(&m.columns[i]) {
			do(&m.columns[i])
		}
	}
}

// defaultCharset reads one collation for all, and those of the columns (counted among their kind) that differ.
func (m *tableMap) defaultCharset(r *cursor, which func(*mapColumn) bool) {
	common := uint32(r.lenenc())
	other := map[uint64]uint32{}
	for len(r.b) > 0 && !r.short {
		i := r.lenenc()
		other[i] = uint32(r.lenenc())
	}
	var i uint64
	m.each(which, func(c *mapColumn) {
		c.collation = common
		if id, ok := other[i]; ok {
			c.collation = id
		}
		i++
	})
}

// cursor takes values off the front of bytes. After the end it gives zeros and remembers short.
type cursor struct {
	b     []byte
	short bool
}

func (r *cursor) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *cursor) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// lenenc reads a length-encoded integer.
func (r *cursor) lenenc() uint64 {
	first := r.u8()
	n := 0
	switch first {
	case 0xfc:
		n = 2
	case 0xfd:
		n = 3
	case 0xfe:
		n = 8
	case 0xfb, 0xff: // NULL and error: no length
		r.b, r.short = nil, true
		return 0
	default:
		return uint64(first)
	}
	var v uint64
	for i, b := range r.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}
