package mysql

import (
	"context"
	"fmt"
	"time"
)

// event takes one event of the log.
func (s *session) event(ctx context.Context, e *event) error {
	before := s.place.pos
	s.advance(e)
	if e.kind == evPayload {
		return s.payload(ctx, e, before)
	}
	return s.read(ctx, e, before)
}

// read takes an event that began at before, or stands in a compressed transaction that did.
func (s *session) read(ctx context.Context, e *event, before uint64) error {
	switch e.kind {
	case evTableMap:
		return s.tableMap(ctx, e)
	case evWriteV1, evUpdateV1, evDeleteV1, evWriteV2, evUpdateV2, evDeleteV2, evMariaWrite, evMariaUpdate, evMariaDelete:
		return s.rows(e)
	case evXID:
		return s.commit(ctx)
	case evMariaGTID:
		g, err := parseMariaGTID(e.body, e.serverID)
		if err == nil {
			s.begin(e, g, before)
			s.group.trx = !g.standalone
		}
		return err
	case evGTID, evAnonymousGTID:
		g, err := parseGTID(e.body, e.kind == evAnonymousGTID)
		if err == nil {
			s.begin(e, g, before)
		}
		return err
	case evQuery, evMariaQuery, evExecuteLoad:
		return s.query(ctx, e, before)
	case evFormat:
		return s.format(e)
	case evRotate:
		return s.rotate(e)
	case evHeartbeat:
		s.heartbeat(e)
		if s.group.open {
			return nil
		}
		return s.ascertain(ctx)
	case evHeartbeatV2, evStop:
		return nil
	case evXAPrepare:
		if s.group.begun || s.group.part > 0 {
			return s.stop("a transaction of two phases (XA PREPARE) changed a selected table", "Waybill does not read XA transactions: change these tables without XA")
		}
		return s.commit(ctx)
	case evIncident:
		return s.stop("the server lost events of its own log (an incident is recorded in it)", "The log has a gap")
	case evPartialUpdate:
		p, err := s.planOf(e)
		if err != nil || p == nil {
			return err
		}
		return s.stop("binlog_row_value_options=PARTIAL_JSON: an update of "+p.schema.Table.String()+" holds only parts of a JSON value", "Run: "+wholeJSON, wholeJSON)
	case evTaggedGTID:
		return s.stop("a GTID with a tag is in the log", "Waybill does not read tagged GTIDs")
	}
	if !s.group.open { // an event about the log itself
		s.resume.file, s.resume.pos = s.place.file, s.place.pos
	}
	return nil
}

// stop ends the source where going on would lose changes.
func (s *session) stop(reason, hint string, sql ...string) error {
	return s.lost(fmt.Sprintf("%s, before %s:%d", reason, s.place.file, s.place.pos),
		advice{hint + "; then: waybill checkpoint reset " + s.cfg.Name + " --to snapshot", sql})
}

// wholeJSON lets the server log JSON values whole.
const wholeJSON = "SET GLOBAL binlog_row_value_options=''"

// advance moves the place behind the event. The log's positions have 32 bits in the header; a file with a very large
// transaction is longer, so the higher bits are counted here. Some events of MariaDB 11.4 have no position.
func (s *session) advance(e *event) {
	switch {
	case e.artificial(), e.kind == evHeartbeat, e.kind == evHeartbeatV2, e.kind == evRotate:
	case e.end > 0:
		pos := s.place.pos&^0xffffffff | uint64(e.end)
		if pos < s.place.pos {
			pos += 1 << 32
		}
		s.place.pos = pos
	case e.kind != evFormat:
		s.place.pos += uint64(e.size)
	}
}

func (s *session) format(e *event) error {
	s.abort() // a log that begins anew inside a transaction: the server went down before its commit
	sum, err := parseFormat(e.body, s.stripped(e))
	if err != nil {
		return err
	}
	s.sum = sum
	if e.end > 0 {
		s.resume.file, s.resume.pos = s.place.file, s.place.pos
	}
	return nil
}

// stripped reports whether parseEvent took a checksum off the event.
func (s *session) stripped(e *event) bool { return len(e.body) < int(e.size)-headerSize }

func (s *session) rotate(e *event) error {
	file, pos, err := parseRotate(e.body)
	if err != nil {
		return err
	}
	s.abort()
	if s.place.file != file || s.place.pos < pos {
		s.place.file, s.place.pos = file, pos
		s.resume.file, s.resume.pos = file, pos
	}
	s.forget() // table ids are given anew after a restart
	return nil
}

// heartbeat takes the place that an idle server names: all before it was sent, or lies before the GTIDs we began at.
func (s *session) heartbeat(e *event) {
	if s.group.open || e.end == 0 || len(e.body) == 0 {
		return
	}
	if file := string(e.body); file != s.place.file {
		s.place.file, s.place.pos = file, uint64(e.end)
	} else if pos := s.place.pos&^0xffffffff | uint64(e.end); pos > s.place.pos {
		s.place.pos = pos
	}
	s.resume.file, s.resume.pos = s.place.file, s.place.pos
}

// begin starts an event group; start is where the log stood before its first event.
func (s *session) begin(e *event, g gtidEvent, start uint64) {
	s.abort()
	s.group = group{open: true, gtid: g, commit: g.text, at: e.at(), inside: s.place.pos}
	if g.text == "" {
		s.group.commit = fmt.Sprintf("%s:%d", s.place.file, start)
	}
	if g.micros != 0 {
		s.group.at = time.UnixMicro(g.micros).UTC()
	}
}

// abort forgets a group whose end is not in the log. Parts of it that were handed on never get an end.
func (s *session) abort() {
	if s.group.open {
		s.enc.Undo(s.mark)
		s.group = group{}
	}
}

// commit ends the group: here and nowhere else lies a position (Invariant 2).
func (s *session) commit(ctx context.Context) error {
	g := &s.group
	if s.gtids != nil && g.gtid.text != "" {
		s.gtids.add(&g.gtid)
	}
	s.resume.file, s.resume.pos = s.place.file, s.place.pos
	s.ended = groupEnd{file: s.place.file, pos: s.place.pos, whole: true} // settle asks for the time: each look costs as much as an event
	if err := s.ascertain(ctx); err != nil {
		return err
	}
	s.commitAt = g.at
	if g.part > 0 {
		s.emitPart(true)
	} else if s.mark = s.enc.Mark(); s.enc.Len() >= maxBatch {
		s.emitRun()
	}
	s.group = group{}
	return nil
}
