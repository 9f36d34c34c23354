package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// kinds gives the kind of each supported built-in type by its OID, which is the same on every server. TYPES.md lists them,
// and why the others are refused.
var kinds = map[uint32]cdc.Kind{
	16:    cdc.KindBool,
	21:    cdc.KindInt,     // smallint
	23:    cdc.KindInt,     // integer
	20:    cdc.KindInt,     // bigint
	26:    cdc.KindInt,     // oid
	1700:  cdc.KindDecimal, // numeric
	money: cdc.KindDecimal,
	700:   cdc.KindFloat, // real
	701:   cdc.KindFloat, // double precision
	25:    cdc.KindText,  // text
	1043:  cdc.KindText,  // varchar
	1042:  cdc.KindText,  // char(n), padded as the server gives it
	19:    cdc.KindText,  // name
	142:   cdc.KindText,  // xml
	869:   cdc.KindText,  // inet
	650:   cdc.KindText,  // cidr
	829:   cdc.KindText,  // macaddr
	774:   cdc.KindText,  // macaddr8
	1266:  cdc.KindText,  // timetz
	600:   cdc.KindText,  // point
	628:   cdc.KindText,  // line
	601:   cdc.KindText,  // lseg
	box:   cdc.KindText,
	602:   cdc.KindText,  // path
	604:   cdc.KindText,  // polygon
	718:   cdc.KindText,  // circle
	17:    cdc.KindBytes, // bytea
	1082:  cdc.KindDate,
	1083:  cdc.KindTime,
	1114:  cdc.KindTimestamp,
	1184:  cdc.KindInstant,
	1186:  cdc.KindInterval,
	1560:  cdc.KindBits, // bit
	1562:  cdc.KindBits, // varbit
	2950:  cdc.KindUUID,
	114:   cdc.KindJSON, // json
	3802:  cdc.KindJSON, // jsonb
}

// Types of which more than the kind must be known.
const (
	money = 790
	box   = 603
)

// extensionKinds gives the kind of each supported type of an extension, whose OID is another on every server.
var extensionKinds = map[string]cdc.Kind{
	"hstore.hstore": cdc.KindJSON,
	"citext.citext": cdc.KindText,
	"ltree.ltree":   cdc.KindText,
	"isn.ean13":     cdc.KindText,
	"isn.isbn":      cdc.KindText,
	"isn.isbn13":    cdc.KindText,
	"isn.ismn":      cdc.KindText,
	"isn.ismn13":    cdc.KindText,
	"isn.issn":      cdc.KindText,
	"isn.issn13":    cdc.KindText,
	"isn.upc":       cdc.KindText,
}

// typeRef is a type as a column refers to it.
type typeRef struct {
	oid      uint32
	modifier int32
}

// typeInfo is a type as a Column shows it: a domain as the type it is built on.
type typeInfo struct {
	name   string // numeric(12,2)
	kind   cdc.Kind
	meta   string // Column.Meta
	labels []string
	gone   bool // the catalog no longer knows the type
}

// column fills in a column whose name and flags are known.
func (t typeInfo) column(name string, key, notNull bool) cdc.Column {
	return cdc.Column{Name: name, Type: t.name, Kind: t.kind, Key: key, NotNull: notNull, Labels: t.labels, Meta: t.meta}
}

// An array type is the one that its element type names as such: int2vector and point have elements, too, and are none. Which
// range a multirange belongs to is a column that PostgreSQL 13 does not have.
const typesSQL = `
SELECT a.ord::int, t.typtype::text, t.typname::text, format_type(t.oid, a.modifier), t.typbasetype, t.typtypmod,
       coalesce(e.oid, 0), coalesce(r.rngsubtype, 0), coalesce(x.extname::text, ''),
       coalesce((SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid), '[]')::text
FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY a(type, modifier, ord)
JOIN pg_type t ON t.oid = a.type
LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
LEFT JOIN pg_range r ON r.rngtypid = t.oid OR (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = d.refobjid`

// catalogType is a row of pg_type.
type catalogType struct {
	oid       uint32
	typtype   string // b base, d domain, e enum, r range, m multirange, c composite, p pseudo
	typname   string
	name      string  // as people write it, with its modifier
	base      typeRef // of a domain
	element   typeRef // of an array
	subtype   typeRef // of a range
	extension string  // that it belongs to
	labels    []string
}

// typeCatalog holds types, and those that they are made of.
type typeCatalog struct {
	types map[typeRef]*catalogType
	cents bool // the server's own lc_monetary gives money two decimal places
}

// describe looks types up in the catalog, in the order of refs.
func describe(ctx context.Context, conn *pgx.Conn, refs []typeRef) ([]typeInfo, error) {
	c := &typeCatalog{types: map[typeRef]*catalogType{}}
	for want := refs; len(want) > 0; {
		found, err := readTypes(ctx, conn, want)
		if err != nil {
			return nil, fmt.Errorf("reading types: %w", err)
		}
		want = nil
		for ref, t := range found {
			c.types[ref] = t
			for _, part := range []typeRef{t.base, t.element, t.subtype} {
				if part.oid != 0 && c.types[part] == nil {
					want = append(want, part)
				}
			}
		}
	}
	for ref := range c.types {
		if ref.oid != money {
			continue
		}
		var err error
		if c.cents, err = countsCents(ctx, conn); err != nil {
			return nil, fmt.Errorf("reading the server's lc_monetary: %w", err)
		}
		break
	}
	infos := make([]typeInfo, len(refs))
	for i, r := range refs {
		infos[i] = c.info(r)
	}
	return infos, nil
}

func readTypes(ctx context.Context, conn *pgx.Conn, refs []typeRef) (map[typeRef]*catalogType, error) {
	oids, modifiers := make([]uint32, len(refs)), make([]int32, len(refs))
	for i, r := range refs {
		oids[i], modifiers[i] = r.oid, r.modifier
	}
	rows, err := conn.Query(ctx, typesSQL, oids, modifiers)
	if err != nil {
		return nil, err
	}
	var (
		found  = map[typeRef]*catalogType{}
		t      catalogType
		ord    int
		labels string
	)
	_, err = pgx.ForEachRow(rows, []any{&ord, &t.typtype, &t.typname, &t.name, &t.base.oid, &t.base.modifier, &t.element.oid,
		&t.subtype.oid, &t.extension, &labels}, func() error {
		ref, row := refs[ord-1], t
		row.oid, row.element.modifier, row.subtype.modifier = ref.oid, ref.modifier, -1
		found[ref] = &row
		return json.Unmarshal([]byte(labels), &row.labels)
	})
	return found, err
}

// info follows a type down to what it is made of.
func (c *typeCatalog) info(ref typeRef) typeInfo {
	t := c.types[ref]
	if t == nil {
		return typeInfo{name: fmt.Sprintf("type %d", ref.oid), meta: strconv.FormatUint(uint64(ref.oid), 10), gone: true}
	}
	info := typeInfo{name: t.name, meta: strconv.FormatUint(uint64(t.oid), 10)}
	switch {
	case t.typtype == "d":
		return c.info(t.base)
	case t.typtype == "e":
		info.kind, info.labels = cdc.KindEnum, t.labels
	case t.typtype == "r" || t.typtype == "m":
		if c.info(t.subtype).kind != cdc.KindUnsupported {
			info.kind = cdc.KindRange
		}
	case t.element.oid != 0:
		if e := c.info(t.element); e.kind != cdc.KindUnsupported {
			info.kind, info.meta = cdc.KindArray, info.meta+arrayMark+e.kind.String()+" "+e.meta
		}
	case t.extension != "":
		info.kind = extensionKinds[t.extension+"."+t.typname]
		if info.kind == cdc.KindJSON {
			info.meta += hstoreMark
		}
	case t.oid == money && !c.cents:
	default:
		info.kind = kinds[t.oid]
	}
	return info
}

// countsCents reports whether money has two decimal places where its values are written. A value is stored without its
// scale, which is that of lc_monetary; our own sessions pin C, which has two, so another one is looked at with a
// connection that pins nothing. Money with another scale cannot be told from cents and is refused.
func countsCents(ctx context.Context, conn *pgx.Conn) (bool, error) {
	cfg := conn.Config()
	delete(cfg.RuntimeParams, "lc_monetary")
	own, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer closeConn(own)
	var cents bool
	err = own.QueryRow(ctx, `SELECT length(regexp_replace('0'::money::text, '[^0]', '', 'g')) = 3`).Scan(&cents)
	return cents, err
}
