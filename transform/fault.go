package transform

import (
	"fmt"
	"strings"
)

// Fault is one mistake in a mapping file: what was found, what is expected there, and what to write.
type Fault struct {
	File     string
	Line     int
	Found    string
	Expected string
	Fix      string
}

// Error writes the fault on one line.
func (f Fault) Error() string {
	s := fmt.Sprintf("%s:%d: found %s", f.File, f.Line, f.Found)
	if f.Expected != "" {
		s += "; expected " + f.Expected
	}
	if f.Fix != "" {
		s += "; write " + f.Fix
	}
	return s
}

// Faults is every mistake of a file, in the order of its lines.
type Faults []Fault

// Error writes one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}
