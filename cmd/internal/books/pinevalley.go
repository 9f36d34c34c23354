package books

import (
	"context"
	"database/sql"
	"fmt"
)

// pineValleyQuery reads the invoices of each week by shipment: an LTL carrier bills many on one document.
const pineValleyQuery = `
SELECT h.cons_no, COALESCE(h.orig_cons, ''), h.shipto_cd, h.cur, COALESCE(q.q_stat, 'W'), q.rel_utc, h.tot_amt::text, h.hst_amt::text, l.pro_no, SUM(l.amt)::text, SUM(l.hst_amt)::text
  FROM ar.cons_inv h
  JOIN ar.cons_dtl l USING (cons_no)
  LEFT JOIN LATERAL (SELECT q_stat, rel_utc FROM ar.bill_queue WHERE cons_no = h.cons_no ORDER BY q_id DESC LIMIT 1) q ON true
 GROUP BY h.cons_no, q.q_stat, q.rel_utc, l.pro_no
 ORDER BY h.cons_no, l.pro_no`

// ReadPineValley reads all documents. accounts says which account a ship-to means. A shipment of which held reports that the ERP has a document of its own was
// taken out of its week: then the week is the rest. What there is no account for has none.
func ReadPineValley(ctx context.Context, db *sql.DB, accounts map[string]string, held func(reference string) bool) ([]Header, error) {
	rows, err := db.QueryContext(ctx, pineValleyQuery)
	if err != nil {
		return nil, fmt.Errorf("reading ar.cons_inv: %w", err)
	}
	defer rows.Close()
	var all []Header
	var parts []Header // of the document that is being read
	week := -1         // its place in all
	for rows.Next() {
		var h, part Header
		var released sql.NullTime
		var pro string
		var texts [4]string
		if err := rows.Scan(&h.Number, &h.Original, &h.Code, &h.Currency, &h.State, &released, &texts[0], &texts[1], &pro, &texts[2], &texts[3]); err != nil {
			return nil, fmt.Errorf("reading a row of ar.cons_inv: %w", err)
		}
		h.Released, h.Account, h.Key = released.Time, accounts[h.Code], "pvly:"+h.Number
		for i, into := range []*Cents{&h.Total, &h.Tax, &part.Net, &part.Tax} {
			if *into, err = ParseCents(texts[i]); err != nil {
				return nil, fmt.Errorf("invoice %s: %w", h.Number, err)
			}
		}
		if week < 0 || all[week].Number != h.Number {
			all, parts, week = append(all, parts...), nil, len(all)+len(parts)
			all = append(all, h)
		}
		all[week].Net += part.Net
		if reference := h.Key + "-" + pro; held(reference) {
			own := h
			own.Key, own.Number, own.Net, own.Tax, own.Total = reference, h.Number+"-"+pro, part.Net, part.Tax, part.Net+part.Tax
			parts = append(parts, own)
			all[week].Net, all[week].Tax, all[week].Total = all[week].Net-own.Net, all[week].Tax-own.Tax, all[week].Total-own.Total
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading ar.cons_inv: %w", err)
	}
	return append(all, parts...), nil
}
