package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Classes are the classes of problems (domain.md §4), and SOURCE: what a source itself could not tell.
var Classes = []string{"TRANSIENT", "WAITING", "DATA", "MASTER", "POLICY", "UNCERTAIN", "MAPPING", "BUG", "SOURCE"}

// duties say who has to settle exceptions, and how soon: by class or by code, of which the code counts first.
type duties struct {
	due    map[string]time.Duration
	owners map[string]string
}

// Due is how soon after its opening an exception has to be settled; 0 when the mapping does not say.
func (m *Mapping) Due(class, code string) time.Duration {
	if d, ok := m.duties.due[code]; ok {
		return d
	}
	return m.duties.due[class]
}

// Owner is the team that the mapping names for an exception; empty when it names none.
func (m *Mapping) Owner(class, code string) string {
	if o, ok := m.duties.owners[code]; ok {
		return o
	}
	return m.duties.owners[class]
}

var codeForm = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)

// exceptionDuties reads the section exceptions.
func (c *compiler) exceptionDuties(f field) {
	got := c.record(f.value, "exceptions", []string{"due", "owners"}, map[string]string{"escalate": "due: what is not settled by then is told to alerts"})
	c.m.duties = duties{map[string]time.Duration{}, map[string]string{}}
	if d, ok := got["due"]; ok {
		for _, x := range c.fields(d.value, "due") {
			if c.problem(x) {
				c.m.duties.due[x.key] = c.duration(x.value)
			}
		}
	}
	if o, ok := got["owners"]; ok {
		for _, x := range c.fields(o.value, "owners") {
			if c.problem(x) {
				c.m.duties.owners[x.key] = c.text(x.value, "the team")
			}
		}
	}
}

// problem refuses what is neither a class nor looks like a code. Codes are the targets' too, so there is no list of them; but a
// word that is nearly a class is a slip of the pen.
func (c *compiler) problem(f field) bool {
	near := slices.ContainsFunc(Classes, func(class string) bool { return distance(f.key, class) <= 2 })
	if slices.Contains(Classes, f.key) || codeForm.MatchString(f.key) && !near {
		return true
	}
	c.fault(f.at, fmt.Sprintf("%q", f.key), "a class ("+strings.Join(Classes, ", ")+") or a code such as UNKNOWN_CUSTOMER", suggest(f.key, Classes))
	return false
}
