package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// message builders follow https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

func begin(commit uint64, xid uint32) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'B'}, commit)
	b = binary.BigEndian.AppendUint64(b, 1000)
	return binary.BigEndian.AppendUint32(b, xid)
}

func commit(at, end uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'C', 0}, at)
	b = binary.BigEndian.AppendUint64(b, end)
	return binary.BigEndian.AppendUint64(b, 1000)
}

func relationMessage(oid uint32, identity byte, columns ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'R'}, oid)
	b = append(b, "public\x00loads\x00"...)
	b = append(b, identity)
	b = binary.BigEndian.AppendUint16(b, uint16(len(columns)))
	for i, c := range columns {
		flags := byte(0)
		if i == 0 || identity == 'f' {
			flags = 1
		}
		b = append(append(b, flags), c...)
		b = binary.BigEndian.AppendUint32(append(b, 0), 25)
		b = binary.BigEndian.AppendUint32(b, 0xffffffff)
	}
	return b
}

// rowMessage makes a row: each tuple is its letter and its values; "∅" is null, "…" unchanged TOAST.
func rowMessage(kind byte, oid uint32, tuples ...[]string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, oid)
	for _, t := range tuples {
		b = append(b, t[0]...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(t)-1))
		for _, v := range t[1:] {
			switch v {
			case "∅":
				b = append(b, 'n')
			case "…":
				b = append(b, 'u')
			default:
				b = append(binary.BigEndian.AppendUint32(append(b, 't'), uint32(len(v))), v...)
			}
		}
	}
	return b
}

// newStream returns a stream that takes every column but those named skip.
func newStream() *stream {
	s := &stream{relations: map[uint32]*wireRelation{}}
	s.resolve = func(r *wireRelation) error {
		if r.oid == 99 {
			return nil // not selected
		}
		r.schema = &cdc.Schema{Source: "test", Table: r.table, Codec: CodecName}
		r.take = make([]bool, len(r.columns))
		for i, c := range r.columns {
			if r.take[i] = c.name != "skip"; r.take[i] {
				r.schema.Columns = append(r.schema.Columns, cdc.Column{Name: c.name, Kind: cdc.KindText, Type: "text"})
			}
		}
		return nil
	}
	return s
}

// dump reads what a stream has framed, as a journal's reader would.
func dump(s *stream) (string, error) {
	schemas := map[uint64]*cdc.Schema{}
	for _, r := range s.relations {
		if r.schema != nil {
			schemas[r.schema.ID()] = r.schema
		}
	}
	for _, r := range s.messages {
		schemas[r.schema.ID()] = r.schema
	}
	data, _ := s.enc.Cut(s.enc.Mark())
	reader := cdc.NewReader(cdc.Codecs{CodecName: Codec()}, func(id uint64) (*cdc.Schema, error) {
		if s := schemas[id]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("schema %x is unknown", id)
	})
	reader.Reset(&cdc.Batch{Data: data})
	var out strings.Builder
	for reader.Next() {
		c := reader.Change()
		fmt.Fprintf(&out, "%s %s/%s", c.Op, c.Tx.Commit, c.Tx.XID)
		for i := range c.Schema.Columns {
			state, raw := c.RawNew(i)
			was, old := c.RawOld(i)
			fmt.Fprintf(&out, " %d:%q<%d:%q", state, raw, was, old)
		}
		out.WriteByte('\n')
	}
	return out.String(), reader.Err()
}

func corpus() [][]byte {
	return [][]byte{
		begin(0x16B374D848, 7), commit(0x16B374D848, 0x16B374D878), relationMessage(1, 'd', "id", "n", "skip"), relationMessage(2, 'f', "id"),
		relationMessage(99, 'd', "id"), {'Y', 0, 0, 0, 1, 'p', 0, 't', 0}, {'O', 0, 0, 0, 0, 0, 0, 0, 1, 'o', 0},
		{'M', 0, 0, 0, 0, 0, 0, 0, 0, 1, 'p', 0, 0, 0, 0, 1, 'x'},
		rowMessage('I', 1, []string{"N", "1", "∅", "secret"}), rowMessage('U', 1, []string{"N", "1", "…", "secret"}),
		rowMessage('U', 1, []string{"K", "1", "∅", "∅"}, []string{"N", "2", "x", "secret"}),
		rowMessage('U', 2, []string{"O", "1"}, []string{"N", "2"}), rowMessage('D', 1, []string{"K", "2", "∅", "∅"}),
		rowMessage('D', 2, []string{"O", "2"}), rowMessage('I', 99, []string{"N", "1"}), {'T', 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 2},
		{'M', 1, 0, 0, 0, 0, 0, 0, 0, 1, 'p', 0, 0, 0, 0, 1, 'x'},
	}
}

func TestMessages(t *testing.T) {
	s := newStream()
	c := corpus()
	for _, m := range [][]byte{c[0], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11], c[12], c[13], c[14], c[15], c[16], c[1]} {
		if _, err := s.message(m); err != nil {
			t.Fatalf("message %q: %v", m, err)
		}
	}
	got, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `insert 16/B374D848/7 2:"1"<0:"" 1:""<0:""
update 16/B374D848/7 2:"1"<0:"" 0:""<0:""
update 16/B374D848/7 2:"2"<2:"1" 2:"x"<0:""
update 16/B374D848/7 2:"2"<2:"1"
delete 16/B374D848/7 0:""<2:"2" 0:""<0:""
delete 16/B374D848/7 0:""<2:"2"
truncate 16/B374D848/7 0:""<0:"" 0:""<0:""
truncate 16/B374D848/7 0:""<0:""
insert 16/B374D848/7 2:"x"<0:""
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if s.end != 0x16B374D878 || s.open {
		t.Errorf("after the commit the end is %s, open %t", s.end, s.open)
	}
}

func TestBadMessages(t *testing.T) {
	row := rowMessage('I', 1, []string{"N", "1", "x", "y"})
	for _, c := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"empty", nil, "cut short"},
		{"unknown", []byte{'?'}, `pgoutput message '?' is not part`},
		{"streaming", []byte{'S'}, `pgoutput message 'S' is not part`},
		{"begin twice", begin(1, 1), "begin inside"},
		{"short relation", []byte("R\x00\x00\x00\x01pub"), "relation: message cut short"},
		{"unannounced", rowMessage('I', 5, []string{"N", "1"}), "relation 5, which the stream did not announce"},
		{"short value", row[:len(row)-2], "insert of public.loads: message cut short"},
		{"columns", rowMessage('I', 1, []string{"N", "1"}), "row of 1 columns in a relation of 3"},
		{"tuple", rowMessage('I', 1, []string{"K", "1", "x", "y"}), `tuple kind 'K'`},
		{"old only", rowMessage('U', 1, []string{"K", "1", "x", "y"}), "update of public.loads: message cut short"},
		{"short message", []byte("M\x01........p\x00\x00\x00\x00\x02x"), "logical message: message cut short"},
		{"long message", []byte("M\x01........p\x00\x00\x00\x00\x02xyz"), "logical message: message cut short"},
		{"message without an end", []byte("M\x01........prefix"), "logical message: message cut short"},
		{"binary", append(binary.BigEndian.AppendUint32([]byte{'I'}, 1), 'N', 0, 3, 'b'), `column kind 'b'`},
	} {
		s := newStream()
		for _, m := range [][]byte{begin(1, 1), relationMessage(1, 'd', "id", "n", "skip")} {
			if _, err := s.message(m); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.message(c.msg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	s := newStream()
	for _, m := range [][]byte{commit(1, 2), row, {'T', 0, 0, 0, 0, 0}, corpus()[16]} {
		if _, err := s.message(m); err == nil || !strings.Contains(err.Error(), "outside a transaction") {
			t.Errorf("%q outside a transaction: %v", m[:1], err)
		}
	}
}

// FuzzMessages feeds messages, each after its length, to the parser: it must not panic, and must frame what a reader can
// read. Where the reference parser takes a message, so do we.
func FuzzMessages(f *testing.F) {
	var all []byte
	for _, m := range corpus() {
		all = append(append(all, byte(len(m))), m...)
	}
	f.Add(all)
	for _, m := range corpus() {
		f.Add(append([]byte{21}, append(begin(1, 1), append([]byte{byte(len(m))}, m...)...)...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newStream()
		for len(raw) > 1 {
			n := min(int(raw[0]), len(raw)-1)
			m := raw[1 : 1+n]
			raw = raw[1+n:]
			was := s.enc.Mark()
			if _, err := s.message(m); err != nil {
				s.enc.Undo(was) // the session ends there and hands on nothing more
				break
			}
		}
		if _, err := dump(s); err != nil {
			t.Fatalf("what was framed cannot be read: %v", err)
		}
	})
}

// TestAgainstReference compares every message of a recorded stream with what pglogrepl's parser reads in it. The recording
// is of a real server: TestRecord writes it.
func TestAgainstReference(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "pgoutput.hex"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStream()
	relations := map[uint32]*pglogrepl.RelationMessage{}
	changes := 0
	for line := range bytes.Lines(raw) {
		msg, err := hex.DecodeString(strings.TrimSpace(string(line)))
		if err != nil {
			t.Fatal(err)
		}
		reference, err := pglogrepl.Parse(msg)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := reference.(*pglogrepl.RelationMessage); ok {
			relations[r.RelationID] = r
		}
		did, err := s.message(msg)
		if err != nil {
			t.Fatalf("%T: %v", reference, err)
		}
		switch m := reference.(type) {
		case *pglogrepl.BeginMessage:
			if s.commit != m.FinalLSN || s.xid != m.Xid || !s.at.Equal(m.CommitTime) {
				t.Errorf("begin %+v read as %s %d %s", m, s.commit, s.xid, s.at)
			}
		case *pglogrepl.CommitMessage:
			if s.end != m.TransactionEndLSN || did != stepCommit {
				t.Errorf("commit %+v read as %s", m, s.end)
			}
		}
		if did != stepChange {
			continue
		}
		changes++
		got, err := dump(s)
		if err != nil {
			t.Fatal(err)
		}
		if want := referenceDump(s, reference); got != want {
			t.Errorf("got %s want %s", got, want)
		}
		s.framed = false
	}
	if changes < 30 {
		t.Errorf("the recording has %d changes", changes)
	}
}

// referenceDump is dump for a message as pglogrepl reads it.
func referenceDump(s *stream, m pglogrepl.Message) string {
	var op cdc.Op
	var before, after *pglogrepl.TupleData
	keyOnly := false
	var ids []uint32
	switch m := m.(type) {
	case *pglogrepl.InsertMessage:
		op, after, ids = cdc.Insert, m.Tuple, []uint32{m.RelationID}
	case *pglogrepl.UpdateMessage:
		op, before, after, ids, keyOnly = cdc.Update, m.OldTuple, m.NewTuple, []uint32{m.RelationID}, m.OldTupleType == 'K'
	case *pglogrepl.DeleteMessage:
		op, before, ids, keyOnly = cdc.Delete, m.OldTuple, []uint32{m.RelationID}, m.OldTupleType == 'K'
	case *pglogrepl.TruncateMessage:
		op, ids = cdc.Truncate, m.RelationIDs
	}
	value := func(t *pglogrepl.TupleData, i int, absent bool) string {
		if t == nil || absent || t.Columns[i].DataType == 'u' {
			return `0:""`
		}
		if t.Columns[i].DataType == 'n' {
			return `1:""`
		}
		return fmt.Sprintf("2:%q", t.Columns[i].Data)
	}
	var out strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&out, "%s %s/%d", op, s.commit, s.xid)
		for i, c := range s.relations[id].columns {
			fmt.Fprintf(&out, " %s<%s", value(after, i, false), value(before, i, keyOnly && !c.identity))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func TestAppendLSN(t *testing.T) {
	for _, lsn := range []pglogrepl.LSN{0, 1, 0xF, 0x10, 0x16B374D848, 0xFFFFFFFF, 0x100000000, 0xFFFFFFFFFFFFFFFF} {
		if got := string(appendLSN(nil, lsn)); got != lsn.String() {
			t.Errorf("%d is written as %s, want %s", uint64(lsn), got, lsn)
		}
	}
}

// TestAllocations holds the promise that a change costs no allocation once the buffers have grown.
func TestAllocations(t *testing.T) {
	s := newStream()
	c := corpus()
	run := func() {
		for _, i := range []int{0, 8, 9, 10, 12, 14, 16, 1} {
			if _, err := s.message(c[i]); err != nil {
				t.Fatal(err)
			}
		}
		if s.enc.Len() > 1<<15 {
			s.enc.Reset()
		}
	}
	for _, i := range []int{2, 3, 4} {
		if _, err := s.message(c[i]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 {
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n > 0 {
		t.Errorf("%v allocations for a transaction of six changes", n)
	}
}

func TestPositions(t *testing.T) {
	p := place{"7711263791231799122", 3, 0x16B374D848}
	if got, err := parsePosition(p.position()); err != nil || got != p {
		t.Errorf("%s reads back as %+v, %v", p.position(), got, err)
	}
	for _, bad := range []cdc.Position{"", "pg", "pg//1/0/1", "pg/1/0/0/1", "pg/1/x/0/1", "pg/1/1/zz", "mysql/1/1/0/1", "pg/1/1"} {
		if p, err := parsePosition(bad); err == nil {
			t.Errorf("%q reads as %+v", bad, p)
		}
	}
}
