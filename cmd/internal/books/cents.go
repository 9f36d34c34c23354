package books

import (
	"fmt"
	"strconv"
	"strings"
)

// Cents is an exact amount in hundredths of its currency's unit. It holds sums up to 92 thousand million million.
type Cents int64

// ParseCents reads a plain decimal such as -1150.00. Zeros after the second decimal are allowed; a fraction of a cent is an error,
// for no document can owe one.
func ParseCents(s string) (Cents, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(digits, ".")
	kept := (frac + "00")[:2]
	n, err := strconv.ParseUint(whole+kept, 10, 62)
	if err != nil || whole == "" || strings.Trim(frac[min(2, len(frac)):], "0") != "" {
		return 0, fmt.Errorf("reading amount %q: want a plain decimal with at most two decimals", s)
	}
	if negative {
		return -Cents(n), nil
	}
	return Cents(n), nil
}

// String writes a plain decimal with two decimals: -1150.00.
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, int64(c)/100, int64(c)%100)
}

// Abs is the amount without its sign.
func (c Cents) Abs() Cents { return max(c, -c) }
