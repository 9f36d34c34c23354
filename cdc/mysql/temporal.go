package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Dates and times. A DATE, DATETIME or TIMESTAMP may be zero, or have a zero month or day, and with ALLOW_INVALID_DATES the
// 31st of February: the database holds such a value as it is, and so does its canonical text. A TIME is a duration of at
// most 838:59:59.999999, and may be negative.

var (
	errDate = errors.New("there is no such date, nor would the database hold one")
	errTime = errors.New("there is no such time, nor would the database hold one")
)

func dateText(year, month, day int) (string, error) {
	if year > 9999 || month > 12 || day > 31 {
		return "", errDate
	}
	return fmt.Sprintf("%04d-%02d-%02d", year, month, day), nil
}

func stampText(year, month, day, hour, minute, second, micros int) (string, error) {
	date, err := dateText(year, month, day)
	if err != nil {
		return "", err
	}
	if hour > 23 || minute > 59 || second > 59 {
		return "", errDate
	}
	return string(appendFraction(fmt.Appendf(nil, "%s %02d:%02d:%02d", date, hour, minute, second), micros)), nil
}

func clockText(negative bool, hour, minute, second, micros int) (string, error) {
	if hour > 838 || minute > 59 || second > 59 {
		return "", errTime
	}
	var out []byte
	if negative {
		out = append(out, '-')
	}
	return string(appendFraction(fmt.Appendf(out, "%02d:%02d:%02d", hour, minute, second), micros)), nil
}

// fraction reads the digits of a second that follow a temporal value, as microseconds.
func fraction(raw []byte, digits uint16) (int, error) {
	if len(raw) != fractionSize(digits) {
		return 0, errSize
	}
	return micros(int64(big(raw)), len(raw))
}

// micros makes microseconds of a fraction that is stored in so many bytes: hundredths, ten thousandths or microseconds.
func micros(n int64, size int) (int, error) {
	for range 3 - size {
		n *= 100
	}
	if n > 999999 {
		return 0, errTime
	}
	return int(n), nil
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

func timeText(m *meta, raw []byte) (string, error) {
	if m.kind == tTime { // before MariaDB 10.1: hhmmss as a number
		v, err := little(raw)
		if err != nil || len(raw) != 3 {
			return "", errSize
		}
		n := int32(v<<8) >> 8
		return clockText(n < 0, int(max(n, -n)/10000), int(max(n, -n)/100%100), int(max(n, -n)%100), 0)
	}
	if len(raw) < 3 || len(raw)-3 != fractionSize(m.meta) {
		return "", errSize
	}
	// One number: 0 hhhhhhhhhh mmmmmm ssssss and the fraction behind it, plus the half of its range.
	shift := 8 * (len(raw) - 3)
	v := int64(big(raw)) - 0x800000<<shift
	negative := v < 0
	v = max(v, -v)
	us, err := micros(v&(1<<shift-1), len(raw)-3)
	if err != nil {
		return "", err
	}
	v >>= shift
	return clockText(negative, int(v>>12), int(v>>6&63), int(v&63), us)
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
	us, err := fraction(raw[5:], m.meta)
	if err != nil {
		return "", err
	}
	months := int(v >> 22)
	return stampText(months/13, months%13, int(v>>17&31), int(v>>12&31), int(v>>6&63), int(v&63), us)
}

func instantText(m *meta, raw []byte) (string, error) {
	var seconds uint64
	us := 0
	switch {
	case len(raw) < 4:
		return "", errSize
	case m.kind == tTimestamp:
		seconds = uint64(binary.LittleEndian.Uint32(raw))
	default:
		seconds = big(raw[:4])
		var err error
		if us, err = fraction(raw[4:], m.meta); err != nil {
			return "", err
		}
	}
	if seconds == 0 && us == 0 {
		return "0000-00-00T00:00:00Z", nil // the server has no other way to store its zero
	}
	t := time.Unix(int64(seconds), 0).UTC()
	return string(append(appendFraction(t.AppendFormat(nil, "2006-01-02T15:04:05"), us), 'Z')), nil
}

// dateForm reads yyyy-mm-dd.
func dateForm(raw []byte) (year, month, day int, err error) {
	if len(raw) != 10 || raw[4] != '-' || raw[7] != '-' {
		return 0, 0, 0, errForm
	}
	return three(raw[:4], raw[5:7], raw[8:10])
}

// clockForm reads hh:mm:ss or hhh:mm:ss with up to six digits of a fraction.
func clockForm(raw []byte) (hour, minute, second, micros int, err error) {
	at := 2
	if len(raw) > 3 && raw[3] == ':' {
		at = 3
	}
	if len(raw) < at+6 || raw[at] != ':' || raw[at+3] != ':' {
		return 0, 0, 0, 0, errForm
	}
	if hour, minute, second, err = three(raw[:at], raw[at+1:at+3], raw[at+4:at+6]); err != nil {
		return 0, 0, 0, 0, err
	}
	if rest := raw[at+6:]; len(rest) > 0 {
		if len(rest) < 2 || len(rest) > 7 || rest[0] != '.' {
			return 0, 0, 0, 0, errForm
		}
		if micros, err = number(append(rest[1:len(rest):len(rest)], "000000"[:7-len(rest)]...)); err != nil {
			return 0, 0, 0, 0, err
		}
	}
	return hour, minute, second, micros, nil
}

func three(a, b, c []byte) (x, y, z int, err error) {
	x, err1 := number(a)
	y, err2 := number(b)
	z, err3 := number(c)
	return x, y, z, errors.Join(err1, err2, err3)
}

// number reads digits and nothing else.
func number(raw []byte) (int, error) {
	for _, b := range raw {
		if b < '0' || b > '9' {
			return 0, errForm
		}
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return 0, errForm
	}
	return n, nil
}

func stampForm(raw []byte) (string, error) {
	if len(raw) < 19 || raw[10] != ' ' {
		return "", errForm
	}
	year, month, day, err := dateForm(raw[:10])
	if err != nil {
		return "", err
	}
	hour, minute, second, us, err := clockForm(raw[11:])
	if err != nil {
		return "", err
	}
	return stampText(year, month, day, hour, minute, second, us)
}
