package transform

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// correlations reads correlate: other entities by their kind. In a document a kind that ends in [] is told by each line: the shipments of a
// consolidated invoice.
func (c *compiler) correlations(f field, sc *scope) []correlation {
	var all []correlation
	for _, x := range c.fields(f.value, "correlate") {
		kind, each := strings.CutSuffix(x.key, "[]")
		in := *sc
		if each {
			if in.line = map[string]*cel.Type{}; sc.lines == nil {
				c.fault(x.at, fmt.Sprintf("%q where there are no lines", x.key), "what each line is about only in a document with lines", kind)
			}
		}
		e := c.value(x.value, &in)
		e.optional = true
		all = append(all, correlation{kind, e, each})
	}
	return all
}

// keys are the keys of the other entity that a document says, of its lines each once, at most maxEventKeys (Invariant 7).
func (x *correlation) keys(f *frame) []string {
	if !x.each {
		return []string{quietText(x.e, f)}
	}
	was := f.rows[lineRow]
	defer func() { f.rows[lineRow] = was }()
	var all []string
	for _, l := range f.lines {
		f.rows[lineRow] = l
		if k := quietText(x.e, f); !slices.Contains(all, k) && len(all) < maxEventKeys {
			all = append(all, k)
		}
	}
	return all
}
