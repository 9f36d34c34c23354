package transform

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
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

func TestLocalTimes(t *testing.T) {
	chicago, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	kathmandu, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		zone *time.Location
		rule string
		want string
	}{
		{"2026-07-01 12:00:00", chicago, "refuse", "2026-07-01T12:00:00-05:00"},
		{"2026-12-01 12:00:00.25", chicago, "refuse", "2026-12-01T12:00:00.25-06:00"},
		{"2026-03-08 01:59:59", chicago, "refuse", "2026-03-08T01:59:59-06:00"},
		{"2026-03-08 03:00:00", chicago, "refuse", "2026-03-08T03:00:00-05:00"},
		{"2026-03-08 02:30:00", chicago, "earlier", "2026-03-08T01:30:00-06:00"},
		{"2026-03-08 02:30:00", chicago, "later", "2026-03-08T03:30:00-05:00"},
		{"2026-03-08 02:30:00", chicago, "refuse", "2026-03-08 02:30:00 does not exist in America/Chicago: the clocks are put forward over it"},
		{"2026-11-01 00:59:59", chicago, "refuse", "2026-11-01T00:59:59-05:00"},
		{"2026-11-01 01:30:00", chicago, "earlier", "2026-11-01T01:30:00-05:00"},
		{"2026-11-01 01:30:00", chicago, "later", "2026-11-01T01:30:00-06:00"},
		{"2026-11-01 01:30:00", chicago, "refuse", "2026-11-01 01:30:00 happens twice in America/Chicago"},
		{"2026-11-01 02:00:00", chicago, "refuse", "2026-11-01T02:00:00-06:00"},
		{"2026-05-05 00:00:00", kathmandu, "refuse", "2026-05-05T00:00:00+05:45"},
		{"2026-13-05 00:00:00", chicago, "refuse", `"2026-13-05 00:00:00" is not a timestamp`},
	} {
		at, err := civil{9, c.text}.instant(c.zone, c.rule)
		got := at.Format(time.RFC3339Nano)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.text, c.rule, got, c.want)
		}
	}
}
