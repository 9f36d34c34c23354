package demo

import (
	"fmt"
	"time"
)

// line is one line of a document in billing.
type line struct {
	code, text string
	qty, rate  int64 // thousandths, ten-thousandths
	taxed      bool
}

// invoice is a document of billing; a credit when its lines are negative.
type invoice struct {
	number, original string
	revision, load   int
	code, memo       string
	date             string // its document date
	currency         string // "" is NULL
	lines            []line
	released         time.Duration
	off              cents // a mishap: how far the header's total is from its lines
}

var memos = []string{"", "", "Réf. client 4711 – Montréal", "Livré à l'entrepôt nº 3", "Señor Ortíz, muelle 4", "Überfahrt bestätigt", "PO 88-1020", "call before delivery"}

// newInvoice bills a load, to be released at a moment. The document's date is the working day of that moment.
func (d *days) newInvoice(l load, released time.Duration) invoice {
	d.lastInvoice++
	i := invoice{number: fmt.Sprintf("B%d", d.lastInvoice), load: l.number, code: l.billTo.code, currency: l.billTo.currency,
		memo: pick(d.rng, memos), released: released, date: d.business(released)[:10]}
	taxed := !l.billTo.exempt
	haul := int64(40_000+d.rng.IntN(310_000)) * 100
	if d.rng.IntN(20) == 0 {
		haul = 1850_0000 // its tax is 152.625
	}
	i.lines = append(i.lines, line{"LH", "Line haul", 1000, haul, taxed})
	if d.rng.IntN(4) > 0 {
		i.lines = append(i.lines, line{"FSC", "Fuel surcharge per mile", int64(120+d.rng.IntN(1800)) * 1000, 4200, false})
	}
	for _, x := range l.extras {
		text := map[string]string{"DET": "Detention", "LMP": "Lumper"}[x.code]
		i.lines = append(i.lines, line{x.code, text, x.qty, x.rate, taxed && x.code == "DET"})
	}
	return i
}

func (i invoice) taxable() cents {
	var sum cents
	for _, l := range i.lines {
		if l.taxed {
			sum += extend(l.qty, l.rate)
		}
	}
	return sum
}

// tax and total are the true ones; the header may be off.
func (i invoice) tax() cents { return taxOf(i.taxable()) }

func (i invoice) total() cents {
	sum := i.tax()
	for _, l := range i.lines {
		sum += extend(l.qty, l.rate)
	}
	return sum
}

// header is the document as a draft.
func (i invoice) header(at any) Statement {
	return Statement{`INSERT INTO inv_hdr (inv_no, rev_no, load_no, cust_cd, stat, inv_dt, cur_cd, line_cnt, tax_amt, inv_amt, orig_inv_no, memo, upd_ts)
VALUES (?, ?, ?, ?, 'D', ?, ?, ?, ?, ?, ?, ?, ?)`,
		[]any{i.number, i.revision, i.load, i.code, i.date, null(i.currency), len(i.lines), i.tax().String(), (i.total() + i.off).String(),
			null(i.original), null(i.memo), at}}
}

// lineRows is the statements for some of the lines, numbered from first.
func (i invoice) lineRows(first int, lines []line) []Statement {
	var all []Statement
	for n, l := range lines {
		tax := "EX"
		if l.taxed {
			tax = "TX"
		}
		all = append(all, Statement{"INSERT INTO inv_line (inv_no, line_no, chg_cd, descr, qty, rate, ext_amt, tax_cd) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			[]any{i.number, first + n, l.code, l.text, fixed(l.qty, 3), fixed(l.rate, 4), extend(l.qty, l.rate).String(), tax}})
	}
	return all
}

// draftBefore leaves the document as a draft from before the days.
func (d *days) draftBefore(i invoice) {
	at := d.local(-48 * time.Hour)
	d.script.Before = append(d.script.Before, Transaction{Database: Billing, What: "draft " + i.number,
		Statements: append([]Statement{i.header(at)}, i.lineRows(1, i.lines)...)})
}

// draft writes the document shortly before its release: at once, or (apart) with lines that follow in a transaction of their own, the
// last of them, when late, only just after the release.
func (d *days) draft(i invoice, apart, late bool) {
	t := max(0, i.released-d.between(0.02, 0.05))
	if !apart && !late {
		d.do(t, Billing, "invoice "+i.number+" drafted", append([]Statement{i.header(d.local(t))}, i.lineRows(1, i.lines)...)...)
		return
	}
	d.do(t, Billing, "invoice "+i.number+" drafted", i.header(d.local(t)))
	now := i.lines
	if late {
		last := len(i.lines) - 1
		now = i.lines[:last]
		d.do(i.released+300*time.Millisecond, Billing, "invoice "+i.number+" gets its last line", i.lineRows(last+1, i.lines[last:])...)
	}
	if len(now) > 0 {
		d.do(t+d.Span/100, Billing, "lines of "+i.number, i.lineRows(1, now)...)
	}
}

// release is what makes a document due. Some are touched once more afterwards, without any effect on the money.
func (d *days) release(i invoice) { d.releaseTold(i, "") }

func (d *days) releaseTold(i invoice, tell string) {
	d.doTold(i.released, Billing, "invoice "+i.number+" released", tell, i.releaseRow(d.local(i.released)))
	d.script.Released = append(d.script.Released, reference(i.number, i.revision))
	if d.rng.IntN(12) == 0 {
		t := i.released + d.between(0.005, 0.05)
		d.do(t, Billing, "invoice "+i.number+" printed", Statement{"UPDATE inv_hdr SET upd_ts = ? WHERE inv_no = ?", []any{d.local(t), i.number}})
	}
}

func (i invoice) releaseRow(at string) Statement {
	return Statement{"UPDATE inv_hdr SET stat = 'R', rel_ts = ?, upd_ts = ? WHERE inv_no = ?", []any{at, at, i.number}}
}

// rebill credits a document wholly and replaces it by one with another rate. Both headers come in one transaction; the release is in the
// same one, or follows.
func (d *days) rebill(old invoice, atOnce bool) {
	t := d.between(0.60, 0.85)
	credit, again := old, old
	d.lastInvoice++
	credit.number, credit.original, credit.memo = fmt.Sprintf("C%d", d.lastInvoice), old.number, "Crédit intégral"
	credit.lines = nil
	for _, l := range old.lines {
		l.qty = -l.qty
		credit.lines = append(credit.lines, l)
	}
	d.lastInvoice++
	again.number, again.original, again.revision, again.memo = fmt.Sprintf("B%d", d.lastInvoice), old.number, 1, "corrected rate"
	again.lines = append([]line(nil), old.lines...)
	again.lines[0].rate += int64(10+d.rng.IntN(90)) * 1_0000
	statements := func(at string) (draft, release []Statement) {
		draft = []Statement{credit.header(at), again.header(at)}
		draft = append(append(draft, credit.lineRows(1, credit.lines)...), again.lineRows(1, again.lines)...)
		return draft, []Statement{credit.releaseRow(at), again.releaseRow(at)}
	}
	what := "invoice " + old.number + " rebilled: " + credit.number + " and " + again.number
	draft, release := statements(d.local(t))
	if atOnce {
		d.do(t, Billing, what, append(draft, release...)...)
	} else {
		d.do(t, Billing, what+", drafted", draft...)
		t += d.between(0.02, 0.06)
		_, release = statements(d.local(t))
		d.do(t, Billing, what, release...)
	}
	d.script.Released = append(d.script.Released, reference(credit.number, credit.revision), reference(again.number, again.revision))
}

// creditMemo gives back a part of a document, a tenth of its line haul.
func (d *days) creditMemo(old invoice) {
	d.lastInvoice++
	i := old
	i.number, i.original, i.memo = fmt.Sprintf("C%d", d.lastInvoice), old.number, "Ajustement de tarif"
	haul := old.lines[0]
	haul.qty, haul.rate, haul.text = -1000, haul.rate/10/100*100, "Rate adjustment"
	i.lines = []line{haul}
	i.released = d.between(0.60, 0.92)
	d.draft(i, false, false)
	d.release(i)
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
