package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc/cdctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is an ERP of rows in memory.
type ledger []Invoice

func (l ledger) Invoices(context.Context) ([]Invoice, error) { return l, nil }

const rows = `
INSERT INTO bill_cust VALUES ('ACM01', '104377', '2019-01-01', '2026-11-20'), ('ACM01', '104412', '2026-11-21', NULL), ('BET02', '104401', '2019-01-01', NULL);
INSERT INTO inv_hdr (inv_no, cust_cd, stat, inv_dt, cur_cd, line_cnt, tax_amt, inv_amt, orig_inv_no, memo, rel_ts, upd_ts) VALUES
 ('A0', 'ACM01', 'R', '2026-10-01', NULL, 1, 0, 70.00, NULL, NULL, '2026-11-23 01:59:59', '2026-11-23 02:00:00'),
 ('A1', 'ACM01', 'R', '2026-11-20', NULL, 2, 82.50, 1102.50, NULL, 'Réf. Montréal', '2026-11-23 02:00:00', '2026-11-23 02:00:00'),
 ('A2', 'ACM01', 'R', '2026-11-21', NULL, 1, 0, 500.00, NULL, NULL, '2026-11-23 03:00:00', '2026-11-23 03:00:00'),
 ('A3', 'BET02', 'R', '2026-11-21', 'CAD', 1, 0, 200.00, NULL, NULL, '2026-11-23 03:00:00', '2026-11-23 03:00:00'),
 ('C3', 'BET02', 'R', '2026-11-22', 'CAD', 1, 0, -200.00, 'A3', NULL, '2026-11-23 04:00:00', '2026-11-23 04:00:00'),
 ('R3', 'BET02', 'R', '2026-11-22', 'CAD', 1, 0, 210.00, 'A3', NULL, '2026-11-23 04:00:00', '2026-11-23 04:00:00'),
 ('D1', 'BET02', 'D', '2026-11-22', 'CAD', 1, 0, 1.00, NULL, NULL, NULL, '2026-11-23 04:00:00');
INSERT INTO inv_line VALUES ('A0', 1, 'LH', NULL, 1, 70, 70.00, 'EX'), ('A1', 1, 'LH', 'Line haul', 1, 1000, 1000.00, 'TX'), ('A1', 2, 'LMP', NULL, 1, 20, 20.00, 'EX'),
 ('A2', 1, 'LH', NULL, 1, 500, 500.00, 'EX'), ('A3', 1, 'LH', NULL, 1, 200, 200.00, 'EX'), ('C3', 1, 'LH', NULL, -1, 200, -200.00, 'EX'),
 ('R3', 1, 'LH', NULL, 1, 210, 210.00, 'EX'), ('D1', 1, 'LH', NULL, 1, 1, 1.00, 'EX')`

// The checker against a real MariaDB: green, then red for what is changed in billing behind the ERP's back.
func TestCheckReadsBilling(t *testing.T) {
	server := cdctest.StartMariaDB(t)
	schema, err := os.ReadFile("../../../testdata/carriers/northstar/billing.sql")
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "CREATE DATABASE billing CHARACTER SET latin1; USE billing; "+string(schema)+rows)
	db, err := OpenBilling(fmt.Sprintf("%s:%s@tcp(%s:%d)/billing?charset=utf8mb4", server.User, server.Password, server.Host, server.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	zone, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	terms := Terms{Cutover: cutover, Zone: zone} // 02:00 in Chicago
	erp := postingsOf(t, db, zone)
	check(t, db, erp, terms, "", "")
	for _, i := range []struct{ key, party string }{{"A1", "104377"}, {"A2", "104412"}} {
		if got := erp[slices.IndexFunc(erp, func(p Invoice) bool { return p.Reference == i.key })].PartyCode; got != i.party {
			t.Errorf("document %s belongs to account %s on its date, got %s", i.key, i.party, got)
		}
	}
	for _, test := range []struct{ change, undo, kind, key string }{
		{"UPDATE inv_hdr SET inv_amt = 1102.51 WHERE inv_no = 'A1'", "UPDATE inv_hdr SET inv_amt = 1102.50 WHERE inv_no = 'A1'", "total", "A1"},
		{"UPDATE inv_line SET ext_amt = 19.99 WHERE inv_no = 'A1' AND line_no = 2", "UPDATE inv_line SET ext_amt = 20 WHERE inv_no = 'A1' AND line_no = 2", "net", "A1"},
		{"UPDATE inv_hdr SET stat = 'V' WHERE inv_no = 'A2'", "UPDATE inv_hdr SET stat = 'R' WHERE inv_no = 'A2'", "not released", "A2"},
		{"UPDATE inv_hdr SET rel_ts = '2026-11-23 01:59:59' WHERE inv_no = 'A1'", "UPDATE inv_hdr SET rel_ts = '2026-11-23 02:00:00' WHERE inv_no = 'A1'", "before cut-over", "A1"},
		{"UPDATE inv_hdr SET cust_cd = 'BET02' WHERE inv_no = 'A2'", "UPDATE inv_hdr SET cust_cd = 'ACM01' WHERE inv_no = 'A2'", "party", "A2"},
		{"UPDATE inv_hdr SET cur_cd = 'CAD' WHERE inv_no = 'A2'", "UPDATE inv_hdr SET cur_cd = NULL WHERE inv_no = 'A2'", "currency", "A2"},
		{"UPDATE inv_hdr SET stat = 'R', rel_ts = '2026-11-23 05:00:00' WHERE inv_no = 'D1'", "UPDATE inv_hdr SET stat = 'D', rel_ts = NULL WHERE inv_no = 'D1'", "missing", "D1"},
	} {
		exec1(t, db, test.change)
		check(t, db, erp, terms, test.kind, test.key)
		exec1(t, db, test.undo)
	}
	check(t, db, erp, terms, "", "")
	exec1(t, db, "UPDATE bill_cust SET end_dt = NULL")
	if _, err := Check(t.Context(), db, erp, terms); err == nil || !strings.Contains(err.Error(), "ACM01 means 2 accounts") {
		t.Errorf("two accounts at once: got %v", err)
	}
}

// postingsOf is an ERP that holds exactly what is due.
func postingsOf(t *testing.T, db *sql.DB, zone *time.Location) ledger {
	t.Helper()
	headers, err := ReadBilling(t.Context(), db, zone, func(number string, _ int) string { return number })
	if err != nil {
		t.Fatal(err)
	}
	var erp ledger
	for n, h := range headers {
		if h.State == "R" && h.Number != "A0" {
			erp = append(erp, posting(int64(n), h))
		}
	}
	return erp
}

func exec1(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// check wants a difference of the kind on the key, or none when the kind is empty.
func check(t *testing.T, db *sql.DB, erp ERP, terms Terms, kind, key string) {
	t.Helper()
	report, err := Check(t.Context(), db, erp, terms)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "" {
		if !report.OK() || report.Paired != 5 {
			t.Errorf("want equal books with 5 documents paired, got %+v", report)
		}
		return
	}
	if !slices.ContainsFunc(report.Differences, func(d Difference) bool { return d.Kind == kind && d.Key == key }) {
		t.Errorf("want a difference of kind %q on %s, got %v", kind, key, report.Differences)
	}
}

type broken struct{}

func (broken) Invoices(context.Context) ([]Invoice, error) { return nil, errors.New("down") }

// An ERP that cannot be read is an error, never a report.
func TestCheckNeedsBothSides(t *testing.T) {
	db, err := OpenBilling("nobody@tcp(127.0.0.1:1)/none")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := Check(t.Context(), db, broken{}, Terms{Zone: time.UTC}); err == nil {
		t.Error("a billing database that cannot be reached gives a report")
	}
}

// The auditor imports nothing of what it audits.
func TestBooksImportNothingOfWaybill(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if path = strings.TrimSpace(path); strings.HasPrefix(path, "waybill/") && path != "waybill/cmd/internal/books" {
			t.Errorf("books depends on %s", path)
		}
	}
}
