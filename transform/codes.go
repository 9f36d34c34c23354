package transform

import (
	"fmt"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// codeTable turns the codes of one carrier into canonical words. A code that it does not know holds whatever reads it; it
// never advances anything (domain.md §0).
type codeTable struct {
	name   string
	line   int
	words  map[string]string // code → canonical word
	order  []string          // codes in the order of the file
	spared bool              // _unknown: null, so that an unknown code is no value
}

// word returns the canonical word of a code, null of null, and trouble for an unknown code.
func (t *codeTable) word(v ref.Val, mapping string) ref.Val {
	if v == types.NullValue || types.IsError(v) {
		return v
	}
	code := textOf(v)
	if w, ok := t.words[code]; ok {
		return types.String(w)
	}
	if t.spared {
		return types.NullValue
	}
	return types.WrapErr(&trouble{class: "MAPPING", code: "UNMAPPED_CODE", cause: t.name + "/" + code,
		title:    fmt.Sprintf("The code %q is not in the code table %s of the mapping.", code, t.name),
		hint:     fmt.Sprintf("Add %q to codes.%s in %s, raise its version and activate it. What waits is mapped then.", code, t.name, mapping),
		evidence: map[string]any{"table": t.name, "code": code}})
}

// has reports whether the canonical word occurs in the table.
func (t *codeTable) has(word string) bool {
	for _, w := range t.words {
		if w == word {
			return true
		}
	}
	return false
}

func (r *reader) codes(f field, m *Mapping) {
	for _, tf := range r.fields(f.value, "codes") {
		t := &codeTable{name: tf.key, line: tf.at.Line, words: map[string]string{}}
		for _, c := range r.fields(tf.value, "code table "+tf.key) {
			if c.key == "_unknown" {
				t.spared = r.choice(c.value, "what to do with an unknown code", "hold", "null") == "null"
				continue
			}
			t.words[c.key] = r.text(c.value, "the canonical word of code "+c.key)
			t.order = append(t.order, c.key)
		}
		if len(t.order) == 0 {
			r.fault(tf.at, "code table "+tf.key+" without codes", "at least one code", "")
		}
		m.codes[tf.key] = t
	}
}
