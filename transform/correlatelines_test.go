package transform

import (
	"slices"
	"strings"
	"testing"
)

// An invoice of a week belongs to the case of each shipment on it: its event names them all, once, whatever order the lines have, and a shipment
// that is carved out is named by its own document alone.
func TestAConsolidatedInvoiceNamesItsShipments(t *testing.T) {
	d := ltl(t)
	d.tx(shipTo)
	week := weekOf(1)
	d.tx(slices.Concat(week...)...)
	d.tx("insert pvly.cons_inv cons_no=C2 shipto_cd=ACME cur=USD wk_end=2026-10-02 ln_cnt=3 net_amt=30.00 hst_amt=0.00 tot_amt=30.00 chg_utc=2026-10-03_08:00:00",
		"insert pvly.cons_dtl cons_no=C2 seq=1 pro_no=0000000007 chg_cd=FRT units=1.00 amt=10.00 hst_amt=0.00 tax_cd=US cur=USD",
		"insert pvly.cons_dtl cons_no=C2 seq=2 pro_no=0000000007 chg_cd=FS units=1.00 amt=10.00 hst_amt=0.00 tax_cd=US cur=USD",
		"insert pvly.cons_dtl cons_no=C2 seq=3 pro_no=0000000008 chg_cd=XYZ units=1.00 amt=10.00 hst_amt=0.00 tax_cd=US cur=USD",
		"insert pvly.bill_queue q_id=2 cons_no=C2 q_stat=R rel_utc=2026-10-04_08:00:00")
	d.wait(16 * 60e9)
	d.tx("update pvly.cons_dtl cons_no=C2 seq=3 chg_cd=DTN")
	var got []string
	for _, ev := range d.out.events {
		if ev.Entity == "invoice" {
			got = append(got, ev.Key+": "+strings.Join(ev.Refs, " ")+", "+ev.Correlation)
		}
	}
	want := []string{"C1: invoice/C1 shipment/0012345678 shipment/0012345679, invoice/C1", "C2: invoice/C2 shipment/0000000007, invoice/C2",
		"C2/0000000008: invoice/C2/0000000008 shipment/0000000008, invoice/C2/0000000008"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), d.problems())
	}
}
