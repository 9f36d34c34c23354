package pipeline

import (
	"context"
	"fmt"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// prepare projects what the last run left, and activates the mappings.
func (p *Pipeline) prepare(ctx context.Context) error {
	if _, err := p.project.load(); err != nil {
		return err
	}
	if err := p.project.catchUp(ctx); err != nil {
		return err
	}
	known, err := p.project.load() // catchUp may have activated newer ones
	if err != nil {
		return err
	}
	if err := p.demands(ctx); err != nil {
		return err
	}
	if err := p.activate(ctx, known); err != nil {
		return err
	}
	if err := p.doubt(ctx, noteDoubt); err != nil {
		return err
	}
	return p.positions()
}

// extends refuses a mapping that reads columns which were not captured so far of a table that was: their history is not here, so
// that source must be read again. A table that was not captured at all is read beside the stream. What is known of a source that
// another mapping read, and of documents under another company, would not be found again: both are refused.
func (p *Pipeline) extends(old *transform.Carriers, known map[string]activation) error {
	fresh := p.o.Carriers
	inPlace := len(fresh.Mappings()) == 1 && len(known) == 1 // one mapping, whatever it is called
	for _, name := range fresh.Sources() {
		src, err := p.sourceState(name)
		if err != nil {
			return err
		}
		was, is := old.Reader(name), fresh.Reader(name)
		if src.Position == "" || was == nil {
			continue // it will be read from the beginning anyway
		}
		if !inPlace && was.Name() != is.Name() {
			return fmt.Errorf("mapping %s reads source %s, which %s read so far; run `waybill checkpoint reset %s --to snapshot`, then start again",
				is.Version(), name, was.Version(), name)
		}
		if was.Company() != is.Company() {
			return fmt.Errorf("mapping %s is of the company %q, what was captured of source %s is of %q: its documents would not be found again; "+
				"keep the company, or give the daemon a new data folder", is.Version(), is.Company(), name, was.Company())
		}
		if err := extendsSource(was, is, name); err != nil {
			return err
		}
	}
	return nil
}

func extendsSource(was, is *transform.Mapping, name string) error {
	captured, tables := map[string]bool{}, map[cdc.Table]bool{}
	for _, sel := range was.Selections(name) {
		tables[sel.Table] = true
		for _, col := range sel.Columns {
			captured[sel.Table.String()+" "+col] = true
		}
	}
	for _, sel := range is.Selections(name) {
		if !tables[sel.Table] {
			continue
		}
		for _, col := range sel.Columns {
			if !captured[sel.Table.String()+" "+col] {
				return fmt.Errorf("mapping %s reads %s.%s of source %s, which %s did not capture; run `waybill checkpoint reset %s --to snapshot`, then start again",
					is.Version(), sel.Table, col, name, was.Version(), name)
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
