package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"waybill/cdc"
)

// tableInfo is what information_schema says of a table at this moment.
type tableInfo struct {
	table   cdc.Table
	engine  string
	form    string // BASE TABLE, SYSTEM VERSIONED, VIEW
	created int64  // seconds since 1970 of the last CREATE or ALTER; 0 when the server does not say
	charset string // the default of its columns
	columns []columnInfo
}

type columnInfo struct {
	name, text, data, charset, collation  string // text is the full type, data its first word
	nullable, key, unsigned, json, zipped bool
	octets, precision, scale, fraction    int
	labels                                []string
}

func (t *tableInfo) column(name string) *columnInfo {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// describe reads a table's definition; nil when there is none that the user may see.
func (c *conn) describe(ctx context.Context, table cdc.Table, mariadb bool) (*tableInfo, error) {
	where := " WHERE TABLE_SCHEMA=" + quote(table.Schema) + " AND TABLE_NAME=" + quote(table.Name)
	head, err := c.query(ctx, "SELECT IFNULL(ENGINE,''), TABLE_TYPE, IFNULL(UNIX_TIMESTAMP(CREATE_TIME),0), IFNULL(TABLE_COLLATION,'') FROM information_schema.TABLES"+where)
	if err != nil || len(head) == 0 {
		return nil, err
	}
	t := &tableInfo{table: table, engine: head[0][0], form: head[0][1]}
	t.charset, _, _ = strings.Cut(head[0][3], "_")
	if t.created, err = strconv.ParseInt(head[0][2], 10, 64); err != nil {
		return nil, fmt.Errorf("reading the creation time of %s: %w", table, err)
	}
	columns, err := c.query(ctx, `SELECT COLUMN_NAME, COLUMN_TYPE, IFNULL(CHARACTER_SET_NAME,''), IS_NULLABLE, COLUMN_KEY, IFNULL(COLLATION_NAME,'')
		FROM information_schema.COLUMNS`+where+" ORDER BY ORDINAL_POSITION")
	if err != nil {
		return nil, err
	}
	json, err := c.jsonColumns(ctx, table, mariadb)
	if err != nil {
		return nil, err
	}
	flavor := map[bool]string{true: MariaDB, false: MySQL}[mariadb]
	for _, r := range columns {
		column := columnInfo{name: r[0], text: r[1], charset: r[2], collation: r[5], nullable: r[3] == "YES", key: r[4] == "PRI"}
		if err := typed(&column, flavor); err != nil { // a type that no release before ours knew: not supported
			column = columnInfo{name: r[0], text: r[1], nullable: column.nullable, key: column.key}
		}
		column.json = json[r[0]] && column.data == "longtext"
		t.columns = append(t.columns, column)
	}
	return t, nil
}

// jsonColumns returns MariaDB's columns that are checked to hold JSON: its JSON is a LONGTEXT with such a check.
func (c *conn) jsonColumns(ctx context.Context, table cdc.Table, mariadb bool) (map[string]bool, error) {
	out := map[string]bool{}
	if !mariadb {
		return out, nil
	}
	checks, err := c.query(ctx, "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA="+
		quote(table.Schema)+" AND TABLE_NAME="+quote(table.Name))
	if err != nil {
		return nil, err
	}
	for _, row := range checks {
		t := lexed(row[0], MariaDB, 0)
		if t != nil && t.phrase("json_valid", "(") && t.ahead(1).is(")") && t.ahead(2).kind == tokenEnd {
			out[t.peek().text] = true
		}
	}
	return out, nil
}

var kinds = map[string]cdc.Kind{
	"tinyint": cdc.KindInt, "smallint": cdc.KindInt, "mediumint": cdc.KindInt, "int": cdc.KindInt, "bigint": cdc.KindInt,
	"year": cdc.KindInt, "decimal": cdc.KindDecimal, "float": cdc.KindFloat, "double": cdc.KindFloat,
	"char": cdc.KindText, "varchar": cdc.KindText, "tinytext": cdc.KindText, "text": cdc.KindText, "mediumtext": cdc.KindText,
	"longtext": cdc.KindText, "binary": cdc.KindBytes, "varbinary": cdc.KindBytes, "tinyblob": cdc.KindBytes,
	"blob": cdc.KindBytes, "mediumblob": cdc.KindBytes, "longblob": cdc.KindBytes, "date": cdc.KindDate, "time": cdc.KindTime,
	"datetime": cdc.KindTimestamp, "timestamp": cdc.KindInstant, "enum": cdc.KindEnum, "set": cdc.KindArray, "bit": cdc.KindBits,
	"uuid": cdc.KindUUID, "inet4": cdc.KindText, "inet6": cdc.KindText, "json": cdc.KindJSON,
}

// kind returns what values of the column mean. Types without an exact form are unsupported.
func (c *columnInfo) kind() cdc.Kind {
	switch {
	case c.zipped:
		return cdc.KindUnsupported
	case c.json:
		return cdc.KindJSON
	}
	return kinds[c.data]
}

var typeCodes = map[string]byte{
	"tinyint": tTiny, "smallint": tShort, "mediumint": tInt24, "int": tLong, "bigint": tLongLong, "year": tYear,
	"decimal": tDecimal, "float": tFloat, "double": tDouble, "bit": tBit, "date": tDate, "time": tTime2, "datetime": tDatetime2,
	"timestamp": tTimestamp2, "char": tString, "binary": tString, "uuid": tString, "inet6": tString, "inet4": tString,
	"varchar": tVarchar, "varbinary": tVarchar, "tinytext": tBlob, "tinyblob": tBlob, "text": tBlob, "blob": tBlob,
	"mediumtext": tBlob, "mediumblob": tBlob, "longtext": tBlob, "longblob": tBlob, "enum": tEnum, "set": tSet, "json": tJSON,
	"geometry": tGeometry, "point": tGeometry, "linestring": tGeometry, "polygon": tGeometry, "multipoint": tGeometry,
	"multilinestring": tGeometry, "multipolygon": tGeometry, "geometrycollection": tGeometry, "vector": tVector,
}

// logged returns the type code and metadata that the column has in the binary log. The metadata is not told for types
// whose Table_map entry has no bearing on their meaning.
func (c *columnInfo) logged() (kind byte, metadata uint16, told bool) {
	kind = typeCodes[c.data]
	switch c.data {
	case "decimal":
		return kind, uint16(c.precision)<<8 | uint16(c.scale), true
	case "time", "datetime", "timestamp":
		return kind, uint16(c.fraction), true
	case "char", "binary", "varchar", "varbinary":
		return kind, uint16(c.octets), true
	case "uuid", "inet6":
		return kind, 16, true
	case "inet4":
		return kind, 4, true
	case "tinytext", "tinyblob":
		return kind, 1, true
	case "text", "blob":
		return kind, 2, true
	case "mediumtext", "mediumblob":
		return kind, 3, true
	case "longtext", "longblob":
		return kind, 4, true
	case "enum":
		return kind, uint16(1 + btoi(len(c.labels) > 255)), true
	case "set":
		return kind, setBytes(len(c.labels)), true
	case "bit":
		return kind, uint16(c.precision/8)<<8 | uint16(c.precision%8), true
	}
	return kind, 0, false
}

// setBytes returns the bytes that a set of so many labels takes: 1 to 4, or 8.
func setBytes(labels int) uint16 {
	if n := (labels + 7) / 8; n <= 4 {
		return uint16(max(n, 1))
	}
	return 8
}

// captured returns the column as a schema carries it.
func (c *columnInfo) captured() cdc.Column {
	kind, metadata, _ := c.logged()
	m := meta{kind: kind, meta: metadata, unsigned: c.unsigned, charset: c.charset}
	if c.data == "binary" {
		m.length = c.octets
	}
	out := cdc.Column{Name: c.name, Type: c.text, Kind: c.kind(), Key: c.key, NotNull: !c.nullable}
	switch out.Kind {
	case cdc.KindEnum, cdc.KindArray:
		out.Labels = c.labels
		m.charset = ""
	case cdc.KindText, cdc.KindJSON:
		if m.address = strings.HasPrefix(c.data, "inet"); !m.address {
			m.meta = 0
		}
	default:
		m.charset = ""
	}
	out.Meta = m.String()
	return out
}

// shape returns the schema of every column of the table.
func (t *tableInfo) shape(source, codec string) *cdc.Schema {
	s := &cdc.Schema{Source: source, Table: t.table, Codec: codec}
	for i := range t.columns {
		s.Columns = append(s.Columns, t.columns[i].captured())
	}
	return s
}
