package transform

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// reader walks the YAML of a mapping file and collects every fault in it.
type reader struct {
	file   string
	faults Faults
}

// field is one key of a YAML mapping with its value.
type field struct {
	key   string
	at    *yaml.Node // the key, for its line
	value *yaml.Node
}

// fault notes a mistake at the node.
func (r *reader) fault(n *yaml.Node, found, expected, fix string) {
	r.faults = append(r.faults, Fault{File: r.file, Line: n.Line, Found: found, Expected: expected, Fix: fix})
}

// refuse notes a construct of the grammar that this version does not build.
func (r *reader) refuse(n *yaml.Node, construct, instead string) {
	r.fault(n, construct+", which this version of Waybill does not build", "", instead)
}

// fields returns the keys of a mapping node, in order, and refuses duplicates and aliases.
func (r *reader) fields(n *yaml.Node, what string) []field {
	if n.Kind != yaml.MappingNode {
		r.fault(n, describe(n), what+" as a mapping of keys", "")
		return nil
	}
	var all []field
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			r.fault(k, describe(k)+" as a key", "a plain name", "")
			continue
		}
		if v.Kind == yaml.AliasNode || v.Anchor != "" || k.Anchor != "" {
			r.fault(v, "a YAML anchor or alias", "every rule written out where it stands", "")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			r.fault(k, fmt.Sprintf("%q a second time", k.Value), fmt.Sprintf("one; the first is on line %d", line), "")
			continue
		}
		seen[k.Value] = k.Line
		all = append(all, field{k.Value, k, v})
	}
	return all
}

// record reads a mapping node whose keys are fixed. notBuilt names keys of the grammar that are refused, and what to
// write instead.
func (r *reader) record(n *yaml.Node, what string, known []string, notBuilt map[string]string) map[string]field {
	got := map[string]field{}
	for _, f := range r.fields(n, what) {
		switch instead, refused := notBuilt[f.key]; {
		case slices.Contains(known, f.key):
			got[f.key] = f
		case refused:
			r.refuse(f.at, fmt.Sprintf("%q in %s", f.key, what), instead)
		default:
			r.fault(f.at, fmt.Sprintf("%q in %s", f.key, what), "one of "+strings.Join(known, ", "), suggest(f.key, known))
		}
	}
	return got
}

// need notes a missing key.
func (r *reader) need(n *yaml.Node, got map[string]field, what string, keys ...string) bool {
	ok := true
	for _, k := range keys {
		if _, has := got[k]; !has {
			r.fault(n, what+" without "+k, "the key "+k, "")
			ok = false
		}
	}
	return ok
}

// text returns the text of a scalar.
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fault(n, describe(n), what, "")
		return ""
	}
	return n.Value
}

// choice returns a scalar that must be one of the words.
func (r *reader) choice(n *yaml.Node, what string, words ...string) string {
	s := r.text(n, what)
	if s != "" && !slices.Contains(words, s) {
		r.fault(n, fmt.Sprintf("%q", s), what+": "+strings.Join(words, " or "), suggest(s, words))
		return ""
	}
	return s
}

func quoted(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a YAML alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return fmt.Sprintf("%q", clip(n.Value, 80))
}

// clip bounds a text that goes into a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// suggest returns the word of the list nearest to what was written, or nothing when none is near.
func suggest(word string, list []string) string {
	best, at := "", len(word)/2+1
	for _, w := range list {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < at || d == at && best != "" && w < best {
			best, at = w, d
		}
	}
	return best
}

// distance is the number of letters to insert, drop or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
