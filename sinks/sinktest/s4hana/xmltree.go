package s4hana

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// node is an element of a SOAP message.
type node struct {
	name, space, text string
	attrs             map[string]string
	below             []*node
}

// parseXML reads a document with one root.
func parseXML(raw []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	var stack []*node
	var root *node
	for {
		t, err := d.Token()
		if err == io.EOF {
			if root == nil || len(stack) > 0 {
				return nil, errors.New("no whole document")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, space: t.Name.Space, attrs: map[string]string{}}
			for _, a := range t.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			if len(stack) > 0 {
				stack[len(stack)-1].below = append(stack[len(stack)-1].below, n)
			} else {
				root = n
			}
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

// all are the children of a name.
func (n *node) all(name string) (found []*node) {
	for _, b := range n.below {
		if b.name == name {
			found = append(found, b)
		}
	}
	return found
}

// at follows a path to the first element; an empty one when there is none.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		found := n.all(name)
		if len(found) == 0 {
			return &node{attrs: map[string]string{}}
		}
		n = found[0]
	}
	return n
}

func (n *node) value(path ...string) string { return strings.TrimSpace(n.at(path...).text) }

// stranger names an element that the message does not have; known are the children of each element that has some.
func (n *node) stranger(known map[string][]string) error {
	for _, b := range n.below {
		if !slices.Contains(known[n.name], b.name) {
			return fmt.Errorf("element %s is not expected in %s", b.name, n.name)
		}
		if err := b.stranger(known); err != nil {
			return err
		}
	}
	return nil
}

func escape(text string) string {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		panic("writing XML: " + err.Error()) // into memory
	}
	return out.String()
}
