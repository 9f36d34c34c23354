package transform

import (
	"strings"
	"time"

	"waybill/cdc"
)

// The methods of a Mapper, for the mapping that each call concerns. What concerns none does nothing: the source, or the mapping, is not
// there any more.

// Change maps one row change: see Mapper.Change.
func (c *Carriers) Change(st State, out Output, at Entry, ch *cdc.Change) error {
	o := c.of(ch.Source)
	if o == nil {
		return nil
	}
	return o.p.Change(o.state(st), c.output(o, out), c.entry(o, at), ch)
}

// Commit ends a transaction of a source: see Mapper.Commit.
func (c *Carriers) Commit(st State, out Output, at Entry, limit int) (more bool, err error) {
	for _, o := range c.all {
		more, err := o.p.Commit(o.state(st), c.output(o, out), c.entry(o, at), limit)
		if err != nil || more {
			return more, err
		}
	}
	return false, nil
}

// Included makes the events of a held change whose outcome a chunk has brought: see Mapper.Included.
func (c *Carriers) Included(st State, out Output, at Entry, ch *cdc.Change) error {
	o := c.of(ch.Source)
	if o == nil {
		return nil
	}
	return o.p.Included(o.state(st), c.output(o, out), c.entry(o, at), ch)
}

// Hold notes that the caller holds a change: see Mapper.Hold.
func (c *Carriers) Hold(st State, ch *cdc.Change) error {
	o := c.of(ch.Source)
	if o == nil {
		return nil
	}
	return o.p.Hold(o.state(st), ch)
}

// ChunkOf returns the number of the chunk that brought the row of a held change: see Mapper.ChunkOf.
func (c *Carriers) ChunkOf(st State, ch *cdc.Change) (int, error) {
	o := c.of(ch.Source)
	if o == nil {
		return 0, nil
	}
	return o.p.ChunkOf(o.state(st), ch)
}

// SnapshotEnd finishes a snapshot or a reading: see Mapper.SnapshotEnd.
func (c *Carriers) SnapshotEnd(st State, out Output, at Entry, ended Ended, from string, limit int) (next string, err error) {
	o := c.of(ended.Source)
	if o == nil {
		return "", nil
	}
	return o.p.SnapshotEnd(o.state(st), c.output(o, out), c.entry(o, at), ended, from, limit)
}

// TableKey names the table that a mapping reads, or is empty when none does.
func (c *Carriers) TableKey(source string, t cdc.Table) string {
	if o := c.of(source); o != nil {
		return o.p.TableKey(source, t)
	}
	return ""
}

// Explain asks the rules of the mapping that reads the change's source: see Mapper.Explain.
func (c *Carriers) Explain(st State, at Entry, ch *cdc.Change) (*Explanation, error) {
	o := c.of(ch.Source)
	if o == nil {
		return nil, nil
	}
	return o.p.Explain(o.state(st), c.entry(o, at), ch)
}

// ExplainDocument tells where a document stands: see Mapper.ExplainDocument.
func (c *Carriers) ExplainDocument(st State, at Entry, of DocumentKey) (*DocumentView, error) {
	o := c.of(of.Source)
	if o == nil {
		return nil, nil
	}
	return o.p.ExplainDocument(o.state(st), c.entry(o, at), of)
}

// ofTable finds who reads a table by its key, which begins with the source.
func (c *Carriers) ofTable(table string) *carrier {
	source, _, _ := strings.Cut(table, ".")
	return c.of(source)
}

// Seen reports whether a reading of the table was ever complete.
func (c *Carriers) Seen(st State, table string) (bool, error) {
	o := c.ofTable(table)
	if o == nil {
		return false, nil
	}
	return o.p.Seen(o.state(st), table)
}

// OpenReading begins a reading of a table, named as by TableKey.
func (c *Carriers) OpenReading(st State, table string) error {
	o := c.ofTable(table)
	if o == nil {
		return nil
	}
	return o.p.OpenReading(o.state(st), table)
}

// Forget drops notes about a table whose reading is over: see Mapper.Forget.
func (c *Carriers) Forget(st State, table, from string, limit int) (next string, done bool, err error) {
	o := c.ofTable(table)
	if o == nil {
		return "", true, nil
	}
	return o.p.Forget(o.state(st), table, from, limit)
}

// Fire handles a timer whose time has come, and that a mapping set.
func (c *Carriers) Fire(st State, out Output, at Entry, t Timer) error {
	o, id := c.ofTimer(t.ID)
	if o == nil {
		return nil
	}
	t.ID = id
	return o.p.Fire(o.state(st), c.output(o, out), c.entry(o, at), t)
}

// Retry evaluates again everything that waits on the problem. A problem that names no mapping may be of what all share: each is asked.
func (c *Carriers) Retry(st State, out Output, at Entry, fingerprint string) error {
	of, fp := c.ofFingerprint(fingerprint)
	for _, o := range c.all {
		if of != nil && of.scope != "" && o != of {
			continue
		}
		if err := o.p.Retry(o.state(st), c.output(o, out), c.entry(o, at), fp); err != nil {
			return err
		}
	}
	return nil
}

// Discard gives up everything that waits on the problem, in each mapping when all share it: see Mapper.Discard.
func (c *Carriers) Discard(st State, out Output, at Entry, fingerprint string) error {
	all, fp := c.concerned(fingerprint)
	for _, o := range all {
		if err := o.p.Discard(o.state(st), c.output(o, out), c.entry(o, at), fp); err != nil {
			return err
		}
	}
	return nil
}

// Activate evaluates again what earlier versions of the mapping in this scope held.
func (c *Carriers) Activate(st State, out Output, at Entry, scope string) error {
	o := c.at(scope)
	if o == nil {
		return nil
	}
	return o.p.Activate(o.state(st), c.output(o, out), c.entry(o, at))
}

// Posted files an event that the pipeline derived from an outcome: see Mapper.Posted. It is of the mapping that made its cause, in
// whatever version.
func (c *Carriers) Posted(st State, out Output, at Entry, version string, ev Event) error {
	name, _, _ := strings.Cut(version, "/")
	for _, o := range c.all {
		if o.m.name == name {
			return o.p.Posted(o.state(st), c.output(o, out), c.entry(o, at), ev)
		}
	}
	return nil
}

// JudgeMaster applies a person's word on a version of master data: see Mapper.JudgeMaster. An entity is of one mapping.
func (c *Carriers) JudgeMaster(st State, out Output, at Entry, j MasterJudgement) error {
	for _, o := range c.all {
		if mine, err := o.p.JudgeMaster(o.state(st), c.output(o, out), c.entry(o, at), j); err != nil || mine {
			return err
		}
	}
	return nil
}

// ConfirmMaster lets documents pass for which an entity was another when they were ordered: see Mapper.ConfirmMaster.
func (c *Carriers) ConfirmMaster(st State, out Output, at Entry, ref, subject string, version int) error {
	for _, o := range c.all {
		if mine, err := o.p.ConfirmMaster(o.state(st), c.output(o, out), c.entry(o, at), ref, subject, version); err != nil || mine {
			return err
		}
	}
	return nil
}

// LinkCase applies a person's decision about a case: see Mapper.LinkCase. A case is of one mapping.
func (c *Carriers) LinkCase(st State, out Output, at Entry, ref, strong, from string, limit int) (next string, err error) {
	scope, cursor, begun := strings.Cut(from, "\x01")
	for _, o := range c.all {
		if begun && o.scope != scope {
			continue
		}
		if !begun {
			found, _, err := FindCase(o.state(st), strong)
			if err != nil {
				return "", err
			}
			if found == nil {
				continue
			}
		}
		next, err = o.p.LinkCase(o.state(st), c.output(o, out), c.entry(o, at), ref, strong, cursor, limit)
		if next != "" {
			next = o.scope + "\x01" + next
		}
		return next, err
	}
	return "", nil
}

// Standings calls fn for each document of the window: see Mapper.Standings.
func (c *Carriers) Standings(st State, wanted func(at time.Time) bool, fn func(*Standing) error) error {
	for _, o := range c.all {
		if err := o.p.Standings(o.state(st), wanted, fn); err != nil {
			return err
		}
	}
	return nil
}

// Standing returns the document that a reference names: see Mapper.Standing.
func (c *Carriers) Standing(st State, of string) (*Standing, error) {
	for _, o := range c.all {
		if s, err := o.p.Standing(o.state(st), of); err != nil || s != nil {
			return s, err
		}
	}
	return nil, nil
}
