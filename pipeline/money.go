package pipeline

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// moneySum is a count and an exact sum of one currency.
type moneySum struct {
	Count int64           `json:"n"`
	Sum   decimal.Decimal `json:"sum"`
}

// add adds (by 1) or takes away (by -1) an amount. An amount that is not a decimal has been refused by the mapper.
func (m *moneySum) add(amount string, by int64) {
	d, err := decimal.NewFromString(amount)
	if err != nil {
		return
	}
	m.Count += by
	m.Sum = m.Sum.Add(d.Mul(decimal.NewFromInt(by)))
}

func (m *moneySum) merge(other *moneySum) {
	m.Count += other.Count
	m.Sum = m.Sum.Add(other.Sum)
}

// text shows the sum with the cents that people expect.
func (m *moneySum) text() string {
	if -m.Sum.Exponent() <= 2 {
		return m.Sum.StringFixed(2)
	}
	return m.Sum.String()
}

// sums adds amounts by currency.
type sums map[string]*moneySum

func (s sums) add(amount, currency string) {
	if s[currency] == nil {
		s[currency] = &moneySum{}
	}
	s[currency].add(amount, 1)
}

func (s sums) texts() map[string]string {
	if len(s) == 0 {
		return nil
	}
	out := make(map[string]string, len(s))
	for c, m := range s {
		out[c] = m.text()
	}
	return out
}

func (m *moneySum) String() string { return fmt.Sprintf("%d, %s", m.Count, m.text()) }
