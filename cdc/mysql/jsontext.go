package mysql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The text of MySQL's JSON is ours, because the server keeps none: members in the server's order, ", " and ": " between
// them, strings with the fewest escapes, and numbers with every digit but no needless zero, so that a double and a decimal
// of the same value have the same text from the log, which tells them apart, and from a SELECT, which does not.

// jsonText brings what a SELECT shows of a JSON column into that form.
func jsonText(raw []byte) (string, error) {
	if !utf8.Valid(raw) {
		return "", errors.New("the JSON text is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	out, err := jsonTokens(make([]byte, 0, len(raw)), d)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading JSON: %w", err)
	}
	return string(out), nil
}

// jsonTokens copies one value. The decoder bounds the depth.
func jsonTokens(out []byte, d *json.Decoder) ([]byte, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		out = append(out, byte(v))
		for i := 0; d.More(); i++ {
			if i > 0 {
				out = append(out, ", "...)
			}
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return nil, err
				}
				name, ok := key.(string)
				if !ok {
					return nil, errForm
				}
				out = append(jsonString(out, name), ": "...)
			}
			if out, err = jsonTokens(out, d); err != nil {
				return nil, err
			}
		}
		if _, err = d.Token(); err != nil {
			return nil, err
		}
		return append(out, byte(v)+2), nil // ] follows [ and } follows { by two
	case json.Number:
		return jsonNumber(out, v.String())
	case string:
		return jsonString(out, v), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	}
	return append(out, "null"...), nil
}

// jsonNumber writes a decimal number, given with or without an exponent, in plain digits when it has at most 65 digits
// before the point and 65 behind it, which every DECIMAL has, and with an exponent otherwise.
func jsonNumber(out []byte, s string) ([]byte, error) {
	const plainDigits = 65
	digits, negative := strings.CutPrefix(s, "-")
	mantissa, exponent, scaled := strings.Cut(strings.ToLower(digits), "e")
	power := 0
	if scaled {
		var err error
		if power, err = strconv.Atoi(exponent); err != nil || power > 1e6 || power < -1e6 {
			return nil, errForm
		}
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	digits = whole + part
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, errForm
	}
	point := len(whole) + power // the digits stand behind 0. times ten to this power
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	digits = strings.TrimRight(trimmed, "0")
	if digits == "" {
		return append(out, '0'), nil
	}
	if negative {
		out = append(out, '-')
	}
	switch {
	case point > plainDigits || len(digits)-point > plainDigits:
		out = append(out, digits[0])
		if len(digits) > 1 {
			out = append(append(out, '.'), digits[1:]...)
		}
		return strconv.AppendInt(append(out, 'e'), int64(point-1), 10), nil
	case point <= 0:
		return append(append(append(out, "0."...), strings.Repeat("0", -point)...), digits...), nil
	case point >= len(digits):
		return append(append(out, digits...), strings.Repeat("0", point-len(digits))...), nil
	}
	return append(append(append(out, digits[:point]...), '.'), digits[point:]...), nil
}

// jsonString writes a string with the escapes that JSON demands and no others.
func jsonString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c < 0x20:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
