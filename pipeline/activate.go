package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// prepare projects what the last run left, and activates the mapping.
func (p *Pipeline) prepare(ctx context.Context) error {
	active, err := p.project.load()
	if err != nil {
		return err
	}
	if err := p.project.catchUp(ctx); err != nil {
		return err
	}
	if p.project.mapping != nil { // catchUp may have activated a newer one
		if active, err = p.project.load(); err != nil {
			return err
		}
	}
	if err := p.activate(ctx, active); err != nil {
		return err
	}
	if err := p.doubt(ctx, noteDoubt); err != nil {
		return err
	}
	return p.positions()
}

func (p *Pipeline) activate(ctx context.Context, active *mappingEntry) error {
	if active != nil && active.Text == string(p.o.Text) {
		return nil
	}
	if active != nil {
		if err := p.extends(p.project.mapping); err != nil {
			return err
		}
		p.changed = active.Version
	}
	payload, err := json.Marshal(mappingEntry{p.o.Mapping.Version(), p.o.File, string(p.o.Text)})
	if err != nil {
		return err
	}
	if _, err := p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Mapping, Payload: payload}); err != nil {
		return fmt.Errorf("journalling the activation of %s: %w", p.o.Mapping.Version(), err)
	}
	p.log.Info("mapping activated", "mapping", p.o.Mapping.Version(), "before", p.changed)
	return p.project.catchUp(ctx)
}

// extends refuses a mapping that reads columns which were not captured so far of a table that was: their history is not here, so
// that source must be read again. A table that was not captured at all is read beside the stream.
func (p *Pipeline) extends(old *transform.Mapping) error {
	if old == nil {
		return nil
	}
	for _, name := range p.o.Mapping.Sources() {
		captured, tables := map[string]bool{}, map[cdc.Table]bool{}
		for _, sel := range old.Selections(name) {
			tables[sel.Table] = true
			for _, col := range sel.Columns {
				captured[sel.Table.String()+" "+col] = true
			}
		}
		src, err := p.sourceState(name)
		if err != nil {
			return err
		}
		if src.Position == "" {
			continue // it will be read from the beginning anyway
		}
		for _, sel := range p.o.Mapping.Selections(name) {
			if !tables[sel.Table] {
				continue
			}
			for _, col := range sel.Columns {
				if !captured[sel.Table.String()+" "+col] {
					return fmt.Errorf("mapping %s reads %s.%s of source %s, which %s did not capture; run `waybill checkpoint reset %s --to snapshot`, then start again",
						p.o.Mapping.Version(), sel.Table, col, name, old.Version(), name)
				}
			}
		}
	}
	return nil
}

func (p *Pipeline) sourceState(name string) (src sourceState, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		src, err = newState(tx).source(name)
		return err
	})
	return src, err
}

// positions gives each capture the resume point that the journal holds.
func (p *Pipeline) positions() error {
	for _, c := range p.captures {
		src, err := p.sourceState(c.name)
		if err != nil {
			return err
		}
		c.begin(src)
	}
	return nil
}
