package cdc

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

var storedSchema = &Schema{Source: "billing", Table: Table{"nstar", "inv_hdr"}, Codec: "test/1",
	Columns: []Column{{Name: "id", Type: "int", Kind: KindInt, Key: true}, {Name: "note", Type: "text", Kind: KindText}}}

// storedBatch is an insert and an update that changes the second of two columns.
func storedBatch() Batch {
	at := time.Date(2026, 3, 8, 14, 5, 0, 123456000, time.UTC)
	var e Encoder
	e.Begin(Tx{Commit: "0-1-7", XID: "x", CommitAt: at})
	e.Change(Insert, storedSchema)
	e.Value([]byte("7"))
	e.Null()
	e.UpdateOld(storedSchema)
	e.Value([]byte("7"))
	e.Null()
	e.SetFields(AppendSame(e.Fields()))
	e.Value(bytes.Repeat([]byte("b"), 200))
	b := Batch{Source: "billing", Identity: "mariadb/1-0", Schemas: []*Schema{storedSchema}, Position: "p", CommitAt: at}
	b.Data, b.Changes = e.Cut(e.Mark())
	return b
}

// TestStored brings a batch back from both ways to store it, with and without room behind its data.
func TestStored(t *testing.T) {
	want := storedBatch()
	appended, err := want.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	roomy := storedBatch()
	roomy.Data = append(make([]byte, 0, 4096), roomy.Data...)
	inPlace, err := roomy.Stored()
	if err != nil {
		t.Fatal(err)
	}
	if &inPlace[0] != &roomy.Data[0] {
		t.Error("the data was copied although there was room behind it")
	}
	tight := storedBatch()
	tight.Data = bytes.Clone(tight.Data)
	copied, err := tight.Stored()
	if err != nil {
		t.Fatal(err)
	}
	mark := Batch{Source: "billing", Identity: "mariadb/1-0", Position: "q", CommitAt: want.CommitAt}
	empty, err := mark.Stored()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want Batch
	}{"appended": {appended, want}, "in place": {inPlace, want}, "copied": {copied, want}, "watermark": {empty, mark}} {
		got, err := DecodeBatch(c.raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Data) == 0 {
			got.Data = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

// TestStoredFirst reads what releases stored before the header moved behind the data.
func TestStoredFirst(t *testing.T) {
	head := `{"s":"a","i":"pg/1/1","x":1,"o":"pg/1/1/0/16","a":1772978700000000}`
	raw := append([]byte{1, byte(len(head))}, head+"B\x010\x00\x02"...)
	b, err := DecodeBatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	if b.Source != "a" || b.Identity != "pg/1/1" || string(b.Data) != "B\x010\x00\x02" || b.CommitAt.IsZero() {
		t.Errorf("got %+v", b)
	}
}

// TestSame reads an update whose first column stayed as it was.
func TestSame(t *testing.T) {
	b := storedBatch()
	r := NewReader(nil, func(uint64) (*Schema, error) { return storedSchema, nil })
	r.Reset(&b)
	for i := range 2 {
		if !r.Next() {
			t.Fatalf("change %d is missing: %v", i, r.Err())
		}
	}
	c := r.Change()
	_, before := c.RawOld(0)
	state, after := c.RawNew(0)
	if state != Present || string(after) != "7" || string(before) != "7" {
		t.Errorf("column 0 was %q and is %q, state %v", before, after, state)
	}
	if state, raw := c.RawOld(1); state != Null || raw != nil {
		t.Errorf("column 1 was %q, state %v", raw, state)
	}
	if _, raw := c.RawNew(1); len(raw) != 200 {
		t.Errorf("column 1 is %q", raw)
	}
	if r.Next() || r.Err() != nil {
		t.Errorf("more behind the last change: %v", r.Err())
	}
	for name, write := range map[string]func(*Encoder){
		"of an insert": func(e *Encoder) { e.Change(Insert, storedSchema); e.SetFields(AppendSame(e.Fields())); e.Null() },
		"of the old tuple": func(e *Encoder) {
			e.UpdateOld(storedSchema)
			e.SetFields(AppendSame(e.Fields()))
			e.Null()
			e.Null()
			e.Null()
		},
	} {
		var e Encoder
		e.Begin(Tx{Commit: "1"})
		write(&e)
		data, _ := e.Take()
		r.Reset(&Batch{Data: data})
		if r.Next() || !errors.Is(r.Err(), ErrCorrupt) {
			t.Errorf("a field that is the same %s: %v", name, r.Err())
		}
	}
}

// FuzzBatch reads any bytes as a stored batch, and its changes: no panic.
func FuzzBatch(f *testing.F) {
	b := storedBatch()
	raw, err := b.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(append([]byte{1, 2, '{', '}'}, b.Data...))
	f.Add([]byte("BRxV{}\x02\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBatch(raw)
		if err != nil {
			return
		}
		r := NewReader(nil, func(uint64) (*Schema, error) { return storedSchema, nil })
		r.Reset(&b)
		for r.Next() {
			for i := range storedSchema.Columns {
				r.Change().RawOld(i)
				r.Change().RawNew(i)
			}
		}
	})
}
