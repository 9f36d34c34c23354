package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// lostSchema is the shape of a change that the log does not tell.
var lostSchema = &cdc.Schema{Source: "dispatch", Table: partsSchema.Table, Codec: "plain/1", Fault: "a statement without rows",
	Columns: []cdc.Column{{Type: "statement", Kind: cdc.KindBytes}}}

// lost is a change of one row of which the log holds nothing: transaction n of the log.
func (m *model) lost(key, name string) {
	m.log = append(m.log, modelTx{key, cdc.Update, name})
	m.streamed = len(m.log)
	var e cdc.Encoder
	e.Begin(m.tx(len(m.log)))
	e.Change(cdc.Update, lostSchema)
	e.Absent()
	b := m.batch(&e)
	b.Schemas, b.Position = []*cdc.Schema{lostSchema}, cdc.Position(fmt.Sprint(len(m.log)))
	m.rows(b)
	m.catchUp()
}

// update is a change that the log has whole.
func (m *model) update(key, name string) {
	m.log = append(m.log, modelTx{key, cdc.Update, name})
	m.stream(1)
	m.catchUp()
}

// whole gives the table's present rows as the only chunk of its reading, seen up to transaction n.
func (m *model) whole(n int) {
	m.t.Helper()
	rd := m.present()
	rows := m.table(n, nil)
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: fmt.Sprint("snapshot/", n)})
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		e.Change(cdc.Snapshot, partsSchema)
		e.Value([]byte(k))
		e.Value([]byte(rows[k]))
	}
	b := m.batch(&e)
	b.Snapshot, b.Chunk = true, &cdc.Chunk{Table: partsSchema.Table, End: true, View: fmt.Sprint("plain/1 ", n), Reading: rd.ID, Number: rd.Number + 1}
	m.rows(b)
	m.catchUp()
}

// names are what the events told of a customer, in their order.
func (m *model) names(key string) (list []string) {
	m.t.Helper()
	err := m.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
			var e transform.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return false, err
			}
			var data struct{ Name string }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return false, err
			}
			if e.Key == key {
				list = append(list, data.Name)
			}
			return true, nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// open is the table's open exception, or nil.
func (m *model) open(fingerprint string) (x *exception) {
	m.t.Helper()
	err := m.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		id, err := s.Get(bucketOpen, fingerprint)
		if err == nil && id != nil {
			x, err = s.exception(string(id))
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return x
}

// newHeldModel has a table of three rows that was read and is held since the fourth transaction.
func newHeldModel(t *testing.T) *model {
	m := newModel(t, 1)
	for _, k := range []string{"K1", "K2", "K3"} {
		m.log = append(m.log, modelTx{k, cdc.Insert, "v00001"})
	}
	m.streamed = 3
	m.whole(3)
	m.lost("K1", "v00002")
	m.update("K2", "v00003")
	return m
}

const uncertain = "SOURCE/CHANGES_UNCERTAIN/dispatch/public.customers"

// A table that is held because its log lacks a change goes on when it is read again: the row that the change concerned is found
// and told once, and what came whole before the rows and after them is told as it came.
func TestAHeldTableIsReadAgain(t *testing.T) {
	m := newHeldModel(t)
	x := m.open(uncertain)
	if x == nil || x.Problem.Code != "CHANGES_UNCERTAIN" || x.Problem.Class != "SOURCE" {
		t.Fatalf("%+v", x)
	}
	const title = "What changed in table public.customers of dispatch is not certain: a statement without rows. Its changes are kept and wait; other tables go on."
	if x.Problem.Title != title || !strings.Contains(x.Problem.Hint, "waybill snapshot dispatch public.customers.") {
		t.Errorf("title %s\nhint %s", x.Problem.Title, x.Problem.Hint)
	}
	m.decide(decisionEntry{Action: "retry", IDs: []string{x.ID}, By: "ann"})
	if got := m.names("K2"); len(got) != 1 || m.open(uncertain) == nil {
		t.Errorf("a retry let the table go: %v", got)
	}
	m.decide(decisionEntry{Action: "read", Read: &ReadRequest{Source: "dispatch", Table: partsSchema.Table}, By: "ann"})
	m.update("K3", "v00004") // comes between, and the rows do not include it
	m.whole(5)
	m.update("K1", "v00005")
	for key, want := range map[string][]string{"K1": {"v00001", "v00002", "v00005"}, "K2": {"v00001", "v00003"}, "K3": {"v00001", "v00004"}} {
		if got := m.names(key); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", key, got, want)
		}
	}
	if x := m.open(uncertain); x != nil || m.present().State != ReadingDone {
		t.Errorf("still open: %+v, the reading is %s", x, m.present().State)
	}
	m.check("after the reading")
}

// A table stays held, and nothing of it is given up, when a reading does not include all that holds it.
func TestAHeldTableStaysHeld(t *testing.T) {
	read := func(m *model) {
		m.decide(decisionEntry{Action: "read", Read: &ReadRequest{Source: "dispatch", Table: partsSchema.Table}, By: "ann"})
	}
	for name, try := range map[string]struct {
		do   func(m *model)
		want string
	}{
		"held anew": {func(m *model) {
			read(m)
			m.lost("K3", "v00006")
			m.whole(5)
		}, "the table was held anew while it was read: a statement without rows. To read it again: waybill snapshot dispatch public.customers"},
		"in the middle": {func(m *model) {
			read(m)
			rd := m.present()
			m.project.readings["dispatch.public.customers"].Number = 1
			m.project.publishReadings()
			m.whole(5)
			if rd.ID == 0 {
				m.t.Error("no reading")
			}
		}, "the table is held, see its own exception; it must be read whole, from its beginning: waybill snapshot dispatch public.customers"},
		"another history": {func(m *model) {
			read(m)
			m.lost("K3", "v00006")
			b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Snapshot: true, Chunk: &cdc.Chunk{Table: partsSchema.Table, End: true,
				View: "plain/1 elsewhere", Reading: m.present().ID, Number: 1}}
			m.rows(b)
			m.catchUp()
		}, `what its rows include cannot be told: strconv.Atoi: parsing "elsewhere": invalid syntax. To read it again: waybill snapshot dispatch public.customers`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newHeldModel(t)
			try.do(m)
			if rd := m.present(); rd.State != ReadingFailed || rd.Error != try.want {
				t.Errorf("the reading is %s: %s\nwant %s", rd.State, rd.Error, try.want)
			}
			if m.open(uncertain) == nil {
				t.Error("the table was let go")
			}
			read(m)
			m.whole(len(m.log))
			if x := m.open(uncertain); x != nil {
				t.Errorf("held after a whole reading: %+v", x)
			}
			m.check("after a whole reading")
		})
	}
}

// What was held before a reset is over with it, whatever server the source reads from now.
func TestAResetLetsAHeldTableGo(t *testing.T) {
	m := newHeldModel(t)
	m.decide(decisionEntry{Action: "reset", Reset: &ResetRequest{Source: "dispatch", To: "snapshot"}, By: "ann"})
	rd := m.present()
	rows := m.table(len(m.log), nil)
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: "snapshot/another"})
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		e.Change(cdc.Snapshot, partsSchema)
		e.Value([]byte(k))
		e.Value([]byte(rows[k]))
	}
	b := m.batch(&e)
	b.Snapshot, b.Chunk = true, &cdc.Chunk{Table: partsSchema.Table, End: true, View: "plain/1 elsewhere", Reading: rd.ID, Number: 1}
	m.rows(b)
	m.catchUp()
	for key, want := range map[string][]string{"K1": {"v00001", "v00002"}, "K2": {"v00001", "v00003"}} {
		if got := m.names(key); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", key, got, want)
		}
	}
	if x := m.open(uncertain); x != nil {
		t.Errorf("still held: %+v", x)
	}
	m.check("after the reset")
}

// A held table is read whole or not at all, and the preview says what is given up.
func TestReadingAHeldTableIsAnnounced(t *testing.T) {
	r, p := operated(t)
	r.seeded("dispatch")
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: "c1"})
	e.Change(cdc.Update, lostSchema)
	e.Absent()
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{lostSchema}, Position: "pg/1/1/1"}
	b.Data, b.Changes = e.Take()
	r.rows(b)
	q := ReadRequest{Source: "dispatch", Table: partsSchema.Table, By: "ann"}
	plan, err := p.PreviewRead(context.Background(), q)
	if err != nil || len(plan.Notes) != 5 || !strings.HasPrefix(plan.Notes[0], "The table is held: see its exception.") {
		t.Errorf("%+v, %v", plan, err)
	}
	q.Where = "cust_cd > 'K'"
	_, err = p.Read(context.Background(), q)
	refused(t, err, "table public.customers of dispatch is held, and what changed in it meanwhile may lie in any row. Read it without the filter")
	var reading *ReadingError
	if !errors.As(err, &reading) || reading.Absent {
		t.Error(err)
	}
}
