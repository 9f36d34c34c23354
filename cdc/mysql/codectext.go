package mysql

import (
	"errors"
	"fmt"
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
		return text(m.charset, raw)
	case cdc.KindBytes:
		return string(raw), nil
	case cdc.KindUUID:
		return uuidFromText(raw)
	case cdc.KindEnum: // asked for as its number
		n, err := strconv.ParseUint(string(raw), 10, 32)
		if err != nil || n == 0 || n > uint64(len(col.Labels)) {
			return "", errEnum
		}
		return col.Labels[n-1], nil
	case cdc.KindDate:
		if len(raw) != 10 {
			return "", errForm
		}
		year, month, day, err := dateForm(raw)
		if err != nil {
			return "", err
		}
		return dateText(year, month, day)
	case cdc.KindTime:
		hour, minute, second, micros, err := clockForm(raw)
		if err != nil {
			return "", errTimeOfDay
		}
		return clockText(hour, minute, second, micros)
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

func dateForm(raw []byte) (year, month, day int, err error) {
	if raw[4] != '-' || raw[7] != '-' {
		return 0, 0, 0, errForm
	}
	year, err1 := strconv.Atoi(string(raw[:4]))
	month, err2 := strconv.Atoi(string(raw[5:7]))
	day, err3 := strconv.Atoi(string(raw[8:10]))
	if errors.Join(err1, err2, err3) != nil {
		return 0, 0, 0, errForm
	}
	return year, month, day, nil
}

// clockForm reads hh:mm:ss with up to six digits of a fraction.
func clockForm(raw []byte) (hour, minute, second, micros int, err error) {
	if len(raw) < 8 || raw[2] != ':' || raw[5] != ':' || len(raw) > 15 || len(raw) > 8 && raw[8] != '.' {
		return 0, 0, 0, 0, errForm
	}
	hour, err1 := strconv.Atoi(string(raw[:2]))
	minute, err2 := strconv.Atoi(string(raw[3:5]))
	second, err3 := strconv.Atoi(string(raw[6:8]))
	var err4 error
	if len(raw) > 9 {
		micros, err4 = strconv.Atoi(string(raw[9:]) + "000000"[:15-len(raw)])
	}
	if errors.Join(err1, err2, err3, err4) != nil {
		return 0, 0, 0, 0, errForm
	}
	return hour, minute, second, micros, nil
}

func stampForm(raw []byte) (string, error) {
	if len(raw) < 19 || raw[10] != ' ' {
		return "", errForm
	}
	year, month, day, err := dateForm(raw)
	if err != nil {
		return "", err
	}
	hour, minute, second, micros, err := clockForm(raw[11:])
	if err != nil {
		return "", err
	}
	return stampText(year, month, day, hour, minute, second, micros)
}
