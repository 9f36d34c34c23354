package pipeline

import (
	"encoding/json"
	"maps"
	"slices"

	"waybill/cdc"
	"waybill/transform"
)

// firstRun ends the first readings of a source when none of them is under way any more: documents are made of the rows, then
// the held changes are applied. A table that cannot be read does not keep the others; its own changes stay held.
func (p *projector) firstRun(s *state, source string) error {
	var tables []string
	for _, table := range slices.Sorted(maps.Keys(p.readings)) {
		r := p.readings[table]
		if r.Source != source || !r.First {
			continue
		}
		if r.live() {
			return nil
		}
		if r.State == ReadingRead {
			tables = append(tables, table)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	raw, err := json.Marshal(firstWork{Tables: tables})
	if err != nil {
		return err
	}
	list, err := settle(source, false, tables, work{Kind: workFirst, Key: source, Detail: raw})
	if err != nil {
		return err
	}
	src, err := s.source(source)
	if err != nil {
		return err
	}
	src.Seeded = true
	if err := s.save(bucketSource, source, src); err != nil {
		return err
	}
	return s.addWorks(list...)
}

// holdFirst holds a change until the first readings of its source are in.
func (p *projector) holdFirst(s *state, ref holdRef, ch *cdc.Change) error {
	if err := p.mapper.Hold(s, ch); err != nil {
		return err
	}
	return s.hold(key(ch.Source, ""), ref, ch)
}

// firstWork is the detail of a workFirst.
type firstWork struct {
	Tables []string `json:"tables"`
	Tx     string   `json:"tx,omitempty"` // commit of the last change applied: its documents are not judged yet
}

// releaseFirst applies the changes that first readings held, in journal order. What its chunk included already is not applied
// again; changes of a table that could not be read stay held.
func (p *projector) releaseFirst(s *state, w *work, at transform.Entry) (done bool, err error) {
	var first firstWork
	if err := json.Unmarshal(w.Detail, &first); err != nil {
		return false, err
	}
	var scan *heldScan
	done, err = s.each(bucketHold, key(w.Key, "")+sep, &w.Cursor, func(k string, raw []byte) (more bool, err error) {
		var h heldChange
		if err := json.Unmarshal(raw, &h); err != nil {
			return false, err
		}
		if scan, err = p.find(scan, h); err != nil {
			return false, err
		}
		ch := scan.reader.Change()
		if first.Tx != ch.Tx.Commit {
			if err := p.commitAll(s, at); err != nil {
				return false, err
			}
			first.Tx = ch.Tx.Commit
		}
		table := p.mapper.TableKey(ch.Source, ch.Schema.Table)
		if !slices.Contains(first.Tables, table) {
			return true, nil
		}
		if err := s.Delete(bucketHold, k); err != nil {
			return false, err
		}
		entry := at
		entry.Index = h.Entry
		return true, p.release(s, entry, ch, h, table)
	})
	if err == nil && done {
		if err = p.commitAll(s, at); err == nil {
			err = p.firstDone(s, first.Tables)
		}
	}
	if err == nil {
		w.Detail, err = json.Marshal(first)
	}
	return done, err
}

// release applies one held change, unless the row came with it.
func (p *projector) release(s *state, at transform.Entry, ch *cdc.Change, h heldChange, table string) error {
	number, err := p.mapper.ChunkOf(s, ch)
	if err != nil {
		return err
	}
	if number > 0 {
		view, err := s.Get(bucketView, viewKey(table, number))
		if err != nil {
			return err
		}
		included, err := p.codecs.Sees(string(view), ch.Tx)
		if err != nil {
			return err
		}
		if included {
			if at.Echo, err = p.echoOf(s, ch); err != nil {
				return err
			}
			return p.mapper.Included(s, &output{s: s, entry: at, change: ch, unit: h.N}, at, ch)
		}
	}
	return p.apply(s, at, ch, holdRef{h.Entry, h.N, h.N})
}

// commitAll judges the documents of a transaction that has ended.
func (p *projector) commitAll(s *state, at transform.Entry) error {
	for {
		more, err := p.mapper.Commit(s, &output{s: s, entry: at}, at, commitLimit)
		if err != nil || !more {
			return err
		}
	}
}

func (p *projector) firstDone(s *state, tables []string) error {
	for _, table := range tables {
		next := *p.readings[table]
		next.State = ReadingDone
		if err := p.saveReading(s, table, &next); err != nil {
			return err
		}
	}
	return nil
}
