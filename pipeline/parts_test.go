package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
)

const partsMapping = `mapping: parts
version: 1
cutover: "2020-01-01T00:00:00Z"
sources:
  dispatch: { schema: public, zone: America/Chicago }
events:
  customer.changed:
    from: dispatch.customers
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name }
`

// plainCodec reads bytes as they are.
type plainCodec struct{}

func (plainCodec) Decode(col *cdc.Column, raw []byte) (cdc.Value, error) {
	return cdc.Of(col.Kind, string(raw)), nil
}

var partsSchema = &cdc.Schema{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: "customers"}, Codec: "plain/1",
	Columns: []cdc.Column{{Name: "cust_cd", Type: "varchar(12)", Kind: cdc.KindText, Key: true, NotNull: true},
		{Name: "name", Type: "varchar(60)", Kind: cdc.KindText, NotNull: true}}}

// part is a part of a large transaction that writes one customer.
func part(tx string, n int, more bool, customer string) cdc.Batch {
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 8, 0, n, 0, time.UTC)
	e.Begin(cdc.Tx{Commit: "c" + tx, CommitAt: at})
	e.Change(cdc.Insert, partsSchema)
	e.Value([]byte(customer))
	e.Value([]byte("Customer " + customer))
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Tx: tx, Part: n, More: more, Schemas: []*cdc.Schema{partsSchema}, CommitAt: at}
	b.Data, b.Changes = e.Take()
	if !more {
		b.Position = cdc.Position("pg/1/1/" + tx)
	}
	return b
}

func (r *rig) journal(kind checkpoint.Kind, payload []byte) {
	r.t.Helper()
	index, err := r.store.Append(context.Background(), checkpoint.Entry{Kind: kind, Payload: payload})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.stop != nil {
		r.until(fmt.Sprintf("entry %d is applied", index), func() bool { return r.store.Applied().Index >= index })
	}
}

// seeded ends the first reading of a source without any row.
func (r *rig) seeded(source string) {
	r.t.Helper()
	r.rows(cdc.Batch{Source: source, Identity: "pg/1/1", Snapshot: true, Tx: "snapshot", Position: "pg/1/1/0"})
}

func (r *rig) rows(b cdc.Batch) {
	r.t.Helper()
	payload, err := b.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.journal(checkpoint.Rows, payload)
}

// The parts of a large transaction are nothing until its end is in the journal, and nothing for ever if that never comes.
func TestPartsAreInvisibleUntilTheEnd(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	payload, err := json.Marshal(mappingEntry{"parts/1", "parts.yaml", partsMapping})
	if err != nil {
		t.Fatal(err)
	}
	r.journal(checkpoint.Mapping, payload)
	r.seeded("dispatch")
	r.start()
	done := func(codes ...string) func() bool {
		return func() bool {
			var want []string
			for _, c := range codes {
				want = append(want, c+" upsert")
			}
			sent := r.sink.sent()
			slices.Sort(sent)
			return slices.Equal(sent, want)
		}
	}
	r.rows(part("1", 0, true, "A1"))
	r.rows(part("1", 1, true, "A2"))
	if n := r.project.mapped(); n != 0 {
		t.Fatalf("%d changes of a transaction without an end were mapped", n)
	}
	r.rows(part("1", 2, false, "A3"))
	r.until("all three parts are delivered", done("A1", "A2", "A3"))
	// The session ends in the middle of a transaction; the next one sends it again under another name.
	r.rows(part("2", 0, true, "B1"))
	r.rows(part("3", 0, true, "C1"))
	r.rows(part("3", 1, false, "C2"))
	r.until("only the transaction that ended is delivered", done("A1", "A2", "A3", "C1", "C2"))
	r.stop()
	if n := r.project.mapped(); n != 5 {
		t.Errorf("%d changes were mapped, expected 5", n)
	}
}

// What happened before a mapping made postings wait for it is remembered when that mapping becomes active.
func TestEventsFromBeforeTheirGateMeetIt(t *testing.T) {
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	activate := func(version, text string) {
		payload, err := json.Marshal(mappingEntry{"parts/" + version, "parts.yaml", text})
		if err != nil {
			t.Fatal(err)
		}
		r.journal(checkpoint.Mapping, payload)
	}
	activate("1", partsMapping)
	r.seeded("dispatch")
	r.start()
	r.rows(part("1", 0, false, "A1"))
	r.until("the first one is delivered", func() bool { return len(r.sink.sent()) == 1 })
	// From now on a customer waits for the one that its name ends with: Customer B1 for A1, once renamed.
	activate("2", strings.Replace(partsMapping, "    body:", "    require: [ { customer.changed: name } ]\n    body:", 1))
	var e cdc.Encoder
	e.Begin(cdc.Tx{Commit: "c2", CommitAt: time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)})
	e.Change(cdc.Insert, partsSchema)
	e.Value([]byte("B1"))
	e.Value([]byte("A1"))
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{partsSchema}, Position: "pg/1/1/2"}
	b.Data, b.Changes = e.Take()
	r.rows(b)
	r.until("the gate is met", func() bool { return slices.Equal(r.sink.sent(), []string{"A1 upsert", "B1 upsert"}) })
	r.stop()
}
