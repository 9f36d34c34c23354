package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

// slot is the server's replication slot of our name.
type slot struct {
	exists    bool
	plugin    string
	kind      string // logical or physical
	database  string
	pid       int // of the session that uses it; 0 if none does
	confirmed pglogrepl.LSN
	restart   pglogrepl.LSN // the log is kept from there on; 0 when the slot is lost
	status    string        // pg_replication_slots.wal_status, or "reserved" before PostgreSQL 13
	retained  int64         // bytes of log kept for it
	safe      int64         // bytes that may still be written before the slot is in danger; -1 when there is no bound
	limit     int64         // max_slot_wal_keep_size in bytes; -1 when there is none
	reason    string        // why it was invalidated; empty before PostgreSQL 17
}

func readSlot(ctx context.Context, conn *pgx.Conn, name string, version int) (slot, error) {
	status, safe, reason := "'reserved'", "-1::bigint", "''"
	if version >= 130000 {
		status, safe = "coalesce(wal_status, 'reserved')", "coalesce(safe_wal_size, -1)"
	}
	if version >= 170000 {
		reason = "coalesce(invalidation_reason, '')"
	}
	s := slot{exists: true}
	var confirmed, restart string
	err := conn.QueryRow(ctx, `SELECT coalesce(plugin::text, ''), slot_type, coalesce(database::text, ''), coalesce(active_pid, 0),
		coalesce(confirmed_flush_lsn, '0/0')::text, coalesce(restart_lsn, '0/0')::text, `+status+`,
		coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
		`+safe+`, coalesce(pg_size_bytes(current_setting('max_slot_wal_keep_size', true)), -1), `+reason+` FROM pg_replication_slots WHERE slot_name = $1`, name).
		Scan(&s.plugin, &s.kind, &s.database, &s.pid, &confirmed, &restart, &s.status, &s.retained, &s.safe, &s.limit, &s.reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return slot{}, nil
	}
	if err != nil {
		return slot{}, fmt.Errorf("reading slot %q: %w", name, err)
	}
	if s.confirmed, err = pglogrepl.ParseLSN(confirmed); err != nil {
		return slot{}, fmt.Errorf("reading slot %q: %w", name, err)
	}
	if s.restart, err = pglogrepl.ParseLSN(restart); err != nil {
		return slot{}, fmt.Errorf("reading slot %q: %w", name, err)
	}
	return s, nil
}

// server is what the replication protocol says about the server.
type server struct {
	system   string
	timeline int32
	flushed  pglogrepl.LSN
}

// identify asks who the server is.
func (s *Source) identify(ctx context.Context) (server, error) {
	conn, err := s.replication(ctx)
	if err != nil {
		return server{}, err
	}
	defer closeReplication(conn)
	return identifySystem(ctx, s, conn)
}

func identifySystem(ctx context.Context, s *Source, conn *pgconn.PgConn) (server, error) {
	id, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return server{}, s.disconnected(fmt.Errorf("identifying the server: %w", err))
	}
	return server{id.SystemID, id.Timeline, id.XLogPos}, nil
}

func (s *Source) replication(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := s.cfg.connection(true)
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, s.connectError(err)
	}
	return conn, nil
}

func closeReplication(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}

// openAt opens at a stored position. Invariant 11: it begins exactly there or says why it cannot.
func (s *Source) openAt(ctx context.Context, pos cdc.Position) error {
	want, err := parsePosition(pos)
	if err != nil {
		return fmt.Errorf("opening source %s: %w", s.cfg.Name, err)
	}
	if err := s.guard.load(s.cfg); err != nil {
		return err
	}
	is, err := s.identify(ctx)
	if err != nil {
		return err
	}
	if err := s.sameHistory(want, is); err != nil {
		return err
	}
	conn, version, err := s.connectVersion(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := s.slotAt(ctx, conn, want, version); err != nil {
		return err
	}
	if err := s.unaltered(ctx, conn, version); err != nil {
		return err
	}
	if err := s.publish(ctx, conn, version); err != nil {
		return err
	}
	s.begin(want, true)
	session, err := s.startSession(ctx, want)
	if err != nil {
		return err
	}
	s.session, s.made = session, ""
	return nil
}

// sameHistory refuses another server, another timeline, and a server that was set back to before our position.
func (s *Source) sameHistory(want place, is server) error {
	switch {
	case is.system != want.system:
		return s.lost("%s is another server: its system identifier is %s, the stored position %s belongs to %s. "+
			"Point the source at its own server", s.cfg.address(), is.system, want.position(), want.system)
	case is.timeline != want.timeline:
		return s.lost("the server is on timeline %d, the stored position %s is on timeline %d: a standby was promoted or "+
			"a backup restored, and slots do not follow", is.timeline, want.position(), want.timeline)
	case is.flushed < want.lsn:
		return s.lost("the server's log ends at %s, before the stored position %s: the database was restored to an "+
			"earlier time", is.flushed, want.lsn)
	}
	return nil
}

// slotAt checks that the slot can serve our position, and waits a little for a session of ours that is just ending.
func (s *Source) slotAt(ctx context.Context, conn *pgx.Conn, want place, version int) error {
	name := s.cfg.Slot
	for deadline := time.Now().Add(5 * time.Second); ; {
		is, err := readSlot(ctx, conn, name, version)
		switch {
		case err != nil:
			return s.disconnected(err)
		case s.slotFault(is, want) != nil:
			return s.slotFault(is, want)
		case is.pid == 0:
			return nil
		case time.Now().After(deadline):
			return s.disconnected(fmt.Errorf("slot %q is in use by process %d: another Waybill, or a dead session. "+
				"To end that session: SELECT pg_terminate_backend(%d)", name, is.pid, is.pid))
		}
		pause(ctx, 50*time.Millisecond)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (s *Source) connectVersion(ctx context.Context) (*pgx.Conn, int, error) {
	cfg, err := s.cfg.connection(false)
	if err != nil {
		return nil, 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, 0, s.connectError(err)
	}
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		closeConn(conn)
		return nil, 0, s.disconnected(fmt.Errorf("reading the server's version: %w", err))
	}
	return conn, version, nil
}

// Release implements cdc.Inspector. A publication that we did not make stays.
func (s *Source) Release(ctx context.Context) error {
	conn, version, err := s.connectVersion(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	is, err := readSlot(ctx, conn, s.cfg.Slot, version)
	if err != nil {
		return err
	}
	if is.exists {
		if is.pid != 0 {
			return fmt.Errorf("releasing slot %q: process %d uses it; stop that Waybill first", s.cfg.Slot, is.pid)
		}
		if is.kind != "logical" || is.plugin != "pgoutput" || is.database != s.cfg.Database {
			return fmt.Errorf("releasing slot %q: it is a %s slot with plugin %q of database %q, so it is not ours",
				s.cfg.Slot, is.kind, is.plugin, is.database)
		}
		if err := s.dropSlot(ctx, conn); err != nil {
			return err
		}
	}
	p, err := readPublication(ctx, conn, s.cfg.Publication, version)
	if err != nil || !p.ours {
		return err
	}
	if _, err := conn.Exec(ctx, "DROP PUBLICATION IF EXISTS "+identifier(s.cfg.Publication)); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "42501" {
			s.log.Warn("publication left in place: its owner is another role", "publication", s.cfg.Publication)
			return nil
		}
		return fmt.Errorf("dropping publication %q: %w", s.cfg.Publication, err)
	}
	return nil
}

func (s *Source) dropSlot(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", s.cfg.Slot); err != nil {
		return fmt.Errorf("dropping slot %q: %w", s.cfg.Slot, err)
	}
	return nil
}
