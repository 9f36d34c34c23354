package cdc

import "maps"

// Undo forgets what was written since the mark, which must come from this encoder since the last Reset, Take or Cut: the
// transaction was rolled back, or its log ends before its commit.
func (e *Encoder) Undo(m Mark) {
	e.buf, e.changes, e.last = e.buf[:m.size], m.changes, nil
	maps.DeleteFunc(e.schemas, func(_ *Schema, n uint64) bool { return n >= uint64(m.schemas) })
}
