package mysql

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waybill/cdc"
)

// key is the index whose order a table's chunks are read in: the primary key, else the first unique one. It has whole columns
// without NULL of types that a condition can compare as the index does. Two rows never have an equal key, in the sense
// of its collations.
type key struct {
	index   string
	columns []keyColumn
}

type keyColumn struct {
	columnInfo
	desc bool // the index descends
}

// keyOf chooses the key; nil when the table has none that will do. A masked column must not get into a cursor (Invariant 12).
func (c *conn) keyOf(ctx context.Context, info *tableInfo, sel *selected) (*key, error) {
	list, err := c.query(ctx, `SELECT INDEX_NAME, IFNULL(COLUMN_NAME,''), IFNULL(SUB_PART,0), IFNULL(COLLATION,'A'), INDEX_TYPE FROM information_schema.STATISTICS
		WHERE NON_UNIQUE=0 AND TABLE_SCHEMA=`+quote(info.table.Schema)+" AND TABLE_NAME="+quote(info.table.Name)+
		" ORDER BY INDEX_NAME<>'PRIMARY', INDEX_NAME, SEQ_IN_INDEX")
	if err != nil {
		return nil, err
	}
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(row []string) bool { return row[0] != list[0][0] })
		if n < 0 {
			n = len(list)
		}
		k := &key{index: list[0][0]}
		for _, row := range list[:n] {
			column := info.column(row[1])
			if column == nil || column.nullable || row[2] != "0" || row[4] != "BTREE" || column.form() == formNone || slices.Contains(sel.masked, row[1]) {
				k = nil
				break
			}
			k.columns = append(k.columns, keyColumn{*column, row[3] == "D"})
		}
		if k != nil {
			return k, nil
		}
		list = list[n:]
	}
	return nil, nil
}

// form is how a key column's value is asked for and given back in a condition.
type form byte

const (
	formNone   form = iota // cannot be a key
	formNumber             // its digits
	formFloat              // with an exponent, so that it is not taken for a decimal
	formQuoted             // in quotes, in the server's own words: dates, uuid, inet6
	formText               // hexadecimal, in the column's charset: compared by the column's collation
	formBytes              // hexadecimal
	formEnum               // its number; ordered by it, but compared as text
	formWide               // a number made of bits: bit, set
)

var forms = map[string]form{
	"tinyint": formNumber, "smallint": formNumber, "mediumint": formNumber, "int": formNumber, "bigint": formNumber,
	"decimal": formNumber, "year": formNumber, "float": formFloat, "double": formFloat, "date": formQuoted, "time": formQuoted,
	"datetime": formQuoted, "timestamp": formQuoted, "uuid": formQuoted, "inet4": formQuoted, "inet6": formQuoted,
	"char": formText, "varchar": formText, "tinytext": formText, "text": formText, "mediumtext": formText, "longtext": formText,
	"binary": formBytes, "varbinary": formBytes, "tinyblob": formBytes, "blob": formBytes, "mediumblob": formBytes,
	"longblob": formBytes, "enum": formEnum, "set": formWide, "bit": formWide,
}

func (c *columnInfo) form() form { return forms[c.data] }

// expression asks for the value in the text that literal takes.
func (c *keyColumn) expression() string {
	switch c.form() {
	case formFloat:
		return ident(c.name) + "+0e0"
	case formEnum, formWide:
		return ident(c.name) + "+0"
	}
	return ident(c.name)
}

// cursorText returns a value as a cursor carries it.
func (c *keyColumn) cursorText(raw []byte) string {
	if f := c.form(); f == formText || f == formBytes {
		return hex.EncodeToString(raw)
	}
	return string(raw)
}

// literal returns the value of a cursor in SQL.
func (c *keyColumn) literal(value string) (string, error) {
	number := value != "" && strings.Trim(value, "-+.e0123456789") == ""
	_, notHex := hex.DecodeString(value)
	switch f := c.form(); {
	case f == formQuoted:
		return quote(value), nil
	case f == formText && notHex == nil:
		return "_" + c.charset + " X'" + value + "'", nil
	case f == formBytes && notHex == nil:
		return "X'" + value + "'", nil
	case f == formFloat && number && !strings.Contains(value, "e"):
		return value + "e0", nil
	case f != formText && f != formBytes && number:
		return value, nil
	}
	return "", fmt.Errorf("%q is no value of key column %s", value, c.name)
}

// behind is the condition that the column lies behind the value in the order of the index.
func (c *keyColumn) behind(literal string) string {
	if c.form() == formEnum {
		return c.among(literal, !c.desc)
	}
	if c.desc {
		return ident(c.name) + " < " + literal
	}
	return ident(c.name) + " > " + literal
}

// among lists the numbers of an enum above or below one: only for equality does the server use the index.
func (c *keyColumn) among(literal string, above bool) string {
	at, _ := strconv.Atoi(literal) // a number: literal has seen to it
	var list []string
	for n := range len(c.labels) + 1 { // 0 is the empty value that the server stores for an invalid one
		if above && n > at || !above && n < at {
			list = append(list, strconv.Itoa(n))
		}
	}
	if len(list) == 0 {
		return "FALSE"
	}
	return ident(c.name) + " IN (" + strings.Join(list, ",") + ")"
}

// behind is the condition that a row lies behind the one with the values. Not written as (a, b) > (1, 2): for that neither
// MariaDB nor MySQL uses an index.
func (k *key) behind(values []string) (string, error) {
	var ways []string
	equal := ""
	for i := range k.columns {
		c := &k.columns[i]
		literal, err := c.literal(values[i])
		if err != nil {
			return "", err
		}
		ways = append(ways, equal+c.behind(literal))
		equal += ident(c.name) + " = " + literal + " AND "
	}
	return "((" + strings.Join(ways, ") OR (") + "))", nil
}

// upTo is the condition that a row does not lie behind the one with the values.
func (k *key) upTo(values []string) (string, error) {
	flipped := key{columns: slices.Clone(k.columns)}
	equal := make([]string, len(k.columns))
	for i := range flipped.columns {
		c := &flipped.columns[i]
		c.desc = !c.desc
		literal, err := c.literal(values[i])
		if err != nil {
			return "", err
		}
		equal[i] = ident(c.name) + " = " + literal
	}
	before, err := flipped.behind(values)
	return "(" + before + " OR (" + strings.Join(equal, " AND ") + "))", err
}

// list returns the columns, as they are asked for or for ORDER BY.
func (k *key) list(order bool) string {
	out := make([]string, len(k.columns))
	for i := range k.columns {
		c := &k.columns[i]
		out[i] = c.expression()
		if order {
			out[i] = ident(c.name)
		}
		if order && c.desc {
			out[i] += " DESC"
		}
	}
	return strings.Join(out, ", ")
}

// chunkCursor is the text of cdc.Chunk.After. Values of another key, or of the same columns ordered otherwise, mean nothing.
type chunkCursor struct {
	Key    []string `json:"key,omitempty"`    // name, type, collation and direction of each key column
	Values []string `json:"values,omitempty"` // of the last row; those of text and bytes in hexadecimal
	Scan   string   `json:"scan,omitempty"`   // of a table without a key: the reading that is open
	Rows   int64    `json:"rows,omitempty"`   // of a table without a key: how many rows it has returned
}

func (k *key) names() []string {
	out := make([]string, len(k.columns))
	for i := range k.columns {
		c := &k.columns[i]
		out[i] = strings.TrimSpace(c.name + " " + c.text + " " + c.collation)
		if c.desc {
			out[i] += " DESC"
		}
	}
	return out
}

// cursor returns the cursor behind the row with the values.
func (k *key) cursor(values []string) string {
	return chunkCursor{Key: k.names(), Values: values}.text()
}

func (c chunkCursor) text() string {
	text, _ := json.Marshal(c) // strings and a number: it cannot fail
	return string(text)
}

// values reads a cursor of this key; nil for a stranger's, which begins again.
func (k *key) values(cursor string) []string {
	c := parseChunkCursor(cursor)
	if !slices.Equal(c.Key, k.names()) || len(c.Values) != len(k.columns) {
		return nil
	}
	if _, err := k.behind(c.Values); err != nil {
		return nil
	}
	return c.Values
}

func parseChunkCursor(cursor string) chunkCursor {
	var c chunkCursor
	if json.Unmarshal([]byte(cursor), &c) != nil {
		return chunkCursor{}
	}
	return c
}

// read takes the key's values off a row.
func (k *key) read(r *cursor) []string {
	out := make([]string, len(k.columns))
	for i := range k.columns {
		out[i] = k.columns[i].cursorText(r.take(int(r.lenenc())))
	}
	return out
}

// statement is what a chunk's rows are asked with.
type statement struct {
	table  cdc.Table
	schema *cdc.Schema
	key    *key // nil for a table without one
}

func (s *statement) from(conditions []string) string {
	q := " FROM " + tableIdent(s.table)
	if s.key != nil {
		q += " FORCE INDEX (" + ident(s.key.index) + ")"
	}
	conditions = slices.DeleteFunc(conditions, func(c string) bool { return c == "" })
	if len(conditions) > 0 {
		q += " WHERE " + strings.Join(conditions, " AND ")
	}
	return q
}

// rows asks for the selected columns, with the key's behind them, in the order of the key.
func (s *statement) rows(limit int, conditions ...string) string {
	expressions := make([]string, len(s.schema.Columns))
	for i := range s.schema.Columns {
		expressions[i] = selectExpression(&s.schema.Columns[i])
	}
	if s.key == nil {
		return "SELECT " + strings.Join(expressions, ", ") + s.from(conditions)
	}
	expressions = append(expressions, s.key.list(false))
	return fmt.Sprintf("SELECT %s%s ORDER BY %s LIMIT %d", strings.Join(expressions, ", "), s.from(conditions), s.key.list(true), limit)
}

// edge asks for the key of the row that ends a window.
func (s *statement) edge(window int, condition string) string {
	return fmt.Sprintf("SELECT %s%s ORDER BY %s LIMIT %d, 1", s.key.list(false), s.from([]string{condition}), s.key.list(true), window-1)
}

// filter puts the caller's condition in brackets; the line's end keeps a comment at its end from taking them away.
func filter(where string) string {
	if where == "" {
		return ""
	}
	return "(" + where + "\n)"
}
