package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in the file.
type Fault struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"` // from 1; 0 when the fault is not about one line
	Field    string `json:"field,omitempty"`
	Found    string `json:"found,omitempty"`
	Expected string `json:"expected,omitempty"`
	Do       string `json:"do,omitempty"` // what to do, one sentence
}

// String is one line: file:line: field: found …, expected …. What to do.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if f.Field != "" {
		b.WriteString(": " + f.Field)
	}
	if f.Found != "" {
		b.WriteString(": found " + f.Found)
	}
	if f.Expected != "" {
		if f.Found != "" {
			b.WriteString(",")
		} else {
			b.WriteString(":")
		}
		b.WriteString(" expected " + f.Expected)
	}
	if f.Do != "" {
		if f.Found != "" || f.Expected != "" {
			b.WriteString(".")
		} else {
			b.WriteString(":")
		}
		b.WriteString(" " + f.Do)
	}
	return b.String()
}

// Faults is every fault of a file, in the order of its lines. It is the error that Load returns.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return f
}
