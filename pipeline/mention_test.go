package pipeline

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
)

// said is a transaction that has more mentions with each turn, of few references, so that some are in many blocks.
func said(turn int) (m mentions, want mentioned) {
	want = mentioned{rows: map[string][]notedRow{}, events: map[string][]uint64{}}
	at := time.Date(2026, 3, 8, 12, 0, turn, 0, time.UTC)
	for i := range 3 * turn {
		refs := []string{fmt.Sprintf("shipment/%d", i%7), fmt.Sprintf("invoice/%d-%d", turn, i)}
		if i%3 == 0 {
			seq := uint64(1000*turn + i)
			m.event(seq, refs)
			for _, ref := range refs {
				want.events[ref] = append(want.events[ref], seq)
			}
			continue
		}
		r := notedRow{rowNote{Op: cdc.Update, CommitAt: at, At: at.Add(time.Second), Table: "tms.load", Commit: fmt.Sprint("0/", i)}, uint64(turn), uint64(i)}
		m.row(r, refs)
		for _, ref := range refs {
			want.rows[ref] = append(want.rows[ref], r)
		}
	}
	return m, want
}

// TestMentions writes transactions of few mentions, as keys, and of many, as blocks: both are found, each in its order.
func TestMentions(t *testing.T) {
	r := newRig(t)
	want := mentioned{rows: map[string][]notedRow{}, events: map[string][]uint64{}}
	var blocks uint64
	for turn := 1; turn <= 30; turn++ {
		m, more := said(turn)
		if len(m.list) >= blockLeast {
			blocks++
		}
		for ref, rows := range more.rows {
			want.rows[ref] = append(want.rows[ref], rows...)
		}
		for ref, seqs := range more.events {
			want.events[ref] = append(want.events[ref], seqs...)
		}
		err := r.store.Project(func(tx *checkpoint.Txn) (checkpoint.Applied, error) {
			s := newState(tx)
			s.said = m
			return r.store.Applied(), s.flush()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if blocks == 0 || blocks == 30 {
		t.Fatalf("%d of 30 transactions wrote blocks", blocks)
	}
	err := r.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		for _, ref := range []string{"shipment/0", "shipment/6", "invoice/3-2", "invoice/30-88", "invoice/30-90", "shipment/7"} {
			got, err := s.mentionsOf([]string{ref}, 0, traceMost)
			if err != nil {
				return err
			}
			slices.SortFunc(got.rows[ref], func(a, b notedRow) int { return int(a.index*1000+a.unit) - int(b.index*1000+b.unit) })
			if !reflect.DeepEqual(got.rows[ref], want.rows[ref]) || !slices.Equal(got.events[ref], want.events[ref]) {
				t.Errorf("%s: %d rows and events %v, want %d and %v", ref, len(got.rows[ref]), got.events[ref], len(want.rows[ref]), want.events[ref])
			}
		}
		some, err := s.mentionsOf([]string{"shipment/0"}, 20_000, 3)
		if got := some.events["shipment/0"]; len(some.rows["shipment/0"]) != 3 || len(got) != 3 || got[0] <= 20_000 {
			t.Errorf("three of each behind 20000: %d rows, events %v", len(some.rows["shipment/0"]), got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzBlock looks things up in what is no block.
func FuzzBlock(f *testing.F) {
	m, _ := said(30)
	f.Add(m.block(m.list), hashRef("shipment/3"))
	f.Add([]byte{1}, uint64(0))
	f.Fuzz(func(t *testing.T, block []byte, hash uint64) {
		found := 0
		err := lookUp(block, hash, func(notedRow) { found++ }, func(uint64) { found++ })
		if found > len(block)/mentionSize {
			t.Errorf("%d mentions in %d bytes, %v", found, len(block), err)
		}
	})
}
