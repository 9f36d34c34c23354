package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"waybill/cdc"
)

// arrayText turns {1150.00,NULL,"-3"} into ["1150.00",null,"-3"], each element in the canonical form of its own kind. The
// elements of a bytea array stay in hexadecimal, \xdeadbeef, for JSON holds no bytes.
func arrayText(raw []byte, meta string) (string, error) {
	if len(raw) > 0 && raw[0] == '[' {
		bounds, _, _ := bytes.Cut(raw, []byte("="))
		return "", fmt.Errorf("an array with the bounds %q cannot be carried: JSON arrays begin at 1", bounds)
	}
	p := arrayParser{rest: raw, delimiter: ','}
	if p.element, p.of = elementOf(meta); p.element == cdc.KindText && p.of == "603" {
		p.delimiter = ';' // of box alone: its text has commas
	}
	list, err := p.list(0)
	if err == nil && len(p.rest) > 0 {
		err = errForm
	}
	if err != nil {
		return "", err
	}
	return jsonText(list)
}

// arrayParser reads the text of an array: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
type arrayParser struct {
	rest      []byte
	delimiter byte
	element   cdc.Kind
	of        string // Meta of the elements
}

// dimensions is the server's MAXDIM.
const dimensions = 6

func (p *arrayParser) list(depth int) ([]any, error) {
	if len(p.rest) == 0 || p.rest[0] != '{' || depth == dimensions {
		return nil, errForm
	}
	p.rest = p.rest[1:]
	list := []any{}
	if len(p.rest) > 0 && p.rest[0] == '}' {
		p.rest = p.rest[1:]
		return list, nil
	}
	for {
		item, err := p.item(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		if len(p.rest) == 0 {
			return nil, errForm
		}
		end := p.rest[0]
		p.rest = p.rest[1:]
		if end == '}' {
			return list, nil
		}
		if end != p.delimiter {
			return nil, errForm
		}
	}
}

// item reads a nested list, a NULL or an element.
func (p *arrayParser) item(depth int) (any, error) {
	var text []byte
	switch {
	case len(p.rest) > 0 && p.rest[0] == '{':
		return p.list(depth + 1)
	case len(p.rest) > 0 && p.rest[0] == '"':
		var ok bool
		if text, p.rest, ok = quoted(p.rest); !ok {
			return nil, errForm
		}
	default:
		n := bytes.IndexAny(p.rest, string(rune(p.delimiter))+`{}"\`)
		if n <= 0 {
			return nil, errForm
		}
		text, p.rest = p.rest[:n], p.rest[n:]
		if string(text) == "NULL" {
			return nil, nil
		}
	}
	element, err := canonical(p.element, p.of, text)
	if err == nil && p.element == cdc.KindBytes {
		element = string(text)
	}
	return element, err
}

// quoted reads a text in double quotes, in which a backslash stands before what is meant as it is.
func quoted(raw []byte) (text, rest []byte, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, nil, false
	}
	raw = raw[1:]
	n := bytes.IndexAny(raw, `"\`)
	if n >= 0 && raw[n] == '"' {
		return raw[:n], raw[n+1:], true
	}
	text = []byte{}
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			return text, raw[i+1:], true
		case '\\':
			if i++; i == len(raw) {
				return nil, nil, false
			}
		}
		text = append(text, raw[i])
	}
	return nil, nil, false
}

// jsonText writes JSON without escaping <, > and &.
func jsonText(v any) (string, error) {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
