package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shipped is what happens to the rows of one load, in its order: a list for each row.
func shipped(i int) [][]change {
	load := fmt.Sprintf("dispatch.loads load_no=%d", i)
	stop := fmt.Sprintf("dispatch.stops load_no=%d stop_seq=1", i)
	charge := fmt.Sprintf("dispatch.accessorials acc_id=%d", i)
	hdr := fmt.Sprintf("billing.inv_hdr inv_no=I%d", i)
	text := func(format string, args ...any) change { return change(fmt.Sprintf(format, args...)) }
	return [][]change{
		{text("insert %s cust_cd=ACME status_cd=AVL pcs_ord=9 bol_no=B%d upd_ts=2026-10-01_07:00:00", load, i),
			text("update %s status_cd=ASG driver_id=17 upd_ts=2026-10-01_07:10:00", load), text("update %s driver_id=18 upd_ts=2026-10-01_07:20:00", load),
			text("update %s status_cd=LDD dep_ts=2026-10-01_09:00:00 upd_ts=2026-10-01_09:01:00", load),
			text("update %s status_cd=MTY dlv_dt=2026-10-02 dlv_tm=10:00:00 pcs_dlv=9 upd_ts=2026-10-02_10:00:00", load),
			text("update %s status_cd=MTY upd_ts=2026-10-02_10:00:01", load), // written again
			text("update %s status_cd=CLS pod_ts=2026-10-02_12:00:00", load)},
		{text("insert %s stop_typ=P loc_cd=DAL", stop), text("update %s arr_ts=2026-10-01_08:00:00", stop)},
		{text("insert %s load_no=%d chg_cd=LMP qty=1.000 rate=5.0000 amt=5.00 appr_flg=N upd_ts=2026-10-02_09:00:00", charge, i), text("update %s appr_flg=Y upd_ts=2026-10-02_11:00:00", charge)},
		{text("insert %s rev_no=0 load_no=%d cust_cd=ACM01 stat=D inv_dt=2026-10-03 line_cnt=1 inv_amt=5.00 tax_amt=0.00 upd_ts=2026-10-03_08:00:00", hdr, i),
			text("update %s stat=R rel_ts=2026-10-03_09:00:00", hdr)},
		{text("insert billing.inv_line inv_no=I%d line_no=1 chg_cd=LH qty=1 rate=5.00 ext_amt=5.00 tax_cd=EX", i)},
	}
}

// seen is every case with what depends on the interleaving left out: the ids and places of events, when they were committed, and the time
// of what happens at its commit.
func (d *drive) seen() string {
	d.t.Helper()
	var b strings.Builder
	err := Cases(d.st, "", func(c Case) (bool, error) {
		c = d.found(c.Ref)
		c.Updated = time.Time{}
		if c.Ready != nil {
			c.Ready.Event = ""
		}
		for i := range c.Facts {
			f := &c.Facts[i]
			f.Event = ""
			for j := range f.Reports {
				r := &f.Reports[j]
				r.Event, r.Recorded = "", time.Time{}
				if r.Type == "invoice.drafted" {
					r.At, f.At = time.Time{}, time.Time{}
				}
			}
		}
		for i := range c.Assignments {
			c.Assignments[i].Event = ""
		}
		raw, err := json.Marshal(c)
		fmt.Fprintf(&b, "%s\n", raw)
		return true, err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return b.String() + d.problems()
}

// Rows of two databases in any order that keeps the order within a row, cut into any transactions, one source far behind the other or
// not: in the end the cases are the same.
func TestAnyInterleavingGivesTheSameCases(t *testing.T) {
	m := withCases(t, "  backdated: 72h\n", "", "  orphan: 15m\n", "  orphan: 1h\n")
	const n = 2
	plain := newDrive(t, m)
	plain.tx(acme)
	for i := range n {
		for _, rows := range shipped(i) {
			plain.tx(rows...)
		}
	}
	plain.wait(2 * time.Hour)
	want := plain.seen()
	if strings.Count(want, `"stage":"released"`) != n || strings.Count(want, `"ready":{`) != n || strings.Contains(want, "problems") {
		t.Fatal(want)
	}
	rapid.Check(t, func(rt *rapid.T) {
		d := newDrive(t, m)
		rows := [][]change{{acme}}
		for i := range n {
			rows = append(rows, shipped(i)...)
		}
		behind := rapid.SampledFrom([]string{"", "dispatch.", "billing."}).Draw(rt, "behind")
		var tx []change
		for len(rows) > 0 {
			i := rapid.IntRange(0, len(rows)-1).Draw(rt, "row")
			ahead := slices.ContainsFunc(rows, func(r []change) bool { return !strings.Contains(string(r[0]), " "+behind) })
			if behind != "" && ahead && strings.Contains(string(rows[i][0]), " "+behind) {
				continue
			}
			tx = append(tx, rows[i][0])
			if rows[i] = rows[i][1:]; len(rows[i]) == 0 {
				rows = slices.Delete(rows, i, i+1)
			}
			if rapid.Bool().Draw(rt, "commit") {
				d.tx(tx...)
				tx = nil
			}
		}
		d.tx(tx...)
		d.wait(2 * time.Hour)
		if got := d.seen(); got != want {
			rt.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A mapping's own tests see the event that its cases derive.
func TestInlineTestsSeeReadiness(t *testing.T) {
	m := withCases(t, "tests:                                  # waybill map test; no database needed\n", `tests:
  - name: a load is delivered, its paperwork comes, and it may be billed
    given:
      - tx: { dispatch.loads: { load_no: 7, cust_cd: "104377", status_cd: LDD, pcs_ord: 20, dep_ts: 2026-10-01 08:00, upd_ts: 2026-10-01 08:00 } }
      - tx: { dispatch.loads: { old: {}, new: { status_cd: MTY, dlv_dt: 2026-10-01, dlv_tm: "14:05" } } }
      - wait: 1h
      - tx: { dispatch.loads: { old: {}, new: { pod_ts: 2026-10-01 16:00 } } }
      - wait: 1h
    expect: [ shipment.departed, shipment.delivered, pod.received, billing.ready: { key: 7, correlation: shipment/7 } ]

`)
	for _, r := range m.Test()[:1] {
		if !r.OK || !strings.HasPrefix(r.Name, "a load is delivered") {
			t.Errorf("%+v", r)
		}
	}
}
