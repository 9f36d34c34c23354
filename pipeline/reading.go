package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
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

// planReadings makes a reading of every table of the mapping that was never read and is not being read.
func (p *projector) planReadings(s *state, at time.Time) error {
	for _, source := range p.mapping.Sources() {
		for _, sel := range p.mapping.Selections(source) {
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
	r.ID, r.Source, r.Table, r.First, r.State = id, source, t, !seen, ReadingPending
	if r.First {
		r.Where = "" // what it leaves out would pass for read
	}
	return p.saveReading(s, table, &r)
}

// readAgain begins a reading of every table of a source: a reset lost what happened meanwhile. What first readings held
// happened before the new ones begin, so their rows include it.
func (p *projector) readAgain(s *state, source string, d decisionEntry, at time.Time) error {
	if p.mapping == nil {
		return nil
	}
	if err := s.addWork(work{Kind: workDrop, Key: key(source, ""), Detail: by(d)}); err != nil {
		return err
	}
	for _, sel := range p.mapping.Selections(source) {
		if err := s.addWork(work{Kind: workForget, Key: p.mapper.TableKey(source, sel.Table)}); err != nil {
			return err
		}
		if err := p.beginReading(s, source, sel.Table, reading{Began: at, By: d.By, Why: d.Why}); err != nil {
			return err
		}
	}
	return nil
}

// coverReadings ends the readings of a source that was read as one large snapshot.
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
	return s.addWorks(work{Kind: workSnapshot, Key: r.Source, Detail: endOf(r.Where != "", table)}, work{Kind: workForget, Key: table})
}

func viewKey(table string, number int) string { return key(table, hexKey(uint64(number))) }

// endOf is the detail of a workSnapshot.
func endOf(partial bool, tables ...string) json.RawMessage {
	raw, err := json.Marshal(transform.Ended{Tables: tables, Partial: partial})
	if err != nil {
		return nil
	}
	return raw
}

// firstRun ends the first readings of a source when none of them is under way any more: documents are made of the rows, then
// the held changes are applied. A table that cannot be read does not keep the others; its own changes stay held.
func (p *projector) firstRun(s *state, source string) error {
	var tables []string
	for _, table := range slices.Sorted(maps.Keys(p.readings)) {
		r := p.readings[table]
		if r.Source != source || !r.First {
			continue
		}
		if r.live() {
			return nil
		}
		if r.State == ReadingRead {
			tables = append(tables, table)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	list := []work{{Kind: workSnapshot, Key: source, Detail: endOf(false, tables...)}}
	raw, err := json.Marshal(firstWork{Tables: tables})
	if err != nil {
		return err
	}
	list = append(list, work{Kind: workFirst, Key: source, Detail: raw})
	for _, table := range tables {
		list = append(list, work{Kind: workForget, Key: table})
	}
	src, err := s.source(source)
	if err != nil {
		return err
	}
	src.Seeded = true
	if err := s.save(bucketSource, source, src); err != nil {
		return err
	}
	return s.addWorks(list...)
}

// holdFirst holds a change until the first readings of its source are in.
func (p *projector) holdFirst(s *state, ref holdRef, ch *cdc.Change) error {
	if err := p.mapper.Hold(s, ch); err != nil {
		return err
	}
	return s.hold(key(ch.Source, ""), ref, ch)
}

// firstWork is the detail of a workFirst.
type firstWork struct {
	Tables []string `json:"tables"`
	Tx     string   `json:"tx,omitempty"` // commit of the last change applied: its documents are not judged yet
}

// releaseFirst applies the changes that first readings held, in journal order. What its chunk included already is not applied
// again; changes of a table that could not be read stay held.
func (p *projector) releaseFirst(s *state, w *work, at transform.Entry) (done bool, err error) {
	var first firstWork
	if err := json.Unmarshal(w.Detail, &first); err != nil {
		return false, err
	}
	var scan *heldScan
	prefix := key(w.Key, "") + sep
	for !s.Full() {
		k, raw, err := s.following(bucketHold, prefix, w.Cursor)
		if err != nil {
			return false, err
		}
		var h heldChange
		if k != "" {
			if err := json.Unmarshal(raw, &h); err != nil {
				return false, err
			}
			if scan, err = p.find(scan, h); err != nil {
				return false, err
			}
		}
		if k == "" || first.Tx != scan.reader.Change().Tx.Commit {
			if err := p.commitAll(s, at); err != nil {
				return false, err
			}
		}
		if k == "" {
			return true, p.firstDone(s, first.Tables)
		}
		ch := scan.reader.Change()
		first.Tx, w.Cursor = ch.Tx.Commit, k+"\x00"
		if w.Detail, err = json.Marshal(first); err != nil {
			return false, err
		}
		table := p.mapper.TableKey(ch.Source, ch.Schema.Table)
		if !slices.Contains(first.Tables, table) {
			continue
		}
		if err := s.Delete(bucketHold, k); err != nil {
			return false, err
		}
		entry := at
		entry.Index = h.Entry
		if err := p.release(s, entry, ch, h, table); err != nil {
			return false, err
		}
	}
	return false, nil
}

// release applies one held change, unless the row came with it.
func (p *projector) release(s *state, at transform.Entry, ch *cdc.Change, h heldChange, table string) error {
	number, err := p.mapper.ChunkOf(s, ch)
	if err != nil {
		return err
	}
	if number > 0 {
		view, err := s.Get(bucketView, viewKey(table, number))
		if err != nil {
			return err
		}
		included, err := p.codecs.Sees(string(view), ch.Tx)
		if err != nil {
			return err
		}
		if included {
			return p.mapper.Included(s, &output{s: s, entry: at, change: ch, unit: h.N}, at, ch)
		}
	}
	return p.apply(s, at, ch, holdRef{h.Entry, h.N, h.N})
}

// commitAll judges the documents of a transaction that has ended.
func (p *projector) commitAll(s *state, at transform.Entry) error {
	for {
		more, err := p.mapper.Commit(s, &output{s: s, entry: at}, at, commitLimit)
		if err != nil || !more {
			return err
		}
	}
}

func (p *projector) firstDone(s *state, tables []string) error {
	for _, table := range tables {
		next := *p.readings[table]
		next.State = ReadingDone
		if err := p.saveReading(s, table, &next); err != nil {
			return err
		}
	}
	return nil
}

// forgetReading drops what a reading noted about rows and chunks, some at a time.
func (p *projector) forgetReading(s *state, table string) (done bool, err error) {
	if done, err = p.mapper.Forget(s, table, snapshotLimit); err != nil || !done {
		return false, err
	}
	for n := 0; n < snapshotLimit; n++ {
		k, _, err := s.first(bucketView, table+sep)
		if err != nil || k == "" {
			return true, err
		}
		if err := s.Delete(bucketView, k); err != nil {
			return false, err
		}
	}
	return false, nil
}

// readingFailed applies the capture's note that a table cannot be read.
func (p *projector) readingFailed(s *state, n noteEntry, e checkpoint.Entry) error {
	id, err := strconv.ParseUint(n.Identity, 10, 64)
	if err != nil {
		return fmt.Errorf("reading note: %w", err)
	}
	for table, r := range p.readings {
		if r.ID != id || !r.live() {
			continue
		}
		return p.failReading(s, table, r, n.Why, e.At)
	}
	return nil
}

func (p *projector) failReading(s *state, table string, r *reading, why string, at time.Time) error {
	next := *r
	next.State, next.Error, next.Moved = ReadingFailed, why, at
	if err := p.saveReading(s, table, &next); err != nil {
		return err
	}
	problem := transform.Problem{Fingerprint: readingFingerprint(table), Class: "SOURCE", Code: "TABLE_NOT_READ",
		Title: fmt.Sprintf("The rows of table %s of %s cannot be read: %s", r.Table, r.Source, why),
		Hint:  "Remove the cause, then retry this exception: the reading goes on where it stopped. Other tables are not concerned.",
		Owner: "integration", Subject: table}
	if _, err := s.openException(originReading, problem, "", at); err != nil {
		return err
	}
	if r.First {
		return p.firstRun(s, r.Source)
	}
	return nil
}

func readingFingerprint(table string) string { return "SOURCE/TABLE_NOT_READ/" + table }

// retryReading lets a failed reading go on where it stopped, under another id: chunks that came after the failure are not of it.
func (p *projector) retryReading(s *state, table, by, why string, at time.Time) error {
	r := p.readings[table]
	if r == nil || r.State != ReadingFailed {
		return nil
	}
	next := *r
	next.State, next.Error, next.Moved = ReadingPending, "", at
	var err error
	if next.ID, err = s.next("reading"); err != nil {
		return err
	}
	if err := p.saveReading(s, table, &next); err != nil {
		return err
	}
	return s.resolve(readingFingerprint(table), table, by, why, at)
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

// noteReadingFailed is the action of the note that a capture appends when a table cannot be read; the identity is the
// reading's id.
const noteReadingFailed = "reading failed"
