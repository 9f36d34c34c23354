package mysql

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"waybill/cdc"
)

// The names of the codecs. What a name reads never changes; a change makes another name.
const (
	CodecBinlog = "binlog/1"    // column bytes of a row image, without the length in front
	CodecText   = "mysqltext/1" // the text protocol, in the column's own charset, under the snapshot's session settings
)

// Codecs returns the codecs of this package by name.
func Codecs() cdc.Codecs {
	return cdc.Codecs{CodecBinlog: binlogCodec{}, CodecText: textCodec{}}
}

var (
	errSize      = errors.New("the value has not the length of its type")
	errLabel     = errors.New("the value has a number that is none of the type's labels")
	errEmptyEnum = errors.New("the server stored an invalid value as an empty one, and the enum has an empty label too: the two look the same")
	errAddress   = errors.New("the value is not an internet address")
	errUUID      = errors.New("the value is not a UUID")
	errNotFinite = errors.New("NaN and Infinity cannot be carried")
)

type binlogCodec struct{}

// Decode implements cdc.Codec. TYPES.md describes each form.
func (binlogCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	m, err := parseMeta(col.Meta)
	if err != nil {
		return cdc.Value{}, err
	}
	out, err := binlogText(col, &m, raw)
	if err != nil {
		return cdc.Value{}, err
	}
	return cdc.Of(col.Kind, out), nil
}

func binlogText(col *cdc.Column, m *meta, raw []byte) (string, error) {
	switch col.Kind {
	case cdc.KindInt:
		return intText(m, raw)
	case cdc.KindDecimal:
		return decimalText(raw, int(m.meta>>8), int(m.meta&0xff))
	case cdc.KindFloat:
		return floatBits(raw)
	case cdc.KindText, cdc.KindJSON:
		switch {
		case m.kind == tJSON:
			return jsonBinary(raw)
		case m.address:
			return addressText(pad(raw, int(m.meta)))
		}
		return text(m.charset, raw)
	case cdc.KindBytes:
		return string(pad(raw, m.length)), nil
	case cdc.KindBits:
		return bitsText(m, raw)
	case cdc.KindUUID:
		return uuidOf(pad(raw, 16))
	case cdc.KindEnum, cdc.KindArray:
		n, err := little(raw)
		if err != nil {
			return "", err
		}
		return labelled(col, n)
	case cdc.KindDate:
		n, err := little(raw)
		if err != nil || len(raw) != 3 {
			return "", errSize
		}
		return dateText(int(n>>9), int(n>>5&15), int(n&31))
	case cdc.KindTime:
		return timeText(m, raw)
	case cdc.KindTimestamp:
		return datetimeText(m, raw)
	case cdc.KindInstant:
		return instantText(m, raw)
	}
	return "", fmt.Errorf("type %s is not supported", col.Type)
}

// pad gives back the trailing zero bytes of binary(n), which a row image leaves out.
func pad(raw []byte, length int) []byte {
	if len(raw) >= length {
		return raw
	}
	return append(raw[:len(raw):len(raw)], make([]byte, length-len(raw))...)
}

func little(raw []byte) (uint64, error) {
	if len(raw) < 1 || len(raw) > 8 {
		return 0, errSize
	}
	var v uint64
	for i, b := range raw {
		v |= uint64(b) << (8 * i)
	}
	return v, nil
}

func big(raw []byte) uint64 {
	var v uint64
	for _, b := range raw {
		v = v<<8 | uint64(b)
	}
	return v
}

func intText(m *meta, raw []byte) (string, error) {
	v, err := little(raw)
	switch {
	case err != nil:
		return "", err
	case m.kind == tYear && v == 0:
		return "0", nil
	case m.kind == tYear:
		return strconv.FormatUint(1900+v, 10), nil
	case m.unsigned:
		return strconv.FormatUint(v, 10), nil
	}
	shift := 64 - 8*len(raw)
	return strconv.FormatInt(int64(v<<shift)>>shift, 10), nil
}

// labelled returns the label of an enum, or the labels of a set as a JSON array in the order of their declaration. An enum's
// number 0 is what the server stores for an invalid value, and shows as an empty text.
func labelled(col *cdc.Column, n uint64) (string, error) {
	if col.Kind == cdc.KindEnum {
		switch {
		case n > uint64(len(col.Labels)):
			return "", errLabel
		case n > 0:
			return col.Labels[n-1], nil
		case slices.Contains(col.Labels, ""):
			return "", errEmptyEnum
		}
		return "", nil
	}
	out := []byte{'['}
	for i, label := range col.Labels {
		if i < 64 && n>>i&1 == 1 {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = jsonString(out, label)
		}
	}
	if bits.Len64(n) > len(col.Labels) {
		return "", errLabel
	}
	return string(append(out, ']')), nil
}

// bitsText writes every bit of a BIT(n); both protocols give them in whole bytes, the highest first.
func bitsText(m *meta, raw []byte) (string, error) {
	n := int(m.meta>>8)*8 + int(m.meta&0xff)
	if n < 1 || n > 64 || len(raw) != (n+7)/8 {
		return "", errSize
	}
	return fmt.Sprintf("%0*b", n, big(raw)), nil
}

// addressText writes the 4 or 16 bytes of an INET4 or INET6 as RFC 5952 says.
func addressText(raw []byte) (string, error) {
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return "", errAddress
	}
	return a.String(), nil
}

// floatBits gives the shortest text that reads back to the same number of the same precision.
func floatBits(raw []byte) (string, error) {
	switch len(raw) {
	case 4:
		return floatText(float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), 32)
	case 8:
		return floatText(math.Float64frombits(binary.LittleEndian.Uint64(raw)), 64)
	}
	return "", errSize
}

func floatText(f float64, bits int) (string, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errNotFinite
	}
	if f == 0 {
		f = 0 // the text protocol gives a negative zero as -0, and its computed form without the sign
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}

func uuidOf(raw []byte) (string, error) {
	if len(raw) != 16 {
		return "", errUUID
	}
	return uuidText(raw), nil
}

// uuidFromText checks the form and makes it lower case.
func uuidFromText(raw []byte) (string, error) {
	if len(raw) != 36 {
		return "", errUUID
	}
	digits := make([]byte, 0, 32)
	for i, b := range raw {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b != '-' {
				return "", errUUID
			}
			continue
		}
		digits = append(digits, b)
	}
	out := make([]byte, 16)
	if _, err := hex.Decode(out, digits); err != nil {
		return "", errUUID
	}
	return uuidText(out), nil
}
