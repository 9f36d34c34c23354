package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// TestHeldTableGoesOn changes a mapped table by a statement that the log has without its rows: the table is held, the other one
// flows. What the exception says lets it go: the row is found by comparison and sent once, and changes flow again.
func TestHeldTableGoesOn(t *testing.T) {
	e := newEngine(t, "mariadb")
	e.sql(e.db, `CREATE TABLE parts (id varchar(8) PRIMARY KEY, name varchar(40) NOT NULL) ENGINE=InnoDB`)
	e.sql(e.db, `CREATE TABLE others (id varchar(8) PRIMARY KEY, name varchar(40) NOT NULL) ENGINE=InnoDB`)
	var events, posts string
	for event, table := range map[string]string{"customer.changed": "parts", "location.changed": "others"} {
		events += "  " + event + ": { from: db." + table + ", lane: master, key: id, set: { code: id, name: name } }\n"
		posts += "  " + event + " -> erp.customer: { external_id: code, body: { code: code, name: name } }\n"
	}
	e.configure("events:\n"+events+"posts:\n"+posts, "")
	e.sql(e.db, `INSERT INTO parts VALUES ('P1','one'),('P2','two'),('P3','three')`)
	e.start()
	e.settled(60 * time.Second)

	conn, err := e.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`SET SESSION binlog_format = 'STATEMENT'`, `UPDATE parts SET name = 'TWO' WHERE id = 'P2'`, `SET SESSION binlog_format = 'ROW'`} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	e.sql(e.db, `UPDATE parts SET name = 'THREE' WHERE id = 'P3'`)
	e.sql(e.db, `INSERT INTO others VALUES ('O1','other')`)
	e.until(30*time.Second, "the table is held, and the other one flows", func() bool {
		src, _ := e.source()
		return slices.Equal(src.Held, []string{e.myName + ".parts"}) && e.effects()["O1"] == 1
	})
	command := "waybill snapshot db " + e.myName + ".parts"
	out := e.must("exceptions", "list")
	if !strings.Contains(out, "CHANGES_UNCERTAIN") {
		t.Errorf("no exception:\n%s", out)
	}
	if out = e.must("exceptions", "list", "--json"); !strings.Contains(out, "then: "+command+". Its changes are kept") || !strings.Contains(out, "read the table again: "+command+".") {
		t.Errorf("the exception does not name %q:\n%s", command, out)
	}
	if _, errs, code := e.waybill("exceptions", "retry", "X-000001"); code == 0 || !strings.Contains(errs, "(CHANGES_UNCERTAIN) cannot be retried") || !strings.Contains(errs, command) {
		t.Errorf("a retry: %d\n%s", code, errs)
	}
	if n := e.effects(); n["P2"] != 1 || n["P3"] != 1 {
		t.Errorf("a held table was delivered: %v", n)
	}

	e.kill() // the hold is remembered
	e.start()
	e.must(append(strings.Fields(command)[1:], "--yes", "--why", "a statement without rows")...)
	e.sql(e.db, `UPDATE parts SET name = 'ONE' WHERE id = 'P1'`)
	e.settled(60 * time.Second)
	if src, problems := e.source(); len(src.Held) > 0 || problems != "" {
		t.Errorf("held %v, problems %s", src.Held, problems)
	}
	if out := e.must("exceptions", "list"); strings.Contains(out, "CHANGES_UNCERTAIN") {
		t.Errorf("the exception is still open:\n%s", out)
	}
	if n := e.effects(); n["P1"] != 2 || n["P2"] != 2 || n["P3"] != 2 || n["O1"] != 1 {
		t.Errorf("effects: %v", n)
	}
	report, err := sinktest.Ledger(e.erp.File, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, x := range report.Effects {
		last[x.ExternalID] = string(x.Body)
	}
	for id, name := range map[string]string{"P1": "ONE", "P2": "TWO", "P3": "THREE"} {
		if !strings.Contains(last[id], `"name":"`+name+`"`) {
			t.Errorf("%s is %s", id, last[id])
		}
	}
	e.stop()
}
