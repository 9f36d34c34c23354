package demo

import (
	"fmt"
	"time"
)

// accessorial is an extra charge on a load.
type accessorial struct {
	code      string // DET LMP
	qty, rate int64  // thousandths, ten-thousandths
}

// load is one shipment's way through dispatch.
type load struct {
	number  int
	billTo  customer
	shipper customer
	to      customer
	pieces  int
	extras  []accessorial
	done    time.Duration // when the paperwork was in
}

var receivers = []string{"J. Ortíz", "M. Lindqvist", "dock 4", "R. Okafor", "S. Brøgger", "night shift"}

// newLoad draws a load for a customer.
func (d *days) newLoad(billTo customer) load {
	d.lastLoad++
	l := load{number: d.lastLoad, billTo: billTo, shipper: pick(d.rng, d.carrier.customers), to: pick(d.rng, d.carrier.customers), pieces: 4 + d.rng.IntN(40)}
	if d.rng.IntN(3) == 0 {
		l.extras = append(l.extras, accessorial{"DET", int64(1+d.rng.IntN(16)) * 250, 65_0000})
	}
	if d.rng.IntN(4) == 0 {
		l.extras = append(l.extras, accessorial{"LMP", 1000, int64(60+d.rng.IntN(200)) * 1_0000})
	}
	return l
}

// pastLoad is a load that was delivered, and its paperwork in, before the days begin.
func (d *days) pastLoad(billTo customer) load {
	l := d.newLoad(billTo)
	day := d.Start.AddDate(0, 0, -5).Format(time.DateOnly)
	at := day + " 16:40:00"
	d.script.Before = append(d.script.Before, Transaction{Database: Dispatch, What: fmt.Sprintf("load %d, delivered", l.number), Statements: []Statement{
		{`INSERT INTO loads (load_no, cust_cd, shipper_cd, cons_cd, bol_no, status_cd, driver_id, unit_no, pcs_ord, pcs_dlv, wt_lbs,
ord_ts, dep_ts, dlv_dt, dlv_tm, pod_ts, rcvd_by, upd_ts)
VALUES ($1, $2, $3, $4, $5, 'CLS', $6, $7, $8, $8, $9, $10, $11, $12, $13, $14, $15, $14)`,
			[]any{l.number, l.billTo.account, l.shipper.account, l.to.account, bol(l), d.driver(), d.unit(), l.pieces, d.weight(l),
				day + " 06:10:00", day + " 08:25:00", day, "15:20:00", at, pick(d.rng, receivers)}},
		{stopsSQL, []any{l.number, l.shipper.account, l.to.account}},
	}})
	for _, x := range l.extras {
		d.script.Before = append(d.script.Before, Transaction{Database: Dispatch, What: "accessorial", Statements: []Statement{
			{insertExtraSQL, []any{l.number, x.code, fixed(x.qty, 3), fixed(x.rate, 4), extend(x.qty, x.rate).String(), "Y", "kfield", at}}}})
	}
	return l
}

const (
	stopsSQL       = "INSERT INTO stops (load_no, stop_seq, stop_typ, loc_cd) VALUES ($1, 1, 'P', $2), ($1, 2, 'D', $3)"
	insertExtraSQL = `INSERT INTO accessorials (load_no, chg_cd, qty, rate, amt, appr_flg, appr_by, upd_ts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	statusSQL = "UPDATE loads SET status_cd = $2, upd_ts = $3 WHERE load_no = $1"
)

// move plays a load from its order to its paperwork, beginning at t. A load in ten changes its driver on the way.
func (d *days) move(l *load, t time.Duration) {
	step := func(what string, statements ...Statement) {
		d.do(t, Dispatch, fmt.Sprintf("load %d %s", l.number, what), statements...)
		t += d.between(0.012, 0.030)
	}
	d.script.Loads++
	step("ordered", Statement{`INSERT INTO loads (load_no, cust_cd, shipper_cd, cons_cd, bol_no, status_cd, pcs_ord, wt_lbs, ord_ts, upd_ts)
VALUES ($1, $2, $3, $4, $5, 'AVL', $6, $7, $8, $9)`,
		[]any{l.number, l.billTo.account, l.shipper.account, l.to.account, bol(*l), l.pieces, d.weight(*l), d.business(t), d.business(t)}},
		Statement{stopsSQL, []any{l.number, l.shipper.account, l.to.account}})
	assign := "UPDATE loads SET status_cd = 'ASG', driver_id = $2, unit_no = $3, upd_ts = $4 WHERE load_no = $1"
	step("assigned", Statement{assign, []any{l.number, d.driver(), d.unit(), d.business(t)}})
	if d.rng.IntN(5) == 0 {
		step("reassigned", Statement{assign, []any{l.number, d.driver(), d.unit(), d.business(t)}})
	}
	step("dispatched", Statement{statusSQL, []any{l.number, "DSP", d.business(t)}})
	arrive := "UPDATE stops SET arr_ts = $3 WHERE load_no = $1 AND stop_seq = $2"
	leave := "UPDATE stops SET dep_ts = $3 WHERE load_no = $1 AND stop_seq = $2"
	step("at the shipper", Statement{arrive, []any{l.number, 1, d.business(t)}}, Statement{statusSQL, []any{l.number, "APU", d.business(t)}})
	step("departed", Statement{leave, []any{l.number, 1, d.business(t)}},
		Statement{"UPDATE loads SET status_cd = 'LDD', dep_ts = $2, upd_ts = $3 WHERE load_no = $1", []any{l.number, d.business(t), d.business(t)}})
	step("at the consignee", Statement{arrive, []any{l.number, 2, d.business(t)}}, Statement{statusSQL, []any{l.number, "ADL", d.business(t)}})
	day, clock := d.business(t)[:10], d.business(t)[11:]
	step("delivered", Statement{leave, []any{l.number, 2, d.business(t)}},
		Statement{"UPDATE loads SET status_cd = 'MTY', dlv_dt = $2, dlv_tm = $3, pcs_dlv = $4, rcvd_by = $5, upd_ts = $6 WHERE load_no = $1",
			[]any{l.number, day, clock, l.pieces, pick(d.rng, receivers), d.business(t)}})
	for _, x := range l.extras {
		step("accessorial "+x.code, Statement{insertExtraSQL, []any{l.number, x.code, fixed(x.qty, 3), fixed(x.rate, 4), extend(x.qty, x.rate).String(), "N", nil, d.business(t)}})
		step("accessorial approved", Statement{"UPDATE accessorials SET appr_flg = 'Y', appr_by = 'kfield', upd_ts = $3 WHERE load_no = $1 AND chg_cd = $2", []any{l.number, x.code, d.business(t)}})
	}
	l.done = t
	step("paperwork in", Statement{"UPDATE loads SET status_cd = 'CLS', pod_ts = $2, upd_ts = $3 WHERE load_no = $1", []any{l.number, d.business(t), d.business(t)}})
}

// cancel plays a load that is called off after it was assigned.
func (d *days) cancel(l load, t time.Duration) {
	d.do(t, Dispatch, fmt.Sprintf("load %d ordered", l.number), Statement{
		"INSERT INTO loads (load_no, cust_cd, shipper_cd, cons_cd, bol_no, status_cd, pcs_ord, ord_ts, upd_ts) VALUES ($1, $2, $3, $4, $5, 'AVL', $6, $7, $8)",
		[]any{l.number, l.billTo.account, l.shipper.account, l.to.account, bol(l), l.pieces, d.business(t), d.business(t)}},
		Statement{stopsSQL, []any{l.number, l.shipper.account, l.to.account}})
	t += d.between(0.02, 0.05)
	d.do(t, Dispatch, fmt.Sprintf("load %d cancelled", l.number), Statement{statusSQL, []any{l.number, "CAN", d.business(t)}})
}

func bol(l load) string            { return fmt.Sprintf("BOL-%d", 700_000+l.number) }
func (d *days) driver() int        { return 2000 + d.rng.IntN(60) }
func (d *days) unit() string       { return fmt.Sprintf("T%03d", 100+d.rng.IntN(80)) }
func (d *days) weight(load) string { return fixed(int64(d.rng.IntN(4_000_000))+100_000, 2) }
