package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// standings shows what the source says of each document.
func (d *drive) standings() string {
	d.t.Helper()
	var all []string
	err := d.p.Standings(d.st, func(time.Time) bool { return true }, func(s *Standing) error {
		amount := "-"
		if s.Amount != nil {
			amount = s.Amount.Amount + " " + s.Amount.Currency
		}
		var flags []string
		for name, set := range map[string]bool{"released": s.Released, "historic": s.Historic, "pending": s.Pending, "told": s.Told, "made": s.Made} {
			if set {
				flags = append(flags, name)
			}
		}
		slices.Sort(flags)
		all = append(all, fmt.Sprintf("%s %s %s", s.Ref, amount, strings.Join(flags, "+")))
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func TestStandings(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(acme)
	d.tx(draft, line1, line2)
	d.expect("drafted", d.standings(), "invoice/A1 1150.00 USD ")
	d.tx(free)
	d.expect("released", d.standings(), "invoice/A1 1150.00 USD made+released")
	s, err := d.p.Standing(d.st, "invoice/A1")
	if err != nil || s.Sent != SentAs(d.out.events[1].Data) || !s.At.Equal(d.out.events[1].Occurred) {
		t.Errorf("%+v, %v", s, err)
	}
	d.tx("update billing.inv_hdr inv_no=A1 inv_amt=1151.00")
	if s, err = d.p.Standing(d.st, "invoice/A1"); err != nil || s.Amount.Amount != "1151.00" || s.Sent != SentAs(d.out.events[1].Data) {
		t.Errorf("%+v, %v", s, err)
	}
	d.tx("update billing.inv_hdr inv_no=A1 stat=D | stat=R")
	d.expect("taken back", d.standings(), "invoice/A1 1151.00 USD made")
	d.tx("delete billing.inv_hdr inv_no=A1")
	d.expect("deleted", d.standings(), "")
	d.tx(invoice("insert", "B1", "", "100.00")[:1]...)
	d.expect("its line is missing", d.standings(), "invoice/B1 100.00 USD pending+released")
	d.wait(time.Hour)
	d.expect("people know", d.standings(), "invoice/B1 100.00 USD pending+released+told")
	d.tx("insert billing.inv_hdr inv_no=OLD rev_no=0 cust_cd=ACM01 stat=R inv_dt=2026-08-05 line_cnt=0 tax_amt=0.00 rel_ts=2026-08-05_10:00:00 upd_ts=2026-08-05_10:00:00 inv_amt=0.00")
	d.expect("before the cut-over", d.standings(), "invoice/B1 100.00 USD pending+released+told, invoice/OLD 0.00 USD historic+released")
	if s, err := d.p.Standing(d.st, "invoice/none"); s != nil || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// A consolidated document and the members that were taken out of it are worth together what the whole was.
func TestStandingsOfACarvedGroup(t *testing.T) {
	d := ltl(t)
	d.tx(shipTo)
	line := " units=1.00 hst_amt=0.00 tax_cd=US cur=USD"
	d.tx("insert pvly.cons_inv cons_no=C2 shipto_cd=ACME cur=USD wk_end=2026-10-02 ln_cnt=3 net_amt=37.00 hst_amt=0.00 tot_amt=37.00 chg_utc=2026-10-03_08:00:00",
		change("insert pvly.cons_dtl cons_no=C2 seq=1 pro_no=0000000007 chg_cd=FRT amt=10.00"+line), change("insert pvly.cons_dtl cons_no=C2 seq=2 pro_no=0000000008 chg_cd=FRT amt=20.00"+line),
		change("insert pvly.cons_dtl cons_no=C2 seq=3 pro_no=0000000008 chg_cd=XYZ amt=7.00"+line), "insert pvly.bill_queue q_id=2 cons_no=C2 q_stat=R rel_utc=2026-10-04_08:00:00")
	d.expect("whole", d.standings(), "invoice/C2 37.00 USD pending+released+told")
	d.wait(16 * time.Minute)
	d.expect("carved", d.standings(), "invoice/C2 10.00 USD made+released, invoice/C2/0000000008 27.00 USD pending+released+told")
	d.tx("update pvly.cons_dtl cons_no=C2 seq=3 chg_cd=DTN")
	d.expect("mended", d.standings(), "invoice/C2 10.00 USD made+released, invoice/C2/0000000008 27.00 USD made+released")
	d.events()
	d.posts()
}
