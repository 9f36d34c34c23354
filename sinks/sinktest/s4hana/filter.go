package s4hana

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/shopspring/decimal"
)

// A filter compares properties with literals, joined by and, or and parentheses, and knows substringof and startswith.
type filter struct {
	set    *set
	tokens []string
}

var token = regexp.MustCompile(`^(?:datetime'[^']*'|'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_/]*|-?\d+(?:\.\d+)?[mMdDlLfF]?|[(),])`)

func parseFilter(s *set, text string) (func(row) bool, error) {
	f := &filter{set: s}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		t := token.FindString(rest)
		if t == "" {
			return nil, fmt.Errorf("at %q", rest)
		}
		f.tokens, rest = append(f.tokens, t), rest[len(t):]
	}
	fits, err := f.or()
	if err == nil && len(f.tokens) > 0 {
		err = fmt.Errorf("at %q", f.tokens[0])
	}
	return fits, err
}

func (f *filter) peek() string {
	if len(f.tokens) == 0 {
		return ""
	}
	return f.tokens[0]
}

func (f *filter) take() string {
	t := f.peek()
	if t != "" {
		f.tokens = f.tokens[1:]
	}
	return t
}

func (f *filter) or() (func(row) bool, error) {
	left, err := f.and()
	for err == nil && f.peek() == "or" {
		f.take()
		var right func(row) bool
		a := left
		right, err = f.and()
		left = func(r row) bool { return a(r) || right(r) }
	}
	return left, err
}

func (f *filter) and() (func(row) bool, error) {
	left, err := f.term()
	for err == nil && f.peek() == "and" {
		f.take()
		var right func(row) bool
		a := left
		right, err = f.term()
		left = func(r row) bool { return a(r) && right(r) }
	}
	return left, err
}

func (f *filter) term() (func(row) bool, error) {
	switch t := f.take(); t {
	case "":
		return nil, errors.New("it ends too early")
	case "(":
		inner, err := f.or()
		if err == nil && f.take() != ")" {
			err = errors.New("a parenthesis is not closed")
		}
		return inner, err
	case "substringof", "startswith":
		return f.function(t)
	default:
		return f.comparison(t)
	}
}

func (f *filter) function(name string) (func(row) bool, error) {
	if len(f.tokens) < 5 || f.tokens[0] != "(" || f.tokens[2] != "," || f.tokens[4] != ")" {
		return nil, errors.New(name + " takes two arguments")
	}
	a, b := f.tokens[1], f.tokens[3]
	f.tokens = f.tokens[5:]
	if name == "substringof" {
		a, b = b, a // the text stands first
	}
	part, ok := unquote(b)
	if _, known := f.set.props[a]; !known || !ok {
		return nil, fmt.Errorf("%s of %q and %s", name, a, b)
	}
	if f.peek() == "eq" && len(f.tokens) > 1 && f.tokens[1] == "true" {
		f.tokens = f.tokens[2:]
	}
	if name == "startswith" {
		return func(r row) bool { return strings.HasPrefix(text(r.values[a]), part) }, nil
	}
	return func(r row) bool { return strings.Contains(text(r.values[a]), part) }, nil
}

func (f *filter) comparison(name string) (func(row) bool, error) {
	p, known := f.set.props[name]
	if !known {
		return nil, fmt.Errorf("property %s not found in type", name)
	}
	op, literal := f.take(), f.take()
	want, ok := f.literal(p, literal)
	if !ok {
		return nil, fmt.Errorf("%s is compared with %s, a literal of another type", name, literal)
	}
	holds := map[string]func(int) bool{"eq": func(n int) bool { return n == 0 }, "ne": func(n int) bool { return n != 0 }, "gt": func(n int) bool { return n > 0 },
		"ge": func(n int) bool { return n >= 0 }, "lt": func(n int) bool { return n < 0 }, "le": func(n int) bool { return n <= 0 }}[op]
	if holds == nil {
		return nil, fmt.Errorf("operator %q", op)
	}
	if p.kind == kindDecimal {
		number, err := decimal.NewFromString(want)
		return func(r row) bool {
			got, _ := decimal.NewFromString(text(r.values[name])) // absent is zero
			return holds(got.Cmp(number))
		}, err
	}
	return func(r row) bool {
		got := text(r.values[name])
		if p.kind == kindBool && got == "" {
			got = "false"
		}
		return holds(strings.Compare(got, want))
	}, nil
}

// literal reads a literal of a property's type.
func (f *filter) literal(p property, literal string) (string, bool) {
	switch p.kind {
	case kindDate:
		inner, ok := strings.CutPrefix(literal, "datetime")
		if inner, ok2 := unquote(inner); ok && ok2 && len(inner) >= len(dateForm) {
			return inner[:len(dateForm)], true
		}
		return "", false
	case kindBool:
		return literal, literal == "true" || literal == "false"
	case kindDecimal:
		number := strings.TrimRight(literal, "mMdDlLfF")
		return number, literal != "" && literal[0] != '\''
	}
	return unquote(literal)
}
