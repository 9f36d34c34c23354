package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ltl drives the mapping of the carrier whose documents stand in three tables.
func ltl(t *testing.T) *drive {
	t.Helper()
	d := newDrive(t, carrierMapping(t, "pinevalley"))
	d.catalog = sqlCatalog(t, "pvly", "../testdata/carriers/pinevalley/carrier.sql")
	return d
}

const shipTo change = "insert pvly.cust_acct shipto_cd=ACME erp_acct=ACME cur=USD eff_dt=2019-01-01"

// weekOf is what happens to the rows of one consolidated invoice, row by row.
func weekOf(i int) [][]change {
	no := fmt.Sprintf("C%d", i)
	line := func(seq, pro, amount string) []change {
		return []change{change("insert pvly.cons_dtl cons_no=" + no + " seq=" + seq + " pro_no=" + pro + " chg_cd=FRT units=1.00 amt=" + amount + " hst_amt=0.00 tax_cd=US cur=USD")}
	}
	return [][]change{
		{change("insert pvly.cons_inv cons_no=" + no + " shipto_cd=ACME cur=USD wk_end=2026-10-02 ln_cnt=2 net_amt=150.00 hst_amt=0.00 tot_amt=148.00 chg_utc=2026-10-03_08:00:00")},
		line("1", "0012345678", "100.00"), line("2", "0012345679", "50.00"),
		{change(fmt.Sprintf("insert pvly.bill_queue q_id=%d cons_no=%s q_stat=W", i, no)),
			change(fmt.Sprintf("update pvly.bill_queue q_id=%d cons_no=%s q_stat=R rel_utc=2026-10-04_08:00:00", i, no))},
		{change(fmt.Sprintf("insert pvly.inv_adj adj_id=%d cons_no=%s adj_cd=EPD adj_amt=-2.00", i, no))},
	}
}

// In whatever order the rows of three tables come, each document is released once, and the same.
func TestRowsBesideAHeaderComeInAnyOrder(t *testing.T) {
	const n = 3
	plain := ltl(t)
	plain.tx(shipTo)
	for i := range n {
		plain.tx(slices.Concat(weekOf(i)...)...)
	}
	want := plain.outcome()
	if strings.Count(want, "invoice.released") != n || !strings.Contains(want, `"total":"148.00"`) || plain.problems() != "" {
		t.Fatal(want)
	}
	rapid.Check(t, func(rt *rapid.T) {
		stories := [][]change{{shipTo}}
		for i := range n {
			stories = append(stories, weekOf(i)...)
		}
		d := ltl(t)
		var tx []change
		for len(stories) > 0 {
			i := rapid.IntRange(0, len(stories)-1).Draw(rt, "row")
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

func TestALaterQueueItemCounts(t *testing.T) {
	d := ltl(t)
	d.tx(shipTo)
	week := weekOf(1)
	d.tx(slices.Concat(week[0], week[1], week[2], week[4])...)
	d.tx(week[3]...)
	d.expect("events", d.events(), "invoice.released C1")
	d.tx("insert pvly.bill_queue q_id=9 cons_no=C1 q_stat=X")
	d.expect("a later item withdraws it", d.events(), "invoice.voided C1")
	d.expect("too late", d.problems(), "VOID_AFTER_POSTING invoice/C1")
	d.tx("update pvly.bill_queue q_id=1 cons_no=C1 q_stat=W", "update pvly.bill_queue q_id=1 cons_no=C1 q_stat=R")
	d.expect("an earlier item says nothing any more", d.events(), "")
}

func TestABadMemberHoldsTheGroupOrIsCarvedOut(t *testing.T) {
	bad := func(d *drive) {
		d.tx(shipTo)
		week := weekOf(1)
		week[2][0] = change(strings.Replace(string(week[2][0]), "chg_cd=FRT", "chg_cd=XYZ", 1))
		week[0][0] = change(strings.Replace(string(week[0][0]), "tot_amt=148.00", "tot_amt=150.00", 1))
		d.tx(slices.Concat(week[0], week[1], week[2], week[3])...)
		d.expect("at first the group waits", d.events(), "")
		d.expect("and people know why", d.problems(), "UNMAPPED_CODE invoice/C1")
		d.wait(16 * time.Minute)
	}
	held := ltl(t)
	src := strings.Replace(string(held.p.m.text), "bad: carve_out", "bad: hold", 1)
	m, err := Parse("mapping.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	held = newDrive(t, m)
	held.catalog = ltl(t).catalog
	bad(held)
	held.expect("held", held.events(), "")
	held.tx("update pvly.cons_dtl cons_no=C1 seq=2 chg_cd=DTN")
	held.expect("whole", held.posts(), "sales_invoice pvly:C1")

	carved := ltl(t)
	bad(carved)
	carved.expect("the good one", carved.posts(), "sales_invoice pvly:C1")
	carved.expect("the bad one waits alone", carved.problems(), "UNMAPPED_CODE invoice/C1/0012345679")
	carved.tx("update pvly.cons_inv cons_no=C1 chg_utc=2026-10-09_08:00:00")
	carved.expect("nothing was sent twice", carved.posts(), "")
	carved.tx("update pvly.cons_dtl cons_no=C1 seq=2 chg_cd=DTN")
	carved.expect("it follows", carved.posts(), "sales_invoice pvly:C1-0012345679")
	carved.expect("all is well", carved.problems(), "")
}

// An adjustment belongs to no member: the amounts of the members would not be the amount of the whole, and nothing is carved out.
func TestNothingIsCarvedOutWhatDoesNotAddUp(t *testing.T) {
	d := ltl(t)
	d.tx(shipTo)
	week := weekOf(1)
	week[2][0] = change(strings.Replace(string(week[2][0]), "chg_cd=FRT", "chg_cd=XYZ", 1))
	d.tx(slices.Concat(week...)...)
	d.wait(16 * time.Minute)
	d.expect("held", d.posts()+d.events(), "")
}

// A mapping that joins tables which an earlier version had read already finds their rows after a reading.
func TestAReadingFindsRowsThatANewerMappingJoins(t *testing.T) {
	d := ltl(t)
	week := weekOf(1)
	rows := slices.Concat(week[0], week[1], week[2], week[3][:1], week[4])
	d.tx(append(rows, shipTo)...)
	for _, index := range []string{"map/roots/invoice/q", "map/roots/invoice/a", "map/beside/invoice/q", "map/beside/invoice/a", "map/lines/invoice"} {
		if len(d.st.buckets[index]) == 0 {
			t.Fatalf("no index %s", index)
		}
		delete(d.st.buckets, index)
	}
	var again []change
	for _, ch := range append(rows, shipTo) {
		again = append(again, change(strings.Replace(string(ch), "insert", "snapshot", 1)))
	}
	d.snapshot("pvly", 10, again...)
	d.tx(week[3][1])
	d.expect("released", d.events(), "invoice.released C1")
	d.expect("whole", d.problems(), "")
}
