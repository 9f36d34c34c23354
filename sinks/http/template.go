package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"waybill/sinks"
)

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
func expand(path string, op sinks.Operation, body any) (string, error) {
	query := len(path)
	if i := strings.IndexByte(path, '?'); i >= 0 {
		query = i
	}
	var out strings.Builder
	last := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(path, -1) {
		name := path[at[2]:at[3]]
		value, ok := valueOf(name, op, body)
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

func valueOf(name string, op sinks.Operation, body any) (string, bool) {
	switch name {
	case "external_id":
		return op.ExternalID, true
	case "company":
		return op.Company, true
	case "order_key":
		return op.OrderKey, true
	}
	return member(body, name)
}

// member finds a plain value by its dotted name, numbers with their digits.
func member(v any, name string) (string, bool) {
	for _, part := range strings.Split(name, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return "", false
		}
		v = m[part]
	}
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// decode reads JSON without losing a digit.
func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("an answer that is no JSON: %w", err)
	}
	return v, nil
}
