package pipeline

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"waybill/cdc"
	"waybill/transform"
)

// ReadingState is where the reading of a table stands.
type ReadingState string

// The states of a reading.
const (
	ReadingPending ReadingState = "pending" // not all chunks are in
	ReadingPaused  ReadingState = "paused"  // a person asked it to wait
	ReadingRead    ReadingState = "read"    // every chunk is in; a first reading waits for the source's other tables
	ReadingDone    ReadingState = "done"    // and everything that follows from it is done
	ReadingFailed  ReadingState = "failed"  // the table cannot be read: an exception says why
)

// reading is one pass over a table's rows beside the stream. There is at most one for a table; a new one replaces it.
//
// A first reading seeds. Until all first readings of its source are in, the stream's changes of their tables are held in
// journal order (bucketHold, under the source alone) and applied after the documents that the rows make, as if the stream had begun
// where the reading ended. A later reading compares, while the stream goes on.
type reading struct {
	ID     uint64       `json:"id"`
	Source string       `json:"source"`
	Table  cdc.Table    `json:"table"`
	First  bool         `json:"first,omitempty"`
	Where  string       `json:"where,omitempty"`
	State  ReadingState `json:"state"`
	After  string       `json:"after,omitempty"` // cursor behind the last chunk that is applied
	Number int          `json:"number,omitempty"`
	Rows   int64        `json:"rows,omitempty"`
	Began  time.Time    `json:"began"`
	Index  uint64       `json:"index,omitempty"` // journal entry that began it: its chunks include every change before
	Moved  time.Time    `json:"moved,omitzero"`
	By     string       `json:"by,omitempty"`
	Why    string       `json:"why,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// live reports whether chunks of the reading may come.
func (r *reading) live() bool { return r.State == ReadingPending || r.State == ReadingPaused }

// holds reports whether the stream's changes of the table are held.
func (r *reading) holds() bool { return r.First && r.State != ReadingDone }

// readings are all readings by table key (transform.Mapper.TableKey), as the projector last wrote them. Others get copies.
type readings map[string]*reading

func (p *projector) loadReadings(s *state) error {
	all := readings{}
	err := s.Scan(bucketReading, "", "", func(k string, raw []byte) (bool, error) {
		r := &reading{}
		all[k] = r
		return true, json.Unmarshal(raw, r)
	})
	p.readings = all
	clear(p.holding)
	p.publishReadings()
	return err
}

// publishReadings lets the captures see the readings, and what holds changes is looked up again.
func (p *projector) publishReadings() {
	copied := make([]reading, 0, len(p.readings))
	for _, k := range slices.Sorted(maps.Keys(p.readings)) {
		copied = append(copied, *p.readings[k])
	}
	p.mu.Lock()
	p.published = copied
	p.mu.Unlock()
}

// current returns the source's readings, in order of their tables.
func (p *projector) current(source string) (list []reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.published {
		if r.Source == source {
			list = append(list, r)
		}
	}
	return list
}

// reads reports whether a reading of the source is not over.
func (p *projector) reads(source string) bool {
	for _, r := range p.current(source) {
		if r.State != ReadingDone && r.State != ReadingFailed {
			return true
		}
	}
	return false
}

func (p *projector) saveReading(s *state, table string, r *reading) error {
	p.readings[table] = r
	clear(p.holding)
	p.changed = true
	return s.save(bucketReading, table, r)
}

// planReadings makes a reading of every table of the mappings that was never read and is not being read.
func (p *projector) planReadings(s *state, at time.Time) error {
	for _, source := range p.mapper.Sources() {
		for _, sel := range p.mapper.Selections(source) {
			table := p.mapper.TableKey(source, sel.Table)
			seen, err := p.mapper.Seen(s, table)
			if err != nil {
				return err
			}
			if seen || p.readings[table] != nil {
				continue
			}
			if err := p.beginReading(s, source, sel.Table, reading{Began: at}); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginReading begins a reading of a table.
func (p *projector) beginReading(s *state, source string, t cdc.Table, r reading) error {
	table := p.mapper.TableKey(source, t)
	if table == "" {
		return nil
	}
	seen, err := p.mapper.Seen(s, table)
	if err != nil {
		return err
	}
	id, err := s.next("reading")
	if err != nil {
		return err
	}
	if err := p.mapper.OpenReading(s, table); err != nil {
		return err
	}
	r.ID, r.Source, r.Table, r.First, r.State, r.Index = id, source, t, !seen, ReadingPending, s.at.Index
	if r.First {
		r.Where = "" // what it leaves out would pass for read
	}
	return p.saveReading(s, table, &r)
}

// readAgain begins a reading of every table of a source: a reset lost what happened meanwhile. What first readings held
// happened before the new ones begin, so their rows include it.
func (p *projector) readAgain(s *state, source string, d decisionEntry, at time.Time) error {
	if p.mapper == nil {
		return nil
	}
	if err := s.addWork(work{Kind: workDrop, Key: key(source, ""), Detail: by(d)}); err != nil {
		return err
	}
	for _, sel := range p.mapper.Selections(source) {
		if err := s.addWork(work{Kind: workForget, Key: p.mapper.TableKey(source, sel.Table)}); err != nil {
			return err
		}
		if err := p.beginReading(s, source, sel.Table, reading{Began: at, By: d.By, Why: d.Why}); err != nil {
			return err
		}
	}
	return nil
}

// coverReadings ends the readings of a source whose rows came as one large transaction: from Peek, or in the journal of an older release.
func (p *projector) coverReadings(s *state, source string) error {
	for _, table := range slices.Sorted(maps.Keys(p.readings)) {
		r := p.readings[table]
		if r.Source != source || r.State == ReadingDone {
			continue
		}
		next := *r
		next.State = ReadingDone
		if err := p.saveReading(s, table, &next); err != nil {
			return err
		}
	}
	return nil
}

// holder returns the first reading that holds a change of the schema's table, or nil.
func (p *projector) holder(sc *cdc.Schema) *reading {
	if len(p.readings) == 0 {
		return nil
	}
	r, known := p.holding[sc]
	if !known {
		if r = p.readings[p.mapper.TableKey(sc.Source, sc.Table)]; r != nil && !r.holds() {
			r = nil
		}
		p.holding[sc] = r
	}
	return r
}

// chunk returns the reading that a chunk continues; nil when it is another's, or came before.
func (p *projector) chunk(b *cdc.Batch) (string, *reading) {
	for table, r := range p.readings {
		if r.ID == b.Chunk.Reading && r.Source == b.Source {
			if !r.live() || b.Chunk.Number != r.Number+1 {
				return table, nil
			}
			return table, r
		}
	}
	return "", nil
}

// view says what the rows of a chunk include.
func (p *projector) view(b *cdc.Batch, r *reading) *transform.Reading {
	view := b.Chunk.View
	return &transform.Reading{ID: r.ID, First: r.First, Number: b.Chunk.Number,
		Sees: func(tx cdc.Tx) (bool, error) {
			sees, err := p.codecs.Sees(view, tx)
			if err != nil { // another history, perhaps: the table is read again when a person has looked
				err = &chunkRefused{"what its rows include cannot be told: " + err.Error()}
			}
			return sees, err
		}}
}

// chunkIn notes that a chunk is applied.
func (p *projector) chunkIn(s *state, table string, r *reading, b *cdc.Batch, at time.Time) error {
	next := *r
	next.Number, next.After, next.Moved = b.Chunk.Number, b.Chunk.After, at
	next.Rows += int64(b.Changes)
	if r.First {
		if err := s.Put(bucketView, viewKey(table, next.Number), []byte(b.Chunk.View)); err != nil {
			return err
		}
	}
	if !b.Chunk.End {
		return p.saveReading(s, table, &next)
	}
	next.State = ReadingDone
	if r.First {
		next.State = ReadingRead
	}
	if err := p.saveReading(s, table, &next); err != nil {
		return err
	}
	if r.First {
		return p.firstRun(s, r.Source)
	}
	list, err := settle(r.Source, r.Where != "", []string{table})
	if err != nil {
		return err
	}
	return s.addWorks(list...)
}

func viewKey(table string, number int) string { return key(table, hexKey(uint64(number))) }

// settle is the work that ends readings of the source: what follows from their rows, then what the caller adds, and last the
// forgetting of their notes.
func settle(source string, partial bool, tables []string, between ...work) ([]work, error) {
	detail, err := json.Marshal(transform.Ended{Tables: tables, Partial: partial})
	if err != nil {
		return nil, err
	}
	list := append([]work{{Kind: workSnapshot, Key: source, Detail: detail}}, between...)
	for _, table := range tables {
		list = append(list, work{Kind: workForget, Key: table})
	}
	return list, nil
}

// forgetReading drops what a reading noted about rows and chunks of the table that is the work's key, some at a time.
func (p *projector) forgetReading(s *state, w *work) (done bool, err error) {
	next, done, err := p.mapper.Forget(s, w.Key, w.Cursor, forgetLimit)
	if w.Cursor = next; err != nil || !done {
		return false, err
	}
	cursor := ""
	return s.each(bucketView, w.Key+sep, &cursor, func(k string, _ []byte) (bool, error) { return true, s.Delete(bucketView, k) })
}

// decideReading applies a person's decision about readings: read, pause, resume.
func (p *projector) decideReading(s *state, d decisionEntry, at time.Time) error {
	q := d.Read
	table := ""
	if p.mapper != nil {
		table = p.mapper.TableKey(q.Source, q.Table)
	}
	if table == "" {
		return nil
	}
	r := p.readings[table]
	if d.Action == "read" {
		if r != nil && (r.live() || r.State == ReadingRead) {
			return nil
		}
		if r != nil && r.State == ReadingFailed {
			if err := s.resolve(readingFingerprint(table), table, d.By, "a new reading was asked for", at); err != nil {
				return err
			}
		}
		return p.beginReading(s, q.Source, q.Table, reading{Where: q.Where, Began: at, By: d.By, Why: d.Why})
	}
	if r == nil || !r.live() {
		return nil
	}
	next := *r
	next.State = ReadingPending
	if d.Action == "pause" {
		next.State = ReadingPaused
	}
	return p.saveReading(s, table, &next)
}
