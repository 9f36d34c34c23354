package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// position is a place in a server's binary log, always behind a whole transaction (Invariant 2). Its text is
//
//	mariadb/<server id>/<file>:<position>/<GTID set>[/<history>[/<opening>]]
//	mysql/<server uuid>/<file>:<position>/<GTID set>[/<history>[/<opening>]]
//
// The history is there only when it does not follow from the server: the source has moved to another one by GTID, or
// MariaDB's GTID domain is not 0. The opening names the Open without a position that the positions go back to: each later Open has
// found the log to go on behind them, so places of one opening and server can be compared. A log that was reset counts from
// the beginning again, files and GTIDs alike, and is read under another opening.
type position struct {
	flavor  string
	server  string // whose file and position these are
	file    string
	pos     uint64
	gtids   string // empty when the server has none
	history string // see identity
	opening string // empty for a position of before there were any
}

func (p position) text() cdc.Position {
	s := fmt.Sprintf("%s/%s/%s:%d/%s", p.flavor, p.server, p.file, p.pos, p.gtids)
	if p.history != p.ownHistory() {
		s += "/" + strings.TrimPrefix(p.history, p.flavor+"/")
	} else if p.opening != "" {
		s += "/"
	}
	if p.opening != "" {
		s += "/" + p.opening
	}
	return cdc.Position(s)
}

// ownHistory returns the identity that follows from the server alone. MariaDB's names the GTID domain, which is mostly 0.
func (p position) ownHistory() string {
	if p.flavor == MariaDB {
		return p.flavor + "/" + p.server + "-0"
	}
	return p.flavor + "/" + p.server
}

// identity is Batch.Identity, and so part of every event id: under another opening the same GTID, or file and place, may be another
// transaction.
func (p position) identity() string {
	if p.opening == "" {
		return p.history
	}
	return p.history + "/" + p.opening
}

func parsePosition(s cdc.Position) (position, error) {
	parts := strings.Split(string(s), "/")
	bad := fmt.Errorf("position %q is not in the form flavor/server/file:position/gtids", s)
	if len(parts) < 4 || len(parts) > 6 || parts[0] != MariaDB && parts[0] != MySQL || parts[1] == "" {
		return position{}, bad
	}
	p := position{flavor: parts[0], server: parts[1], gtids: parts[3]}
	file, pos, ok := strings.Cut(parts[2], ":")
	n, err := strconv.ParseUint(pos, 10, 64)
	if !ok || file == "" || err != nil {
		return position{}, bad
	}
	p.file, p.pos = file, n
	p.history = p.ownHistory()
	if len(parts) > 4 && parts[4] != "" {
		p.history = p.flavor + "/" + parts[4]
	}
	if len(parts) > 5 {
		p.opening = parts[5]
	}
	return p, nil
}

// before reports whether p lies before the place in the same server's log. Files are numbered by their suffix.
func before(file string, pos uint64, thanFile string, thanPos uint64) bool {
	a, b := fileNumber(file), fileNumber(thanFile)
	return a < b || a == b && pos < thanPos
}

func fileNumber(file string) int {
	_, number, _ := cutLast(file)
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}

// gtidSet is the set of transactions that lie before a position. It is changed at each commit and written once a batch.
type gtidSet struct {
	maria map[uint32]mariaGTID // by domain
	mysql *driver.MysqlGTIDSet // nil for MariaDB
	text  string               // of the present content, "" when it must be made
}

type mariaGTID struct {
	server uint32
	seq    uint64
}

func parseGTIDSet(flavor, s string) (*gtidSet, error) {
	if flavor == MySQL {
		set, err := driver.ParseMysqlGTIDSet(s)
		if err != nil {
			return nil, fmt.Errorf("reading GTID set %q: %w", s, err)
		}
		return &gtidSet{mysql: set.(*driver.MysqlGTIDSet)}, nil
	}
	g := &gtidSet{maria: map[uint32]mariaGTID{}}
	if s == "" {
		return g, nil
	}
	for _, one := range strings.Split(s, ",") {
		parts := strings.Split(strings.TrimSpace(one), "-")
		if len(parts) != 3 {
			return nil, fmt.Errorf("reading GTID %q: not in the form domain-server-number", one)
		}
		domain, err1 := strconv.ParseUint(parts[0], 10, 32)
		server, err2 := strconv.ParseUint(parts[1], 10, 32)
		seq, err3 := strconv.ParseUint(parts[2], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("reading GTID %q: not in the form domain-server-number", one)
		}
		g.maria[uint32(domain)] = mariaGTID{uint32(server), seq}
	}
	return g, nil
}

func (g *gtidSet) add(e *gtidEvent) {
	g.text = ""
	if g.mysql != nil {
		g.mysql.AddGTID(e.uuid, int64(e.seq))
		return
	}
	g.maria[e.domain] = mariaGTID{e.server, e.seq}
}

// String returns the set as the server takes it, domains in order; empty when there are none.
func (g *gtidSet) String() string {
	if g.text != "" {
		return g.text
	}
	if g.mysql != nil {
		g.text = g.mysql.String()
		return g.text
	}
	var parts []string
	for _, domain := range slices.Sorted(maps.Keys(g.maria)) {
		parts = append(parts, fmt.Sprintf("%d-%d-%d", domain, g.maria[domain].server, g.maria[domain].seq))
	}
	g.text = strings.Join(parts, ",")
	return g.text
}
