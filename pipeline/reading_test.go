package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// model is a database of one table whose log and whose chunks are given to the projector in every order that can happen: a
// chunk comes anywhere behind the transactions that it includes, and may lack some that lie before them in the log and were
// not streamed when it was read, because a transaction can be in the log before it can be seen.
type model struct {
	*rig
	rng      *rand.Rand
	log      []modelTx    // transaction n is log[n-1]
	streamed int          // transactions given to the projector, or lost with a slot
	must     map[int]bool // transactions that came while no reading was under way: each has to make an event
}

type modelTx struct {
	key  string
	op   cdc.Op
	name string
}

// modelCodec reads plain bytes, and views "model <n> <not seen>,…".
type modelCodec struct{ plainCodec }

func (modelCodec) Sees(view string, tx cdc.Tx) (bool, error) {
	part := strings.Fields(view)
	upTo, err := strconv.Atoi(part[1])
	if err != nil {
		return false, err
	}
	n, err := strconv.Atoi(tx.Commit[1:])
	unseen := len(part) > 2 && slices.Contains(strings.Split(part[2], ","), strconv.Itoa(n))
	return n <= upTo && !unseen, err
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 77)), must: map[int]bool{}}
	m.project.codecs["plain/1"] = modelCodec{}
	payload, err := json.Marshal(mappingEntry{"parts/1", "parts.yaml", partsMapping})
	if err != nil {
		t.Fatal(err)
	}
	m.journal(checkpoint.Mapping, payload)
	m.catchUp()
	return m
}

func (m *model) catchUp() {
	m.t.Helper()
	if err := m.project.catchUp(context.Background()); err != nil {
		m.t.Fatal(err)
	}
}

// write commits a transaction.
func (m *model) write() {
	key := fmt.Sprintf("K%d", m.rng.IntN(8))
	tx := modelTx{key, cdc.Insert, fmt.Sprintf("v%05d", len(m.log)+1)}
	if m.table(len(m.log), nil)[key] != "" {
		tx.op = cdc.Update
		if m.rng.IntN(5) == 0 {
			tx.op = cdc.Delete
		}
	}
	m.log = append(m.log, tx)
}

// table is what the table looks like after the first n transactions without the unseen ones.
func (m *model) table(n int, unseen []int) map[string]string {
	rows := map[string]string{}
	for i, tx := range m.log[:n] {
		switch {
		case slices.Contains(unseen, i+1):
		case tx.op == cdc.Delete:
			delete(rows, tx.key)
		default:
			rows[tx.key] = tx.name
		}
	}
	return rows
}

// stream gives the next n transactions to the projector, as PostgreSQL does with its default replica identity: without old values.
func (m *model) stream(n int) {
	for ; n > 0 && m.streamed < len(m.log); n-- {
		m.streamed++
		tx := m.log[m.streamed-1]
		var e cdc.Encoder
		e.Begin(m.tx(m.streamed))
		e.Change(tx.op, partsSchema)
		e.Value([]byte(tx.key))
		if tx.op == cdc.Delete {
			e.Absent()
		} else {
			e.Value([]byte(tx.name))
		}
		b := m.batch(&e)
		b.Position = cdc.Position(strconv.Itoa(m.streamed))
		m.rows(b)
	}
}

func (m *model) tx(n int) cdc.Tx {
	return cdc.Tx{Commit: fmt.Sprint("c", n), XID: strconv.Itoa(n), CommitAt: time.Date(2026, 10, 1, 8, 0, n, 0, time.UTC)}
}

func (m *model) batch(e *cdc.Encoder) cdc.Batch {
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{partsSchema}}
	b.Data, b.Changes = e.Take()
	return b
}

// present returns the table's reading.
func (m *model) present() reading {
	m.t.Helper()
	all := m.project.current("dispatch")
	if len(all) != 1 {
		m.t.Fatalf("%d readings", len(all))
	}
	return all[0]
}

// chunk reads the rows of keys from..to-1 in a view of its own.
func (m *model) chunk(from, to int) (rows map[string]string, view string, high int) {
	high = m.streamed + m.rng.IntN(len(m.log)-m.streamed+1)
	var unseen []int
	locked := map[string]bool{}
	for n := high; n > max(m.streamed, high-4); n-- {
		// A later version that can be seen proves that this one can be seen as well.
		if !locked[m.log[n-1].key] && m.rng.IntN(3) == 0 {
			unseen = append(unseen, n)
		} else {
			locked[m.log[n-1].key] = true
		}
	}
	rows = m.table(high, unseen)
	maps.DeleteFunc(rows, func(k, _ string) bool { n := int(k[1] - '0'); return n < from || n >= to })
	view = "plain/1 " + strconv.Itoa(high)
	for i, n := range unseen {
		view += map[bool]string{true: " ", false: ","}[i == 0] + strconv.Itoa(n)
	}
	return rows, view, high
}

// read brings a whole reading in chunks of two keys, while the carrier goes on.
func (m *model) read() {
	m.t.Helper()
	rd := m.present()
	for number := rd.Number + 1; number <= 4; number++ {
		for range m.rng.IntN(6) {
			m.write()
		}
		rows, view, high := m.chunk(2*number-2, 2*number)
		for range m.rng.IntN(6) {
			m.write()
		}
		m.stream(max(0, high-m.streamed) + m.rng.IntN(4))
		var e cdc.Encoder
		e.Begin(cdc.Tx{Commit: fmt.Sprint("snapshot/", number), CommitAt: time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)})
		for _, k := range slices.Sorted(maps.Keys(rows)) {
			e.Change(cdc.Snapshot, partsSchema)
			e.Value([]byte(k))
			e.Value([]byte(rows[k]))
		}
		b := m.batch(&e)
		b.Snapshot, b.Chunk = true, &cdc.Chunk{Table: partsSchema.Table, After: strconv.Itoa(number), End: number == 4, View: view,
			Reading: rd.ID, Number: number}
		m.rows(b)
		if m.rng.IntN(3) == 0 {
			m.rows(b) // as a session that did not hear that it was journalled would
		}
		m.catchUp()
		if m.rng.IntN(4) == 0 { // the daemon starts again
			old := m.project
			m.project = newProjector(m.store, old.codecs, old.log, func() {})
			if _, err := m.project.load(); err != nil {
				m.t.Fatal(err)
			}
			m.stream(1)
			m.catchUp()
		}
	}
	m.stream(len(m.log))
	m.catchUp()
}

// check compares the row state with the table, and the order of each key's events with the order of its versions.
func (m *model) check(when string) {
	m.t.Helper()
	want, got := m.table(len(m.log), nil), map[string]string{}
	last, named := map[string]string{}, map[string]bool{}
	err := m.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		err := s.Scan("row/dispatch.public.customers", "", "", func(k string, v []byte) (bool, error) {
			at := strings.Index(string(v), "v0")
			got[strings.TrimRight(k, "\x00\x01")] = string(v[at : at+6])
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, bucket := range []string{"map/touched", bucketView, bucketHold} {
			if k, _, err := s.first(bucket, ""); err != nil || k != "" {
				m.t.Errorf("%s: %s has %q left", when, bucket, k)
			}
		}
		return s.eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
			var e transform.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return false, err
			}
			var data struct{ Name string }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return false, err
			}
			if data.Name <= last[e.Key] {
				m.t.Errorf("%s: %s was %s after %s", when, e.Key, data.Name, last[e.Key])
			}
			last[e.Key], named[data.Name] = data.Name, true
			return true, nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if !maps.Equal(want, got) {
		m.t.Errorf("%s: the table holds %v, the row state %v", when, want, got)
	}
	for k, name := range want {
		if last[k] != name {
			m.t.Errorf("%s: %s is %s, its last event says %s", when, k, name, last[k])
		}
	}
	if st := m.present().State; st != ReadingDone {
		m.t.Errorf("%s: the reading is %s", when, st)
	}
	m.steps(when, named)
}

// steps proves that no version is missing that came while no reading was under way.
func (m *model) steps(when string, named map[string]bool) {
	for n, tx := range m.log {
		if m.must[n+1] && tx.op != cdc.Delete && !named[tx.name] {
			m.t.Errorf("%s: version %s came after the reading and made no event", when, tx.name)
		}
	}
}

func TestReadingsJoinTheStream(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 10 {
				m.write()
			}
			m.streamed = m.rng.IntN(10) // the log begins somewhere
			m.read()
			m.check("after the first reading")
			for range 10 {
				m.write()
				m.must[len(m.log)] = true
			}
			m.stream(10)
			m.catchUp()
			m.check("while streaming")

			// The slot is lost with what nobody read; a reset compares.
			for range m.rng.IntN(12) {
				m.write()
			}
			m.streamed = len(m.log)
			m.decide(decisionEntry{Action: "reset", Reset: &ResetRequest{Source: "dispatch", To: "snapshot"}, By: "test"})
			m.read()
			m.check("after a reset")

			// A person asks for a reading in the middle of the stream.
			m.decide(decisionEntry{Action: "read", Read: &ReadRequest{Source: "dispatch", Table: partsSchema.Table}, By: "test"})
			m.read()
			m.check("after a second reading")
		})
	}
}

// A chunk whose view cannot be compared with the stream's transactions fails its reading, and nothing else.
func TestAViewThatCannotBeTold(t *testing.T) {
	m := newModel(t, 1)
	m.read()
	m.decide(decisionEntry{Action: "read", Read: &ReadRequest{Source: "dispatch", Table: partsSchema.Table}, By: "test"})
	for len(m.table(len(m.log), nil)) == 0 {
		m.write()
	}
	m.write()
	m.stream(len(m.log))
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: "snapshot/x"})
	for k, name := range m.table(len(m.log), nil) {
		e.Change(cdc.Snapshot, partsSchema)
		e.Value([]byte(k))
		e.Value([]byte(name))
	}
	b := m.batch(&e)
	b.Snapshot, b.Chunk = true, &cdc.Chunk{Table: partsSchema.Table, End: true, View: "plain/1 unknown", Reading: m.present().ID, Number: 1}
	m.rows(b)
	m.catchUp()
	if rd := m.present(); rd.State != ReadingFailed || !strings.Contains(rd.Error, "cannot be told") {
		t.Fatalf("%+v", rd)
	}
	m.write()
	m.stream(1)
	m.catchUp()
}
