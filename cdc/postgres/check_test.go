package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestCheck compares every finding about a well kept database, and about one with every fault, with a golden.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings []string
		sql      string
		user     string
		columns  cdc.Selection
		more     []cdc.Selection
		masked   []string
	}{
		{name: "ready", settings: []string{"max_slot_wal_keep_size=10GB"}, user: "reader",
			sql: `CREATE ROLE reader LOGIN REPLICATION PASSWORD 'k7Qz-canary-9xWv'; GRANT pg_read_all_stats TO reader; CREATE TABLE loads (id int PRIMARY KEY, n int, at timestamptz);
				ALTER TABLE loads OWNER TO reader; GRANT CREATE ON DATABASE postgres TO reader`,
			columns: selection("loads", "n", "at")},
		{name: "faults", settings: []string{"wal_level=replica", "max_replication_slots=1", "wal_sender_timeout=2s",
			"idle_session_timeout=30s", "logical_decoding_work_mem=64kB", "max_slot_wal_keep_size=64MB", "max_prepared_transactions=5"}, user: "reader",
			masked: []string{"loads.ssn"},
			sql: `CREATE ROLE reader LOGIN PASSWORD 'k7Qz-canary-9xWv';
				ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'; ALTER SYSTEM SET synchronous_commit = off;
				CREATE TABLE loads (id int PRIMARY KEY, n int, span tsvector, tags tsquery[], ssn text, twice int GENERATED ALWAYS AS (n * 2) STORED);
				CREATE TABLE bare (id int, n int); CREATE VIEW seen AS SELECT * FROM bare; CREATE UNLOGGED TABLE volatile (id int PRIMARY KEY);
				CREATE TABLE hidden (id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; GRANT SELECT ON hidden TO reader;
				GRANT SELECT ON bare TO reader; REVOKE USAGE ON SCHEMA public FROM PUBLIC`,
			columns: cdc.Selection{Table: cdc.Table{Name: "loads"}, Columns: []string{"n", "span", "tags", "ssn", "twice", "typo"}, Old: []string{"n"}},
			more:    []cdc.Selection{selection("bare", "n"), selection("seen", "n"), selection("volatile"), selection("nowhere"), selection("hidden")}},
		{name: "publication", settings: nil, user: "postgres",
			sql: `CREATE TABLE loads (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE other (id int PRIMARY KEY, n int);
				CREATE PUBLICATION waybill_check FOR TABLE loads, other WHERE (id > 5) WITH (publish = 'insert')`,
			columns: selection("loads", "n"), more: []cdc.Selection{selection("other", "n")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := cdctest.StartPostgres(t, c.settings...)
			for _, statement := range strings.SplitAfter(c.sql, ";") { // ALTER SYSTEM must come alone
				p.Exec(t, statement)
			}
			p.Exec(t, `SELECT pg_reload_conf()`)
			cfg := config(p, "check")
			cfg.User, cfg.Masked = c.user, c.masked
			s := postgres.New(cfg, append([]cdc.Selection{c.columns}, c.more...), logger(t))
			findings, err := s.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, f := range findings {
				fmt.Fprintf(&out, "%-4s %s: %s\n", f.Level, f.Check, f.Found)
				for _, more := range []struct{ name, text string }{{"want", f.Want}, {"why", f.Why}, {"fix", f.Fix}} {
					if more.text != "" {
						fmt.Fprintf(&out, "       %-4s %s\n", more.name, more.text)
					}
				}
			}
			text := regexp.MustCompile(`(ahead of us by|oldest has run for|server version:|server identity:|free connections:) .*`).ReplaceAllString(out.String(), "$1 …")
			golden(t, "check_"+c.name+".golden", []byte(text))
			if strings.Contains(text, p.Password) {
				t.Error("a finding holds the password")
			}
		})
	}
}

// TestInspect looks at a database with Peek and Catalog, which leave nothing behind.
func TestInspect(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY, n int, span interval, ssn text); INSERT INTO loads SELECT i, i, '1h', '078' FROM generate_series(1, 3) i`)
	cfg := config(p, "inspect")
	cfg.Masked = []string{"public.loads.ssn"}
	s := postgres.New(cfg, []cdc.Selection{selection("loads", "n")}, logger(t))
	f := follow(t, s)
	if err := s.Peek(f.ctx, func(b cdc.Batch) error { f.read(b); return nil }); err != nil {
		t.Fatal(err)
	}
	expect(t, f.rows, `snapshot loads id="1" n="1"`, `snapshot loads id="2" n="2"`, `snapshot loads id="3" n="3"`)
	if f.pos != "" {
		t.Errorf("Peek gave position %s", f.pos)
	}
	list, err := s.Catalog(f.ctx, []cdc.Table{{Name: "nowhere"}, {Schema: "public", Name: "loads"}})
	if err != nil || len(list) != 1 {
		t.Fatalf("Catalog: %v, %v", list, err)
	}
	got := ""
	for _, c := range list[0].Columns {
		got += fmt.Sprintf("%s %s %s key %t; ", c.Name, c.Type, c.Kind, c.Key)
	}
	if want := "id integer int key true; n integer int key false; span interval interval key false; "; got != want {
		t.Errorf("Catalog: %s, want %s", got, want)
	}
	var left int
	if err := p.DB.QueryRow(`SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d slots or publications are left, %v", left, err)
	}
}

func TestConfigValidate(t *testing.T) {
	ok := postgres.Config{Name: "dispatch", Host: "db", Database: "d", User: "u", Masked: []string{"t.c", "s.t.c"}}
	if err := ok.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	bad := postgres.Config{Port: 70000, SSLMode: "on", Slot: "Bad-Slot", Publication: strings.Repeat("p", 64), Heartbeat: time.Hour,
		ConnectTimeout: time.Millisecond, Masked: []string{"ssn", "a.b.c.d", "t.", "message(a.b).c"}, Password: "hunter2"}
	want := `host: must not be empty
database: must not be empty
user: must not be empty
port: must be 1 to 65535 (got 70000)
ssl_mode: must be one of disable, allow, prefer, require, verify-ca, verify-full (got "on")
slot: must be 1 to 54 lower case letters, digits or underscores (got "Bad-Slot")
publication: must be at most 63 bytes (got "` + strings.Repeat("p", 64) + `")
heartbeat: must be 1s to 1m (got 1h0m0s)
connect_timeout: must be 1s to 5m (got 1ms)
masked[0]: must be table.column or schema.table.column (got "ssn")
masked[1]: must be table.column or schema.table.column (got "a.b.c.d")
masked[2]: must be table.column or schema.table.column (got "t.")
masked[3]: must be a table's column: a message is captured whole or not at all, so leave out what nobody may see when it is emitted (got "message(a.b).c")`
	if err := bad.Validate(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestPasswordStaysSecret makes every kind of connection fail.
func TestPasswordStaysSecret(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int PRIMARY KEY)`)
	cfg := config(p, "secret")
	cfg.Password = "not-the-password"
	s := postgres.New(cfg, []cdc.Selection{selection("loads")}, logger(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, errCheck := s.Check(ctx)
	for _, err := range []error{s.Open(ctx, ""), s.Open(ctx, "pg/1/1/0/1"), s.Release(ctx), errCheck} {
		if err == nil || strings.Contains(err.Error(), cfg.Password) || !strings.Contains(err.Error(), "28P01") {
			t.Errorf("the error is %v", err)
		}
	}
}
