package transform

import (
	"strconv"
	"strings"

	"waybill/cdc"
)

// A reading brings a table's rows, chunk by chunk, between the changes of the stream. While it is open, what happened to
// a row meanwhile is noted under bucketTouched: during a compared reading the last transaction that the stream brought, so that an
// older chunk does not overwrite it; during a first reading, whose table's changes the caller holds, the chunk that brought the
// row, so that what the chunk included already is not applied again.

// Reading says to which reading a chunk's row belongs and what its rows include.
type Reading struct {
	ID     uint64
	First  bool // the table was never read: its rows seed, the stream's changes of it are held
	Number int  // of the chunk, from 1
	// Sees reports whether the chunk's rows include what the transaction did.
	Sees func(cdc.Tx) (bool, error)
}

// TableKey names the table that the mapping reads, or is empty when it reads none of that name.
func (p *Mapper) TableKey(source string, t cdc.Table) string {
	if known := p.m.table(source, t); known != nil {
		return known.key()
	}
	return ""
}

// table finds a table by its source and its name in the database. Named without schema, the source's own is meant, whatever it
// is called there.
func (m *Mapping) table(source string, t cdc.Table) *table {
	known := m.tables[source+"."+t.String()]
	if _, message := t.Prefix(); known != nil || message {
		return known
	}
	return m.tables[source+"."+t.Name]
}

// Seen reports whether a reading of the table was ever complete.
func (p *Mapper) Seen(st State, table string) (bool, error) {
	g, err := p.generation(st, table)
	return g.done, err
}

// OpenReading begins a reading of a table, named as by TableKey.
func (p *Mapper) OpenReading(st State, table string) error {
	g, err := loadGeneration(st, table)
	if err != nil {
		return err
	}
	g.number++
	g.open = true
	return p.keep(st, table, g)
}

// generation returns what is known of a table's readings, remembered between calls.
func (p *Mapper) generation(st State, table string) (generation, error) {
	if g, ok := p.generations[table]; ok {
		return g, nil
	}
	g, err := loadGeneration(st, table)
	if err == nil {
		p.generations[table] = g
	}
	return g, err
}

func (p *Mapper) keep(st State, table string, g generation) error {
	p.generations[table] = g
	return g.save(st, table)
}

// Hold notes that the caller holds a change because its table's first reading is not complete.
func (p *Mapper) Hold(st State, ch *cdc.Change) error {
	b := p.bind(ch.Schema)
	if b == nil || ch.Op == cdc.Truncate {
		return nil
	}
	if err := b.understood(st, ch.Schema); err != nil {
		return err
	}
	keys, err := b.bothKeys(ch)
	for _, k := range keys {
		var known []byte
		if err == nil {
			known, err = st.Get(bucketTouched, stateKey(b.table.key(), k))
		}
		if err == nil && known == nil {
			err = touch(st, b.table, k, "")
		}
	}
	return err
}

// ChunkOf returns the number of the chunk of the table's first reading that brought the row of a held change; 0 for none.
func (p *Mapper) ChunkOf(st State, ch *cdc.Change) (int, error) {
	b := p.bind(ch.Schema)
	if b == nil || ch.Op == cdc.Truncate {
		return 0, nil
	}
	keys, err := b.bothKeys(ch)
	if err != nil {
		return 0, err
	}
	for i := len(keys) - 1; i >= 0; i-- { // the key after the change first
		raw, err := st.Get(bucketTouched, stateKey(b.table.key(), keys[i]))
		if err != nil {
			return 0, err
		}
		if len(raw) > 0 {
			return strconv.Atoi(string(raw))
		}
	}
	return 0, nil
}

// Included makes the events of a held change whose outcome a chunk has brought: the row is there, what happened to it is
// news all the same. Only the log's own images are asked; a rule that reads what they do not carry makes no event, because the row's
// value before is not known any more: a first reading seeds.
func (p *Mapper) Included(st State, out Output, at Entry, ch *cdc.Change) error {
	b := p.bind(ch.Schema)
	if b == nil || ch.Op == cdc.Truncate {
		return nil
	}
	_, key, before, now, err := b.rows(ch)
	if err != nil {
		return err
	}
	c := rowChange{table: b.table, op: ch.Op, cause: causeOf(ch, at), key: key, before: before, now: now}
	if c.op != cdc.Insert && !before.complete() || c.op != cdc.Delete && !now.complete() {
		return nil
	}
	before.name(key)
	now.name(key)
	r := p.run(st, out, at)
	if c.table.deleted != nil {
		if is, err := r.flagged(&c); err != nil || !is {
			return err
		}
	}
	if err := r.refs(&c); err != nil {
		return err
	}
	for _, e := range c.table.events {
		if e.lane == LaneMaster {
			continue // the chunk's row told the entity's newer state
		}
		if err := r.event(e, &c); err != nil {
			return err
		}
	}
	return nil
}

// complete reports whether the log carried every column that rules read.
func (r *row) complete() bool {
	if r == nil {
		return false
	}
	for _, v := range r.vals {
		if v.State == cdc.Absent {
			return false
		}
	}
	return true
}

// Forget drops at most limit notes about a table whose reading is over, from the key on that the call before returned, and reports
// whether none is left.
func (p *Mapper) Forget(st State, table, from string, limit int) (next string, done bool, err error) {
	var keys []string
	err = st.Scan(bucketTouched, stateKey(table, ""), from, func(k string, _ []byte) (bool, error) {
		keys = append(keys, k)
		return len(keys) < limit, nil
	})
	for _, k := range keys {
		if err == nil {
			err = st.Delete(bucketTouched, k)
		}
		next = k + "\x00"
	}
	return next, len(keys) < limit, err
}

func touch(st State, t *table, key, note string) error {
	return st.Put(bucketTouched, stateKey(t.key(), key), []byte(note))
}

// touched notes what the stream did to a row while a compared reading of its table is open.
func (r *run) touched(c *rowChange) error {
	return touch(r.st, c.table, c.key, c.tx.Commit+"\x00"+c.tx.XID)
}

// stale reports whether the stream has brought a newer version of a chunk's row.
func (r *run) stale(c *rowChange) (bool, error) {
	rd := r.at.Reading
	if rd == nil {
		return false, nil
	}
	raw, err := r.st.Get(bucketTouched, stateKey(c.table.key(), c.key))
	if err != nil || raw == nil {
		return false, err
	}
	if rd.First {
		return false, touch(r.st, c.table, c.key, strconv.Itoa(rd.Number))
	}
	commit, xid, _ := strings.Cut(string(raw), "\x00")
	sees, err := rd.Sees(cdc.Tx{Commit: commit, XID: xid})
	return !sees, err
}

// bothKeys returns the row's key before and after the change, once when they are equal.
func (b *binding) bothKeys(ch *cdc.Change) ([]string, error) {
	oldKey, newKey, _, _, err := b.rows(ch)
	switch {
	case err != nil:
		return nil, err
	case newKey == "" || newKey == oldKey:
		return []string{oldKey}, nil
	}
	return []string{oldKey, newKey}, nil
}
