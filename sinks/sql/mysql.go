package sql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	my "github.com/go-sql-driver/mysql"
)

// mysql is MariaDB or MySQL.
type mysql struct{ product string }

var _ dialect = mysql{}

// connect implements dialect. Without READ COMMITTED a look for a row that is not there would lock the gap in which it would be.
func (m mysql) connect(ctx context.Context, cfg *Config) (driver.Conn, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	c := my.NewConfig()
	c.User, c.Passwd, c.DBName = cfg.User, password, cfg.Database
	c.Net, c.Addr = "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	if strings.Contains(cfg.Host, "/") {
		c.Net, c.Addr = "unix", cfg.Host
	}
	if c.TLS, err = cfg.TLS.client(cfg.Host); err != nil {
		return nil, err
	}
	c.AllowFallbackToPlaintext = cfg.TLS.Mode == tlsPrefer
	c.Timeout, c.ReadTimeout, c.WriteTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout
	c.ClientFoundRows, c.InterpolateParams = true, true
	c.Collation, c.ConnectionAttributes, c.Logger = "utf8mb4_general_ci", "program_name:waybill", &my.NopLogger{}
	seconds := func(d time.Duration) string { return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second))) }
	c.Params = map[string]string{
		"time_zone": "'+00:00'", "sql_mode": "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": seconds(cfg.LockTimeout), "lock_wait_timeout": seconds(cfg.LockTimeout),
		// Should we die with a transaction open, its row must not stay locked for the eight hours of the default.
		"wait_timeout": seconds(idleMost + cfg.StatementTimeout),
	}
	if m.product == MariaDB {
		c.Params["tx_isolation"], c.Params["max_statement_time"] = "'READ-COMMITTED'", seconds(cfg.StatementTimeout)
		c.Params["idle_transaction_timeout"] = seconds(cfg.StatementTimeout + cfg.LockTimeout)
	} else {
		c.Params["transaction_isolation"] = "'READ-COMMITTED'"
	}
	via, err := my.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("reading connection settings: %w", err)
	}
	return via.Connect(ctx)
}

// primary implements dialect. read_only does not hold users with SUPER back, so it is asked.
func (mysql) primary(ctx context.Context, x *session) (string, error) {
	readOnly, err := x.one(ctx, "SELECT @@global.read_only")
	if off := readOnly == "0" || strings.EqualFold(readOnly, "OFF"); err == nil && !off { // a number, or a word in later releases
		return "read_only is on: the server is a replica, or is being maintained", nil
	}
	return "", err
}

// identity implements dialect, in the words of the source's: a MariaDB server has no identifier of its data, so it is the server id and the
// GTID domain, which a copy may share.
func (m mysql) identity(ctx context.Context, x *session) (string, error) {
	if m.product == MySQL {
		id, err := x.one(ctx, "SELECT @@server_uuid")
		return "mysql/" + id, err
	}
	id, err := x.one(ctx, "SELECT CONCAT(@@server_id, '-', @@gtid_domain_id)")
	return "mariadb/" + id, err
}

// quote implements dialect.
func (mysql) quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// read implements dialect. A FLOAT shows six digits only, unless it is made a DOUBLE.
func (m mysql) read(c *column) string {
	if c.kind == kindFloat || c.kind == kindBoolean {
		return "CAST(" + m.quote(c.name) + " + 0 AS CHAR)"
	}
	return "CAST(" + m.quote(c.name) + " AS CHAR)"
}

// place implements dialect. Numbers are literals: a number that is compared with a text is compared as a float.
func (mysql) place(c *column, value string, _ int) (string, []any) {
	switch c.kind {
	case kindInteger, kindDecimal:
		return value, nil
	case kindFloat:
		return value + "e0", nil
	case kindBoolean:
		return map[bool]string{true: "1", false: "0"}[value == "true"], nil
	}
	return "?", []any{value}
}

var (
	myKinds = map[string]kind{
		"char": kindText, "varchar": kindText, "tinytext": kindText, "text": kindText, "mediumtext": kindText, "longtext": kindText,
		"decimal": kindDecimal, "float": kindFloat, "double": kindFloat, "date": kindDate, "time": kindClock, "datetime": kindLocal,
		"timestamp": kindInstant, "enum": kindEnum, "json": kindJSON, "uuid": kindUUID,
	}
	myIntegers = map[string]int{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
	enumWord   = regexp.MustCompile(`'((?:[^']|'')*)'`)
)

const (
	myTable = `SELECT table_type, engine FROM information_schema.tables WHERE table_schema = ? AND table_name = ?`
	// The names of these columns are in capitals on one product and not on the other; their places are the same.
	myColumns = `SELECT column_name, data_type, column_type, is_nullable, column_default IS NOT NULL, extra, CAST(character_maximum_length AS CHAR),
CAST(character_octet_length AS CHAR), CAST(numeric_precision AS CHAR), CAST(numeric_scale AS CHAR), CAST(datetime_precision AS CHAR),
character_set_name, privileges FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`
	myUnique = "SELECT index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR '\x01') FROM information_schema.statistics" + `
WHERE table_schema = ? AND table_name = ? AND non_unique = 0 GROUP BY index_name HAVING SUM(sub_part IS NOT NULL) = 0 ORDER BY index_name`
	myTriggers = `SELECT CONCAT(trigger_name, ': ', action_timing, ' ', event_manipulation) FROM information_schema.triggers
WHERE event_object_schema = ? AND event_object_table = ? ORDER BY trigger_name`
)

// catalogue implements dialect.
func (m mysql) catalogue(ctx context.Context, x *session, schema, name string) (*table, error) {
	found, err := x.rows(ctx, myTable, schema, name)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	t := &table{schema: schema, name: name, columns: map[string]*column{}}
	switch engine := str(found[0][1]); {
	case str(found[0][0]) != "BASE TABLE":
		t.sort = "a view"
	case engine != "InnoDB":
		t.sort = "a table of engine " + engine + ", without transactions"
	}
	columns, err := x.rows(ctx, myColumns, schema, name)
	if err != nil {
		return nil, err
	}
	for _, r := range columns {
		c := myColumn(r)
		t.columns[c.name], t.order = c, append(t.order, c.name)
	}
	unique, err := x.rows(ctx, myUnique, schema, name)
	if err != nil {
		return nil, err
	}
	for _, r := range unique {
		t.unique = append(t.unique, uniqueIndex{str(r[0]), strings.Split(str(r[1]), "\x01")})
	}
	triggers, err := x.rows(ctx, myTriggers, schema, name)
	if err != nil {
		return nil, err
	}
	for _, r := range triggers {
		t.triggers = append(t.triggers, str(r[0]))
	}
	t.mayDelete = x.exec(ctx, "EXPLAIN DELETE FROM "+m.quote(schema)+"."+m.quote(name)+" WHERE 1 = 0") == nil
	t.hidden = len(t.triggers) == 0 && !m.seesTriggers(ctx, x) // who may not have triggers does not see them
	return t, nil
}

// seesTriggers reports whether our grants name all rights, or triggers.
func (mysql) seesTriggers(ctx context.Context, x *session) bool {
	grants, err := x.rows(ctx, "SHOW GRANTS")
	if err != nil {
		return false
	}
	for _, g := range grants {
		if text := str(g[0]); strings.Contains(text, "ALL PRIVILEGES") || strings.Contains(text, "TRIGGER") {
			return true
		}
	}
	return false
}

// myColumn makes a column of a row of myColumns.
func myColumn(r []*string) *column {
	number := func(i int) int {
		n, err := strconv.Atoi(str(r[i]))
		if err != nil {
			return 0 // a length beyond all that we send
		}
		return n
	}
	base, full, extra := strings.ToLower(str(r[1])), strings.ToLower(str(r[2])), strings.ToLower(str(r[5]))
	c := &column{name: str(r[0]), typ: str(r[2]), kind: myKinds[base], nullable: str(r[3]) == "YES", filled: str(r[4]) == "1" || strings.Contains(extra, "auto_increment"),
		generated: strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated"), charset: str(r[11]), may: map[string]bool{}}
	for _, p := range strings.Split(str(r[12]), ",") {
		c.may[strings.TrimSpace(p)] = true
	}
	switch {
	case base == "char" || base == "varchar":
		c.chars, c.padded = number(6), base == "char"
	case c.kind == kindText:
		c.bytes = number(7)
	case full == "tinyint(1)" || full == "bit(1)":
		c.kind = kindBoolean
	case myIntegers[base] > 0:
		c.integer(myIntegers[base], strings.Contains(full, "unsigned"))
	case base == "year":
		c.kind, c.low, c.high = kindInteger, "1901", "2155"
	case base == "decimal":
		c.digits, c.scale = number(8), number(9)
	case base == "float":
		c.single = true
	case base == "enum":
		for _, m := range enumWord.FindAllStringSubmatch(str(r[2]), -1) {
			c.words = append(c.words, strings.ReplaceAll(m[1], "''", "'"))
		}
	}
	c.fraction = number(10)
	return c
}

// settings implements dialect.
func (mysql) settings(ctx context.Context, x *session) ([]setting, error) {
	version, err := x.one(ctx, "SELECT VERSION()")
	if err != nil {
		return nil, err
	}
	s := setting{check: "binlog format", want: "ROW, or MIXED"}
	if s.found, err = x.one(ctx, "SELECT @@binlog_format"); err != nil {
		return nil, err
	}
	if s.found == "STATEMENT" {
		s.fail, s.why, s.fix = true, "InnoDB refuses writes at READ COMMITTED into a log of statements.", "SET GLOBAL binlog_format = 'ROW';"
	}
	return []setting{{check: "server", found: version}, s}, nil
}
