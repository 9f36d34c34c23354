package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A ledger of holds that finance keeps, and the customers of two legacy databases, each of which tells of its own as well: without a memory
// of what it wrote itself Waybill would hear its own postings as news. The logs count what is written to each row, by whomever.
const (
	holdsDispatch = `
CREATE TABLE fin_hold (cust_cd varchar(8) PRIMARY KEY, hold boolean NOT NULL);
CREATE TABLE cust_mst (cust_cd char(8) PRIMARY KEY, cust_nm varchar(30) NOT NULL, hold_fl char(1) NOT NULL DEFAULT 'N', upd_by varchar(10));
CREATE TABLE written (cust_cd char(8), hold_fl char(1), by_whom text);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (NEW.cust_cd, NEW.hold_fl, current_setting('application_name')); RETURN NULL; END $$;
CREATE TRIGGER note_write AFTER UPDATE ON cust_mst FOR EACH ROW EXECUTE FUNCTION note_write();
INSERT INTO cust_mst SELECT 'C' || n, 'Customer ' || n FROM generate_series(1, 40) n;`
	holdsBilling = `
CREATE TABLE bill_cust (cust_no varchar(10) PRIMARY KEY, nm varchar(30) NOT NULL, cr_hold tinyint(1) NOT NULL DEFAULT 0);
CREATE TABLE written (cust_no varchar(10), cr_hold tinyint(1));
CREATE TRIGGER note_write AFTER UPDATE ON bill_cust FOR EACH ROW INSERT INTO written VALUES (NEW.cust_no, NEW.cr_hold);
INSERT INTO bill_cust (cust_no, nm) SELECT CONCAT('C', seq), CONCAT('Customer ', seq) FROM seq_1_to_40;`
	holdsMapping = `mapping: holds
version: 1
cutover: now
sources:
  dispatch: { zone: America/Chicago }
  billing: { zone: America/Chicago }
events:
  customer.changed: { from: dispatch.fin_hold, lane: master, key: cust_cd, set: { code: cust_cd, name: cust_cd, credit_hold: hold } }
  location.changed: { from: dispatch.cust_mst, lane: master, when: "changed(hold_fl)", key: trim(cust_cd), set: { code: trim(cust_cd), name: cust_nm, credit_hold: hold_fl == "Y" } }
  item.changed: { from: billing.bill_cust, lane: master, when: "changed(cr_hold)", key: cust_no, set: { code: cust_no, name: nm, credit_hold: cr_hold } }
posts:
  customer.changed -> tms.customer: { external_id: code, body: { code: code, credit_hold: credit_hold } }
  customer.changed -> bill.customer: { external_id: code, body: { code: code, credit_hold: credit_hold } }
  location.changed -> bill.customer: { external_id: code, body: { code: code, credit_hold: credit_hold } }
`
)

// TestHoldsReachBothDatabases tells credit holds, kills the daemon again and again, and finds each hold in both legacy databases, written once,
// and no event that Waybill's own writing made. What a person changes there afterwards is news, also when it is set back.
func TestHoldsReachBothDatabases(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"dispatch.sql": holdsDispatch, "billing.sql": holdsBilling, "mapping.yaml": holdsMapping} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSiteOf(t, folder)
	policy := "    policy: { backoff_base: 50ms, backoff_cap: 200ms, breaker_cooldown: 200ms }\n"
	s.sink = fmt.Sprintf(`  tms:
    type: sql_postgres
    host: 127.0.0.1
    port: %d
    database: %s
    user: %s
    password: %s
    tls: { mode: off }
    source: dispatch
    horizon: 1s
    entities:
      customer: { table: cust_mst, key: { cust_cd: code }, columns: { hold_fl: credit_hold }, booleans: { hold_fl: { true: "Y", false: "N" } }, missing: reject }
%s  bill:
    type: sql_mariadb
    host: 127.0.0.1
    port: %d
    database: %s
    user: %s
    password: %s
    tls: { mode: off }
    source: billing
    horizon: 1s
    entities:
      customer: { table: bill_cust, key: { cust_no: code }, columns: { cr_hold: credit_hold }, missing: reject }
%s`, pg.Port, s.pgName, pg.User, pg.Password, policy, maria.Port, s.myName, maria.User, maria.Password, policy)
	s.write()
	if out, errs, _ := s.waybill("check"); !strings.Contains(out, "customer: key") || strings.Contains(out, "FAIL") {
		t.Errorf("check of the sinks:\n%s%s", out, errs)
	}
	s.start()
	s.settled(30 * time.Second)
	before := s.told()

	const many = 20
	for i := 1; i <= many; i++ {
		s.sql(s.dispatch, fmt.Sprintf("INSERT INTO fin_hold VALUES ('C%d', true)", i))
		if i%10 == 0 {
			s.kill()
			s.start()
		}
	}
	s.settled(60 * time.Second)
	count := func(what string, want int, of string, got int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d in %s, want %d", what, got, of, want)
		}
	}
	count("customers on hold", many, "dispatch", s.count("dispatch", "SELECT count(*) FROM cust_mst WHERE hold_fl = 'Y'"))
	count("customers on hold", many, "billing", s.count("billing", "SELECT count(*) FROM bill_cust WHERE cr_hold"))
	count("writes", many, "dispatch", s.count("dispatch", "SELECT count(*) FROM written WHERE by_whom = 'waybill'"))
	count("writes", many, "billing", s.count("billing", "SELECT count(*) FROM written"))
	if got := s.told(); got["fin_hold"]-before["fin_hold"] != many || got["cust_mst"] != before["cust_mst"] || got["bill_cust"] != before["bill_cust"] {
		t.Errorf("events before %v, and now %v: an echo was heard, or a hold was not", before, got)
	}
	if out := s.must("trace", "C7"); !strings.Contains(out, "no news") {
		t.Errorf("the story of C7 does not say what became of the echo:\n%s", out)
	}

	// A person takes the hold away in dispatch, and sets it again: both are news, and reach billing.
	for n, hold := range []string{"N", "Y"} {
		s.sql(s.dispatch, "UPDATE cust_mst SET hold_fl = $1 WHERE cust_cd = 'C7'", hold)
		s.until(20*time.Second, "billing has what dispatch says", func() bool {
			return s.count("billing", "SELECT count(*) FROM bill_cust WHERE cust_no = 'C7' AND cr_hold = "+map[string]string{"N": "0", "Y": "1"}[hold]) == 1
		})
		s.settled(20 * time.Second)
		if got := s.told(); got["cust_mst"]-before["cust_mst"] != n+1 || got["bill_cust"] != before["bill_cust"] {
			t.Errorf("after %s in dispatch: events before %v, and now %v", hold, before, got)
		}
	}
	s.stop()
}

// told counts the events by the table whose rule made them.
func (s *site) told() map[string]int {
	s.t.Helper()
	var events []struct {
		Type string `json:"type"`
	}
	out := s.must("events", "list", "--limit", "1000", "--json")
	if err := json.Unmarshal([]byte(out), &events); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	all := map[string]int{}
	for _, e := range events {
		all[map[string]string{"customer.changed": "fin_hold", "location.changed": "cust_mst", "item.changed": "bill_cust"}[e.Type]]++
	}
	return all
}

func (s *site) count(where, query string) (n int) {
	s.t.Helper()
	db := s.dispatch
	if where == "billing" {
		db = s.billing
	}
	if err := db.QueryRow(query).Scan(&n); err != nil {
		s.t.Fatalf("%v\n%s", err, query)
	}
	return n
}
