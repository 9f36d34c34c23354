package postgres

import (
	"context"
	"fmt"

	"waybill/cdc"
)

// A standby's lag in replaying is NULL when it has nothing to replay, and to a role without pg_read_all_stats. Readers of a logical
// slot are nobody's standby: how far we ourselves are is told by the stream.
const strainSQL = `SELECT clock_timestamp(), coalesce(l.name, ''), coalesce(l.lag, 0)::float8
FROM (SELECT) one LEFT JOIN LATERAL (
  SELECT coalesce(nullif(r.application_name, ''), host(r.client_addr), r.pid::text) AS name, extract(epoch FROM r.replay_lag) AS lag
  FROM pg_stat_replication r
  WHERE r.state IN ('catchup', 'streaming') AND r.replay_lag IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
  ORDER BY r.replay_lag DESC LIMIT 1) l ON true`

// Strain implements cdc.TableReader. Standbys are those of pg_stat_replication that replay the log physically.
func (s *Source) Strain(ctx context.Context) (out cdc.Strain, err error) {
	reader, err := s.readers.take(ctx)
	if err != nil {
		return out, err
	}
	defer s.readers.give(reader)
	var behind float64
	if err := reader.conn.QueryRow(ctx, strainSQL).Scan(&out.Clock, &out.Replica, &behind); err != nil {
		return out, s.disconnected(fmt.Errorf("asking the server how far its standbys are: %w", err))
	}
	out.Clock, out.Behind = out.Clock.UTC(), seconds(behind)
	return out, nil
}
