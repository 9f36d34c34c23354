package demo

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The ship-tos of Pine Valley that have a story.
const (
	newDock   = "ACME-MKE" // dispatch has entered it, and nobody has said whose account it is
	newDockOf = "ACME-CHI"
)

// shipTo is a customer of Pine Valley: a dock.
type shipTo struct {
	code, name, street, place, country, currency, taxID string
}

var shipTos = []shipTo{
	{newDockOf, "Acme Foods", "410 Canal St", "Chicago, IL 60607", "US", "USD", "36-4471201"},
	{"ACME-DET", "Acme Foods Detroit", "9 Rouge Ave", "Detroit, MI 48201", "US", "USD", "36-4471202"},
	{"BLUE-MSP", "Blue Ridge Paper", "77 Mill Rd", "Minneapolis, MN 55401", "US", "USD", "41-2210091"},
	{"MAPLE-TO", "Maple Tools", "5 King St", "Toronto, ON M5H 1A1", "CA", "CAD", "123456789RT"},
	{"NORD-MTL", "Nordique Optique Ltée", "88 rue Peel", "Montreal, QC H3C 2G9", "CA", "CAD", "987654321RT"},
	{"LAKE-CLE", "Lakeshore Plastics", "1200 Shore Dr", "Cleveland, OH 44113", "US", "USD", "34-7719003"},
}

// ltl makes the days of Pine Valley: shipments whose statuses are a history, and one invoice a week for all of a ship-to's.
type ltl struct {
	*days
	rng              *rand.Rand
	lastPro, lastInv int
	friday           time.Time // end of the last week that is over
}

// freight is one shipment's line on an invoice.
type freight struct {
	pro, code, text string
	cents           int64
}

func (d *days) pineValley() {
	p := &ltl{days: d, rng: rand.New(rand.NewPCG(d.Seed, 0x70766c79)), lastPro: 12_345_600, lastInv: 2_000, friday: d.Start.In(time.UTC)}
	for p.friday = p.friday.AddDate(0, 0, -1); p.friday.Weekday() != time.Friday; {
		p.friday = p.friday.AddDate(0, 0, -1)
	}
	for _, c := range shipTos {
		d.before(PineValley, "ship-to "+c.code, c.insert(p.utc(-30*24*time.Hour)))
		d.script.Known = append(d.script.Known, Entry{c.code, "C-" + c.code, c.code, c.currency, c.name})
		d.script.Accounts[c.code] = c.code
	}
	for _, c := range shipTos {
		past := p.bill(c, "", 1, p.lines(c, p.pastShipment(c), p.pastShipment(c), p.pastShipment(c)))
		p.draft(0, past)
		p.release(d.between(0.02, 0.25), past, "")
		at := d.between(0.05, 0.40)
		now := p.bill(c, "", 0, p.lines(c, p.ship(c, &at), p.ship(c, &at)))
		p.draft(at, now)
		p.release(at+d.between(0.02, 0.10), now, "")
	}
	p.unknownDock()
	p.deliveredTwice()
	p.badMember()
}

func (c shipTo) insert(at string) Statement {
	return Statement{"INSERT INTO ops.consignee (shipto_cd, nm, adr1, adr2, ctry, gst_no, trm, chg_utc) VALUES ($1, $2, $3, $4, $5, $6, '30D', $7)",
		[]any{c.code, c.name, c.street, c.place, c.country, c.taxID, at}}
}

// utc is a moment as this carrier writes it: UTC without zone.
func (p *ltl) utc(at time.Duration) string { return p.Start.Add(at).UTC().Format(time.DateTime) }

// happened is the business clock of a moment of the days, in UTC.
func (p *ltl) happened(at time.Duration) time.Time {
	t, err := time.ParseInLocation(time.DateTime, p.business(at), p.Zone)
	if err != nil {
		panic(err) // we have just written it
	}
	return t.UTC()
}

func (p *ltl) newPro() string {
	p.lastPro++
	return fmt.Sprintf("%010d", p.lastPro)
}

const statusSQLOf = "INSERT INTO ops.shipment_status_hist (pro_no, st_cd, res_id, loc_cd, pcs, rcv_nm, evt_utc) VALUES ($1, $2, $3, $4, $5, $6, $7)"

// status is a line of a shipment's history.
func status(pro, code, at string, pieces int) Statement {
	var tractor, place, receiver any
	switch code {
	case "05":
		tractor = "T" + pro[8:]
	case "X3", "X1":
		place = "CHI"
	case "D1", "CB":
		receiver = "R. Okafor"
	}
	return Statement{statusSQLOf, []any{pro, code, tractor, place, pieces, receiver, at}}
}

func shipmentRow(pro string, c shipTo, pieces int) Statement {
	return Statement{"INSERT INTO ops.shpmt (pro_no, bol_no, shipto_cd, pcs, wt_lb) VALUES ($1, $2, $3, $4, $5)",
		[]any{pro, "BOL" + pro[4:], c.code, pieces, fmt.Sprintf("%d.0", pieces*110)}}
}

func receiptRow(pro, at string) Statement {
	return Statement{"INSERT INTO ops.doc_image (pro_no, doc_typ, sig_nm, scan_utc) VALUES ($1, 'DR', 'R. Okafor', $2)", []any{pro, at}}
}

var way = []string{"01", "05", "10", "X3", "AF", "X1", "D1"}

// pastShipment was delivered, and its receipt scanned, before the days begin.
func (p *ltl) pastShipment(c shipTo) string {
	pro, pieces := p.newPro(), 2+p.rng.IntN(20)
	all := []Statement{shipmentRow(pro, c, pieces)}
	at := p.friday.AddDate(0, 0, -3)
	for n, code := range way {
		all = append(all, status(pro, code, at.Add(time.Duration(n)*3*time.Hour).Format(time.DateTime), pieces))
	}
	all = append(all, receiptRow(pro, at.Add(20*time.Hour).Format(time.DateTime)))
	p.before(PineValley, "shipment "+pro, all...)
	return pro
}

// ship plays a shipment from its order to its receipt, beginning at t, which it moves to the end.
func (p *ltl) ship(c shipTo, t *time.Duration) string {
	pro, pieces := p.newPro(), 2+p.rng.IntN(20)
	at := func() string { return p.happened(*t).Format(time.DateTime) }
	p.script.Loads++
	p.do(*t, PineValley, "shipment "+pro+" ordered", shipmentRow(pro, c, pieces), status(pro, "01", at(), pieces))
	for _, code := range way[1:] {
		*t += p.between(0.008, 0.020)
		p.do(*t, PineValley, "shipment "+pro+" "+code, status(pro, code, at(), pieces))
	}
	*t += p.between(0.008, 0.020)
	p.do(*t, PineValley, "receipt of "+pro, receiptRow(pro, at()))
	return pro
}

// lines charges shipments: freight, mostly fuel, sometimes an accessorial.
func (p *ltl) lines(_ shipTo, pros ...string) []freight {
	var all []freight
	for _, pro := range pros {
		haul := int64(9_000 + p.rng.IntN(60_000))
		all = append(all, freight{pro, "FRT", "LTL freight", haul})
		if p.rng.IntN(4) > 0 {
			all = append(all, freight{pro, "FS", "Fuel surcharge", haul * 18 / 100})
		}
		if p.rng.IntN(4) == 0 {
			all = append(all, freight{pro, "LGATE", "Liftgate", 6_500})
		}
	}
	return all
}

// week is a consolidated invoice; a credit when sign is -1.
type week struct {
	number, original string
	to               shipTo
	end              time.Time
	lines            []freight
}

// bill begins the invoice of a ship-to for the week that ended some weeks before the last one.
func (p *ltl) bill(c shipTo, original string, weeksAgo int, lines []freight) week {
	p.lastInv++
	return week{fmt.Sprintf("C%d", p.lastInv), original, c, p.friday.AddDate(0, 0, -7*weeksAgo), lines}
}

// taxes are the cents of each line's tax, and its code: 13 % in Canada, rounded half away from zero.
func (w week) taxes() (cents []int64, code string) {
	code = "US"
	for _, l := range w.lines {
		tax := int64(0)
		if w.to.currency == "CAD" {
			tax, code = halfUp(l.cents*13, 100), "H13"
		}
		cents = append(cents, tax)
	}
	return cents, code
}

func (w week) rows(at string) []Statement {
	var net, hst int64
	taxes, code := w.taxes()
	var all []Statement
	for n, l := range w.lines {
		net, hst = net+l.cents, hst+taxes[n]
		all = append(all, Statement{"INSERT INTO ar.cons_dtl (cons_no, seq, pro_no, chg_cd, descr, units, amt, hst_amt, tax_cd, cur) VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9)",
			[]any{w.number, n + 1, l.pro, l.code, l.text, cents(l.cents).String(), cents(taxes[n]).String(), code, w.to.currency}})
	}
	all = append(all, Statement{`INSERT INTO ar.cons_inv (cons_no, shipto_cd, cur, wk_end, ln_cnt, net_amt, hst_amt, tot_amt, orig_cons, chg_utc)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, []any{w.number, w.to.code, w.to.currency, w.end.Format(time.DateOnly), len(w.lines),
		cents(net).String(), cents(hst).String(), cents(net + hst).String(), null(w.original), at}})
	return append(all, Statement{"INSERT INTO ar.bill_queue (cons_no, q_stat) VALUES ($1, 'W')", []any{w.number}})
}

func (p *ltl) draft(at time.Duration, w week) {
	if at == 0 {
		p.before(PineValley, "invoice "+w.number, w.rows(p.utc(-24*time.Hour))...)
		return
	}
	p.do(at, PineValley, "invoice "+w.number+" drafted", w.rows(p.utc(at))...)
}

func (p *ltl) release(at time.Duration, w week, tell string) {
	p.doTold(at, PineValley, "invoice "+w.number+" released", tell,
		Statement{"UPDATE ar.bill_queue SET q_stat = 'R', rel_utc = $2 WHERE cons_no = $1", []any{w.number, p.utc(at)}})
	p.script.Released = append(p.script.Released, "pvly:"+w.number)
}
