package transform

import (
	"errors"

	"cel.dev/cel-go/cel"
	"waybill/cdc"
)

// The section tables says what is true of a table whatever reads it. A row whose deleted holds is no row: for every rule it was
// deleted when the flag was set, and is new when the flag is taken away.

func (c *compiler) tableRules(f field) {
	for _, tf := range c.fields(f.value, "tables") {
		t := c.rowsOf(tf.at, tf.key)
		if t == nil {
			continue
		}
		got := c.record(tf.value, "table "+tf.key, []string{"deleted"}, nil)
		if !c.need(tf.at, got, "table "+tf.key, "deleted") {
			continue
		}
		t.deleted = c.condition(got["deleted"].value, &scope{src: t.source, bare: t, bareRow: newRow, fields: map[string]*cel.Type{},
			roots: map[string]root{}, places: 2})
	}
}

// flagged turns a change of a row that is marked as deleted into what it means. It reports false for a change that means nothing: a
// row that was no row stays none.
func (r *run) flagged(c *rowChange) (bool, error) {
	was, err := r.stood(c)
	if err != nil {
		return false, err
	}
	gone := false
	if c.now != nil {
		if gone, err = r.isGone(c); err != nil {
			return false, err
		}
	}
	switch {
	case !was && (gone || c.now == nil):
		return false, nil
	case gone:
		c.op, c.before, c.now = cdc.Delete, c.now, nil // with the values that it had when it was flagged
	case !was:
		c.op, c.before = cdc.Insert, nil
	}
	return true, nil
}

// stood reports whether the row was one before the change: it is known, or the log's own image of it says so.
func (r *run) stood(c *rowChange) (bool, error) {
	if c.known != nil || c.op == cdc.Insert || c.before == nil {
		return c.known != nil, nil
	}
	gone, err := c.table.deleted.holds(r.flagFrame(c, c.before))
	var t *trouble
	if errors.As(err, &t) {
		return false, nil // the log does not carry it, and a row that stood would be known
	}
	return !gone, err
}

// isGone evaluates the flag of a row. Where it cannot be had the row counts as one, and a person is told.
func (r *run) isGone(c *rowChange) (bool, error) {
	yes, err := c.table.deleted.holds(r.flagFrame(c, c.now))
	var t *trouble
	if errors.As(err, &t) {
		t.locate(c)
		subject := c.table.key() + " " + c.key
		return false, r.out.Problem(t.problem(subject, "", "deleted ("+c.table.deleted.at+")", nil))
	}
	return yes, err
}

// flagFrame is what the flag of a row is evaluated in: that row.
func (r *run) flagFrame(c *rowChange, of *row) *frame {
	f := &frame{m: r.m, st: r.st, op: c.op}
	f.rows[newRow] = of
	return f
}
