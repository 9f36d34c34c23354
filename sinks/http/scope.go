package http

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"waybill/sinks"
)

// scope is what the names in braces stand for.
type scope struct {
	op     sinks.Operation
	body   any
	ref    string // of what an earlier step made
	number string
	within []any // the elements of {each}, the innermost last
}

// value finds what a name stands for: in the innermost element first, then of the posting, then in its body.
func (s scope) value(name string) (any, bool) {
	for i := len(s.within) - 1; i >= 0; i-- {
		element := s.within[i]
		if v, ok := walk(element, name); ok {
			return v, true
		}
		if _, object := element.(map[string]any); !object && name == "value" {
			return element, true
		}
	}
	switch {
	case name == "external_id":
		return s.op.ExternalID, true
	case name == "company":
		return s.op.Company, true
	case name == "order_key":
		return s.op.OrderKey, true
	case name == "ref" && s.ref != "":
		return s.ref, true
	case name == "number" && s.number != "":
		return s.number, true
	}
	return walk(s.body, name)
}

var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_.]*)\}`)

// checkTemplate says what is wrong with a path.
func checkTemplate(path string) error {
	rest := placeholder.ReplaceAllString(path, "")
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("a path behind url, beginning with /")
	case strings.ContainsAny(rest, "{}"):
		return errors.New("names in braces: {external_id}, {company}, {order_key}, or a member of the body")
	case strings.ContainsAny(rest, " \r\n\t#"):
		return errors.New("a path without blanks and #")
	}
	return nil
}

// expand puts what the posting says into a path, escaped for its place.
func expand(path string, s scope) (string, error) {
	query := len(path)
	if i := strings.IndexByte(path, '?'); i >= 0 {
		query = i
	}
	var out strings.Builder
	last := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(path, -1) {
		name := path[at[2]:at[3]]
		found, _ := s.value(name)
		value, ok := plainText(found)
		if !ok || value == "" {
			return "", fmt.Errorf("the path %s needs %s, of which the posting has no plain value", path, name)
		}
		out.WriteString(path[last:at[0]])
		last = at[1]
		if at[0] > query {
			out.WriteString(url.QueryEscape(value))
			continue
		}
		if value == "." || value == ".." {
			return "", fmt.Errorf("the value %q of %s cannot stand in the path %s", value, name, path)
		}
		out.WriteString(url.PathEscape(value))
	}
	out.WriteString(path[last:])
	return out.String(), nil
}
