package postgres

import (
	"bytes"
	"strconv"
)

// decimalText keeps the server's digits: numeric never has an exponent and always shows its scale.
func decimalText(raw []byte, meta string) (string, error) {
	if meta == "790" {
		return moneyText(raw)
	}
	switch string(raw) {
	case "NaN", "Infinity", "-Infinity":
		return string(raw), nil
	}
	digits, _ := bytes.CutPrefix(raw, []byte("-"))
	whole, fraction, dotted := bytes.Cut(digits, []byte("."))
	if !allDigits(whole) || dotted && !allDigits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return "", errForm
	}
	return string(raw), nil
}

func allDigits(raw []byte) bool {
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(raw) > 0
}

// moneyText turns -$1,234.50, as written under lc_monetary=C, into -1234.50.
func moneyText(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	amount, negative := bytes.CutPrefix(raw, []byte("-"))
	if negative {
		out = append(out, '-')
	}
	amount, dollar := bytes.CutPrefix(amount, []byte("$"))
	whole, cents, dotted := bytes.Cut(amount, []byte("."))
	if !dollar || !dotted || len(cents) != 2 || !allDigits(cents) {
		return "", errForm
	}
	for i := 0; ; i++ {
		group, rest, more := bytes.Cut(whole, []byte(","))
		if !allDigits(group) || len(group) > 3 || i > 0 && len(group) != 3 {
			return "", errForm
		}
		out = append(out, group...)
		if !more {
			break
		}
		whole = rest
	}
	return string(append(append(out, '.'), cents...)), nil
}

// floatText gives the shortest text that reads back to the same number of the column's precision, with Go's exponents.
func floatText(raw []byte, meta string) (string, error) {
	switch string(raw) {
	case "NaN", "Infinity", "-Infinity":
		return string(raw), nil
	}
	if len(raw) == 0 || raw[len(raw)-1] < '0' || raw[len(raw)-1] > '9' || bytes.ContainsAny(raw, "_xX") {
		return "", errForm // inf, 0x1p-2 and the like, which ParseFloat reads and the server does not write
	}
	bits := 64
	if meta == "700" {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(raw), bits)
	if err != nil {
		return "", errForm
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}
