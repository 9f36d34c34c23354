package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const releasedEvents = "../testdata/events"

// compiled is the schema of an event type, read by a library that is not ours.
func compiled(t *testing.T, et *EventType) *jsonschema.Schema {
	t.Helper()
	raw, err := et.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("event.json")
	if err != nil {
		t.Fatalf("the schema of %s is none: %v", et.Name, err)
	}
	return s
}

func validates(s *jsonschema.Schema, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestReleasedSchemas compares the catalogue with the schemas that were released. A field may be added; whatever else changes needs a new
// version of the type, because somebody relies on the old one. With -update additions are written down, but no breaking change.
func TestReleasedSchemas(t *testing.T) {
	for i := range events {
		et := &events[i]
		now, err := et.Schema()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(releasedEvents, fmt.Sprintf("%s.v%d.schema.json", et.Name, et.Version))
		old, err := os.ReadFile(file)
		if os.IsNotExist(err) && *update {
			old = now
		} else if err != nil {
			t.Errorf("%s: %v; go test ./transform -run Released -update writes it", et.Name, err)
			continue
		}
		for _, breaks := range breaking(t, old, now) {
			t.Errorf("%s version %d: %s; whoever reads it relies on that: raise its version", et.Name, et.Version, breaks)
		}
		if *update && !t.Failed() {
			if err := os.WriteFile(file, now, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(old, now) {
			t.Errorf("%s has changed; if it is right, go test ./transform -run Released -update", file)
		}
	}
	files, err := filepath.Glob(filepath.Join(releasedEvents, "*.schema.json"))
	if err != nil || len(files) < len(events) {
		t.Fatalf("%d schemas, %v", len(files), err)
	}
	for _, f := range files {
		base := strings.TrimSuffix(filepath.Base(f), ".schema.json")
		dot := strings.LastIndex(base, ".v")
		name, version := base[:dot], base[dot+len(".v"):]
		if !slices.ContainsFunc(events, func(e EventType) bool { return e.Name == name && fmt.Sprint(e.Version) == version }) {
			t.Errorf("%s was released, and the catalogue does not have it any more", f)
		}
	}
}

// breaking lists what a new schema takes away from those who rely on the old one, or asks of those who write by it.
func breaking(t *testing.T, old, now []byte) []string {
	t.Helper()
	var a, b map[string]any
	if err := json.Unmarshal(old, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(now, &b); err != nil {
		t.Fatal(err)
	}
	return breaks("", a, b)
}

func breaks(at string, a, b map[string]any) []string {
	var all []string
	text := func(v any) string { raw, _ := json.Marshal(v); return string(raw) }
	for _, k := range []string{"required", "allOf", "$id", "type", "items", "$defs", "anyOf", "pattern", "format", "$ref"} {
		if sub, ok := a[k].(map[string]any); ok && k == "items" {
			other, _ := b[k].(map[string]any)
			all = append(all, breaks(at+"[]", sub, other)...)
			continue
		}
		if k == "$defs" {
			defs, _ := a[k].(map[string]any)
			others, _ := b[k].(map[string]any)
			for name, d := range defs {
				if others[name] == nil || text(strip(d)) != text(strip(others[name])) {
					all = append(all, fmt.Sprintf("the form %s is another", name))
				}
			}
			continue
		}
		if text(a[k]) != text(b[k]) {
			all = append(all, fmt.Sprintf("%s%s was %s and is %s", at, k, text(a[k]), text(b[k])))
		}
	}
	was, _ := a["properties"].(map[string]any)
	is, _ := b["properties"].(map[string]any)
	for name, p := range was {
		switch q, ok := is[name]; {
		case !ok:
			all = append(all, fmt.Sprintf("the field %s%s is gone", at, name))
		default:
			pm, isMap := p.(map[string]any)
			qm, _ := q.(map[string]any)
			if isMap {
				all = append(all, breaks(at+name+".", pm, qm)...)
			} else if text(p) != text(q) {
				all = append(all, fmt.Sprintf("the field %s%s was %s and is %s", at, name, text(p), text(q)))
			}
		}
	}
	return all
}

// strip leaves out what is words for people.
func strip(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, x := range m {
		if k != "description" {
			out[k] = x
		}
	}
	return out
}

// TestBreakingChangesAreSeen makes one of each kind of change to a type and asks what the check says.
func TestBreakingChangesAreSeen(t *testing.T) {
	base := EventType{Name: "x.made", Version: 1, Fields: fieldList("a:text! b:money driver|carrier:ref! lines:list")}
	for fields, want := range map[string]string{
		"a:text! b:money driver|carrier:ref! lines:list":        "",
		"a:text! b:money driver|carrier:ref! lines:list c:when": "",
		"a:text! driver|carrier:ref! lines:list":                "the field b is gone",
		"a:text b:money driver|carrier:ref! lines:list":         "required was",
		"a:text! b:money! driver|carrier:ref! lines:list":       "required was",
		"a:text! b:qty driver|carrier:ref! lines:list":          "b.$ref was",
		"a:int! b:money driver|carrier:ref! lines:list":         "a.type was",
		"a:text! b:money driver:ref! carrier:ref lines:list":    "allOf was",
		"a:text! b:money driver|carrier|other:ref! lines:list":  "allOf was",
		"a:text! b:money driver|carrier:ref! lines:object":      "lines.type was",
		"a:any! b:money driver|carrier:ref! lines:list":         "a.type was",
	} {
		next := base
		next.Fields = fieldList(fields)
		old, err := base.Schema()
		if err != nil {
			t.Fatal(err)
		}
		now, err := next.Schema()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(breaking(t, old, now), "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", fields, got, want)
		}
	}
}

// sampleOf is a value of the kind, plain or full.
func sampleOf(name string, kind ValueKind, full bool) any {
	plainOf := map[ValueKind]any{KindText: "some " + strings.ReplaceAll(name, "_", " "), KindInt: 7, KindBool: true, KindDate: "2026-10-01", KindMoney: "1150.00",
		KindQty: "20", KindWhen: "2026-10-01T09:30:00-05:00", KindRef: "88121", KindCode: "DETENTION_DL", KindObject: map[string]any{"total": "1150.00"}, KindAny: "anything"}
	fullOf := map[ValueKind]any{KindMoney: map[string]any{"amount": "-1150.00", "currency": "CAD"}, KindQty: map[string]any{"value": "2.5", "uom": "h"},
		KindWhen: map[string]any{"instant": "2026-10-01T14:30:00Z", "zone": "America/Chicago", "zone_source": "column", "precision": "minute"},
		KindRef:  map[string]any{"type": "pro", "value": "0099412", "issuer": "PVLY", "account": "104377"},
		KindCode: map[string]any{"scheme": "northstar/charge", "code": "DET", "canonical": "DETENTION_DL", "mapver": "northstar/7"}}
	if v := fullOf[kind]; full && v != nil {
		return v
	}
	switch {
	case name == "currency":
		return "USD"
	case kind == KindWhen && strings.HasSuffix(name, "_to"):
		return "2026-12-31"
	}
	return plainOf[kind]
}

func sampleData(fields []EventField, full bool) map[string]any {
	data := map[string]any{}
	for _, f := range fields {
		switch {
		case f.Kind == KindList && f.Fields != nil:
			data[f.Name] = []any{sampleData(f.Fields, full), sampleData(f.Fields, full)}
		case f.Kind == KindList:
			data[f.Name] = []any{"A1", "A2"}
		default:
			data[f.Name] = sampleOf(f.Name, f.Kind, full)
		}
	}
	return data
}

// TestSamples keeps one event of each type as the world sees it, with every field that the catalogue names, and proves it by the schema;
// so does the full form of each value. Without any required field, or with another form of one, the schema refuses it.
func TestSamples(t *testing.T) {
	at := time.Date(2026, 10, 1, 14, 30, 0, 0, time.UTC)
	for i := range events {
		et := &events[i]
		s := compiled(t, et)
		data := sampleData(et.Fields, false)
		raw, err := canonical(data)
		if err != nil {
			t.Fatal(err)
		}
		entity, _, _ := strings.Cut(et.Name, ".")
		ev := Event{ID: hash(et.Name), Type: et.Name, Source: "/northstar/dispatch/public.loads", Entity: entity, Key: "88121", Lane: et.Lane, Occurred: at, Recorded: at.Add(time.Second),
			Observed: at.Add(2 * time.Second), Correlation: "shipment/88121", MapVersion: "northstar/7", Position: "0/16B3748", Data: raw}
		line, err := ev.CloudEvent()
		if err != nil {
			t.Fatal(err)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, line, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("../events/%s.v%d.sample.json", et.Name, et.Version), pretty.String()+"\n")
		if err := validates(s, raw); err != nil {
			t.Errorf("%s: %v", et.Name, err)
		}
		full, err := canonical(sampleData(et.Fields, true))
		if err != nil {
			t.Fatal(err)
		}
		if err := validates(s, full); err != nil {
			t.Errorf("%s with full values: %v", et.Name, err)
		}
		for _, f := range et.Fields {
			less, bad := sampleData(et.Fields, false), sampleData(et.Fields, false)
			for _, name := range f.Or {
				delete(less, name)
			}
			delete(less, f.Name)
			if raw, _ := canonical(less); f.Required == (validates(s, raw) == nil) {
				t.Errorf("%s without %s: required is %v", et.Name, f.Name, f.Required)
			}
			bad[f.Name] = 1.5
			if raw, _ := canonical(bad); f.Kind != KindAny && validates(s, raw) == nil {
				t.Errorf("%s: a float is a %s", et.Name, f.Name)
			}
		}
	}
}

// TestTheTableOfTheDomain names every event of domain.md §1.5.
func TestTheTableOfTheDomain(t *testing.T) {
	want := strings.Fields(`order.created order.changed order.cancelled tender.accepted tender.declined load.assigned load.reassigned load.unassigned load.dispatched
		stop.arrived shipment.departed stop.departed shipment.eta_changed shipment.delayed shipment.delivery_failed shipment.refused shipment.exception_reported
		shipment.partially_delivered shipment.delivered shipment.cancelled pod.received accessorial.requested accessorial.approved accessorial.rejected accessorial.waived
		accessorial.disputed detention.approved billing.ready invoice.drafted invoice.held invoice.released invoice.disputed dispute.resolved invoice.rebilled
		credit_memo.issued invoice.voided erp.posted erp.rejected gl.batch_posted payment.received
		customer.changed location.changed item.changed contract_rate.changed tax_code.changed account_mapping.changed
		exception.opened exception.assigned exception.resubmitted exception.resolved exception.waived mapping.activated replay.started replay.finished source.schema_changed`)
	for _, name := range want {
		if EventTypeOf(name) == nil {
			t.Errorf("the catalogue does not have %s", name)
		}
	}
	seen := map[string]bool{}
	for _, e := range events {
		at := fmt.Sprint(e.Name, e.Version)
		if seen[at] || e.Text == "" || e.Owner == "" {
			t.Errorf("%+v", e)
		}
		seen[at] = true
	}
}
