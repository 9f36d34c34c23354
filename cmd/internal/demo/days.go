package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Plan says what days to make. The same plan makes the same script.
type Plan struct {
	Seed     uint64
	Start    time.Time      // when the days begin: the cut-over, a whole second
	Zone     *time.Location // of the carrier's clocks
	Span     time.Duration  // how long the days take to play
	Invoices int            // documents to release, at least 40
}

// The business clock shows three working days while Span passes.
const workingDays = 3

// days is a script in the making.
type days struct {
	Plan
	rng         *rand.Rand
	carrier     carrier
	dates       [workingDays]time.Time
	script      Script
	lastLoad    int
	lastInvoice int
}

// NewScript makes the days of a plan.
func NewScript(p Plan) (Script, error) {
	if p.Invoices < 40 || p.Span <= 0 || p.Zone == nil || !p.Start.Equal(p.Start.Truncate(time.Second)) {
		return Script{}, fmt.Errorf("planning the days: want at least 40 invoices (got %d), a span, a zone and a start on a whole second (got %s)", p.Invoices, p.Start)
	}
	rng := rand.New(rand.NewPCG(p.Seed, 0x6e737461722d6462))
	d := &days{Plan: p, rng: rng, carrier: newCarrier(rng), lastLoad: 88_000, lastInvoice: 500_000}
	day := p.Start.In(p.Zone)
	for n := workingDays - 1; n >= 0; n-- {
		day = day.AddDate(0, 0, -1)
		for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			day = day.AddDate(0, 0, -1)
		}
		d.dates[n] = day
	}
	d.script.Accounts = map[string]string{}
	d.script.Before = d.carrier.masterData(d.local(-30*24*time.Hour), d.dates[1])
	d.work()
	d.script.sort()
	return d.script, nil
}

// work fills the days of all carriers.
func (d *days) work() {
	d.northstar()
	d.pineValley()
	d.gulfCoast()
	d.lost()
	slices.SortStableFunc(d.script.Mishaps, func(a, b Mishap) int { return slices.Index(settleOrder, a.Name) - slices.Index(settleOrder, b.Name) })
}

// settleOrder is the order in which people come to the mishaps.
var settleOrder = []string{"a customer that nobody knows", "a code that nobody has mapped", "a total that is a cent off", "one bad shipment on the invoice of a week",
	"the POD is missing", "a credit memo beyond its invoice", "an invoice before its delivery", "a wrong rate, billed again", "a delivery that is reported twice",
	"an answer of the ERP that got lost"}

// northstar plays the truckload carrier. Of its documents a third was drafted before the days; two are rebills, which are two documents each,
// and three have a mishap.
func (d *days) northstar() {
	const rebills, mishaps = 2, 3
	credits := max(2, d.Invoices/40)
	plain := d.Invoices - 2*rebills - credits - mishaps
	var sent []invoice
	for n := range plain {
		i := d.plainInvoice(n)
		if i.released < d.Span/2 {
			sent = append(sent, i)
		}
		if n%20 == 0 {
			d.master(n / 20)
		}
	}
	for n := range rebills {
		d.rebill(sent[n*7%len(sent)], n%2 == 0)
	}
	for n := range credits {
		d.creditMemo(sent[(n*11+3)%len(sent)])
	}
	for _, i := range sent {
		if i.released > d.Span/4 && d.script.Lost == "" {
			d.script.Lost = reference(i.number, i.revision)
		}
	}
	d.unreleased()
	d.mishaps()
}

// lost is what happens to the answer about the document Lost, and to the ERP after it: the disasters make it so.
func (d *days) lost() {
	number := strings.Split(d.script.Lost, ":")[1]
	d.mishap(Mishap{Name: "an answer of the ERP that got lost", Carrier: northstar.name, About: "invoice/NSTAR:" + number, Trace: "invoice/NSTAR:" + number, Posted: []string{d.script.Lost},
		Story:   fmt.Sprintf("Tryton took invoice %s, its answer got lost, and then Tryton was away for %.0f s", number, outage.Seconds()),
		Handled: "the outcome is unknown: Waybill looks the document up by its external id before it sends anything again"})
}

// plainInvoice bills one load. The first third of the loads was delivered and drafted before the days begin.
func (d *days) plainInvoice(n int) invoice {
	customer := pick(d.rng, d.carrier.customers)
	if n%9 == 0 {
		customer = d.carrier.customers[0] // the one whose account changes
	}
	if n%3 == 0 {
		l := d.pastLoad(customer)
		i := d.newInvoice(l, d.between(0.01, 0.30))
		d.draftBefore(i)
		d.release(i)
		return i
	}
	l := d.newLoad(customer)
	d.move(&l, d.between(0, 0.42))
	i := d.newInvoice(l, l.done+d.between(0.02, 0.10))
	d.draft(i, n%4 == 1, n%50 == 2)
	d.release(i)
	return i
}

// master plays what happens to customers meanwhile: a new address, a new name, an account that is new and billed at once.
func (d *days) master(n int) {
	c := pick(d.rng, d.carrier.customers[1:])
	t := d.between(0.1, 0.8)
	d.do(t, Dispatch, "customer "+c.account+" moves", Statement{"UPDATE customers SET addr1 = $2, upd_ts = $3 WHERE cust_cd = $1",
		[]any{c.account, fmt.Sprintf("%d %s, Suite %d", 100+d.rng.IntN(9000), pick(d.rng, streets), 1+d.rng.IntN(400)), d.local(t)}})
	if n%2 == 1 {
		t += d.between(0.01, 0.1)
		d.do(t, Dispatch, "customer "+c.account+" is renamed", Statement{"UPDATE customers SET name = $2, upd_ts = $3 WHERE cust_cd = $1",
			[]any{c.account, c.name + " & Cie", d.local(t)}})
		return
	}
	d.cancel(d.newLoad(c), d.between(0.1, 0.8))
}

// unreleased leaves documents in billing that nobody may post: drafts, one that is held, one that is void.
func (d *days) unreleased() {
	for n := range 6 {
		i := d.newInvoice(d.pastLoad(pick(d.rng, d.carrier.customers[1:])), d.Span*3/4)
		d.draft(i, false, false)
		if n < 2 {
			t := d.between(0.85, 0.95)
			stat := []string{"H", "V"}[n]
			d.do(t, Billing, "invoice "+i.number+" is set to "+stat,
				Statement{"UPDATE inv_hdr SET stat = ?, upd_ts = ? WHERE inv_no = ?", []any{stat, d.local(t), i.number}})
		}
	}
}

func (d *days) do(at time.Duration, in Database, what string, statements ...Statement) {
	d.doTold(at, in, what, "", statements...)
}

// doTold is a transaction that people are told of when it happens.
func (d *days) doTold(at time.Duration, in Database, what, tell string, statements ...Statement) {
	d.script.Days = append(d.script.Days, Transaction{At: at, Database: in, What: what, Tell: tell, Statements: statements})
}

// before is what was there when the days began.
func (d *days) before(in Database, what string, statements ...Statement) {
	d.script.Before = append(d.script.Before, Transaction{Database: in, What: what, Statements: statements})
}

// between draws a moment, or a length, between two parts of the span.
func (d *days) between(from, to float64) time.Duration {
	return time.Duration((from + d.rng.Float64()*(to-from)) * float64(d.Span)).Truncate(time.Millisecond)
}

// local is the carrier's wall clock at a moment of the days, as its databases write it.
func (d *days) local(at time.Duration) string {
	return d.Start.Add(at).In(d.Zone).Format(time.DateTime)
}

// business is the business clock, from 06:00 to 20:00 on each of the working days: loads take hours though the days take seconds.
func (d *days) business(at time.Duration) string {
	part := min(max(float64(at)/float64(d.Span), 0), 0.9999) * workingDays
	day := int(part)
	clock := 6*time.Hour + time.Duration((part-float64(day))*float64(14*time.Hour))
	return d.dates[day].Format(time.DateOnly) + " " + time.Time{}.Add(clock).Format(time.TimeOnly)
}
