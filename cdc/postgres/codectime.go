package postgres

import (
	"bytes"
	"fmt"
	"strconv"
)

// infinite reports whether a date, timestamp or interval is before or after all others.
func infinite(raw []byte) bool { return string(raw) == "infinity" || string(raw) == "-infinity" }

func dateText(raw []byte) (string, error) {
	if infinite(raw) || matches(raw, "0000-00-00") {
		return string(raw), nil
	}
	day, bc := bytes.CutSuffix(raw, []byte(" BC"))
	out, err := appendDate(nil, day, bc)
	return string(out), err
}

// appendDate writes a day with its year as ISO 8601 counts it: the year before 1 is 0000, and 44 BC is -0043.
func appendDate(out, day []byte, bc bool) ([]byte, error) {
	n := len(day) - len("-00-00")
	if n < 4 || n > 4 && day[0] == '0' || !allDigits(day[:n]) || !matches(day[n:], "-00-00") {
		return nil, errForm
	}
	if !bc {
		return append(out, day...), nil
	}
	year, err := strconv.Atoi(string(day[:n]))
	if err != nil || year == 0 {
		return nil, errForm
	}
	if year > 1 {
		out = append(out, '-')
	}
	return append(fmt.Appendf(out, "%04d", year-1), day[n:]...), nil
}

// timestampText turns 0044-03-15 19:05:00.5+00 BC into -0043-03-15T19:05:00.5Z. zone is what the server writes behind
// the time: nothing for a timestamp, +00 for an instant under TimeZone=UTC, for which Z is written.
func timestampText(raw []byte, separator byte, zone string) (string, error) {
	if infinite(raw) {
		return string(raw), nil
	}
	body, bc := bytes.CutSuffix(raw, []byte(" BC"))
	day, clock, ok := bytes.Cut(body, []byte(" "))
	if !ok {
		return "", errForm
	}
	if clock, ok = bytes.CutSuffix(clock, []byte(zone)); !ok {
		return "", errForm
	}
	if err := timeForm(clock); err != nil {
		return "", err
	}
	if zone == "" && !bc && len(day) == len("2026-03-08") && matches(day, "0000-00-00") {
		return string(raw), nil
	}
	out, err := appendDate(make([]byte, 0, len(raw)+1), day, bc)
	if err != nil {
		return "", err
	}
	out = append(append(out, separator), clock...)
	if zone != "" {
		out = append(out, 'Z')
	}
	return string(out), nil
}

func timeForm(raw []byte) error {
	whole, fraction, dotted := bytes.Cut(raw, []byte("."))
	if !matches(whole, "00:00:00") || dotted && !fractionForm(fraction) {
		return errForm
	}
	return nil
}

// fractionForm accepts one to six digits without trailing zeros.
func fractionForm(raw []byte) bool {
	return allDigits(raw) && len(raw) <= 6 && raw[len(raw)-1] != '0'
}

// intervalText takes what is written under IntervalStyle=iso_8601. The server holds months, days and microseconds, each with a
// sign of its own, and writes months as years and months, microseconds as hours, minutes and seconds.
func intervalText(raw []byte) (string, error) {
	if infinite(raw) {
		return string(raw), nil
	}
	if string(raw) == "PT0S" {
		return "P0D", nil
	}
	date, clock, timed := bytes.Cut(raw, []byte("T"))
	if date, ok := bytes.CutPrefix(date, []byte("P")); !ok || !durations(date, "YMD") || timed && !durations(clock, "HMS") ||
		len(date)+len(clock) == 0 || timed && len(clock) == 0 {
		return "", errForm
	}
	return string(raw), nil
}

// durations accepts numbers with units, in the order of units and each at most once; seconds may have a fraction.
func durations(raw []byte, units string) bool {
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, units)
		if i < 0 {
			return false
		}
		unit := bytes.IndexByte([]byte(units), raw[i])
		number, _ := bytes.CutPrefix(raw[:i], []byte("-"))
		whole, fraction, dotted := bytes.Cut(number, []byte("."))
		if !allDigits(whole) || dotted && (units[unit] != 'S' || !fractionForm(fraction)) {
			return false
		}
		raw, units = raw[i+1:], units[unit+1:]
	}
	return true
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
