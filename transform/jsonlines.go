package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// embedded is where the lines of a document lie that its header carries: a list of JSON objects, in a column or in a member of the JSON
// that the column holds. The members of an object are the line's columns; one that is not there is null.
type embedded struct {
	col  int      // of the header
	path []string // members on the way from the column to the list
	rows *table   // what the lines look like to expressions; no table of the source
}

var embeddedForm = regexp.MustCompile(`^(\w+)\.(\w+)((?:\.\w+)*) +as +(\w+)$`)

// embed reads "h.charges as l" and "h.doc.charges as l". It reports false when the text is no such form.
func (c *compiler) embed(d *document, n *yaml.Node, header string, sc *scope) (is, ok bool) {
	m := embeddedForm.FindStringSubmatch(c.text(n, "the lines"))
	if m == nil || m[1] != header {
		return false, false
	}
	e := &embedded{col: c.plainColumn(n, d.root, m[2]), path: strings.FieldsFunc(m[3], func(r rune) bool { return r == '.' })}
	if kind, _, known := c.kind(d.root, e.col); known && kind != cdc.KindJSON && kind != cdc.KindText {
		c.fault(n, fmt.Sprintf("lines in the column %s of kind %s", m[2], kind), "a column of JSON or of text that holds JSON", "")
		return true, false
	}
	name := cdc.Table{Schema: d.root.name.Schema, Name: d.root.name.Name + " " + strings.Join(append([]string{m[2]}, e.path...), ".")}
	e.rows = newTable(d.root.source, name, n.Line)
	d.embedded = e
	sc.lines, sc.lineAlias = e.rows, m[4]
	sc.roots[m[4]] = root{e.rows, lineRow}
	return true, true
}

// embeddedLines reads the lines that a header carries.
func (d *document) embeddedLines(header *row, subject string) ([]*row, *trouble) {
	v := header.vals[d.embedded.col]
	if v.State == cdc.Null {
		return nil, nil
	}
	if err, bad := header.value(d.embedded.col).Value().(error); bad {
		var t *trouble
		if errors.As(err, &t) {
			return nil, t
		}
	}
	items, err := listOf(v.Text, d.embedded.path)
	if err == nil && len(items) > maxLines {
		err = fmt.Errorf("it has more than %d lines", maxLines)
	}
	var lines []*row
	for i, item := range items {
		if err != nil {
			break
		}
		var l *row
		if l, err = d.embedded.line(item, i); err == nil {
			lines = append(lines, l)
		}
	}
	if err != nil {
		return nil, &trouble{class: "DATA", code: "LINES_NOT_READ", cause: d.root.source.name + "/" + subject, owner: "billing",
			title: fmt.Sprintf("The lines of %s in %s.%s cannot be read: %v.", subject, d.root.key(), d.root.cols[d.embedded.col], err),
			hint:  "Correct the JSON in the source; the next change of the row is looked at by itself."}
	}
	return lines, nil
}

// listOf finds the list in a JSON text.
func listOf(text string, path []string) (items []json.RawMessage, err error) {
	for _, step := range path {
		members, err := membersOf(text, []string{step})
		if err != nil {
			return nil, err
		}
		if members[step] == nil || string(members[step]) == "null" {
			return nil, nil
		}
		text = string(members[step])
	}
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		return nil, fmt.Errorf("it is no JSON list of lines: %q", clip(text, 80))
	}
	return items, nil
}

func (e *embedded) line(item json.RawMessage, i int) (*row, error) {
	members, err := membersOf(string(item), e.rows.cols)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", i+1, err)
	}
	l := &row{table: e.rows, vals: make([]cdc.Value, len(e.rows.cols)), key: strconv.Itoa(i + 1)}
	for at, name := range e.rows.cols {
		if l.vals[at], err = memberValue(members[name]); err != nil {
			l.vals[at] = cdc.Value{State: broken, Text: clip(err.Error(), 300)}
		}
	}
	return l, nil
}
