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

func (c *checker) version() {
	mariadb := strings.Contains(strings.ToLower(c.server.version), "mariadb")
	switch {
	case mariadb != (c.cfg.Flavor == MariaDB):
		other := map[bool]string{true: MariaDB, false: MySQL}[mariadb]
		c.bad(cdc.LevelFail, aboutVersion, c.server.version, c.cfg.Flavor, "the logs of the two differ", "set flavor: "+other)
	case mariadb && !c.server.atLeast(10, 5):
		c.warn(aboutVersion, c.server.version, "MariaDB 10.5 or later", "older logs have no column names", "")
	case !mariadb && !c.server.atLeast(8, 0):
		c.warn(aboutVersion, c.server.version, "MySQL 8.0 or later", "older logs have no column names", "")
	default:
		c.ok(aboutVersion, c.server.version)
	}
	found := "server_uuid " + c.server.id
	if c.cfg.Flavor == MariaDB {
		found = "server_id " + c.server.id + ", GTID domain " + c.server.domain
	}
	c.ok(aboutIdentity, found)
}

// log looks at what the binary log holds.
func (c *checker) log() {
	v := c.server.variables
	if strings.EqualFold(v["log_bin"], "ON") {
		c.ok(aboutLog, "ON")
	} else {
		c.bad(cdc.LevelFail, aboutLog, "OFF", "ON", "changes are read from the binary log", "log_bin = binlog -- in the server's option file, then restart the server")
	}
	c.setting(cdc.LevelFail, aboutFormat, "ROW", "the other formats log statements, not the rows that they changed")
	c.setting(cdc.LevelWarn, aboutImage, "FULL", "otherwise old values, and columns that did not change, are absent from the log")
	c.setting(cdc.LevelWarn, aboutMetadata, "FULL", "otherwise the log has no column names: rows are read by the history of the table's definitions alone, and held where that has a gap")
	c.unless(aboutValueOptions, "", "an update would hold only parts of a JSON value")
	if found, has := v[string(aboutCompression)]; has {
		c.ok(aboutCompression, found+"; compressed transactions are read all the same")
	} else {
		c.ok(aboutCompression, "not known to this server")
	}
	if strings.EqualFold(v["mysql56_temporal_format"], "OFF") {
		c.setting(cdc.LevelWarn, aboutTemporal, "ON", "the width of fractional seconds in the old format is not in the log")
	} else {
		c.ok(aboutTemporal, "ON")
	}
	secret := v["encrypt_binlog"] + v["binlog_encryption"]
	if secret == "" {
		secret = "OFF"
	}
	c.ok(aboutLogSecrecy, secret+"; of the files on the server's disk, which it opens for us")
}

// unless fails when a setting that not every server has is other than it should be.
func (c *checker) unless(check topic, want, why string) {
	if found, has := c.server.variables[string(check)]; !has || strings.EqualFold(found, want) {
		c.ok(check, map[bool]string{true: found, false: "not known to this server"}[has])
		return
	}
	c.setting(cdc.LevelFail, check, want, why)
}

// filters looks for databases that the server leaves out of its log.
func (c *checker) filters(ctx context.Context) error {
	status, seen, err := c.conn.asked(ctx, "SHOW MASTER STATUS")
	if err == nil && !seen { // its name since MySQL 8.2
		status, seen, err = c.conn.asked(ctx, "SHOW BINARY LOG STATUS")
	}
	if err != nil {
		return err
	}
	if !seen || len(status) == 0 || len(status[0]) < 4 {
		c.ok(aboutFilters, "not visible to our user")
		return nil
	}
	only, without := list(status[0][2]), list(status[0][3])
	out := func(db string) bool {
		return len(only) > 0 && !slices.Contains(only, db) || slices.Contains(without, db)
	}
	switch {
	case out(c.cfg.Database):
		c.bad(cdc.LevelFail, aboutFilters, fmt.Sprintf("binlog_do_db %q, binlog_ignore_db %q", status[0][2], status[0][3]), "none for database "+c.cfg.Database,
			"changes of the database are not in the log", "take binlog_do_db and binlog_ignore_db out of the server's option file, then restart the server")
	case len(only)+len(without) > 0:
		c.ok(aboutFilters, fmt.Sprintf("binlog_do_db %q, binlog_ignore_db %q: not for database %s", status[0][2], status[0][3], c.cfg.Database))
	default:
		c.ok(aboutFilters, "none")
	}
	return nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// retention looks at how safe the log is, and for how long it is kept.
func (c *checker) retention(context.Context) error {
	v := c.server.variables
	if n := v["sync_binlog"]; n == "1" {
		c.ok(aboutSync, n)
	} else {
		c.warn(aboutSync, n, "1", "after a power cut the log may end before what Waybill has read; it would see that and refuse to go on", setGlobal("sync_binlog", "1"))
	}
	switch keep := c.server.retention(); {
	case keep == 0:
		c.ok(aboutRetention, "unlimited")
	case keep < minRetention:
		c.warn(aboutRetention, keep.String(), minRetention.String()+" or more", "a longer stop of Waybill would need a new snapshot", c.server.keepLongerSQL())
	default:
		c.ok(aboutRetention, keep.String())
	}
	return nil
}

// retention is how long the server keeps a file of its log that it does not write any more; 0 is for ever.
func (s *serverInfo) retention() time.Duration {
	seconds, _ := strconv.ParseFloat(s.variables["binlog_expire_logs_seconds"], 64) // absent on older servers: 0
	if seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	days, _ := strconv.ParseFloat(s.variables["expire_logs_days"], 64)
	return time.Duration(days * float64(24*time.Hour))
}

// keepLongerSQL makes the server keep its log for a week.
func (s *serverInfo) keepLongerSQL() string {
	if _, has := s.variables["binlog_expire_logs_seconds"]; !has {
		return "SET GLOBAL expire_logs_days = 7;"
	}
	return "SET GLOBAL binlog_expire_logs_seconds = 604800;"
}

// replicas looks for another that reads the log under our id: the server would end the older session of the two.
func (c *checker) replicas(ctx context.Context) error {
	v := c.server.variables
	ours := strconv.FormatUint(uint64(c.cfg.ServerID), 10)
	switch v["server_id"] {
	case "", "0":
		c.bad(cdc.LevelFail, aboutServerID, "0", "a number of its own", "the server refuses replicas", "SET GLOBAL server_id = 1; -- and in the server's option file")
	case ours:
		c.bad(cdc.LevelFail, aboutServerID, ours+", which is ours too", "two different ids", "the server would take us for itself", c.otherID())
	default:
		c.ok(aboutServerID, v["server_id"])
	}
	hosts, seen, err := c.conn.asked(ctx, "SHOW SLAVE HOSTS")
	if err == nil && !seen { // its name since MySQL 8.4
		hosts, seen, err = c.conn.asked(ctx, "SHOW REPLICAS")
	}
	if err != nil {
		return err
	}
	for _, row := range hosts {
		if len(row) > 1 && row[0] == ours && row[1] != hostname() { // one of this machine is our own last session, or is told at Next
			c.bad(cdc.LevelFail, aboutReplicas, fmt.Sprintf("the replica on %q uses server_id %s, as we do", row[1], ours), "an id that no other has",
				"the server would end that replica's session when ours begins", c.otherID())
			return nil
		}
	}
	c.ok(aboutReplicas, map[bool]string{true: fmt.Sprintf("%d replicas, none with %s", len(hosts), ours), false: "not visible to our user"}[seen])
	return nil
}

// otherID names a setting with an id that this source does not have.
func (c *checker) otherID() string { return otherID(c.cfg) }

func otherID(cfg *Config) string {
	return fmt.Sprintf("in the configuration of source %s: server_id: %d", cfg.Name, cfg.ServerID^0x2a5f)
}

func (c *checker) gtid(context.Context) error {
	v := c.server.variables
	const why = "without GTIDs Waybill cannot go on with a replica after a failover"
	switch {
	case c.cfg.Flavor == MySQL && !strings.EqualFold(v["gtid_mode"], "ON"):
		level := cdc.LevelWarn
		if c.cfg.GTID == gtidOn {
			level = cdc.LevelFail
		}
		c.bad(level, aboutGTID, v["gtid_mode"], "ON", why, "SET GLOBAL gtid_mode = ON; -- step by step, see the MySQL manual")
	case c.cfg.GTID == gtidOff:
		c.warn(aboutGTID, "off", "auto", why+", nor see that a restored server wrote another history", "gtid: auto")
	default:
		c.ok(aboutGTID, "domain "+v["gtid_domain_id"]+v["gtid_mode"])
	}
	switch {
	case c.cfg.Flavor == MySQL:
		c.ok(aboutStrict, "not known to MySQL")
	case strings.EqualFold(v["gtid_strict_mode"], "ON"):
		c.ok(aboutStrict, "ON")
	default:
		c.warn(aboutStrict, "OFF", "ON", "a replica that was written to by mistake may have other transactions under the same GTIDs", setGlobal("gtid_strict_mode", "1")+" -- and in the server's option file")
	}
	return nil
}

// primary tells whether the server is a replica itself; then the changes of its primary must be in its own log.
func (c *checker) primary(ctx context.Context) error {
	status, seen, err := c.conn.askedNamed(ctx, "SHOW SLAVE STATUS")
	if err == nil && !seen {
		status, seen, err = c.conn.askedNamed(ctx, "SHOW REPLICA STATUS")
	}
	if err != nil {
		return err
	}
	running, _, err := c.conn.asked(ctx, "SHOW GLOBAL STATUS LIKE 'Slaves_running'") // visible to all, on MariaDB
	if err != nil {
		return err
	}
	replica, found := len(status) > 0 || len(running) > 0 && running[0][1] != "0", "a replica"
	if !replica {
		c.ok(aboutPrimary, "the primary")
		return nil
	}
	behind := int64(-1)
	if seen && len(status) > 0 {
		text := status[0]["Seconds_Behind_Master"] + status[0]["Seconds_Behind_Source"]
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			behind, found = n, fmt.Sprintf("a replica, %s behind", time.Duration(n)*time.Second)
		}
	}
	v := c.server.variables
	switch {
	case !strings.EqualFold(v["log_slave_updates"]+v["log_replica_updates"], "ON"):
		c.bad(cdc.LevelFail, aboutPrimary, found+" with log_slave_updates OFF", "log_slave_updates ON, or the primary", "the primary's changes are not in the replica's own log",
			"log_slave_updates = ON -- in the server's option file, then restart the server; or point the source at the primary")
	case behind > 60:
		c.warn(aboutPrimary, found, "less than 1m behind", "events come as late as the replica", "SHOW SLAVE STATUS; -- on the replica, for the reason")
	default:
		c.ok(aboutPrimary, found)
	}
	return nil
}

func (c *checker) connections(ctx context.Context) error {
	status, err := c.conn.query(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
	if err != nil {
		return err
	}
	limit, _ := strconv.Atoi(c.server.variables["max_connections"]) // a number that the server made
	used := 0
	if len(status) > 0 {
		used, _ = strconv.Atoi(status[0][1])
	}
	found := fmt.Sprintf("%d of %d free", max(0, limit-used), limit)
	if limit-used >= 4 {
		c.ok(aboutConnections, found)
		return nil
	}
	c.warn(aboutConnections, found, "at least 4 free", "beside the stream Waybill asks the catalog, reads tables, and looks after the log",
		fmt.Sprintf("SET GLOBAL max_connections = %d; -- and in the server's option file", limit+4))
	return nil
}
