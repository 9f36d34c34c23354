package transform

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// shadowOf is the mapping's name for a posting that it marks with shadow, and nothing for one that is sent.
func (m *Mapping) shadowOf(p *post) string {
	if m.shadow || p.shadow {
		return m.name
	}
	return ""
}

// Shadowed lists the "<sink>.<entity>" that a mapping keeps in shadow, in the order of the file.
func (m *Mapping) Shadowed() []string {
	var targets []string
	for _, p := range m.posts {
		if m.shadowOf(p) != "" && !contains(targets, p.target()) {
			targets = append(targets, p.target())
		}
	}
	return targets
}

// flag reads true or false.
func (c *compiler) flag(n *yaml.Node) bool {
	var yes bool
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&yes) != nil {
		c.fault(n, fmt.Sprintf("shadow: %s", describe(n)), "true or false", "true")
	}
	return yes
}
