package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"waybill/cdc"
)

// readError tells a table that cannot be read from a server that cannot be read at the moment.
func (s *Source) readError(r cdc.ChunkRequest, err error) error {
	var (
		table   *cdc.TableError
		refused *pgconn.PgError
	)
	if errors.As(err, &table) || errors.Is(err, cdc.ErrDisconnected) {
		return err
	}
	if !errors.As(err, &refused) {
		return s.disconnected(fmt.Errorf("reading table %s: %w", r.Table, err))
	}
	hint := "Correct what the server says, then read the table again."
	switch code := refused.Code; {
	case code == "57014":
		hint = fmt.Sprintf("A part of the table could not be read in %s; a filter needs an index that serves it.", readTimeout)
	case code == "55P03", strings.Contains(" 08 40 53 57 58 ", " "+code[:2]+" "):
		// locked; or connection, conflict, resources, operator, system: they pass
		return s.disconnected(fmt.Errorf("reading table %s: %w", r.Table, err))
	case code == "42501":
		hint = fmt.Sprintf("Run: GRANT SELECT ON %s TO %s;", tableName(r.Table), identifier(s.cfg.User))
	case code == "42P01", code == "3F000":
		hint = "Correct the name in the mapping, or create the table."
	case r.Where != "":
		hint = fmt.Sprintf("The filter was: %s", r.Where)
	}
	return &cdc.TableError{Source: s.cfg.Name, Table: r.Table, Err: err, Hint: hint}
}

// Estimate implements cdc.TableReader. Of a partitioned table it is the sum of the partitions.
func (s *Source) Estimate(ctx context.Context, t cdc.Table) (int64, error) {
	t = s.named(t)
	if _, message := t.Prefix(); message {
		return 0, nil
	}
	reader, err := s.readers.take(ctx)
	if err != nil {
		return -1, err
	}
	defer s.readers.give(reader)
	var rows int64
	if err := reader.conn.QueryRow(ctx, estimateSQL, tableName(t)).Scan(&rows); err != nil {
		return -1, s.readError(cdc.ChunkRequest{Table: t}, err)
	}
	return rows, nil
}

// Before PostgreSQL 14 a table that was never analysed has 0 rows on 0 pages, since then -1.
const estimateSQL = `SELECT CASE WHEN coalesce(bool_or((c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0) AND pg_relation_size(c.oid) > 0), true)
  THEN -1 ELSE sum(greatest(c.reltuples, 0))::bigint END
FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass)))`

// Covers implements cdc.TableReader.
func (s *Source) Covers(at, high cdc.Position) bool {
	a, err := parsePosition(at)
	if err != nil {
		return false
	}
	h, err := parsePosition(high)
	return err == nil && a.identity() == h.identity() && a.lsn >= h.lsn
}
