package mysql

import (
	"context"
	"fmt"

	"waybill/cdc"
)

// verify makes sure that the server's log goes on exactly behind pos (Invariant 11). On the server that wrote the position
// reading resumes at the file and place, after a look whether the GTIDs there are ours; on another, by GTID.
func (s *session) verify(ctx context.Context, server *serverInfo, text cdc.Position) (byGTID bool, err error) {
	hint := s.resetHint()
	pos, err := parsePosition(text)
	if err != nil {
		return false, err
	}
	if pos.flavor != s.cfg.Flavor {
		return false, s.lost(fmt.Sprintf("the stored position %s is of %s, and flavor says %s", text, pos.flavor, s.cfg.Flavor), hint)
	}
	s.resume = pos
	known := server.gtid && pos.gtids != ""
	if known {
		if err := s.knows(ctx, server, &pos, hint); err != nil {
			return false, err
		}
	}
	if pos.server != server.id {
		if !known {
			return false, s.lost(fmt.Sprintf("server %s answers, the stored position %s is of server %s, and there are no GTIDs to find the place by", server.id, text, pos.server),
				advice{"If the address is wrong, correct it. " + hint.text, hint.sql})
		}
		s.log.Warn("another server of the same history answers: resuming by GTID", "source", s.cfg.Name, "server", server.id, "position", string(text))
		s.resume.server = server.id
		return true, nil
	}
	files, err := s.side.logFiles(ctx)
	if err != nil {
		return false, err
	}
	return s.find(ctx, &pos, files, known, hint)
}

// find looks for the position's place in the log of its own server.
func (s *session) find(ctx context.Context, pos *position, files []logFile, known bool, hint advice) (byGTID bool, err error) {
	if len(files) == 0 {
		return false, s.lost("the server has no binary log files", hint)
	}
	first, last := files[0], files[len(files)-1]
	place := fmt.Sprintf("%s:%d", pos.file, pos.pos)
	switch {
	case before(last.name, last.size, pos.file, pos.pos):
		return false, s.lost(fmt.Sprintf("the stored position %s lies behind the end of the server's log, %s:%d: the server was restored, or its log was reset", place, last.name, last.size), hint)
	case before(pos.file, pos.pos, first.name, 0):
		if known {
			return true, nil // the server says itself whether it still has what follows our GTIDs
		}
		return false, s.lost(fmt.Sprintf("the log file of the stored position %s was purged; the oldest is %s", place, first.name), s.purgedHint())
	}
	for _, f := range files {
		if f.name != pos.file {
			continue
		}
		if pos.pos > f.size {
			return false, s.lost(fmt.Sprintf("the stored position %s lies behind the end of its file (%d bytes): the server was restored, or its log was reset", place, f.size), hint)
		}
		if err := s.sameHistory(ctx, pos, known, hint); err != nil {
			return false, err
		}
		return pos.pos > 0xffffffff, nil // the command to start by place has 32 bits
	}
	return false, s.lost(fmt.Sprintf("the log file of the stored position %s is not among the server's", place), hint)
}

// sameHistory looks at what the server has at our place: a restored server may have written something else there.
func (s *session) sameHistory(ctx context.Context, pos *position, known bool, hint advice) error {
	if s.cfg.Flavor != MariaDB {
		return nil
	}
	theirs, ok, err := s.side.gtidsAt(ctx, pos.file, pos.pos)
	switch {
	case err != nil:
		return err
	case !ok:
		return s.lost(fmt.Sprintf("no event ends at %s:%d in the server's log: it is another history", pos.file, pos.pos), hint)
	case !known:
		return nil
	}
	set, err := parseGTIDSet(MariaDB, theirs)
	if err != nil {
		return err
	}
	ours, err := parseGTIDSet(MariaDB, pos.gtids)
	if err != nil {
		return err
	}
	if set.String() != ours.String() {
		return s.lost(fmt.Sprintf("the server's log has GTID %q at %s:%d, and the stored position has %q: it is another history", set, pos.file, pos.pos, ours), hint)
	}
	return nil
}

// knows checks that the server has every transaction that we have.
func (s *session) knows(ctx context.Context, server *serverInfo, pos *position, hint advice) error {
	if s.cfg.Flavor == MySQL {
		return s.knowsMySQL(ctx, pos, hint)
	}
	ours, err := parseGTIDSet(MariaDB, pos.gtids)
	if err != nil {
		return err
	}
	theirs, err := parseGTIDSet(MariaDB, server.gtids)
	if err != nil {
		return err
	}
	for domain, have := range ours.maria {
		if theirs.maria[domain].seq < have.seq {
			return s.lost(fmt.Sprintf("the server's log ends at GTID %q, before the stored position %s: it was restored or reset, or is a replica that lags", server.gtids, ours), hint)
		}
	}
	return nil
}

func (s *session) knowsMySQL(ctx context.Context, pos *position, hint advice) error {
	answer, err := s.side.query(ctx, fmt.Sprintf("SELECT GTID_SUBSET(%[1]s, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, %[1]s)", quote(pos.gtids)))
	switch {
	case err != nil:
		return err
	case answer[0][0] != "1":
		return s.lost("the server has not executed all GTIDs of the stored position: it was restored or reset, or is a replica that lags", hint)
	case answer[0][1] != "1":
		return s.lost("the server has purged transactions that follow the stored position", s.purgedHint())
	}
	return nil
}

// resetHint names the command that begins afresh. Nothing is kept for us on the server, so nothing is to be run there; the SQL
// shows whether it is the right one.
func (s *session) resetHint() advice {
	const sql = "SHOW BINARY LOGS;"
	return advice{fmt.Sprintf("Take a new snapshot, which is compared with what was delivered: waybill checkpoint reset %s --to snapshot. To see first "+
		"what the server has, run on the server: %s", s.cfg.Name, sql), []string{sql}}
}

// purgedHint is resetHint with what keeps the log for longer.
func (s *session) purgedHint() advice {
	const sql = "SET GLOBAL binlog_expire_logs_seconds = 604800;"
	return advice{fmt.Sprintf("Take a new snapshot, which is compared with what was delivered: waybill checkpoint reset %s --to snapshot. So that it "+
		"does not happen again, run on the server: %s (on servers without it, expire_logs_days = 7; "+
		"and in its option file)", s.cfg.Name, sql), []string{sql}}
}
