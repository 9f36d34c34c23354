package transform

import (
	"fmt"
	"strings"
	"testing"
)

// apart shows what is apart by company.
func (d *drive) apart() string {
	var b strings.Builder
	for _, e := range d.out.events {
		fmt.Fprintf(&b, "%s %s of %s: order %s, correlation %s, refs %s\n", e.Type, e.Key, e.Company, e.OrderKey, e.Correlation, strings.Join(e.Refs, " "))
	}
	for _, p := range d.out.posts {
		fmt.Fprintf(&b, "%s.%s %s of %s: order %s, refs %s", p.Sink, p.Entity, p.ExternalID, p.Company, p.OrderKey, strings.Join(p.Refs, " "))
		for _, g := range p.Gates {
			fmt.Fprintf(&b, ", %s %s", g.Name, g.Key)
		}
		b.WriteByte('\n')
	}
	for _, refs := range d.out.rows {
		fmt.Fprintf(&b, "row %s\n", strings.Join(refs, " "))
	}
	b.WriteString(d.problems() + "\n")
	return b.String()
}

func TestCompanyIsPartOfEveryName(t *testing.T) {
	m := northstar(t, "version: 1\n", "version: 1\ncompany: NSTAR\n",
		"{ erp.customer: bill_to.account, deadline: 24h }", `{ erp.customer: bill_to.account, deadline: 24h, company: "GROUP" }`)
	d := newDrive(t, m)
	d.tx("insert dispatch.customers cust_cd=104377 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00")
	d.tx("insert dispatch.loads load_no=88121 cust_cd=104377 status_cd=ADL pcs_ord=20 upd_ts=2026-10-01_08:00:00")
	d.tx("update dispatch.loads load_no=88121 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=14:05:00 | status_cd=ADL")
	d.tx(acme)
	d.tx(change(strings.Replace(string(draft), "stat=D", "stat=D load_no=88121", 1)), line1, line2)
	d.tx(free)
	d.tx(invoice("insert", "A1-C", "A1", "-1150.00")...)
	d.tx("update billing.inv_line inv_no=A1 line_no=1 ext_amt=999.00 | ext_amt=1000.00")
	golden(t, "company-names.golden", d.apart())
}

func TestCompanyOfTheRow(t *testing.T) {
	m := northstar(t, "    key: h.inv_no\n", "    key: h.inv_no\n    company: trim(h.memo)\n",
		"  customer.changed:\n    from: dispatch.customers\n    lane: master\n    key: cust_cd\n", "  customer.changed:\n    from: dispatch.customers\n    lane: master\n    key: cust_cd\n    company: email\n")
	d := newDrive(t, m)
	d.tx(acme)
	in := func(company string, ch change) change { return ch + change(" memo="+company) }
	d.tx(in("EAST", draft), line1, line2)
	d.tx(free)
	d.expect("order key", d.out.events[len(d.out.events)-1].OrderKey, "invoice/EAST:A1")
	d.expect("events", d.events(), "invoice.drafted A1, invoice.released A1")

	// Sent for one company, and then said to be of another: for a person. There it counts as new.
	d.tx("update billing.inv_hdr inv_no=A1 memo=WEST | memo=EAST")
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1")
	d.expect("order key", d.out.events[len(d.out.events)-1].OrderKey, "invoice/WEST:A1")
	d.expect("events", d.events(), "invoice.released A1")

	// Released without a company: nothing is made of it until there is one.
	late := invoice("insert", "A2", "", "50.00")
	d.tx(late...)
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1, COMPANY_UNKNOWN invoice/A2")
	d.expect("events", d.events(), "")
	d.tx("update billing.inv_hdr inv_no=A2 memo=a/b | memo=~")
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1, COMPANY_UNKNOWN invoice/A2")
	d.tx("update billing.inv_hdr inv_no=A2 memo=WEST | memo=a/b")
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1")
	d.expect("events", d.events(), "invoice.released A2")

	// A row whose company is missing is held, as with any other field.
	d.tx("insert dispatch.customers cust_cd=1 name=One terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00")
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1, MISSING_FIELD customer/1")
	d.tx("update dispatch.customers cust_cd=1 email=EAST")
	d.expect("order key", d.out.events[len(d.out.events)-1].OrderKey, "customer/EAST:1")
	d.expect("problems", d.problems(), "COMPANY_CHANGED invoice/EAST:A1")
}

func TestOrderKeysOfRulesAreApartByCompany(t *testing.T) {
	for _, c := range [][3]string{{"", "group/7", "group/7"}, {"NSTAR", "group/7", "group/NSTAR:7"}, {"NSTAR", "7", "NSTAR:7"}} {
		if got := orderKey(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %q: %s", c[1], c[0], got)
		}
	}
}

// A version of an entity is one company's: the same words of another company are news.
func TestVersionsOfTwoCompanies(t *testing.T) {
	m, err := Parse("small.yaml", []byte("mapping: small\nversion: 1\nsources: { dispatch: { zone: America/Chicago } }\nevents:\n"+
		"  customer.changed: { from: dispatch.customers, lane: master, key: tax_id, company: email, set: { code: tax_id, name: name } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(t, m)
	row := func(code, company string) change {
		return change("insert dispatch.customers cust_cd=" + code + " email=" + company + " tax_id=T1 name=One terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00")
	}
	d.tx(row("1", "EAST"), row("2", "WEST"), row("3", "EAST"))
	var got []string
	for _, e := range d.out.events {
		got = append(got, Ref(e.Company, e.Entity, e.Key))
	}
	d.expect("versions", strings.Join(got, " "), "customer/EAST:T1 customer/WEST:T1")
}
