package transform

import (
	"encoding/json"
	"fmt"
	"testing"
)

// What a binding carries in headers is what the one text says.
func TestAttributesAreThoseOfTheCloudEvent(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	for _, change := range []func(*Event){
		func(*Event) {},
		func(e *Event) { e.Causation, e.Historic, e.Correlation = []string{"a", "b"}, true, "shipment/1" },
	} {
		ev := d.out.events[0]
		change(&ev)
		raw, err := ev.CloudEvent()
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		delete(want, "data")
		for _, a := range ev.Attributes() {
			if got, there := want[a.Name]; !there || fmt.Sprint(got) != a.Value {
				t.Errorf("%s: %q, expected %v", a.Name, a.Value, got)
			}
			delete(want, a.Name)
		}
		if len(want) > 0 {
			t.Errorf("not among the attributes: %v", want)
		}
	}
}
