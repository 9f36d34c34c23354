package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

// openTail opens a source that has no position yet and reads its tables beside the stream: it makes the slot that stays and
// streams from its consistent point, which the first batch tells the caller.
//
// Making a slot waits until every transaction that runs has ended. So whatever the stream does not carry is committed and
// seen by every chunk that is read from now on.
func (s *Source) openTail(ctx context.Context) error {
	conn, err := s.ready(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	holder, err := s.replication(ctx)
	if err != nil {
		return err
	}
	defer closeReplication(holder)
	temp, point, err := s.holdLog(ctx, holder)
	if err != nil {
		return err
	}
	if err := s.keepSlot(ctx, conn, temp, point); err != nil {
		return err
	}
	s.begin(point, false)
	if s.session, err = s.startSession(ctx, point); err != nil {
		return err
	}
	s.session.untold = true
	s.log.Info("streaming from the end of the log", "source", s.cfg.Name, "position", point.position(), "tables", names(s.tables))
	return nil
}

// ready checks everything that a first start needs, and publishes the tables. The caller closes the connection.
func (s *Source) ready(ctx context.Context) (*pgx.Conn, error) {
	findings, err := s.Check(ctx)
	if err != nil {
		return nil, s.connectError(err)
	}
	if slices.ContainsFunc(findings, failed) {
		return nil, &cdc.RefusedError{Source: s.cfg.Name, Findings: findings}
	}
	conn, version, err := s.connectVersion(ctx)
	if err != nil {
		return nil, err
	}
	if err = s.replaceUnfinished(ctx, conn, version); err == nil {
		// The publication comes before the slot: a slot decodes with the catalog of its own time, and would not find a later one.
		err = s.publish(ctx, conn, version)
	}
	if err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// replaceUnfinished drops a slot that is certainly what an unfinished first start of ours left, and refuses any other. It is
// ours if we remember to have made it at this very point, and nobody has moved it since. After a crash the server may
// take a moment to see that its old session has ended.
func (s *Source) replaceUnfinished(ctx context.Context, conn *pgx.Conn, version int) error {
	for deadline := time.Now().Add(5 * time.Second); ; pause(ctx, 50*time.Millisecond) {
		is, err := readSlot(ctx, conn, s.cfg.Slot, version)
		if err != nil {
			return s.disconnected(err)
		}
		if !is.exists {
			return nil
		}
		ours, err := s.unfinished(is)
		switch {
		case err != nil:
			return err
		case !ours && is.pid != 0:
			return &cdc.LostError{Source: s.cfg.Name,
				Reason: fmt.Sprintf("slot %q is in use by process %d, and this store has no position for it", s.cfg.Slot, is.pid),
				Hint:   "Another process, perhaps another Waybill, reads from it. Stop that one, or give this source another slot name"}
		case !ours:
			return s.lost("slot %q exists (at %s), but this store has no position for it: the store is new, or was lost or moved",
				s.cfg.Slot, is.confirmed)
		case is.pid == 0:
			s.log.Info("replacing the slot of an unfinished start", "source", s.cfg.Name, "slot", s.cfg.Slot)
			return s.dropSlot(ctx, conn)
		case time.Now().After(deadline):
			return s.disconnected(fmt.Errorf("slot %q of an unfinished start is still in use by process %d; to end it: "+
				"SELECT pg_terminate_backend(%d)", s.cfg.Slot, is.pid, is.pid))
		}
	}
}

func (s *Source) unfinished(is slot) (bool, error) {
	made := s.made
	if made == "" && s.cfg.Memory != nil {
		var err error
		if made, err = s.cfg.Memory.Recall(s.cfg.Slot); err != nil {
			return false, fmt.Errorf("recalling an unfinished start: %w", err)
		}
	}
	return made != "" && made == is.confirmed.String(), nil
}

// holdLog makes a TEMPORARY slot on the replication connection. It holds the log from the consistent point on and dies with
// the connection, so a Waybill that never comes back leaves nothing behind that would fill the server's disk (Invariant 13).
func (s *Source) holdLog(ctx context.Context, holder *pgconn.PgConn) (temp string, point place, err error) {
	is, err := identifySystem(ctx, s, holder)
	if err != nil {
		return "", place{}, err
	}
	temp = fmt.Sprintf("%s_%08x", s.cfg.Slot, holder.PID())
	made, err := pglogrepl.CreateReplicationSlot(ctx, holder, temp, "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Temporary: true, SnapshotAction: "NOEXPORT_SNAPSHOT", Mode: pglogrepl.LogicalReplication})
	if err != nil {
		if ctx.Err() != nil {
			return "", place{}, fmt.Errorf("making a slot: the server waits until every transaction that runs has ended; see "+
				"SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start: %w", ctx.Err())
		}
		return "", place{}, s.disconnected(fmt.Errorf("making temporary slot %q: %w", temp, err))
	}
	lsn, err := pglogrepl.ParseLSN(made.ConsistentPoint)
	if err != nil {
		return "", place{}, fmt.Errorf("making temporary slot %q: %w", temp, err)
	}
	return temp, place{is.system, is.timeline, lsn}, nil
}

// keepSlot turns the temporary slot into the one that stays. Between this and the moment when the caller has stored its
// position, a crash leaves a slot that no store knows: that is what Memory is for.
func (s *Source) keepSlot(ctx context.Context, conn *pgx.Conn, temp string, from place) error {
	point := from.lsn.String()
	if s.cfg.Memory != nil {
		if err := s.cfg.Memory.Remember(s.cfg.Slot, point); err != nil {
			return fmt.Errorf("remembering the new slot: %w", err)
		}
	}
	_, err := conn.Exec(ctx, "SELECT pg_copy_logical_replication_slot($1::name, $2::name, false)", temp, s.cfg.Slot)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42710" {
		return s.lost("slot %q was made by somebody else at the same time", s.cfg.Slot)
	}
	if err != nil {
		return s.disconnected(fmt.Errorf("keeping slot %q: %w", s.cfg.Slot, err))
	}
	s.made = point
	return nil
}
