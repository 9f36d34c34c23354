package demo

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// historyBatch is how many documents one transaction of the history writes.
const historyBatch = 500

const historyLength = 6 * 365 * 24 * time.Hour

// SeedHistory fills billing with n documents from the six years that ended a month before the cut-over, with their lines. Most were
// released then; some are void, some were forgotten as drafts. None of them may ever be posted. db has the billing database as its
// default; the same seed and cut-over write the same rows.
func SeedHistory(ctx context.Context, db *sql.DB, n int, seed uint64, cutover time.Time) error {
	rng := rand.New(rand.NewPCG(seed, 0x686973746f7279))
	customers := newCarrier(rng).customers
	for first := 0; first < n; first += historyBatch {
		if err := historyPart(ctx, db, rng, customers, first, min(historyBatch, n-first), n, cutover); err != nil {
			return fmt.Errorf("writing old invoices from %d on: %w", first, err)
		}
	}
	return nil
}

func historyPart(ctx context.Context, db *sql.DB, rng *rand.Rand, customers []customer, first, count, all int, cutover time.Time) error {
	var headers, lines []string
	var headerArgs, lineArgs []any
	for n := first; n < first+count; n++ {
		age := 31*24*time.Hour + time.Duration(float64(historyLength)*(1-float64(n)/float64(all)))
		i, header := oldInvoice(rng, n, pick(rng, customers), cutover.Add(-age))
		headers, headerArgs = append(headers, "(?,0,?,?,?,?,?,?,?,?,?,?,?)"), append(headerArgs, header...)
		for _, s := range i.lineRows(1, i.lines) {
			lines, lineArgs = append(lines, "(?,?,?,?,?,?,?,?)"), append(lineArgs, s.Args...)
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, before it the error is already on its way
	_, err = tx.ExecContext(ctx, "INSERT INTO inv_hdr (inv_no, rev_no, load_no, cust_cd, stat, inv_dt, cur_cd, line_cnt, tax_amt, inv_amt, memo, rel_ts, upd_ts) VALUES "+
		strings.Join(headers, ","), headerArgs...)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO inv_line (inv_no, line_no, chg_cd, descr, qty, rate, ext_amt, tax_cd) VALUES "+strings.Join(lines, ","), lineArgs...)
	if err != nil {
		return err
	}
	return tx.Commit()
}

// oldInvoice draws a document of the past and the values of its header.
func oldInvoice(rng *rand.Rand, n int, c customer, at time.Time) (invoice, []any) {
	i := invoice{number: fmt.Sprintf("A%06d", 100_000+n), load: 10_000 + n,
		lines: []line{{"LH", "Line haul", 1000, int64(40_000+rng.IntN(310_000)) * 100, rng.IntN(2) == 0}}}
	if rng.IntN(2) == 0 {
		i.lines = append(i.lines, line{"FSC", "Fuel surcharge per mile", int64(120+rng.IntN(1800)) * 1000, 4200, false})
	}
	stat, released := "R", any(at.Format(time.DateTime))
	switch rng.IntN(50) {
	case 0:
		stat = "V"
	case 1:
		stat, released = "D", nil
	}
	return i, []any{i.number, i.load, c.code, stat, at.Format(time.DateOnly), null(c.currency), len(i.lines),
		i.tax().String(), i.total().String(), null(pick(rng, memos)), released, at.Format(time.DateTime)}
}
