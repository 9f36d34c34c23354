package mysql

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// topic is the stable name of a check; "…" stands for the thing that it looks at. CHECKS.md explains each, and a test
// compares the two.
type topic string

// The checks, in the order of their findings.
const (
	aboutVersion      topic = "version"
	aboutIdentity     topic = "server identity"
	aboutLog          topic = "log_bin"
	aboutFormat       topic = "binlog_format"
	aboutImage        topic = "binlog_row_image"
	aboutMetadata     topic = "binlog_row_metadata"
	aboutValueOptions topic = "binlog_row_value_options"
	aboutCompression  topic = "binlog_transaction_compression"
	aboutTemporal     topic = "mysql56_temporal_format"
	aboutLogSecrecy   topic = "binlog encryption"
	aboutFilters      topic = "binlog filters"
	aboutSync         topic = "sync_binlog"
	aboutRetention    topic = "binlog retention"
	aboutRunway       topic = "log runway"
	aboutServerID     topic = "server_id"
	aboutReplicas     topic = "server_id among replicas"
	aboutGTID         topic = "gtid"
	aboutStrict       topic = "gtid_strict_mode"
	aboutPrimary      topic = "primary"
	aboutConnections  topic = "free connections"
	aboutReplication  topic = "grant REPLICATION SLAVE"
	aboutMonitor      topic = "grant to see the log"
	aboutReload       topic = "grant RELOAD"
	aboutPrivileges   topic = "user has no more than it needs"
	aboutEncryption   topic = "encryption"
	aboutClock        topic = "clock"
	aboutTimeZone     topic = "time zone"
	aboutCharset      topic = "character set"
	aboutNames        topic = "lower_case_table_names"
	aboutOldest       topic = "long transactions"
	aboutTable        topic = "table …"
	aboutEngine       topic = "engine of …"
	aboutKey          topic = "primary key of …"
	aboutForeign      topic = "foreign keys of …"
	aboutOld          topic = "old values of …"
	aboutColumn       topic = "column …"
)

// of names the check of one thing.
func (t topic) of(thing string) topic { return topic(strings.Replace(string(t), "…", thing, 1)) }

// minRetention is how long the server should keep its log: a long weekend.
const minRetention = 3 * 24 * time.Hour

// maxClockSkew is how far the clocks may differ before a person is told.
const maxClockSkew = 5 * time.Second

// checker gathers findings in order.
type checker struct {
	cfg    *Config
	conn   *conn
	server *serverInfo
	user   string // as grants name it
	list   []cdc.Finding
}

func (c *checker) ok(check topic, found string) {
	c.list = append(c.list, cdc.Finding{Check: string(check), Level: cdc.LevelOK, Found: found})
}

func (c *checker) warn(check topic, found, want, why, fix string) {
	c.bad(cdc.LevelWarn, check, found, want, why, fix)
}

func (c *checker) bad(level cdc.Level, check topic, found, want, why, fix string) {
	c.list = append(c.list, cdc.Finding{Check: string(check), Level: level, Found: found, Want: want, Why: why, Fix: fix})
}

// setting checks the global variable that the topic names.
func (c *checker) setting(level cdc.Level, check topic, want, why string) {
	name := string(check)
	found := c.server.variables[name]
	if strings.EqualFold(found, want) {
		c.ok(check, found)
		return
	}
	if found == "" {
		found = "not set"
	}
	c.bad(level, check, found, want, why, setGlobal(name, want)+" -- and in the server's option file")
}

func setGlobal(name, value string) string {
	if _, err := strconv.Atoi(value); err != nil {
		value = quote(value)
	}
	return "SET GLOBAL " + name + " = " + value + ";"
}

// check runs every check. The order is that of the topics, always.
func (s *Source) check(ctx context.Context, conn *conn, server *serverInfo) ([]cdc.Finding, error) {
	c := &checker{cfg: &s.cfg, conn: conn, server: server}
	c.version()
	c.log()
	steps := []func(context.Context) error{c.filters, c.retention, s.runwayCheck(c), c.replicas, c.gtid, c.primary, c.connections,
		c.grants, c.encryption, c.clock, c.oldest}
	for _, step := range steps {
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

// asked runs a statement that the user may not be allowed to run, or the server may not know: then seen is false.
func (c *conn) asked(ctx context.Context, statement string) (out rows, seen bool, err error) {
	out, err = c.query(ctx, statement)
	var refused *driver.MyError
	if errors.As(err, &refused) && !errors.Is(err, cdc.ErrDisconnected) {
		return nil, false, nil
	}
	return out, err == nil, err
}

// askedNamed is asked with the columns by their names.
func (c *conn) askedNamed(ctx context.Context, statement string) (out []map[string]string, seen bool, err error) {
	found, names, err := c.run(ctx, statement)
	var refused *driver.MyError
	if errors.As(err, &refused) && !errors.Is(err, cdc.ErrDisconnected) {
		return nil, false, nil
	}
	for _, row := range found {
		named := map[string]string{}
		for i, name := range names {
			named[name] = row[i]
		}
		out = append(out, named)
	}
	return out, err == nil, err
}
