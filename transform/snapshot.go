package transform

import (
	"fmt"
	"slices"
	"strconv"

	"waybill/cdc"
)

// Ended names what a snapshot or a reading has brought to its end.
type Ended struct {
	Source  string
	Tables  []string // as TableKey names them; nil for all tables of the source
	Partial bool     // only a part of the rows was asked for: what did not come has not vanished
}

func (e *Ended) has(t *table) bool {
	return t.source.name == e.Source && (e.Tables == nil || slices.Contains(e.Tables, t.key()))
}

// SnapshotEnd finishes a snapshot after its last part, or a reading after its last chunk: a bounded, resumable list of work. from
// is empty at first, then what the call before returned; limit bounds the rows that one call looks at. next is empty when
// everything is done.
//
// For each table, in the order of the mapping: rows that an earlier snapshot had and this one has not are
// deletes; headers that a first snapshot brought are released documents, tested by the cut-over and adopted.
func (p *Mapper) SnapshotEnd(st State, out Output, at Entry, ended Ended, from string, limit int) (next string, err error) {
	r := p.run(st, out, at)
	step, key := 0, ""
	if from != "" {
		parts := stateParts(from)
		if step, err = strconv.Atoi(parts[0]); err != nil || len(parts) != 2 {
			return "", fmt.Errorf("snapshot work list %q: %w", from, errRowState)
		}
		key = parts[1]
	} else if err := r.openAll(&ended); err != nil {
		return "", err
	}
	for ; step < 2*len(p.m.order); step, key = step+1, "" {
		t := p.m.order[step%len(p.m.order)]
		if !ended.has(t) || step < len(p.m.order) && ended.Partial {
			continue
		}
		work := r.vanished // all tables first, so that documents see what is left
		if step >= len(p.m.order) {
			work = r.seeded
		}
		n, more, err := work(t, key, limit)
		if err != nil {
			return "", err
		}
		if more != "" {
			return stateKey(strconv.Itoa(step), more), nil
		}
		limit = max(limit-n, 1)
	}
	return "", r.closeAll(&ended)
}

// openAll counts the snapshot for tables of which it had no row.
func (r *run) openAll(ended *Ended) error {
	for _, t := range r.m.order {
		if ended.has(t) {
			if _, err := r.p.snapshotRow(r.st, t.key()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) closeAll(ended *Ended) error {
	for _, t := range r.m.order {
		if !ended.has(t) {
			continue
		}
		g, err := r.p.generation(r.st, t.key())
		if err != nil {
			return err
		}
		first := !g.done
		g.open, g.done = false, true
		if err := r.p.keep(r.st, t.key(), g); err != nil {
			return err
		}
		if first {
			if err := r.firstRead(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// page reads at most limit rows of a table from the key on; more is where to go on.
func (r *run) page(t *table, from string, limit int) (rows []*row, generations []uint64, more string, err error) {
	err = r.st.Scan(t.bucket(), "", from, func(k string, raw []byte) (bool, error) {
		if len(rows) == limit {
			more = k
			return false, nil
		}
		g, found, err := decodeRow(t, raw)
		if err != nil {
			return false, fmt.Errorf("reading row state of %s: %w", t.key(), err)
		}
		found.key = k
		rows, generations = append(rows, found), append(generations, g)
		return true, nil
	})
	return rows, generations, more, err
}

// vanished makes deletes of the rows that the snapshot did not see.
func (r *run) vanished(t *table, from string, limit int) (int, string, error) {
	g, err := r.p.generation(r.st, t.key())
	if err != nil || !g.done && g.number == 1 { // of a first reading that was begun anew rows may be left
		return 0, "", err
	}
	rows, generations, more, err := r.page(t, from, limit)
	if err != nil {
		return 0, "", err
	}
	for i, gone := range rows {
		if generations[i] == g.number {
			continue
		}
		c := rowChange{table: t, op: cdc.Delete, key: gone.key, cause: r.ending(t, g, gone.key)}
		if err := r.store(&c); err != nil {
			return 0, "", err
		}
	}
	return len(rows), more, nil
}

// seeded makes the documents of a first snapshot.
func (r *run) seeded(t *table, from string, limit int) (int, string, error) {
	g, err := r.p.generation(r.st, t.key())
	if err != nil || g.done || len(t.root) == 0 {
		return 0, "", err
	}
	rows, _, more, err := r.page(t, from, limit)
	if err != nil {
		return 0, "", err
	}
	for _, h := range rows {
		for _, d := range t.root {
			if err := r.seedDocument(d, h, r.ending(t, g, h.key)); err != nil {
				return 0, "", err
			}
		}
	}
	return len(rows), more, nil
}

func (r *run) seedDocument(d *document, h *row, by cause) error {
	f := &frame{m: r.m, st: r.st, op: cdc.Insert}
	f.rows[newRow] = h
	var err error
	if f.beside, err = r.besides(d, h, true); err != nil {
		return err
	}
	e, err := r.match(d, f, true)
	if err != nil || e == nil || e.others != "" {
		return err
	}
	key, _ := r.keyOf(d, f)
	rec, err := r.record(d, key)
	if err != nil || rec == nil || rec.Pending != nil || len(rec.Done) > 0 {
		return err
	}
	past, _, err := r.historic(d, f, d.name+"/"+rec.Key)
	if err != nil {
		return err
	}
	if past {
		if err := r.creditedBefore(d, e, rec, nil); err != nil {
			return err
		}
		return r.history(d, e, rec)
	}
	by.Adopt = true
	return r.release(d, rec, by, f)
}

// history remembers that a correction was made before the cut-over, for what must come after it.
func (r *run) history(d *document, e *emitRule, rec *docRecord) error {
	if rec.Original == "" {
		return nil
	}
	rootKey, err := r.rootOf(d, rec)
	if err != nil {
		return err
	}
	g, err := r.group(d, rootKey)
	if err != nil {
		return err
	}
	g.emitted(e.typ, rec.Original)
	return r.saveGroup(d, rootKey, g)
}

// ending is the cause of what follows from the end of a snapshot: the snapshot's number and the row.
func (r *run) ending(t *table, g generation, key string) cause {
	return cause{Source: t.source.name, Identity: "snapshot of " + t.source.name, Commit: "snapshot " + strconv.FormatUint(g.number, 10), Table: t.name.String(),
		Ordinal: "row/" + key, At: r.at.Observed, Index: r.at.Index, Observed: r.at.Observed}
}
