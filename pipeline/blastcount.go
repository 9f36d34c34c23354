package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/transform"
)

// ruleCount is how much a rule made.
type ruleCount struct {
	Rule    string                     `json:"rule"` // as the mapping names it
	Bound   string                     `json:"bound,omitempty"`
	Events  int                        `json:"events"`
	Posts   int                        `json:"posts"`
	Money   map[string]decimal.Decimal `json:"money,omitempty"` // by currency, without signs
	Samples []blastSample              `json:"samples,omitempty"`
}

// blastSample shows what a rule made.
type blastSample struct {
	Ref    string           `json:"ref"`
	Amount *transform.Money `json:"amount,omitempty"`
	Data   json.RawMessage  `json:"data,omitempty"`
}

// Bounds of what people are shown.
const (
	blastSamples = 5
	sampleData   = 2000 // bytes; a larger event is shown without its data
)

func (c *ruleCount) event(e *transform.Event) {
	c.Rule = e.Rule
	c.Events++
	if e.Amount != nil {
		if n, err := decimal.NewFromString(e.Amount.Amount); err == nil {
			if c.Money == nil {
				c.Money = map[string]decimal.Decimal{}
			}
			c.Money[e.Amount.Currency] = c.Money[e.Amount.Currency].Add(n.Abs())
		}
	}
	if len(c.Samples) < blastSamples {
		x := blastSample{Ref: transform.Ref(e.Company, e.Entity, e.Key), Amount: e.Amount}
		if len(e.Data) <= sampleData {
			x.Data = e.Data
		}
		c.Samples = append(c.Samples, x)
	}
}

func (c *ruleCount) add(o *ruleCount) {
	c.Rule, c.Bound = o.Rule, o.Bound
	c.Events, c.Posts = c.Events+o.Events, c.Posts+o.Posts
	for _, currency := range names(o.Money) {
		if c.Money == nil {
			c.Money = map[string]decimal.Decimal{}
		}
		c.Money[currency] = c.Money[currency].Add(o.Money[currency])
	}
	c.Samples = append(c.Samples, o.Samples[:min(len(o.Samples), blastSamples-len(c.Samples))]...)
}

// over says which bound the count is over; empty for none.
func (c *ruleCount) over(b transform.Bound) string {
	per := " in one transaction"
	if b.Window > 0 {
		per = " in " + b.Window.String()
	}
	switch {
	case b.Events > 0 && c.Events > b.Events:
		return fmt.Sprintf("%d events%s", b.Events, per)
	case b.Posts > 0 && c.Posts > b.Posts:
		return fmt.Sprintf("%d postings%s", b.Posts, per)
	}
	for _, currency := range names(c.Money) {
		if b.Money.IsPositive() && c.Money[currency].GreaterThan(b.Money) {
			return fmt.Sprintf("%s %s%s", b.Money, currency, per)
		}
	}
	return ""
}

// text is what the rule made, for people.
func (c *ruleCount) text(event string) string {
	parts := []string{fmt.Sprintf("%d events", c.Events)}
	if c.Posts > 0 {
		parts = append(parts, fmt.Sprintf("%d postings", c.Posts))
	}
	for _, currency := range names(c.Money) {
		parts = append(parts, c.Money[currency].String()+" "+currency)
	}
	return fmt.Sprintf("%s made %s; its bound is %s", event, strings.Join(parts, ", "), c.Bound)
}
