package transform

import (
	"fmt"

	"waybill/cdc"
)

// Mapper runs a mapping's rules over entries. It remembers nothing between calls but what State holds, and must not be used by
// two goroutines. An error of its methods means a bug or a broken State, and the pipeline stops; everything about the data
// becomes a Problem.
type Mapper struct{ m *Mapping }

// NewMapper returns a mapper for the mapping.
func NewMapper(m *Mapping) (*Mapper, error) { return &Mapper{m}, nil }

// HoldTable is returned by Mapper.Change when a table's rows are not understood any more: a column that rules read is gone or of
// another kind, or the source itself is not certain of the shape. Nothing of the change has been applied. The
// caller holds this change and every later one of the table, in order, and gives them to Change again when a mapping that
// understands them has been activated.
type HoldTable struct {
	Source string
	Table  cdc.Table
	Reason string
}

func (e *HoldTable) Error() string {
	return fmt.Sprintf("source %s, table %s is held: %s", e.Source, e.Table, e.Reason)
}

// Change maps one row change, from the stream or from a snapshot.
func (p *Mapper) Change(st State, out Output, at Entry, ch *cdc.Change) error { return nil }

// SnapshotEnd finishes a snapshot after its last part: a bounded, resumable list of work. from is empty at first, then
// what the call before returned; limit bounds the items of one call. next is empty when everything is done.
func (p *Mapper) SnapshotEnd(st State, out Output, at Entry, source string, from string, limit int) (next string, err error) {
	return "", nil
}

// Fire handles a timer whose time has come.
func (p *Mapper) Fire(st State, out Output, at Entry, t Timer) error { return nil }

// Retry evaluates again everything that waits on the problem.
func (p *Mapper) Retry(st State, out Output, at Entry, fingerprint string) error { return nil }

// Activate evaluates again what earlier mapping versions held; it is called once when this mapping's version becomes active.
func (p *Mapper) Activate(st State, out Output, at Entry) error { return nil }
