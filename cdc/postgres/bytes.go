package postgres

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size, written as 50GiB, 500MB or a plain number of bytes.
type Bytes int64

// minRetained is the least max_retained: the server keeps a few segments of 16 MiB in any case.
const minRetained Bytes = 128 << 20

var byteUnits = []struct {
	name string
	size float64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads what String writes.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), 1.0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n*unit >= math.MaxInt64 {
		return fmt.Errorf("not a size: %q; want for example 50GiB", text)
	}
	*b = Bytes(n * unit)
	return nil
}

// String writes the size with the largest binary unit that keeps it readable: 1.5GiB.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if float64(b) >= u.size {
			return strconv.FormatFloat(math.Round(float64(b)/u.size*10)/10, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
