package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// MySQL keeps JSON in a binary form (its manual's "Binary JSON" and the comments of sql-common/json_binary.h describe it),
// and the log has that form. MariaDB has no such type.

var errJSON = errors.New("the value is not in MySQL's binary form of JSON")

// Types of a value in binary JSON. An odd object or array is a large one, with numbers of four bytes instead of two.
const (
	jsonObject  = 0
	jsonArray   = 2
	jsonLiteral = 4
	jsonInt16   = 5
	jsonUint16  = 6
	jsonInt32   = 7
	jsonUint32  = 8
	jsonInt64   = 9
	jsonUint64  = 10
	jsonDouble  = 11
	jsonText8   = 12
	jsonOpaque  = 15
	jsonDepth   = 100 // the server's own bound
)

// jsonBinary writes a binary document as the text that jsonText makes of what a SELECT shows.
func jsonBinary(raw []byte) (string, error) {
	if len(raw) == 0 {
		return "null", nil // the server's own reading of an empty document
	}
	d := jsonDecoder{left: 64*len(raw) + 1024}
	if err := d.value(raw[0], raw[1:], 0); err != nil {
		return "", err
	}
	return string(d.out), nil
}

// jsonDecoder appends text. left bounds the work: a damaged document may point many times at the same bytes.
type jsonDecoder struct {
	out  []byte
	left int
}

func (d *jsonDecoder) value(kind byte, raw []byte, depth int) error {
	if d.left--; d.left < 0 {
		return errJSON
	}
	if kind <= jsonArray+1 {
		return d.container(kind, raw, depth+1)
	}
	if kind == jsonText8 || kind == jsonOpaque {
		return d.variable(kind, raw)
	}
	return d.scalar(kind, raw)
}

// scalar writes a value of fixed width.
func (d *jsonDecoder) scalar(kind byte, raw []byte) error {
	width := map[byte]int{jsonLiteral: 1, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8}[kind]
	if width == 0 || len(raw) < width {
		return errJSON
	}
	v, err := little(raw[:width])
	if err != nil {
		return err
	}
	switch kind {
	case jsonLiteral:
		if v > 2 {
			return errJSON
		}
		d.out = append(d.out, [3]string{"null", "true", "false"}[v]...)
	case jsonInt16, jsonInt32, jsonInt64:
		shift := 64 - 8*width
		d.out = strconv.AppendInt(d.out, int64(v<<shift)>>shift, 10)
	case jsonUint16, jsonUint32, jsonUint64:
		d.out = strconv.AppendUint(d.out, v, 10)
	case jsonDouble:
		f := math.Float64frombits(v)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return errNotFinite
		}
		d.out, err = jsonNumber(d.out, strconv.FormatFloat(f, 'e', -1, 64))
	}
	return err
}

// variable writes a text, or a value of one of the database's own types.
func (d *jsonDecoder) variable(kind byte, raw []byte) error {
	own := byte(0)
	if kind == jsonOpaque {
		if len(raw) < 1 {
			return errJSON
		}
		own, raw = raw[0], raw[1:]
	}
	n, size := binary.Uvarint(raw)
	if size <= 0 || size > 5 || n > uint64(len(raw)-size) {
		return errJSON
	}
	if d.left -= int(n); d.left < 0 {
		return errJSON
	}
	raw = raw[size : size+int(n)]
	if kind == jsonOpaque {
		return d.opaque(own, raw)
	}
	s, err := utf8Text(raw)
	d.out = jsonString(d.out, s)
	return err
}

// opaque writes a decimal as a number, dates and times as the texts that a SELECT shows, anything else in base64.
func (d *jsonDecoder) opaque(kind byte, raw []byte) error {
	switch kind {
	case tDecimal:
		if len(raw) < 2 {
			return errJSON
		}
		s, err := decimalText(raw[2:], int(raw[0]), int(raw[1]))
		if err == nil {
			d.out, err = jsonNumber(d.out, s)
		}
		return err
	case tDate, tDatetime, tTimestamp, tTime:
		if len(raw) != 8 {
			return errJSON
		}
		d.out = append(d.out, '"')
		d.out = jsonMoment(d.out, kind, int64(binary.LittleEndian.Uint64(raw)))
		d.out = append(d.out, '"')
		return nil
	}
	d.out = fmt.Appendf(d.out, `"base64:type%d:%s"`, kind, base64.StdEncoding.EncodeToString(raw))
	return nil
}

// jsonMoment writes a packed date or time: microseconds in the low 24 bits, above them seconds, minutes, hours, days, and
// thirteen times the year plus the month.
func jsonMoment(out []byte, kind byte, v int64) []byte {
	if kind == tTime && v < 0 {
		out, v = append(out, '-'), -v
	}
	us, clock := v&0xffffff, v>>24
	day, months := clock>>17&31, clock>>22
	if kind != tTime {
		out = fmt.Appendf(out, "%04d-%02d-%02d", months/13, months%13, day)
		if kind == tDate {
			return out
		}
		return fmt.Appendf(out, " %02d:%02d:%02d.%06d", clock>>12&31, clock>>6&63, clock&63, us)
	}
	return fmt.Appendf(out, "%02d:%02d:%02d.%06d", clock>>12&1023, clock>>6&63, clock&63, us)
}

// container writes an object or array: the number of members, the bytes of the whole, then for an object an offset and a
// length for each key, then for each value its type and an offset, or the value itself when it fits there.
func (d *jsonDecoder) container(kind byte, raw []byte, depth int) error {
	w := 2
	if kind&1 == 1 {
		w = 4
	}
	object := kind <= jsonObject+1
	keySize := 0
	if object {
		keySize = w + 2
	}
	if depth > jsonDepth || len(raw) < 2*w {
		return errJSON
	}
	n, size := jsonSize(raw, w), jsonSize(raw[w:], w)
	keys := 2 * w
	values := keys + n*keySize
	if size > len(raw) || n > size || values+n*(1+w) > size {
		return errJSON
	}
	raw = raw[:size]
	d.out = append(d.out, "[{"[btoi(object)])
	for i := range n {
		if i > 0 {
			d.out = append(d.out, ", "...)
		}
		if object {
			at, length := jsonSize(raw[keys+i*keySize:], w), int(binary.LittleEndian.Uint16(raw[keys+i*keySize+w:]))
			if at > size-length || at < 0 {
				return errJSON
			}
			key, err := utf8Text(raw[at : at+length])
			if err != nil {
				return err
			}
			if d.left -= length; d.left < 0 {
				return errJSON
			}
			d.out = append(jsonString(d.out, key), ": "...)
		}
		if err := d.member(raw, values+i*(1+w), w, depth); err != nil {
			return err
		}
	}
	d.out = append(d.out, "]}"[btoi(object)])
	return nil
}

// member writes the value whose entry is at a place of its container.
func (d *jsonDecoder) member(raw []byte, entry, w, depth int) error {
	kind := raw[entry]
	switch kind {
	case jsonLiteral, jsonInt16, jsonUint16:
		return d.value(kind, raw[entry+1:entry+1+w], depth)
	case jsonInt32, jsonUint32:
		if w == 4 {
			return d.value(kind, raw[entry+1:entry+1+w], depth)
		}
	}
	at := jsonSize(raw[entry+1:], w)
	if at >= len(raw) || at < entry+1+w {
		return errJSON
	}
	return d.value(kind, raw[at:], depth)
}

func jsonSize(raw []byte, w int) int {
	if w == 2 {
		return int(binary.LittleEndian.Uint16(raw))
	}
	return int(binary.LittleEndian.Uint32(raw))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
