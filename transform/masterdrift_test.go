package transform

import (
	"strings"
	"testing"
)

// driftMapping bills a customer by the terms that held when its order was made, and by its present name. The memo of the sample's header
// stands for a day of the order.
func driftMapping(t testing.TB) *Mapping {
	return northstar(t, "\ntests:", `
masters:
  customer:
    drift:
      invoice: { key: bill_to.account, since: h.ord_dt, fields: { payment_term: order, name: invoice } }
tests:
`, "      memo: h.memo?\n", `      memo: h.memo?
      terms: master.customer(bill_to.account, as_of=h.ord_dt).payment_term
      buyer: master.customer(bill_to.account, as_of=h.inv_dt).name
`)
}

func driftDrive(t testing.TB) *drive {
	d := newDrive(t, driftMapping(t))
	hdr := d.catalog["billing"][1]
	hdr.Columns = append(hdr.Columns, columns("ord_dt date")...)
	return d
}

func ordered(no, on string) []change {
	rows := invoice("insert", no, "", "100.00")
	rows[0] += change(" ord_dt=" + on)
	return rows
}

func TestACustomerWasAnotherWhenTheOrderWasMade(t *testing.T) {
	d := driftDrive(t)
	d.tx(acme)
	d.tx(ordered("A0", "2026-10-01")...)
	d.expect("nobody knows the customer", d.problems(), "NO_VERSION invoice/A0")
	d.tx(loneStar)
	d.expect("it goes on by itself", d.events()+d.problems(), "customer.changed 104377, invoice.released A0")
	d.tx("update " + change(ofLone) + "name=LONER upd_ts=2026-10-03_08:00:00")
	d.tx("update " + change(ofLone) + "terms_cd=N15 upd_ts=2026-10-04_08:00:00")
	d.events()
	d.posts()

	d.tx(ordered("A1", "2026-10-04")...)
	said := string(d.out.events[0].Data)
	d.expect("ordered since", d.events()+d.problems(), "invoice.released A1")
	if !strings.Contains(said, `"terms":"NET 15"`) || !strings.Contains(said, `"buyer":"LONER"`) {
		t.Error(said)
	}
	d.tx(ordered("A2", "2026-10-02")...)
	d.tx(ordered("A3", "2026-10-03")...)
	d.tx(ordered("A4", "2026-09-01")...)
	d.expect("held, one cause", d.events()+d.problems()+" "+strings.Join(d.out.openCodes(), " "), "MASTER_DRIFT invoice/A2, MASTER_DRIFT invoice/A3, MASTER_DRIFT invoice/A4 MASTER_DRIFT")
	for _, p := range d.out.open {
		if p.Subject == "invoice/A2" {
			d.expect("why", p.Title, "invoice/A2: customer/104377 is not what it was on 2026-10-02, when it was ordered (version 1, now 3): payment_term NET 30 → NET 15.")
			if !strings.Contains(string(p.Evidence), `"field":"name","before":"LONE","after":"LONER"`) {
				t.Errorf("the difference that is right is not shown: %s", p.Evidence)
			}
		}
	}
	confirm := func(subject string, version int) {
		t.Helper()
		if mine, err := d.p.ConfirmMaster(d.st, d.out, d.entry(), "customer/104377", subject, version); err != nil || !mine {
			t.Fatal(mine, err)
		}
		d.fire()
	}
	confirm("invoice/A2", 2)
	d.expect("another version than the one in force", d.events(), "")
	confirm("invoice/A2", 3)
	said = string(d.out.events[0].Data)
	d.expect("one document", d.events()+"; "+d.problems(), "invoice.released A2; MASTER_DRIFT invoice/A3, MASTER_DRIFT invoice/A4")
	if !strings.Contains(said, `"terms":"NET 30"`) || !strings.Contains(said, `"buyer":"LONER"`) {
		t.Errorf("terms as ordered, name as invoiced: %s", said)
	}
	confirm("", 3)
	d.expect("all that wait", d.events()+"; "+d.problems(), "invoice.released A3, invoice.released A4; ")
	d.tx("update " + change(ofLone) + "terms_cd=COD upd_ts=2026-10-05_08:00:00")
	d.events()
	d.tx(ordered("A5", "2026-10-04")...)
	d.expect("another version is asked again", d.problems(), "MASTER_DRIFT invoice/A5")
	d.tx("update " + change(ofLone) + "terms_cd=N15 upd_ts=2026-10-05_09:00:00")
	d.expect("it is again what it was", d.problems()+d.events(), "customer.changed 104377, invoice.released A5")
	d.tx("insert billing.inv_hdr inv_no=A6 rev_no=0 cust_cd=ACM01 stat=R inv_dt=2026-10-05 line_cnt=1 tax_amt=0.00 rel_ts=2026-10-05_10:00:00 upd_ts=2026-10-05_10:00:00 inv_amt=-100.00 orig_inv_no=A4 ord_dt=2026-09-01",
		"insert billing.inv_line inv_no=A6 line_no=1 chg_cd=LH qty=-1.000 rate=100.00 ext_amt=-100.00 tax_cd=EX")
	d.expect("a credit is of what was billed", d.problems()+d.events(), "credit_memo.issued A6")
}
