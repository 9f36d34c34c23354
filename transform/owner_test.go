package transform

import (
	"strings"
	"testing"
)

// owned is the sample carrier's mapping in which billing, too, has something to say of customers.
func ownedBy(t testing.TB, others string) *Mapping {
	return northstar(t, "\ncodes:\n", "\nowners:\n  customer: { source: dispatch, others: "+others+" }\n  invoice: billing\n\ncodes:\n",
		"\n  load.assigned:\n", `
  customer.changed@billing:
    from: billing.bill_cust
    lane: master
    key: erp_acct
    set: { code: erp_acct, name: nm }

  load.assigned:
`)
}

const (
	lone change = "insert dispatch.customers cust_cd=104377 name=LONE terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00"
	says change = "insert billing.bill_cust cust_cd=L erp_acct=104377 eff_dt=2019-01-01 nm=LONE"
)

// owning drives it; billing's customers have a name in it.
func owning(t *testing.T, others string) *drive {
	d := newDrive(t, ownedBy(t, others))
	d.catalog["billing"][0].Columns = append(d.catalog["billing"][0].Columns, columns("nm text")...)
	return d
}

func TestOthersAreIgnored(t *testing.T) {
	d := owning(t, "ignore")
	d.tx(lone)
	d.tx(says)
	d.expect("events", d.events(), "customer.changed 104377")
	d.expect("posts", d.posts(), "customer 104377")
	d.expect("problems", d.problems(), "")
	if len(d.out.notes) != 1 || strings.Join(d.out.notes[0].Refs, " ") != "customer/104377" ||
		d.out.notes[0].Why != "customer.changed of billing.bill_cust ignored: dispatch owns it" {
		t.Errorf("notes: %+v", d.out.notes)
	}
}

func TestOthersAreAnException(t *testing.T) {
	d := owning(t, "exception")
	d.snapshot("billing", 10, "snapshot billing.bill_cust cust_cd=OLD erp_acct=104300 eff_dt=2019-01-01 nm=OLD")
	d.expect("what was there is no news", d.problems(), "")
	d.tx(lone)
	d.tx(says)
	d.expect("events", d.events(), "customer.changed 104377")
	d.expect("problems", d.problems(), "NOT_OWNER customer/104377")
	d.tx("insert billing.bill_cust cust_cd=NEW erp_acct=104378 eff_dt=2019-01-01 nm=NEW")
	d.expect("problems", d.problems(), "NOT_OWNER customer/104377, NOT_OWNER customer/104378")
	if codes := d.out.openCodes(); len(codes) != 1 {
		t.Errorf("one cause is %d exceptions", len(codes))
	}
	// The policy changes: what waited is ignored.
	d.activate(ownedBy(t, "ignore"))
	d.expect("problems", d.problems(), "")
	d.expect("events", d.events(), "")
	if len(d.out.notes) != 2 {
		t.Errorf("notes: %+v", d.out.notes)
	}
}

func TestOthersPropose(t *testing.T) {
	d := owning(t, "propose")
	open := func() string {
		for _, p := range d.out.open {
			return p.Title
		}
		return ""
	}
	d.snapshot("billing", 10, "snapshot billing.bill_cust cust_cd=L erp_acct=104377 eff_dt=2019-01-01 nm=LONE", "snapshot billing.bill_cust cust_cd=M erp_acct=104399 eff_dt=2019-01-01 nm=MARE")
	d.expect("before the owner was read nobody knows what it says", d.problems(), "")
	d.snapshot("dispatch", 10)
	d.expect("the owner has none", d.problems(), "CHANGE_PROPOSED customer/104377, CHANGE_PROPOSED customer/104399")
	d.tx("delete billing.bill_cust cust_cd=M eff_dt=2019-01-01")
	d.expect("why", open(), "billing.bill_cust has customer/104377, of which dispatch, which owns it, has told nothing.")
	d.tx(lone)
	d.expect("the owner agrees", d.problems(), "")
	d.expect("events", d.events(), "customer.changed 104377")
	d.tx("update billing.bill_cust cust_cd=L eff_dt=2019-01-01 nm=LONER | nm=LONE")
	d.expect("a difference", open(), `billing.bill_cust proposes a change of customer/104377, which dispatch owns: name "LONER" for "LONE".`)
	for _, p := range d.out.open {
		d.expect("evidence", string(p.Evidence), `{"after":{"cust_cd":"L","eff_dt":"2019-01-01","end_dt":null,"erp_acct":"104377","nm":"LONER"},`+
			`"before":{"cust_cd":"L","eff_dt":"2019-01-01","end_dt":null,"erp_acct":"104377","nm":"LONE"},`+
			`"difference":{"name":{"owner":"LONE","proposed":"LONER"}},"owner":"dispatch","position":"0/5","row":"billing.bill_cust L`+`/2019-01-01","source":"billing"}`)
	}
	d.expect("nothing is told", d.events(), "")
	d.tx("update dispatch.customers cust_cd=104377 phone=1")
	d.expect("the owner says something else", d.problems(), "CHANGE_PROPOSED customer/104377")
	d.tx("update dispatch.customers cust_cd=104377 name=LONER")
	d.expect("the owner took it over", d.problems(), "")
	d.expect("events", d.events(), "customer.changed 104377, customer.changed 104377")

	// A person gives it up; the next change is proposed anew, and the source may take it back itself.
	d.tx("update billing.bill_cust cust_cd=L eff_dt=2019-01-01 nm=OTHER | nm=LONER")
	if err := d.p.Discard(d.st, d.out, d.entry(), "MASTER/CHANGE_PROPOSED/billing.bill_cust/customer.changed/104377"); err != nil {
		t.Fatal(err)
	}
	d.expect("given up", d.problems(), "")
	d.tx("update dispatch.customers cust_cd=104377 phone=2")
	d.expect("it stays given up", d.problems(), "")
	d.tx("update billing.bill_cust cust_cd=L eff_dt=2019-01-01 nm=THIRD | nm=OTHER")
	d.expect("proposed anew", d.problems(), "CHANGE_PROPOSED customer/104377")
	d.tx("update billing.bill_cust cust_cd=L eff_dt=2019-01-01 nm=LONER | nm=THIRD")
	d.expect("taken back", d.problems(), "")
	if n := len(d.st.buckets[bucketProposal]) + len(d.st.buckets[bucketHeld]); n != 0 {
		t.Errorf("%d keys of settled proposals are left", n)
	}
}

func TestDocumentsOfOthers(t *testing.T) {
	released := func(d *drive) {
		d.tx(acme)
		d.tx(draft, line1, line2)
		d.tx(free)
	}
	of := func(others string) *Mapping {
		return northstar(t, "\ncodes:\n", "\nowners: { invoice: { source: dispatch, others: "+others+" } }\n\ncodes:\n")
	}
	d := newDrive(t, of("ignore"))
	released(d)
	d.expect("events", d.events(), "")
	d.expect("problems", d.problems(), "")
	if len(d.out.notes) != 2 { // drafted, released
		t.Errorf("notes: %+v", d.out.notes)
	}
	d = newDrive(t, of("exception"))
	released(d)
	d.expect("events", d.events(), "")
	d.expect("problems", d.problems(), "NOT_OWNER invoice/A1, NOT_OWNER invoice/A1")
	d.activate(northstar(t))
	d.expect("events with billing as the owner", d.events(), "invoice.released A1")
}
