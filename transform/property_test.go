package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// story is what happens to one invoice, in its order.
func story(i int) []change {
	no := fmt.Sprintf("P%d", i)
	hdr := "billing.inv_hdr inv_no=" + no + " rev_no=0 cust_cd=ACM01 inv_dt=2026-10-05 line_cnt=2 tax_amt=0.00 inv_amt=150.00 upd_ts=2026-10-05_10:00:00"
	line := func(n, amount string) change {
		return change("insert billing.inv_line inv_no=" + no + " line_no=" + n + " chg_cd=LH qty=1 rate=" + amount + " ext_amt=" + amount + " tax_cd=EX")
	}
	return []change{change("insert " + hdr + " stat=D"), line("2", "50.00"), line("1", "99.00"),
		change("update billing.inv_hdr inv_no=" + no + " stat=R rel_ts=2026-10-05_10:00:00"),
		change("update billing.inv_line inv_no=" + no + " line_no=1 ext_amt=100.00")}
}

// outcome is what a run made of the documents, in an order of its own.
func (d *drive) outcome() string {
	var all []string
	for _, e := range d.out.events {
		all = append(all, e.Type+" "+string(e.Data))
	}
	for _, p := range d.out.posts {
		all = append(all, p.ExternalID+" "+p.OrderKey+" "+string(p.Body))
	}
	slices.Sort(all)
	return strings.Join(all, "\n") + "\n" + d.problems()
}

// The order of independent rows and the cutting into transactions change nothing about what becomes of them.
func TestAnyInterleavingGivesTheSameDocuments(t *testing.T) {
	m := northstar(t)
	const n = 4
	plain := newDrive(t, m)
	plain.tx(acme)
	for i := range n {
		plain.tx(story(i)...)
	}
	want := plain.outcome()
	if strings.Count(want, "invoice.released") != n || strings.Contains(want, "TOTAL") {
		t.Fatal(want)
	}
	rapid.Check(t, func(rt *rapid.T) {
		stories := [][]change{{acme}}
		for i := range n {
			stories = append(stories, story(i))
		}
		var tx []change
		d := newDrive(t, m)
		for len(stories) > 0 {
			i := rapid.IntRange(0, len(stories)-1).Draw(rt, "story")
			tx = append(tx, stories[i][0])
			if stories[i] = stories[i][1:]; len(stories[i]) == 0 {
				stories = slices.Delete(stories, i, i+1)
			}
			if rapid.Bool().Draw(rt, "commit") {
				d.tx(tx...)
				tx = nil
			}
		}
		d.tx(tx...)
		if got := d.outcome(); got != want {
			rt.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// The same history gives the same bytes: events, postings and state.
func TestSameHistorySameBytes(t *testing.T) {
	run := func() string {
		d := newDrive(t, northstar(t))
		d.snapshot("billing", 3, append(invoice("snapshot", "S1", "", "100.00"), "snapshot billing.bill_cust cust_cd=ACM01 erp_acct=1 eff_dt=2019-01-01")...)
		d.tx(draft, line1)
		d.tx(free)
		d.wait(2 * 3600e9)
		d.tx(line2, "insert dispatch.loads load_no=1 status_cd=ZZZ cust_cd=1 pcs_ord=1 upd_ts=2026-10-01_00:00:00")
		d.tx(slices.Concat(invoice("insert", "S1-R", "S1", "90.00"), invoice("insert", "S1-C", "S1", "-100.00"))...)
		var b strings.Builder
		for _, e := range d.out.events {
			raw, err := e.CloudEvent()
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw)
		}
		for _, p := range d.out.posts {
			raw, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw)
		}
		b.WriteString(d.problems())
		return b.String() + d.st.dump()
	}
	first := run()
	if len(first) < 5000 {
		t.Fatalf("too little happened: %s", first)
	}
	for range 5 {
		if again := run(); again != first {
			t.Fatalf("first\n%s\nagain\n%s", first, again)
		}
	}
}

func BenchmarkEventlessChange(b *testing.B) {
	d := newDrive(b, northstar(b))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL driver_id=7 pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	d.bench(b, "update dispatch.loads load_no=1 cust_cd=9 status_cd=ADL driver_id=7 pcs_ord=3 wt_lbs=%d.00 upd_ts=2026-10-01_00:00:00 -note")
}

func BenchmarkIrrelevantChange(b *testing.B) {
	d := newDrive(b, northstar(b))
	d.tx("insert dispatch.loads load_no=1 cust_cd=9 status_cd=ADL driver_id=7 pcs_ord=3 upd_ts=2026-10-01_00:00:00")
	d.bench(b, "update dispatch.loads load_no=1 cust_cd=9 status_cd=ADL driver_id=7 pcs_ord=3 upd_ts=2026-10-01_00:00:00 note=%d")
}

func BenchmarkEvent(b *testing.B) {
	d := newDrive(b, northstar(b))
	d.bench(b, "insert dispatch.loads load_no=%d cust_cd=9 status_cd=MTY pcs_ord=3 dlv_dt=2026-10-01 dlv_tm=10:00:00 upd_ts=2026-10-01_00:00:00")
}
