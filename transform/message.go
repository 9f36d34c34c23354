package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
	"waybill/cdc"
)

// A message (cdc.Messages) is news without a row: its content is one JSON object, whose members are its columns. A member that is not
// there is null, as an outbox means it. Nothing of it is kept in row state. Only events read messages.

// contentColumn is the one column of captured messages.
const contentColumn = "content"

// messageName matches "<source>.message(<prefix>)".
var messageName = regexp.MustCompile(`^([^.()]+)\.message\((.*)\)$`)

// rowsOf is tableOf where messages will not do.
func (c *compiler) rowsOf(n *yaml.Node, text string) *table {
	t := c.tableOf(n, text)
	if t != nil && t.messages {
		c.fault(n, "the messages "+t.key(), "a table: messages have no rows, only events read them", "")
		return nil
	}
	return t
}

// message maps one message.
func (r *run) message(b *binding, ch *cdc.Change) error {
	key, _, _, now, err := b.rows(ch)
	if err != nil {
		return err
	}
	now.name(key)
	c := rowChange{table: b.table, op: cdc.Insert, key: key, now: now, cause: causeOf(ch, r.at), tx: ch.Tx}
	if err := r.refs(&c); err != nil {
		return err
	}
	for _, e := range b.table.events {
		one := c
		if e.lane == LaneMaster { // the newest message about an entity replaces one that is held
			if k := quietText(e.key, r.frame(&c)); k != "" {
				one.key = k
			}
		}
		if err := r.event(e, &one); err != nil {
			return err
		}
	}
	return nil
}

// messageRow reads a message's members. Its key is its place, for nothing else tells two messages apart.
func (b *binding) messageRow(ch *cdc.Change) (key string, now *row, err error) {
	now = &row{table: b.table, vals: make([]cdc.Value, len(b.table.cols))}
	key = ch.Tx.Commit + "/" + strconv.Itoa(ch.Ordinal)
	v, err := ch.New(b.cols[0])
	var d *cdc.DecodeError
	if err != nil && !errors.As(err, &d) {
		return "", nil, err
	}
	var members map[string]json.RawMessage
	if err == nil {
		members, err = membersOf(v.Text, b.table.cols)
	} else {
		err = d.Err
	}
	for i, name := range b.table.cols {
		if err != nil {
			now.vals[i] = cdc.Value{State: broken, Text: clip(err.Error(), 300)}
			continue
		}
		one, fault := memberValue(members[name])
		if fault != nil {
			one = cdc.Value{State: broken, Text: clip(fmt.Sprintf("its member %s %v", name, fault), 300)}
		}
		now.vals[i] = one
	}
	return key, now, nil
}

// membersOf takes the wanted members of a JSON object. One that is there twice is refused: nobody can tell which was meant.
func membersOf(text string, wanted []string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("its content is no JSON object: %q", clip(text, 80))
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		var raw json.RawMessage
		if err == nil {
			err = dec.Decode(&raw)
		}
		if err != nil {
			return nil, fmt.Errorf("its content is no JSON: %w", err)
		}
		if !slices.Contains(wanted, name.(string)) { // in an object the decoder gives a text, or an error
			continue
		}
		if members[name.(string)] != nil {
			return nil, fmt.Errorf("its member %s is there twice", name)
		}
		members[name.(string)] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("its content is no JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("its content goes on behind the JSON object")
	}
	return members, nil
}

// memberValue is a member in canonical form; numbers keep their digits, and an object or a list stays JSON.
func memberValue(raw json.RawMessage) (cdc.Value, error) {
	if raw == nil {
		return cdc.NullOf(cdc.KindText), nil
	}
	switch raw[0] {
	case 'n':
		return cdc.NullOf(cdc.KindText), nil
	case 't', 'f':
		return cdc.Of(cdc.KindBool, string(raw)), nil
	case '{', '[':
		var flat bytes.Buffer
		err := json.Compact(&flat, raw)
		return cdc.Of(cdc.KindJSON, flat.String()), err
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		if strings.ContainsRune(text, utf8.RuneError) && !bytes.Contains(raw, []byte("\uFFFD")) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) {
			err = errors.New("holds half a character")
		}
		return cdc.Of(cdc.KindText, text), err
	}
	if _, ok := parseInt(string(raw)); ok {
		return cdc.Of(cdc.KindInt, string(raw)), nil
	}
	_, err := parseNumber(string(raw))
	return cdc.Of(cdc.KindDecimal, string(raw)), err
}

// testContent is the content of a message in an inline test: quoted values are text, the others what JSON makes of them.
func testContent(members map[string]*yaml.Node) []byte {
	content := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			content = append(content, ',')
		}
		content = append(append(content, jsonText(name)...), ':')
		n := members[name]
		v := testValue(n)
		switch {
		case v.State == cdc.Null:
			content = append(content, "null"...)
		case !quoted(n) && (v.Kind == cdc.KindBool || v.Kind == cdc.KindInt || v.Kind == cdc.KindDecimal):
			content = append(content, v.Text...)
		default:
			content = append(content, jsonText(n.Value)...)
		}
	}
	return append(content, '}')
}

func jsonText(s string) []byte {
	raw, _ := json.Marshal(s) // of a text: cannot fail
	return raw
}
