package mysql

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

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
	errZeroDate  = errors.New("a zero date, or one with a zero month or day, is no date and cannot be carried")
	errDate      = errors.New("there is no such date")
	errTimeOfDay = errors.New("the value is not a time of day: MariaDB's TIME may be negative or 24 hours and more, which cannot be carried")
	errEnum      = errors.New("the value is no label of the enum: the server stored an invalid value as an empty one")
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
		return text(m.charset, raw)
	case cdc.KindBytes:
		return string(pad(raw, m.length)), nil
	case cdc.KindUUID:
		return uuidOf(pad(raw, 16))
	case cdc.KindEnum:
		n, err := little(raw)
		if err != nil || n == 0 || n > uint64(len(col.Labels)) {
			return "", errEnum
		}
		return col.Labels[n-1], nil
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

func dateText(year, month, day int) (string, error) {
	if err := checkDate(year, month, day); err != nil {
		return "", err
	}
	return fmt.Sprintf("%04d-%02d-%02d", year, month, day), nil
}

func checkDate(year, month, day int) error {
	if year == 0 || month == 0 || day == 0 {
		return errZeroDate
	}
	d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year > 9999 || d.Year() != year || int(d.Month()) != month || d.Day() != day {
		return errDate
	}
	return nil
}

// fraction reads the digits of a second that follow a temporal value, as microseconds.
func fraction(raw []byte, digits uint16) (int, error) {
	if len(raw) != fractionSize(digits) {
		return 0, errSize
	}
	micros := int(big(raw))
	for range 3 - len(raw) {
		micros *= 100
	}
	if micros > 999999 {
		return 0, errDate
	}
	return micros, nil
}

// appendFraction writes microseconds without trailing zeros, and nothing for none.
func appendFraction(out []byte, micros int) []byte {
	if micros == 0 {
		return out
	}
	out = fmt.Appendf(out, ".%06d", micros)
	for out[len(out)-1] == '0' {
		out = out[:len(out)-1]
	}
	return out
}

func clockText(hour, minute, second, micros int) (string, error) {
	if hour > 23 || minute > 59 || second > 59 {
		return "", errTimeOfDay
	}
	return string(appendFraction(fmt.Appendf(nil, "%02d:%02d:%02d", hour, minute, second), micros)), nil
}

func timeText(m *meta, raw []byte) (string, error) {
	if m.kind == tTime { // before MariaDB 10.1: hhmmss as a number
		v, err := little(raw)
		if err != nil || len(raw) != 3 || v&0x800000 != 0 {
			return "", errTimeOfDay
		}
		return clockText(int(v/10000), int(v/100%100), int(v%100), 0)
	}
	if len(raw) < 3 || raw[0]&0x80 == 0 { // the first bit is set when the value is not negative
		return "", errTimeOfDay
	}
	v := big(raw[:3]) & 0x7fffff
	micros, err := fraction(raw[3:], m.meta)
	if err != nil {
		return "", err
	}
	return clockText(int(v>>12), int(v>>6&63), int(v&63), micros)
}

func datetimeText(m *meta, raw []byte) (string, error) {
	if m.kind == tDatetime { // before MariaDB 10.1: yyyymmddhhmmss as a number
		v, err := little(raw)
		if err != nil || len(raw) != 8 {
			return "", errSize
		}
		d, t := int(v/1000000), int(v%1000000)
		return stampText(d/10000, d/100%100, d%100, t/10000, t/100%100, t%100, 0)
	}
	if len(raw) < 5 {
		return "", errSize
	}
	v := big(raw[:5]) &^ (1 << 39)
	micros, err := fraction(raw[5:], m.meta)
	if err != nil {
		return "", err
	}
	months := int(v >> 22)
	return stampText(months/13, months%13, int(v>>17&31), int(v>>12&31), int(v>>6&63), int(v&63), micros)
}

func stampText(year, month, day, hour, minute, second, micros int) (string, error) {
	if err := checkDate(year, month, day); err != nil {
		return "", err
	}
	if hour > 23 || minute > 59 || second > 59 {
		return "", errDate
	}
	return string(appendFraction(fmt.Appendf(nil, "%04d-%02d-%02d %02d:%02d:%02d", year, month, day, hour, minute, second), micros)), nil
}

func instantText(m *meta, raw []byte) (string, error) {
	var seconds uint64
	micros := 0
	switch {
	case len(raw) < 4:
		return "", errSize
	case m.kind == tTimestamp:
		seconds = uint64(binary.LittleEndian.Uint32(raw))
	default:
		seconds = big(raw[:4])
		var err error
		if micros, err = fraction(raw[4:], m.meta); err != nil {
			return "", err
		}
	}
	if seconds == 0 && micros == 0 {
		return "", errZeroDate
	}
	t := time.Unix(int64(seconds), 0).UTC()
	return string(append(appendFraction(t.AppendFormat(nil, "2006-01-02T15:04:05"), micros), 'Z')), nil
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
