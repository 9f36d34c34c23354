package http

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"waybill/sinks/web"
)

// document is the body of an answer: a tree of objects, lists and plain values, numbers with their digits. Of XML, an element with children is
// an object, one that comes several times a list, an attribute a member @name; the root's name is apart.
type document struct {
	root string // of XML; "" of JSON
	v    any
}

// isJSON and isXML say what an answer calls itself.
func isJSON(a web.Answer) bool { return strings.Contains(a.Header.Get("Content-Type"), "json") }
func isXML(a web.Answer) bool  { return strings.Contains(a.Header.Get("Content-Type"), "xml") }

// read reads an answer as what it calls itself, and as JSON when it does not say.
func read(a web.Answer) (document, error) {
	if isXML(a) && !strings.Contains(a.Header.Get("Content-Type"), "html") {
		return readXML(a.Body)
	}
	v, err := decode(a.Body)
	return document{v: v}, err
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

// maxDepth bounds the elements within elements.
const maxDepth = 100

func readXML(raw []byte) (document, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if err != nil {
			return document{}, fmt.Errorf("an answer that is no XML: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		v, err := element(d, start, 1)
		if err != nil {
			return document{}, fmt.Errorf("an answer that is no XML: %w", err)
		}
		return document{start.Name.Local, v}, rest(d)
	}
}

// rest refuses a second root.
func rest(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("an answer that is no XML: %w", err)
		}
		if _, ok := token.(xml.StartElement); ok {
			return errors.New("an answer with two roots")
		}
	}
}

func element(d *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("elements within elements, more than %d deep", maxDepth)
	}
	object, children := map[string]any{}, false
	for _, a := range start.Attr {
		if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" {
			object["@"+a.Name.Local] = a.Value
		}
	}
	var text strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			v, err := element(d, token, depth+1)
			if err != nil {
				return nil, err
			}
			children = true
			add(object, token.Name.Local, v)
		case xml.EndElement:
			if !children && len(object) == 0 {
				return strings.TrimSpace(text.String()), nil
			}
			if !children {
				object["#text"] = strings.TrimSpace(text.String())
			}
			return object, nil
		}
	}
}

// add makes a list of elements of one name. A plain list of lists cannot come about.
func add(object map[string]any, name string, v any) {
	switch there := object[name].(type) {
	case nil:
		object[name] = v
	case []any:
		object[name] = append(there, v)
	default:
		object[name] = []any{there, v}
	}
}

// walk finds a value by its dotted name.
func walk(v any, name string) (any, bool) {
	for part := range strings.SplitSeq(name, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[part]; !ok {
			return nil, false
		}
	}
	return v, true
}

// plainText is a value as a text, numbers with their digits.
func plainText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	case map[string]any: // an element of XML with attributes
		text, ok := v["#text"].(string)
		return text, ok
	}
	return "", false
}

// member finds a plain value by its dotted name.
func member(v any, name string) (string, bool) {
	found, _ := walk(v, name)
	return plainText(found)
}

// first is the plain value of own, or where that is not set of the first of the usual names that has one; "" when none has.
func (d document) first(own string, usual ...string) string {
	if own != "" {
		usual = []string{own}
	}
	for _, name := range usual {
		if text, ok := member(d.v, name); ok && text != "" {
			return text
		}
	}
	return ""
}

// list is what a verification found. In XML the name begins with the root's, and an empty root is an empty list; in JSON the list itself
// must be there. So a page of another kind is never taken for nothing found.
func (d document) list(name string) ([]any, error) {
	v, wrong := d.v, fmt.Errorf("an answer without the list %q", name)
	if name != "" && d.root != "" {
		root, below, _ := strings.Cut(name, ".")
		if root != d.root {
			return nil, fmt.Errorf("an answer with the root %q, without the list %q", d.root, name)
		}
		if name = below; name != "" {
			parent, last := d.v, name
			if i := strings.LastIndexByte(name, '.'); i >= 0 {
				parent, _ = walk(d.v, name[:i])
				last = name[i+1:]
			}
			switch parent := parent.(type) {
			case string:
				if parent == "" {
					return nil, nil // <invoices/>
				}
				return nil, wrong
			case map[string]any:
				if _, ok := parent[last]; !ok {
					return nil, nil
				}
			default:
				return nil, wrong
			}
		}
	}
	if name != "" {
		v, _ = walk(v, name)
	}
	switch v := v.(type) {
	case []any:
		return v, nil
	case map[string]any:
		return []any{v}, nil
	case nil:
		if name == "" && d.root == "" {
			return nil, nil
		}
	}
	return nil, wrong
}
