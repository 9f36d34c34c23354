package mysql

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// serverInfo is what Waybill asks a server about itself before it reads anything.
type serverInfo struct {
	flavor    string
	version   string
	id        string // server id, or MySQL's server_uuid
	domain    string // MariaDB's GTID domain
	gtid      bool   // positions carry GTIDs
	gtids     string // all of its log
	variables map[string]string
}

var asked = []string{"version", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "binlog_row_value_options",
	"server_id", "server_uuid", "gtid_domain_id", "gtid_binlog_pos", "gtid_mode", "gtid_executed", "gtid_purged", "gtid_strict_mode",
	"expire_logs_days", "binlog_expire_logs_seconds", "binlog_transaction_compression", "mysql56_temporal_format",
	"lower_case_table_names", "log_slave_updates", "log_replica_updates", "sync_binlog", "encrypt_binlog", "binlog_encryption",
	"max_connections", "character_set_server", "max_binlog_total_size", "max_allowed_packet", "binlog_checksum", "read_only", "time_zone", "system_time_zone"}

func (c *Config) inspect(ctx context.Context, conn *conn) (*serverInfo, error) {
	vars, err := conn.variables(ctx, asked...)
	if err != nil {
		return nil, err
	}
	s := &serverInfo{flavor: c.Flavor, version: vars["version"], variables: vars}
	if c.Flavor == MySQL {
		s.id, s.gtid = vars["server_uuid"], strings.EqualFold(vars["gtid_mode"], "ON")
		s.gtids = strings.ReplaceAll(vars["gtid_executed"], "\n", "")
	} else {
		s.id, s.domain, s.gtid, s.gtids = vars["server_id"], vars["gtid_domain_id"], true, vars["gtid_binlog_pos"]
	}
	if c.GTID == gtidOff {
		s.gtid = false
	}
	return s, nil
}

// position returns a position on this server without a place.
func (s *serverInfo) position() position {
	p := position{flavor: s.flavor, server: s.id}
	p.history = p.ownHistory()
	if s.flavor == MariaDB {
		p.history = MariaDB + "/" + s.id + "-" + s.domain
	}
	return p
}

// atLeast compares the version's numbers.
func (s *serverInfo) atLeast(major, minor int) bool {
	parts := strings.SplitN(s.version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (a > major || a == major && b >= minor)
}

// logFile is one file of the binary log.
type logFile struct {
	name string
	size uint64
}

// logFiles lists the files, oldest first.
func (c *conn) logFiles(ctx context.Context) ([]logFile, error) {
	list, err := c.query(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return nil, err
	}
	out := make([]logFile, len(list))
	for i, row := range list {
		if out[i].size, err = strconv.ParseUint(row[1], 10, 64); err != nil {
			return nil, fmt.Errorf("reading the size of %s: %w", row[0], err)
		}
		out[i].name = row[0]
	}
	return out, nil
}

// logEnd returns where the log ends now.
func (c *conn) logEnd(ctx context.Context, flavor string) (file string, pos uint64, err error) {
	if flavor == MySQL { // SHOW MASTER STATUS has another name there since 8.2
		files, err := c.logFiles(ctx)
		if err != nil || len(files) == 0 {
			return "", 0, err
		}
		last := files[len(files)-1]
		return last.name, last.size, nil
	}
	status, err := c.query(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return "", 0, err
	}
	if len(status) == 0 {
		return "", 0, fmt.Errorf("the server has no binary log (log_bin is off)")
	}
	pos, err = strconv.ParseUint(status[0][1], 10, 64)
	return status[0][0], pos, err
}

// gtidsAt returns the GTIDs before a place in MariaDB's log. ok is false when no event begins or ends there.
func (c *conn) gtidsAt(ctx context.Context, file string, pos uint64) (gtids string, ok bool, err error) {
	out, err := c.query(ctx, fmt.Sprintf("SELECT IFNULL(BINLOG_GTID_POS(%s, %d), '-')", quote(file), pos))
	if err != nil || out.one() == "-" {
		return "", false, err
	}
	return out.one(), true, nil
}

// behind sums the bytes of log after a place; -1 when its file is not there.
func behind(files []logFile, file string, pos uint64) int64 {
	at := slices.IndexFunc(files, func(f logFile) bool { return f.name == file })
	if at < 0 {
		return -1
	}
	var n int64
	for _, f := range files[at:] {
		n += int64(f.size)
	}
	return max(0, n-int64(pos))
}

// hostname is how we are named among the server's replicas, for people to see; it may be empty.
func hostname() string {
	host, _ := os.Hostname()
	return host[:min(len(host), 60)]
}
