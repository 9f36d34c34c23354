package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as 20GiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads 20GiB, 1.5TiB, 500MB or a plain number of bytes.
func ParseSize(text string) (Size, error) {
	number, scale := strings.TrimSpace(text), 1.0
	for _, u := range sizeUnits {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, scale = strings.TrimSpace(number[:len(number)-len(u.name)]), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f*scale > math.MaxInt64/2 || math.IsNaN(f) {
		return 0, fmt.Errorf("not a size: %q", text)
	}
	return Size(f * scale), nil
}

// String writes the size with the largest unit that keeps it readable: 20GiB, 1.5TiB.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if float64(s) >= u.bytes {
			return strconv.FormatFloat(math.Round(float64(s)/u.bytes*10)/10, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseDuration reads what time.ParseDuration reads, and whole or broken days before it: 30d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("not a duration: %q", text)
		}
		return d, nil
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || math.Abs(n) > 36500 {
		return 0, fmt.Errorf("not a duration: %q", text)
	}
	total := time.Duration(n * float64(24*time.Hour))
	if rest == "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("not a duration: %q", text)
	}
	return total + d, nil
}
