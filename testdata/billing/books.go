package main

import (
	"database/sql"
	"fmt"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

// books is the billing database, whose log tells everyone what was invoiced.
type books struct {
	db      *sql.DB
	release bool // drafts are released in a transaction of their own
}

func openBooks(dsn string, release bool) (*books, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	return &books{db, release}, db.Ping()
}

// codes are the charge codes of the database.
var codes = map[string]string{"LINEHAUL": "LH", "FUEL_SURCHARGE": "FSC", "DETENTION_DL": "DET", "LUMPER": "LMP"}

// write writes the rows of a draft in one transaction.
func (b *books) write(inv *invoice) error {
	var customer string
	err := b.db.QueryRow("SELECT cust_cd FROM bill_cust WHERE erp_acct=? ORDER BY eff_dt DESC LIMIT 1", inv.Customer).Scan(&customer)
	if err != nil {
		return fmt.Errorf("the customer %s of billing: %w", inv.Customer, err)
	}
	tx, err := b.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now := time.Now()
	_, err = tx.Exec(`INSERT INTO inv_hdr (inv_no, load_no, cust_cd, stat, inv_dt, line_cnt, tax_amt, inv_amt, memo, upd_ts)
		VALUES (?,?,?,'D',?,?,'0.00',?,?,?)`, inv.Number, inv.Shipment, customer, now.Format("2006-01-02"), len(inv.Lines), inv.Total, "asked for by "+inv.Key, stamp(now))
	for i, l := range inv.Lines {
		if err != nil {
			break
		}
		code, ok := codes[l.Charge]
		if !ok {
			code = "LH"
		}
		_, err = tx.Exec("INSERT INTO inv_line (inv_no, line_no, chg_cd, descr, qty, rate, ext_amt, tax_cd) VALUES (?,?,?,?,1,?,?,'EX')",
			inv.Number, i+1, code, l.Charge, l.Amount, l.Amount)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// released releases a draft, if this service does that by itself.
func (b *books) released(inv *invoice) error {
	if !b.release {
		return nil
	}
	_, err := b.db.Exec("UPDATE inv_hdr SET stat='R', rel_ts=?, upd_ts=? WHERE inv_no=?", stamp(time.Now()), stamp(time.Now()), inv.Number)
	return err
}

// stamp is a local time without zone, as the database keeps it; TZ says where.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") }
