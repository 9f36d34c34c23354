package transform

import (
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// TestLocalTimes puts local times at both edges of daylight saving time by each rule, on both sides of the Atlantic and where
// the clocks are put by half an hour.
func TestLocalTimes(t *testing.T) {
	refuse := edges{edgeRefuse, edgeRefuse}
	for _, c := range []struct {
		text, zone string
		rule       edges
		want       string
	}{
		{"2026-07-01 12:00:00", "America/Chicago", refuse, "2026-07-01T12:00:00-05:00"},
		{"2026-12-01 12:00:00.25", "America/Chicago", refuse, "2026-12-01T12:00:00.25-06:00"},
		{"2026-03-08 01:59:59", "America/Chicago", refuse, "2026-03-08T01:59:59-06:00"},
		{"2026-03-08 03:00:00", "America/Chicago", refuse, "2026-03-08T03:00:00-05:00"},
		{"2026-03-08 02:30:00", "America/Chicago", edges{edgeRefuse, edgeEarlier}, "2026-03-08T01:30:00-06:00"},
		{"2026-03-08 02:30:00", "America/Chicago", edges{edgeRefuse, edgeLater}, "2026-03-08T03:30:00-05:00"},
		{"2026-03-08 02:30:00", "America/Chicago", edges{edgeLater, edgeRefuse}, "2026-03-08 02:30:00 does not exist in America/Chicago: the clocks are put forward over it"},
		{"2026-11-01 00:59:59", "America/Chicago", refuse, "2026-11-01T00:59:59-05:00"},
		{"2026-11-01 01:30:00", "America/Chicago", edges{edgeEarlier, edgeRefuse}, "2026-11-01T01:30:00-05:00"},
		{"2026-11-01 01:30:00", "America/Chicago", edges{edgeLater, edgeRefuse}, "2026-11-01T01:30:00-06:00"},
		{"2026-11-01 01:30:00", "America/Chicago", edges{edgeRefuse, edgeLater}, "2026-11-01 01:30:00 happens twice in America/Chicago"},
		{"2026-11-01 02:00:00", "America/Chicago", refuse, "2026-11-01T02:00:00-06:00"},
		{"2026-03-29 01:59:59.999999", "Europe/Berlin", refuse, "2026-03-29T01:59:59.999999+01:00"},
		{"2026-03-29 02:00:00", "Europe/Berlin", refuse, "2026-03-29 02:00:00 does not exist in Europe/Berlin: the clocks are put forward over it"},
		{"2026-03-29 02:00:00", "Europe/Berlin", edges{edgeEarlier, edgeLater}, "2026-03-29T03:00:00+02:00"},
		{"2026-03-29 02:59:59", "Europe/Berlin", edges{edgeLater, edgeEarlier}, "2026-03-29T01:59:59+01:00"},
		{"2026-03-29 03:00:00", "Europe/Berlin", refuse, "2026-03-29T03:00:00+02:00"},
		{"2026-10-25 01:59:59", "Europe/Berlin", refuse, "2026-10-25T01:59:59+02:00"},
		{"2026-10-25 02:00:00", "Europe/Berlin", refuse, "2026-10-25 02:00:00 happens twice in Europe/Berlin"},
		{"2026-10-25 02:00:00", "Europe/Berlin", edges{edgeEarlier, edgeLater}, "2026-10-25T02:00:00+02:00"},
		{"2026-10-25 02:59:59", "Europe/Berlin", edges{edgeLater, edgeEarlier}, "2026-10-25T02:59:59+01:00"},
		{"2026-10-25 03:00:00", "Europe/Berlin", refuse, "2026-10-25T03:00:00+01:00"},
		{"2026-04-05 01:45:00", "Australia/Lord_Howe", edges{edgeLater, edgeRefuse}, "2026-04-05T01:45:00+10:30"},
		{"2026-05-05 00:00:00", "Asia/Kathmandu", refuse, "2026-05-05T00:00:00+05:45"},
		{"2026-13-05 00:00:00", "America/Chicago", refuse, `"2026-13-05 00:00:00" is not a timestamp`},
		{"0000-00-00 00:00:00", "America/Chicago", refuse, `"0000-00-00 00:00:00" is not a timestamp`},
		{"infinity", "America/Chicago", refuse, `"infinity" is not a timestamp`},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := civil{cdc.KindTimestamp, c.text}.instant(zone, c.rule)
		got := at.Format(time.RFC3339Nano)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s in %s by %v: got %s, want %s", c.text, c.zone, c.rule, got, c.want)
		}
	}
}

// TestEdgesAreDeclared reads the rule of a source in each of its forms.
func TestEdgesAreDeclared(t *testing.T) {
	const form = "mapping: m\nversion: 1\nsources:\n  s: { zone: Europe/Berlin%s }\n"
	for text, want := range map[string]edges{
		"":                          {edgeRefuse, edgeRefuse},
		", dst: later":              {edgeLater, edgeLater},
		", dst: { twice: earlier }": {edgeEarlier, edgeRefuse},
		", dst: { never: later }":   {edgeRefuse, edgeLater},
		", dst: { twice: later, never: earlier }": {edgeLater, edgeEarlier},
	} {
		m, err := Parse("m.yaml", []byte(strings.Replace(form, "%s", text, 1)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := m.sources["s"].dst; got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		", dst: first":             `m.yaml:4: found "first"; expected what to do with a local time that happens twice or never: earlier or later or refuse`,
		", dst: { twice: latter }": `m.yaml:4: found "latter"; expected what to do with a local time that happens twice: earlier or later or refuse; write later`,
		", dst: { gap: later }":    `m.yaml:4: found "gap" in dst; expected one of twice, never`,
	} {
		_, err := Parse("m.yaml", []byte(strings.Replace(form, "%s", text, 1)))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v\nwant %s", text, err, want)
		}
	}
}

// TestCivilOrder compares what databases may hold at the ends of their ranges.
func TestCivilOrder(t *testing.T) {
	for kind, list := range map[cdc.Kind][]string{
		cdc.KindDate: {"-infinity", "-4713-11-24", "-0043-03-15", "0000-00-00", "0000-01-01", "2026-00-00", "2026-03-08", "9999-12-31", "10000-01-01",
			"294276-12-31", "5874897-12-31", "infinity"},
		cdc.KindTimestamp: {"-infinity", "-0043-03-15 10:00:00", "-0043-03-15 10:00:00.5", "0000-00-00 00:00:00", "2026-03-08 02:30:00", "2026-03-08 02:30:00.000001",
			"294276-12-31 23:59:59.999999", "infinity"},
		cdc.KindTime: {"-838:59:59", "-100:00:00", "-01:00:00", "-00:00:00.5", "00:00:00", "00:00:00.000001", "14:05:00", "24:00:00", "99:00:00", "100:00:00", "838:59:59"},
	} {
		for i, a := range list {
			for j, b := range list {
				got := civil{kind, a}.Compare(civil{kind, b}).Value()
				if want := int64(min(1, max(-1, i-j))); got != want {
					t.Errorf("%s: %s with %s gives %v, want %d", kind, a, b, got, want)
				}
			}
		}
	}
}

// TestEdgesInTheMapping delivers loads at both edges: what the mapping declares for one of them says nothing of the other.
func TestEdgesInTheMapping(t *testing.T) {
	d := newDrive(t, northstar(t, "dst: earlier", "dst: { never: later }"))
	for no, at := range map[string]string{"1": "dlv_dt=2027-03-14 dlv_tm=02:30:00", "2": "dlv_dt=2026-11-01 dlv_tm=01:30:00"} {
		d.tx(change("insert dispatch.loads load_no=" + no + " cust_cd=9 status_cd=LDD pcs_ord=3 upd_ts=2026-10-01_00:00:00"))
		d.tx(change("update dispatch.loads load_no=" + no + " status_cd=MTY pcs_dlv=3 " + at))
	}
	var delivered []string
	for _, e := range d.out.events {
		if e.Type == "shipment.delivered" {
			delivered = append(delivered, e.Key+" "+e.Occurred.Format(time.RFC3339))
		}
	}
	d.expect("events", strings.Join(delivered, ", "), "1 2027-03-14T03:30:00-05:00")
	d.expect("problems", d.problems(), "TIME_UNCERTAIN shipment/2")
}
