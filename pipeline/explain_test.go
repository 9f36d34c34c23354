package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"waybill/checkpoint"
)

func (p *past) explains(what, table string) ExplainView {
	p.t.Helper()
	v, err := p.history().Explain(context.Background(), ExplainRequest{What: what, Table: table})
	if err != nil {
		p.t.Fatalf("%s %s: %v", table, what, err)
	}
	return v
}

// An explanation names the part of the condition that did not hold, with the values that it had then, whatever they are now.
func TestExplain(t *testing.T) {
	p := newPast(t)
	p.commits("customers: C1 First N30", "customers: C2 Second N45")
	p.commits("loads: L1 A -")
	p.commits("~loads: L1 D -")
	p.commits("~loads: L1 A 7")
	p.commits("~loads: L1 D 7")
	p.commits("inv: A7 R C1 L1 ZZ 107.50 2026-10-01T08:00:00Z", "inv: A8 R C1 L1 LH 108.50 2026-10-01T08:00:00Z")
	p.quiet()
	if err := p.store.View(func(tx *checkpoint.Txn) error {
		seq, err := newState(tx).sequence("event")
		if seq != 3 {
			t.Errorf("%d events", seq)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var got []ExplainView
	for _, q := range []ExplainRequest{{What: "0/0003"}, {What: "shipment/L1"}, {What: "A8", Table: "dispatch.inv"}, {What: "A7", Table: "dispatch.public.inv"},
		{What: "X-000001"}, {What: p.eventOf("customer.changed")}} {
		got = append(got, p.explains(q.What, q.Table))
	}
	raw, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`"(id|event)": "[0-9a-f]{32}"`).ReplaceAllString(string(raw), `"$1": "…"`) + "\n"
	compareGolden(t, "explain.golden.json", strings.ReplaceAll(text, p.eventOf("customer.changed"), "EVENT"))
	if first := got[0].Changes[0].Rules[0]; first.Result != "no" || first.False != "pcs is not null" {
		t.Errorf("%+v", first)
	}
	if _, err := p.history().Explain(context.Background(), ExplainRequest{What: "invoice/A9"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an invoice that nobody wrote: %v", err)
	}
}

// eventOf is the id of the first event of a type.
func (p *past) eventOf(typ string) (id string) {
	p.t.Helper()
	for _, line := range p.made(0) {
		if f := strings.Fields(line); f[1] == typ {
			return f[0]
		}
	}
	p.t.Fatalf("no event %s", typ)
	return ""
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot %s\nwant %s", name, got, want)
	}
}
