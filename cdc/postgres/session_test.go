package postgres

import (
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// newSession returns a session without a server, which feed gives messages.
func newSession() *session {
	n := &session{source: &Source{cfg: Config{Name: "test"}.withDefaults()}, start: place{"1", 1, 1}, announced: map[uint64]*cdc.Schema{},
		stream: *newStream(), wire: &wire{}}
	n.stream.relations = map[uint32]*wireRelation{}
	return n
}

func (n *session) feed(t *testing.T, messages ...[]byte) (batches []cdc.Batch) {
	t.Helper()
	for _, m := range messages {
		b, ok, err := n.copyData(append(append([]byte{'w'}, make([]byte, 24)...), m...))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			batches = append(batches, b)
		}
	}
	return batches
}

func (n *session) show(t *testing.T, b cdc.Batch) string {
	t.Helper()
	r := cdc.NewReader(nil, func(uint64) (*cdc.Schema, error) { return n.stream.relations[1].schema, nil })
	r.Reset(&b)
	var out []string
	for r.Next() {
		_, raw := r.Change().RawNew(0)
		out = append(out, r.Change().Tx.Commit+"="+string(raw[:1]))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// TestCutBehindWholeTransactions hands on what is complete while the next transaction is arriving (Invariant 2).
func TestCutBehindWholeTransactions(t *testing.T) {
	n := newSession()
	row := func(v string) []byte { return rowMessage('I', 1, []string{"N", v, "∅", "∅"}) }
	n.feed(t, begin(0x10, 1), relationMessage(1, 'd', "id", "n", "skip"), row("a"), commit(0x10, 0x18), begin(0x20, 2), row("b"))
	b := n.cut()
	if got := n.show(t, b); got != "0/10=a" || b.Position != "pg/1/1/0/18" || b.Changes != 1 || b.More {
		t.Errorf("first batch %q at %s with %d changes", got, b.Position, b.Changes)
	}
	n.keepalive(append(append([]byte{'k', 0, 0, 0, 0, 0, 0, 0, 0x30}, make([]byte, 8)...), 1))
	if n.received != 0x18 || n.watermarkDue(time.Now().Add(time.Hour)) {
		t.Errorf("inside a transaction a keepalive moved us to %s", n.received)
	}
	n.feed(t, row("c"), commit(0x20, 0x28))
	b = n.cut()
	if got := n.show(t, b); got != "0/20=b 0/20=c" || b.Position != "pg/1/1/0/28" || b.Changes != 2 {
		t.Errorf("second batch %q at %s with %d changes", got, b.Position, b.Changes)
	}
}

// TestLargeTransactionBesideSmall has a small transaction before a large one and one after it: they never share a batch.
func TestLargeTransactionBesideSmall(t *testing.T) {
	n := newSession()
	large := rowMessage('I', 1, []string{"N", strings.Repeat("x", partSize/4), "∅", "∅"})
	small := rowMessage('I', 1, []string{"N", "s", "∅", "∅"})
	batches := n.feed(t, begin(0x10, 1), relationMessage(1, 'd', "id", "n", "skip"), small, commit(0x10, 0x18), begin(0x20, 2))
	for range 20 {
		batches = append(batches, n.feed(t, large)...)
	}
	batches = append(batches, n.feed(t, commit(0x20, 0x28), begin(0x30, 3), small, commit(0x30, 0x38))...)
	batches = append(batches, n.cut())
	rows := 0
	for i, b := range batches {
		last := i == len(batches)-2
		switch {
		case i == 0 && (b.Position != "pg/1/1/0/18" || b.Tx != "" || b.More):
			t.Errorf("the small transaction before came as %+v", b.Position)
		case i == len(batches)-1 && (b.Position != "pg/1/1/0/38" || b.Tx != "" || n.show(t, b) != "0/30=s"):
			t.Errorf("the small transaction behind came as %s", n.show(t, b))
		case i > 0 && i < len(batches)-1:
			rows += b.Changes
			if b.Tx != "0/20" || b.Part != i-1 || b.More == last || (b.Position != "") != last || len(b.Data) > partSize+partSize/2 {
				t.Errorf("part %d: Tx %q Part %d More %t Position %q, %d bytes", i-1, b.Tx, b.Part, b.More, b.Position, len(b.Data))
			}
		}
	}
	if rows != 20 || len(batches) < 5 {
		t.Errorf("%d rows in %d batches", rows, len(batches))
	}
}
