package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/transform"
)

// The kinds of work.
const (
	workGate     = "gate"     // release those who wait for a gate
	workTimers   = "timers"   // fire what is due
	workSnapshot = "snapshot" // a snapshot is complete: evaluate, compare, find what vanished
	workActivate = "activate" // a mapping became active: look again at what is held
	workAwaited  = "awaited"  // postings wait for a type of event for the first time: note those that happened
	workRetry    = "retry"    // a person asked to look again at a problem
	workHold     = "hold"     // map the held changes of a table
	workReplay   = "replay"   // queue stored events' deliveries again
	workFirst    = "first"    // the first readings of a source are in: apply the changes that they held
	workForget   = "forget"   // a reading is over: drop its notes
	workDrop     = "drop"     // a person gave up the held changes of a table
	workDiscard  = "discard"  // a person gave up what waits on a problem
	workXref     = "xref"     // rows of a CSV file enter the registry
	workLinkCase = "link"     // a person linked a reference to a case: file what waits under it
	workTargets  = "targets"  // targets demand something else: judge again the versions that they could not take
	workShadow   = "shadow"   // a shadow was switched on: send what it kept
	workFallBack = "fallback" // a service is silent: let go what can do without it
	workLetGo    = "let go"   // a held table is read again: what its held changes do not tell is in the rows
	workJudge    = "judge"    // a person decided about many exceptions
	workSubjects = "subjects" // an exception was closed with all who waited
	workWaive    = "waive"    // a person let a problem pass
	workUngate   = "ungate"   // a person let a gate pass
	workSort     = "sort"     // a transaction ended: what its rules made goes out, or is held
	workBlast    = "blast"    // a person released or discarded what a rule made too much of
	workFed      = "fed"      // publishers took events: they leave the index
)

// workAt is the entry on whose account work is added.
type workAt struct {
	Index uint64
	At    time.Time
	Line  uint64 `json:",omitempty"` // of the audit, when a decision is applied
}

// workItem is work as stored, with its entry.
type workItem struct {
	work
	Entry workAt `json:"entry"`
}

// snapshotLimit bounds the documents that one call looks at.
const snapshotLimit = 200

// forgetLimit bounds the notes that one call drops.
const forgetLimit = 2000

func (s *state) addWork(w work) error {
	n, err := s.next("work")
	if err != nil {
		return err
	}
	s.busy = true
	return s.save(bucketWork, hexKey(n), workItem{w, s.at})
}

func (s *state) addWorks(list ...work) error {
	for _, w := range list {
		if err := s.addWork(w); err != nil {
			return err
		}
	}
	return nil
}

// doWork does a bounded piece of the first work item, removes it when nothing is left of it, and reports whether there
// may be more.
func (p *projector) doWork(s *state) (more bool, err error) {
	k, raw, err := s.firstFrom(bucketWork, s.floors.work)
	if err != nil || k == "" {
		return false, err
	}
	s.floors.work = k
	var item workItem
	if err := json.Unmarshal(raw, &item); err != nil {
		return false, err
	}
	s.at, s.payload = item.Entry, nil
	marks, now, err := p.now(s)
	if err != nil {
		return false, err
	}
	at := transform.Entry{Index: item.Entry.Index, Observed: item.Entry.At, Now: now, Marks: marks}
	done, err := p.piece(s, &item.work, at, marks)
	if err != nil {
		return false, fmt.Errorf("doing %s work %s: %w", item.Kind, item.Key, err)
	}
	if done {
		return true, s.Delete(bucketWork, k)
	}
	return true, s.save(bucketWork, k, item)
}

func (p *projector) piece(s *state, w *work, at transform.Entry, marks map[string]time.Time) (done bool, err error) {
	out := &output{s: s, entry: at}
	switch w.Kind {
	case workGate:
		return s.release(w.Key, at.Observed)
	case workTimers:
		return p.fire(s, out, at, marks)
	case workSnapshot:
		ended := transform.Ended{}
		if w.Detail != nil {
			if err := json.Unmarshal(w.Detail, &ended); err != nil {
				return false, err
			}
		}
		ended.Source = w.Key
		w.Cursor, err = p.mapper.SnapshotEnd(s, out, at, ended, w.Cursor, snapshotLimit)
		return w.Cursor == "", err
	case workFirst:
		return p.releaseFirst(s, w, at)
	case workForget:
		return p.forgetReading(s, w)
	case workActivate:
		if err := p.mapper.Activate(s, out, at, w.Key); err != nil {
			return false, err
		}
		return true, p.unholdAll(s)
	case workAwaited:
		return s.recall(w)
	case workRetry:
		if err := p.mapper.Retry(s, out, at, w.Key); err != nil {
			return false, err
		}
		return true, s.stillSo(w.Key, at.Observed)
	case workJudge:
		return p.judgeMany(s, w, at)
	case workSubjects:
		return s.dropSubjects(w)
	case workWaive:
		return true, p.mapper.Waive(s, out, at, w.Key)
	case workUngate:
		return s.ungate(w, at.Observed)
	case workSort:
		return p.sortSpill(s, w, at)
	case workBlast:
		return s.moveBlast(w, at)
	case workDiscard:
		return true, p.mapper.Discard(s, out, at, w.Key)
	case workHold:
		return p.unhold(s, w, at)
	case workDrop:
		return s.drop(w, at.Observed)
	case workReplay:
		return p.replay(s, w)
	case workXref:
		return p.importXref(s, w)
	case workLinkCase:
		return p.linked(s, out, w, at)
	case workFallBack:
		return p.fallBack(s, out, w, at)
	case workTargets:
		return s.rejudge(w)
	case workLetGo:
		return p.letGo(s, w, at)
	case workFed:
		return s.feedProgress(w, at)
	case workShadow:
		return s.unshadow(w, at.Observed)
	}
	return false, fmt.Errorf("work kind %q is not known", w.Kind)
}

// recall notes the stored events of a type that postings wait for from now on.
func (s *state) recall(w *work) (done bool, err error) {
	done = true
	var found []*transform.Event
	var seqs []uint64
	looked := 0
	err = s.eachEvent(unhex(w.Cursor), func(seq uint64, raw []byte) (bool, error) {
		if looked == snapshotLimit {
			w.Cursor, done = hexKey(seq), false
			return false, nil
		}
		looked++
		var e transform.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return false, err
		}
		if e.Type == w.Key {
			found, seqs = append(found, &e), append(seqs, seq)
		}
		return true, nil
	})
	for i, e := range found {
		if err == nil {
			err = s.happened(e, seqs[i])
		}
	}
	return done, err
}

// unholdAll looks again at every held table.
func (p *projector) unholdAll(s *state) error {
	var tables []string
	err := s.Scan(bucketHeld, "", "", func(k string, _ []byte) (bool, error) {
		tables = append(tables, k)
		return true, nil
	})
	for _, k := range tables {
		if err == nil {
			err = s.addWork(work{Kind: workHold, Key: k})
		}
	}
	return err
}

// fire fires due timers until none is left or the transaction is full.
func (p *projector) fire(s *state, out *output, at transform.Entry, marks map[string]time.Time) (done bool, err error) {
	for !s.Full() {
		t, err := s.due(marks, at.Now)
		if err != nil || t == nil {
			return true, err
		}
		if err := s.clearTimer(t.ID); err != nil {
			return false, err
		}
		if id, ok := strings.CutPrefix(t.ID, "gate/"); ok {
			err = s.overdue(id, at.Observed)
		} else if strings.HasPrefix(t.ID, timerBatch) {
			err = s.open(t.Payload)
		} else if strings.HasPrefix(t.ID, exceptionTimers) {
			err = s.fireException(*t, at.Observed)
		} else {
			err = p.mapper.Fire(s, out, at, *t)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// holdRef is the place of a change: its journal entry, its number in that entry from 1, and its number in the
// transaction that the entry belongs to.
type holdRef struct {
	entry uint64
	n     uint64
	unit  uint64
}

// heldChange finds a held change again in the journal.
type heldChange struct {
	Entry   uint64 `json:"entry"`
	N       uint64 `json:"n"`
	Ordinal int    `json:"ordinal"`
}

func (s *state) hold(table string, ref holdRef, ch *cdc.Change) error {
	v := heldChange{ref.entry, ref.n, ch.Ordinal}
	return s.save(bucketHold, key(table, hexKey(ref.entry), hexKey(ref.n)), v)
}

// oldestHeld returns the oldest journal entry that a held change lies in; the greatest number when there is none.
func (s *state) oldestHeld() (oldest uint64, err error) {
	oldest = math.MaxUint64
	for from := ""; ; {
		k, raw, err := s.firstFrom(bucketHold, from)
		if err != nil || k == "" {
			return oldest, err
		}
		var h heldChange
		if err := json.Unmarshal(raw, &h); err != nil {
			return oldest, err
		}
		oldest = min(oldest, h.Entry)
		parts := strings.SplitN(k, sep, 3) // the changes of one table lie in the order of their entries
		from = key(parts[0], parts[1]) + sep + "g"
	}
}

// unhold maps the held changes of a table in order. If the table still does not fit, it stays held.
func (p *projector) unhold(s *state, w *work, at transform.Entry) (done bool, err error) {
	var scan *heldScan
	var still *transform.HoldTable
	done, err = s.each(bucketHold, w.Key+sep, &w.Cursor, func(k string, raw []byte) (more bool, err error) {
		var h heldChange
		if err := json.Unmarshal(raw, &h); err != nil {
			return false, err
		}
		if scan, err = p.find(scan, h); err != nil {
			return false, err
		}
		if still, err = p.mapHeld(s, scan.reader.Change(), h, at); err != nil || still != nil {
			return false, err
		}
		return true, s.Delete(bucketHold, k)
	})
	if err != nil || !done {
		return still != nil, err
	}
	return true, s.unheld(w.Key, "waybill", "the table fits its rules again", at.Observed)
}

// mapHeld maps a held change with the documents that it completes. The first result says why its table must stay held.
func (p *projector) mapHeld(s *state, ch *cdc.Change, h heldChange, at transform.Entry) (*transform.HoldTable, error) {
	entry := at
	entry.Index = h.Entry
	out := &output{s: s, entry: entry, change: ch, unit: h.N}
	if p.probe != nil {
		if err := p.probe(s, entry, ch, h.N); err != nil {
			return nil, err
		}
	}
	var err error
	if entry.Echo, err = p.echoOf(s, ch); err != nil {
		return nil, err
	}
	err = p.mapper.Change(s, out, entry, ch)
	var hold *transform.HoldTable
	if errors.As(err, &hold) {
		return hold, nil
	}
	for more := err == nil; more; {
		more, err = p.mapper.Commit(s, out, at, commitLimit)
	}
	return nil, err
}

// drop gives up the held changes of a table, some at a time.
func (s *state) drop(w *work, at time.Time) (done bool, err error) {
	done, err = s.each(bucketHold, w.Key+sep, &w.Cursor, func(k string, _ []byte) (bool, error) { return true, s.Delete(bucketHold, k) })
	if err != nil || !done {
		return false, err
	}
	var d decisionEntry
	if err := json.Unmarshal(w.Detail, &d); err != nil {
		return false, err
	}
	return true, s.unheld(w.Key, d.By, "its held changes were given up: "+d.Why, at)
}

func (s *state) unheld(table, by, why string, at time.Time) error {
	fp, err := s.Get(bucketHeld, table)
	if err != nil || fp == nil {
		return err
	}
	source, name, _ := strings.Cut(table, sep)
	if err := s.Delete(bucketHeld, table); err != nil {
		return err
	}
	return s.resolve(string(fp), source+"/"+name, by, why, at)
}

// heldScan walks one journal entry after held changes.
type heldScan struct {
	entry  uint64
	n      uint64
	batch  cdc.Batch
	reader *cdc.Reader
}

// find moves to a held change, going on in the entry where the last one was found.
func (p *projector) find(scan *heldScan, h heldChange) (*heldScan, error) {
	if scan == nil || scan.entry != h.Entry {
		e, err := p.store.Read(h.Entry)
		if err != nil {
			return nil, err
		}
		scan = &heldScan{entry: h.Entry, reader: cdc.NewReader(p.codecs, p.schema)}
		if scan.batch, err = cdc.DecodeBatch(e.Payload); err != nil {
			return nil, err
		}
		scan.reader.Reset(&scan.batch)
	}
	for scan.n < h.N {
		if !scan.reader.Next() {
			return nil, fmt.Errorf("held change %d is not in entry %d: %w", h.N, h.Entry, scan.reader.Err())
		}
		scan.n++
	}
	scan.reader.Change().Ordinal = h.Ordinal
	return scan, nil
}
