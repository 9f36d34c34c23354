package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
)

// flood is a source with one transaction that is larger than the journal may be. Its first session ends in the middle.
type flood struct {
	quietTables
	open, rest chan struct{} // closed when the first session may open, and when the second one may go on behind its part floodTorn
	session    int
	next       int
}

const (
	floodParts = 24
	floodPart  = 512 << 10 // bytes
	floodBound = 8 << 20   // of the journal
	floodTorn  = 20        // parts of the first session
)

func (f *flood) Open(ctx context.Context, pos cdc.Position) error {
	f.session, f.next = f.session+1, 0
	if pos == "" {
		f.next = -1
	}
	select {
	case <-f.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *flood) Next(ctx context.Context) (cdc.Batch, error) {
	n := f.next
	f.next++
	switch {
	case n < 0: // an empty snapshot
		return cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Snapshot: true, Tx: "snapshot", Position: "pg/1/1/0"}, nil
	case n == floodTorn && f.session == 1:
		return cdc.Batch{}, cdc.ErrDisconnected
	case n == floodTorn:
		select {
		case <-f.rest:
		case <-ctx.Done():
			return cdc.Batch{}, ctx.Err()
		}
	case n > floodParts: // an idle source says so
		select {
		case <-time.After(20 * time.Millisecond):
			return cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Position: "pg/1/1/2"}, nil
		case <-ctx.Done():
			return cdc.Batch{}, ctx.Err()
		}
	case n == floodParts:
		return floodBatch("2", 0, false, "behind"), nil
	}
	return floodBatch("1", n, n < floodParts-1, fmt.Sprintf("C%02d", n)), nil
}

// ReadChunk reads nothing: the first batch says that the table is in.
func (f *flood) ReadChunk(ctx context.Context, _ cdc.ChunkRequest) (cdc.ChunkRead, error) {
	<-ctx.Done()
	return cdc.ChunkRead{}, cdc.ErrDisconnected
}
func (f *flood) Covers(cdc.Position, cdc.Position) bool { return true }
func (f *flood) Nudge()                                 {}
func (f *flood) Strain(context.Context) (cdc.Strain, error) {
	return cdc.Strain{Clock: time.Now()}, nil
}

func (f *flood) Confirm(cdc.Position) {}
func (f *flood) Close() error         { return nil }
func (f *flood) Lag() cdc.Lag         { return cdc.Lag{Connected: true} }

var floodSchema = &cdc.Schema{Source: "dispatch", Table: partsSchema.Table, Codec: "plain/1",
	Columns: append(append([]cdc.Column{}, partsSchema.Columns...), cdc.Column{Name: "pad", Type: "text", Kind: cdc.KindText})}

func floodBatch(tx string, n int, more bool, customer string) cdc.Batch {
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 8, 0, n, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: "c" + tx, CommitAt: at})
	e.Change(cdc.Insert, floodSchema)
	e.Value([]byte(customer))
	e.Value([]byte("Customer " + customer))
	e.Value(make([]byte, floodPart))
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Tx: tx, Part: n, More: more, Schemas: []*cdc.Schema{floodSchema}, CommitAt: at}
	b.Data, b.Changes = e.Take()
	if !more {
		b.Position = cdc.Position("pg/1/1/" + tx)
	}
	return b
}

// A transaction that is larger than the journal may be goes through by itself, with an alarm, also when the session that
// began it ended in the middle; what comes behind it waits until the journal is within its bound again. And a lane that has nothing
// to send is not in trouble once its source was heard.
func TestATransactionBeyondTheJournalGoesThrough(t *testing.T) {
	f, target := &flood{open: make(chan struct{}), rest: make(chan struct{})}, newScripted()
	p := inSmallJournal(t, f, partsMapping, map[string]sinks.Sink{"erp": target})
	poll(t, "the lanes wait for the source", func() bool { return strings.Count(p.problems(), "has not been heard yet") == 2 })
	close(f.open)
	poll(t, "parts are in, beyond the bound, and the status says so", func() bool {
		return p.store.Stats().JournalBytes > floodBound && strings.Contains(p.problems(), "is captured to its end") && f.parts(p.store) == floodTorn
	})
	if n := len(target.sent()); n != 0 {
		t.Errorf("%d deliveries of a transaction whose end is not in the journal", n)
	}
	close(f.rest)
	poll(t, "everything is delivered", func() bool { return len(target.sent()) == floodParts+1 })
	p.within()
}

// small is a pipeline whose journal is small.
type small struct {
	*Pipeline
	t *testing.T
}

// inSmallJournal runs a pipeline until the test ends.
func inSmallJournal(t *testing.T, src cdc.Source, mapping string, to map[string]sinks.Sink) small {
	t.Helper()
	store, err := checkpoint.Open(t.TempDir(), checkpoint.Options{Floor: 1 << 20, Segment: 1 << 20, MaxBytes: floodBound})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{Store: store, Carriers: carriers(t, mapping), Sources: map[string]cdc.Source{"dispatch": src},
		Codecs: cdc.Codecs{"plain/1": modelCodec{}}, Sinks: to, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return small{p, t}
}

func (p small) problems() string {
	p.t.Helper()
	st, err := p.Status(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Join(st.Problems, "\n")
}

// within waits until the journal is within its bound again and nothing is in trouble.
func (p small) within() {
	p.t.Helper()
	poll(p.t, "nothing is in trouble", func() bool { return p.problems() == "" })
	if n := p.store.Stats().JournalBytes; n > floodBound {
		p.t.Errorf("the journal holds %d bytes, its bound is %d", n, floodBound)
	}
}

// busyShelf is a shelf whose table is written to while it is read: more than the journal may hold.
type busyShelf struct {
	*shelf
	left int // changes
}

func (b *busyShelf) Next(ctx context.Context) (cdc.Batch, error) {
	if b.left == 0 {
		return b.shelf.Next(ctx)
	}
	b.left--
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end++
	b.at = b.end
	batch := floodBatch(strconv.Itoa(b.at), 0, false, "N"+strconv.Itoa(b.at))
	batch.Identity, batch.Tx, batch.Position = "shelf/1/1", "", cdc.Position(strconv.Itoa(b.at))
	return batch, nil
}

// What a first reading holds cannot be trimmed before its last chunk is in, which joins the stream: so both go on.
func TestAFirstReadingBeyondTheJournalGoesOn(t *testing.T) {
	s := newShelf(40, 10)
	s.slow = make(chan struct{})
	p := inSmallJournal(t, &busyShelf{s, floodParts}, shelfMapping, nil)
	poll(t, "the journal is beyond its bound, and the status says so", func() bool {
		return p.store.Stats().JournalBytes > floodParts*floodPart && strings.Contains(p.problems(), "is captured to its end")
	})
	close(s.slow)
	poll(t, "the tables are read", func() bool { return seen(t, p.Pipeline, "customers") >= 40 && seen(t, p.Pipeline, "bills") == 10 })
	poll(t, "a watermark has asked for room", func() bool {
		s.Nudge() // as a source's heartbeat would, until what is applied suffices
		return p.problems() == ""
	})
	p.within()
}

// parts counts the parts of the open transaction that the state knows of.
func (f *flood) parts(store *checkpoint.Store) (n uint64) {
	_ = store.View(func(tx *checkpoint.Txn) error { // the poll that asks sees nothing then
		src, err := newState(tx).source("dispatch")
		for _, part := range src.Parts {
			n += part.To - part.From + 1
		}
		return err
	})
	return n
}
