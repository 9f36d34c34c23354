package postgres

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"waybill/cdc"
)

// CodecName is the codec of every schema that this package makes: the text output of PostgreSQL's types under the pinned
// session settings.
const CodecName = "pgtext/1"

// Codec returns the codec of that name.
func Codec() cdc.Codec { return textCodec{} }

type textCodec struct{}

var (
	errForm     = errors.New("the text is not in the form that the pinned session settings give")
	errInfinity = errors.New("infinity cannot be carried")
	errEra      = errors.New("a year before 1 or after 9999 cannot be carried")
	errNaN      = errors.New("NaN and Infinity cannot be carried")
)

// Decode implements cdc.Codec. TYPES.md describes each form.
func (textCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	text, err := canonical(col, raw)
	if err != nil {
		return cdc.Value{}, err
	}
	return cdc.Of(col.Kind, text), nil
}

func canonical(col *cdc.Column, raw []byte) (string, error) {
	switch col.Kind {
	case cdc.KindBool:
		return boolText(raw)
	case cdc.KindInt:
		if _, err := strconv.ParseInt(string(raw), 10, 64); err != nil {
			return "", errForm
		}
		return string(raw), nil
	case cdc.KindDecimal:
		return decimalText(raw)
	case cdc.KindFloat:
		return floatText(raw, col.Meta)
	case cdc.KindText, cdc.KindJSON, cdc.KindEnum:
		if !utf8.Valid(raw) {
			return "", errors.New("the text is not valid UTF-8 (a database with encoding SQL_ASCII does not convert)")
		}
		return string(raw), nil
	case cdc.KindBytes:
		return bytesText(raw)
	case cdc.KindDate:
		return string(raw), dateForm(raw)
	case cdc.KindTime:
		return string(raw), timeForm(raw)
	case cdc.KindTimestamp:
		return string(raw), timestampForm(raw)
	case cdc.KindInstant:
		return instantText(raw)
	case cdc.KindUUID:
		if len(raw) != 36 {
			return "", errForm
		}
		return string(raw), nil
	}
	return "", fmt.Errorf("type %s is not supported", col.Type)
}

func boolText(raw []byte) (string, error) {
	switch string(raw) {
	case "t":
		return "true", nil
	case "f":
		return "false", nil
	}
	return "", errForm
}

// decimalText keeps the server's digits: numeric never has an exponent and always shows its scale.
func decimalText(raw []byte) (string, error) {
	digits := raw
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || digits[0] < '0' || digits[0] > '9' {
		if bytes.Equal(raw, []byte("NaN")) || bytes.HasSuffix(raw, []byte("Infinity")) {
			return "", errNaN
		}
		return "", errForm
	}
	points := 0
	for _, c := range digits {
		if c == '.' {
			points++
		} else if c < '0' || c > '9' {
			return "", errForm
		}
	}
	if points > 1 {
		return "", errForm
	}
	return string(raw), nil
}

func floatText(raw []byte, meta string) (string, error) {
	bits := 64
	if meta == "700" {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(raw), bits)
	if err != nil {
		return "", errForm
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errNaN
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}

func bytesText(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '\\' || raw[1] != 'x' {
		return "", errForm
	}
	out := make([]byte, hex.DecodedLen(len(raw)-2))
	if _, err := hex.Decode(out, raw[2:]); err != nil {
		return "", errForm
	}
	return string(out), nil
}

// instantText turns 2026-03-08 19:05:00.5+00, as written under TimeZone=UTC, into 2026-03-08T19:05:00.5Z.
func instantText(raw []byte) (string, error) {
	body, utc := bytes.CutSuffix(raw, []byte("+00"))
	if err := timestampForm(body); err != nil {
		return "", err
	}
	if !utc {
		return "", errForm
	}
	out := make([]byte, 0, len(body)+1)
	out = append(append(out, body...), 'Z')
	out[10] = 'T'
	return string(out), nil
}

func timestampForm(raw []byte) error {
	day, clock, ok := bytes.Cut(raw, []byte(" "))
	if err := dateForm(day); err != nil {
		return err
	}
	if !ok {
		return errForm
	}
	if bytes.HasSuffix(clock, []byte(" BC")) {
		return errEra
	}
	return timeForm(clock)
}

func dateForm(raw []byte) error {
	if bytes.HasSuffix(raw, []byte("infinity")) {
		return errInfinity
	}
	if bytes.HasSuffix(raw, []byte(" BC")) {
		return errEra
	}
	if len(raw) > 10 {
		return errEra
	}
	if !matches(raw, "0000-00-00") {
		return errForm
	}
	return nil
}

func timeForm(raw []byte) error {
	whole, fraction, dotted := bytes.Cut(raw, []byte("."))
	if !matches(whole, "00:00:00") {
		return errForm
	}
	if dotted && (len(fraction) == 0 || len(fraction) > 6 || fraction[len(fraction)-1] == '0' || !matches(fraction, "000000"[:len(fraction)])) {
		return errForm
	}
	return nil
}

// matches compares with a pattern in which 0 stands for any digit.
func matches(raw []byte, pattern string) bool {
	if len(raw) != len(pattern) {
		return false
	}
	for i, c := range raw {
		if pattern[i] == '0' && (c < '0' || c > '9') || pattern[i] != '0' && c != pattern[i] {
			return false
		}
	}
	return true
}
