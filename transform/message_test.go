package transform

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

const outbox = `mapping: outbox
version: 1
sources:
  dispatch: { schema: public, zone: America/Chicago, currency: USD }
  billing: { zone: America/Chicago }
codes:
  charge: { DET: detention, _unknown: hold }
events:
  accessorial.approved:
    from: dispatch.message(accessorial)
    key: id
    at: timestamp(at)
    correlate: { shipment: load }
    set:
      charge: code.charge(chg)
      quantity: qty
      amount: dec(amt)
      load: load
      day: date(day)?
      note: note?
      more: more?
  payment.received:
    from: dispatch.message(pay.v1)
    when: kind == "wire"
    key: id
    set: { amount: dec(amount) }
  customer.changed:
    from: dispatch.message(customer)
    lane: master
    key: code
    set: { code: code, name: upper(name) }
  shipment.cancelled:
    from: dispatch.loads
    when: deleted()
    key: id
posts:
  accessorial.approved -> erp.charge:
    external_id: "acc:{load}:{charge}"
    body: { amount: amount }
tests:
  - name: a message is an event
    given:
      - tx: { dispatch.message(pay.v1): { id: 7, kind: wire, amount: "12.50" }, dispatch.message(customer): { code: "1", name: ann } }
      - tx: { dispatch.message(pay.v1): { id: 8, kind: cash, amount: "1" } }
    expect:
      - payment.received: { key: "7", amount: 12.50 }
      - customer.changed: { code: "1", name: ANN }
`

// outboxDrive feeds messages to the mapping above.
func outboxDrive(t *testing.T) (*drive, func(messages ...string)) {
	m, err := Parse("outbox.yaml", []byte(outbox))
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(t, m)
	shapes := map[string]*cdc.Schema{}
	d.catalog["dispatch"] = nil
	for _, prefix := range []string{"accessorial", "pay.v1", "customer"} {
		shapes[prefix] = &cdc.Schema{Source: "dispatch", Table: cdc.Messages(prefix), Codec: "test/1",
			Columns: []cdc.Column{{Name: "content", Type: "text", Kind: cdc.KindText, NotNull: true}}}
		d.catalog["dispatch"] = append(d.catalog["dispatch"], shapes[prefix])
	}
	return d, func(messages ...string) {
		t.Helper()
		d.index++
		var enc cdc.Encoder
		enc.Begin(cdc.Tx{Commit: "0/" + string(rune('A'+d.index)), CommitAt: d.clock})
		for _, m := range messages {
			prefix, content, _ := strings.Cut(m, " ")
			enc.Change(cdc.Insert, shapes[prefix])
			enc.Value([]byte(content))
		}
		b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1"}
		b.Data, b.Changes = enc.Take()
		byID := map[uint64]*cdc.Schema{}
		for _, s := range shapes {
			byID[s.ID()] = s
		}
		r := cdc.NewReader(cdc.Codecs{"test/1": testCodec{}}, func(id uint64) (*cdc.Schema, error) { return byID[id], nil })
		for r.Reset(&b); r.Next(); {
			if err := d.p.Change(d.st, d.out, d.entry(), r.Change()); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

const accessorial = `accessorial {"id": "X1", "at": "2026-10-01T09:30:00-05:00", "load": 88121, "chg": "DET", "qty": 1.50, "amt": 0.10000000000000000001, "day": "2026-10-01", "more": {"a": [1, 2]}, "unread": {}}`

func TestAMessageIsAnEvent(t *testing.T) {
	d, emit := outboxDrive(t)
	emit(accessorial, `customer {"code": "C1", "name": "ann"}`, accessorial)
	made := d.out.events
	d.expect("events", d.events(), "accessorial.approved X1, customer.changed C1, accessorial.approved X1")
	d.expect("problems", d.problems(), "")
	ev := made[0]
	d.expect("data", string(ev.Data), `{"amount":"0.10000000000000000001","charge":"detention","day":"2026-10-01","load":88121,"more":"{\"a\":[1,2]}","quantity":"1.50"}`)
	if got := ev.Occurred.UTC().Format(time.RFC3339); got != "2026-10-01T14:30:00Z" || ev.OrderKey != "shipment/88121" || !strings.HasSuffix(ev.Source, "/dispatch/message(accessorial)") {
		t.Errorf("%s %+v", got, ev)
	}
	again, emit := outboxDrive(t)
	emit(accessorial, `customer {"code": "C1", "name": "ann"}`, accessorial)
	ids := map[string]bool{}
	for i, e := range again.out.events {
		ids[e.ID] = true
		if e.ID != made[i].ID {
			t.Errorf("event %d has another id when it is mapped again", i)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of 3 events: messages of one prefix in one transaction are told apart by their ordinal", len(ids))
	}
	err := d.st.Scan("row/dispatch.message(accessorial)", "", "", func(k string, _ []byte) (bool, error) {
		t.Errorf("message %q is kept as a row", k)
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What cannot be read is an exception that says why, of that message alone.
func TestMessagesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{`hello`, `cannot be read: its content is no JSON object: "hello"`},
		{`[1]`, `cannot be read: its content is no JSON object`},
		{`!bytes`, `cannot be read: no such character`},
		{`{"id": 7, "kind": "wire"`, `cannot be read: its content is no JSON`},
		{`{"id": 7} {}`, `cannot be read: its content goes on behind the JSON object`},
		{`{"id": 7, "kind": "wire", "id": 8}`, `cannot be read: its member id is there twice`},
		{`{"id": 7, "kind": "wire", "amount": 1e400}`, `cannot be read: its member amount "1e400" is not a plain decimal`},
		{`{"id": 7, "kind": "wire", "amount": "\ud800"}`, `cannot be read: its member amount holds half a character`},
		{`{"id": 7, "kind": "wire"}`, `payment/7 has no value for amount`},
	} {
		d, emit := outboxDrive(t)
		emit(`pay.v1 `+c.content, `pay.v1 {"id": 9, "kind": "wire", "amount": "5.00"}`)
		d.expect("events beside "+c.content, d.events(), "payment.received 9")
		titles := ""
		for _, p := range d.out.open {
			titles += p.Title + "\n"
		}
		if len(d.out.open) != 1 || !strings.Contains(titles, c.want) {
			t.Errorf("%s: %q, want %q", c.content, titles, c.want)
		}
	}
}

// A held message waits as a held row does, and the newest of an entity replaces an older one that is held.
func TestMessagesThatAreHeld(t *testing.T) {
	d, emit := outboxDrive(t)
	emit(strings.Replace(accessorial, "DET", "NEW", 1), `customer {"code": "C1", "name": 7}`)
	d.expect("events", d.events(), "")
	emit(`customer {"code": "C1", "name": "ann"}`)
	d.expect("events", d.events(), "customer.changed C1")
	if len(d.out.open) != 1 {
		t.Errorf("open: %v", d.out.open)
	}
}

func TestMessagesInAMapping(t *testing.T) {
	m, err := Parse("outbox.yaml", []byte(outbox))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Test() {
		if !r.OK {
			t.Errorf("%s: %v", r.Name, r.Fails)
		}
	}
	if sel := m.Selections("dispatch"); len(sel) != 4 || sel[0].Table != cdc.Messages("accessorial") || len(sel[0].Columns)+len(sel[0].Old) > 0 {
		t.Errorf("%+v", sel)
	}
	shape := func(prefix string) *cdc.Schema {
		return &cdc.Schema{Source: "dispatch", Table: cdc.Messages(prefix), Columns: []cdc.Column{{Name: "content", Kind: cdc.KindText}}}
	}
	loads := &cdc.Schema{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: "loads"}, Columns: []cdc.Column{{Name: "id", Kind: cdc.KindInt, Key: true}}}
	if faults := m.Check(map[string][]*cdc.Schema{"dispatch": {shape("accessorial"), shape("pay.v1"), shape("customer"), loads}}); len(faults) > 0 {
		t.Error(faults)
	}
	for _, c := range []struct{ from, to, want string }{
		{"dispatch.message(customer)", "billing.message(customer)", "the messages billing.message(customer), which the source billing does not have"},
		{"  customer.changed:\n    from: dispatch.message(customer)", "  customer.changed:\n    from: dispatch.message()", `the messages "dispatch.message()" without a prefix`},
	} {
		bad, err := Parse("outbox.yaml", []byte(strings.ReplaceAll(outbox, c.from, c.to)))
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			text = Faults(bad.Check(map[string][]*cdc.Schema{"dispatch": {shape("accessorial"), shape("pay.v1"), loads}, "billing": {}})).Error()
		}
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: %s\nwant %s", c.to, text, c.want)
		}
	}
	for _, c := range []struct{ add, want string }{
		{"xref:\n  customer: { from: dispatch.message(customer), key: code, value: { name: name } }\n", "messages have no rows"},
		{"cutover: \"2026-01-01T00:00:00Z\"\ndocuments:\n  invoice:\n    root: dispatch.message(customer) as h\n    key: h.code\n    released_at: h.at\n    amount: h.x\n    emit: {}\n    set: {}\n    total: {}\n", "messages have no rows"},
	} {
		text := strings.Replace(outbox, "events:\n", c.add+"events:\n", 1)
		if _, err := Parse("outbox.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// FuzzMembers wants every member that is taken to be the text of one JSON value, and to have a value or a fault.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{"a": 1.50, "b": "\ud83d\ude00", "c": [1, {"a": null}]}`, `{"a": -0}`, `{"a": 1e9, "a": 2}`, `{}`, `{`, `{"a"`, `{"a":1}x`, `{1:2}`, `[]`, "", `null`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		members, err := membersOf(content, []string{"a", "b", "c"})
		if err == nil && !json.Valid([]byte(content)) {
			t.Fatalf("%q is read as %v", content, members)
		}
		for name, raw := range members {
			if v, err := memberValue(raw); err == nil && v.State == cdc.Absent {
				t.Errorf("member %s of %q has no value", name, content)
			}
		}
	})
}
