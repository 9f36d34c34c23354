package postgres

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"waybill/cdc"
)

// CodecName is the codec of every schema that this package makes: the text output of PostgreSQL's types under the pinned
// session settings.
const CodecName = "pgtext/1"

// Codec returns the codec of that name.
func Codec() cdc.Codec { return textCodec{} }

type textCodec struct{}

var errForm = errors.New("the text is not in the form that the pinned session settings give")

// Decode implements cdc.Codec. TYPES.md describes each form.
func (textCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	if col.Kind == cdc.KindUnsupported {
		return cdc.Value{}, fmt.Errorf("type %s is not supported", col.Type)
	}
	text, err := canonical(col.Kind, col.Meta, raw)
	if err != nil {
		return cdc.Value{}, err
	}
	return cdc.Of(col.Kind, text), nil
}

func canonical(kind cdc.Kind, meta string, raw []byte) (string, error) {
	switch kind {
	case cdc.KindBool:
		return boolText(raw)
	case cdc.KindInt:
		return intText(raw)
	case cdc.KindDecimal:
		return decimalText(raw, meta)
	case cdc.KindFloat:
		return floatText(raw, meta)
	case cdc.KindText, cdc.KindEnum:
		return plainText(raw)
	case cdc.KindJSON:
		if strings.HasSuffix(meta, hstoreMark) {
			return hstoreText(raw)
		}
		return plainText(raw)
	case cdc.KindBytes:
		return bytesText(raw)
	case cdc.KindDate:
		return dateText(raw)
	case cdc.KindTime:
		return string(raw), timeForm(raw)
	case cdc.KindTimestamp:
		return timestampText(raw, ' ', "")
	case cdc.KindInstant:
		return timestampText(raw, 'T', "+00")
	case cdc.KindInterval:
		return intervalText(raw)
	case cdc.KindUUID:
		return uuidText(raw)
	case cdc.KindBits:
		return bitsText(raw)
	case cdc.KindArray:
		return arrayText(raw, meta)
	case cdc.KindRange:
		return rangeText(raw)
	}
	return "", fmt.Errorf("kind %s is not one of this codec", kind)
}

// Column.Meta tells the codec what it must know beside the kind. Its texts are kept in the journal for ever:
//
//	1700                  the type's OID
//	16412 hstore          the type is hstore, whatever its OID
//	1231 of decimal 1700  an array; kind and Meta of its elements follow
const (
	hstoreMark = " hstore"
	arrayMark  = " of "
)

// elementOf returns the kind and Meta of an array's elements. Of a text that was not written here it returns a kind whose values
// fail to decode.
func elementOf(meta string) (cdc.Kind, string) {
	_, element, _ := strings.Cut(meta, arrayMark)
	kind, of, _ := strings.Cut(element, " ")
	return kindOf[kind], of
}

var kindOf = func() map[string]cdc.Kind {
	names := map[string]cdc.Kind{}
	for k := cdc.KindUnsupported; k.String() != "unknown"; k++ {
		names[k.String()] = k
	}
	return names
}()

func boolText(raw []byte) (string, error) {
	switch string(raw) {
	case "t":
		return "true", nil
	case "f":
		return "false", nil
	}
	return "", errForm
}

func plainText(raw []byte) (string, error) {
	if !utf8.Valid(raw) {
		return "", errors.New("the text is not valid UTF-8 (a database with encoding SQL_ASCII does not convert)")
	}
	return string(raw), nil
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

func uuidText(raw []byte) (string, error) {
	if len(raw) != 36 || raw[8] != '-' || raw[13] != '-' || raw[18] != '-' || raw[23] != '-' {
		return "", errForm
	}
	dashes := 0
	for _, c := range raw {
		switch {
		case c-'0' <= 9 || c-'a' <= 5:
		case c == '-':
			dashes++
		default:
			return "", errForm
		}
	}
	if dashes != 4 {
		return "", errForm
	}
	return string(raw), nil
}

func bitsText(raw []byte) (string, error) {
	for _, c := range raw {
		if c != '0' && c != '1' {
			return "", errForm
		}
	}
	return string(raw), nil
}

// intText takes what fits into 64 bits, signed: the largest integer that PostgreSQL has.
func intText(raw []byte) (string, error) {
	text := string(raw)
	n, err := strconv.ParseInt(text, 10, 64)
	var again [20]byte
	if err != nil || string(strconv.AppendInt(again[:0], n, 10)) != text {
		return "", errForm
	}
	return text, nil
}
