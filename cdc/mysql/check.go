package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
)

// minRetention is how long the server should keep its log: a long weekend.
const minRetention = 3 * 24 * time.Hour

// maxClockSkew is how far the clocks may differ before a person is told.
const maxClockSkew = 5 * time.Second

// checker gathers findings in order.
type checker struct {
	cfg    *Config
	conn   *conn
	server *serverInfo
	list   []cdc.Finding
}

func (c *checker) ok(check, found string) {
	c.list = append(c.list, cdc.Finding{Check: check, Level: cdc.LevelOK, Found: found})
}

func (c *checker) bad(level cdc.Level, check, found, want, why, fix string) {
	c.list = append(c.list, cdc.Finding{Check: check, Level: level, Found: found, Want: want, Why: why, Fix: fix})
}

// setting checks one global variable.
func (c *checker) setting(level cdc.Level, name, want, why string) {
	found := c.server.variables[name]
	if strings.EqualFold(found, want) {
		c.ok(name, found)
		return
	}
	if found == "" {
		found = "not set"
	}
	c.bad(level, name, found, want, why, "SET GLOBAL "+name+" = '"+want+"'; -- and in the server's option file")
}

// check runs every check. The order is that of the list, always.
func (s *Source) check(ctx context.Context, conn *conn, server *serverInfo) ([]cdc.Finding, error) {
	c := &checker{cfg: &s.cfg, conn: conn, server: server}
	c.version()
	c.log()
	c.retention()
	c.identity()
	for _, step := range []func(context.Context) error{c.grants, c.clock} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, sel := range s.tables {
		if err := c.table(ctx, sel); err != nil {
			return nil, err
		}
	}
	return c.list, nil
}

func (c *checker) version() {
	mariadb := strings.Contains(strings.ToLower(c.server.version), "mariadb")
	switch {
	case mariadb != (c.cfg.Flavor == MariaDB):
		other := map[bool]string{true: MariaDB, false: MySQL}[mariadb]
		c.bad(cdc.LevelFail, "version", c.server.version, c.cfg.Flavor, "the logs of the two differ", "set flavor: "+other)
	case mariadb && !c.server.atLeast(10, 5):
		c.bad(cdc.LevelWarn, "version", c.server.version, "MariaDB 10.5 or later", "older logs have no column names", "")
	case !mariadb && !c.server.atLeast(8, 0):
		c.bad(cdc.LevelWarn, "version", c.server.version, "MySQL 8.0 or later", "older logs have no column names", "")
	default:
		c.ok("version", c.server.version)
	}
}

func (c *checker) log() {
	v := c.server.variables
	if strings.EqualFold(v["log_bin"], "ON") {
		c.ok("log_bin", "ON")
	} else {
		c.bad(cdc.LevelFail, "log_bin", "OFF", "ON", "changes are read from the binary log", "log_bin = binlog -- in the server's option file, then restart the server")
	}
	c.setting(cdc.LevelFail, "binlog_format", "ROW", "the other formats log statements, not the rows that they changed")
	c.setting(cdc.LevelWarn, "binlog_row_image", "FULL", "otherwise old values, and columns that did not change, are absent from the log")
	c.setting(cdc.LevelWarn, "binlog_row_metadata", "FULL", "otherwise the log has no column names, and rows written before a later ALTER TABLE are held")
	if v["binlog_row_value_options"] != "" {
		c.setting(cdc.LevelFail, "binlog_row_value_options", "", "an update would hold only parts of a JSON value")
	}
	if strings.EqualFold(v["binlog_transaction_compression"], "ON") {
		c.setting(cdc.LevelFail, "binlog_transaction_compression", "OFF", "Waybill does not read compressed transactions")
	}
	if strings.EqualFold(v["mysql56_temporal_format"], "OFF") {
		c.setting(cdc.LevelWarn, "mysql56_temporal_format", "ON", "the width of fractional seconds in the old format is not in the log")
	}
}

func (c *checker) retention() {
	v := c.server.variables
	seconds, _ := strconv.ParseFloat(v["binlog_expire_logs_seconds"], 64) // absent on older servers: 0
	days, _ := strconv.ParseFloat(v["expire_logs_days"], 64)
	keep := time.Duration(seconds) * time.Second
	if keep == 0 {
		keep = time.Duration(days * float64(24*time.Hour))
	}
	switch {
	case keep == 0:
		c.ok("binlog retention", "unlimited")
	case keep < minRetention:
		c.bad(cdc.LevelWarn, "binlog retention", keep.String(), minRetention.String()+" or more",
			"a longer stop of Waybill would need a new snapshot", fmt.Sprintf("SET GLOBAL binlog_expire_logs_seconds = %d;", int(7*24*time.Hour/time.Second)))
	default:
		c.ok("binlog retention", keep.String())
	}
}

func (c *checker) identity() {
	v := c.server.variables
	switch {
	case v["server_id"] == "" || v["server_id"] == "0":
		c.bad(cdc.LevelFail, "server_id", "0", "a number of its own", "the server refuses replicas", "SET GLOBAL server_id = 1; -- and in the server's option file")
	case v["server_id"] == strconv.FormatUint(uint64(c.cfg.ServerID), 10):
		c.bad(cdc.LevelFail, "server_id", v["server_id"]+", which is ours too", "two different ids", "the server would take us for itself", "set server_id of source "+c.cfg.Name+" to another number")
	default:
		c.ok("server_id", v["server_id"])
	}
	switch {
	case c.cfg.Flavor == MySQL && !strings.EqualFold(v["gtid_mode"], "ON"):
		level := cdc.LevelWarn
		if c.cfg.GTID == gtidOn {
			level = cdc.LevelFail
		}
		c.bad(level, "gtid_mode", v["gtid_mode"], "ON", "without GTIDs Waybill cannot go on with a replica after a failover", "SET GLOBAL gtid_mode = ON; -- step by step, see the MySQL manual")
	case c.cfg.GTID == gtidOff:
		c.bad(cdc.LevelWarn, "gtid", "off", "auto", "without GTIDs Waybill cannot go on with a replica after a failover, nor see that a restored server wrote another history", "gtid: auto")
	default:
		c.ok("gtid", "domain "+v["gtid_domain_id"]+v["gtid_mode"])
	}
}

func (c *checker) grants(ctx context.Context) error {
	list, err := c.conn.query(ctx, "SHOW GRANTS")
	if err != nil {
		return err
	}
	var global []string
	for _, row := range list {
		grant := strings.ToUpper(row[0])
		if rights, _, ok := strings.Cut(grant, " ON *.* "); ok {
			global = append(global, strings.Split(strings.TrimPrefix(rights, "GRANT "), ", ")...)
		}
	}
	monitor := []string{"BINLOG MONITOR", "REPLICATION CLIENT", "SUPER"}
	user := "CURRENT_USER()"
	if who, err := c.conn.query(ctx, "SELECT CURRENT_USER()"); err != nil {
		return err
	} else if name, host, ok := strings.Cut(who.one(), "@"); ok {
		user = quote(name) + "@" + quote(host)
	}
	for _, need := range []struct {
		name, why string
		any       []string
	}{
		{"REPLICATION SLAVE", "it allows reading the binary log", []string{"REPLICATION SLAVE", "REPLICATION REPLICA"}},
		{monitor[c.monitorName()], "it allows asking where the log begins and ends", monitor},
	} {
		if slices.ContainsFunc(global, func(g string) bool { return g == "ALL PRIVILEGES" || slices.Contains(need.any, g) }) {
			c.ok("grant "+need.name, "granted")
			continue
		}
		c.bad(cdc.LevelFail, "grant "+need.name, "not granted", need.name+" ON *.*", need.why, "GRANT "+need.name+" ON *.* TO "+user+";")
	}
	if c.cfg.Flavor == MySQL && !slices.Contains(global, "RELOAD") && !slices.Contains(global, "ALL PRIVILEGES") {
		c.bad(cdc.LevelWarn, "grant RELOAD", "not granted", "RELOAD ON *.*", "a snapshot begins with FLUSH TABLES WITH READ LOCK", "GRANT RELOAD ON *.* TO "+user+";")
	}
	return nil
}

// monitorName tells which of its names the right to see the log has on this server.
func (c *checker) monitorName() int {
	if c.cfg.Flavor == MariaDB && c.server.atLeast(10, 5) {
		return 0
	}
	return 1
}

func (c *checker) clock(ctx context.Context) error {
	asked := time.Now()
	answer, err := c.conn.query(ctx, "SELECT UTC_TIMESTAMP(6)")
	if err != nil {
		return err
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999", answer.one())
	if err != nil {
		return fmt.Errorf("reading the server's clock: %w", err)
	}
	skew := at.Sub(asked).Round(time.Millisecond)
	if skew.Abs() > maxClockSkew {
		c.bad(cdc.LevelWarn, "clock", skew.String()+" from ours", "less than "+maxClockSkew.String(), "lag in seconds is shown wrongly; no rule goes by our clock", "synchronise both machines by NTP")
	} else {
		c.ok("clock", skew.String()+" from ours")
	}
	zone := c.server.variables["time_zone"]
	if zone == "SYSTEM" {
		zone = c.server.variables["system_time_zone"]
	}
	c.ok("time zone", zone+" (DATETIME columns are in the applications' own; the mapping says which)")
	return nil
}

// table checks one selected table.
func (c *checker) table(ctx context.Context, sel *selected) error {
	name := sel.table.String()
	info, err := c.conn.describe(ctx, sel.table, c.cfg.Flavor == MariaDB)
	if err != nil {
		return err
	}
	if info == nil {
		c.bad(cdc.LevelFail, "table "+name, "missing, or without SELECT for us", "a table that we may read", "the mapping reads it",
			"GRANT SELECT ON "+tableIdent(sel.table)+" TO "+quote(c.cfg.User)+";")
		return nil
	}
	if _, err := c.conn.query(ctx, "SELECT 1 FROM "+tableIdent(sel.table)+" LIMIT 0"); err != nil {
		c.bad(cdc.LevelFail, "table "+name, err.Error(), "a table that we may read", "the snapshot reads it", "GRANT SELECT ON "+tableIdent(sel.table)+" TO "+quote(c.cfg.User)+";")
		return nil
	}
	switch {
	case info.form == "SYSTEM VERSIONED":
		c.bad(cdc.LevelFail, "table "+name, info.form, "BASE TABLE", "the log of a versioned table has its history rows among the changes", "read a table without system versioning")
	case info.form != "BASE TABLE":
		c.bad(cdc.LevelFail, "table "+name, info.form, "BASE TABLE", "the log has no rows of it", "name the tables below it")
	default:
		c.ok("table "+name, strconv.Itoa(len(info.columns))+" columns")
	}
	if !strings.EqualFold(info.engine, "InnoDB") && info.form == "BASE TABLE" {
		c.bad(cdc.LevelWarn, "engine of "+name, info.engine, "InnoDB", "a snapshot does not see such a table at one moment, and its changes cannot be rolled back", "ALTER TABLE "+tableIdent(sel.table)+" ENGINE=InnoDB;")
	}
	c.keys(sel, info)
	c.columns(sel, info)
	return nil
}

func (c *checker) keys(sel *selected, info *tableInfo) {
	name := sel.table.String()
	var keys, masked []string
	for _, col := range info.columns {
		if col.key {
			keys = append(keys, col.name)
			if slices.Contains(sel.masked, col.name) {
				masked = append(masked, col.name)
			}
		}
	}
	switch {
	case len(keys) == 0:
		c.bad(cdc.LevelWarn, "primary key of "+name, "none", "a primary key", "rows cannot be told apart by a key", "")
	case len(masked) > 0:
		c.bad(cdc.LevelFail, "primary key of "+name, strings.Join(masked, ", ")+" is masked", "a key that may be read", "a row without its key belongs to nothing", "take it out of masked")
	default:
		c.ok("primary key of "+name, strings.Join(keys, ", "))
	}
}

func (c *checker) columns(sel *selected, info *tableInfo) {
	for _, name := range slices.Concat(sel.columns, sel.old) {
		check := "column " + sel.table.String() + "." + name
		switch {
		case slices.Contains(sel.masked, name):
			c.bad(cdc.LevelFail, check, "masked, and read by the mapping", "one of the two", "a masked column is never captured", "take it out of masked, or out of the mapping")
		case info.column(name) == nil:
			c.bad(cdc.LevelFail, check, "missing", "a column of the table", "the mapping reads it", "")
		}
	}
	for i := range info.columns {
		col := &info.columns[i]
		captured := col.captured()
		if !sel.keeps(&captured) {
			continue
		}
		check := "column " + sel.table.String() + "." + col.name
		switch {
		case captured.Kind == cdc.KindUnsupported:
			c.bad(cdc.LevelFail, check, col.text, "a type that can be carried exactly", "see cdc/mysql/TYPES.md", "leave the column out of the mapping, or give it another type")
		case col.charset != "" && !charsetKnown(col.charset):
			c.bad(cdc.LevelFail, check, "charset "+col.charset, "utf8mb4, utf8mb3, ascii, latin1 or another in TYPES.md", "its text cannot be carried exactly",
				"ALTER TABLE "+tableIdent(sel.table)+" CONVERT TO CHARACTER SET utf8mb4;")
		}
	}
}
