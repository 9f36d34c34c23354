package transform

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func published(t *testing.T) (string, *Mapping) {
	t.Helper()
	text, err := os.ReadFile("../testdata/mapping/publish.yml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text), mustParse(t, string(text))
}

func TestPublishInline(t *testing.T) {
	text, m := published(t)
	if wrong := misfits(editorSchema(t), fileValue(t, "../testdata/mapping/publish.yml"), "publish.yml"); len(wrong) > 0 {
		t.Errorf("the editor's schema: %s", strings.Join(wrong, "\n"))
	}
	for _, r := range m.Test() {
		if !r.OK {
			t.Errorf("%s: %s", r.Name, strings.Join(r.Fails, "\n"))
		}
	}
	if r := mustParse(t, strings.Replace(text, "pieces >= 20", "pieces >= 21", 1)).Test()[0]; r.OK {
		t.Error("another condition changes nothing")
	}
	if got := m.Publishers(); !slices.Equal(got, []string{"archive.all", "partner.late", "stream.big", "stream.credit", "stream.milestones", "stream.money"}) {
		t.Error(got)
	}
}

// What Waybill derives is published by its type, whoever's cause it was; a condition that cannot tell says so.
func TestPublishesOfCarriers(t *testing.T) {
	text, m := published(t)
	c, err := NewCarriers(m, mustParse(t, strings.NewReplacer("mapping: small", "mapping: other", "NSTAR", "OTHER", "dispatch", "tms", "stream.money", "stream.others").Replace(text)))
	if err != nil {
		t.Fatal(err)
	}
	where := func(version string, e *Event) string {
		var all []string
		for _, d := range c.Publishes(e, version) {
			all = append(all, d.Sink+"."+d.Topic)
			if d.Undecided != nil {
				all = append(all, d.Undecided.Error())
			}
		}
		return strings.Join(all, " ")
	}
	posted := &Event{Type: "erp.posted", Data: json.RawMessage(`{}`)}
	for version, want := range map[string]string{"small/3": "stream.money", "other/1": "stream.others", "gone/1": "", "": "stream.others stream.money"} {
		if got := where(version, posted); got != want && !(version == "" && got == "stream.money stream.others") {
			t.Errorf("of %q: %q, want %q", version, got, want)
		}
	}
	odd := &Event{Type: "customer.changed", Data: json.RawMessage(`{"credit_limit":{"amount":"1"}}`)}
	if got := where("small/3", odd); !strings.HasPrefix(got, "stream.credit ") || !strings.Contains(got, "credit_limit > 1000") {
		t.Errorf("an object compared with a number: %q", got)
	}
	if !c.Publishing() {
		t.Error("nothing is published")
	}
}

// The attributes are what the JSON says beside the data, each as text.
func TestCloudAttributesAreTheJSON(t *testing.T) {
	e := &Event{ID: "e1", Type: "shipment.delivered", Source: "/small/dispatch/public.loads", Entity: "shipment", Key: "1", Company: "NSTAR", Lane: LaneTransactional,
		Occurred: time.Date(2026, 10, 1, 19, 30, 0, 0, time.UTC), Causation: []string{"e0"}, MapVersion: "small/3", Position: "0/1", Historic: true, Data: json.RawMessage(`{"pieces":1}`)}
	raw, err := e.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "data")
	for _, a := range e.CloudAttributes() {
		if got := fmt.Sprint(all[a.Name]); got != a.Value {
			t.Errorf("%s is %q, in JSON %q", a.Name, a.Value, got)
		}
		delete(all, a.Name)
	}
	if len(all) > 0 {
		t.Errorf("no attributes: %v", all)
	}
}
