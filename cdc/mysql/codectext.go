package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"waybill/cdc"
)

// textCodec reads what the snapshot's SELECT returns: see selectExpression for how a column is asked for.
type textCodec struct{}

var errForm = errors.New("the text is not in the form that the pinned session settings give")

// Decode implements cdc.Codec. TYPES.md describes each form.
func (textCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	m, err := parseMeta(col.Meta)
	if err != nil {
		return cdc.Value{}, err
	}
	out, err := canonical(col, &m, raw)
	if err != nil {
		return cdc.Value{}, err
	}
	return cdc.Of(col.Kind, out), nil
}

func canonical(col *cdc.Column, m *meta, raw []byte) (string, error) {
	switch col.Kind {
	case cdc.KindInt:
		return intForm(string(raw))
	case cdc.KindDecimal:
		return decimalForm(string(raw))
	case cdc.KindFloat:
		return floatForm(m, string(raw))
	case cdc.KindText, cdc.KindJSON:
		switch {
		case m.kind == tJSON:
			return jsonText(raw)
		case m.address:
			return addressForm(string(raw))
		}
		return text(m.charset, raw)
	case cdc.KindBytes:
		return string(raw), nil
	case cdc.KindBits:
		return bitsText(m, raw)
	case cdc.KindUUID:
		return uuidFromText(raw)
	case cdc.KindEnum, cdc.KindArray: // asked for as its number
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil {
			return "", errForm
		}
		return labelled(col, n)
	case cdc.KindDate:
		year, month, day, err := dateForm(raw)
		if err != nil {
			return "", err
		}
		return dateText(year, month, day)
	case cdc.KindTime:
		clock, negative := bytes.CutPrefix(raw, []byte{'-'})
		hour, minute, second, us, err := clockForm(clock)
		if err != nil {
			return "", err
		}
		return clockText(negative, hour, minute, second, us)
	case cdc.KindTimestamp:
		return stampForm(raw)
	case cdc.KindInstant: // in the session's zone, which is UTC
		out, err := stampForm(raw)
		if err != nil {
			return "", err
		}
		return strings.Replace(out, " ", "T", 1) + "Z", nil
	}
	return "", fmt.Errorf("type %s is not supported", col.Type)
}

// intForm takes the leading zeros of ZEROFILL and YEAR away.
func intForm(s string) (string, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return "", errForm
	}
	return strconv.FormatUint(n, 10), nil
}

// decimalForm keeps every digit but the leading zeros of ZEROFILL.
func decimalForm(s string) (string, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" || point && fraction == "" {
		return "", errForm
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole, nil
}

func floatForm(m *meta, s string) (string, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", errForm
	}
	if m.kind == tFloat {
		return floatText(float64(float32(f)), 32)
	}
	return floatText(f, 64)
}

// addressForm brings an internet address into the one form of RFC 5952.
func addressForm(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", errAddress
	}
	return a.String(), nil
}

// selectExpression asks for a column in the form that the text codec reads: an enum or a set as its number, because a label
// may be ambiguous, and a floating point number by an expression, because the plain column is rounded to six digits.
func selectExpression(c *cdc.Column) string {
	switch c.Kind {
	case cdc.KindEnum:
		return ident(c.Name) + "+0"
	case cdc.KindArray: // + 0 is signed
		return "CAST(" + ident(c.Name) + " AS UNSIGNED)"
	case cdc.KindFloat:
		return ident(c.Name) + "+0e0"
	}
	return ident(c.Name)
}
