package transform

import (
	"errors"
	"fmt"

	"waybill/cdc"
)

// Explanation is why the change of one row became, or did not become, events: every rule that reads its table, with the parts of
// its condition and the values that they had.
type Explanation struct {
	Mapping  string       `json:"mapping"`
	Table    string       `json:"table"` // <source>.<schema>.<table>
	Key      string       `json:"key"`   // of the row; parts joined by /
	Op       string       `json:"op"`    // insert, update, delete, as against what was known
	Position string       `json:"position"`
	First    bool         `json:"first,omitempty"`   // seen by a first reading: it seeds, and is not news
	Held     string       `json:"held,omitempty"`    // why the table's rows are not understood; then no rule was asked
	Nothing  string       `json:"nothing,omitempty"` // why the change means nothing; then no rule was asked
	Columns  []ColumnView `json:"columns"`
	Rules    []RuleView   `json:"rules"`
	// Documents are those that the row belongs to, to ask ExplainDocument for when the transaction has ended.
	Documents []DocumentKey `json:"-"`
}

// ColumnView is a column that rules read, before and after the change.
type ColumnView struct {
	Name    string `json:"name"`
	Before  string `json:"before"`
	Now     string `json:"now"`
	Changed bool   `json:"changed,omitempty"`
}

// RuleView is one rule asked about one change.
type RuleView struct {
	Rule    string       `json:"rule"`               // type of its event
	Of      string       `json:"of,omitempty"`       // document; empty for a rule of one row
	At      string       `json:"at"`                 // file:line
	Result  string       `json:"result"`             // yes, no, cannot tell
	False   string       `json:"false,omitempty"`    // the first part that does not hold
	Others  string       `json:"others,omitempty"`   // what becomes of it, because another source owns what it is about: ignore, exception, propose
	Parts   []PartView   `json:"parts,omitempty"`    // of its condition; none: it always holds
	Lookups []LookupView `json:"lookups,omitempty"`  // of its fields, when the condition holds
	Trouble []string     `json:"troubles,omitempty"` // why its event could not be made
}

// PartView is one part of a condition; all parts must hold.
type PartView struct {
	Text    string       `json:"text"`
	Value   string       `json:"value"` // true, false, null, or why it cannot be told
	Reads   []ColumnView `json:"reads,omitempty"`
	Lookups []LookupView `json:"lookups,omitempty"`
}

// LookupView is what a code table or a cross-reference answered.
type LookupView struct {
	What   string `json:"what"` // code.load_status, xref.customer
	Key    string `json:"key"`
	AsOf   string `json:"as_of,omitempty"`
	Answer string `json:"answer"`        // "" when it has none
	Row    string `json:"row,omitempty"` // which row answered
}

// DocumentKey names a document: its key with its company, and a source of the mapping that has it.
type DocumentKey struct {
	Source   string
	Document string
	Key      string
}

// The results of a rule.
const (
	ruleYes     = "yes"
	ruleNo      = "no"
	ruleUnknown = "cannot tell"
)

// Explain asks the rules about a change as Change will find it, and writes nothing. It is nil for a table that no rule reads. The
// mapping must be the caller's alone, as every Mapper of a side state has it.
func (p *Mapper) Explain(st State, at Entry, ch *cdc.Change) (*Explanation, error) {
	b := p.bind(ch.Schema)
	if b == nil || ch.Op == cdc.Truncate {
		return nil, nil
	}
	x := &Explanation{Mapping: p.m.Version(), Table: b.table.key(), Position: ch.Tx.Commit, Rules: []RuleView{}, Columns: []ColumnView{}}
	var hold *HoldTable
	if err := b.understood(readOnly{st}, ch.Schema); errors.As(err, &hold) {
		x.Held = hold.Reason
		return x, nil
	} else if err != nil {
		return nil, err
	}
	c, err := p.completed(st, b, ch)
	if errors.As(err, &hold) {
		x.Held = hold.Reason
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	e := &explainer{run: p.run(st, unheard{}, at), c: c, x: x}
	if c.table.deleted != nil {
		is, err := e.flagged(c)
		if err != nil {
			return nil, err
		}
		if !is {
			x.Nothing = "the row is marked as deleted, and was no row before: " + c.table.deleted.text
		}
	}
	if e.compiler.env, err = newEnvironment(); err != nil {
		return nil, err
	}
	e.compiler.m, e.compiler.file = p.m, p.m.file
	return x, e.all()
}

// readOnly lets Explain ask what writes as a habit.
type readOnly struct{ State }

// Put implements State.
func (readOnly) Put(string, string, []byte) error { return nil }

// unheard is an Output for what is only asked: the problem of a flag that cannot be evaluated is told when the change is mapped.
type unheard struct{ Output }

// Problem implements Output.
func (unheard) Problem(Problem) error { return nil }

// completed is the change as store completes it.
func (p *Mapper) completed(st State, b *binding, ch *cdc.Change) (*rowChange, error) {
	oldKey, newKey, before, now, err := b.rows(ch)
	if err != nil {
		return nil, err
	}
	if b.table.messages {
		now.name(oldKey)
		return &rowChange{table: b.table, op: cdc.Insert, key: oldKey, now: now}, nil
	}
	c := &rowChange{table: b.table, op: ch.Op, key: newKey, before: before, now: now}
	if ch.Op == cdc.Delete {
		c.key = oldKey
	}
	if ch.Op == cdc.Update && oldKey != newKey {
		c.now.fill(before)
		c.op, c.before = cdc.Insert, nil
	}
	raw, err := st.Get(c.table.bucket(), c.key)
	if err != nil {
		return nil, err
	}
	if raw != nil {
		if _, c.known, err = decodeRow(c.table, raw); err != nil {
			return nil, fmt.Errorf("reading row state of %s: %w", c.table.key(), err)
		}
	}
	if c.op == cdc.Snapshot {
		g, err := loadGeneration(st, c.table.key())
		if err != nil {
			return nil, err
		}
		if c.op, c.first = cdc.Insert, !g.done; c.known != nil {
			c.op = cdc.Update
		}
	}
	c.complete()
	return c, nil
}

// complete takes what the log did not carry from the row as it was known.
func (c *rowChange) complete() {
	if c.op == cdc.Insert {
		c.before = nil
	} else {
		if c.before == nil {
			c.before = c.known
		} else {
			c.before.fill(c.known)
		}
		c.now.fill(c.before)
	}
	if c.op == cdc.Update && c.before == nil {
		c.before = unknownRow(c.table)
	}
	c.before.name(c.key)
	c.now.name(c.key)
}
