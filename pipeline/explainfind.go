package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// find tells which changes are meant.
func (h *History) find(q ExplainRequest) (at spot, err error) {
	err = h.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		rows, refs, err := s.meant(q)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r notedRow) bool { return q.Table != "" && !sameTable(r.Table, q.Table) })
		if len(rows) == 0 {
			return fmt.Errorf("no change of %s is known: give an event's id, an exception's, a position as trace shows it, or a key such as invoice/A10023: %w",
				strings.TrimSpace(q.Table+" "+q.What), ErrNotFound)
		}
		newest := slices.MaxFunc(rows, func(a, b notedRow) int { return compareRows(a, b) })
		at = spot{entry: newest.index, refs: refs}
		if refs != nil { // about a thing: its newest change alone
			at.units = []uint64{newest.unit}
			return nil
		}
		for _, r := range rows {
			if r.index == newest.index && !slices.Contains(at.units, r.unit) {
				at.units = append(at.units, r.unit)
			}
		}
		slices.Sort(at.units)
		return nil
	})
	return at, err
}

func compareRows(a, b notedRow) int {
	if a.index != b.index {
		return int(int64(a.index - b.index))
	}
	return int(int64(a.unit - b.unit))
}

// sameTable lets a table be named with its schema or without.
func sameTable(noted, asked string) bool {
	if noted == asked {
		return true
	}
	source, table, _ := strings.Cut(noted, ".")
	s, t, _ := strings.Cut(asked, ".")
	return s == source && t[strings.LastIndexByte(t, '.')+1:] == table || !strings.Contains(asked, ".") && asked == table
}

// meant gathers the row changes that a question may mean. refs is what it is about; nil when it names a commit.
func (s *state) meant(q ExplainRequest) (rows []notedRow, refs []string, err error) {
	if x, err := s.exception(q.What); err != nil || x != nil {
		if err != nil {
			return nil, nil, err
		}
		rows, err := s.rowsOf([]string{x.Problem.Subject}, x.Index)
		return rows, []string{x.Problem.Subject}, err
	}
	if e, err := s.eventLike(q.What); err != nil || e != nil {
		if err != nil {
			return nil, nil, err
		}
		rows, err := s.rowsOf(eventRefs(*e), e.Index)
		parts := strings.Split(e.Source, "/") // /<mapping>/<source>/<schema>.<table>
		return slices.DeleteFunc(rows, func(r notedRow) bool {
			return r.index != e.Index || r.Commit != e.Position || !sameTable(r.Table, strings.Join(parts[min(2, len(parts)):], "."))
		}), eventRefs(*e), err
	}
	if refs, err = s.refs(q.What); err != nil {
		return nil, nil, err
	}
	if len(refs) > 0 {
		if rows, err = s.rowsOf(refs, 0); err != nil || len(rows) > 0 {
			return rows, refs, err
		}
	}
	rows, err = s.rowsAt(q.What)
	return rows, nil, err
}

// eventLike finds an event by its id or the beginning of it, when that is of one alone.
func (s *state) eventLike(id string) (*transform.Event, error) {
	if len(id) < 8 || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, nil
	}
	var seqs []string
	err := s.Scan(bucketEventID, id, "", func(_ string, seq []byte) (bool, error) {
		seqs = append(seqs, string(seq))
		return len(seqs) < 2, nil
	})
	if err != nil || len(seqs) != 1 {
		return nil, err
	}
	return s.event(seqs[0])
}

// rowsOf lists the changes about references up to a journal entry; 0 for all.
func (s *state) rowsOf(refs []string, until uint64) (rows []notedRow, err error) {
	known, err := s.mentionsOf(refs, 0, traceMost)
	for _, ref := range refs {
		for _, r := range known.rows[ref] {
			if until == 0 || r.index <= until {
				rows = append(rows, r)
			}
		}
	}
	return rows, err
}

// rowsAt lists the changes of one commit. It walks over all that is noted.
func (s *state) rowsAt(commit string) (rows []notedRow, err error) {
	take := func(r notedRow) {
		if r.Commit == commit && len(rows) < traceMost {
			rows = append(rows, r)
		}
	}
	err = s.Scan(bucketBlock, "", "", func(_ string, block []byte) (bool, error) {
		return len(rows) < traceMost, eachMention(block, func(_ uint64, r notedRow) { take(r) }, func(uint64, uint64) {})
	})
	if err != nil {
		return nil, err
	}
	err = s.Scan(bucketRow, "", "", func(k string, v []byte) (bool, error) {
		n, err := decodeRowNote(v)
		parts := strings.Split(k, sep)
		take(notedRow{n, unhex(parts[len(parts)-2]), unhex(parts[len(parts)-1])})
		return len(rows) < traceMost, err
	})
	return rows, err
}
