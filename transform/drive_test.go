package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// drive feeds a Mapper with the changes of imagined databases.
type drive struct {
	t       testing.TB
	p       *Mapper
	st      *MemoryState
	out     *transcript
	catalog map[string][]*cdc.Schema
	clock   time.Time
	index   uint64
}

func newDrive(t testing.TB, m *Mapping) *drive {
	t.Helper()
	p, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	return &drive{t: t, p: p, st: NewMemoryState(), out: newTranscript(), catalog: catalog(),
		clock: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)}
}

func (d *drive) entry() Entry { return Entry{Index: d.index, Observed: d.clock, Now: d.clock} }

// testCodec reads canonical text; a value that begins with ! cannot be decoded.
type testCodec struct{}

func (testCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	if strings.HasPrefix(string(raw), "!") {
		return cdc.Value{}, errors.New("no such character")
	}
	return cdc.Of(col.Kind, string(raw)), nil
}

// change is a line like "insert billing.inv_hdr inv_no=A1 stat=R", "update … | stat=D" with old values after the bar, "delete …",
// "snapshot …", "truncate …". ~ is NULL; a column that is not named is NULL in a new row, and absent (as are all columns
// named with "-") in an old one. _ in a value is a blank.
type change string

func (d *drive) shape(name string) *cdc.Schema {
	source, table, _ := strings.Cut(name, ".")
	for _, s := range d.catalog[source] {
		if s.Table.Name == table {
			return s
		}
	}
	d.t.Fatalf("no table %s", name)
	return nil
}

func (d *drive) encode(enc *cdc.Encoder, ch change) {
	d.t.Helper()
	now, old, hasOld := strings.Cut(string(ch), "|")
	words := strings.Fields(now)
	s := d.shape(words[1])
	row := func(words []string, missing string) {
		vals := map[string]string{}
		for _, w := range words {
			col, v, ok := strings.Cut(w, "=")
			if name, absent := strings.CutPrefix(w, "-"); absent {
				col, v, ok = name, "-", true
			}
			if !ok || s.Column(col) < 0 {
				d.t.Fatalf("%q in %q", w, ch)
			}
			vals[col] = v
		}
		for _, c := range s.Columns {
			v, ok := vals[c.Name]
			if !ok {
				v = missing
			}
			switch v {
			case "~":
				enc.Null()
			case "-":
				enc.Absent()
			default:
				enc.Value([]byte(strings.ReplaceAll(v, "_", " ")))
			}
		}
	}
	switch words[0] {
	case "insert", "snapshot":
		enc.Change(map[string]cdc.Op{"insert": cdc.Insert, "snapshot": cdc.Snapshot}[words[0]], s)
		row(words[2:], "~")
	case "update": // columns that are not named were not in the log
		if hasOld {
			enc.UpdateOld(s)
			row(strings.Fields(old), "-")
		} else {
			enc.Change(cdc.Update, s)
		}
		row(words[2:], "-")
	case "delete":
		enc.Change(cdc.Delete, s)
		row(words[2:], "-")
	case "truncate":
		enc.Change(cdc.Truncate, s)
	default:
		d.t.Fatalf("%q", ch)
	}
}

// try applies one transaction and returns the first error.
func (d *drive) try(changes ...change) error {
	d.t.Helper()
	d.index++
	d.clock = d.clock.Add(time.Second)
	var enc cdc.Encoder
	enc.Begin(cdc.Tx{Commit: fmt.Sprintf("0/%X", d.index), CommitAt: d.clock})
	for _, ch := range changes {
		d.encode(&enc, ch)
	}
	data, n := enc.Take()
	reader := cdc.NewReader(cdc.Codecs{"test/1": testCodec{}}, func(id uint64) (*cdc.Schema, error) {
		for _, all := range d.catalog {
			for _, s := range all {
				if s.ID() == id {
					return s, nil
				}
			}
		}
		return nil, fmt.Errorf("schema %x", id)
	})
	reader.Reset(&cdc.Batch{Identity: "server-1", Data: data, Changes: n})
	for reader.Next() {
		ch := reader.Change()
		ch.Source = ch.Schema.Source
		if err := d.p.Change(d.st, d.out, d.entry(), ch); err != nil {
			return err
		}
	}
	return errors.Join(reader.Err(), d.commit())
}

// commit ends the transaction, two documents a call.
func (d *drive) commit() error {
	for {
		if more, err := d.p.Commit(d.st, d.out, d.entry(), 2); err != nil || !more {
			return err
		}
	}
}

func (d *drive) tx(changes ...change) {
	d.t.Helper()
	if err := d.try(changes...); err != nil {
		d.t.Fatal(err)
	}
	d.fire()
}

// snapshot applies the rows of one snapshot of the source and its end.
func (d *drive) snapshot(source string, limit int, changes ...change) {
	d.t.Helper()
	if err := d.try(changes...); err != nil {
		d.t.Fatal(err)
	}
	for next, calls := "", 0; ; calls++ {
		var err error
		if next, err = d.p.SnapshotEnd(d.st, d.out, d.entry(), Ended{Source: source}, next, limit); err != nil {
			d.t.Fatal(err)
		}
		if next == "" {
			break
		}
		if calls > 10000 {
			d.t.Fatal("a snapshot without end")
		}
	}
	d.fire()
}

func (d *drive) wait(by time.Duration) {
	d.t.Helper()
	d.clock = d.clock.Add(by)
	d.index++
	d.fire()
}

func (d *drive) fire() {
	d.t.Helper()
	for range 1000 {
		timer, ok := d.out.due(d.clock)
		if !ok {
			return
		}
		if err := d.p.Fire(d.st, d.out, d.entry(), timer); err != nil {
			d.t.Fatal(err)
		}
	}
	d.t.Fatal("timers without end")
}

// activate makes another mapping version the active one.
func (d *drive) activate(m *Mapping) {
	d.t.Helper()
	p, err := NewMapper(m)
	if err != nil {
		d.t.Fatal(err)
	}
	d.p = p
	if err := p.Activate(d.st, d.out, d.entry()); err != nil {
		d.t.Fatal(err)
	}
	d.fire()
}

// events shows the events since the last call, "type key" each, history marked.
func (d *drive) events() string {
	var all []string
	for _, e := range d.out.events {
		s := e.Type + " " + e.Key
		if e.Historic {
			s += " (history)"
		}
		all = append(all, s)
	}
	d.out.events = nil
	return strings.Join(all, ", ")
}

// posts shows the postings since the last call.
func (d *drive) posts() string {
	var all []string
	for _, p := range d.out.posts {
		s := p.Entity + " " + p.ExternalID
		if p.Adopt {
			s += " (adopt)"
		}
		all = append(all, s)
	}
	d.out.posts = nil
	return strings.Join(all, ", ")
}

// problems shows the open problems, "code subject" each.
func (d *drive) problems() string {
	var all []string
	for k, p := range d.out.open {
		all = append(all, p.Code+" "+k[1])
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (d *drive) expect(what, got, want string) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// dump is the whole state as text.
func (s *MemoryState) dump() string {
	var b strings.Builder
	for _, bucket := range slices.Sorted(maps.Keys(s.buckets)) {
		for _, k := range slices.Sorted(maps.Keys(s.buckets[bucket])) {
			fmt.Fprintf(&b, "%s %q %q\n", bucket, k, s.buckets[bucket][k])
		}
	}
	return b.String()
}

// Rows of the sample carrier.
const (
	acme  change = "insert billing.bill_cust cust_cd=ACM01 erp_acct=104377 eff_dt=2019-01-01"
	line1 change = "insert billing.inv_line inv_no=A1 line_no=1 chg_cd=LH qty=1.000 rate=1000.0000 ext_amt=1000.00 tax_cd=EX"
	line2 change = "insert billing.inv_line inv_no=A1 line_no=2 chg_cd=DET qty=2.000 rate=75.0000 ext_amt=150.00 tax_cd=EX"
	draft change = "insert billing.inv_hdr inv_no=A1 rev_no=0 cust_cd=ACM01 stat=D inv_dt=2026-10-01 line_cnt=2 inv_amt=1150.00 tax_amt=0.00 upd_ts=2026-10-01_08:00:00"
	free  change = "update billing.inv_hdr inv_no=A1 stat=R rel_ts=2026-10-02_09:00:00 | stat=D"
)

// invoice is a released header with one line of 100.00.
func invoice(op, no, original, amount string) []change {
	hdr := "billing.inv_hdr inv_no=" + no + " rev_no=0 cust_cd=ACM01 stat=R inv_dt=2026-10-05 line_cnt=1 tax_amt=0.00 rel_ts=2026-10-05_10:00:00 upd_ts=2026-10-05_10:00:00 inv_amt=" + amount
	if original != "" {
		hdr += " orig_inv_no=" + original
	}
	return []change{change(op + " " + hdr),
		change(op + " billing.inv_line inv_no=" + no + " line_no=1 chg_cd=LH qty=1.000 rate=" + amount + " ext_amt=" + amount + " tax_cd=EX")}
}

// bench measures one change of a form with a number in it; framing is not counted.
func (d *drive) bench(b *testing.B, form string) {
	var enc cdc.Encoder
	enc.Begin(cdc.Tx{Commit: "0/1", CommitAt: d.clock})
	for i := range b.N {
		d.encode(&enc, change(fmt.Sprintf(form, i)))
	}
	data, n := enc.Take()
	reader := cdc.NewReader(cdc.Codecs{"test/1": testCodec{}}, func(uint64) (*cdc.Schema, error) { return d.shape("dispatch.loads"), nil })
	reader.Reset(&cdc.Batch{Source: "dispatch", Data: data, Changes: n})
	b.ReportAllocs()
	b.ResetTimer()
	for reader.Next() {
		d.out.events, d.out.rows = d.out.events[:0], d.out.rows[:0]
		if err := d.p.Change(d.st, d.out, d.entry(), reader.Change()); err != nil {
			b.Fatal(err)
		}
	}
}
