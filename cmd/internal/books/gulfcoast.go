package books

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// gulfCoastQuery reads the bills with the sum of the lines that they carry. The number's suffix says which bill one corrects.
const gulfCoastQuery = `
SELECT bill_no, COALESCE(substring(bill_no from '^([0-9]+)-[A-Z]$'), ''), bill_tax_id, CASE WHEN is_void THEN 'V' ELSE stat END, rel_ms, tot_c,
       (SELECT SUM((l->>'c')::bigint) FROM jsonb_array_elements(chg) l)
  FROM bills
 ORDER BY bill_no`

// ReadGulfCoast reads all documents. accounts says which account a tax id means.
func ReadGulfCoast(ctx context.Context, db *sql.DB, accounts map[string]string) ([]Header, error) {
	rows, err := db.QueryContext(ctx, gulfCoastQuery)
	if err != nil {
		return nil, fmt.Errorf("reading bills: %w", err)
	}
	defer rows.Close()
	var all []Header
	for rows.Next() {
		h := Header{Currency: "USD"}
		var released sql.NullInt64
		if err := rows.Scan(&h.Number, &h.Original, &h.Code, &h.State, &released, &h.Total, &h.Net); err != nil {
			return nil, fmt.Errorf("reading a row of bills: %w", err)
		}
		h.Key, h.Account = "gcbk:"+h.Number, accounts[h.Code]
		if released.Valid {
			h.Released = time.UnixMilli(released.Int64)
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading bills: %w", err)
	}
	return all, nil
}
