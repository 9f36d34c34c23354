package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A DECIMAL in a row image is groups of nine digits in four bytes, big endian, with a shorter group at each end; the
// first bit is the inverted sign, and the bytes of a negative number are inverted.
const decimalDigits = 9

var decimalBytes = [decimalDigits + 1]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

var errDecimal = errors.New("the decimal has digits that its type does not")

// decimalSize returns the bytes that a DECIMAL(precision,scale) takes.
func decimalSize(precision, scale int) (int, error) {
	if scale > precision || precision < 1 || precision > 65 || scale > 38 {
		return 0, fmt.Errorf("decimal(%d,%d) is not possible", precision, scale)
	}
	whole := precision - scale
	return whole/decimalDigits*4 + decimalBytes[whole%decimalDigits] + scale/decimalDigits*4 + decimalBytes[scale%decimalDigits], nil
}

// decimalText gives the exact text, with the scale of the type.
func decimalText(raw []byte, precision, scale int) (string, error) {
	size, err := decimalSize(precision, scale)
	if err != nil {
		return "", err
	}
	if len(raw) != size {
		return "", errDecimal
	}
	var buf [40]byte
	data := buf[:copy(buf[:], raw)]
	negative := data[0]&0x80 == 0
	data[0] ^= 0x80
	if negative {
		for i := range data {
			data[i] = ^data[i]
		}
	}
	out := make([]byte, 0, precision+3)
	whole := precision - scale
	if out, data, err = digits(out, data, whole%decimalDigits); err != nil {
		return "", err
	}
	for range whole / decimalDigits {
		if out, data, err = digits(out, data, decimalDigits); err != nil {
			return "", err
		}
	}
	first := 0
	for first < len(out)-1 && out[first] == '0' {
		first++
	}
	out = out[first:]
	if len(out) == 0 {
		out = append(out, '0')
	}
	if scale > 0 {
		out = append(out, '.')
		for range scale / decimalDigits {
			if out, data, err = digits(out, data, decimalDigits); err != nil {
				return "", err
			}
		}
		if out, _, err = digits(out, data, scale%decimalDigits); err != nil {
			return "", err
		}
	}
	if negative {
		return "-" + string(out), nil
	}
	return string(out), nil
}

// digits appends n digits, with leading zeros, that stand at the front of data.
func digits(out, data []byte, n int) ([]byte, []byte, error) {
	if n == 0 {
		return out, data, nil
	}
	size := decimalBytes[n]
	var four [4]byte
	copy(four[4-size:], data[:size])
	v := binary.BigEndian.Uint32(four[:])
	at := len(out)
	for range n {
		out = append(out, '0')
	}
	for i := at + n - 1; i >= at; i-- {
		out[i] = byte('0' + v%10)
		v /= 10
	}
	if v != 0 {
		return nil, nil, errDecimal
	}
	return out, data[size:], nil
}
