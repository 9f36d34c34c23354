package transform

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
	"gopkg.in/yaml.v3"
)

// standardEvents is how many events one rule may make of one transaction when the mapping declares no bound: more than a day's work of
// a large carrier, less than any archive job.
const standardEvents = 10_000

// Bound is how much one rule may make, of one transaction or in a window of the watermark, before a person is asked.
type Bound struct {
	Events int             // 0: any number
	Posts  int             // 0: any number
	Money  decimal.Decimal // sum of the amounts without their signs, of each currency for itself; 0: any sum
	Window time.Duration   // 0: one transaction
}

// bounds is the section of the mapping: a bound for every rule, and others for some.
type bounds struct {
	all   *Bound // nil: not declared
	rules map[string]Bound
}

// Bound returns the bound of the rules that make an event type.
func (m *Mapping) Bound(event string) Bound {
	if b, ok := m.bounds.rules[event]; ok {
		return b
	}
	if m.bounds.all != nil {
		return *m.bounds.all
	}
	return Bound{Events: standardEvents}
}

// BoundedBeyondEvents reports whether a transaction of a single change may be over a bound: of postings, of money, or of a window.
func (m *Mapping) BoundedBeyondEvents() bool {
	beyond := func(b Bound) bool { return b.Posts > 0 || b.Money.IsPositive() || b.Window > 0 }
	for _, b := range m.bounds.rules {
		if beyond(b) {
			return true
		}
	}
	return m.bounds.all != nil && beyond(*m.bounds.all)
}

// LeastEvents is the smallest bound of events of one transaction: a transaction of fewer changes is within all of them.
func (m *Mapping) LeastEvents() int {
	least := math.MaxInt
	for _, b := range append(boundsOf(m.bounds.rules), m.Bound("")) {
		if b.Events > 0 {
			least = min(least, b.Events)
		}
	}
	return least
}

func boundsOf(rules map[string]Bound) (all []Bound) {
	for _, b := range rules {
		all = append(all, b)
	}
	return all
}

var boundKeys = []string{"events", "posts", "money", "per"}

// boundRules reads the section bounds. It comes behind all that makes events.
func (c *compiler) boundRules(f field) {
	got := c.record(f.value, "bounds", append(slices.Clone(boundKeys), "rules"), nil)
	all := Bound{Events: standardEvents}
	c.bound(&all, got)
	c.m.bounds.all = &all
	rules, ok := got["rules"]
	if !ok {
		return
	}
	c.m.bounds.rules = map[string]Bound{}
	for _, rf := range c.fields(rules.value, "rules of bounds") {
		if made := c.made(); !slices.Contains(made, rf.key) {
			c.fault(rf.at, fmt.Sprintf("the bound of %q", rf.key), "an event that this mapping makes", suggest(rf.key, made))
			continue
		}
		own := all
		c.bound(&own, c.record(rf.value, "the bound of "+rf.key, boundKeys, nil))
		c.m.bounds.rules[rf.key] = own
	}
}

// bound reads what is declared over what holds without it.
func (c *compiler) bound(b *Bound, got map[string]field) {
	if f, ok := got["events"]; ok {
		b.Events = c.most(f.value, "how many events")
	}
	if f, ok := got["posts"]; ok {
		b.Posts = c.most(f.value, "how many postings")
	}
	if f, ok := got["money"]; ok {
		b.Money = decimal.Zero
		if text := c.text(f.value, "an amount, or none"); text != "none" {
			n, err := parseNumber(text)
			if err != nil || !n.IsPositive() {
				c.fault(f.value, describe(f.value), "an amount above 0, of any one currency, or none", "money: 100000")
			}
			b.Money = n.Decimal
		}
	}
	if f, ok := got["per"]; ok {
		b.Window = 0
		if text := c.text(f.value, "transaction, or a duration"); text != "transaction" {
			v, err := time.ParseDuration(text)
			if err != nil || v <= 0 {
				c.fault(f.value, describe(f.value), "transaction, or how long a window of the watermark is", "10m")
			}
			b.Window = v
		}
	}
}

// most reads a number above 0, or none.
func (c *compiler) most(n *yaml.Node, what string) int {
	text := c.text(n, what)
	if text == "none" || text == "" {
		return 0
	}
	v, err := strconv.Atoi(text)
	if err != nil || v <= 0 {
		c.fault(n, describe(n), what+" at most: a number above 0, or none", "500")
		return 0
	}
	return v
}
