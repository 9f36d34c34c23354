package pipeline

import (
	"errors"
	"fmt"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// rowsCursor walks the changes of a Rows entry: of the entry alone, or of all the parts of a large transaction that it
// ends. It lives between commits, so that a long transaction is walked once.
type rowsCursor struct {
	index  uint64 // the entry that makes the changes visible
	entry  checkpoint.Entry
	batch  cdc.Batch // of the entry
	parts  []span    // entries to walk, in order
	part   uint64    // entry being walked
	reader *cdc.Reader
	unit   uint64    // changes applied
	inPart uint64    // changes found in the present part
	tx     string    // commit of the last change applied: its transaction is open
	ended  time.Time // its commit time
	found  bool      // the reader stands on a change that is not applied yet
	last   cdc.Batch
	guards func(commit string) bool // transactions that may be over a bound
}

// rows applies a Rows entry from at.Ordinal on, at most limit changes, and returns how many units it took.
func (p *projector) rows(s *state, e checkpoint.Entry, at checkpoint.Applied, limit int) (int, checkpoint.Applied, error) {
	b, err := p.batch(e)
	if err != nil {
		return 0, at, err
	}
	if p.mapper == nil {
		return 0, at, errNoMapping
	}
	src, err := s.source(b.Source)
	if err != nil {
		return 0, at, err
	}
	if at.Ordinal == 0 {
		if err := p.learn(s, &b); err != nil {
			return 0, at, err
		}
	}
	var chunk *reading
	var table string
	if b.Chunk != nil {
		if table, chunk = p.chunk(&b); chunk == nil {
			return 1, checkpoint.Applied{Index: e.Index}, nil
		}
	}
	if chunk != nil && at.Ordinal == 0 {
		if units, next, err := p.mayJoin(s, &b, table, chunk, e); units > 0 || err != nil {
			return units, next, err
		}
	}
	if b.More {
		return 1, checkpoint.Applied{Index: e.Index}, s.hide(src, b, e.Index)
	}
	if p.cursor == nil || p.cursor.index != e.Index {
		if err := p.open(src, b, e.Index, at.Ordinal); err != nil {
			return 0, at, err
		}
		p.cursor.entry, p.cursor.batch = e, b
	}
	entry := transform.Entry{Index: e.Index, Observed: e.At}
	if chunk != nil {
		entry.Reading = p.view(&b, chunk)
	}
	n, finished, err := p.walk(s, entry, limit)
	var refused *chunkRefused
	if errors.As(err, &refused) {
		p.cursor = nil
		return 1, checkpoint.Applied{Index: e.Index}, p.failReading(s, table, chunk, refused.why, e.At)
	}
	if err != nil {
		return 0, at, err
	}
	if !finished {
		return max(n, 1), checkpoint.Applied{Index: e.Index - 1, Ordinal: p.cursor.unit}, nil
	}
	p.cursor = nil
	if chunk != nil {
		return n + 1, checkpoint.Applied{Index: e.Index}, p.chunkIn(s, table, chunk, &b, e.At)
	}
	return n + 1, checkpoint.Applied{Index: e.Index}, p.captured(s, src, b, e)
}

// batch decodes the entry, once for all the times that the walk over it goes on.
func (p *projector) batch(e checkpoint.Entry) (cdc.Batch, error) {
	if c := p.cursor; c != nil && c.index == e.Index {
		return c.batch, nil
	}
	return cdc.DecodeBatch(e.Payload)
}

// hide remembers a part of a transaction whose end has not come: its changes stay invisible.
func (s *state) hide(src sourceState, b cdc.Batch, index uint64) error {
	if src.Open != b.Tx || b.Part == 0 {
		src.Open, src.Parts = b.Tx, nil
	}
	if n := len(src.Parts); n > 0 && src.Parts[n-1].To+1 == index {
		src.Parts[n-1].To = index
	} else {
		src.Parts = append(src.Parts, span{index, index})
	}
	src.Identity = b.Identity
	return s.save(bucketSource, b.Source, src)
}

// open starts the walk over the changes that the entry makes visible, after skip of them.
func (p *projector) open(src sourceState, b cdc.Batch, index, skip uint64) error {
	c := &rowsCursor{index: index, reader: cdc.NewReader(p.codecs, p.schema)}
	if b.Tx != "" && b.Part > 0 && src.Open == b.Tx {
		c.parts = append(c.parts, src.Parts...)
	}
	c.parts = append(c.parts, span{index, index})
	c.part = c.parts[0].From
	p.cursor, p.guard = c, nil
	var err error
	if c.guards, err = p.guards(&b, c.parts); err != nil {
		return err
	}
	if err := p.read(); err != nil {
		return err
	}
	for c.unit < skip {
		ok, err := p.following()
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("entry %d has %d changes, of which %d are said to be applied", index, c.unit, skip)
		}
		c.unit++
		c.tx, c.ended = c.reader.Change().Tx.Commit, c.reader.Change().Tx.CommitAt
	}
	if skip == 0 {
		return nil
	}
	return p.resumeGuard(c.tx)
}

// read takes up the batch of the cursor's present part.
func (p *projector) read() error {
	e, err := p.store.Read(p.cursor.part)
	if err != nil {
		return err
	}
	b, err := cdc.DecodeBatch(e.Payload)
	if err != nil {
		return err
	}
	p.cursor.last, p.cursor.inPart = b, 0
	p.cursor.reader.Reset(&p.cursor.last)
	return nil
}

// following moves to the next change, over the ends of parts.
func (p *projector) following() (bool, error) {
	c := p.cursor
	for !c.reader.Next() {
		if err := c.reader.Err(); err != nil {
			return false, err
		}
		switch {
		case c.part < c.parts[0].To:
			c.part++
		case len(c.parts) > 1:
			c.parts = c.parts[1:]
			c.part = c.parts[0].From
		default:
			return false, nil
		}
		if err := p.read(); err != nil {
			return false, err
		}
	}
	c.inPart++
	return true, nil
}

// commitLimit bounds the documents that one call looks at when a transaction ends.
const commitLimit = 100

// walk maps at most limit changes, and ends each transaction before the next one begins. It ends early where work was left
// behind: were that done where a commit happens to fall, the order of what follows would hang on when entries came in, and a
// rebuild would not give the same state.
func (p *projector) walk(s *state, at transform.Entry, limit int) (n int, finished bool, err error) {
	if at.Marks, at.Now, err = p.now(s); err != nil {
		return 0, false, err
	}
	s.at, s.payload, s.guard = workAt{Index: at.Index, At: at.Observed}, nil, p.guard
	defer func() { p.guard, s.guard = s.guard, nil }()
	c := p.cursor
	for n < limit && !s.Full() {
		if !c.found {
			if c.found, err = p.following(); err != nil {
				return n, false, err
			}
		}
		if !c.found || c.reader.Change().Tx.Commit != c.tx {
			more, err := p.mapper.Commit(s, &output{s: s, entry: at, recorded: c.ended}, at, commitLimit)
			if err != nil {
				return n, false, err
			}
			if more {
				if n++; s.busy {
					return n, false, s.keepBack()
				}
				continue
			}
			sorting, err := p.endGuard(s, at, c.ended)
			if err != nil {
				return n, false, err
			}
			if !c.found {
				return n, true, nil
			}
			if sorting || s.busy {
				return max(n, 1), false, nil
			}
			if commit := c.reader.Change().Tx.Commit; c.guards(commit) {
				s.guard = &guard{Source: c.reader.Change().Source, Tx: commit, Rules: map[string]*ruleCount{}}
			}
		}
		ch := c.reader.Change()
		c.tx, c.ended = ch.Tx.Commit, ch.Tx.CommitAt
		if err := p.change(s, at, ch, holdRef{c.part, c.inPart, c.unit + 1}); err != nil {
			return n, false, err
		}
		c.found = false
		c.unit++
		n++
		p.changes.Add(1)
		if s.busy {
			break
		}
	}
	return n, false, s.keepBack()
}

// change maps one change, or holds it when its table is held (Invariant 3).
func (p *projector) change(s *state, at transform.Entry, ch *cdc.Change, ref holdRef) error {
	if ch.Op != cdc.Snapshot && p.holder(ch.Schema) != nil {
		var hold *transform.HoldTable
		err := p.holdFirst(s, ref, ch)
		if !errors.As(err, &hold) {
			return err
		}
	}
	return p.apply(s, at, ch, ref)
}

// chunkRefused says that a chunk's table is held, or its rows are not understood.
type chunkRefused struct{ why string }

func (e *chunkRefused) Error() string { return e.why }

// apply maps a change that no first reading holds.
func (p *projector) apply(s *state, at transform.Entry, ch *cdc.Change, ref holdRef) error {
	table := key(ch.Source, ch.Schema.Table.String())
	held, err := s.Get(bucketHeld, table)
	if err != nil {
		return err
	}
	if held != nil {
		return s.hold(table, ref, ch)
	}
	if p.probe != nil {
		if err := p.probe(s, at, ch, ref.unit); err != nil {
			return err
		}
	}
	if at.Echo, err = p.echoOf(s, ch); err != nil {
		return err
	}
	out := &output{s: s, entry: at, change: ch, unit: ref.unit}
	err = p.mapper.Change(s, out, at, ch)
	var hold *transform.HoldTable
	if !errors.As(err, &hold) {
		return err
	}
	if at.Reading != nil {
		return &chunkRefused{hold.Reason}
	}
	if err := s.holdTable(table, ch, hold, at); err != nil {
		return err
	}
	return s.hold(table, ref, ch)
}

// captured moves the source's position and watermark once all changes of the entry are applied (Invariant 2).
func (p *projector) captured(s *state, src sourceState, b cdc.Batch, e checkpoint.Entry) error {
	src.Identity, src.Open, src.Parts = b.Identity, "", nil
	if b.Position != "" {
		src.Position = string(b.Position)
	}
	if b.CommitAt.After(src.CommitAt) {
		src.CommitAt = b.CommitAt
	}
	if b.Snapshot {
		src.Seeded = true
		if err := p.coverReadings(s, b.Source); err != nil {
			return err
		}
		if err := s.addWork(work{Kind: workSnapshot, Key: b.Source}); err != nil {
			return err
		}
	}
	if err := s.save(bucketSource, b.Source, src); err != nil {
		return err
	}
	if micros(src.CommitAt) < s.timer {
		return nil
	}
	marks, now, err := p.now(s)
	if err != nil {
		return err
	}
	if t, err := s.due(marks, now); err != nil || t == nil {
		return err
	}
	return s.addWork(work{Kind: workTimers})
}
