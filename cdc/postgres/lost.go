package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// lost returns the refusal to start, with what begins afresh.
func (s *Source) lost(reason string, args ...any) *cdc.LostError {
	return &cdc.LostError{Source: s.cfg.Name, Reason: fmt.Sprintf(reason, args...), Hint: s.resetHint(), SQL: []string{s.dropSQL()}}
}

// lostFirst is lost with SQL to run before one begins afresh, and why.
func (s *Source) lostFirst(why string, sql []string, reason string, args ...any) *cdc.LostError {
	l := s.lost(reason, args...)
	l.Hint = fmt.Sprintf("%s, run in database %q: %s %s", why, s.cfg.Database, strings.Join(sql, " "), l.Hint)
	l.SQL = slices.Concat(sql, l.SQL)
	return l
}

// resetHint names the command and, for those who would rather see what they do, the SQL behind it.
func (s *Source) resetHint() string {
	return fmt.Sprintf("To begin again with a compared snapshot: waybill checkpoint reset %s --to snapshot; it drops the slot, "+
		"which by hand is, run in database %q: %s", s.cfg.Name, s.cfg.Database, s.dropSQL())
}

// dropSQL may be run whether or not there is a slot.
func (s *Source) dropSQL() string {
	return fmt.Sprintf("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s;", literal(s.cfg.Slot))
}

// shedLoss says that we dropped the slot ourselves. As long as the owner wants it so, no person is asked.
func (s *Source) shedLoss() *cdc.LostError {
	l := s.lost("%s", s.guard.note(droppedNote))
	l.Agreed = s.cfg.MaxRetained > 0
	return l
}

// slotFault says why a stored position cannot be served by the slot as it is; nil if it can.
func (s *Source) slotFault(is slot, want place) error {
	name := s.cfg.Slot
	restart, err := s.notedRestart()
	if err != nil {
		return err
	}
	switch {
	case s.guard.note(droppedNote) != "":
		return s.shedLoss()
	case !is.exists:
		return s.lost("replication slot %q does not exist on %s; it was dropped, or the server is a restored copy", name, s.cfg.address())
	case is.kind != "logical" || is.plugin != "pgoutput":
		return s.foreign("slot %q is a %s slot with plugin %q, not a logical one with pgoutput", name, is.kind, is.plugin)
	case is.database != s.cfg.Database:
		return s.foreign("slot %q belongs to database %q, not %q", name, is.database, s.cfg.Database)
	case is.status == "lost":
		return s.lostFirst("So that it does not happen again", is.keepMore(),
			"slot %q was invalidated (wal_status lost%s): the server has removed log that we had not read", name, because(is.reason))
	case is.restart < restart:
		return s.lost("slot %q keeps the log from %s on, and before kept it only from %s on: the database was restored to an earlier "+
			"time, and what it has written since need not be what we have read", name, is.restart, restart)
	case is.confirmed > want.lsn:
		return s.lost("slot %q is at %s, ahead of the stored position %s: somebody else has read from it, or our "+
			"store was restored from an older copy. The changes between the two cannot be had again", name, is.confirmed, want.lsn)
	case is.status == "unreserved":
		return &cdc.LostError{Source: s.cfg.Name,
			Reason: fmt.Sprintf("slot %q has wal_status unreserved: it needs %d MiB of log, more than max_slot_wal_keep_size, and the "+
				"server may remove them at its next checkpoint, in the middle of our reading", name, is.retained>>20), SQL: is.keepMore(),
			Hint: fmt.Sprintf("Nothing is lost yet. As a superuser, run in database %q: %s Then start the source again: it goes on where it was",
				s.cfg.Database, is.keepMoreSQL())}
	}
	return nil
}

// notedRestart is where the slot's restart point certainly was; 0 when nothing is noted.
func (s *Source) notedRestart() (pglogrepl.LSN, error) {
	text := s.guard.note(restartNote)
	if text == "" {
		return 0, nil
	}
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, fmt.Errorf("reading what is known of slot %q: %w", s.cfg.Slot, err)
	}
	return lsn, nil
}

// foreign refuses a slot of our name that somebody else made. What it is for we cannot know, so nothing is offered to drop it.
func (s *Source) foreign(reason string, args ...any) *cdc.LostError {
	const list = "SELECT slot_name, slot_type, plugin, database, active FROM pg_replication_slots;"
	return &cdc.LostError{Source: s.cfg.Name, Reason: fmt.Sprintf(reason, args...) + ": it is somebody else's", SQL: []string{list},
		Hint: fmt.Sprintf("Give this source a name that no slot has, say slot: %s_2, and begin again with a compared snapshot: waybill "+
			"checkpoint reset %s --to snapshot. To see what there is, run in database %q: %s", s.cfg.Slot, s.cfg.Name, s.cfg.Database, list)}
}

// keepMore doubles the bound of the log that the server keeps for slots, or more if ours already needs more.
func (is slot) keepMore() []string {
	mib := (max(2*is.retained, 2*is.limit, 1<<30)>>20 + 1023) / 1024 * 1024
	return []string{fmt.Sprintf("ALTER SYSTEM SET max_slot_wal_keep_size = '%dMB';", mib), "SELECT pg_reload_conf();"}
}

func (is slot) keepMoreSQL() string { return strings.Join(is.keepMore(), " ") }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ", " + reason
}
