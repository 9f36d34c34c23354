package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// facts is what a few queries tell about the server and the role.
type facts struct {
	version, usedSlots, usedSenders, usedConnections int
	settings                                         map[string]setting
	encoding, localTo                                string // the server's end of our connection; empty for a socket
	standby, encrypted                               bool
	role                                             roleFacts
	clock                                            time.Time
	system                                           string
	timeline                                         int32
	oldest                                           time.Duration // -1 when the role may not see it
	oldestPID                                        string
	prepared                                         string // gid of the oldest prepared transaction
	preparedAge                                      time.Duration
	idleSlot                                         string // slot of somebody else that keeps the most log and is not in use
	idleBytes                                        int64
	standbys                                         int
	behind                                           time.Duration // of the standby that is furthest behind
}

type roleFacts struct {
	replication, super, mayCreate, seesAll, bypass bool
}

// setting is a row of pg_settings: numbers are in the setting's own unit.
type setting struct {
	value string
	unit  string
}

// duration reads a setting of time; false when the server does not have it.
func (f *facts) duration(name string) (time.Duration, bool) {
	s, ok := f.settings[name]
	if !ok {
		return 0, false
	}
	var n int64
	if _, err := fmt.Sscan(s.value, &n); err != nil {
		return 0, false
	}
	return time.Duration(n) * map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "min": time.Minute}[s.unit], true
}

// number reads a setting without a unit, or in its unit.
func (f *facts) number(name string) int64 {
	n := int64(-1)
	fmt.Sscan(f.settings[name].value, &n) // absent or no number: -1
	return n
}

func (f *facts) text(name string) string { return f.settings[name].value }

const settingsSQL = `SELECT name, setting, coalesce(unit, '') FROM pg_settings`

const factsSQL = `SELECT current_setting('server_version_num')::int,
  pg_encoding_to_char(d.encoding)::text, pg_is_in_recovery(), clock_timestamp(), coalesce(host(inet_server_addr()), ''),
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
  (SELECT count(*) FROM pg_replication_slots)::int, (SELECT count(*) FROM pg_stat_replication)::int,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int,
  r.rolreplication OR r.rolsuper, r.rolsuper, has_database_privilege(d.oid, 'CREATE'),
  pg_has_role('pg_read_all_stats', 'USAGE'), r.rolbypassrls OR r.rolsuper,
  (SELECT system_identifier::text FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint())
FROM pg_database d JOIN pg_roles r ON r.rolname = current_user WHERE d.datname = current_database()`

// Transactions of other databases count: a slot waits for them, and they hold the log back, too.
const loadSQL = `SELECT
  CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN coalesce(extract(epoch FROM clock_timestamp() - x.xact_start), 0) ELSE -1 END::float8,
  coalesce(x.pid::text, ''), coalesce(t.gid, ''), coalesce(extract(epoch FROM clock_timestamp() - t.prepared), 0)::float8,
  coalesce(s.slot_name::text, ''), coalesce(s.kept, 0)::bigint, n.count, n.behind
FROM (SELECT count(*)::int, coalesce(extract(epoch FROM max(replay_lag)), 0)::float8 AS behind FROM pg_stat_replication
  WHERE application_name <> 'waybill') n
LEFT JOIN LATERAL (SELECT pid, xact_start FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL
  AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) x ON true
LEFT JOIN LATERAL (SELECT gid, prepared FROM pg_prepared_xacts ORDER BY prepared LIMIT 1) t ON true
LEFT JOIN LATERAL (SELECT slot_name, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
  restart_lsn) AS kept FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL AND slot_name <> $1 ORDER BY 2 DESC LIMIT 1) s ON true`

func readFacts(ctx context.Context, conn *pgx.Conn, slot string) (f facts, err error) {
	wrap := func(err error) error { return fmt.Errorf("reading the server's settings: %w", err) }
	rows, err := conn.Query(ctx, settingsSQL)
	if err != nil {
		return f, wrap(err)
	}
	f.settings = map[string]setting{}
	var (
		name string
		one  setting
	)
	if _, err = pgx.ForEachRow(rows, []any{&name, &one.value, &one.unit}, func() error {
		f.settings[name] = one
		return nil
	}); err != nil {
		return f, wrap(err)
	}
	r := &f.role
	err = conn.QueryRow(ctx, factsSQL).Scan(&f.version, &f.encoding, &f.standby, &f.clock, &f.localTo, &f.encrypted, &f.usedSlots,
		&f.usedSenders, &f.usedConnections, &r.replication, &r.super, &r.mayCreate, &r.seesAll, &r.bypass, &f.system, &f.timeline)
	if err != nil {
		return f, wrap(err)
	}
	var oldest, prepared, behind float64
	err = conn.QueryRow(ctx, loadSQL, slot).Scan(&oldest, &f.oldestPID, &f.prepared, &prepared, &f.idleSlot, &f.idleBytes, &f.standbys, &behind)
	if err != nil {
		return f, wrap(err)
	}
	f.oldest, f.preparedAge, f.behind = seconds(oldest), seconds(prepared), seconds(behind)
	return f, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
