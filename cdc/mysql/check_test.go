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

// TestCheckOfLogSettings looks at what no server that is here has: compressed transactions of MySQL are no fault.
func TestCheckOfLogSettings(t *testing.T) {
	for found, want := range map[string]string{"ON": "ON; compressed transactions are read all the same", "": "not known to this server"} {
		v := map[string]string{"log_bin": "ON"}
		if found != "" {
			v[string(aboutCompression)] = found
		}
		c := &checker{cfg: &Config{Flavor: MySQL}, server: &serverInfo{variables: v}}
		c.log()
		for _, x := range c.list {
			if x.Check == string(aboutCompression) && (x.Level != cdc.LevelOK || x.Found != want) {
				t.Errorf("%q: %+v", found, x)
			}
		}
	}
}

// TestCheckOfEngines tells what reading a table without transactions does to it, and when it cannot be read.
func TestCheckOfEngines(t *testing.T) {
	sel := &selected{table: cdc.Table{Schema: "d", Name: "t"}}
	for _, x := range []struct {
		engine string
		key    bool
		want   string
	}{
		{"InnoDB", false, ""},
		{"Aria", true, "it has no transactions: while a chunk of it is read, which takes 10s at most, its writers wait (LOCK TABLES … READ); " +
			"and a crash, or a statement that fails half way, may leave rows that differ from the log"},
		{"MyISAM", false, "Without a primary key its rows cannot be read beside the stream at all"},
		{"ARCHIVE", true, "nothing tells which transactions its rows include, so they cannot be read beside the stream; changes in the log are captured"},
	} {
		c := &checker{}
		c.engine(sel, &tableInfo{engine: x.engine, columns: []columnInfo{{name: "id", key: x.key}}})
		switch {
		case x.want == "" && len(c.list) == 0:
		case len(c.list) != 1 || x.want == "" || !strings.HasSuffix(c.list[0].Why, x.want) || c.list[0].Level != cdc.LevelWarn || c.list[0].Check != "engine of d.t" ||
			c.list[0].Fix != "ALTER TABLE `d`.`t` ENGINE=InnoDB;":
			t.Errorf("%s: %+v", x.engine, c.list)
		}
	}
}
