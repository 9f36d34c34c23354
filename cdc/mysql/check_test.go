package mysql

import (
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestCheckFixes pastes the SQL of every finding about a badly kept server, as it is printed, until nothing is left to say.
func TestCheckFixes(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--binlog-format=MIXED", "--binlog-row-image=MINIMAL", "--binlog-row-metadata=NO_LOG", "--binlog-expire-logs-seconds=3600")
	m.Exec(t, `CREATE DATABASE d; USE d; CREATE TABLE parent(id INT PRIMARY KEY);
		CREATE TABLE t(id INT PRIMARY KEY, p INT, CONSTRAINT casc FOREIGN KEY (p) REFERENCES parent(id) ON DELETE CASCADE);
		CREATE TABLE my(id INT PRIMARY KEY) ENGINE=MyISAM; CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'r'; GRANT SELECT ON d.t TO reader@'127.0.0.1'; GRANT SELECT ON d.my TO reader@'127.0.0.1'`)
	cfg := config(m, "d")
	cfg.User, cfg.Password = "reader", "r"
	sel := cdc.Selection{Table: cdc.Table{Name: "t"}, Columns: []string{"p"}, Old: []string{"p"}}
	f := follow(t, cfg, sel, pick("my"))
	check := func() (bad []cdc.Finding) {
		t.Helper()
		findings, err := f.src.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range findings {
			if x.Level != cdc.LevelOK {
				bad = append(bad, x)
			}
		}
		return bad
	}
	first := check()
	var names []string
	for _, x := range first {
		names = append(names, x.Check)
		for _, statement := range strings.SplitAfter(x.Fix, ";") {
			if statement = strings.TrimSpace(statement); statement != "" && !strings.HasPrefix(statement, "--") {
				at := strings.Index(statement, "GRANT ")
				m.Exec(t, strings.TrimPrefix(statement[max(0, at):], "change those rows in the application, and "))
			}
		}
	}
	const want = "binlog_format,binlog_row_image,binlog_row_metadata,sync_binlog,binlog retention,gtid_strict_mode," +
		"grant REPLICATION SLAVE,grant to see the log,foreign keys of d.t,old values of d.t,engine of d.my"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	if left := check(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestFilteredDatabase has a server that leaves our database out of its log.
func TestFilteredDatabase(t *testing.T) {
	m := cdctest.StartMariaDB(t, "--binlog-ignore-db=d", "--binlog-do-db=x")
	m.Exec(t, "CREATE DATABASE d; CREATE TABLE d.t(id INT PRIMARY KEY)")
	for db, want := range map[string]cdc.Level{"d": cdc.LevelFail, "x": cdc.LevelOK} {
		findings, err := New(config(m, db), []cdc.Selection{pick("t")}, quiet()).Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range findings {
			if x.Check == string(aboutFilters) && x.Level != want {
				t.Errorf("database %s: %+v", db, x)
			}
		}
	}
}
