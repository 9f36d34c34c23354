package transform

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// rowKeys are the fixed keys of a row of the registry in an inline test; every other is an attribute.
var rowKeys = []string{"kind", "company", "system", "role", "key", "canonical", "valid_from", "valid_to", "state"}

// registryRows reads the step { registry: rows }: what people have entered and approved by then.
func (c *compiler) registryRows(n *yaml.Node) (rows []RegistryRow) {
	if n.Kind != yaml.SequenceNode {
		c.fault(n, describe(n), "a list of rows of the registry", "")
		return nil
	}
	for _, entry := range n.Content {
		r := RegistryRow{State: RowActive, Attributes: map[string]string{}}
		got := map[string]string{}
		for _, f := range c.fields(entry, "a row of the registry") {
			text := c.text(f.value, f.key)
			if got[f.key] = text; !slices.Contains(rowKeys, f.key) {
				r.Attributes[f.key] = text
			}
		}
		for _, need := range []string{"kind", "system", "key", "canonical"} {
			if got[need] == "" {
				c.fault(entry, "a row of the registry without "+need, "kind, system, key and canonical", "")
			}
		}
		if _, known := registryKinds[got["kind"]]; !known && got["kind"] != "" {
			c.fault(entry, fmt.Sprintf("the kind %q", got["kind"]), "a kind of the registry", suggest(got["kind"], RegistryKinds()))
		}
		r.RegistryKey = RegistryKey{Kind: got["kind"], Company: got["company"], System: got["system"], Role: got["role"], Key: got["key"]}
		r.Canonical, r.From, r.To = got["canonical"], c.day(entry, got["valid_from"]), c.day(entry, got["valid_to"])
		if s := RegistryState(got["state"]); s != "" {
			r.State = s
		}
		if !slices.Contains([]RegistryState{RowProposed, RowActive, RowClosed, RowRejected}, r.State) {
			c.fault(entry, fmt.Sprintf("the state %q", r.State), "proposed, active, closed or rejected", "")
		}
		rows = append(rows, r)
	}
	return rows
}

// enter puts rows into the registry as a decision does, and lets what waits for their keys go on.
func (b *bench) enter(rows []RegistryRow) error {
	for _, r := range rows {
		b.entered++
		r.ID, r.By, r.At = fmt.Sprintf("R-%06d", b.entered), "test", b.clock
		if err := (Registry{b.st}).Put(r); err != nil {
			return err
		}
		if err := b.p.Retry(b.st, b.out, b.entry(), r.Fingerprint()); err != nil {
			return err
		}
	}
	return b.fire()
}
