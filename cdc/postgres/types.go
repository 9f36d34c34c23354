package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// kinds gives the kind of each supported built-in type by its OID, which is the same on every server.
var kinds = map[uint32]cdc.Kind{
	16:   cdc.KindBool,
	21:   cdc.KindInt,     // smallint
	23:   cdc.KindInt,     // integer
	20:   cdc.KindInt,     // bigint
	1700: cdc.KindDecimal, // numeric
	700:  cdc.KindFloat,   // real
	701:  cdc.KindFloat,   // double precision
	25:   cdc.KindText,    // text
	1043: cdc.KindText,    // varchar
	1042: cdc.KindText,    // char(n), padded as the server gives it
	19:   cdc.KindText,    // name
	17:   cdc.KindBytes,   // bytea
	1082: cdc.KindDate,
	1083: cdc.KindTime,
	1114: cdc.KindTimestamp,
	1184: cdc.KindInstant,
	2950: cdc.KindUUID,
	114:  cdc.KindJSON, // json
	3802: cdc.KindJSON, // jsonb
}

// typeRef is a type as a column refers to it.
type typeRef struct {
	oid      uint32
	modifier int32
}

// typeInfo is a type as a Column shows it: a domain as the type it is built on.
type typeInfo struct {
	oid    uint32
	name   string // numeric(12,2)
	kind   cdc.Kind
	labels []string
	gone   bool // the catalog no longer knows the type
}

// A domain may be built on a domain; each brings the type modifier of the next.
const describeSQL = `
SELECT a.ord, b.oid, format_type(b.oid, b.modifier), b.typtype = 'e',
       coalesce((SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = b.oid), '[]')::text
FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY a(type, modifier, ord)
CROSS JOIN LATERAL (
  WITH RECURSIVE d(oid, typtype, typbasetype, typtypmod, modifier) AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, a.modifier FROM pg_type t WHERE t.oid = a.type
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, d.typtypmod FROM d JOIN pg_type t ON t.oid = d.typbasetype
    WHERE d.typtype = 'd'
  ) SELECT oid, typtype, modifier FROM d WHERE typtype <> 'd'
) b`

// describe looks types up in the catalog, in the order of refs.
func describe(ctx context.Context, conn *pgx.Conn, refs []typeRef) ([]typeInfo, error) {
	oids, modifiers := make([]uint32, len(refs)), make([]int32, len(refs))
	infos := make([]typeInfo, len(refs))
	for i, r := range refs {
		oids[i], modifiers[i] = r.oid, r.modifier
		infos[i] = typeInfo{oid: r.oid, name: fmt.Sprintf("type %d", r.oid), gone: true}
	}
	rows, err := conn.Query(ctx, describeSQL, oids, modifiers)
	if err != nil {
		return nil, fmt.Errorf("reading types: %w", err)
	}
	var (
		ord    int
		info   typeInfo
		enum   bool
		labels string
	)
	_, err = pgx.ForEachRow(rows, []any{&ord, &info.oid, &info.name, &enum, &labels}, func() error {
		info.kind, info.labels = kinds[info.oid], nil
		if enum {
			info.kind = cdc.KindEnum
			if err := json.Unmarshal([]byte(labels), &info.labels); err != nil {
				return err
			}
		}
		infos[ord-1] = info
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading types: %w", err)
	}
	return infos, nil
}

// column fills in a column whose name and flags are known.
func (t typeInfo) column(name string, key, notNull bool) cdc.Column {
	return cdc.Column{Name: name, Type: t.name, Kind: t.kind, Key: key, NotNull: notNull, Labels: t.labels,
		Meta: strconv.FormatUint(uint64(t.oid), 10)}
}
