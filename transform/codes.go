package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"gopkg.in/yaml.v3"
)

// codeTable turns the codes of one partner into canonical words. A code that it does not know, or not on the day, holds whatever
// reads it; it never advances anything (domain.md §0).
type codeTable struct {
	name    string
	line    int
	words   map[string]string     // code → canonical word, whatever the day
	dated   map[string][]codeWord // code → its words in time, without gap or overlap
	order   []string              // codes in the order of the file
	spared  bool                  // _unknown: null, so that an unknown code is no value
	partner string                // _partner: whose codes these are; may be empty
	version string                // _version: of this table; may be empty
}

// codeWord is what a code means for a time. Both days belong to it; an empty one is open.
type codeWord struct {
	word     string
	from, to string
}

// word returns the canonical word of a code, null of null, and trouble for a code that is unknown on the day. asOf is nil when no code
// of the table has dates; it is asked only for one that has.
func (t *codeTable) word(v ref.Val, asOf node, f *frame) ref.Val {
	if v == types.NullValue || types.IsError(v) {
		return v
	}
	code := textOf(v)
	if w, ok := t.words[code]; ok {
		return types.String(w)
	}
	on := ""
	if words := t.dated[code]; words != nil {
		day := asOf.eval(f)
		if types.IsError(day) {
			return day
		}
		if day == types.NullValue {
			return types.WrapErr(t.undated(code))
		}
		on = textOf(day)
		for _, w := range words {
			if w.from <= on && (w.to == "" || on <= w.to) {
				return types.String(w.word)
			}
		}
	}
	if t.spared {
		return types.NullValue
	}
	return types.WrapErr(t.unknown(code, on, f.m.file))
}

// about names the partner and the version, where the table has them, and the day.
func (t *codeTable) about(on string) string {
	var parts []string
	if t.partner != "" {
		parts = append(parts, "partner "+t.partner)
	}
	if t.version != "" {
		parts = append(parts, "version "+t.version)
	}
	text := ""
	if len(parts) > 0 {
		text = " (" + strings.Join(parts, ", ") + ")"
	}
	if on != "" {
		text += " on " + on
	}
	return text
}

func (t *codeTable) evidence(code, on string) map[string]any {
	e := map[string]any{"table": t.name, "code": code}
	for name, v := range map[string]string{"partner": t.partner, "version": t.version, "as_of": on} {
		if v != "" {
			e[name] = v
		}
	}
	return e
}

func (t *codeTable) unknown(code, on, mapping string) *trouble {
	return &trouble{class: "MAPPING", code: "UNMAPPED_CODE", cause: t.name + "/" + code,
		title:    fmt.Sprintf("The code %q is not in the code table %s of the mapping%s.", code, t.name, t.about(on)),
		hint:     fmt.Sprintf("Add %q to codes.%s in %s, raise its version and activate it. What waits is mapped then.", code, t.name, mapping),
		evidence: t.evidence(code, on)}
}

// undated is the trouble of a code that means different things in time, in a row that has no date yet.
func (t *codeTable) undated(code string) *trouble {
	return &trouble{class: "DATA", code: "MISSING_DATE", cause: t.name + "/" + code,
		title: fmt.Sprintf("The code %q of the code table %s%s means different things in time, and the date by which to read it is empty.", code, t.name,
			t.about("")),
		hint:     "Fill in the date in the source; the next change of the row is mapped again.",
		evidence: t.evidence(code, "")}
}

// has reports whether the canonical word occurs in the table.
func (t *codeTable) has(word string) bool { return slices.Contains(t.vocabulary(), word) }

// vocabulary returns the canonical words, sorted.
func (t *codeTable) vocabulary() []string {
	all := slices.Collect(maps.Values(t.words))
	for _, words := range t.dated {
		for _, w := range words {
			all = append(all, w.word)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// knows reports whether the code is in the table, on some day at least.
func (t *codeTable) knows(code string) bool {
	_, plain := t.words[code]
	return plain || t.dated[code] != nil
}

func (r *reader) codes(f field, m *Mapping) {
	for _, tf := range r.fields(f.value, "codes") {
		t := &codeTable{name: tf.key, line: tf.at.Line, words: map[string]string{}, dated: map[string][]codeWord{}}
		for _, c := range r.fields(tf.value, "code table "+tf.key) {
			switch {
			case c.key == "_unknown":
				t.spared = r.choice(c.value, "what to do with an unknown code", "hold", "null") == "null"
			case c.key == "_partner":
				t.partner = r.text(c.value, "the partner whose codes these are")
			case c.key == "_version":
				t.version = r.text(c.value, "the version of the code table")
			case c.value.Kind == yaml.SequenceNode:
				t.dated[c.key] = r.codeWords(c)
				t.order = append(t.order, c.key)
			default:
				t.words[c.key] = r.text(c.value, "the canonical word of code "+c.key)
				t.order = append(t.order, c.key)
			}
		}
		if len(t.order) == 0 {
			r.fault(tf.at, "code table "+tf.key+" without codes", "at least one code", "")
		}
		m.codes[tf.key] = t
	}
}

// codeWords reads the words of a code in time: [ { word: transferred, until: 2024-06-30 }, { word: refused, from: 2024-07-01 } ]. They
// stand in the order of time, and each begins on the day after the one before it has ended.
func (r *reader) codeWords(f field) []codeWord {
	words := []codeWord{}
	for i, n := range f.value.Content {
		got := r.record(n, "a word of the code "+f.key, []string{"word", "from", "until"}, nil)
		if !r.need(n, got, "a word of the code "+f.key, "word") {
			continue
		}
		w := codeWord{word: r.text(got["word"].value, "the canonical word")}
		if b, ok := got["from"]; ok {
			w.from = r.day(b.value, r.text(b.value, "the first day"))
		}
		if e, ok := got["until"]; ok {
			w.to = r.day(e.value, r.text(e.value, "the last day"))
		}
		if w.to != "" && w.to < w.from {
			r.fault(n, fmt.Sprintf("the code %s from %s until %s", f.key, w.from, w.to), "a last day that is not before the first", "")
		}
		if i > 0 && len(words) > 0 {
			r.follows(n, f.key, words[len(words)-1], w)
		}
		words = append(words, w)
	}
	if len(f.value.Content) == 0 {
		r.fault(f.value, "the code "+f.key+" without a word", "at least one word", "")
	}
	return words
}

// follows refuses a day with two words or none between the first and the last of a code.
func (r *reader) follows(n *yaml.Node, code string, before, w codeWord) {
	if before.to == "" {
		r.fault(n, fmt.Sprintf("the code %s is %s without an end, and %s after it", code, before.word, w.word), "each day with one word",
			"until: <last day> for "+before.word)
		return
	}
	next := textOf(civil{text: before.to}.addDays(1))
	switch {
	case w.from == "" || w.from <= before.to:
		r.fault(n, fmt.Sprintf("the code %s with the words %s and %s on %s", code, before.word, w.word, before.to), "each day with one word",
			"from: "+next+" for "+w.word)
	case w.from > next:
		r.fault(n, fmt.Sprintf("the code %s without a word from %s until %s", code, next, textOf(civil{text: w.from}.addDays(-1))), "each day with one word",
			"from: "+next+" for "+w.word)
	}
}
