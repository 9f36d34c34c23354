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

// grants looks at what our user may do: no less than we need, and not much more.
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
	who, err := c.conn.query(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return err
	}
	c.user = "CURRENT_USER()"
	if name, host, ok := cutLastAt(who.one()); ok {
		c.user = quote(name) + "@" + quote(host)
	}
	has := func(any ...string) bool {
		return slices.ContainsFunc(global, func(g string) bool { return g == "ALL PRIVILEGES" || slices.Contains(any, g) })
	}
	c.grant(cdc.LevelFail, aboutReplication, "REPLICATION SLAVE", "it allows reading the binary log", has("REPLICATION SLAVE", "REPLICATION REPLICA"))
	monitor := "REPLICATION CLIENT"
	if c.cfg.Flavor == MariaDB && c.server.atLeast(10, 5) {
		monitor = "BINLOG MONITOR"
	}
	c.grant(cdc.LevelFail, aboutMonitor, monitor, "it allows asking where the log begins and ends", has("BINLOG MONITOR", "REPLICATION CLIENT", "SUPER"))
	if c.cfg.Flavor == MySQL {
		c.grant(cdc.LevelWarn, aboutReload, "RELOAD", "a snapshot begins with FLUSH TABLES WITH READ LOCK", has("RELOAD"))
	} else {
		c.ok(aboutReload, "not needed on MariaDB")
	}
	var more []string
	for _, g := range global {
		if slices.Contains([]string{"ALL PRIVILEGES", "SUPER", "INSERT", "UPDATE", "DELETE", "DROP", "CREATE USER", "FILE"}, g) {
			more = append(more, g)
		}
	}
	if len(more) == 0 {
		c.ok(aboutPrivileges, c.user)
		return nil
	}
	c.warn(aboutPrivileges, c.user+" has "+strings.Join(more, ", ")+" on every database", "a user of its own with the grants above and SELECT",
		"whoever gets hold of its password owns the databases", "see cdc/mysql/testdata/user.sql for a user that may do what Waybill does and no more")
	return nil
}

func (c *checker) grant(level cdc.Level, check topic, name, why string, has bool) {
	if has {
		c.ok(check, name)
		return
	}
	c.bad(level, check, "not granted", name+" ON *.*", why, "GRANT "+name+" ON *.* TO "+c.user+";")
}

// cutLastAt splits name@host; a name may hold an @.
func cutLastAt(s string) (name, host string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func (c *checker) encryption(ctx context.Context) error {
	status, err := c.conn.query(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	if err != nil {
		return err
	}
	switch {
	case len(status) > 0 && status[0][1] != "":
		c.ok(aboutEncryption, "on, "+status[0][1]+", tls.mode "+c.cfg.TLS.Mode)
	case c.cfg.local():
		c.ok(aboutEncryption, "off, on this machine")
	default:
		c.warn(aboutEncryption, "off", "tls.mode verify, or at least require", "the password's proof and every row cross the network in the clear",
			"tls: {mode: verify, ca: <file>} -- in the configuration; and ALTER USER "+c.user+" REQUIRE SSL;")
	}
	return nil
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
		c.warn(aboutClock, skew.String()+" from ours", "less than "+maxClockSkew.String(), "lag in seconds is shown wrongly; no rule goes by our clock", "synchronise both machines by NTP")
	} else {
		c.ok(aboutClock, skew.String()+" from ours")
	}
	v := c.server.variables
	zone := v["time_zone"]
	if zone == "SYSTEM" {
		zone = v["system_time_zone"]
	}
	c.ok(aboutTimeZone, zone+" (DATETIME columns are in the applications' own; the mapping says which)")
	if charsetKnown(v["character_set_server"]) {
		c.ok(aboutCharset, v["character_set_server"]+"; each column is read by its own")
	} else {
		c.warn(aboutCharset, v["character_set_server"], "utf8mb4", "text of new tables could not be carried exactly", setGlobal("character_set_server", "utf8mb4"))
	}
	c.ok(aboutNames, v["lower_case_table_names"]+map[bool]string{true: "; names are compared exactly", false: "; name tables in lower case"}[v["lower_case_table_names"] == "0"])
	return nil
}

// tooOld is how long a transaction may run before a person is told.
const tooOld = 10 * time.Minute

func (c *checker) oldest(ctx context.Context) error {
	age, id, err := c.conn.oldest(ctx)
	if err != nil {
		return err
	}
	c.list = append(c.list, checkOldest(age, id))
	return nil
}

func checkOldest(age time.Duration, id string) cdc.Finding {
	c := &checker{}
	switch {
	case age < 0:
		c.ok(aboutOldest, "not visible to our user; GRANT PROCESS would show them, and every statement of others too")
	case age < tooOld:
		c.ok(aboutOldest, fmt.Sprintf("the oldest has run for %s", age))
	default:
		c.warn(aboutOldest, fmt.Sprintf("connection %s has been in a transaction for %s", id, age), "none longer than 10m",
			"its changes reach the log, and us, only at its end; and a snapshot on MySQL waits for it", "KILL "+id+";")
	}
	return c.list[0]
}

// oldest returns the age of the oldest transaction and its connection; -1 when the user may not see those of others.
func (c *conn) oldest(ctx context.Context) (age time.Duration, id string, err error) {
	found, seen, err := c.asked(ctx, `SELECT GREATEST(0, TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))), trx_mysql_thread_id
		FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) ORDER BY trx_started LIMIT 1`)
	if err != nil || !seen {
		return -1, "", err
	}
	if len(found) == 0 {
		return 0, "", nil
	}
	seconds, err := strconv.ParseInt(found[0][0], 10, 64)
	if err != nil {
		return -1, "", fmt.Errorf("reading the age of the oldest transaction: %w", err)
	}
	return time.Duration(seconds) * time.Second, found[0][1], nil
}
