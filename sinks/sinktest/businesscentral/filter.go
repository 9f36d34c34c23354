package businesscentral

import (
	"regexp"
	"strings"

	"github.com/shopspring/decimal"
)

// condition is one comparison of a $filter.
type condition struct {
	field, op string
	value     string
	quoted    bool
}

// filter is alternatives over one field, joined with conditions; nil takes everything.
type filter [][]condition // all of, any of

var comparison = regexp.MustCompile(`^([A-Za-z0-9_/]+) +(eq|ne|gt|ge|lt|le) +('(?:[^']|'')*'|[^ ']+)$`)

// parseFilter reads a $filter: comparisons joined by and; or over one field alone. A lambda (any, all) is silently ignored, as the product
// does: it takes everything (known limits of OData).
func parseFilter(r *resource, text string) (filter, *refusal) {
	var all filter
	for _, part := range split(text, " and ") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "(") && strings.HasSuffix(part, ")") {
			part = part[1 : len(part)-1]
		}
		if strings.Contains(part, "/any(") || strings.Contains(part, "/all(") {
			continue
		}
		var anyOf []condition
		for _, alternative := range split(part, " or ") {
			m := comparison.FindStringSubmatch(strings.Trim(strings.TrimSpace(alternative), "()"))
			if m == nil {
				return nil, bad("BadRequest", "An error occurred in the filter: '%s' is not understood.", alternative)
			}
			c := condition{field: m[1], op: m[2], value: m[3]}
			if _, known := r.props[c.field]; !known {
				return nil, bad("BadRequest", "Could not find a property named '%s' on type 'Microsoft.NAV.%s'.", c.field, r.kind)
			}
			if c.quoted = strings.HasPrefix(c.value, "'"); c.quoted {
				c.value = strings.ReplaceAll(c.value[1:len(c.value)-1], "''", "'")
			}
			if len(anyOf) > 0 && anyOf[0].field != c.field {
				return nil, bad("BadRequest", "An OR over the fields '%s' and '%s' is not supported.", anyOf[0].field, c.field)
			}
			if out := c.check(r.props[c.field]); out != nil {
				return nil, out
			}
			anyOf = append(anyOf, c)
		}
		all = append(all, anyOf)
	}
	return all, nil
}

// check refuses a literal of another type than the property's.
func (c condition) check(p property) *refusal {
	text := p.kind == "text"
	if text != c.quoted && c.value != "null" {
		return bad("BadRequest", "A binary operator with incompatible types was detected: the property '%s' is of another type than '%s'.", c.field, c.value)
	}
	if p.kind == "text" && p.most > 0 && len([]rune(c.value)) > p.most {
		return bad("Application_FilterErrorException", "The filter \"'%s'\" is not valid for the %s field. The length of the string is %d, but it must be less than or equal to %d characters.",
			c.value, c.field, len([]rune(c.value)), p.most)
	}
	return nil
}

// split cuts a text at a separator outside of quotes and parentheses.
func split(text, by string) []string {
	var parts []string
	depth, quoted, from := 0, false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && strings.HasPrefix(text[i:], by):
			parts = append(parts, text[from:i])
			i += len(by) - 1
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

func (f filter) takes(v values) bool {
	for _, anyOf := range f {
		hit := false
		for _, c := range anyOf {
			hit = hit || c.takes(v[c.field])
		}
		if !hit {
			return false
		}
	}
	return true
}

func (c condition) takes(v any) bool {
	order := 0
	switch v := v.(type) {
	case decimal.Decimal:
		want, err := decimal.NewFromString(c.value)
		if err != nil {
			return false
		}
		order = v.Cmp(want)
	case bool:
		order = strings.Compare(map[bool]string{true: "true", false: "false"}[v], c.value)
	case string:
		a, b := v, c.value
		order = strings.Compare(strings.ToLower(a), strings.ToLower(b)) // the product's collation does not distinguish cases
	default:
		return c.value == "null" && c.op == "eq"
	}
	switch c.op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}
