package postgres

import (
	"context"
	"fmt"
	"time"

	"waybill/cdc"
)

var _ cdc.Gauged = (*Source)(nil)

// measured is a reading of the gauges, with what the next one is compared with.
type measured struct {
	cdc.Runway
	end int64 // of the log
}

// runwayEvery is how often the server is asked at most; in between Runway repeats its last answer.
const runwayEvery = time.Minute

// Before PostgreSQL 13 the server removes nothing that a slot needs.
const runwaySQL = `SELECT clock_timestamp(), (pg_current_wal_lsn() - '0/0')::bigint,
  coalesce((pg_current_wal_lsn() - s.restart_lsn)::bigint, -1), %s,
  CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN coalesce(extract(epoch FROM clock_timestamp() - x.xact_start), 0) ELSE -1 END::float8,
  coalesce(x.pid::text, '')
FROM (SELECT) one
LEFT JOIN pg_replication_slots s ON s.slot_name = $1
LEFT JOIN LATERAL (SELECT pid, xact_start FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL
  AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) x ON true`

// Runway implements cdc.Gauged, with one query.
func (s *Source) Runway(ctx context.Context) (cdc.Runway, error) {
	g := &s.guard
	g.reading.Lock() // so that two callers do not ask twice
	defer g.reading.Unlock()
	if !g.read.IsZero() && time.Since(g.read) < runwayEvery {
		return g.runway.Runway, nil
	}
	return s.readRunway(ctx)
}

// readRunway asks the server. The caller holds guard.reading.
func (s *Source) readRunway(ctx context.Context) (cdc.Runway, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*s.cfg.ConnectTimeout)
	defer cancel()
	conn, version, err := s.connectVersion(ctx)
	if err != nil {
		return cdc.Runway{}, err
	}
	defer closeConn(conn)
	bound := "'reserved', -1::bigint"
	if version >= 130000 {
		bound = "coalesce(s.wal_status, CASE WHEN s.slot_name IS NULL THEN 'missing' ELSE 'reserved' END), CASE WHEN s.safe_wal_size IS NULL THEN -1 ELSE greatest(s.safe_wal_size, 0) END"
	}
	var (
		now    measured
		oldest float64
	)
	err = conn.QueryRow(ctx, fmt.Sprintf(runwaySQL, bound), s.cfg.Slot).
		Scan(&now.At, &now.end, &now.Retained, &now.Status, &now.Safe, &oldest, &now.OldestPID)
	if err != nil {
		return cdc.Runway{}, s.disconnected(fmt.Errorf("reading the log's runway: %w", err))
	}
	now.At, now.Oldest = now.At.UTC(), time.Duration(oldest*float64(time.Second))
	now.compare(s.guard.runway, int64(s.cfg.MaxRetained))
	now.Warnings = cdc.Concerns(checkRunway(now.Runway), checkOldest(now.Oldest, now.OldestPID))
	s.guard.runway, s.guard.read = now, time.Now()
	return now.Runway, nil
}

// compare fills in the rates and what follows from them.
func (r *measured) compare(before measured, maxRetained int64) {
	r.Left = -1
	if seconds := r.At.Sub(before.At).Seconds(); !before.At.IsZero() && seconds > 0 {
		r.Written = float64(r.end-before.end) / seconds
		if r.Retained >= 0 && before.Retained >= 0 {
			r.Growth = float64(r.Retained-before.Retained) / seconds
		}
	}
	bound := func(name string, room int64) {
		left := time.Duration(-1)
		if room <= 0 {
			left = 0
		} else if r.Growth > 0 {
			left = time.Duration(min(float64(room)/r.Growth, 1e9) * float64(time.Second)) // 30 years are for ever
		}
		if left >= 0 && (r.Left < 0 || left < r.Left) {
			r.Left, r.Bound = left, name
		}
	}
	if r.Status == "lost" || r.Safe >= 0 {
		bound("max_slot_wal_keep_size", max(r.Safe, 0))
	}
	if maxRetained > 0 && r.Retained >= 0 {
		bound("max_retained", maxRetained-r.Retained)
	}
}
