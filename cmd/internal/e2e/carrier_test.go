package e2e

import (
	"fmt"
	"time"
)

// The carrier's programs write as these functions do. Money is computed here in cents, apart from the program under test.

func (s *site) customer(code, name string) {
	s.t.Helper()
	s.sql(s.dispatch, `INSERT INTO customers (cust_cd, name, addr1, city, state, zip, email, phone, terms_cd)
		VALUES ($1, $2, '1 Main St', 'Dallas', 'TX', '75201', 'ap@example.com', '+1 214 555 0100', 'N30')`, code, name)
	s.sql(s.billing, `INSERT INTO bill_cust (cust_cd, erp_acct, eff_dt) VALUES (?, ?, '2019-01-01')`, "B"+code, code)
}

// load writes a load that is delivered, with its paperwork in.
func (s *site) load(no int, customer string) {
	s.t.Helper()
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) VALUES ($1, $2, 'AVL', now(), 20)`, no, customer)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='ASG', driver_id=7, unit_no='T1' WHERE load_no=$1`, no)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='LDD', dep_ts=now() WHERE load_no=$1`, no)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='MTY', dlv_dt=current_date, dlv_tm='10:15', pcs_dlv=20, rcvd_by='J. Doe' WHERE load_no=$1`, no)
	s.sql(s.dispatch, `UPDATE loads SET status_cd='CLS', pod_ts=now() WHERE load_no=$1`, no)
}

// line is one invoice line; amounts are cents.
type line struct {
	charge string
	cents  int64
	tax    string // TX or EX
}

// invoice is a document of billing.
type invoice struct {
	no, customer string
	original     string
	load         int // 0: none
	lines        []line
	released     time.Time // when it was released, for one that is released already
}

func dollars(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}

// totals returns tax and total in cents: 8.25 % of the taxable lines, rounded half away from zero once per document.
func (inv invoice) totals() (tax, total int64) {
	var taxable int64
	for _, l := range inv.lines {
		total += l.cents
		if l.tax == "TX" {
			taxable += l.cents
		}
	}
	half := int64(5000)
	if taxable < 0 {
		half = -half
	}
	tax = (taxable*825 + half) / 10000
	return tax, total + tax
}

// draft writes header and lines.
func (s *site) draft(inv invoice) {
	s.t.Helper()
	tax, total := inv.totals()
	var original, load any
	if inv.original != "" {
		original = inv.original
	}
	if inv.load != 0 {
		load = inv.load
	}
	stat, rel, date := "D", any(nil), time.Now()
	if !inv.released.IsZero() {
		stat, rel, date = "R", chicago(inv.released), inv.released
	}
	tx, err := s.billing.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = tx.Exec(`INSERT INTO inv_hdr (inv_no, load_no, cust_cd, stat, inv_dt, line_cnt, tax_amt, inv_amt, orig_inv_no, memo, rel_ts, upd_ts)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`, inv.no, load, "B"+inv.customer, stat, chicago(date)[:10], len(inv.lines), dollars(tax), dollars(total),
		original, "Café Montréal", rel, chicago(time.Now()))
	for i, l := range inv.lines {
		if err != nil {
			break
		}
		_, err = tx.Exec(`INSERT INTO inv_line (inv_no, line_no, chg_cd, descr, qty, rate, ext_amt, tax_cd) VALUES (?,?,?,?,?,?,?,?)`,
			inv.no, i+1, l.charge, "line "+l.charge, quantity(l.cents), dollars(max(l.cents, -l.cents)), dollars(l.cents), l.tax)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func quantity(cents int64) int {
	if cents < 0 {
		return -1
	}
	return 1
}

// release releases drafted documents in one transaction.
func (s *site) release(numbers ...string) {
	s.t.Helper()
	tx, err := s.billing.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	defer tx.Rollback()
	for _, no := range numbers {
		if _, err := tx.Exec(`UPDATE inv_hdr SET stat='R', rel_ts=?, upd_ts=? WHERE inv_no=?`, chicago(time.Now()), chicago(time.Now()), no); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

var terminal = func() *time.Location {
	l, err := time.LoadLocation("America/Chicago")
	if err != nil {
		panic(err)
	}
	return l
}()

// chicago is a local time without zone, as the carrier's programs write it.
func chicago(t time.Time) string { return t.In(terminal).Format("2006-01-02 15:04:05") }

// plain is an invoice of one freight line for a delivered load.
func plain(no, customer string, cents int64) invoice {
	return invoice{no: no, customer: customer, lines: []line{{"LH", cents, "TX"}, {"FSC", cents / 10, "EX"}}}
}

func itoa(n int) string { return fmt.Sprint(n) }
