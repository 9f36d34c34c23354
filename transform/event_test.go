package transform

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestCloudEvent(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.tx(free)
	ev := d.out.events[1]
	ev.Causation = []string{"0123456789abcdef0123456789abcdef"}
	raw, err := ev.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "cloudevent.golden.json", pretty.String()+"\n")
}
