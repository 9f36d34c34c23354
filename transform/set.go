package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
)

// setting is one canonical field of an event, or a nested value of a posting's body.
type setting struct {
	name string
	line int
	e    *expr
	sub  []setting // of a nested value, or of each line
	each bool      // lines[]: once for each line
}

// settings compiles set: the canonical fields of an event. Later fields may use earlier ones.
func (c *compiler) settings(f field, sc *scope) []setting {
	var all []setting
	defer func(before bool) { sc.asks = before }(sc.asks)
	sc.asks = !sc.notice
	for _, s := range c.fields(f.value, "set") {
		name, each := strings.CutSuffix(s.key, "[]")
		if each {
			if sc.lines == nil || sc.line != nil {
				c.fault(s.at, s.key, "lines only in a document, one level deep", "")
				continue
			}
			inner := *sc
			inner.line = map[string]*cel.Type{}
			all = append(all, setting{name: name, line: s.at.Line, each: true, sub: c.settings(s, &inner)})
			sc.fields[name] = cel.DynType
			sc.made = inner.line
			continue
		}
		c.ambiguous(s, sc)
		e := c.value(s.value, sc)
		all = append(all, setting{name: name, line: s.at.Line, e: e})
		if sc.line != nil {
			sc.line[name] = e.typ
		} else {
			sc.fields[name] = e.typ
		}
	}
	return all
}

// ambiguous refuses a field that is a value and has parts, too.
func (c *compiler) ambiguous(s field, sc *scope) {
	for have := range sc.fields {
		if strings.HasPrefix(s.key, have+".") || strings.HasPrefix(have, s.key+".") {
			c.fault(s.at, fmt.Sprintf("%s beside %s", s.key, have), "a field that is a value or has parts, not both", "")
		}
	}
}

// body compiles a posting's body: nested keys, and lines[] once for each line of the document.
func (c *compiler) body(n *yaml.Node, sc *scope, line map[string]*cel.Type) []setting {
	var all []setting
	defer func(before bool) { sc.asks = before }(sc.asks)
	sc.asks = true
	for _, s := range c.fields(n, "body") {
		name, each := strings.CutSuffix(s.key, "[]")
		switch {
		case each && (line == nil || sc.line != nil):
			c.fault(s.at, s.key, "lines of a document's event, one level deep", "")
		case each:
			inner := *sc
			inner.line = line
			all = append(all, setting{name: name, line: s.at.Line, each: true, sub: c.body(s.value, &inner, line)})
		case s.value.Kind == yaml.MappingNode:
			all = append(all, setting{name: name, line: s.at.Line, sub: c.body(s.value, sc, line)})
		default:
			all = append(all, setting{name: name, line: s.at.Line, e: c.value(s.value, sc)})
		}
	}
	return all
}

// result is what settings made of a frame.
type result struct {
	data     map[string]any
	troubles []*trouble // every reason why the data is not whole
}

// apply evaluates canonical fields in order into the frame, and as data. It goes on after trouble, so that a person sees all
// of it at once. The error is a bug or a broken State.
func apply(f *frame, all []setting, where string) (result, error) {
	r := result{data: map[string]any{}}
	if f.fields == nil {
		f.fields = map[string]ref.Val{}
	}
	for i := range all {
		s := &all[i]
		if s.each {
			if err := r.lines(f, s, where, true); err != nil {
				return r, err
			}
			continue
		}
		v, byHand := f.amendedField(s)
		if !byHand {
			var err error
			if v, err = r.one(f, s, where); err != nil {
				return r, err
			}
		}
		f.fields[s.name] = v
		put(r.data, s.name, v)
	}
	return r, nil
}

// one evaluates a field. Trouble is noted, and the field then is an error for whoever reads it.
func (r *result) one(f *frame, s *setting, where string) (ref.Val, error) {
	v, err := s.e.eval(f)
	var t *trouble
	switch {
	case errors.As(err, &t):
		r.add(t)
		return types.WrapErr(t), nil
	case err != nil:
		return nil, err
	case v == types.NullValue && !s.e.optional:
		t := &trouble{class: "DATA", code: "MISSING_FIELD", cause: where + "/" + s.name,
			title: fmt.Sprintf("%s has no value for %s (%s at %s).", where, s.name, s.e.text, s.e.at),
			hint:  "Fill it in the source; the next change of the row is mapped again. If it may be empty, mark it optional with ? in the mapping."}
		r.add(t)
		return types.WrapErr(t), nil
	}
	return v, nil
}

func (r *result) add(t *trouble) {
	if !slices.ContainsFunc(r.troubles, func(o *trouble) bool { return o.fingerprint() == t.fingerprint() }) {
		r.troubles = append(r.troubles, t)
	}
}

// lines evaluates lines[] for each line. With set, the results are kept for the body of a posting.
func (r *result) lines(f *frame, s *setting, where string, set bool) error {
	list := make([]any, 0, len(f.lines))
	var fields []map[string]ref.Val
	for i, l := range f.lines {
		f.rows[lineRow] = l
		if set {
			f.lineFields = map[string]ref.Val{}
		} else {
			f.lineFields = f.made[i]
		}
		data := map[string]any{}
		for j := range s.sub {
			sub := &s.sub[j]
			v, err := r.one(f, sub, fmt.Sprintf("%s, line %d", where, i+1))
			if err != nil {
				return err
			}
			if set {
				f.lineFields[sub.name] = v
			}
			put(data, sub.name, v)
		}
		list, fields = append(list, data), append(fields, f.lineFields)
	}
	if set {
		f.made = fields
	}
	f.rows[lineRow], f.lineFields = nil, nil
	r.data[s.name] = list
	return nil
}

// build evaluates a posting's body.
func (r *result) build(f *frame, all []setting, where string, into map[string]any) error {
	for i := range all {
		s := &all[i]
		switch {
		case s.each:
			if err := r.lines(f, s, where, false); err != nil {
				return err
			}
			into[s.name] = r.data[s.name]
		case s.e == nil:
			sub := map[string]any{}
			if err := r.build(f, s.sub, where, sub); err != nil {
				return err
			}
			into[s.name] = sub
		default:
			v, err := r.one(f, s, where)
			if err != nil {
				return err
			}
			put(into, s.name, v)
		}
	}
	return nil
}

// put writes a value under a dotted name; nothing when there is none.
func put(into map[string]any, name string, v ref.Val) {
	j := plain(v)
	if j == nil {
		return
	}
	for {
		head, rest, nested := strings.Cut(name, ".")
		if !nested {
			into[name] = j
			return
		}
		sub, ok := into[head].(map[string]any)
		if !ok {
			sub = map[string]any{}
			into[head] = sub
		}
		into, name = sub, rest
	}
}

// plain returns a value as JSON has it: decimals as text, never as a float.
func plain(v ref.Val) any {
	switch v := v.(type) {
	case types.Null, *types.Err, nil:
		return nil
	case types.Bool:
		return bool(v)
	case types.Int:
		return int64(v)
	case record:
		m := map[string]any{}
		for k, x := range v {
			put(m, k, x)
		}
		return m
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano)
	}
	return textOf(v)
}

// canonical writes JSON with sorted keys and nothing escaped that need not be.
func canonical(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
