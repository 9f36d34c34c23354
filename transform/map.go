package transform

import (
	"bytes"
	"fmt"
	"time"

	"waybill/cdc"
)

// The buckets of a Mapper in the State, beside "row/<source>.<schema>.<table>", "map/xref/<name>" and "map/doc/<name>".
const (
	bucketShape    = "map/shape"    // table → columns and kinds that its row state was built with
	bucketSnapshot = "map/snapshot" // table → generation
	bucketMaster   = "map/master"   // event type, key → version of the entity
	bucketHeld     = "map/held"     // id → heldChange
	bucketWaits    = "map/waits"    // fingerprint, subject, kind, id → title: who waits on what
	bucketGroup    = "map/group"    // document, root → group
	bucketTouched  = "map/touched"  // table, key → what happened to the row during a reading of the table
	bucketPending  = "map/pending"  // document, join value → keys of waiting documents
)

// Mapper runs a mapping's rules over entries. It remembers nothing between calls but what State holds, and must not be used by
// two goroutines. An error of its methods means a bug or a broken State, and the pipeline stops; everything about the data
// becomes a Problem. The one exception is HoldTable.
type Mapper struct {
	m        *Mapping
	bindings map[*cdc.Schema]*binding
	zones    map[string]*time.Location
	// generations remembers what State says of each table's readings.
	generations map[string]generation
}

// NewMapper returns a mapper for the mapping.
func NewMapper(m *Mapping) (*Mapper, error) {
	if m == nil {
		return nil, fmt.Errorf("making a mapper: no mapping")
	}
	return &Mapper{m: m, bindings: map[*cdc.Schema]*binding{}, zones: map[string]*time.Location{},
		generations: map[string]generation{}}, nil
}

// HoldTable is returned by Mapper.Change when a table's rows are not understood any more: a column that rules read is gone or of
// another kind, or the source itself is not certain of the shape. Nothing of the change has been applied. The
// caller holds this change and every later one of the table, in order, and gives them to Change again when a mapping that
// understands them has been activated.
type HoldTable struct {
	Source string
	Table  cdc.Table
	Reason string
	// Uncertain says that the source itself does not know what the change did (cdc.Schema.Fault). No mapping will understand it:
	// the table must be read again.
	Uncertain bool
}

func (e *HoldTable) Error() string {
	return fmt.Sprintf("source %s, table %s is held: %s", e.Source, e.Table, e.Reason)
}

// run is one call of the Mapper.
type run struct {
	m     *Mapping
	st    State
	out   Output
	at    Entry
	p     *Mapper
	zones map[string]*time.Location // remembered for all calls
	// open while the rows of a transaction come in: documents are judged at its end.
	open bool
	// aging are questions whose answers were used and should be fresher soon.
	aging []*Question
}

func (p *Mapper) run(st State, out Output, at Entry) *run {
	return &run{p: p, m: p.m, st: st, out: out, at: at, zones: p.zones}
}

// rowChange is one change of one row with everything filled in.
type rowChange struct {
	table  *table
	op     cdc.Op // Insert, Update or Delete: how the row changed against what was known
	key    string
	before *row
	now    *row
	known  *row // as row state had it
	cause  cause
	first  bool   // a first snapshot saw the row: it seeds, and is not news
	tx     cdc.Tx // of the stream's change; zero for what follows from a snapshot, or is included in one
}

// Change maps one row change, from the stream or from a snapshot. After the last change of each transaction the caller
// calls Commit.
func (p *Mapper) Change(st State, out Output, at Entry, ch *cdc.Change) error {
	b := p.bind(ch.Schema)
	if b == nil {
		return nil
	}
	if err := b.understood(st, ch.Schema); err != nil {
		return err
	}
	r := p.run(st, out, at)
	r.open = true
	if ch.Op == cdc.Truncate {
		return r.truncated(b.table, ch)
	}
	if b.table.messages {
		return r.message(b, ch)
	}
	oldKey, newKey, before, now, err := b.rows(ch)
	if err != nil {
		return err
	}
	c := rowChange{table: b.table, op: ch.Op, cause: causeOf(ch, at)}
	if ch.Op != cdc.Snapshot && !at.Included {
		c.tx = ch.Tx
	}
	if ch.Op == cdc.Update && oldKey != newKey { // the key changed: another row, as far as anyone can tell
		gone := c
		gone.op, gone.key, gone.before = cdc.Delete, oldKey, before
		gone.cause.Ordinal += "/old"
		if err := r.store(&gone); err != nil {
			return err
		}
		now.fill(before)
		c.op, before = cdc.Insert, nil
	}
	c.key, c.before, c.now = newKey, before, now
	if at.Reading != nil { // the same row in another reading is another cause
		c.cause.Ordinal = fmt.Sprintf("reading %d/%s", at.Reading.ID, newKey)
	}
	if ch.Op == cdc.Delete {
		c.key = oldKey
	}
	return r.store(&c)
}

// store completes the change from row state, writes the new row state and runs the rules that the change may concern.
func (r *run) store(c *rowChange) error {
	raw, err := r.st.Get(c.table.bucket(), c.key)
	if err != nil {
		return err
	}
	var known *row
	var generation uint64
	read := c.op == cdc.Snapshot
	if raw != nil {
		if generation, known, err = decodeRow(c.table, raw); err != nil {
			return fmt.Errorf("reading row state of %s: %w", c.table.key(), err)
		}
	}
	c.known = known
	if c.op == cdc.Snapshot {
		if old, err := r.stale(c); err != nil || old {
			return err
		}
		g, err := r.p.snapshotRow(r.st, c.table.key())
		if err != nil {
			return err
		}
		generation, c.first, c.op = g.number, !g.done, cdc.Insert
		if known != nil {
			c.op = cdc.Update
		}
	} else if c.tx.Commit != "" {
		g, err := r.p.generation(r.st, c.table.key())
		if err != nil {
			return err
		}
		if g.open && g.done {
			generation = g.number // the reading need not see it
			if err := r.touched(c); err != nil {
				return err
			}
		}
	}
	switch c.op {
	case cdc.Insert:
		c.before = nil
	default:
		if c.before == nil {
			c.before = known
		} else {
			c.before.fill(known)
		}
		c.now.fill(c.before)
	}
	if c.op == cdc.Update && c.before == nil {
		c.before = unknownRow(c.table)
	}
	c.before.name(c.key)
	c.now.name(c.key)
	if c.table.deleted != nil {
		if is, err := r.flagged(c); err != nil || !is {
			return err
		}
	}
	if c.op == cdc.Delete {
		if err := r.st.Delete(c.table.bucket(), c.key); err != nil {
			return err
		}
		return r.rules(c)
	}
	fresh := appendRow(make([]byte, 0, len(raw)+64), generation, c.now)
	if bytes.Equal(fresh, raw) && c.op == cdc.Update {
		return nil // nothing that a rule reads
	}
	if err := r.st.Put(c.table.bucket(), c.key, fresh); err != nil {
		return err
	}
	if c.op == cdc.Update && equalRows(c.before, c.now) {
		if read {
			return r.indexAgain(c)
		}
		return nil
	}
	return r.rules(c)
}

// unknownRow stands for a row before its first known change: nothing of it is known.
func unknownRow(t *table) *row { return &row{table: t, vals: make([]cdc.Value, len(t.cols))} }

func (r *row) name(key string) {
	if r != nil {
		r.key = key
	}
}

func equalRows(a, b *row) bool {
	for i := range b.vals {
		if !b.same(a, i) {
			return false
		}
	}
	return true
}

// rules runs everything that reads the table.
func (r *run) rules(c *rowChange) error {
	for _, x := range c.table.xrefs {
		known, err := x.update(r.st, c.known, c.now)
		if err != nil {
			return err
		}
		if known != nil {
			if err := r.wake((&trouble{class: "MASTER", code: x.miss, cause: x.fingerprintCause(r.m, known)}).fingerprint()); err != nil {
				return err
			}
		}
	}
	if err := r.refs(c); err != nil {
		return err
	}
	for _, e := range c.table.events {
		if err := r.event(e, c); err != nil {
			return err
		}
	}
	c.first = c.first || r.at.Echo != "" // documents take it up, and are not judged for it
	for _, d := range c.table.root {
		if err := r.header(d, c); err != nil {
			return err
		}
	}
	for _, d := range c.table.lines {
		if err := r.line(d, c); err != nil {
			return err
		}
	}
	for _, b := range c.table.beside {
		if err := r.beside(b, c); err != nil {
			return err
		}
	}
	return nil
}

// truncated tells a person: a table that was emptied says nothing about what it held. Row state stays.
func (r *run) truncated(t *table, ch *cdc.Change) error {
	tr := trouble{class: "POLICY", code: "TABLE_TRUNCATED", cause: t.key() + "/" + ch.Tx.Commit,
		title: fmt.Sprintf("The table %s was emptied by TRUNCATE at %s.", t.key(), ch.Tx.Commit),
		hint:  "Nothing was cancelled or credited. If the rows were withdrawn, correct them in the ERP by hand, then discard this."}
	return r.out.Problem(tr.problem(t.key(), "", "", nil))
}
