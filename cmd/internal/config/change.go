package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Change is a setting that differs between two readings of the file.
type Change struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"` // as it was written; empty when it was not
	New   string `json:"new,omitempty"`
}

// String is field: old → new.
func (c Change) String() string {
	shown := func(text string) string {
		if text == "" {
			return "(not set)"
		}
		return text
	}
	return fmt.Sprintf("%s: %s → %s", c.Field, shown(c.Old), shown(c.New))
}

// live are the settings that a running daemon takes: what people say of how targets are treated. The account that a policy names, and a target
// itself, are not among them.
var live = regexp.MustCompile(`^(accounts\.|(sinks|services)\.[^.]+\.policy(\.|$))`)

// fixed are those among them that hold from a start on.
var fixed = regexp.MustCompile(`\.policy\.account$`)

// Changed lists what next sets otherwise than c, in the order of the fields. A running daemon takes those of taken; each fault is one that
// needs a restart. Secrets are not shown. What files hold that the settings name is not looked at: it is read anew when it is needed.
func (c *Config) Changed(next *Config) (taken []Change, faults Faults) {
	fields := maps.Clone(c.values)
	maps.Copy(fields, next.values)
	for _, field := range sortedKeys(fields) {
		was, is := c.values[field], next.values[field]
		if was == is {
			continue
		}
		if live.MatchString(field) && !fixed.MatchString(field) {
			taken = append(taken, Change{field, was, is})
			continue
		}
		f := Fault{File: next.File, Line: next.Line(field), Field: field, Found: "another value than at the start", Do: "Put it back, or restart the daemon to take it."}
		if !hides(field) {
			f.Found, f.Expected = orNothing(is), "as at the start "+orNothing(was)
		}
		faults = append(faults, f)
	}
	return taken, faults.sorted()
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", text)
}

// words of fields that hold, or may hold, a secret.
var secretWords = []string{"password", "token", "secret", "key", "header", "command", "auth", "credential"}

// hides reports whether the value of a field is not shown.
func hides(field string) bool {
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(field, word) })
}

// flatten lists the scalars of a document by their paths, as they are written.
func flatten(n *yaml.Node, path string, into map[string]string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			flatten(n.Content[i+1], join(path, n.Content[i].Value), into)
		}
	case yaml.SequenceNode:
		for i, each := range n.Content {
			flatten(each, fmt.Sprintf("%s[%d]", path, i), into)
		}
	case yaml.ScalarNode:
		if n.Tag != "!!null" {
			into[path] = n.Value
		}
	}
}
