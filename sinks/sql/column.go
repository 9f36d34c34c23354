package sql

import (
	"slices"
	"strconv"
	"strings"
)

// kind is what a column holds. Values travel as canonical text of their kind, never as floats or times of Go.
type kind string

const (
	kindText    kind = "text"
	kindInteger kind = "integer"
	kindDecimal kind = "decimal"
	kindFloat   kind = "float" // takes only numbers that it can hold exactly
	kindBoolean kind = "boolean"
	kindDate    kind = "date"
	kindClock   kind = "time of day"
	kindLocal   kind = "date and time without a zone"
	kindInstant kind = "date and time with a zone"
	kindEnum    kind = "enum"
	kindUUID    kind = "uuid"
	kindJSON    kind = "json"
)

// column is one column as the target's catalogue has it.
type column struct {
	name string
	typ  string // as its catalogue writes it, for people
	kind kind   // "" for a type that cannot be written exactly
	cast string // what a parameter is cast to; PostgreSQL's

	chars, bytes  int      // longest text; 0 without bound
	padded        bool     // CHAR: spaces at its end are no content
	digits, scale int      // of a decimal; digits 0 without bound
	low, high     string   // of an integer
	fraction      int      // decimals of seconds
	single        bool     // a float of 32 bits
	words         []string // of an enum

	nullable  bool
	filled    bool // it has a default, or counts by itself
	generated bool // nobody can write it
	charset   string
	may       map[string]bool // insert, update, select: what our role may do
}

// table is one table with its columns.
type table struct {
	schema, name string
	sort         string // what it is when it is no ordinary table: "a view"
	columns      map[string]*column
	order        []string // names, in the table's order
	unique       []uniqueIndex
	triggers     []string // "trg_cust_audit: AFTER UPDATE"
	mayDelete    bool
	hidden       bool // triggers could not be seen
	notes        []string
}

// uniqueIndex is an index that makes its columns unique in all rows.
type uniqueIndex struct {
	name    string
	columns []string
}

// uniqueOn returns an index that lets at most one row have these columns: unique on them, or on some of them.
func (t *table) uniqueOn(columns []string) (uniqueIndex, bool) {
	for _, u := range t.unique {
		within := len(u.columns) > 0
		for _, c := range u.columns {
			within = within && slices.Contains(columns, c)
		}
		if within {
			return u, true
		}
	}
	return uniqueIndex{}, false
}

// integers are the bounds of the integer types, by bytes; unsigned ones behind.
var integers = map[int][4]string{
	1: {"-128", "127", "0", "255"}, 2: {"-32768", "32767", "0", "65535"}, 3: {"-8388608", "8388607", "0", "16777215"},
	4: {"-2147483648", "2147483647", "0", "4294967295"}, 8: {"-9223372036854775808", "9223372036854775807", "0", "18446744073709551615"},
}

func (c *column) integer(bytes int, unsigned bool) {
	b := integers[bytes]
	c.kind, c.low, c.high = kindInteger, b[0], b[1]
	if unsigned {
		c.low, c.high = b[2], b[3]
	}
}

// same reports whether two canonical texts are one value of the column; nil is NULL.
func (c *column) same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// normal is the canonical text of what the target showed of a value.
func (c *column) normal(text string) string {
	switch c.kind {
	case kindText:
		if c.padded {
			return strings.TrimRight(text, " ")
		}
	case kindInteger, kindDecimal:
		return plainNumber(text)
	case kindFloat:
		bits := 64
		if c.single {
			bits = 32
		}
		if f, err := strconv.ParseFloat(text, bits); err == nil {
			return strconv.FormatFloat(f, 'f', -1, bits)
		}
	case kindBoolean:
		switch text {
		case "t", "1":
			return "true"
		case "f", "0":
			return "false"
		}
	case kindClock, kindLocal, kindInstant:
		if before, after, ok := strings.Cut(text, "."); ok {
			if after = strings.TrimRight(after, "0"); after == "" {
				return before
			}
			return before + "." + after
		}
	case kindUUID:
		return strings.ToLower(text)
	case kindJSON:
		if v, err := decode([]byte(text)); err == nil {
			return canonicalJSON(v)
		}
	}
	return text
}

// plainNumber drops what does not change a plain decimal: zeros at its ends, a plus, a minus of zero.
func plainNumber(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign = "-"
	}
	whole, part, _ := strings.Cut(strings.TrimLeft(text, "+-"), ".")
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if whole == "" {
		whole = "0"
	}
	switch {
	case part != "":
		return sign + whole + "." + part
	case whole == "0":
		return whole
	}
	return sign + whole
}
