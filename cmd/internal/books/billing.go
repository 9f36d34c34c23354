package books

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "github.com/go-sql-driver/mysql" // the billing database's driver
)

// Header is a document of the billing database: an invoice, or a credit memo when Total is negative.
type Header struct {
	Key      string    // what the ERP keeps as the document's reference
	Number   string    // inv_no
	Original string    // the invoice that this one corrects; "" for none
	Code     string    // billing's code of the customer
	Account  string    // the customer's account on the document's date; "" when the crosswalk does not say
	Currency string    // ISO 4217
	State    string    // D draft, H held, R released, V void
	Released time.Time // zero when it never was
	Net      Cents     // sum of the lines, without tax
	Tax      Cents
	Total    Cents // as the header says
}

// billingQuery reads every header with the sum of its lines and the account that was in force on the document's date.
const billingQuery = `
SELECT h.inv_no, h.rev_no, COALESCE(h.orig_inv_no, ''), h.cust_cd, COALESCE(MAX(c.erp_acct), ''), COUNT(DISTINCT c.erp_acct),
       COALESCE(h.cur_cd, 'USD'), h.stat, COALESCE(DATE_FORMAT(h.rel_ts, '%Y-%m-%d %H:%i:%s'), ''),
       CAST(COALESCE(l.net, 0) AS CHAR), CAST(h.tax_amt AS CHAR), CAST(h.inv_amt AS CHAR)
  FROM inv_hdr h
  LEFT JOIN (SELECT inv_no, SUM(ext_amt) AS net FROM inv_line GROUP BY inv_no) l ON l.inv_no = h.inv_no
  LEFT JOIN bill_cust c ON c.cust_cd = h.cust_cd AND c.eff_dt <= h.inv_dt AND (c.end_dt IS NULL OR c.end_dt >= h.inv_dt)
 GROUP BY h.inv_no
 ORDER BY h.inv_no`

// OpenBilling opens the billing database. dsn is in the form of go-sql-driver/mysql; the caller closes what it gets.
func OpenBilling(dsn string) (*sql.DB, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the billing database: %w", err)
	}
	return db, nil
}

// ReadBilling reads all documents, released or not, old ones too. key makes a document's reference in the ERP of its number and
// revision; zone is where the database's local times were written.
func ReadBilling(ctx context.Context, db *sql.DB, zone *time.Location, key func(number string, revision int) string) ([]Header, error) {
	rows, err := db.QueryContext(ctx, billingQuery)
	if err != nil {
		return nil, fmt.Errorf("reading inv_hdr: %w", err)
	}
	defer rows.Close()
	var all []Header
	for rows.Next() {
		h, err := scanHeader(rows, zone, key)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading inv_hdr: %w", err)
	}
	return all, nil
}

func scanHeader(rows *sql.Rows, zone *time.Location, key func(string, int) string) (Header, error) {
	var (
		h                         Header
		revision, accounts        int
		released, net, tax, total string
	)
	err := rows.Scan(&h.Number, &revision, &h.Original, &h.Code, &h.Account, &accounts, &h.Currency, &h.State, &released, &net, &tax, &total)
	if err != nil {
		return h, fmt.Errorf("reading a row of inv_hdr: %w", err)
	}
	if accounts > 1 {
		return h, fmt.Errorf("reading bill_cust: code %s means %d accounts on the date of invoice %s; one row's end_dt is missing",
			h.Code, accounts, h.Number)
	}
	h.Key = key(h.Number, revision)
	for _, a := range []struct {
		into *Cents
		text string
	}{{&h.Net, net}, {&h.Tax, tax}, {&h.Total, total}} {
		if *a.into, err = ParseCents(a.text); err != nil {
			return h, fmt.Errorf("invoice %s: %w", h.Number, err)
		}
	}
	if released != "" {
		if h.Released, err = time.ParseInLocation(time.DateTime, released, zone); err != nil {
			return h, fmt.Errorf("invoice %s: reading rel_ts: %w", h.Number, err)
		}
	}
	return h, nil
}

// ReadNames reads the names of the customers in the dispatch database, by account.
func ReadNames(ctx context.Context, dispatch *sql.DB) (map[string]string, error) {
	rows, err := dispatch.QueryContext(ctx, "SELECT cust_cd, name FROM customers")
	if err != nil {
		return nil, fmt.Errorf("reading customers: %w", err)
	}
	defer rows.Close()
	names := map[string]string{}
	for rows.Next() {
		var code, name string
		if err := rows.Scan(&code, &name); err != nil {
			return nil, fmt.Errorf("reading customers: %w", err)
		}
		names[code] = name
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading customers: %w", err)
	}
	return names, nil
}
