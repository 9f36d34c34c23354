package demo

import (
	"fmt"
	"time"
)

// newChargeCode is a charge that the second version of Northstar's mapping knows, and the first does not.
const newChargeCode = "TRP"

// mishaps plays what goes wrong at Northstar, and says how people mend it.
func (d *days) mishaps() {
	d.newCharge()
	d.wrongTotal()
	d.podMissing()
}

// troubled is a draft on a past load that can still be spoilt before it is written.
func (d *days) troubled(c customer, from, to float64) invoice {
	i := d.newInvoice(d.pastLoad(c), d.between(from, to))
	i.date = d.dates[workingDays-1].Format(time.DateOnly)
	return i
}

func (d *days) publish(i invoice, tell string) {
	d.draft(i, false, false)
	d.releaseTold(i, tell)
}

func (d *days) mishap(m Mishap) { d.script.Mishaps = append(d.script.Mishaps, m) }

// newCharge bills a charge that no code table has.
func (d *days) newCharge() {
	i := d.troubled(d.carrier.customers[9], 0.15, 0.45)
	i.lines = append(i.lines, line{newChargeCode, "Tarping", 1000, 85_0000, false})
	m := Mishap{Name: "a code that nobody has mapped", Carrier: northstar.name, Code: "UNMAPPED_CODE", About: "invoice/NSTAR:" + i.number,
		Story:  fmt.Sprintf("billing charged %s, which it never had before, on invoice %s", newChargeCode, i.number),
		Remedy: []Remedy{{Upgrade: true}}, Posted: []string{reference(i.number, 0)}}
	d.publish(i, m.Story)
	d.mishap(m)
}

// wrongTotal releases a document whose header says a cent more than its lines.
func (d *days) wrongTotal() {
	i := d.troubled(d.carrier.customers[5], 0.15, 0.45)
	i.off = 1
	m := Mishap{Name: "a total that is a cent off", Carrier: northstar.name, Code: "TOTAL_MISMATCH", About: "invoice/NSTAR:" + i.number,
		Story: fmt.Sprintf("the header of invoice %s says %s; its lines and tax make %s", i.number, i.total()+i.off, i.total()),
		Remedy: []Remedy{{Transactions: []Transaction{{Database: Billing, What: "total of " + i.number + " corrected", Statements: []Statement{
			{"UPDATE inv_hdr SET inv_amt = ? WHERE inv_no = ?", []any{i.total().String(), i.number}}}}}}},
		Posted: []string{reference(i.number, 0)}}
	d.publish(i, m.Story)
	d.mishap(m)
}

// podMissing delivers a load whose paperwork does not come, and so no invoice either.
func (d *days) podMissing() {
	l := d.newLoad(d.carrier.customers[3])
	ref := fmt.Sprintf("shipment/NSTAR:%d", l.number)
	m := Mishap{Name: "the POD is missing", Carrier: northstar.name, Code: "POD_MISSING", About: ref,
		Story: fmt.Sprintf("load %d was delivered nine days ago; its paperwork never came, so it is not billed", l.number)}
	day := d.Start.In(d.Zone).AddDate(0, 0, -9).Format(time.DateOnly)
	t := d.between(0.20, 0.30)
	step := func(what, tell, clock, text string, more ...any) {
		d.doTold(t, Dispatch, fmt.Sprintf("load %d %s", l.number, what), tell, Statement{text, append([]any{l.number, day + " " + clock}, more...)})
		t += d.Span / 100
	}
	d.do(t, Dispatch, fmt.Sprintf("load %d ordered", l.number), Statement{
		"INSERT INTO loads (load_no, cust_cd, shipper_cd, cons_cd, bol_no, status_cd, pcs_ord, wt_lbs, ord_ts, upd_ts) VALUES ($1, $2, $3, $4, $5, 'AVL', $6, $7, $8, $8)",
		[]any{l.number, l.billTo.account, l.shipper.account, l.to.account, bol(l), l.pieces, d.weight(l), day + " 05:30:00"}})
	t += d.Span / 100
	step("assigned", "", "06:00:00", "UPDATE loads SET status_cd = 'ASG', driver_id = $3, unit_no = $4, upd_ts = $2 WHERE load_no = $1", d.driver(), d.unit())
	step("departed", "", "08:10:00", "UPDATE loads SET status_cd = 'LDD', dep_ts = $2, upd_ts = $2 WHERE load_no = $1")
	step("delivered", m.Story, "14:20:00", "UPDATE loads SET status_cd = 'MTY', dlv_dt = $3, dlv_tm = '14:20:00', pcs_dlv = $4, upd_ts = $2 WHERE load_no = $1", day, l.pieces)
	i := d.newInvoice(l, d.Span)
	i.date = d.dates[workingDays-1].Format(time.DateOnly)
	released := Statement{"UPDATE inv_hdr SET stat = 'R', rel_ts = ?, upd_ts = ? WHERE inv_no = ?", []any{localClock, localClock, i.number}}
	m.Remedy = []Remedy{{Transactions: []Transaction{
		{Database: Dispatch, What: "paper scanned", Statements: []Statement{{"UPDATE loads SET status_cd = 'CLS', pod_ts = $2 WHERE load_no = $1", []any{l.number, localClock}}}}}},
		{Transactions: []Transaction{{Database: Billing, What: "invoice " + i.number + " drafted", Statements: append([]Statement{i.header(localClock)}, i.lineRows(1, i.lines)...)},
			{Database: Billing, What: "released", Statements: []Statement{released}}}}}
	m.Posted = []string{reference(i.number, 0)}
	d.script.Released = append(d.script.Released, m.Posted...)
	d.script.Tell = append(d.script.Tell, ref)
	d.mishap(m)
}

// unknownDock bills a ship-to that nobody has given an account, for three weeks at once.
func (p *ltl) unknownDock() {
	c := shipTo{newDock, "Acme Foods", "2 Harbor Dr", "Milwaukee, WI 53202", "US", "USD", "36-4471201"}
	p.do(p.between(0.02, 0.05), PineValley, "ship-to "+c.code+" entered", c.insert(p.utc(0)))
	m := Mishap{Name: "a customer that nobody knows", Carrier: pineValley.name, Code: "UNKNOWN_CUSTOMER",
		Story: fmt.Sprintf("billing released three weeks' invoices to %s, a dock that stands for no account", c.code),
		Remedy: []Remedy{
			{Command: []string{"xref", "propose", "customer", "pvly", c.code, "--role", "bill_to", "--as", "C-" + newDockOf, "--set", "erp_account=" + newDockOf,
				"--set", "currency=USD", "--why", "a new dock of Acme", "--yes"}},
			{Command: []string{"xref", "approve", "{row}", "--why", "Acme's accounts payable said so", "--yes"}}}}
	at, tell := p.between(0.25, 0.40), m.Story
	for n := range 3 {
		w := p.bill(c, "", 2-n, p.lines(c, p.pastShipment(c), p.pastShipment(c)))
		p.draft(0, w)
		p.release(at, w, tell)
		at, tell = at+p.Span/100, ""
		m.About = "invoice/PVLY:" + w.number
		m.Posted = append(m.Posted, "pvly:"+w.number)
	}
	p.script.Accounts[c.code] = newDockOf
	p.mishap(m)
}

// deliveredTwice reports one delivery a second time, twelve minutes later.
func (p *ltl) deliveredTwice() {
	c, t := shipTos[2], p.between(0.05, 0.15)
	pro := p.ship(c, &t)
	ref := "shipment/PVLY:" + pro
	m := Mishap{Name: "a delivery that is reported twice", Carrier: pineValley.name, About: ref, Notes: ref,
		Story:   fmt.Sprintf("shipment %s was reported as delivered again, twelve minutes later", pro),
		Handled: "one fact, the earliest; both reports are kept; one delivery, one billing.ready, one invoice"}
	p.doTold(t, PineValley, "shipment "+pro+" delivered again", m.Story, status(pro, "D1", p.happened(t).Add(12*time.Minute).Format(time.DateTime), 5))
	t += p.between(0.02, 0.05)
	w := p.bill(c, "", 0, p.lines(c, pro))
	p.draft(t, w)
	p.release(t+p.between(0.02, 0.05), w, "")
	m.Posted = []string{"pvly:" + w.number}
	p.script.Tell = append(p.script.Tell, ref)
	p.mishap(m)
}

// badMember bills three shipments of which one has a charge that is a slip of the keys.
func (p *ltl) badMember() {
	c := shipTos[5]
	w := p.bill(c, "", 1, p.lines(c, p.pastShipment(c), p.pastShipment(c)))
	bad := p.pastShipment(c)
	w.lines = append(w.lines, freight{bad, "FRT", "LTL freight", 31_240}, freight{bad, "LGT", "Liftgate", 6_500})
	m := Mishap{Name: "one bad shipment on the invoice of a week", Carrier: pineValley.name, Code: "UNMAPPED_CODE", About: "invoice/PVLY:" + w.number + "/" + bad,
		Story: fmt.Sprintf("of three shipments on invoice %s one has the charge LGT; LGATE was meant", w.number),
		Remedy: []Remedy{{Transactions: []Transaction{{Database: PineValley, What: "charge corrected", Statements: []Statement{
			{"UPDATE ar.cons_dtl SET chg_cd = 'LGATE' WHERE cons_no = $1 AND chg_cd = 'LGT'", []any{w.number}}}}}}},
		Posted: []string{"pvly:" + w.number, "pvly:" + w.number + "-" + bad}}
	p.draft(0, w)
	p.release(p.between(0.20, 0.35), w, m.Story)
	p.script.Released = append(p.script.Released, "pvly:"+w.number+"-"+bad)
	p.mishap(m)
}

// early releases a bill while its truck is on the road.
func (b *bulk) early() {
	t := b.between(0.10, 0.20)
	j := b.order(partners[1], t)
	t += b.Span / 100
	b.load(j, &t)
	d := b.bill(j)
	m := Mishap{Name: "an invoice before its delivery", Carrier: gulfCoast.name, About: "invoice/GCBK:" + d.number,
		Story:   fmt.Sprintf("bill %s was released while the truck of job %d was on the road", d.number, j.number),
		Handled: "the invoice waits at its gate; nobody is bothered before 72 hours", Posted: []string{"gcbk:" + d.number}}
	b.release(t, d, m.Story)
	m.Remedy = []Remedy{{Transactions: []Transaction{
		{Database: GulfCoast, What: "delivered", Statements: []Statement{{"UPDATE jobs SET state = 6, dlv_ts = $2, tons_dlv = tons_ord, upd_ms = $2 WHERE job_no = $1", []any{j.number, milliClock}}}},
		{Database: GulfCoast, What: "paper is in", Statements: []Statement{{"UPDATE jobs SET pod_yn = 'Y', pod_ts = $2, upd_ms = $2 WHERE job_no = $1", []any{j.number, milliClock}}}}}}}
	b.script.Gated++
	b.mishap(m)
}

// rebill corrects a bill: the replacement is there before the credit that must go first.
func (b *bulk) rebill() {
	t := b.between(0.05, 0.10)
	j := b.haul(partners[0], &t)
	d := b.bill(j)
	b.release(t, d, "")
	credit, again := d.corrected("-A", -100), d.corrected("-B", 93)
	ref := fmt.Sprintf("shipment/GCBK:%d", j.number)
	m := Mishap{Name: "a wrong rate, billed again", Carrier: gulfCoast.name, About: ref,
		Story:   fmt.Sprintf("bill %s had a wrong rate: its replacement %s came before its credit %s", d.number, again.number, credit.number),
		Handled: "one correction: credit first, then the replacement; never two open invoices", Posted: []string{"gcbk:" + d.number, "gcbk:" + credit.number, "gcbk:" + again.number}}
	for _, c := range []bill{again, credit} {
		m.Now = append(m.Now, Transaction{Database: GulfCoast, What: "bill " + c.number + " released", Statements: []Statement{c.released(milliClock)}})
		b.script.Released = append(b.script.Released, "gcbk:"+c.number)
	}
	b.script.Tell = append(b.script.Tell, ref)
	b.mishap(m)
}

// overCredit credits more than the bill was about.
func (b *bulk) overCredit() {
	d := b.bill(b.pastJob(partners[3]))
	t := b.between(0.05, 0.15)
	b.release(t, d, "")
	credit, meant := d.corrected("-A", -120), d.corrected("-A", -20)
	m := Mishap{Name: "a credit memo beyond its invoice", Carrier: gulfCoast.name, Code: "CREDIT_EXCEEDS_ORIGINAL", About: "invoice/GCBK:" + credit.number,
		Story: fmt.Sprintf("credit %s gives back %s of bill %s, which was over %s", credit.number, cents(-credit.total()), d.number, cents(d.total())),
		Remedy: []Remedy{{Transactions: []Transaction{{Database: GulfCoast, What: "credit corrected", Statements: []Statement{
			{"UPDATE bills SET tot_c = $2, chg = $3 WHERE bill_no = $1", []any{credit.number, meant.total(), meant.json()}}}}}}},
		Posted: []string{"gcbk:" + credit.number}}
	b.release(t+b.between(0.15, 0.30), credit, m.Story)
	b.mishap(m)
}
