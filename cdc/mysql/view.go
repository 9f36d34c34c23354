package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// place is a place in a log, in the form that Tx.XID and a view carry: "<opening>/<server>/<number of the file>:<position>".
// A transaction's lies inside its event group, a view's behind the last group that the rows include.
type place struct {
	opening string // see position
	server  string
	file    int
	pos     uint64
}

func (p place) String() string {
	out := make([]byte, 0, 64)
	out = append(append(append(append(out, p.opening...), '/'), p.server...), '/')
	out = append(strconv.AppendInt(out, int64(p.file), 10), ':')
	return string(strconv.AppendUint(out, p.pos, 10))
}

func parsePlace(s string) (place, error) {
	bad := fmt.Errorf("place %q is not in the form opening/server/file:position", s)
	parts := strings.Split(s, "/")
	if len(parts) != 3 || parts[1] == "" {
		return place{}, bad
	}
	file, pos, _ := strings.Cut(parts[2], ":")
	number, err1 := strconv.Atoi(file)
	at, err2 := strconv.ParseUint(pos, 10, 64)
	if err1 != nil || err2 != nil {
		return place{}, bad
	}
	return place{parts[0], parts[1], number, at}, nil
}

// viewOf returns the text of what rows include that were read at p: the codec, the place, and MySQL's GTID set.
func viewOf(p *position) string {
	out := CodecText + " " + place{p.opening, p.server, fileNumber(p.file), p.pos}.String()
	if p.flavor == MySQL && p.gtids != "" {
		out += " " + p.gtids
	}
	return out
}

// Sees implements cdc.Viewer. Rows include the transactions of MySQL's GTID set, otherwise those whose groups end before the
// view's place in the same server's log. Places of two openings or servers are an error: nothing tells their order.
func (textCodec) Sees(view string, tx cdc.Tx) (bool, error) {
	name, rest, _ := strings.Cut(view, " ")
	text, gtids, _ := strings.Cut(rest, " ")
	v, err := parsePlace(text)
	if name != CodecText || err != nil {
		return false, fmt.Errorf("view %q is not one of %s", view, CodecText)
	}
	t, err := parsePlace(tx.XID)
	if err != nil {
		return false, fmt.Errorf("transaction %s does not say where it lies in the log: %w", tx.Commit, err)
	}
	if t.opening != v.opening {
		return false, fmt.Errorf("transaction %s was captured under opening %q of the log, and the rows were read under %q: between the two the log may have been reset. Read the table again", tx.Commit, t.opening, v.opening)
	}
	if gtids != "" && !strings.Contains(tx.Commit, ".") { // a file's name has a point, a GTID has none
		return inGTIDs(gtids, tx.Commit)
	}
	if t.server != v.server {
		return false, fmt.Errorf("transaction %s comes from server %s, and the rows were read on server %s. Read the table again", tx.Commit, t.server, v.server)
	}
	return t.file < v.file || t.file == v.file && t.pos <= v.pos, nil
}

func inGTIDs(set, gtid string) (bool, error) {
	have, err := driver.ParseMysqlGTIDSet(set)
	if err != nil {
		return false, fmt.Errorf("reading the GTID set of a view: %w", err)
	}
	one, err := driver.ParseMysqlGTIDSet(gtid)
	if err != nil {
		return false, fmt.Errorf("reading GTID %q of a transaction: %w", gtid, err)
	}
	return have.Contain(one), nil
}

// see begins a transaction with a consistent snapshot and returns exactly what it sees; on MariaDB without GTIDs, which
// cost a walk through the file. The session must be at REPEATABLE READ.
func (c *Config) see(ctx context.Context, conn *conn, server *serverInfo) (position, error) {
	if c.Flavor == MariaDB {
		return seeMariaDB(ctx, conn, server)
	}
	if server.gtid {
		for range quietTries {
			at, ok, err := seeMySQL(ctx, conn, server)
			if err != nil || ok {
				return at, err
			}
		}
	}
	return c.seeLocked(ctx, conn, server)
}

// seeMariaDB learns the place without any lock: the server remembers the last commit that became visible before the
// snapshot (binlog_snapshot_file and _position, mariadb.com/kb: Replication and Binary Log Status Variables).
func seeMariaDB(ctx context.Context, conn *conn, server *serverInfo) (position, error) {
	at := server.position()
	if err := conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return at, err
	}
	status, err := conn.query(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return at, err
	}
	for _, row := range status {
		switch strings.ToLower(row[0]) {
		case "binlog_snapshot_file":
			at.file = row[1]
		case "binlog_snapshot_position":
			if at.pos, err = strconv.ParseUint(row[1], 10, 64); err != nil {
				return at, fmt.Errorf("reading binlog_snapshot_position: %w", err)
			}
		}
	}
	if at.file == "" {
		return at, errors.New("the server does not tell binlog_snapshot_file: is its binary log on?")
	}
	return at, nil
}

// quietTries is how often a moment without a commit is looked for on MySQL before its commits are held up for one.
const quietTries = 100

// seeMySQL looks for a moment without a commit. A transaction is in the log before its rows are visible, and its GTID is
// executed after that; in between the GTID is owned. So a snapshot during which gtid_executed did not change, and after
// which nothing is owned, includes gtid_executed and nothing else, and the log ends behind just these.
func seeMySQL(ctx context.Context, conn *conn, server *serverInfo) (at position, quiet bool, err error) {
	at = server.position()
	if at.gtids, err = conn.executed(ctx); err != nil {
		return at, false, err
	}
	if err := conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return at, false, err
	}
	if at.file, at.pos, err = conn.logEnd(ctx, MySQL); err != nil {
		return at, false, err
	}
	owned, err := conn.query(ctx, "SELECT @@GLOBAL.gtid_owned")
	if err != nil || owned.one() != "" {
		return at, false, err
	}
	after, err := conn.executed(ctx)
	return at, after == at.gtids, err
}

func (c *conn) executed(ctx context.Context) (string, error) {
	set, err := c.query(ctx, "SELECT @@GLOBAL.gtid_executed")
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == ' ' {
			return -1
		}
		return r
	}, set.one()), err
}

// seeLocked holds commits up for a moment. Writers wait while the lock is waited for, which is a second at most
// (Invariant 13), and for the few statements that it is held.
func (c *Config) seeLocked(ctx context.Context, conn *conn, server *serverInfo) (at position, err error) {
	at = server.position()
	lock, err := c.dial(ctx)
	if err != nil {
		return at, err
	}
	defer lock.close() // which releases the lock, whatever happened
	if err := lock.exec(ctx, "SET SESSION lock_wait_timeout = 1"); err != nil {
		return at, err
	}
	if err := lock.exec(ctx, "FLUSH TABLES WITH READ LOCK"); err != nil {
		return at, fmt.Errorf("locking for the snapshot's beginning (a long statement or transaction is running; try again later): %w", err)
	}
	if err := conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return at, err
	}
	if at.file, at.pos, err = lock.logEnd(ctx, c.Flavor); err != nil {
		return at, err
	}
	if server.gtid {
		if at.gtids, err = lock.executed(ctx); err != nil {
			return at, err
		}
	}
	return at, lock.exec(ctx, "UNLOCK TABLES")
}

// openingOf names an opening by the server's clock, in milliseconds.
func openingOf(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 36) }
