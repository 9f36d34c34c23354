package demo

import "fmt"

// cents is money in hundredths. The demo's own arithmetic is in integers, and apart from both Waybill's and the books'.
type cents int64

func (c cents) String() string { return fixed(int64(c), 2) }

// fixed writes n / 10^places as a plain decimal.
func fixed(n int64, places int) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	unit := int64(1)
	for range places {
		unit *= 10
	}
	return fmt.Sprintf("%s%d.%0*d", sign, n/unit, places, n%unit)
}

// halfUp divides and rounds halves away from zero, as billing does: 2.5 is 3, and -2.5 is -3.
func halfUp(n, by int64) int64 {
	if n < 0 {
		return -halfUp(-n, by)
	}
	return (n + by/2) / by
}

// extend is quantity (thousandths) times rate (ten-thousandths).
func extend(qty, rate int64) cents { return cents(halfUp(qty*rate, 100_000)) }

// taxOf is Northstar's sales tax, 8.25 %, on the taxable lines together. Every 400 cents there is an amount whose tax is exactly half a cent
// before it is rounded; billing rounds it up, where most ERPs round to the even cent. The days have some of these on purpose.
func taxOf(taxable cents) cents { return cents(halfUp(int64(taxable)*825, 10_000)) }
