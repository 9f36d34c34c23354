package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// yard is a carrier with one PostgreSQL database: what its folder under testdata/carriers says, and nothing else.
type yard struct {
	*site
	folder string
	source string
	erp    *sinktest.LedgerProcess
}

// newYard makes the carrier's database. The simulated ERP is beside's, or one of its own.
func newYard(t *testing.T, folder, schema, source string, beside *yard) *yard {
	t.Helper()
	p, n := postgres(t), siteNumber.Add(1)
	y := &yard{folder: folder, source: source, site: &site{t: t, dir: t.TempDir(), pgName: fmt.Sprintf("tms_%d", n),
		cutover: time.Now().Add(-time.Hour).Truncate(time.Second)}}
	p.Exec(t, "CREATE DATABASE "+y.pgName)
	var err error
	if y.dispatch, err = sql.Open("pgx", strings.Replace(p.DSN(), "dbname="+p.Database, "dbname="+y.pgName, 1)); err != nil {
		t.Fatal(err)
	}
	y.billing = y.dispatch
	t.Cleanup(y.close)
	y.do(y.text(schema))
	if beside != nil {
		y.erp, y.sink = beside.erp, beside.sink
	} else {
		y.erp = y.ledger()
	}
	return y
}

func (y *yard) text(name string) string {
	y.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../testdata/carriers", y.folder, name))
	if err != nil {
		y.t.Fatal(err)
	}
	return string(text)
}

func (y *yard) do(statement string, args ...any) { y.t.Helper(); y.sql(y.dispatch, statement, args...) }

// begin writes the mapping, with replacements, and waybill.yaml, and starts the daemon.
func (y *yard) begin(replace ...string) {
	y.t.Helper()
	mapping := cutoverLine.ReplaceAllString(y.text("mapping.yaml"), "cutover: "+y.cutover.Format(time.RFC3339))
	y.file("mapping.yaml", strings.NewReplacer(replace...).Replace(mapping))
	y.file("waybill.yaml", fmt.Sprintf("data: data\nmapping: mapping.yaml\nsources:\n  %s:\n    type: postgres\n    host: 127.0.0.1\n    port: %d\n"+
		"    database: %s\n    user: %s\n    password: %s\n    ssl_mode: disable\n    slot: %[3]s\n    publication: %[3]s\n    heartbeat: 1s\n"+
		"sinks:\n%[6]sdisk: { free_floor: 64MiB }\n", y.source, pg.Port, y.pgName, pg.User, pg.Password, y.sink))
	y.start()
}

// posted is what the ERP has posted for the carrier: the total of each document by its external id, in cents, and the currency.
func (y *yard) posted() map[string]string {
	y.t.Helper()
	report, err := sinktest.Ledger(y.erp.File, nil, nil)
	if err != nil {
		y.t.Fatal(err)
	}
	if len(report.Duplicates) > 0 {
		y.t.Errorf("done twice: %v", report.Duplicates)
	}
	all := map[string]string{}
	for _, e := range report.Effects {
		if e.Entity != "sales_invoice" || e.Step != "post" || !strings.HasPrefix(e.ExternalID, y.source+":") {
			continue
		}
		var body struct{ Total, Currency string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			y.t.Fatal(err)
		}
		all[e.ExternalID] = body.Total + " " + body.Currency
	}
	return all
}

// sums adds up amounts by currency, in cents.
func sums(t *testing.T, all map[string]string) map[string]int64 {
	t.Helper()
	total := map[string]int64{}
	for _, s := range all {
		amount, currency, _ := strings.Cut(s, " ")
		total[currency] += centsOf(t, amount)
	}
	return total
}

func centsOf(t *testing.T, amount string) int64 {
	t.Helper()
	digits, negative := strings.CutPrefix(amount, "-")
	var whole, part int64
	if n, err := fmt.Sscanf(digits, "%d.%02d", &whole, &part); n != 2 || err != nil || len(digits)-strings.IndexByte(digits, '.') != 3 {
		t.Fatalf("the amount %q", amount)
	}
	if negative {
		return -(whole*100 + part)
	}
	return whole*100 + part
}

// books are what a query says: currency and cents.
func (y *yard) books(query string) map[string]int64 {
	y.t.Helper()
	rows, err := y.dispatch.Query(query)
	if err != nil {
		y.t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var currency string
		var cents int64
		if err := rows.Scan(&currency, &cents); err != nil {
			y.t.Fatal(err)
		}
		all[currency] = cents
	}
	if err := rows.Err(); err != nil {
		y.t.Fatal(err)
	}
	return all
}

// week writes a consolidated invoice: for each shipment a freight line, with 13 % tax where the customer is in Canada.
func (y *yard) week(no, shipTo, currency, original string, sign int64, cents map[string]int64, charge map[string]string) {
	y.t.Helper()
	tx, err := y.dispatch.Begin()
	if err != nil {
		y.t.Fatal(err)
	}
	defer tx.Rollback()
	var net, tax int64
	run := func(statement string, args ...any) {
		if _, err := tx.Exec(statement, args...); err != nil {
			y.t.Fatalf("%v\n%s", err, statement)
		}
	}
	for i, pro := range slices.Sorted(maps.Keys(cents)) {
		hst, code := int64(0), "US"
		if currency == "CAD" {
			hst, code = (cents[pro]*13+50)/100, "H13"
		}
		chg := "FRT"
		if charge[pro] != "" {
			chg = charge[pro]
		}
		net, tax = net+cents[pro], tax+hst
		run(`INSERT INTO ar.cons_dtl VALUES ($1,$2,$3,$4,'freight',$5,$6,$7,$8,$9)`, no, i+1, pro, chg, sign, dollars(sign*cents[pro]), dollars(sign*hst), code, currency)
	}
	var orig any
	if original != "" {
		orig = original
	}
	run(`INSERT INTO ar.cons_inv (cons_no, shipto_cd, cur, wk_end, ln_cnt, net_amt, hst_amt, tot_amt, orig_cons) VALUES ($1,$2,$3,current_date,$4,$5,$6,$7,$8)`,
		no, shipTo, currency, len(cents), dollars(sign*net), dollars(sign*tax), dollars(sign*(net+tax)), orig)
	run(`INSERT INTO ar.bill_queue (cons_no, q_stat) VALUES ($1, 'W')`, no)
	if err := tx.Commit(); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) releaseWeek(no string) {
	y.t.Helper()
	y.do(`UPDATE ar.bill_queue SET q_stat='R', rel_utc=timezone('utc', now()) WHERE cons_no=$1`, no)
}

// shipment writes the history of a delivered shipment, with the receipt.
func (y *yard) shipment(pro string) {
	y.t.Helper()
	for _, st := range []string{"01", "05", "10", "X3", "AF", "X1", "D1"} {
		y.do(`INSERT INTO ops.shipment_status_hist (pro_no, st_cd, res_id, pcs, evt_utc) VALUES ($1, $2, 'T1', 4, timezone('utc', now()))`, pro, st)
	}
	y.do(`INSERT INTO ops.doc_image (pro_no, doc_typ, scan_utc) VALUES ($1, 'DR', timezone('utc', now()))`, pro)
}

// bill writes a bill in one line of JSON.
func (y *yard) bill(no, taxID, stat string, job, cents int64) {
	y.t.Helper()
	ms := time.Now().UnixMilli()
	lines := fmt.Sprintf(`[{"cd": "HAUL", "q": 24.350, "c": %d}, {"cd": "SFT", "st": "TX", "c": %d}]`, cents-cents/20, cents/20)
	y.do(`INSERT INTO bills (bill_no, bill_tax_id, job_no, stat, bill_ms, rel_ms, tot_c, chg, upd_ms) VALUES ($1,$2,$3,$4,$5,$5,$6,$7,$5)`,
		no, taxID, job, stat, ms, cents, lines)
}

func (y *yard) job(no int64, taxID string) {
	y.t.Helper()
	ms := time.Now().UnixMilli()
	y.do(`INSERT INTO jobs (job_no, bill_tax_id, state, tons_ord, upd_ms) VALUES ($1,$2,0,24.5,$3)`, no, taxID, ms)
	y.do(`UPDATE jobs SET state=1, hauler_id=7 WHERE job_no=$1`, no)
	y.do(`UPDATE jobs SET state=3, loaded_ts=$2 WHERE job_no=$1`, no, ms)
	y.do(`UPDATE jobs SET state=6, dlv_ts=$2, tons_dlv=24.35 WHERE job_no=$1`, no, ms)
	y.do(`UPDATE jobs SET pod_yn='Y', pod_ts=$2 WHERE job_no=$1`, no, ms)
}

// Two carriers with old databases of their own kind run beside each other by their mapping files alone, and the books are right to the cent.
func TestTwoCarriersByMappingAlone(t *testing.T) {
	ltl := newYard(t, "pinevalley", "carrier.sql", "pvly", nil)
	bulk := newYard(t, "gulfcoast", "broker.sql", "gcbk", ltl)
	for _, c := range [][3]string{{"ACME-CHI", "US", "USD"}, {"ACME-DET", "US", "USD"}, {"MAPLE-TO", "CA", "CAD"}} {
		ltl.do(`INSERT INTO ops.consignee (shipto_cd, nm, adr1, adr2, ctry) VALUES ($1, $1, '5 King St', 'Toronto, ON M5H 1A1', $2)`, c[0], c[1])
		ltl.do(`INSERT INTO ar.cust_acct VALUES ($1, $1, $2, '2019-01-01', NULL)`, c[0], c[2])
	}
	for i := range 6 {
		ltl.shipment(pro(i))
	}
	ltl.week("C1", "ACME-CHI", "USD", "", 1, map[string]int64{pro(0): 18010, pro(1): 7545}, nil)
	ltl.releaseWeek("C1") // before Waybill comes
	ltl.week("C2", "MAPLE-TO", "CAD", "", 1, map[string]int64{pro(2): 30099, pro(3): 1234}, nil)
	for i, id := range []string{"36-1234567", "36-7654321"} {
		bulk.do(`INSERT INTO parties VALUES ($1, $1, '1 Main St|Houston|TX|77002', 30, false, $2)`, id, time.Now().UnixMilli())
		bulk.job(int64(7001+i), id)
	}
	bulk.do(`INSERT INTO parties VALUES ('00-0000000', 'gone', NULL, 30, true, 0)`)
	bulk.bill("50017", "36-1234567", "R", 7001, 171100)

	ltl.begin("wait: 15m", "wait: 1s")
	bulk.begin()
	ltl.until(30*time.Second, "the first week is posted", func() bool { return ltl.posted()["pvly:C1"] != "" })
	bulk.until(30*time.Second, "the first bill is posted", func() bool { return bulk.posted()["gcbk:50017"] != "" })

	ltl.releaseWeek("C2")
	ltl.week("C3", "ACME-DET", "USD", "", 1, map[string]int64{pro(4): 10000, pro(5): 4000}, map[string]string{pro(5): "XYZ"})
	ltl.releaseWeek("C3") // one shipment has a charge that nobody knows
	ltl.week("C1C", "ACME-CHI", "USD", "C1", -1, map[string]int64{pro(0): 18010, pro(1): 7545}, nil)
	ltl.week("C1R", "ACME-CHI", "USD", "C1", 1, map[string]int64{pro(0): 17000, pro(1): 7545}, nil)
	ltl.releaseWeek("C1R")
	ltl.releaseWeek("C1C")
	bulk.bill("50017-B", "36-1234567", "R", 7001, 160000)
	bulk.bill("50017-A", "36-1234567", "R", 7001, -171100)
	bulk.bill("50018", "36-7654321", "R", 7002, 99999)
	bulk.bill("50019", "36-7654321", "O", 7002, 5000)
	bulk.do(`UPDATE bills SET is_void=true WHERE bill_no='50019'`)
	bulk.bill("50018-A", "36-7654321", "R", 7002, -100000) // beyond its original
	bulk.bill("50020", "36-7654321", "R", 7003, 7700)      // waits for its job, and is corrected before anybody sends it
	bulk.bill("50020-A", "36-7654321", "R", 7003, -7700)
	bulk.bill("50020-B", "36-7654321", "R", 7003, 7000)

	ltl.until(30*time.Second, "the good shipment of C3 is posted without the bad one", func() bool { return ltl.posted()["pvly:C3"] == "100.00 USD" })
	ltl.do(`UPDATE ar.cons_dtl SET chg_cd='DTN' WHERE cons_no='C3' AND pro_no=$1`, pro(5))
	bulk.until(30*time.Second, "the credit is refused", func() bool {
		return strings.Contains(bulk.must("exceptions", "list"), "CREDIT_EXCEEDS_ORIGINAL")
	})
	bulk.until(30*time.Second, "what is corrected and what corrects is posted", func() bool {
		p := bulk.posted()
		return p["gcbk:50018"] != "" && p["gcbk:50017-B"] != ""
	})
	bulk.do(`UPDATE bills SET tot_c=-99999, chg='[{"cd": "HAUL", "c": -99999}]' WHERE bill_no='50018-A'`)
	bulk.until(30*time.Second, "the replacement waits", func() bool {
		out, _, code := bulk.waybill("trace", "invoice/50020-B")
		return code == 0 && strings.Contains(out, "invoice.rebilled")
	})
	bulk.job(7003, "36-7654321")

	bulk.do(`UPDATE bills SET is_void=true WHERE bill_no='50017-B'`)
	bulk.until(30*time.Second, "a posted bill that is flagged void is told", func() bool {
		return strings.Contains(bulk.must("exceptions", "list"), "DELETED_AFTER_RELEASE")
	})
	bulk.do(`UPDATE bills SET is_void=false WHERE bill_no='50017-B'`) // and is not posted a second time

	ltl.settled(60 * time.Second)
	bulk.settled(60 * time.Second)
	if out := ltl.must("exceptions", "list") + bulk.must("exceptions", "list"); strings.Contains(out, "X-0") {
		t.Errorf("open exceptions:\n%s", out)
	}
	posted := ltl.posted()
	if posted["pvly:C3-"+pro(5)] != "40.00 USD" {
		t.Errorf("the shipment that was carved out: %v", posted)
	}
	if got, want := sums(t, posted), ltl.books(`SELECT h.cur, (100*sum(h.tot_amt))::bigint FROM ar.cons_inv h JOIN ar.bill_queue q USING (cons_no)
		WHERE q.q_stat='R' GROUP BY 1`); !maps.Equal(got, want) || len(want) != 2 {
		t.Errorf("the ERP has %v, billing %v\n%v", got, want, posted)
	}
	posted = bulk.posted()
	if got, want := sums(t, posted), bulk.books(`SELECT 'USD', sum(tot_c)::bigint FROM bills WHERE stat='R' AND NOT is_void`); !maps.Equal(got, want) || len(posted) != 6 {
		t.Errorf("the ERP has %v, billing %v\n%v", got, want, posted)
	}
	if out := bulk.must("exceptions", "list", "--state", "all"); !strings.Contains(out, "REBILL_UNPOSTED_ORIGINAL") {
		t.Errorf("what became of 50020 is not told:\n%s", out)
	}
	if posted["gcbk:50020-B"] != "70.00 USD" || posted["gcbk:50020"]+posted["gcbk:50020-A"] != "" {
		t.Errorf("an original that was never sent: %v", posted)
	}
}

func pro(i int) string { return fmt.Sprintf("00123456%02d", i) }
