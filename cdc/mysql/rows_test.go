package mysql

import (
	"fmt"
	"testing"

	"waybill/cdc"
)

// TestUpdateImages reads updates back as the log had them: what an update leaves as it was is written once, and NULL, an empty value and
// a column that is not in the image stay apart.
func TestUpdateImages(t *testing.T) {
	m := &tableMap{schema: "d", table: "t", columns: []mapColumn{{kind: tLong}, {kind: tVarchar, meta: 40}, {kind: tVarchar, meta: 400}}}
	schema := &cdc.Schema{Columns: make([]cdc.Column, 3)}
	p, err := newPlan(m, schema, func(int) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	full := []byte{7}
	for _, c := range []struct {
		name          string
		present, next []byte
		data          []byte
		want          string
	}{
		{"one changed", full, full, []byte{0, 1, 0, 0, 0, 1, 'a', 1, 0, 'b', 0, 1, 0, 0, 0, 1, 'c', 1, 0, 'b'},
			`[2 "\x01\x00\x00\x00" > 2 "\x01\x00\x00\x00"][2 "a" > 2 "c"][2 "b" > 2 "b"]`},
		{"null to empty and back", full, full, []byte{0b010, 1, 0, 0, 0, 0, 0, 0b100, 1, 0, 0, 0, 0}, // NULL, '' becomes '', NULL
			`[2 "\x01\x00\x00\x00" > 2 "\x01\x00\x00\x00"][1 "" > 2 ""][2 "" > 1 ""]`},
		{"minimal", []byte{1}, []byte{6}, []byte{0, 1, 0, 0, 0, 0, 1, 'c', 1, 0, 'c'},
			`[2 "\x01\x00\x00\x00" > 0 ""][0 "" > 2 "c"][0 "" > 2 "c"]`},
		{"two rows", full, full, []byte{0, 1, 0, 0, 0, 1, 'a', 1, 0, 'b', 0, 1, 0, 0, 0, 1, 'c', 1, 0, 'b',
			0b110, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 1, 0, 'b'},
			`[2 "\x01\x00\x00\x00" > 2 "\x01\x00\x00\x00"][1 "" > 2 "a"][1 "" > 2 "b"]`},
	} {
		var enc cdc.Encoder
		enc.Begin(cdc.Tx{Commit: "c"})
		if err := p.encode(&enc, &rowsEvent{op: cdc.Update, columns: 3, present: c.present, next: c.next, data: c.data}); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		data, _ := enc.Take()
		r := cdc.NewReader(nil, func(uint64) (*cdc.Schema, error) { return schema, nil })
		r.Reset(&cdc.Batch{Data: data})
		got := ""
		for r.Next() {
			got = ""
			for i := range schema.Columns {
				before, old := r.Change().RawOld(i)
				after, raw := r.Change().RawNew(i)
				got += fmt.Sprintf("[%d %q > %d %q]", before, old, after, raw)
			}
		}
		if r.Err() != nil || got != c.want {
			t.Errorf("%s: %v, got\n%s, want\n%s", c.name, r.Err(), got, c.want)
		}
	}
}
