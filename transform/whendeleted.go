package transform

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// whenDeleted reads when_deleted of a rule for master data: the fields that a deleted entity has instead of those of set. A row that is
// deleted then is the same entity, once more, mostly with active: false. Without it a deletion changes nothing in the targets.
func (c *compiler) whenDeleted(f field, e *eventRule, sc *scope) {
	if e.lane != LaneMaster {
		c.fault(f.at, "when_deleted in an event that is not of the master lane", "lane: master; other events say when: deleted()", "")
		return
	}
	own := *sc
	own.fields = map[string]*cel.Type{}
	for _, s := range c.settings(f, &own) {
		i := slices.IndexFunc(e.set, func(o setting) bool { return o.name == s.name })
		if i < 0 {
			var names []string
			for _, o := range e.set {
				names = append(names, o.name)
			}
			c.fault(f.at, fmt.Sprintf("the field %s in when_deleted", s.name), "a field of set: "+strings.Join(names, ", "), suggest(s.name, names))
			continue
		}
		if e.gone == nil {
			e.gone = slices.Clone(e.set)
		}
		e.gone[i] = s
	}
}
