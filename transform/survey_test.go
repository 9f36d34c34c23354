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
