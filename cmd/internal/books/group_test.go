package books

import (
	"context"
	"database/sql"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc/cdctest"
)

// TestReadTheOthers reads what a weekly invoice of three shipments, its credit and a bill with its correction say, in a real PostgreSQL.
func TestReadTheOthers(t *testing.T) {
	server := cdctest.StartPostgres(t)
	for _, file := range []string{"pinevalley/carrier.sql", "gulfcoast/broker.sql"} {
		text, err := os.ReadFile("../../../testdata/carriers/" + file)
		if err != nil {
			t.Fatal(err)
		}
		server.Exec(t, string(text))
	}
	server.Exec(t, `INSERT INTO ar.cons_inv (cons_no, shipto_cd, cur, wk_end, ln_cnt, net_amt, hst_amt, tot_amt, orig_cons) VALUES
 ('C1', 'MAPLE-TO', 'CAD', '2026-11-20', 3, 300.00, 39.00, 339.00, NULL), ('C2', 'NEW', 'USD', '2026-11-20', 1, -10.00, 0, -10.00, 'C1'), ('C3', 'NEW', 'USD', '2026-11-20', 1, 5.00, 0, 5.01, NULL);
INSERT INTO ar.cons_dtl VALUES ('C1', 1, '0000000001', 'FRT', '', 1, 100, 13, 'H13', 'CAD'), ('C1', 2, '0000000002', 'FRT', '', 1, 150, 19.50, 'H13', 'CAD'),
 ('C1', 3, '0000000002', 'FS', '', 1, 50, 6.50, 'H13', 'CAD'), ('C2', 1, '0000000003', 'FRT', '', 1, -10, 0, 'US', 'USD'), ('C3', 1, '0000000004', 'FRT', '', 1, 5, 0, 'US', 'USD');
INSERT INTO ar.bill_queue (cons_no, q_stat, rel_utc) VALUES ('C1', 'W', NULL), ('C1', 'R', '2026-11-23 09:00'), ('C2', 'R', '2026-11-23 10:00');
INSERT INTO bills VALUES ('50017', '36-1234567', 7001, 'R', 0, 1795435200000, 10000, '[{"cd": "HAUL", "c": 9500}, {"cd": "SFT", "c": 500}]', false, 0),
 ('50017-A', '36-1234567', 7001, 'R', 0, 1795435200000, -10000, '[{"cd": "HAUL", "c": -10000}]', false, 0), ('50018', '36-1234567', 7001, 'R', 0, NULL, 1, '[{"cd": "HAUL", "c": 1}]', true, 0)`)
	db, err := sql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accounts := map[string]string{"MAPLE-TO": "MAPLE-TO", "36-1234567": "GC361234567"}
	whole, err := ReadPineValley(t.Context(), db, accounts, func(string) bool { return false })
	same(t, err, whole, []Header{
		{Key: "pvly:C1", Number: "C1", Code: "MAPLE-TO", Account: "MAPLE-TO", Currency: "CAD", State: "R", Released: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Net: 30000, Tax: 3900, Total: 33900},
		{Key: "pvly:C2", Number: "C2", Original: "C1", Code: "NEW", Currency: "USD", State: "R", Released: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Net: -1000, Total: -1000},
		{Key: "pvly:C3", Number: "C3", Code: "NEW", Currency: "USD", State: "W", Net: 500, Total: 501}})
	parts, err := ReadPineValley(t.Context(), db, accounts, func(reference string) bool { return reference == "pvly:C1-0000000002" })
	if err != nil || len(parts) != 4 {
		t.Fatalf("%v %+v", err, parts)
	}
	if a, b := parts[0], parts[1]; a.Net != 10000 || a.Tax != 1300 || a.Total != 11300 || b.Key != "pvly:C1-0000000002" || b.Net != 20000 || b.Tax != 2600 || b.Total != 22600 || b.State != "R" {
		t.Errorf("a shipment apart: %+v", parts[:2])
	}
	bulk, err := ReadGulfCoast(t.Context(), db, accounts)
	at := time.UnixMilli(1795435200000)
	same(t, err, bulk, []Header{
		{Key: "gcbk:50017", Number: "50017", Code: "36-1234567", Account: "GC361234567", Currency: "USD", State: "R", Released: at, Net: 10000, Total: 10000},
		{Key: "gcbk:50017-A", Number: "50017-A", Original: "50017", Code: "36-1234567", Account: "GC361234567", Currency: "USD", State: "R", Released: at, Net: -10000, Total: -10000},
		{Key: "gcbk:50018", Number: "50018", Code: "36-1234567", Account: "GC361234567", Currency: "USD", State: "V", Net: 1, Total: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadGulfCoast(ctx, db, nil); err == nil {
		t.Error("bills are read in no time")
	}
	if _, err := ReadPineValley(ctx, db, nil, nil); err == nil {
		t.Error("invoices are read in no time")
	}
}

func same(t *testing.T, err error, got, want []Header) {
	t.Helper()
	if err != nil || !slices.EqualFunc(got, want, func(a, b Header) bool {
		sameTime := a.Released.Equal(b.Released)
		a.Released, b.Released = time.Time{}, time.Time{}
		return sameTime && a == b
	}) {
		t.Errorf("got %v\n%+v\nwant\n%+v", err, got, want)
	}
}

// Each carrier's documents are compared with its own, and a document of nobody is found.
func TestCompareGroup(t *testing.T) {
	headers, invoices := pair()
	var other []Header
	for _, h := range headers {
		h.Key = "x:" + h.Key
		other = append(other, h)
	}
	for _, i := range slices.Clone(invoices) {
		i.Reference, i.ID = "x:"+i.Reference, i.ID+50
		invoices = append(invoices, i)
	}
	terms := Terms{Cutover: cutover, Names: names}
	group := func(invoices []Invoice) []Report {
		return CompareGroup([]Carrier{{"First", "A", headers[:2], terms}, {"Other", "x:", other, terms}}, slices.DeleteFunc(slices.Clone(invoices), func(i Invoice) bool {
			return !strings.HasPrefix(i.Reference, "x:") && i.Reference != "A1" && i.Reference != "stray"
		}))
	}
	all := group(invoices)
	if len(all) != 2 || !all[0].OK() || !all[1].OK() || all[0].Paired != 1 || all[1].Paired != 6 {
		t.Errorf("%+v", all)
	}
	stray := invoices[0]
	stray.Reference = "stray"
	if all = group(append(invoices, stray)); len(all) != 3 || !all[1].OK() || all[2].OK() || all[2].Differences[0].Kind != "unknown" {
		t.Errorf("a document of nobody: %+v", all)
	}
}
